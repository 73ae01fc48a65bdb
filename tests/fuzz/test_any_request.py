"""Any address, headers and body, over a raw socket: nothing leaks, nothing fails, nothing leaves without its row."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from tests.story.brochure import OPEN, SLUGS, bank_and_national_numbers, told
from tests.story.running import Answer, Gateway, connect, read_answer

EXAMPLES = int(os.environ.get("REQUEST_EXAMPLES", "250"))
PROFILE = "T2"
TOKEN = b"(the token)"
"""Stands for the session's token in the requests that are drawn."""
BY_THE_APPLICATION = {200, 204, 400, 401, 403, 404, 405, 408, 413, 415, 422}
BY_THE_SERVER = {400, 413, 431, 505}

ODD_METHODS = (
    *(b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"get", b"GE T", b"PROPFIND"),
)
METHODS = st.sampled_from((b"GET",) * 20 + ODD_METHODS)
PIECES = (
    *(b"/dossiers/9990001", b"/dossiers", b"/9990001", b"/9990008", b"/rubriques", b"/courriers/co-9990001-0.pdf"),
    *(b"/-/session", b"/-/health/ready", b"/-/health/live", b"/-/openapi.json", b"/-/", b"/etat", b"/static/x"),
    *(b"/..", b"/.", b"//", b"%2e%2e", b"%2F", b"%5C", b"\\", b"%00", b"%0d%0a", b";x=1", b"#", b"%23", b"?", b"?x=1"),
    *(b"%", b"%4", b"%C3%A9", b"\xc3\xa9", b"\xff", b"%ff", b"\xd9\xa1", b"%D9%A1", b"*", b"http://127.0.0.1"),
    *(b"/" + slug.encode() for slug in SLUGS),
)
PATHS = st.one_of(
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), min_size=1, max_size=5).map(b"".join),
    st.sampled_from([b"/dossiers/9990001", *(b"/dossiers/9990001/rubriques/" + slug.encode() for slug in SLUGS)]),
)
OWN = (b"Authorization", b"Cookie", b"Origin", b"X-CSRF-Token", b"Content-Type", b"Accept-Language")
FOREIGN = (
    *(b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Forwarded-User", b"Forwarded", b"X-Original-URL", b"X-Rewrite-URL"),
    *(b"X-Profil", b"X_Profil", b"X-Http-Method-Override", b"Range", b"If-None-Match", b"Accept-Encoding", b"Accept"),
    *(b"Content-Encoding", b"If-Modified-Since", b"User-Agent", b"Via"),
)
FRAMING = (b"Connection", b"Upgrade", b"Expect", b"Content-Length", b"Transfer-Encoding", b"TE", b"Host")
VALUES = (
    *(b"Bearer " + TOKEN, b"bearer " + TOKEN, b"cafpro=" + TOKEN, b"cafpro=a; cafpro=b", b"Basic dDE6dDE=", b"", b"T1"),
    *(b"T9", b"admin", b"/dossiers/9990001", b"bytes=0-10", b"*", b"close", b"Authorization", b"0", b"5", b"chunked"),
    *(b"gzip", b"100-continue", b"h2c", b"127.0.0.1", b"null", b"application/json", b"fr", b"\xff", b"a, b"),
)
SELDOM = st.sampled_from((0,) * 5 + (1,))


@st.composite
def some_headers(draw) -> list[tuple[bytes, bytes]]:
    """Mostly such as HTTP allows: what it does not is refused at once, and nothing else is tried then."""
    known = st.tuples(st.sampled_from(OWN + FOREIGN), st.sampled_from(VALUES))
    headers = draw(st.lists(known, max_size=4))
    if draw(SELDOM):
        headers.append((draw(st.sampled_from(FRAMING)), draw(st.sampled_from(VALUES))))
    if draw(SELDOM):
        headers.append((draw(st.binary(max_size=8)), draw(st.binary(max_size=12))))
    return headers


BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=8),
    st.just(b'{"identifier":"t2","password":"x"}'),
    st.just(b"5\r\nabcde\r\n0\r\n\r\n"),
)


@pytest.fixture(scope="module")
def attacked(start_gateway, stub_url) -> Gateway:
    """A gateway whose record holds nothing but what is asked here."""
    gateway = start_gateway(stub_url, server__workers=2, server__body_seconds=2)
    gateway.enter("t2", PROFILE)
    return gateway


class Attacker:
    """Holds a session, and takes a fresh one when a request has ended it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.token = b""

    def renew(self) -> None:
        self.token = self.gateway.log_in("t2")["Authorization"].removeprefix("Bearer ").encode()

    def send(self, request: bytes, *, method: bytes) -> Answer | None:
        """The answer to these bytes; None where the server waits for more of them, and there is none."""
        with connect(self.gateway.url) as connection:
            connection.sendall(request.replace(TOKEN, self.token))
            connection.shutdown(socket.SHUT_WR)
            if not connection.recv(1, socket.MSG_PEEK):
                return None
            answer = read_answer(connection, method=method.decode("latin-1"))
            # 100 Continue comes before the answer; http.client has skipped it. What follows the answer is nothing.
            assert connection.recv(1) == b""
            return answer


@pytest.fixture(scope="module")
def attacker(attacked) -> Attacker:
    attacker = Attacker(attacked)
    attacker.renew()
    return attacker


def rows_since(gateway: Gateway, last: int) -> list[sqlite3.Row]:
    with contextlib.closing(sqlite3.connect(f"file:{gateway.record_file}?mode=ro", uri=True)) as record:
        record.row_factory = sqlite3.Row
        return list(record.execute("SELECT * FROM record WHERE id > ? ORDER BY id", [last]))


LINE = b" HTTP/1.1\r\n"
HOST = (b"Host", b"(the host)")
SIGNED = (b"Authorization", b"Bearer " + TOKEN)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=METHODS,
    path=PATHS,
    headers=some_headers(),
    body=BODIES,
    signed=st.sampled_from((True, True, False)),
    hosted=st.sampled_from((1,) * 8 + (0, 2)),
)
@example(method=b"GET", path=b"/dossiers/9990001", headers=[], body=b"", signed=True, hosted=1)
@example(method=b"HEAD", path=b"/dossiers/9990001/rubriques/rsa", headers=[], body=b"", signed=True, hosted=1)
@example(method=b"DELETE", path=b"/-/session", headers=[], body=b"", signed=True, hosted=1)
@example(method=b"GET", path=b"/dossiers/9990001", headers=[(b"a", b"b")] * 101, body=b"", signed=True, hosted=1)
@example(method=b"GET", path=b"/dossiers/9990001", headers=[(b"X-Profil", b"T1")], body=b"", signed=False, hosted=1)
def test_any_request_is_answered_within_what_is_open_and_recorded(
    attacker, method, path, headers, body, signed, hosted
):
    gateway = attacker.gateway
    lines = [HOST] * hosted + [SIGNED] * signed + headers
    written = b"".join(name + b": " + value + b"\r\n" for name, value in lines)
    request = (method + b" " + path + LINE + written + b"\r\n" + body).replace(HOST[1], gateway.host.encode())
    last = max((row["id"] for row in rows_since(gateway, 0)[-1:]), default=0)
    answer = attacker.send(request, method=method)
    rows = rows_since(gateway, last)
    event(str(answer and answer.status))
    if answer is None:
        assert rows == [], "an answer was lost"
        return
    if answer.status == 204:
        attacker.renew()
    text = answer.text()
    assert told(text) <= OPEN[PROFILE]
    assert bank_and_national_numbers(text) == []
    assert answer.one("Cache-Control") == "no-store"
    unrecorded = answer.status == 200 and path.startswith((b"/-/health", b"/-/openapi"))
    named = answer.all("X-Request-Id")
    if named:
        assert answer.status in BY_THE_APPLICATION, answer
        assert [(row["request_id"], row["status"]) for row in rows] == [(named[0], answer.status)]
        assert set(rows[0]["rubrics"].strip('[]"').split('","')) - {""} <= OPEN[PROFILE]
    else:
        assert unrecorded or (answer.status in BY_THE_SERVER and answer.body == b""), answer
        assert rows == []
