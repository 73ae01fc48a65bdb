# ruff: noqa: E501 -- one case, one line: tables are read across
"""Documents leave whole or not at all, and only under a declared content type."""

from __future__ import annotations

import pathlib

import pytest

from gateway.errors import NotOpen, UpstreamNotUnderstood
from gateway.redaction import compile_routes, declared_type, redact_document
from tests.redaction.oracle import SLUGS

TABLE = compile_routes((pathlib.Path(__file__).parents[2] / "policies" / "routes.toml").read_text("utf-8"), SLUGS)
DOSSIER, _, ATTESTATION, COURRIER, _ = TABLE.routes


def test_a_granted_document_leaves_byte_for_byte():
    body = b"%PDF-1.4\x00\xff"
    assert redact_document(body, "application/pdf", COURRIER, {"courrier", "rsa"}) == (body, {"courrier"}, ())


@pytest.mark.parametrize("granted", [set(), {"rsa"}, {"attestation_paiement"}, set(SLUGS) - {"courrier"}])
def test_another_rubric_does_not_open_it(granted):
    with pytest.raises(NotOpen) as refusal:
        redact_document(b"%PDF", "application/pdf", COURRIER, granted)
    assert refusal.value.because == "this document's rubric is not granted"


def test_json_is_never_taken_for_a_document():
    with pytest.raises(NotOpen):
        redact_document(b"{}", "application/json", DOSSIER, set(SLUGS))


def test_a_document_knows_its_one_rubric_before_the_fetch():
    assert ATTESTATION.rubrics({"numero": "1234567", "id": "a"}) == {"attestation_paiement"}


@pytest.mark.parametrize(
    "header",
    [
        "application/json", "Application/JSON", "application/json;charset=utf-8", "application/json; charset=UTF-8",
        'application/json; charset="utf-8"', "application/json ; Charset=utf-8",
    ],
)  # fmt: skip
def test_a_declared_type_goes_out_clean(header):
    assert declared_type(header, DOSSIER) == "application/json"


@pytest.mark.parametrize(
    "header",
    [
        None, "", "text/html", "application/vnd.caf+json", "application/json; charset=latin-1", "application/json;", "application",
        "application/json; charset=utf-8; charset=utf-16", "application/json; version=1", "application/json, text/html",
        "application/json\x00", "application/jsonx", "application/json; charset = utf-8", "application/pdf", "*/*",
        'application/json; charset="utf-8', "application/json; charset=utf-16", "application/json; charset=utf\u20118",
    ],
)  # fmt: skip
def test_any_other_type_of_json_is_refused(header):
    with pytest.raises(UpstreamNotUnderstood):
        declared_type(header, DOSSIER)


@pytest.mark.parametrize(
    "header", [None, "text/html", "application/pdf; charset=utf-8", "application/pdf; a=b", "application/json"]
)
def test_any_other_type_of_document_is_refused(header):
    with pytest.raises(UpstreamNotUnderstood):
        redact_document(b"%PDF", header, COURRIER, {"courrier"})
