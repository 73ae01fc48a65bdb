# ruff: noqa: E501 -- one case, one line: tables are read across
"""Paths: matched exactly, after the server's one decoding, and rebuilt from the nouns alone."""

from __future__ import annotations

import pathlib

import pytest

from gateway.errors import MalformedNumber, MethodNotAllowed, NoSuchRoute
from gateway.redaction import compile_routes
from tests.redaction.oracle import SLUGS

TABLE = compile_routes((pathlib.Path(__file__).parents[2] / "policies" / "routes.toml").read_text("utf-8"), SLUGS)


@pytest.mark.parametrize(
    ("path", "name", "nouns"),
    [
        ("/dossiers/9990001", "dossier", {"numero": "9990001"}),
        ("/dossiers/0000000", "dossier", {"numero": "0000000"}),
        ("/dossiers/9990001/rubriques/qf_caf", "rubric", {"numero": "9990001", "rubric": "qf_caf"}),
        ("/dossiers/9990001/attestations/ap-9990001-0.pdf", "attestation", {"numero": "9990001", "id": "ap-9990001-0"}),
        ("/dossiers/9990001/courriers/a.pdf", "courrier", {"numero": "9990001", "id": "a"}),
        (f"/dossiers/9990001/declarations/{'z' * 32}.pdf", "declaration", {"numero": "9990001", "id": "z" * 32}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_path_is_understood_and_written_back_from_its_nouns(method, path, name, nouns):
    match = TABLE.match(method, path)
    assert (match.route.name, match.nouns, match.number) == (name, nouns, nouns["numero"])
    assert match.route.path(match.nouns) == match.path == path
    assert match.rubrics == match.route.rubrics(match.nouns)


MALFORMED = [
    "", "..", ".", "%2e%2e", "%252e%252e", "999000", "99900011", "999000a", " 9990001", "9990001 ", "9990001\n",
    "9990001;x", "9990001\\", "\\..\\", "9990001?x=1", "9990001#", "9990001%23", "%39990001", "\x00", "9990001\x00",
    "-990001", "+990001", "999_001", "9" * 10_000, "٩٩٩٠٠٠١".encode().decode("latin-1"), "９９９０００１".encode().decode("latin-1"),
    "\xc0\xaf", "\xe9990001", "²990001", "1e00001", "0x00001",
]  # fmt: skip


@pytest.mark.parametrize("number", MALFORMED)
@pytest.mark.parametrize("rest", ["", "/rubriques/rsa", "/rubriques/", "/courriers/a.pdf", "/courriers/.."])
def test_a_malformed_number_is_told_apart_from_an_unknown_path(number, rest):
    with pytest.raises(MalformedNumber):
        TABLE.match("GET", f"/dossiers/{number}{rest}")


@pytest.mark.parametrize(
    "path",
    [
        "", "*", "/", "//", "dossiers/9990001", "/dossiers", "/Dossiers/9990001", "/dossiers/9990001/", "//dossiers/9990001",
        "/dossiers//9990001", "/./dossiers/9990001", "/dossiers/./9990001", "/../dossiers/9990001",
        "/dossiers/../dossiers/9990001", "/dossiers/9990001/..", "/dossiers/9990001/../9990002", "/dossiers;x/9990001",
        "/dossiers/9990001/rubriques", "/dossiers/9990001/rubriques/", "/dossiers/9990001/rubriques/..",
        "/dossiers/9990001/rubriques/QF_CAF", "/dossiers/9990001/rubriques/qf_caf.json", "/dossiers/9990001/rubriques/psy",
        "/dossiers/9990001/rubriques/rsa/x", "/dossiers/9990001/rubriques/rsa\n", "/dossiers/9990001/rubriques/rsa;v=1",
        "/dossiers/9990001/courriers/a", "/dossiers/9990001/courriers/a.PDF", "/dossiers/9990001/courriers/.pdf",
        "/dossiers/9990001/courriers/A.pdf", "/dossiers/9990001/courriers/a.pdf.pdf", "/dossiers/9990001/courriers/..pdf",
        "/dossiers/9990001/courriers/a%2f.pdf", "/dossiers/9990001/courriers/a_b.pdf", "/dossiers/9990001/courriers/axpdf",
        f"/dossiers/9990001/courriers/{'z' * 33}.pdf", "/dossiers/9990001/courriers/\xe9.pdf", "/dossiers/9990001/messages",
        "/etat", "/-/session", "/static/x", "http://127.0.0.1/dossiers/9990001", "\\dossiers\\9990001", "/dossiers\\9990001",
    ],
)  # fmt: skip
def test_any_other_path_is_nobodys(path):
    with pytest.raises(NoSuchRoute):
        TABLE.match("GET", path)


@pytest.mark.parametrize(
    "method", ["POST", "get", "Get", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "", "GET "]
)
def test_another_method_says_which_are_allowed(method):
    with pytest.raises(MethodNotAllowed) as refusal:
        TABLE.match(method, "/dossiers/9990001")
    assert refusal.value.headers == (("Allow", "GET, HEAD"),)


@pytest.mark.parametrize(
    "nouns", [{"numero": "12"}, {"numero": "1234567/x"}, {"numero": "../etc"}, {"numero": "1234567\n"}, {"numero": ""}]
)
def test_a_path_is_never_written_from_nouns_that_do_not_fit(nouns):
    with pytest.raises(ValueError, match="nouns"):
        TABLE.routes[0].path(nouns)
