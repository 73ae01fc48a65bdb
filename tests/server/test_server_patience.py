"""Slow, silent and many: a client that takes its time costs its memory for a while, and never a thread."""

import contextlib
import resource
import socket
import subprocess
import sys
import time

import pytest

from gateway.server import connection as talk
from gateway.server import worker as server
from gateway.server.connection import Patience
from tests.server.talking import until

SHORT = Patience(head=0.4, body=0.4, idle=0.4, answer=0.4)


@pytest.fixture(scope="module")
def hasty(tools):
    place = tools.Place(patience=SHORT)
    yield place
    place.close()


@pytest.fixture
def hurried(hasty):
    hasty.town.seen.clear()
    return hasty


@pytest.mark.attack(13)
@pytest.mark.parametrize(
    "begun",
    [b"", b"GE", b"GET / HTTP/1.1\r\nHost: h\r\nX-A", b"\r\n"],
    ids=["nothing", "a method", "half of a head", "an empty line"],
)
def test_a_request_that_does_not_come_ends_its_connection(hurried, tools, begun):
    with hurried.connect() as client:
        client.sendall(begun)
        assert tools.everything(client) == b""
    assert hurried.town.seen == []


@pytest.mark.attack(13)
def test_a_head_in_crumbs_ends_its_connection(hurried, tools):
    with hurried.connect() as client:
        client.sendall(b"GET /")
        client.settimeout(0.02)
        for _ in range(500):
            try:
                client.sendall(b"a")
                assert client.recv(1) == b""
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("it never ended")
    assert hurried.town.seen == []


def test_an_idle_connection_ends(hurried, tools):
    with hurried.connect() as client:
        client.sendall(tools.get("/a"))
        tools.read_one(client)
        assert client.recv(1) == b""


@pytest.mark.attack(13)
@pytest.mark.parametrize("sent", [b"", b"ab"], ids=["none of it", "some of it"])
def test_a_body_that_does_not_come_is_told_to_the_application(hurried, tools, sent):
    with hurried.connect() as client:
        client.sendall(tools.get("/body", "Content-Length: 100", method="POST") + sent)
        said = tools.Said(tools.everything(client))
    assert said.shown["body"] == "late"
    assert said["connection"] == ["close"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_nobody_takes_is_given_up(hurried, tools, method):
    size = 32 * 1024 * 1024
    request = tools.get(f"/large/{size}") if method == "GET" else tools.post(f"/large/{size}", b"abc")
    with hurried.connect() as client:
        client.sendall(request)
        until(lambda: any(connection.outgoing for connection in hurried.worker._connections.values()))
        until(lambda: not hurried.worker._connections)
        assert len(tools.everything_or_reset(client)) < size


@pytest.mark.attack(13)
@pytest.mark.parametrize("bound", ["the time", "the size"])
def test_whoever_goes_on_sending_after_the_answer_is_not_listened_to_for_ever(place, tools, monkeypatch, bound):
    """What it sends gives it no more time; and of what it sends within the time there is an end too."""
    monkeypatch.setattr(talk, "LINGER_SECONDS", 0.5 if bound == "the time" else 600.0)
    monkeypatch.setattr(talk, "LARGEST_DISCARDED", 1 << (60 if bound == "the time" else 20))
    with place.connect() as client:
        client.sendall(tools.get("/a", "Content-Length: 999999999999", method="POST"))
        assert tools.read_one(client).status == 200
        end = time.monotonic() + tools.WAIT
        try:
            while time.monotonic() < end:
                client.sendall(bytes(1 << 20))
        except ConnectionError:
            return
        pytest.fail("it was listened to all the time")


@pytest.mark.looks_inside
def test_slow_readers_together_hold_a_bounded_memory(tools, monkeypatch):
    monkeypatch.setattr(server, "MOST_OUTGOING", 56 * 1024 * 1024)
    place = tools.Place()
    with contextlib.ExitStack() as stack:
        stack.callback(place.close)
        for _ in range(8):
            client = stack.enter_context(place.connect())
            client.sendall(tools.get(f"/large/{16 * 1024 * 1024}"))
        until(lambda: len(place.town.seen) == 8)
        until(lambda: len([c for c in list(place.worker._connections.values()) if c.outgoing]) == 3)
        assert tools.Said(place.exchange(tools.get("/after"))).status == 200


@pytest.mark.looks_inside
@pytest.mark.attack(13)
@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 30_000, id="long heads"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 100, id="many headers"),
        pytest.param(b"GET /" + b"a" * 30_000, id="long targets"),
        pytest.param(b"POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n" + b"a" * 59_999, id="bodies"),
    ],
)
def test_requests_that_are_not_whole_hold_a_bounded_memory_together(tools, monkeypatch, begun):
    most = 600_000
    monkeypatch.setattr(server, "MOST_UNFINISHED", most)
    monkeypatch.setattr(server, "LOOKED_AFTER", most // 8)
    place = tools.Place()
    with contextlib.ExitStack() as stack:
        stack.callback(place.close)
        innocent = stack.enter_context(place.connect("127.0.0.2"))
        innocent.sendall(tools.get("/served").removesuffix(b"\r\n\r\n"))
        until(lambda: len(place.worker._connections) == 1)
        most_seen = 0
        for _ in range(60):
            stack.enter_context(place.connect()).sendall(begun)
            held = sum(c.held for c in list(place.worker._connections.values()) if c.arrives)
            most_seen = max(most_seen, held)
        until(lambda: len(place.worker._connections) < 61)
        held = sum(c.held for c in list(place.worker._connections.values()) if c.arrives)
        assert max(most_seen, held) <= most + most // 8 + 70_000
        innocent.sendall(b"\r\n\r\n")
        assert tools.read_one(innocent).status == 200
        assert tools.Said(place.exchange(tools.get("/after"))).status == 200


@pytest.mark.attack(13)
def test_a_thousand_slow_clients_do_not_keep_one_from_being_served(tools):
    begun = [
        b"",
        b"GET / HT",
        tools.get("/body", "Content-Length: 100", method="POST") + b"ab",
        tools.get("/body", "Transfer-Encoding: chunked", method="POST") + b"64\r\nab",
    ]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Slower than the slowest machine that this runs on: none of them is to be given up meanwhile.
    place = tools.Place(patience=Patience(head=600.0, body=600.0))
    with contextlib.ExitStack() as stack:
        stack.callback(place.close)
        for number in range(1000):
            stack.enter_context(place.connect()).sendall(begun[number % len(begun)])
        for _ in range(20):
            assert tools.Said(place.exchange(tools.get("/served"))).status == 200
            assert tools.Said(place.exchange(tools.post("/body", b"abc"))).shown["body"] == "abc"
        assert len(place.worker._connections) >= 1000


def test_busy_threads_delay_a_request_and_lose_none(place, tools):
    place.town.open.clear()
    threads = place.concurrency
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(place.connect()) for _ in range(3 * threads)]
        for client in clients:
            client.sendall(tools.get("/wait"))
        for _ in range(threads):
            assert place.town.inside.acquire(timeout=tools.WAIT)
        place.town.open.set()
        assert [tools.read_one(client).body for client in clients] == [b"waited"] * len(clients)


OUT_OF_DESCRIPTORS = """
import contextlib, os, resource, socket, threading, time
from gateway.server import worker as serving
from gateway.server.connection import Patience
from gateway.server.lanes import Lanes, Places
from gateway.server.supervisor import listen
from gateway.server.worker import Served, Worker

def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

listener = listen("127.0.0.1", 0)
lanes = Lanes(lambda path: False, own=Places(2, 100), others=Places(2, 100))
worker = Worker(Served(application), listener, lanes=lanes, patience=Patience())
clients = [socket.create_connection(listener.getsockname(), timeout=20) for _ in range(20)]
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (60, most))
others = []
with contextlib.suppress(OSError):
    while True:
        others.append(os.open("/dev/null", os.O_RDONLY))
for _ in range(2):
    os.close(others.pop())  # what a loop takes for itself, at its start
told, really = threading.Event(), serving.tell
def tell(event, fault):
    really(event, fault)
    if event == "not accepted":
        told.set()
serving.tell = tell
threading.Thread(target=worker.run, args=(lambda: True,), kwargs={"grace_seconds": 0}, daemon=True).start()
assert told.wait(30)
time.sleep(1)
assert not worker._connections
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
for client in clients:
    client.sendall(b"GET / HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n")
for client in clients:
    received = b""
    while piece := client.recv(1000):
        received += piece
    assert received.startswith(b"HTTP/1.1 200 OK"), received
print("all served")
"""


def test_out_of_descriptors_the_server_waits_for_some_and_goes_on():
    done = subprocess.run([sys.executable, "-c", OUT_OF_DESCRIPTORS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert 1 <= done.stdout.count("not accepted") < 20, "asked again now and then, not at once and for ever"
    assert done.stdout.splitlines()[-1] == "all served"


def test_a_reset_while_a_request_is_read_concerns_nobody_else(place, tools):
    for _ in range(50):
        client = place.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(b"GET / HTTP/1.1\r\nHo")
        client.close()
    assert tools.Said(place.exchange(tools.get("/after"))).status == 200


def test_a_descriptor_used_again_is_another_client(hurried, tools):
    """Connections end and begin at the same moment as the sweeper wakes those whose time is over."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        idle = [hurried.connect() for _ in range(10)]
        for client in idle[:5]:
            client.close()
        for number in range(5):
            assert tools.Said(hurried.exchange(tools.get(f"/{number}"))).shown["PATH_INFO"] == f"/{number}"
        for client in idle[5:]:
            client.close()
    until(lambda: not hurried.worker._connections)


def test_stopping_finishes_what_runs_and_refuses_what_is_new(tools):
    place = tools.Place()
    with contextlib.ExitStack() as stack:
        stack.callback(place.close)
        running, idle, slow = (stack.enter_context(place.connect()) for _ in range(3))
        slow.sendall(tools.get("/large/8000000"))
        idle.sendall(tools.get("/idle"))
        tools.read_one(idle)
        running.sendall(tools.get("/wait"))
        assert place.town.inside.acquire(timeout=tools.WAIT)
        place.stop()
        until(lambda: place.listener.fileno() == -1)
        with pytest.raises(OSError):
            place.connect().close()
        time.sleep(0.2)
        assert place.thread.is_alive()
        place.town.open.set()
        assert tools.read_one(running).body == b"waited"
        assert len(tools.read_one(slow).body) == 8_000_000
        place.thread.join(tools.WAIT)
        assert not place.thread.is_alive()


def test_whoever_waits_for_a_free_thread_longer_than_a_head_may_take_is_still_answered(tools):
    place = tools.Place(patience=SHORT, concurrency=1)
    try:
        with place.connect() as busy, place.connect() as waiting:
            busy.sendall(b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
            assert place.town.inside.acquire(timeout=20)
            waiting.sendall(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
            time.sleep(5 * SHORT.head)
            place.town.open.set()
            assert b" 200 " in busy.recv(100)
            assert b" 200 " in waiting.recv(100)
    finally:
        place.close()
