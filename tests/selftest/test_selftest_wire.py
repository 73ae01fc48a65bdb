"""The kit's own client: it sends what it is given, and whatever comes back is a value, in bounded time and size."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from gateway.selftest import wire as wire_module
from gateway.selftest.wire import Answer, Limited, OutOfTime, Place, Unreachable, Wire, place_of
from tests.ports import free_port
from tests.selftest.fronts import Other

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def other() -> Iterator[Callable[..., Other]]:
    with ExitStack() as made:
        yield lambda *arguments, **options: made.enter_context(Other(*arguments, **options))


def wire(place: Place, **options) -> Wire:
    return Wire(place, context=ssl.create_default_context(), **options)


ANSWERS = {
    "a length": (GOOD, (200, b"ok", "")),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nT: x\r\n\r\n",
        (200, b"ok", ""),
    ),
    "until the end": (b"HTTP/1.0 200 OK\r\n\r\nok", (200, b"ok", "")),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", "")),
    "an interim answer before": (b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD, (200, b"ok", "")),
    "another protocol": (b"HTTP/1.1 101 Switching\r\n\r\nxxxx", (101, b"", "")),
    "nothing": (b"", (0, b"", wire_module.CLOSED)),
    "half a head": (b"HTTP/1.1 200 OK\r\nConte", (0, b"", wire_module.GARBLED)),
    "something else": (b"SSH-2.0-OpenSSH\r\n\r\n", (0, b"", wire_module.GARBLED)),
    "a line without a colon": (b"HTTP/1.1 200 OK\r\nwhat\r\n\r\n", (0, b"", wire_module.GARBLED)),
    "less than announced": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", (0, b"", wire_module.BROKEN)),
    "a chunk that breaks off": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        (0, b"", wire_module.BROKEN),
    ),
    "a size that is none": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\nok",
        (0, b"", wire_module.GARBLED),
    ),
    "a length that is none": (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok", (0, b"", wire_module.GARBLED)),
    "more than anyone reads": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nok",
        (0, b"", wire_module.TOO_LARGE),
    ),
    "a head without end": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, (0, b"", wire_module.TOO_LARGE)),
    "interim answers without end": (b"HTTP/1.1 102 Processing\r\n\r\n" * 9, (0, b"", wire_module.GARBLED)),
}


@pytest.mark.parametrize(("said", "found"), ANSWERS.values(), ids=ANSWERS)
def test_whatever_comes_is_a_value(other, said, found):
    answer = wire(other(said).place).exchange(b"GET / HTTP/1.1\r\n\r\n")
    assert (answer.status, answer.body, answer.fate) == found


def test_what_is_sent_arrives_byte_for_byte(other):
    place = other(GOOD)
    sent = b"gEt /a/../b%2F\\ HTTP/1.1\r\nhOST :  x\r\nX_A: \xff\r\nX_A: 2\r\n\r\n\0"
    assert wire(place.place).exchange(sent).status == 200
    assert place.heard == sent


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\nok", GOOD[:-1]])
def test_an_answer_that_does_not_come_in_time_is_late(other, said):
    answer = wire(other(said, hangs_up=False).place).exchange(b"GET / HTTP/1.1\r\n\r\n", seconds=0.3)
    assert (answer.status, answer.fate) == (0, wire_module.LATE)


def test_nobody_there_is_a_value_too():
    answer = wire(Place("http", "127.0.0.1", free_port())).exchange(b"x")
    assert answer == Answer(0, fate=wire_module.UNREACHABLE)


def test_nobody_there_at_the_beginning_is_a_sentence():
    port = free_port()
    with pytest.raises(Unreachable, match=rf"^Nothing answers at http://127\.0\.0\.1:{port} \(Connection refused\)\.$"):
        wire(Place("http", "127.0.0.1", port)).reach()


def test_who_does_not_speak_tls_is_a_sentence(other):
    place = other(b"HTTP/1.1 400 Bad Request\r\n\r\n").place
    with pytest.raises(Unreachable, match="does not speak TLS"):
        wire(Place("https", place.host, place.port)).reach()


@pytest.mark.parametrize("asked", ["3600", "", "soon", "-1", "1e9"])
def test_a_wait_that_is_too_long_or_not_understood_ends_the_check(other, asked):
    said = f"HTTP/1.1 429 No\r\nRetry-After: {asked}\r\nContent-Length: 0\r\n\r\n".encode()
    with pytest.raises(Limited):
        wire(other(said).place).exchange(b"x")


def test_being_limited_again_and_again_ends_the_check(other):
    with pytest.raises(Limited, match="again and again"):
        wire(other(b"HTTP/1.1 429 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n").place).exchange(b"x")


def test_more_than_a_burst_takes_its_time(other, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(wire_module.time, "sleep", slept.append)
    client = wire(other(GOOD).place, per_second=1e-6)
    for _ in range(wire_module.BURST):
        client.once(b"x")
    assert slept == []
    client.once(b"x")
    assert slept[0] > 100_000


def test_when_the_time_is_over_nothing_more_is_sent(other):
    place = other(GOOD)
    client = wire(place.place)
    client.ended = 0.0
    with pytest.raises(OutOfTime):
        client.once(b"x")
    assert place.heard == b""


URLS = {
    "https://cafpro.example": ("https", "cafpro.example", 443, "cafpro.example"),
    "https://cafpro.example/": ("https", "cafpro.example", 443, "cafpro.example"),
    "https://Cafpro.example:8443": ("https", "cafpro.example", 8443, "cafpro.example:8443"),
    "http://127.0.0.1:8080": ("http", "127.0.0.1", 8080, "127.0.0.1:8080"),
    "http://[::1]:8080": ("http", "::1", 8080, "[::1]:8080"),
}


@pytest.mark.parametrize(("url", "found"), URLS.items(), ids=URLS)
def test_a_url_is_a_scheme_a_host_and_a_port(url, found):
    place = place_of(url)
    assert (place.scheme, place.host, place.port, place.authority) == found


@pytest.mark.parametrize(
    "url",
    [
        *("cafpro.example", "ftp://x", "https://", "https://x/path", "https://x?y=1", "https://x#y", "https://u:p@x"),
        *("https://x:port", "https://x:99999", "https://x y", "https://[::1", "https://x\r\ny", ""),
    ],
)
def test_anything_else_is_not_one(url):
    with pytest.raises(ValueError, match=r"^(is not a URL|must )"):
        place_of(url)
