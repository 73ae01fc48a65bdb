"""Requests that are not as they should be: refused in a sentence, before the backend is asked anything."""

from __future__ import annotations

import http.client
import json
from itertools import count
from urllib.parse import quote

import pytest

from tests.story.brochure import OPEN, kept_dossier
from tests.story.running import PASSWORD, Answer, Backend, Gateway, connect, exchange, is_problem, read_answer
from upstream_stub.dossiers import dossier_text

DOSSIER = "/dossiers/9990001"
FORM = "application/x-www-form-urlencoded"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def backend(start_backend) -> Backend:
    """Answers the stub's dossiers, and remembers all that it was asked."""

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, dossier_text(path.partition("?")[0][-7:]) or b"{}"

    return start_backend(answer)


@pytest.fixture(scope="module")
def gateway(backend: Backend, start_gateway) -> Gateway:
    gateway = start_gateway(backend.url)
    for profile in ("T1", "T2"):
        gateway.enter(profile.lower(), profile)
    gateway.enter("caf", kind="caf")
    return gateway


@pytest.fixture(scope="module")
def session(gateway: Gateway) -> dict[str, str]:
    return gateway.log_in("t1")


@pytest.fixture
def unasked(backend: Backend):
    """The backend hears nothing while the test runs."""
    before = len(backend.asked)
    yield
    assert backend.asked[before:] == []


def raw(gateway: Gateway, *lines: str, method: str = "GET", body: bytes = b"") -> Answer:
    """The answer to exactly these lines."""
    request = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
    return exchange(gateway.url, request + body, method=method)


def bearer(session: dict[str, str]) -> str:
    return f"Authorization: {session['Authorization']}"


def cookie(session: dict[str, str]) -> str:
    return f"cafpro={session['Authorization'].removeprefix('Bearer ')}"


NUMBERS = {
    "letters": "abcdefg",
    "one small letter": "999000a",
    "one capital": "999000A",
    "6 digits": "999000",
    "8 digits": "99900011",
    "nothing": "",
    "Arabic-Indic digits": quote("٩٩٩٠٠٠١"),
    "full-width digits": quote("９９９０００１"),
    "a null behind": "9990001%00",
    "a null before": "%009990001",
    "a null instead": "999%00001",
    "a line feed behind": "9990001%0A",
    "a line feed and a header": "9990001%0D%0AX-Profil:%20T1",
    "a space behind": "9990001%20",
    "a space before": "%209990001",
    "a plus before": "+990001",
    "a plus behind": "9990001+",
    "a minus": "-999001",
    "a point": "99900.1",
    "an exponent": "9990e01",
    "a hexadecimal number": "0x98701",
    "an underscore": "999_001",
    "a semicolon": "9990001;v=1",
    "a hash": "9990001%23",
    "a question mark": "9990001%3F",
    "a backslash": "9990001%5C",
    "a percent sign": "9990001%25",
    "percent-encoded twice": "%2539990001",
    "bytes that are not UTF-8": "%FF%FE9990001",
    "10 000 digits": "9" * 10_000,
    "10 000 letters": "a" * 10_000,
    "a wildcard": "*",
    "a template": "%7Bnumero%7D",
}


@pytest.mark.attack(3)
@pytest.mark.parametrize(
    "rest", ["", "/rubriques/adresse", "/courriers/co-1.pdf"], ids=["dossier", "rubric", "document"]
)
@pytest.mark.parametrize("written", NUMBERS.values(), ids=NUMBERS)
def test_a_malformed_number_is_refused_before_the_backend_is_called(gateway, session, unasked, written, rest):
    answer = gateway.ask(f"/dossiers/{written}{rest}", session)
    is_problem(answer, 422, "GW207")
    row = gateway.recorded(answer)
    assert (row["act"], row["agent"], row["dossier"], row["code"]) == ("request", "t1", "", "GW207")


@pytest.mark.attack(3)
def test_seven_digits_written_with_percent_signs_are_that_number(gateway, session, backend):
    answer = gateway.ask("/dossiers/%39%39%39%30%30%30%31", session)
    assert (answer.status, answer.body) == (200, kept_dossier(dossier_text("9990001") or b"", OPEN["T1"]))
    assert backend.asked[-1][1] == DOSSIER


UNKNOWN = {
    "the root": "/",
    "another word": "/familles/9990001",
    "no number": "/dossiers",
    "too many segments": "/dossiers/9990001/rubriques/adresse/pays",
    "an unknown rubric": "/dossiers/9990001/rubriques/sante_mentale",
    "a rubric in capitals": "/dossiers/9990001/rubriques/Adresse",
    "no rubric": "/dossiers/9990001/rubriques/",
    "capitals": "/DOSSIERS/9990001",
    "a slash behind": "/dossiers/9990001/",
    "two slashes before": "//dossiers/9990001",
    "two slashes inside": "/dossiers//9990001",
    "an encoded slash": "/dossiers/9990001%2Frubriques%2Fadresse%2Fpays",
    "dots": "/x/../dossiers/9990001",
    "encoded dots": "/x/%2e%2e/dossiers/9990001",
    "dots encoded twice": "/x/%252e%252e/dossiers/9990001",
    "a dot segment": "/./dossiers/9990001",
    "a backslash": "/dossiers%5C9990001",
    "a parameter in the path": "/dossiers;v=1/9990001",
    "messages, which have no route yet": "/dossiers/9990001/messages",
    "the backend's own state": "/etat",
    "a document of another type": "/dossiers/9990001/courriers/co-1.txt",
    "a reference in capitals": "/dossiers/9990001/courriers/CO-1.pdf",
    "a reference that is too long": f"/dossiers/9990001/courriers/{'a' * 33}.pdf",
    "a reference that climbs": "/dossiers/9990001/courriers/..%2f..%2fetat.pdf",
    "the static files of Flask": "/static/x",
}


@pytest.mark.attack(1)
@pytest.mark.attack(2)
@pytest.mark.attack(3)
@pytest.mark.parametrize("path", UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_address_is_a_404(gateway, session, unasked, path):
    answer = raw(gateway, f"GET {path} HTTP/1.1", f"Host: {gateway.host}", bearer(session))
    is_problem(answer, 404, "GW203")
    assert gateway.recorded(answer)["agent"] == "t1"


@pytest.mark.parametrize("path", ["/-/nothing", "/-/session/x", "/-/", "/-/health"])
def test_an_unknown_address_of_our_own_is_a_404(gateway, session, unasked, path):
    is_problem(gateway.ask(path, session), 404, "GW203")


@pytest.mark.attack(12)
@pytest.mark.parametrize("path", [DOSSIER, f"{DOSSIER}/rubriques/adresse", f"{DOSSIER}/courriers/co-1.pdf"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND"])
def test_a_method_that_a_route_does_not_declare_is_a_405_that_names_the_others(gateway, session, unasked, method, path):
    answer = gateway.ask(path, session, method=method)
    is_problem(answer, 405, "GW204")
    assert answer.one("Allow") == "GET, HEAD"
    assert gateway.recorded(answer)["code"] == "GW204"


@pytest.mark.attack(12)
def test_a_method_override_overrides_nothing(gateway, session, unasked):
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        is_problem(gateway.ask(DOSSIER, {**session, name: "GET"}, method="POST"), 405, "GW204")


@pytest.mark.attack(12)
@pytest.mark.parametrize(
    ("method", "allowed"),
    [("PUT", "DELETE, GET, HEAD, POST"), ("PATCH", "DELETE, GET, HEAD, POST"), ("OPTIONS", "DELETE, GET, HEAD, POST")],
    ids=["put", "patch", "options"],
)
def test_a_method_that_our_own_session_address_lacks_is_a_405(gateway, session, method, allowed):
    answer = gateway.ask("/-/session", session, method=method)
    is_problem(answer, 405, "GW204")
    assert {*answer.one("Allow").split(", ")} - {"OPTIONS"} == {*allowed.split(", ")}


@pytest.mark.attack(12)
@pytest.mark.parametrize(
    "method", ["get", "Get", "BREW", "GET\x00"], ids=["small letters", "mixed", "unknown", "a null"]
)
def test_what_is_not_a_method_never_reaches_the_application(gateway, session, unasked, method):
    before = len(gateway.record_rows())
    answer = raw(gateway, f"{method} {DOSSIER} HTTP/1.1", f"Host: {gateway.host}", bearer(session))
    assert (answer.status, answer.body) == (400, b"")
    assert len(gateway.record_rows()) == before


@pytest.mark.attack(12)
def test_a_tunnel_is_not_dug(gateway, session, unasked):
    answer = raw(gateway, f"CONNECT {gateway.host} HTTP/1.1", f"Host: {gateway.host}", bearer(session))
    assert answer.status in (400, 404, 405)
    assert b"CANARI" not in answer.body


@pytest.mark.attack(13)
@pytest.mark.parametrize(
    ("announced", "body"),
    [
        pytest.param("Content-Length: 2", b"{}", id="announced and sent"),
        pytest.param("Content-Length: 2", b"", id="announced and not sent"),
        pytest.param("Content-Length: 10000000000", b"", id="ten gigabytes"),
        pytest.param("Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n", id="in chunks"),
        pytest.param("Transfer-Encoding: chunked", b"0\r\n\r\n", id="in no chunk"),
    ],
)
def test_a_body_where_none_is_declared_is_refused_unread(gateway, session, unasked, announced, body):
    answer = raw(gateway, f"GET {DOSSIER} HTTP/1.1", f"Host: {gateway.host}", bearer(session), announced, body=body)
    is_problem(answer, 413, "GW205")
    assert gateway.recorded(answer)["agent"] == "t1"


QUERIES = {
    "an undeclared parameter": "page=2",
    "without a value": "page=",
    "the same one twice": "page=1&page=2",
    "a number": "numero=9990002",
    "a profile": "profil=T1",
    "a token": "access_token=x",
    "a method": "_method=DELETE",
    "another format": "format=xml",
    "with an encoded name": "%70age=2",
}


@pytest.mark.attack(6)
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_parameter_that_no_route_declares_is_refused(gateway, session, unasked, query):
    is_problem(gateway.ask(f"{DOSSIER}?{query}", session), 400, "GW202")


@pytest.mark.attack(6)
@pytest.mark.parametrize("query", ["page", "&", "=", "%", "%FF=1", "a=1;b=2" + "&a=1" * 40], ids=range(6))
def test_a_query_that_is_not_one_is_refused(gateway, session, unasked, query):
    answer = gateway.ask(f"{DOSSIER}?{query}", session)
    is_problem(answer, 400, answer.json()["code"])
    assert answer.json()["code"] in ("GW201", "GW202")


@pytest.mark.attack(6)
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_the_session_has_no_parameters_and_stays_as_it_is(gateway, session, unasked, query):
    address = f"/-/session?{query}"
    body = json.dumps({"identifier": "t2", "password": PASSWORD}).encode()
    sent = [
        (gateway.ask(address, session), "session"),
        (gateway.ask(address, session, method="DELETE"), "log_out"),
        (gateway.ask(address, JSON, method="POST", body=body), "log_in"),
    ]
    for answer, act in sent:
        is_problem(answer, 400, "GW202")
        assert gateway.recorded(answer)["act"] == act
        assert answer.all("Set-Cookie") == []
    assert gateway.ask("/-/session", session).status == 200
    # A stranger is told nothing but that.
    is_problem(gateway.ask(address), 401, "GW101")


HOSTS = {
    "another site": "ailleurs.example",
    "another port": "127.0.0.1:1",
    "none": None,
    "empty": "",
    "a path behind": "{host}/x",
    "a user before": "x@{host}",
    "two in one": "{host}, ailleurs.example",
}


@pytest.mark.attack(5)
@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
@pytest.mark.parametrize("path", [DOSSIER, "/-/session"])
def test_a_request_to_another_host_is_refused(gateway, session, unasked, host, path):
    line = [] if host is None else [f"Host: {host.format(host=gateway.host)}"]
    answer = raw(gateway, f"GET {path} HTTP/1.1", *line, bearer(session))
    is_problem(answer, 400, "GW201")


@pytest.mark.attack(5)
@pytest.mark.attack(9)
def test_a_host_named_twice_is_refused(gateway, session, unasked):
    hosts = [f"Host: {gateway.host}", "Host: ailleurs.example"]
    for lines in (hosts, hosts[::-1]):
        is_problem(raw(gateway, f"GET {DOSSIER} HTTP/1.1", *lines, bearer(session)), 400, "GW201")


@pytest.mark.attack(5)
@pytest.mark.parametrize("target", ["http://{host}/dossiers/9990001", "http://ailleurs.example/dossiers/9990001"])
def test_a_target_in_absolute_form_is_not_a_way_in(gateway, session, unasked, target):
    answer = raw(gateway, f"GET {target.format(host=gateway.host)} HTTP/1.1", f"Host: {gateway.host}", bearer(session))
    is_problem(answer, 404, "GW203")


ANONYMOUS = {
    "a dossier": ("GET", DOSSIER, ()),
    "a dossier nobody has": ("GET", "/dossiers/0000000", ()),
    "a rubric": ("GET", f"{DOSSIER}/rubriques/adresse", ()),
    "a document": ("GET", f"{DOSSIER}/courriers/co-1.pdf", ()),
    "a malformed number": ("GET", "/dossiers/abc", ()),
    "an unknown address": ("GET", "/nothing", ()),
    "the root": ("GET", "/", ()),
    "another method": ("DELETE", DOSSIER, ()),
    "a preflight": ("OPTIONS", DOSSIER, ("Origin: https://ailleurs.example", "Access-Control-Request-Method: GET")),
    "a trace": ("TRACE", DOSSIER, ()),
    "a body": ("GET", DOSSIER, ("Content-Length: 2",)),
    "a post with a body": ("POST", DOSSIER, ("Content-Length: 2",)),
    "a parameter": ("GET", f"{DOSSIER}?page=2", ()),
    "a token in the query": ("GET", f"{DOSSIER}?access_token=TOKEN", ()),
    "another host": ("GET", DOSSIER, ("Host: ailleurs.example",)),
    "a health checker": ("GET", DOSSIER, ("User-Agent: ELB-HealthChecker/2.0",)),
    "a health check's path inside": ("GET", "/dossiers/9990001/-/health/live", ()),
    "an identity of its own": ("GET", DOSSIER, ("X-Profil: T1", "X-Remote-User: t1", "X-Forwarded-User: t1")),
    "another address by a header": ("GET", "/nothing", (f"X-Original-URL: {DOSSIER}", f"X-Rewrite-URL: {DOSSIER}")),
    "our own session": ("GET", "/-/session", ()),
    "the end of a session": ("DELETE", "/-/session", ()),
}


@pytest.mark.attack(11)
@pytest.mark.parametrize(("method", "path", "lines"), ANONYMOUS.values(), ids=ANONYMOUS)
def test_an_anonymous_caller_gets_the_same_401_whatever_it_asks(gateway, session, unasked, method, path, lines):
    token = session["Authorization"].removeprefix("Bearer ")
    host = [] if any(line.startswith("Host:") for line in lines) else [f"Host: {gateway.host}"]
    request = (f"{method} {path.replace('TOKEN', token)} HTTP/1.1", *host, *lines)
    answer = raw(gateway, *request, body=b"{}" if "Content-Length: 2" in lines else b"")
    is_problem(answer, 401, "GW101")
    assert answer.one("WWW-Authenticate") == 'Bearer realm="cafpro"'
    reference = raw(gateway, f"GET {DOSSIER} HTTP/1.1", f"Host: {gateway.host}")
    assert answer.lasting() == reference.lasting()
    row = gateway.recorded(answer)
    assert (row["agent"], row["code"]) == ("", "GW101")


TOKENS = {
    "no token": "Bearer ",
    "a made-up one": f"Bearer {'a' * 43}",
    "one that is too short": "Bearer abc",
    "a very long one": f"Bearer {'a' * 5000}",
    "a JSON web token": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0MSJ9.",
    "a password": "Basic dDE6bW90IGRlIHBhc3Nl",
    "another scheme": "Digest username=t1",
    "two blanks": "Bearer  TOKEN",
    "a word behind": "Bearer TOKEN x",
    "quotes": 'Bearer "TOKEN"',
    "letters outside ASCII": "Bearer é",
}


@pytest.mark.attack(14)
@pytest.mark.parametrize("header", TOKENS.values(), ids=TOKENS)
def test_a_token_that_is_not_ours_opens_nothing(gateway, session, unasked, header):
    header = header.replace("TOKEN", session["Authorization"].removeprefix("Bearer "))
    answer = raw(gateway, f"GET {DOSSIER} HTTP/1.1", f"Host: {gateway.host}", f"Authorization: {header}")
    is_problem(answer, 401, "GW102")


@pytest.mark.attack(9)
def test_two_proofs_that_disagree_open_nothing(gateway, session, unasked):
    first, second = session, gateway.log_in("t2")
    host = f"Host: {gateway.host}"
    refused = {
        "GW104": [
            (bearer(first), f"Cookie: {cookie(second)}"),
            (bearer(second), f"Cookie: {cookie(first)}"),
            (bearer(first), "Cookie: cafpro=x"),
            (f"Cookie: {cookie(first)}; {cookie(second)}",),
            (f"Cookie: {cookie(first)}; {cookie(first)}",),
        ],
        "GW102": [
            (bearer(first), bearer(second)),
            (bearer(first), bearer(first)),
            (bearer(first), "Authorization: Basic x"),
            (f"Cookie: {cookie(first)}", f"Cookie: {cookie(second)}"),
        ],
    }
    for code, requests in refused.items():
        for lines in requests:
            is_problem(raw(gateway, f"GET {DOSSIER} HTTP/1.1", host, *lines), 401, code)


def test_cookie_and_bearer_that_agree_are_one_session(gateway, session):
    answer = gateway.ask(DOSSIER, {**session, "Cookie": f"langue=fr; {cookie(session)}"})
    assert answer.status == 200


IDENTITIES = [
    *("X-Profil: T1", "X-Profile: T1", "X_Profil: T1", "X-Agent: t1", "X-Remote-User: t1", "Remote-User: t1"),
    *("X-Forwarded-User: t1", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: ailleurs.example", "X_Forwarded_For: x"),
    *("X-Forwarded-Proto: https", "X-Forwarded-Prefix: /x", "Forwarded: for=10.0.0.1;host=ailleurs.example"),
    *("X-Real-IP: 10.0.0.1", "X-Original-URL: /dossiers/9990002", "X-Rewrite-URL: /dossiers/9990002"),
    *("X-Original-URI: /dossiers/9990002", "Script-Name: /x", "SCRIPT_NAME: /x", "Path_Info: /dossiers/9990002"),
    *(
        "X-Request-Id: choisi",
        "X-Policy: choisie",
        "X-CSRF-Token: x",
        "Via: 1.1 x",
        "Traceparent: 00-x",
        "TE: trailers",
    ),
    *("Range: bytes=0-10", "If-None-Match: *", "If-Modified-Since: Fri, 01 Jun 2012 08:00:00 GMT", "Expect: x"),
    *("Accept: text/html", "Accept-Encoding: gzip, br", "User-Agent: curl/8", "Referer: http://x/", "Origin: http://x"),
    *("Connection: X-Request-Id", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic x", "Upgrade: h2c"),
    *("Keep-Alive: timeout=5", "Cookie: langue=fr", "X-HTTP-Method-Override: DELETE", "Accept-Language: fr, en;q=0.5"),
]


@pytest.mark.attack(7)
@pytest.mark.attack(8)
def test_what_a_client_says_of_itself_is_neither_believed_nor_passed_on(gateway, session, backend):
    """An agent of profile T2 says in every way that it is T1."""
    mine = gateway.log_in("t2")
    answer = raw(gateway, f"GET {DOSSIER} HTTP/1.1", f"Host: {gateway.host}", bearer(mine), *IDENTITIES)
    assert (answer.status, answer.body) == (200, kept_dossier(dossier_text("9990001") or b"", OPEN["T2"]))
    method, path, headers = backend.asked[-1]
    assert (method, path) == ("GET", DOSSIER)
    assert sorted(headers) == sorted(
        [
            ("Host", backend.url.removeprefix("http://")),
            ("User-Agent", "cafpro-gateway"),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("Accept-Language", "fr, en;q=0.5"),
            ("X-Request-Id", answer.one("X-Request-Id")),
        ]
    )
    row = gateway.recorded(answer)
    assert (row["agent"], row["profile"], row["address"]) == ("t2", "T2", "127.0.0.1")


@pytest.mark.attack(7)
@pytest.mark.parametrize(
    "language", ["fr\tX: y", "é", "x" * 101, "fr\x7f", 'fr"', "fr\\"], ids=["tab", "accent", "long", "del", "'", "\\"]
)
def test_a_language_that_is_not_one_is_not_passed_on(gateway, session, backend, language):
    answer = raw(
        gateway, f"GET {DOSSIER} HTTP/1.1", f"Host: {gateway.host}", bearer(session), f"Accept-Language: {language}"
    )
    if answer.status == 400:
        return  # the server's own refusal
    assert answer.status == 200
    assert "Accept-Language" not in dict(backend.asked[-1][2])


@pytest.mark.attack(7)
def test_each_request_has_an_id_of_its_own(gateway, session):
    ids = {gateway.ask(DOSSIER, {**session, "X-Request-Id": "choisi"}).one("X-Request-Id") for _ in range(5)}
    assert len(ids) == 5
    assert "choisi" not in ids


def test_a_log_in_that_is_not_json_is_a_415(gateway):
    body = json.dumps({"identifier": "t1", "password": PASSWORD}).encode()
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": FORM}, {"Content-Type": "application/jsonx"}):
        is_problem(gateway.ask("/-/session", headers, method="POST", body=body), 415, "GW206")


LOG_INS = {
    "not JSON": b"identifier=t1",
    "nothing": b"",
    "a list": b"[]",
    "a text": b'"t1"',
    "null": b"null",
    "an unknown key": b'{"identifier":"t1","password":"PASSWORD","admin":true}',
    "no password": b'{"identifier":"t1"}',
    "a password of another type": b'{"identifier":"t1","password":12}',
    "an identifier of another type": b'{"identifier":["t1"],"password":"PASSWORD"}',
    "a profile of another type": b'{"identifier":"t1","password":"PASSWORD","profile":["T1"]}',
    "two documents": b'{"identifier":"t1","password":"PASSWORD"}{}',
    "half a character": rb'{"identifier":"t1","password":"\ud800"}',
    "not UTF-8": b'{"identifier":"t1","password":"\xff"}',
    "a byte-order mark": b'\xef\xbb\xbf{"identifier":"t1","password":"PASSWORD"}',
    "nested too deep": b'{"identifier":' + b"[" * 2000 + b"]" * 2000 + b"}",
}


@pytest.mark.parametrize("body", LOG_INS.values(), ids=LOG_INS)
def test_a_log_in_that_is_not_understood_is_a_400(gateway, body):
    answer = gateway.ask("/-/session", JSON, method="POST", body=body.replace(b"PASSWORD", PASSWORD.encode()))
    is_problem(answer, 400, "GW201")
    assert answer.all("Set-Cookie") == []
    row = gateway.recorded(answer)
    assert (row["act"], row["agent"], row["code"]) == ("log_in", "", "GW201")
    assert PASSWORD not in json.dumps(row)


@pytest.mark.attack(13)
@pytest.mark.parametrize("size", [4097, 65_537, 1_000_000, 10_000_000_000], ids=lambda size: f"{size} bytes announced")
def test_a_log_in_that_is_too_large_is_a_413(gateway, size):
    lines = (f"Host: {gateway.host}", "Content-Type: application/json", f"Content-Length: {size}")
    answer = raw(gateway, "POST /-/session HTTP/1.1", *lines, body=b"{" + b" " * (min(size, 1_000_000) - 1))
    is_problem(answer, 413, "GW205")


@pytest.mark.attack(13)
@pytest.mark.parametrize("size", [4097, 200_000], ids=lambda size: f"{size} bytes sent")
def test_a_log_in_in_chunks_is_bounded_too(gateway, size):
    lines = (f"Host: {gateway.host}", "Content-Type: application/json", "Transfer-Encoding: chunked")
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b" " * size)
    is_problem(raw(gateway, "POST /-/session HTTP/1.1", *lines, body=body), 413, "GW205")


def test_a_log_in_in_chunks_is_a_log_in(gateway):
    whole = json.dumps({"identifier": "t1", "password": PASSWORD}).encode()
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (whole[:9], whole[9:])) + b"0\r\n\r\n"
    lines = (f"Host: {gateway.host}", "Content-Type: application/json; charset=utf-8", "Transfer-Encoding: chunked")
    assert raw(gateway, "POST /-/session HTTP/1.1", *lines, body=body).status == 201


@pytest.mark.attack(13)
def test_two_lengths_or_a_length_beside_chunks_never_reach_the_application(gateway):
    before = len(gateway.record_rows())
    for lines in (
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 2"),
        ("Content-Length: -1",),
        ("Content-Length: 2x",),
        ("Transfer-Encoding: xchunked",),
    ):
        answer = raw(gateway, "POST /-/session HTTP/1.1", f"Host: {gateway.host}", *lines, body=b"{}")
        assert (answer.status, answer.body) == (400, b""), lines
    assert len(gateway.record_rows()) == before


SERIAL = count(1)
STRANGERS = {
    "a wrong password": ("known", "Une-phrase-de-passe-2013"),
    "an unknown identifier": ("nobody", PASSWORD),
    "capitals": ("T1", PASSWORD),
    "a blank behind": ("t1 ", PASSWORD),
    "no identifier": ("", PASSWORD),
    "no password": ("known", ""),
    "a null": ("t1\x00", PASSWORD),
    "a query": ("' OR 1=1 --", PASSWORD),
    "a very long identifier": ("a" * 3000, PASSWORD),
    "a very long password": ("known", "a" * 3000),
    "a suspended account": ("suspended", PASSWORD),
}


@pytest.mark.parametrize(("identifier", "password"), STRANGERS.values(), ids=STRANGERS)
def test_a_log_in_that_fails_is_answered_alike_whatever_is_wrong(gateway, identifier, password):
    # Of its own each time: whoever fails often waits.
    stranger = f"{identifier}-{next(SERIAL)}" if identifier in ("known", "suspended") else identifier
    if stranger != identifier:
        gateway.enter(stranger, "T1")
    if identifier == "suspended":
        gateway.cafpro("account", "suspend", stranger)
    answer = gateway.sign_in(stranger, password=password)
    is_problem(answer, 401, "GW103")
    assert answer.lasting() == gateway.sign_in(f"nobody-{next(SERIAL)}").lasting()
    row = gateway.recorded(answer)
    assert (row["act"], row["code"]) == ("log_in", "GW103")
    assert row["agent"] == (stranger if stranger != identifier else "")


@pytest.mark.attack(16)
def test_a_log_in_from_another_site_is_refused(gateway):
    body = json.dumps({"identifier": "t1", "password": PASSWORD}).encode()
    for origin in ("https://ailleurs.example", "null", gateway.url + ".ailleurs.example", gateway.url.upper()):
        answer = gateway.ask("/-/session", {**JSON, "Origin": origin}, method="POST", body=body)
        is_problem(answer, 403, "GW111")
    assert gateway.ask("/-/session", {**JSON, "Origin": gateway.url}, method="POST", body=body).status == 201


@pytest.mark.attack(16)
def test_the_cookie_of_a_log_in_is_kept_from_scripts_and_other_sites(gateway):
    opened = gateway.sign_in("t1")
    pair, *flags = opened.one("Set-Cookie").split("; ")
    assert pair == f"cafpro={opened.json()['token']}"
    assert flags[0] == "Path=/"
    assert 0 < int(flags[1].removeprefix("Max-Age=")) <= 10 * 3600
    assert flags[2:] == ["HttpOnly", "SameSite=Strict"]


@pytest.mark.attack(16)
def test_a_browsers_log_out_needs_our_origin_and_its_token(gateway):
    opened = gateway.sign_in("t1")
    kept = {"Cookie": opened.one("Set-Cookie").partition(";")[0]}
    token = opened.json()["csrf_token"]
    assert gateway.ask("/-/session", kept).json()["csrf_token"] == token
    other = gateway.sign_in("t1").json()["csrf_token"]
    for missing in (
        {},
        {"Origin": gateway.url},
        {"X-CSRF-Token": token},
        {"Origin": "https://ailleurs.example", "X-CSRF-Token": token},
        {"Origin": "null", "X-CSRF-Token": token},
        {"Origin": gateway.url, "X-CSRF-Token": other},
        {"Origin": gateway.url, "X-CSRF-Token": ""},
        {"Origin": gateway.url, "X_CSRF_Token": token},
        {"Referer": f"{gateway.url}/", "X-CSRF-Token": token},
    ):
        is_problem(gateway.ask("/-/session", {**kept, **missing}, method="DELETE"), 403, "GW111")
        assert gateway.ask(DOSSIER, kept).status == 200
    ended = gateway.ask("/-/session", {**kept, "Origin": gateway.url, "X-CSRF-Token": token}, method="DELETE")
    assert (ended.status, ended.body, ended.all("Content-Type")) == (204, b"", [])
    assert ended.one("Set-Cookie").startswith("cafpro=; Path=/; Max-Age=0; ")
    is_problem(gateway.ask(DOSSIER, kept), 401, "GW102")


@pytest.mark.attack(16)
def test_a_session_is_worth_nothing_after_its_log_out(gateway):
    mine, another = gateway.log_in("t1"), gateway.log_in("t1")
    assert mine != another
    assert gateway.ask("/-/session", mine, method="DELETE").status == 204
    for method, path in (("GET", DOSSIER), ("GET", "/-/session"), ("DELETE", "/-/session")):
        is_problem(gateway.ask(path, mine, method=method), 401, "GW102")
    is_problem(gateway.ask(DOSSIER, {"Cookie": cookie(mine)}), 401, "GW102")
    assert gateway.ask(DOSSIER, another).status == 200


@pytest.mark.attack(16)
def test_a_session_cannot_be_chosen_by_the_client(gateway):
    chosen = "a" * 43
    body = json.dumps({"identifier": "t1", "password": PASSWORD}).encode()
    headers = {**JSON, "Cookie": f"cafpro={chosen}", "Authorization": f"Bearer {chosen}"}
    opened = gateway.ask("/-/session", headers, method="POST", body=body)
    assert opened.status == 201
    assert opened.json()["token"] != chosen
    is_problem(gateway.ask(DOSSIER, {"Cookie": f"cafpro={chosen}"}), 401, "GW102")


def test_a_token_in_the_query_is_refused_even_beside_a_good_one(gateway, session, unasked):
    token = session["Authorization"].removeprefix("Bearer ")
    for name in ("access_token", "token", "authorization"):
        answer = gateway.ask(f"{DOSSIER}?{name}={token}", session)
        is_problem(answer, 400, "GW202")
        assert token not in json.dumps(gateway.recorded(answer)) + gateway.log()


def test_the_cafs_staff_without_a_profile_opens_no_dossier(gateway, unasked):
    session = gateway.log_in("caf")
    shown = gateway.ask("/-/session", session).json()
    assert (shown["profile"], shown["profiles"], shown["rubrics"]) == (None, [], [])
    is_problem(gateway.ask(DOSSIER, session), 403, "GW301")


@pytest.mark.attack(30)
@pytest.mark.attack(11)
def test_health_tells_nothing_about_anyone_and_is_not_recorded(gateway):
    before = len(gateway.record_rows())
    live, ready = gateway.ask("/-/health/live"), gateway.ask("/-/health/ready")
    assert (live.status, live.json()) == (200, {"status": "live"})
    assert ready.status == 200
    assert ready.json() == {"status": "ready"}
    assert len(gateway.record_rows()) == before


@pytest.mark.attack(13)
def test_a_head_that_is_too_large_is_refused_by_the_server(gateway, session):
    for line in (f"X-Long: {'a' * 40_000}", *["\r\n".join(f"X-{n}: y" for n in range(200))]):
        answer = raw(gateway, f"GET {DOSSIER} HTTP/1.1", f"Host: {gateway.host}", bearer(session), line)
        assert (answer.status, answer.body) == (431, b"")


@pytest.mark.attack(13)
def test_requests_sent_all_at_once_are_answered_once_each_or_not_at_all(gateway, session):
    """What stands behind a refused body is never taken for a request: no smuggling."""
    inner = f"GET /dossiers/9990002 HTTP/1.1\r\nHost: {gateway.host}\r\n{bearer(session)}\r\n\r\n"
    outer = (
        f"POST {DOSSIER} HTTP/1.1\r\nHost: {gateway.host}\r\n{bearer(session)}\r\nContent-Length: {len(inner)}\r\n\r\n"
    )
    before = len(gateway.record_rows())
    is_problem(exchange(gateway.url, (outer + inner).encode()), 405, "GW204")
    assert len(gateway.record_rows()) == before + 1


def test_neither_log_nor_record_repeats_what_a_client_wrote(gateway, session):
    evil = "\\u001b[31m%1B%5B31m%0d%0aINJECTED"
    for path in (f"/dossiers/{evil}", f"/{evil}", f"{DOSSIER}?{evil}=1"):
        raw(gateway, f"GET {path} HTTP/1.1", f"Host: {gateway.host}", bearer(session), f"User-Agent: {evil}")
    with pytest.raises(AssertionError):
        gateway.log_in("INJECTED")
    assert "INJECTED" not in gateway.log() + json.dumps(gateway.record_rows())


def test_no_answer_names_what_is_inside(gateway, session):
    for answer in (gateway.ask(DOSSIER, session), gateway.ask("/nothing"), gateway.ask("/-/health/live")):
        text = answer.text().lower()
        for word in ("werkzeug", "flask", "python", "server:", "x-powered-by", "via:", "etag", "last-modified"):
            assert word not in text


def test_a_connection_is_kept_for_the_next_request(gateway, session):
    connection = http.client.HTTPConnection(gateway.host, timeout=10)
    try:
        connection.connect()
        used = connection.sock
        for path, status in ((DOSSIER, 200), ("/nothing", 404), ("/dossiers/abc", 422), (DOSSIER, 200)):
            connection.request("GET", path, headers=session)
            with connection.getresponse() as answer:
                assert answer.status == status
                answer.read()
            assert connection.sock is used
    finally:
        connection.close()


@pytest.mark.parametrize("asked", ["close", "Close", "close, te"])
def test_a_client_that_asks_for_it_has_its_connection_closed_behind_the_answer(gateway, asked):
    with connect(gateway.url, timeout=5) as connection:
        connection.sendall(f"GET /-/health/live HTTP/1.1\r\nHost: x\r\nConnection: {asked}\r\n\r\n".encode())
        answer = read_answer(connection)
        assert (answer.status, answer.all("Connection")) == (200, ["close"])
        assert connection.recv(1) == b""
