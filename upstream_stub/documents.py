"""The documents behind the references: real PDF files of one page."""

from __future__ import annotations

import json

from upstream_stub.dossiers import rubric_text
from upstream_stub.marks import Mark

FOLDERS = {
    "attestations": "attestation_paiement",
    "courriers": "courrier",
    "declarations": "declaration_ressources",
}
"""The rubric behind each folder of `/dossiers/{numero}/{folder}/{reference}.pdf`."""

TITLES = {
    "attestations": "Attestation de paiement",
    "courriers": "Courrier",
    "declarations": "Déclaration de ressources",
}


def document_pdf(numero: str, folder: str, reference: str) -> bytes | None:
    """The PDF that the dossier lists under that reference in that folder's rubric, or None."""
    rubric = rubric_text(numero, FOLDERS[folder]) if folder in FOLDERS else None
    # A search in the bytes, because the rubrics of the largest dossiers are too long to decode for one page.
    if rubric is None or f'"reference":{json.dumps(reference)},'.encode() not in rubric:
        return None
    mark = Mark(numero, FOLDERS[folder])
    return pdf_page(
        title=TITLES[folder],
        lines=(
            "Caisse d'allocations familiales de la Vendée",
            f"Dossier {numero}, pièce {reference}",
            mark.text("document", reference),
            "Document fictif : aucune personne réelle.",
        ),
    )


def pdf_page(*, title: str, lines: tuple[str, ...]) -> bytes:
    """A PDF 1.4 file: one A4 page, title and lines in Helvetica, a cross-reference table that holds."""
    shown = [_shown(title, size=16, y=780)]
    shown += [_shown(line, size=11, y=740 - 20 * n) for n, line in enumerate(lines)]
    content = b"BT\n" + b"".join(shown) + b"ET\n"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R /Lang (fr) >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%sendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Title " + _literal(title) + b" >>",
    )
    # The second line's four bytes above 127 tell transports that the file is binary (PDF 1.4, 3.4.1).
    file = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    file += b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R >>\n" % (len(objects) + 1)
    file += b"startxref\n%d\n%%%%EOF\n" % table
    return bytes(file)


def _shown(text: str, *, size: int, y: int) -> bytes:
    return b"/F1 %d Tf\n1 0 0 1 60 %d Tm\n%s Tj\n" % (size, y, _literal(text))


def _literal(text: str) -> bytes:
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return b"(" + escaped.encode("cp1252", "replace") + b")"
