"""Line 13: where a request ends has one answer, and what stands behind that end is never taken for another request.

Behind each of these stands a second request, with a session that reads much more. The first is sent by an agent who
reads three rubrics, or by nobody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.attacks.sending import BOUNDLESS, DOSSIER, PROFILE, Sender, Tried, lines
from tests.story.running import PASSWORD, PATIENCE, Backend, connect

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
BODY = b'{"identifier":"t2","password":"x"}'
ANOTHERS = BODY.replace(b"t2", b"t9")
"""A third failure of one identifier in a row would have to wait."""
ENDING = b"0\r\n\r\n"


def hidden(sender: Sender) -> bytes:
    """The request that must never be answered."""
    return sender.head(f"GET {DOSSIER} HTTP/1.1", profile="T1")


def nothing_hidden_was_heard(tried: Tried) -> None:
    """One answer at most, the connection closed behind it, and T1's session was never used."""
    assert len(tried.answers) <= 1, tried.answers
    assert tried.rest == b""
    assert [answer.all("Connection") for answer in tried.answers] == [["close"]] * len(tried.answers)
    assert "t1" not in {row["agent"] for row in tried.rows}
    tried.unheard()


LENGTHS = {
    "CL.TE": ("Content-Length: {all}", CHUNKED),
    "TE.CL": (CHUNKED, "Content-Length: 4"),
    "CL.TE, the length of nothing": ("Content-Length: 0", CHUNKED),
    "TE.TE: an x before": ("Content-Length: 4", "Transfer-Encoding: xchunked"),
    "TE.TE: a blank before the name": ("Content-Length: 4", " Transfer-Encoding: chunked"),
    "TE.TE: a blank before the colon": ("Content-Length: 4", "Transfer-Encoding : chunked"),
    "TE.TE: a tab before the value": ("Content-Length: 4", "Transfer-Encoding:\tchunked"),
    "TE.TE: a vertical tab before the value": ("Content-Length: 4", "Transfer-Encoding:\x0bchunked"),
    "TE.TE: a null behind the value": ("Content-Length: 4", "Transfer-Encoding: chunked\0"),
    "TE.TE: in quotes": ("Content-Length: 4", 'Transfer-Encoding: "chunked"'),
    "TE.TE: with a parameter": ("Content-Length: 4", "Transfer-Encoding: chunked;q=1"),
    "TE.TE: then another": ("Content-Length: 4", CHUNKED, "Transfer-Encoding: x"),
    "TE.TE: behind another": ("Content-Length: 4", "Transfer-Encoding: x", CHUNKED),
    "TE.TE: twice": ("Content-Length: 4", CHUNKED, CHUNKED),
    "TE.TE: in a list": ("Content-Length: 4", "Transfer-Encoding: chunked, identity"),
    "TE.TE: behind a comma": ("Content-Length: 4", "Transfer-Encoding: ,chunked"),
    "TE.TE: identity": ("Content-Length: 4", "Transfer-Encoding: identity"),
    "TE.TE: empty": ("Content-Length: 4", "Transfer-Encoding:"),
    "TE.TE: on a folded line": ("Content-Length: 4", "Transfer-Encoding:\r\n chunked"),
    "TE.TE: on a line of its own, within another": ("Content-Length: 4", "X-A: b\nTransfer-Encoding: chunked"),
    "TE.TE: behind a carriage return": ("Content-Length: 4", "X-A: b\rTransfer-Encoding: chunked"),
    "TE.TE: a letter that looks like ours": ("Content-Length: 4", "Transfer-Encoding: chun\xc4\xb7ed"),
    "chunks without a length, and no chunked": ("Transfer-Encoding: gzip",),
    "chunks before another coding": ("Transfer-Encoding: chunked, gzip",),
    "chunks behind another coding": ("Transfer-Encoding: gzip, chunked",),
    "two lengths": ("Content-Length: 4", "Content-Length: {all}"),
    "two equal lengths": ("Content-Length: 4", "Content-Length: 4"),
    "two lengths in a list": ("Content-Length: 4, 5",),
    "two equal lengths in a list": ("Content-Length: 4, 4",),
    "a length below zero": ("Content-Length: -1",),
    "a length with a plus": ("Content-Length: +4",),
    "a length in hexadecimal": ("Content-Length: 0x4",),
    "a length with an exponent": ("Content-Length: 4e0",),
    "a length with a point": ("Content-Length: 4.0",),
    "a length with a letter": ("Content-Length: 4x",),
    "a length with a blank inside": ("Content-Length: 4 4",),
    "a length with a null": ("Content-Length: 4\0",),
    "a length in quotes": ('Content-Length: "4"',),
    "a length that is empty": ("Content-Length:",),
    "a length in full width": ("Content-Length: \xef\xbc\x94",),
    "a length of another script": ("Content-Length: \xd9\xa4",),
    "a length with an underscore": ("Content-Length: 1_0",),
    "a length of 2 to the 64": ("Content-Length: 18446744073709551616",),
    "a length of 2 to the 64, and four": ("Content-Length: 18446744073709551620",),
    "a length of a thousand digits": ("Content-Length: " + "9" * 1000,),
    "a length with a blank before its colon": ("Content-Length : 4",),
    "a length on a folded line": ("Content-Length:\r\n 4",),
}


@pytest.mark.attack(13)
@pytest.mark.parametrize("address", ["/-/session", DOSSIER], ids=["a log-in", "a dossier"])
@pytest.mark.parametrize("written", LENGTHS.values(), ids=LENGTHS)
def test_a_length_that_can_be_read_in_two_ways_never_reaches_the_application(
    sender: Sender, written: tuple[str, ...], address: str
) -> None:
    body = ENDING + hidden(sender)
    announced = [line.replace("{all}", str(len(body))) for line in written]
    tried = sender.send(sender.head(f"POST {address} HTTP/1.1", JSON, *announced) + body)
    nothing_hidden_was_heard(tried)
    tried.refused_by_the_server(400)


CHUNKS = {
    "a size that is not one": b"g\r\n",
    "a size below zero": b"-1\r\n",
    "a size with a plus": b"+2\r\n{}\r\n" + ENDING,
    "a size with 0x": b"0x2\r\n{}\r\n" + ENDING,
    "a size with a blank before": b" 2\r\n{}\r\n" + ENDING,
    "a size with a blank behind": b"2 \r\n{}\r\n" + ENDING,
    "a size with an underscore": b"0_2\r\n{}\r\n" + ENDING,
    "a size of 2 to the 64": b"10000000000000000\r\n{}\r\n" + ENDING,
    "a size of 2 to the 64, and two": b"10000000000000002\r\n{}\r\n" + ENDING,
    "a size that is empty": b"\r\n{}\r\n" + ENDING,
    "a size with an empty extension": b"2;\r\n{}\r\n" + ENDING,
    "a size with a null": b"2\0\r\n{}\r\n" + ENDING,
    "a size ended by LF": b"2\n{}\r\n" + ENDING,
    "a size ended by CR": b"2\r{}\r\n" + ENDING,
    "a size ended by CR CR LF": b"2\r\r\n{}\r\n" + ENDING,
    "an extension with LF": b"2;a\nb\r\n{}\r\n" + ENDING,
    "an extension with CR": b"2;a\rb\r\n{}\r\n" + ENDING,
    "an extension in quotes that do not end": b'2;a="\r\n{}\r\n' + ENDING,
    "an extension with a line in quotes": b'2;a="\r\n"\r\n{}\r\n' + ENDING,
    "an extension with a null": b"2;a\0\r\n{}\r\n" + ENDING,
    "more than its size": b"2\r\n{}x\r\n" + ENDING,
    "less than its size": b"5\r\n{}\r\n" + ENDING,
    "no line's end behind": b"2\r\n{}" + ENDING,
    "two characters for its line's end": b"2\r\n{}XX0\r\n\r\n",
    "LF for its line's end": b"2\r\n{}\n" + ENDING,
    "a trailer that is folded": b"2\r\n{}\r\n0\r\nX-A: b\r\n c\r\n\r\n",
    "a trailer without a colon": b"2\r\n{}\r\n0\r\nX-A\r\n\r\n",
    "a trailer ended by LF": b"2\r\n{}\r\n0\r\nX-A: b\n\r\n",
    "an end ended by LF": b"2\r\n{}\r\n0\n\n",
}


@pytest.mark.attack(13)
@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
def test_chunks_that_can_be_read_in_two_ways_never_reach_the_application(sender: Sender, body: bytes) -> None:
    tried = sender.send(sender.head("POST /-/session HTTP/1.1", JSON, CHUNKED) + body + hidden(sender))
    nothing_hidden_was_heard(tried)
    assert tried.rows == []
    if tried.answers:
        tried.refused_by_the_server(400)


@pytest.mark.attack(13)
@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
def test_nor_are_they_read_where_no_body_is_declared(sender: Sender, body: bytes) -> None:
    """The application refuses the announced body; whatever follows was thrown away."""
    tried = sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", CHUNKED) + body + hidden(sender))
    nothing_hidden_was_heard(tried)
    if tried.rows:
        tried.refused(413, "GW205")
    else:
        tried.refused_by_the_server(400)


TRAILERS = [
    "Authorization: Bearer {token}",
    "Host: ailleurs.example",
    "Content-Type: text/plain",
    "Cookie: cafpro={token}",
    "Origin: http://ailleurs.example",
]


@pytest.mark.attack(13)
@pytest.mark.parametrize("trailer", TRAILERS)
def test_a_trailer_is_no_header(sender: Sender, trailer: str) -> None:
    """A log-in that is followed by one is the log-in that it is without it."""
    whole = f'{{"identifier":"t2","password":"{PASSWORD}"}}'.encode()
    end = f"0\r\n{trailer.format(token=sender.token('T1'))}\r\n\r\n".encode()
    head = lines("POST /-/session HTTP/1.1", sender.host, JSON, CHUNKED)
    tried = sender.send(head + b"%x\r\n%s\r\n" % (len(whole), whole) + end)
    assert (tried.answer.status, tried.row["agent"]) == (201, "t2")


@pytest.mark.attack(13)
@pytest.mark.parametrize("trailer", ["Content-Length: 1000", CHUNKED])
def test_a_trailer_that_would_say_where_the_request_ends_is_refused(sender: Sender, trailer: str) -> None:
    end = b"0\r\n%s\r\n\r\n" % trailer.encode()
    tried = sender.send(sender.head("POST /-/session HTTP/1.1", JSON, CHUNKED) + b"2\r\n{}\r\n" + end + hidden(sender))
    nothing_hidden_was_heard(tried)
    tried.refused_by_the_server(400)


HEADS = {
    "lines ended by LF": "GET {path} HTTP/1.1\nHost: {host}\n{bearer}\n\n",
    "the last line ended by LF": "GET {path} HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\n\n",
    "the first line ended by LF": "GET {path} HTTP/1.1\nHost: {host}\r\n{bearer}\r\n\r\n",
    "lines ended by CR": "GET {path} HTTP/1.1\rHost: {host}\r{bearer}\r\r",
    "CR CR LF": "GET {path} HTTP/1.1\r\r\nHost: {host}\r\r\n{bearer}\r\r\n\r\r\n",
    "a folded header": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\n c\r\n{bearer}\r\n\r\n",
    "a folded session": "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization:\r\n Bearer {token}\r\n\r\n",
    "folded by a tab": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\n\tc\r\n{bearer}\r\n\r\n",
    "a blank before the first header": "GET {path} HTTP/1.1\r\n Host: {host}\r\n{bearer}\r\n\r\n",
    "a blank before a colon": "GET {path} HTTP/1.1\r\nHost : {host}\r\n{bearer}\r\n\r\n",
    "a blank inside a name": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX A: b\r\n{bearer}\r\n\r\n",
    "a line without a colon": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX\r\n{bearer}\r\n\r\n",
    "a line of nothing but a colon": "GET {path} HTTP/1.1\r\nHost: {host}\r\n:\r\n{bearer}\r\n\r\n",
    "a null in a name": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX\0: b\r\n{bearer}\r\n\r\n",
    "a null in a value": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX: b\0c\r\n{bearer}\r\n\r\n",
    "a null behind the session": "GET {path} HTTP/1.1\r\nHost: {host}\r\n{bearer}\0\r\n\r\n",
    "a bell in a value": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX: \x07\r\n{bearer}\r\n\r\n",
    "a delete in a value": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX: \x7f\r\n{bearer}\r\n\r\n",
    "a name with an accent": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-\xe9: b\r\n{bearer}\r\n\r\n",
    "a name with a parenthesis": "GET {path} HTTP/1.1\r\nHost: {host}\r\nX(: b\r\n{bearer}\r\n\r\n",
    "a byte-order mark before": "\xef\xbb\xbfGET {path} HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\n\r\n",
    "a blank before": " GET {path} HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03{path}",
    "a line of the PROXY protocol": "PROXY TCP4 10.0.0.1 127.0.0.1 1 80\r\nGET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "an answer": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.attack(13)
@pytest.mark.parametrize("written", HEADS.values(), ids=HEADS)
def test_a_head_that_can_be_read_in_two_ways_never_reaches_the_application(sender: Sender, written: str) -> None:
    head = written.format(path=DOSSIER, host=sender.gateway.host, bearer=sender.bearer(), token=sender.token())
    tried = sender.send(head.encode("latin-1") + hidden(sender))
    nothing_hidden_was_heard(tried)
    tried.refused_by_the_server(400)


FIRST = {
    "a dossier": ("GET /dossiers/9990001", (), b"", (200, "")),
    "a refused dossier": ("GET /dossiers/9990001/rubriques/paiement", (), b"", (403, "GW301")),
    "a body of no length": ("GET /nothing", ("Content-Length: 0",), b"", (404, "GW203")),
    "an announced body": ("GET /nothing", ("Content-Length: 2",), b"{}", (404, "GW203")),
    "a body in chunks": ("DELETE /dossiers/9990001", (CHUNKED,), b"2\r\n{}\r\n" + ENDING, (405, "GW204")),
    "CL.0: the request behind is the body": ("GET /dossiers/9990001", ("Content-Length: {all}",), b"", (413, "GW205")),
    "0.CL: a length that is waited for": ("POST /dossiers/9990001", ("Content-Length: 100000",), b"", (405, "GW204")),
    "a log-in": ("POST /-/session", (JSON, f"Content-Length: {len(BODY)}"), BODY, (401, "GW103")),
    "a log-in whose body is the request behind": (
        "POST /-/session",
        (JSON, "Content-Length: {all}"),
        b"",
        (400, "GW201"),
    ),
    "an expected go-ahead": ("GET /nothing", ("Expect: 100-continue",), b"", (404, "GW203")),
    "another expectation": ("GET /nothing", ("Expect: 200-ok",), b"", (404, "GW203")),
    "an upgrade": ("GET /nothing", ("Upgrade: h2c", "Connection: Upgrade"), b"", (404, "GW203")),
    "a log-in with an upgrade": (
        "POST /-/session",
        (JSON, f"Content-Length: {len(ANOTHERS)}", "Upgrade: h2c", "Connection: Upgrade"),
        ANOTHERS,
        (401, "GW103"),
    ),
    "a log-in with an upgrade, whose body is the request behind": (
        "POST /-/session",
        (JSON, "Content-Length: {all}", "Upgrade: h2c", "Connection: Upgrade"),
        b"",
        (400, "GW201"),
    ),
    "a connection to be kept": ("GET /nothing", ("Connection: keep-alive",), b"", (404, "GW203")),
    "a log-out": ("DELETE /-/session", ("Content-Length: 0",), b"", (401, "GW101")),
}


@pytest.mark.attack(13)
@pytest.mark.parametrize("pieces", [1, 2], ids=["at once", "in two"])
@pytest.mark.parametrize(("line", "announced", "body", "expected"), FIRST.values(), ids=FIRST)
def test_what_is_sent_behind_a_request_before_its_answer_is_not_answered(
    sender: Sender, line: str, announced: tuple[str, ...], body: bytes, expected: tuple[int, str], pieces: int
) -> None:
    """What arrives with a request is thrown away with it. Only what arrives later, on a connection that was not closed,
    is another request, with its own session and its own row."""
    behind = hidden(sender)
    who = () if "session" in line else (sender.bearer(),)
    about = [header.replace("{all}", str(len(behind))) for header in announced]
    first = lines(f"{line} HTTP/1.1", sender.host, *who, *about) + body
    tried = sender.send([first + behind] if pieces == 1 else [first, behind], profile=(PROFILE, "T1"))
    answer, *later = tried.answers
    row, *more = tried.rows
    assert (row["status"], row["code"]) == expected
    assert row["agent"] in ("", "t9" if body == ANOTHERS else "t2")
    assert (answer.status, answer.one("X-Request-Id")) == (expected[0], row["request_id"])
    if pieces == 1 or answer.all("Connection") or "{all}" in "".join(announced):
        assert (later, more) == ([], [])
    else:
        assert [(row["agent"], row["status"]) for row in more] == [("t1", 200)]
    assert len(tried.asked) == sum(row["status"] == 200 for row in tried.rows)


LARGE = {
    "a target": "GET /{many} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "a query": "GET /dossiers/9990001?{many} HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "a header": "GET /dossiers/9990001 HTTP/1.1\r\nHost: {host}\r\nX-A: {many}\r\n\r\n",
    "a header's name": "GET /dossiers/9990001 HTTP/1.1\r\nHost: {host}\r\n{many}: a\r\n\r\n",
    "a session": "GET /dossiers/9990001 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {many}\r\n\r\n",
    "a cookie": "GET /dossiers/9990001 HTTP/1.1\r\nHost: {host}\r\nCookie: cafpro={many}\r\n\r\n",
    "a host": "GET /dossiers/9990001 HTTP/1.1\r\nHost: {many}\r\n\r\n",
    "a header that never ends": "GET /dossiers/9990001 HTTP/1.1\r\nHost: {host}\r\nX-A: {many}",
    "101 headers": "GET /dossiers/9990001 HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "a thousand cookies": "GET /dossiers/9990001 HTTP/1.1\r\nHost: {host}\r\n{cookies}\r\n",
}


@pytest.mark.attack(13)
@pytest.mark.parametrize("written", LARGE.values(), ids=LARGE)
def test_a_head_that_is_too_large_never_reaches_the_application(sender: Sender, written: str) -> None:
    head = written.format(
        host=sender.gateway.host,
        many="a" * 40_000,
        headers="".join(f"X-{n}: b\r\n" for n in range(101)),
        cookies="Cookie: a=b\r\n" * 1000,
    )
    sender.send(head.encode(), profile=None).refused_by_the_server(431)


@pytest.mark.attack(13)
@pytest.mark.parametrize("size", [4097, 65_537, 1_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "in chunks"])
def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(
    sender: Sender, size: int, *, chunked: bool
) -> None:
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b" " * size) if chunked else b" " * size
    head = lines("POST /-/session HTTP/1.1", sender.host, JSON, CHUNKED if chunked else f"Content-Length: {size}")
    tried = sender.send(head + body, profile=None)
    tried.refused(413, "GW205")
    assert tried.row["act"] == "log_in"


@pytest.mark.attack(13)
def test_a_body_of_ten_gigabytes_is_not_waited_for(sender: Sender) -> None:
    head = lines("POST /-/session HTTP/1.1", sender.host, JSON, "Content-Length: 10000000000")
    sender.send(head, profile=None, ends=False).refused(413, "GW205")


SECONDS = 1.0
"""What the hasty gateway gives a head, a body, and a connection between requests."""


@pytest.fixture(scope="module")
def hasty(archive: Backend, start_gateway) -> Sender:
    patience = {f"server__{what}_seconds": SECONDS for what in ("head", "body", "idle", "answer")}
    gateway = start_gateway(archive.url, **patience, **{name.replace(".", "__"): n for name, n in BOUNDLESS.items()})
    gateway.enter("t2", PROFILE)
    return Sender(gateway, archive, {PROFILE: gateway.log_in("t2")})


UNFINISHED = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "a method": b"GE",
    "half of a line": b"GET /dossiers/99",
    "no end of the head": b"GET /dossiers/9990001 HTTP/1.1\r\nHost: x\r\nX-A: b\r\n",
    "half of a session": b"GET /dossiers/9990001 HTTP/1.1\r\nAuthorization: Bearer ",
}


@pytest.mark.attack(13)
@pytest.mark.parametrize("begun", UNFINISHED.values(), ids=UNFINISHED)
def test_a_head_that_does_not_come_is_closed_without_a_word(hasty: Sender, begun: bytes) -> None:
    hasty.send(begun, profile=None, ends=False).cut_off()


@pytest.mark.attack(13)
def test_a_head_that_comes_in_crumbs_has_no_more_time_than_another(hasty: Sender) -> None:
    """A byte now and then renews nothing: the time of the whole head is one."""
    before = len(hasty.gateway.record_rows())
    with connect(hasty.gateway.url) as connection:
        connection.settimeout(SECONDS / 10)
        connection.sendall(b"GET /dossiers/9990001 HTTP/1.1\r\nX-A: ")
        for _ in crumbs():
            try:
                connection.sendall(b"a")
                assert connection.recv(1) == b""
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("it was waited for all the time")
    assert len(hasty.gateway.record_rows()) == before


def crumbs() -> Iterator[int]:
    """Ten times as long as the head may take."""
    end = time.monotonic() + 10 * SECONDS
    while time.monotonic() < end:
        yield 1


@pytest.mark.attack(13)
@pytest.mark.parametrize("body", [b"", b"{", b'{"identifier":'], ids=["none of it", "a byte", "some of it"])
@pytest.mark.parametrize("announced", ["Content-Length: 100", CHUNKED])
def test_a_body_that_does_not_come_is_answered_408_and_recorded(hasty: Sender, announced: str, body: bytes) -> None:
    sent = b"40\r\n" + body if announced == CHUNKED and body else body
    head = lines("POST /-/session HTTP/1.1", hasty.host, JSON, announced)
    tried = hasty.send(head + sent, profile=None, ends=False)
    tried.refused(408, "GW208")
    assert (tried.row["act"], tried.answer.all("Connection")) == ("log_in", ["close"])


@pytest.mark.attack(13)
def test_bodies_that_do_not_come_hold_nobody_up(archive: Backend, start_gateway) -> None:
    """Many more of them than there are places in the application, each waited for longer than this test waits."""
    gateway = start_gateway(archive.url, server__concurrency=2, server__body_seconds=2 * PATIENCE)
    gateway.enter("t2", PROFILE)
    patient = Sender(gateway, archive, {PROFILE: gateway.log_in("t2")})
    head = lines("POST /-/session HTTP/1.1", patient.host, JSON, "Content-Length: 100")
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(connect(gateway.url)).sendall(head)
        for _ in range(5):
            patient.send(patient.head()).served()
        assert gateway.sign_in("t2").status == 201
        assert gateway.record_rows(code="GW208") == []


@pytest.mark.attack(13)
def test_a_connection_that_asks_nothing_more_is_closed(hasty: Sender) -> None:
    tried = hasty.send(hasty.head(), ends=False)
    tried.served()
    assert tried.answer.all("Connection") == []
