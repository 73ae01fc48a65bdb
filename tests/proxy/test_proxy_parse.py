"""A request becomes our nouns, and what the backend is asked is written from them alone."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    BadRequest,
    BodyTooLarge,
    MalformedNumber,
    MethodNotAllowed,
    NoSuchRoute,
    Refusal,
    UndeclaredParameter,
)
from gateway.policy_files.folder import ROUTES, load_folder, load_texts, read, shipped
from gateway.proxy.parse import announces_a_body, parse, query


@pytest.fixture(scope="module")
def routes():
    return load_folder(shipped()).routes


def environ_of(path="/dossiers/9990001", *, method="GET", query="", **headers):
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **headers}


def test_a_dossier_is_asked_for_by_its_rebuilt_path(routes):
    request = parse(environ_of(), routes, "id")
    assert (request.number, request.path) == ("9990001", "/dossiers/9990001")
    assert request.upstream_headers == {"Accept": "application/json", "X-Request-Id": "id"}


REFUSED = {
    "six digits": (environ_of("/dossiers/999000"), MalformedNumber),
    "eight digits": (environ_of("/dossiers/99900011"), MalformedNumber),
    "letters": (environ_of("/dossiers/999000a"), MalformedNumber),
    "Arabic-Indic digits": (environ_of("/dossiers/" + "٩" * 7), MalformedNumber),
    "their bytes in latin-1": (environ_of("/dossiers/" + ("٩" * 7).encode().decode("latin-1")), MalformedNumber),
    "NUL": (environ_of("/dossiers/999000\0"), MalformedNumber),
    "an end of line": (environ_of("/dossiers/9990001\n"), MalformedNumber),
    "10 000 digits": (environ_of("/dossiers/" + "9" * 10_000), MalformedNumber),
    "two dots": (environ_of("/dossiers/../dossiers/9990001"), NoSuchRoute),
    "one dot": (environ_of("/./dossiers/9990001"), NoSuchRoute),
    "doubled slashes": (environ_of("//dossiers/9990001"), NoSuchRoute),
    "a last slash": (environ_of("/dossiers/9990001/"), NoSuchRoute),
    "a parameter in the path": (environ_of("/dossiers/9990001;a=b"), MalformedNumber),
    "a query in the path": (environ_of("/dossiers/9990001?a=b"), MalformedNumber),
    "a fragment": (environ_of("/dossiers/9990001#a"), MalformedNumber),
    "the absolute form": (environ_of("http://elsewhere/dossiers/9990001"), NoSuchRoute),
    "nothing": (environ_of(""), NoSuchRoute),
    "capitals": (environ_of("/Dossiers/9990001"), NoSuchRoute),
    "POST": (environ_of(method="POST"), MethodNotAllowed),
    "TRACE": (environ_of(method="TRACE"), MethodNotAllowed),
    "OPTIONS": (environ_of(method="OPTIONS"), MethodNotAllowed),
    "a method in small letters": (environ_of(method="get"), MethodNotAllowed),
    "a body": (environ_of(CONTENT_LENGTH="1"), BodyTooLarge),
    "a body of a length that is none": (environ_of(CONTENT_LENGTH="00"), BodyTooLarge),
    "a body in chunks": (environ_of(HTTP_TRANSFER_ENCODING="chunked"), BodyTooLarge),
    "an undeclared parameter": (environ_of(query="a=b"), UndeclaredParameter),
    "an undeclared parameter without a value": (environ_of(query="a="), UndeclaredParameter),
    "a query that is not one": (environ_of(query="a"), BadRequest),
    "an empty parameter": (environ_of(query="&"), BadRequest),
    "many parameters": (environ_of(query="&".join(["a=b"] * 33)), BadRequest),
    "a parameter that is not UTF-8": (environ_of(query="a=%ff"), BadRequest),
}


@pytest.mark.parametrize(("environ", "refusal"), REFUSED.values(), ids=REFUSED)
def test_what_no_route_declares_is_refused(routes, environ, refusal):
    with pytest.raises(refusal) as caught:
        parse(environ, routes, "id")
    assert type(caught.value) is refusal


def test_a_request_is_all_of_what_its_route_makes_of_it():
    texts = read(shipped())
    declaring = re.sub(r"^query( +)= \[\]", r'query\1= ["page"]', texts[ROUTES], count=1, flags=re.MULTILINE)
    assert declaring != texts[ROUTES]
    routes = load_texts({**texts, ROUTES: declaring}, proven=True).routes
    rubric = parse(environ_of("/dossiers/9990001/rubriques/adresse"), routes, "id")
    assert (rubric.route.name, rubric.rubrics) == ("rubric", {"adresse"})
    assert rubric.nouns == {"numero": "9990001", "rubric": "adresse"}
    whole = parse(environ_of(query="page=2"), routes, "id")
    assert (whole.route.name, whole.nouns) == ("dossier", {"numero": "9990001"})
    assert (whole.path, len(whole.rubrics)) == ("/dossiers/9990001?page=2", 20)
    with pytest.raises(UndeclaredParameter):
        parse(environ_of("/dossiers/9990001/rubriques/adresse", query="page=2"), routes, "id")


def test_a_method_that_is_refused_is_told_which_are_not(routes):
    with pytest.raises(MethodNotAllowed) as caught:
        parse(environ_of(method="DELETE"), routes, "id")
    assert dict(caught.value.headers)["Allow"] == "GET, HEAD"


LANGUAGES = {
    "fr-FR, fr;q=0.9, *;q=0.5": True,
    "fr": True,
    "": False,
    "fr\r\nX-A: b": False,
    "fr\nX-A: b": False,
    "fr\t": False,
    "é": False,
    "a" * 101: False,
    "(fr)": False,
}


@pytest.mark.parametrize(("language", "passed"), LANGUAGES.items(), ids=lambda value: repr(value)[:30])
def test_a_language_is_passed_on_only_where_it_is_one(routes, language, passed):
    headers = parse(environ_of(HTTP_ACCEPT_LANGUAGE=language), routes, "id").upstream_headers
    assert headers.get("Accept-Language") == (language if passed else None)


def test_no_other_header_of_the_client_is_passed_on(routes):
    clients = {f"HTTP_{name}": "CANARI" for name in ("X_PROFIL", "X_FORWARDED_FOR", "COOKIE", "RANGE", "AUTHORIZATION")}
    assert "CANARI" not in str(parse(environ_of(**clients), routes, "id").upstream_headers)


@pytest.mark.parametrize(
    ("environ", "announced"),
    [
        ({}, False),
        ({"CONTENT_LENGTH": ""}, False),
        ({"CONTENT_LENGTH": "0"}, False),
        ({"CONTENT_LENGTH": "0 "}, True),
        ({"CONTENT_LENGTH": "1"}, True),
        ({"HTTP_TRANSFER_ENCODING": ""}, True),
    ],
    ids=repr,
)
def test_a_body_is_announced_by_a_length_or_a_coding(environ, announced):
    assert announces_a_body(environ) is announced


DECLARED = ("page", "tri")
QUERIES = {
    "": "",
    "page=2": "?page=2",
    "tri=&page=2": "?tri=&page=2",
    "page=%C3%A9+a%26b": "?page=%C3%A9+a%26b",
    "page=2&page=2": BadRequest,
    "page=2&page=3": BadRequest,
    "p%61ge=2&page=3": BadRequest,
    "Page=2": UndeclaredParameter,
    "page%00=2": UndeclaredParameter,
    "page=%00": BadRequest,
    "page=%0d%0aX-A:b": BadRequest,
    "page=%1b[31m": BadRequest,
    "page=%E2%80%AE": BadRequest,
    "page=" + "a" * 256: "?page=" + "a" * 256,
    "page=" + "a" * 257: BadRequest,
    "page": BadRequest,
    "=2": UndeclaredParameter,
}


@pytest.mark.parametrize(("text", "expected"), QUERIES.items(), ids=lambda value: repr(value)[:40])
def test_a_query_is_rebuilt_from_declared_parameters(text, expected):
    if isinstance(expected, str):
        assert query({"QUERY_STRING": text}, DECLARED) == expected
    else:
        with pytest.raises(expected):
            query({"QUERY_STRING": text}, DECLARED)


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_whatever_query_is_accepted_holds_each_declared_parameter_once_and_one_line(text):
    try:
        rebuilt = query({"QUERY_STRING": text}, DECLARED)
    except Refusal:
        return
    assert rebuilt.isascii() and rebuilt.isprintable() and " " not in rebuilt and "#" not in rebuilt
    names = [name for name, _ in parse_qsl(urlsplit("/a" + rebuilt).query, keep_blank_values=True)]
    assert len(set(names)) == len(names)
    assert set(names) <= set(DECLARED)


@given(st.text(max_size=40), st.sampled_from(["", "/rubriques/adresse", "/attestations/a.pdf"]))
def test_whatever_number_is_accepted_is_seven_digits_in_the_path(routes, number, rest):
    try:
        request = parse(environ_of(f"/dossiers/{number}{rest}"), routes, "id")
    except Refusal:
        return
    assert request.number.isascii() and request.number.isdigit() and len(request.number) == 7
    assert request.path.startswith(f"/dossiers/{request.number}")
    assert request.path.isascii() and request.path.isprintable() and ".." not in request.path
