"""What goes out: whole, in one frame that every reader understands, whatever the application does."""

import re
import socket
import threading
import time

import pytest

from gateway.loop import task


@pytest.mark.attack(12)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_head_answers_the_headers_of_get_and_no_body(place, tools, method):
    with place.connect() as client:
        client.sendall(tools.get("/large/512", method=method) + b"")
        client.shutdown(socket.SHUT_WR)
        said = tools.Said(tools.everything(client), has_body=method == "GET")
    assert said["content-length"] == ["512"]
    assert len(said.body) == (512 if method == "GET" else 0)
    assert said.rest == b""


@pytest.mark.attack(12)
def test_a_head_request_leaves_the_connection_in_step(place, tools):
    with place.connect() as client:
        client.sendall(tools.get("/large/512", method="HEAD"))
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        client.sendall(tools.get("/after"))
        assert tools.read_one(client).shown["PATH_INFO"] == "/after"
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", ["204", "304"])
def test_a_status_without_a_body_has_none_and_the_connection_stays_in_step(place, tools, status):
    with place.connect() as client:
        client.sendall(tools.get(f"/empty/{status}"))
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        client.sendall(tools.get("/after"))
        assert tools.read_one(client).shown["PATH_INFO"] == "/after"
    assert head.startswith(b"HTTP/1.1 " + status.encode())
    assert head.endswith(b"\r\n\r\n")
    assert b"content-length" not in head.lower()


def test_an_answer_without_a_length_is_given_one(place, tools):
    said = tools.Said(place.exchange(tools.get("/unmeasured")))
    assert said["content-length"] == ["10"]
    assert said.body == b"unmeasured"


FAILING = ["/raise", "/exit", "/silent", "/short", "/name", "/foreign"]


@pytest.mark.parametrize("path", FAILING)
def test_an_application_that_fails_is_answered_500_without_a_word_of_it(place, tools, path):
    for _ in range(place.concurrency + 1):
        said = tools.Said(place.exchange(tools.get(path)))
        assert (said.status, said.body, said.rest) == (500, b"", b"")
        assert said["connection"] == ["close"]
    assert tools.Said(place.exchange(tools.get("/after"))).status == 200, "every thread still serves"


@pytest.mark.attack(10)
@pytest.mark.parametrize(
    "value", ["a\r\nSet-Cookie: b=c", "a\nb", "a\rb", "a\0b", "\r\n\r\nHTTP/1.1 200 OK"], ids=lambda value: repr(value)
)
def test_a_header_that_would_be_two_is_never_sent(place, tools, value):
    said = tools.Said(place.exchange(tools.post("/header", value.encode())))
    assert said.status == 500
    assert said["x-said"] == said["set-cookie"] == []


def test_an_ordinary_header_is_sent_as_it_is(place, tools):
    assert tools.Said(place.exchange(tools.post("/header", "é: ;".encode("latin-1"))))["x-said"] == ["é: ;"]


def test_every_answer_is_dated(place, tools):
    for request in (tools.get("/a"), b"nonsense\r\n\r\n", tools.get("/raise")):
        (date,) = tools.Said(place.exchange(request))["date"]
        assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", date)


@pytest.mark.parametrize(
    ("headers", "version", "stays"),
    [
        pytest.param((), "1.1", True, id="HTTP/1.1"),
        pytest.param(("Connection: close",), "1.1", False, id="HTTP/1.1, asked to close"),
        pytest.param((), "1.0", False, id="HTTP/1.0"),
    ],
)
def test_the_connection_stays_as_http_says(place, tools, headers, version, stays):
    with place.connect() as client:
        client.sendall(tools.get("/a", *headers, version=version))
        said = tools.read_one(client)
        assert said["connection"] == ([] if stays else ["close"])
        if not stays:
            assert client.recv(1) == b""


def test_a_slow_reader_gets_all_of_a_large_answer(place, tools):
    size = 32 * 1024 * 1024
    with place.connect() as client:
        client.sendall(tools.get(f"/large/{size}", "Connection: close"))
        time.sleep(0.2)
        assert tools.Said(tools.everything(client)).body == bytes(range(256)) * (size // 256)


def test_a_client_that_has_closed_its_side_is_answered(place, tools):
    assert tools.Said(place.exchange(tools.get("/a"))).shown["PATH_INFO"] == "/a"


def test_a_client_that_goes_away_costs_nothing(place, tools):
    place.town.open.clear()
    for _ in range(3 * place.concurrency):
        client = place.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(tools.get("/large/8000000"))
        client.close()
    waiting = place.connect()
    waiting.sendall(tools.get("/wait"))
    assert place.town.inside.acquire(timeout=tools.WAIT)
    waiting.close()
    place.town.open.set()
    assert tools.Said(place.exchange(tools.get("/after"))).status == 200


def test_answers_to_many_at_once_are_never_exchanged(place, tools):
    faults = []

    def ask(name: int) -> None:
        try:
            with place.connect() as client:
                for number in range(20):
                    client.sendall(tools.post("/body", f"{name}.{number}".encode()))
                    assert tools.read_one(client).shown["body"] == f"{name}.{number}"
        except Exception as fault:  # noqa: BLE001 - told by the main thread
            faults.append(fault)

    clients = [threading.Thread(target=ask, args=(name,)) for name in range(16)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(tools.WAIT)
    assert faults == []


def test_a_log_that_cannot_be_written_costs_no_thread(place, tools, monkeypatch):
    class Broken:
        def error(self, *_, **__):
            raise BrokenPipeError

    monkeypatch.setattr(task, "_log", Broken())
    for _ in range(place.concurrency + 1):
        place.exchange(tools.get("/raise"))
    assert tools.Said(place.exchange(tools.get("/after"))).status == 200
