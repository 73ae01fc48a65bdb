"""What comes in: one reading of each request, or a refusal. Raw sockets, since a client library would tidy it."""

import socket
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.server import connection as server
from gateway.server.connection import Connection, Malformed, Patience
from tests.server.talking import until

HOST = b"Host: cafpro.example\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED = {
    "length and chunks": (400, b"POST /body HTTP/1.1\r\nContent-Length: 3\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    "chunks and length": (400, b"POST /body HTTP/1.1\r\n" + CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n"),
    "two lengths that differ": (400, b"POST /body HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    "the same length twice": (400, b"POST /body HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    "a list of lengths": (400, b"POST /body HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc"),
    "a length with a sign": (400, b"POST /body HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc"),
    "a length below zero": (400, b"POST /body HTTP/1.1\r\nContent-Length: -3\r\n\r\nabc"),
    "a length in hexadecimal": (400, b"POST /body HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc"),
    "an empty length": (400, b"POST /body HTTP/1.1\r\nContent-Length:\r\n\r\nabc"),
    "a length beyond 64 bits": (400, b"POST /body HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nabc"),
    "a coding that is not chunked": (400, b"POST /body HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc"),
    "a coding before chunked": (400, b"POST /body HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "a coding after chunked": (400, b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "two codings": (400, b"POST /body HTTP/1.1\r\nTransfer-Encoding: identity\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    "a decorated coding": (400, b"POST /body HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "chunks in HTTP/1.0": (400, b"POST /body HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    "a chunk size that is not one": (400, b"POST /body HTTP/1.1\r\n" + CHUNKED + b"\r\nzz\r\n"),
    "a chunk size below zero": (400, b"POST /body HTTP/1.1\r\n" + CHUNKED + b"\r\n-1\r\n"),
    "a chunk size with a space": (400, b"POST /body HTTP/1.1\r\n" + CHUNKED + b"\r\n1 \r\na\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": (400, b"POST /body HTTP/1.1\r\n" + CHUNKED + b"\r\nfffffffffffffffff\r\n"),
    "a chunk longer than its size": (400, b"POST /body HTTP/1.1\r\n" + CHUNKED + b"\r\n1\r\nab\r\n0\r\n\r\n"),
    "a chunk size ended by LF": (400, b"POST /body HTTP/1.1\r\n" + CHUNKED + b"\r\n1\na\r\n0\r\n\r\n"),
    "a chunk extension with LF": (400, b"POST /body HTTP/1.1\r\n" + CHUNKED + b"\r\n1;a\nb\r\na\r\n0\r\n\r\n"),
    "a folded header": (400, b"GET / HTTP/1.1\r\nX-A: a\r\n b\r\n\r\n"),
    "a header folded by a tab": (400, b"GET / HTTP/1.1\r\nX-A: a\r\n\tb\r\n\r\n"),
    "a space before the first header": (400, b"GET / HTTP/1.1\r\n X-A: a\r\n\r\n"),
    "lines ended by LF": (400, b"GET / HTTP/1.1\nHost: h\n\n"),
    "one line ended by LF": (400, b"GET / HTTP/1.1\r\nHost: h\nX-A: a\r\n\r\n"),
    "CR within a value": (400, b"GET / HTTP/1.1\r\nX-A: a\rX-B: b\r\n\r\n"),
    "CR CR LF": (400, b"GET / HTTP/1.1\r\nX-A: a\r\r\n\r\n"),
    "a space before the colon": (400, b"GET / HTTP/1.1\r\nX-A : a\r\n\r\n"),
    "a tab before the colon": (400, b"GET / HTTP/1.1\r\nX-A\t: a\r\n\r\n"),
    "a length with a space before the colon": (400, b"POST /body HTTP/1.1\r\nContent-Length : 3\r\n\r\nabc"),
    "NUL in a value": (400, b"GET / HTTP/1.1\r\nX-A: a\0b\r\n\r\n"),
    "NUL in a name": (400, b"GET / HTTP/1.1\r\nX\0A: a\r\n\r\n"),
    "a control character in a value": (400, b"GET / HTTP/1.1\r\nX-A: a\x1bb\r\n\r\n"),
    "an accent in a name": (400, b"GET / HTTP/1.1\r\nX-\xe9: a\r\n\r\n"),
    "a header without a name": (400, b"GET / HTTP/1.1\r\n: a\r\n\r\n"),
    "a header without a colon": (400, b"GET / HTTP/1.1\r\nabc\r\n\r\n"),
    "HTTP/0.9 in two lines": (505, b"GET /\r\nHost: h\r\n\r\n"),
    "HTTP/0.9 by name": (505, b"GET / HTTP/0.9\r\n\r\n"),
    "HTTP/2.0 by name": (505, b"GET / HTTP/2.0\r\nHost: h\r\n\r\n"),
    "the preface of HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/1.2": (400, b"GET / HTTP/1.2\r\n\r\n"),
    "lower-case http": (400, b"GET / http/1.1\r\n\r\n"),
    "a lower-case method": (400, b"get / HTTP/1.1\r\nHost: h\r\n\r\n"),
    "an unknown method": (400, b"DUMP / HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a space in the target": (400, b"GET /a b HTTP/1.1\r\n\r\n"),
    "NUL in the target": (400, b"GET /a\0b HTTP/1.1\r\n\r\n"),
    "an accent in the target": (400, b"GET /\xe9 HTTP/1.1\r\n\r\n"),
    "a target without a slash": (400, b"GET dossiers HTTP/1.1\r\n\r\n"),
    "no target": (400, b"GET HTTP/1.1\r\n\r\n"),
    "a long target": (431, b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a long header": (431, b"GET / HTTP/1.1\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n"),
    "a head that never ends": (431, b"GET / HTTP/1.1\r\nX-A: " + b"a" * 40_000),
    "many headers": (431, b"GET / HTTP/1.1\r\n" + b"X-A: a\r\n" * 101 + b"\r\n"),
    "empty lines without an end": (431, b"\r\n" * 20_000),
    "not HTTP": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
}


@pytest.mark.attack(13)
@pytest.mark.parametrize(("status", "request_"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_http_as_we_accept_it_never_reaches_the_application(place, tools, status, request_):
    said = tools.Said(place.exchange(request_))
    assert said.status == status
    assert said["connection"] == ["close"]
    assert said.body == said.rest == b""
    assert place.town.seen == []


def body_of(*headers: bytes, body: bytes) -> bytes:
    return b"POST /body HTTP/1.1\r\n" + HOST + b"".join(headers) + b"\r\n" + body


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
"""As Java's and curl's clients send it in clear."""

UNDERSTOOD = {
    "a plain request": (b"GET /a?b=c HTTP/1.1\r\n" + HOST + b"\r\n", {"PATH_INFO": "/a", "QUERY_STRING": "b=c"}),
    "empty lines before it": (b"\r\n\r\nGET /a HTTP/1.1\r\n" + HOST + b"\r\n", {"PATH_INFO": "/a"}),
    "the absolute form": (b"GET http://elsewhere/a HTTP/1.1\r\n" + HOST + b"\r\n", {"PATH_INFO": "http://elsewhere/a"}),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", {"PATH_INFO": "*", "REQUEST_METHOD": "OPTIONS"}),
    "CONNECT": (b"CONNECT h:443 HTTP/1.1\r\n" + HOST + b"\r\n", {"REQUEST_METHOD": "CONNECT", "PATH_INFO": "h:443"}),
    "TRACE": (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", {"REQUEST_METHOD": "TRACE"}),
    "an upgrade nobody takes": (
        b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        {"PATH_INFO": "/a", "SERVER_PROTOCOL": "HTTP/1.1"},
    ),
    "a body before another protocol, which nobody takes": (
        body_of(OFFER, b"Content-Length: 3\r\n", body=b"abc"),
        {"body": "abc", "CONTENT_LENGTH": "3"},
    ),
    "an encoded path, decoded once": (b"GET /%2e%2e%2F%252e HTTP/1.1\r\n" + HOST + b"\r\n", {"PATH_INFO": "/../%2e"}),
    "a fragment, kept in the path": (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", {"PATH_INFO": "/a#b"}),
    "doubled slashes, kept": (b"GET //a///b HTTP/1.1\r\n" + HOST + b"\r\n", {"PATH_INFO": "//a///b"}),
    "a header with an underscore, dropped": (
        b"GET / HTTP/1.1\r\nX_Profil: T1\r\nX-Profil: T2\r\nX_profil: T3\r\n\r\n",
        {"HTTP_X_PROFIL": "T2"},
    ),
    "a length with an underscore, dropped": (
        b"GET / HTTP/1.1\r\nContent_Length: 3\r\n" + HOST + b"\r\n",
        {"CONTENT_LENGTH": None, "HTTP_CONTENT_LENGTH": None},
    ),
    "a repeated header, joined": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {"HTTP_HOST": "a, b"}),
    "blanks around a value, trimmed": (b"GET / HTTP/1.1\r\nX-A:  \t a b \t\r\n\r\n", {"HTTP_X_A": "a b"}),
    "an empty value, apart from the next": (
        b"GET / HTTP/1.1\r\nX-A:\r\nX-B: \r\nX-C: c\r\n\r\n",
        {"HTTP_X_A": "", "HTTP_X_B": "", "HTTP_X_C": "c"},
    ),
    "a body with a length": (body_of(b"Content-Length: 3\r\n", body=b"abc"), {"body": "abc", "CONTENT_LENGTH": "3"}),
    "a body in chunks": (body_of(CHUNKED, body=b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), {"body": "abc"}),
    "chunked in capitals": (
        body_of(b"Transfer-Encoding: CHUNKED\r\n", body=b"1\r\na\r\n0\r\n\r\n"),
        {"body": "a"},
    ),
    "trailers, dropped": (
        body_of(CHUNKED, body=b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\nHost: y\r\nX-A: b\r\n\r\n"),
        {"body": "a", "HTTP_AUTHORIZATION": None, "HTTP_HOST": "cafpro.example", "HTTP_X_A": None},
    ),
    "a body of no length": (body_of(b"Content-Length: 0\r\n", body=b""), {"body": "", "CONTENT_LENGTH": "0"}),
    "HTTP/1.0": (b"GET /a HTTP/1.0\r\n\r\n", {"SERVER_PROTOCOL": "HTTP/1.0"}),
}


@pytest.mark.attack(8)
@pytest.mark.parametrize(("request_", "expected"), UNDERSTOOD.values(), ids=UNDERSTOOD)
def test_a_request_reaches_the_application_as_it_was_sent(place, tools, request_, expected):
    shown = tools.Said(place.exchange(request_)).shown
    assert {name: shown.get(name) for name in expected} == expected
    assert len(place.town.seen) == 1


@pytest.mark.attack(8)
def test_a_script_name_is_never_the_clients(place, tools):
    shown = tools.Said(place.exchange(tools.get("/a", "Script-Name: /b", "SCRIPT_NAME: /c"))).shown
    assert shown["SCRIPT_NAME"] == ""
    assert shown["PATH_INFO"] == "/a"


SECOND = {
    "another method": b"DELETE /second HTTP/1.1\r\nHost: h\r\n\r\n",
    "HTTP/1.0": b"GET /second HTTP/1.0\r\n\r\n",
    "half of a request": b"POS",
    "not HTTP": b"\0\0\0",
    "headers of its own": b"GET /second HTTP/1.1\r\nX-A: second\r\n\r\n",
}


@pytest.mark.attack(13)
@pytest.mark.parametrize("second", SECOND.values(), ids=SECOND)
@pytest.mark.parametrize("first", ["GET", "HEAD", "POST"])
def test_what_follows_a_request_at_once_changes_nothing_of_it_and_is_not_answered(place, tools, first, second):
    request = tools.post("/body", b"abc") if first == "POST" else tools.get("/a", method=first)
    said = tools.Said(place.exchange(request + second), has_body=first != "HEAD")
    assert said.rest == b""
    assert said["connection"] == ["close"]
    (seen,) = place.town.seen
    assert seen["REQUEST_METHOD"] == first
    assert seen["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert "HTTP_X_A" not in seen


@pytest.mark.attack(13)
def test_a_body_nobody_declared_is_not_waited_for(place, tools):
    with place.connect() as client:
        client.sendall(tools.get("/a", "Content-Length: 100"))
        said = tools.Said(tools.everything(client))
    assert said.shown["CONTENT_LENGTH"] == "100"
    assert said.shown["body"] == ""
    assert said["connection"] == ["close"]


@pytest.mark.attack(13)
def test_the_bytes_of_an_undeclared_body_are_not_read_as_a_request(place, tools):
    said = tools.Said(place.exchange(tools.get("/a", "Content-Length: 33") + tools.get("/second")))
    assert said.rest == b""
    assert len(place.town.seen) == 1


@pytest.mark.attack(13)
@pytest.mark.parametrize(
    ("announced", "body"),
    [("Content-Length: 3", b"abc"), ("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n")],
    ids=["announced", "in chunks"],
)
@pytest.mark.parametrize("second", SECOND.values(), ids=SECOND)
def test_neither_is_what_follows_an_undeclared_body(place, tools, announced, body, second):
    said = tools.Said(place.exchange(tools.get("/a", announced) + body + second))
    assert said.rest == b""
    assert said["connection"] == ["close"]
    (seen,) = place.town.seen
    assert (seen["REQUEST_METHOD"], seen["PATH_INFO"], seen["SERVER_PROTOCOL"]) == ("GET", "/a", "HTTP/1.1")


@pytest.mark.attack(13)
@pytest.mark.parametrize("how", ["announced", "in chunks"])
def test_a_body_too_large_is_cut_off_and_answered_at_once(place, tools, how):
    with place.connect() as client:
        if how == "announced":
            client.sendall(tools.get("/body", "Content-Length: 100000000", method="POST"))
        else:
            client.sendall(tools.get("/body", "Transfer-Encoding: chunked", method="POST"))
            client.sendall(b"20000\r\n" + b"a" * 0x20000 + b"\r\n")
        said = tools.Said(tools.everything(client))
    assert len(said.shown["body"]) == 0 if how == "announced" else len(said.shown["body"]) > server.LARGEST_BODY
    assert said["connection"] == ["close"]


def test_a_body_in_the_smallest_chunks_is_read_as_any_other(place, tools):
    size = 60_000
    request = tools.get("/body", "Transfer-Encoding: chunked", method="POST") + b"1\r\na\r\n" * size + b"0\r\n\r\n"
    assert tools.Said(place.exchange(request)).shown["body"] == "a" * size


@pytest.mark.attack(13)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_body_in_small_chunks_takes_little_more_memory_than_the_body(size):
    whole = 60_000
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = Connection(ours, "127.0.0.1", patience=Patience(), is_own=lambda path: True)
        theirs.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert connection.receive()
        tracemalloc.start()
        try:
            for _ in range(whole // (size * 100)):
                theirs.sendall((b"%x\r\n" % size + b"a" * size + b"\r\n") * 100)
                assert connection.receive()
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert connection.awaits_body and not connection.ready
        assert taken < 2 * whole
        theirs.sendall(b"0\r\n\r\n")
        assert connection.receive() and connection.ready
        assert connection.environment({})["wsgi.input"].read() == b"a" * whole


@pytest.mark.attack(13)
def test_chunks_wrapped_in_much_more_than_they_hold_are_refused(place, tools):
    head = tools.get("/body", "Transfer-Encoding: chunked", method="POST")
    with place.connect() as client:
        client.sendall(head)
        try:
            for _ in range(2 * server.LARGEST_MESSAGE // 16_006):
                client.sendall(b"1;" + b"x" * 16_000 + b"\r\na\r\n")
        except OSError:
            pass  # refused already
        else:
            assert tools.Said(tools.everything(client)).status == 413
    assert place.town.seen == []


def test_a_client_that_waits_to_be_told_is_told_once(place, tools):
    with place.connect() as client:
        client.sendall(tools.get("/body", "Content-Length: 3", "Expect: 100-Continue", method="POST"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert tools.read_one(client).shown["body"] == "abc"


def test_a_client_of_http_1_0_is_never_told(place, tools):
    with place.connect() as client:
        client.sendall(tools.get("/body", "Content-Length: 3", "Expect: 100-continue", method="POST", version="1.0"))
        until(lambda: any(connection.awaits_body for connection in list(place.worker._connections.values())))
        client.sendall(b"abc")
        assert tools.Said(tools.everything(client)).shown["body"] == "abc", "the first thing said is the answer"


def test_a_client_whose_body_is_not_wanted_is_not_told_to_send_it(place, tools):
    with place.connect() as client:
        client.sendall(tools.get("/a", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert tools.everything(client).startswith(b"HTTP/1.1 200 OK")


def test_one_connection_carries_request_after_request(place, tools):
    with place.connect() as client:
        for number in range(50):
            client.sendall(tools.post("/body", b"%d" % number) if number % 2 else tools.get(f"/{number}"))
            shown = tools.read_one(client).shown
            assert (shown["body"] or shown["PATH_INFO"].strip("/")) == str(number)
    assert len(place.town.seen) == 50


REQUEST = (
    b"POST /body/%41?b=c HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n"
)


def read_in_pieces(pieces):
    """What a connection makes of these pieces: an environment and its body, a refusal's status, or None."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = Connection(ours, "::1", patience=Patience(), is_own=lambda path: path.startswith("/body"))
        for piece in filter(None, pieces):
            theirs.sendall(piece)
            try:
                connection.receive()
            except Malformed as malformed:
                return malformed.status
            if connection.ready:
                environ = connection.environment({})
                return {**environ, "wsgi.input": environ["wsgi.input"].read()}
    return None


@pytest.mark.attack(13)
@given(st.sets(st.integers(1, len(REQUEST) - 1), max_size=30))
def test_a_request_means_the_same_however_it_is_cut_into_pieces(cuts):
    edges = [0, *sorted(cuts), len(REQUEST)]
    assert read_in_pieces([REQUEST[a:b] for a, b in pairwise(edges)]) == {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/body/A",
        "QUERY_STRING": "b=c",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "::1",
        "wsgi.input": b"abcde",
        "HTTP_HOST": "h",
        "HTTP_X_A": "1",
        "HTTP_X_EMPTY": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
    }


OFFERING = body_of(OFFER, b"Content-Length: 5\r\n", body=b"abcde" + REQUEST)
"""A body that httptools leaves unread, and another request behind it."""


@pytest.mark.attack(13)
@given(st.sets(st.integers(1, len(OFFERING) - 1), max_size=30))
def test_so_does_one_that_offers_another_protocol_and_what_is_behind_it_is_nothing(cuts):
    edges = [0, *sorted(cuts), len(OFFERING)]
    read = read_in_pieces([OFFERING[a:b] for a, b in pairwise(edges)])
    assert (read["wsgi.input"], read["CONTENT_LENGTH"], read["PATH_INFO"]) == (b"abcde", "5", "/body")


CORPUS = [
    REQUEST,
    OFFERING,
    *(raw for raw, _ in UNDERSTOOD.values()),
    *(raw for _, raw in REFUSED.values() if len(raw) < 500),
]


@pytest.mark.attack(13)
@settings(max_examples=300)
@given(
    st.sampled_from(CORPUS),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 4), st.binary(max_size=4)), max_size=4),
    st.sampled_from(CORPUS),
)
def test_no_bytes_whatever_give_a_header_that_holds_the_end_of_a_line(raw, changes, after):
    for place, length, new in changes:
        raw = raw[:place] + new + raw[place + length :]
    read = read_in_pieces([raw + after])
    if isinstance(read, dict):
        texts = {name: value for name, value in read.items() if isinstance(value, str) and name != "PATH_INFO"}
        assert not [name for name, value in texts.items() if set(value) & set("\r\n\0")]
        assert read["SERVER_PROTOCOL"] in ("HTTP/1.0", "HTTP/1.1")
    else:
        assert read is None or read[:3] in ("400", "413", "431", "505")
