"""The documents are real PDF files."""

from __future__ import annotations

import json
import re

import pytest

from upstream_stub.documents import FOLDERS, document_pdf
from upstream_stub.dossiers import dossier_text


def references(numero: str, folder: str) -> list[str]:
    documents = json.loads(dossier_text(numero) or b"")["rubriques"][FOLDERS[folder]]["documents"]
    return [entry["reference"] for entry in documents]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("numero", ["9990001", "9990011", "1000007"])
def test_every_listed_reference_is_a_pdf_whose_table_of_offsets_is_right(numero: str, folder: str) -> None:
    assert references(numero, folder)
    for reference in references(numero, folder):
        assert re.fullmatch("[0-9a-z-]{1,32}", reference)
        file = document_pdf(numero, folder, reference)
        assert file is not None
        assert file.startswith(b"%PDF-1.4\n")
        assert file.endswith(b"%%EOF\n")
        opens(file)


def opens(file: bytes) -> None:
    """Read the file the way a viewer does: from its end, through the table, to each object."""
    ending = re.search(rb"startxref\n([0-9]+)\n%%EOF\n\Z", file)
    assert ending
    table = file[int(ending[1]) :]
    opening = re.match(rb"xref\n0 ([0-9]+)\n", table)
    assert opening
    count, rows = int(opening[1]), table[opening.end() :]
    assert rows[:20] == b"0000000000 65535 f \n"
    for number in range(1, count):
        row = rows[20 * number : 20 * number + 20]
        assert re.fullmatch(rb"[0-9]{10} 00000 n \n", row)
        assert file[int(row[:10]) :].startswith(b"%d 0 obj\n" % number)
    assert b"/Size %d /Root 1 0 R" % count in rows
    stream = re.search(rb"/Length ([0-9]+) >>\nstream\n", file)
    assert stream
    assert file[stream.end() + int(stream[1]) :].startswith(b"endstream")


def test_a_document_carries_a_canary_of_its_rubric_and_its_number() -> None:
    file = document_pdf("9990001", "declarations", "dr-9990001-0")
    assert file is not None
    assert b"CANARI-declaration_ressources-document-9990001-dr-9990001-0" in file
    assert "Déclaration de ressources".encode("cp1252") in file


@pytest.mark.parametrize(
    ("numero", "folder", "reference"),
    [
        ("9990001", "courriers", "co-9990001-9"),
        ("9990001", "courriers", "ap-9990001-0"),
        ("9990001", "courriers", "co-9990002-0"),
        ("9990012", "courriers", "co-9990012-0"),
        ("9990001", "factures", "co-9990001-0"),
        ("0000000", "courriers", "co-0000000-0"),
        ("9990001", "courriers", 'co-9990001-0","date'),
    ],
)
def test_what_the_dossier_does_not_list_there_is_no_document(numero: str, folder: str, reference: str) -> None:
    assert document_pdf(numero, folder, reference) is None
