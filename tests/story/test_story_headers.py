"""What every answer carries, of every address and from whoever gives it, over TLS of the gateway's own and in clear."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator

import pytest

from tests.story.running import PASSWORD, Answer, Gateway, certify, connect, read_answer

TOKEN = "moissonneuse-0123456789-0123456789"
EVERYWHERE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HSTS = "max-age=31536000"
NEVER = ("Server", "X-Powered-By", "Via", "ETag", "Last-Modified", "Expires", "Set-Cookie2", "X-Frame-Options")
FOREIGN = "https://elsewhere.example"


def begun(gateway: Gateway, session: dict[str, str], asked: str, *lines: str, body: str = "") -> bytes:
    """The bytes of a request; `SESSION` among its lines stands for a session's header."""
    own = [f"Authorization: {session['Authorization']}" if line == "SESSION" else line for line in lines]
    return "\r\n".join([f"{asked} HTTP/1.1", f"Host: {gateway.host}", *own, "", body]).encode()


JSON = "Content-Type: application/json"

BY_THE_APPLICATION = {
    "a dossier": (200, "GET /dossiers/9990001", ["SESSION"]),
    "the head of a dossier": (200, "HEAD /dossiers/9990001", ["SESSION"]),
    "a rubric": (200, "GET /dossiers/9990001/rubriques/adresse", ["SESSION"]),
    "a document": (200, "GET /dossiers/9990001/courriers/co-9990001-0.pdf", ["SESSION"]),
    "nobody": (401, "GET /dossiers/9990001", []),
    "not open": (403, "GET /dossiers/9990001/rubriques/enfants", ["SESSION"]),
    "no such dossier": (404, "GET /dossiers/0000000", ["SESSION"]),
    "no such address": (404, "GET /nowhere", ["SESSION"]),
    "another method": (405, "DELETE /dossiers/9990001", ["SESSION"]),
    "a body": (413, "GET /dossiers/9990001", ["SESSION", "Content-Length: 3"]),
    "no number": (422, "GET /dossiers/abc", ["SESSION"]),
    "a parameter": (400, "GET /dossiers/9990001?a=b", ["SESSION"]),
    "who am I": (200, "GET /-/session", ["SESSION"]),
    "no log-in": (400, "POST /-/session", [JSON, "Content-Length: 2"]),
    "a log-in of another type": (415, "POST /-/session", ["Content-Type: text/plain", "Content-Length: 2"]),
    "a log-in from elsewhere": (403, "POST /-/session", [JSON, "Content-Length: 2", f"Origin: {FOREIGN}"]),
    "another method at our own": (405, "PUT /-/session", ["SESSION"]),
    "no such address of our own": (404, "GET /-/nowhere", []),
    "alive": (200, "GET /-/health/live", []),
    "ready": (200, "GET /-/health/ready", []),
    "numbers": (200, "GET /-/metrics", [f"Authorization: Bearer {TOKEN}"]),
    "numbers for nobody": (401, "GET /-/metrics", []),
    "the description": (200, "GET /-/openapi.json", []),
}

BY_THE_SERVER = {
    "not HTTP": (400, b"nonsense\r\n\r\n"),
    "two lengths": (400, b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    "too many headers": (431, b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n"),
    "a large head": (431, b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 40_000 + b"\r\n\r\n"),
    "another version": (505, b"GET / HTTP/2.0\r\nHost: h\r\n\r\n"),
}


@pytest.fixture(scope="module", params=["https", "http"])
def gateway(request, stub_url, tmp_path_factory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("headers")
    (folder / "scrape.token").write_text(TOKEN)
    (folder / "scrape.token").chmod(0o600)
    running = Gateway(
        folder / "gateway",
        upstream=stub_url,
        settings={"metrics.token_file": str(folder / "scrape.token")},
        policies=None,
        certificate=certify(folder, "gateway") if request.param == "https" else None,
    )
    try:
        running.enter("t1", "T1")
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def session(gateway) -> dict[str, str]:
    return gateway.log_in("t1")


def exchange(gateway: Gateway, request: bytes) -> Answer:
    """The answer to exactly these bytes, over TLS where the gateway speaks it."""
    with connect(gateway.url) as plain, contextlib.ExitStack() as stack:
        line: socket.socket = plain
        if gateway._trusting:
            line = stack.enter_context(gateway._trusting.wrap_socket(plain, server_hostname="127.0.0.1"))
        line.sendall(request)
        return read_answer(line, method=request.split(b" ")[0].decode())


def is_closed_to_other_sites(answer: Answer) -> None:
    assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]
    assert "elsewhere" not in answer.text()


@pytest.mark.parametrize(("status", "asked", "lines"), BY_THE_APPLICATION.values(), ids=BY_THE_APPLICATION)
def test_every_answer_of_the_application_carries_them_once(gateway, session, status, asked, lines):
    answer = exchange(gateway, begun(gateway, session, asked, *lines, body="{}" if asked.startswith("POST") else ""))
    assert answer.status == status
    assert {name: answer.all(name) for name in EVERYWHERE} == {name: [value] for name, value in EVERYWHERE.items()}
    assert answer.all("Strict-Transport-Security") == ([HSTS] if gateway.url.startswith("https") else [])
    for name in NEVER:
        assert answer.all(name) == [], name
    names = [name.lower() for name, _ in answer.headers]
    assert len(names) == len(set(names))
    is_closed_to_other_sites(answer)


@pytest.mark.parametrize(("status", "request_"), BY_THE_SERVER.values(), ids=BY_THE_SERVER)
def test_what_the_server_itself_refuses_is_kept_by_nobody_and_has_nothing_in_it(gateway, status, request_):
    answer = exchange(gateway, request_)
    assert answer.status == status
    assert answer.body == b""
    assert {name for name, _ in answer.headers} == {"Date", "Cache-Control", "Content-Length", "Connection"}
    assert answer.one("Cache-Control") == "no-store"


ADDRESSES = ["/dossiers/9990001", "/-/session", "/-/health/ready", "/-/metrics", "/-/openapi.json", "/nowhere"]


@pytest.mark.attack(16)
@pytest.mark.parametrize("origin", [FOREIGN, "null"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_no_other_site_is_told_that_it_may_read_or_ask(gateway, session, address, origin):
    preflight = exchange(
        gateway,
        begun(
            gateway,
            session,
            f"OPTIONS {address}",
            f"Origin: {origin}",
            "Access-Control-Request-Method: DELETE",
            "Access-Control-Request-Headers: authorization",
            "Access-Control-Request-Private-Network: true",
        ),
    )
    assert preflight.status in (401, 404, 405)
    is_closed_to_other_sites(preflight)
    simple = exchange(gateway, begun(gateway, session, f"GET {address}", f"Origin: {origin}", "SESSION"))
    is_closed_to_other_sites(simple)


def cookie(answer: Answer) -> tuple[str, str, set[str]]:
    """Its name, its value and its attributes."""
    pair, *attributes = answer.one("Set-Cookie").split("; ")
    name, _, value = pair.partition("=")
    return name, value, set(attributes)


@pytest.mark.attack(16)
def test_the_cookie_is_the_hosts_alone_and_for_no_script_and_no_other_site(gateway):
    opened = gateway.sign_in("t1")
    name, value, attributes = cookie(opened)
    assert value == opened.json()["token"]
    [age] = [attribute for attribute in attributes if attribute.startswith("Max-Age=")]
    assert 0 < int(age.partition("=")[2]) <= 10 * 3600
    flags = {"Path=/", "HttpOnly", "SameSite=Strict"}
    if gateway.url.startswith("https"):
        assert name == "__Host-cafpro"
        assert attributes - {age} == {*flags, "Secure"}
    else:
        assert name == "cafpro"
        assert attributes - {age} == flags
    sent = {"Cookie": f"{name}={value}"}
    assert gateway.ask("/dossiers/9990001", sent).status == 200
    change = {**sent, "Origin": gateway.url, "X-CSRF-Token": opened.json()["csrf_token"]}
    ended = gateway.ask("/-/session", change, method="DELETE")
    assert ended.status == 204
    assert cookie(ended) == (name, "", {*(attributes - {age}), "Max-Age=0"})
    assert gateway.ask("/dossiers/9990001", sent).status == 401


def test_only_a_log_in_and_a_log_out_set_a_cookie(gateway, session):
    for _, asked, lines in BY_THE_APPLICATION.values():
        body = "{}" if asked.startswith("POST") else ""
        assert exchange(gateway, begun(gateway, session, asked, *lines, body=body)).all("Set-Cookie") == []


def test_what_was_asked_in_clear_where_tls_is_spoken_is_not_answered(gateway):
    if not gateway._trusting:
        assert gateway.ask("/-/health/live").status == 200
        return
    with connect(gateway.url) as plain:
        plain.sendall(f"GET /-/health/live HTTP/1.1\r\nHost: {gateway.host}\r\n\r\n".encode())
        with pytest.raises((http.client.HTTPException, OSError)):
            read_answer(plain)


def test_no_password_and_no_token_is_in_the_log(gateway, session):
    for secret in (PASSWORD, session["Authorization"].split()[1], TOKEN):
        assert secret not in gateway.log()
