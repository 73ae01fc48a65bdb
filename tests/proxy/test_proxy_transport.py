"""libcurl under requests: every exchange ends in time, whole or not at all, and none touches the next."""

import errno
import gc
import os
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pycurl
import pytest
import requests

from gateway.loop.loop import Loop
from gateway.loop.waiting import pause
from gateway.proxy import kept
from gateway.proxy.exchange import Question
from gateway.proxy.failures import MalformedAnswer, NothingLeft
from gateway.proxy.kept import KeptLine
from gateway.proxy.reader import AnswerReader
from upstream_stub import faults
from upstream_stub.faults import FAULTS

JSON = "Content-Type: application/json"
LATE, BROKEN, GONE = requests.Timeout, MalformedAnswer, requests.ConnectionError

ON_THE_WIRE = {
    "slow": LATE,
    "drip": LATE,
    "stall": LATE,
    "reset": BROKEN,
    "closed_at_once": GONE,
    "endless_header": BROKEN,
    "truncated": BROKEN,
    "length_and_chunks": BROKEN,
    "two_lengths": BROKEN,
    "bad_length": BROKEN,
    "bad_chunk": BROKEN,
    "unfinished_chunks": BROKEN,
    "too_large_chunked": BROKEN,
    "too_large_announced": BROKEN,
    "not_http": BROKEN,
}
"""The faults that end an exchange. All the others are answers in good order, for others to judge."""


@pytest.fixture(scope="module")
def backend():
    with faults.serve(slow_seconds=1.5) as server:
        yield server


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_in_its_own_way_and_the_next_exchange_is_untouched(backend, adapter, kit, name, send):
    client = adapter(deadline_seconds=0.7 if ON_THE_WIRE.get(name) is LATE else 20, size_limit=4 << 20)
    url = f"{backend.url}/dossiers/{FAULTS[name].number}"
    if name in ON_THE_WIRE:
        with pytest.raises(ON_THE_WIRE[name]) as caught:
            send(client, url)
        assert "CANARI" not in str(caught.value)
        assert not kit.resting(client)
    else:
        answered = send(client, url)
        assert answered.status_code >= 101
        assert len(answered.content) <= 4 << 20
        assert "x-famille" not in dict(answered.fields) or name == "talkative_headers"
    after = send(
        adapter() if ON_THE_WIRE.get(name) is LATE else client, f"{backend.url}/dossiers/9990001/rubriques/adresse"
    )
    assert after.status_code == 200
    assert after.content == backend._ordinary("GET", "/dossiers/9990001/rubriques/adresse").partition(b"\r\n\r\n")[2]


SURPLUS = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"

MORE = {
    "in the same piece": lambda kit: [kit.answer(b"first") + SURPLUS],
    "a moment later": lambda kit: [kit.answer(b"first"), 0.05, SURPLUS],
    "behind a body as large as the buffer": lambda kit: [kit.answer(b"a" * 262_144) + SURPLUS],
    "behind the last chunk": lambda kit: [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n" + SURPLUS
    ],
    "behind a 204": lambda kit: [b"HTTP/1.1 204 No Content\r\n\r\n" + SURPLUS],
    "behind a 304": lambda kit: [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n" + SURPLUS],
}


@pytest.mark.parametrize("alone", [False, True], ids=["on a connection that is kept", "alone"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "over TLS"])
@pytest.mark.parametrize("parts", MORE.values(), ids=MORE)
def test_what_follows_an_answer_is_never_taken_for_the_next(
    scripted, adapter, kit, certificates, parts, encrypted, alone
):
    context = server_context(certificates, "ours") if encrypted else None
    server = scripted(parts(kit), [kit.answer(b"second")], tls=context)
    client = adapter(ca=certificates / "ours.pem")
    assert b"smuggled" not in client.exchange(Question(server.url + "/1", {}, alone=alone)).content
    threading.Event().wait(0.2)
    for number in range(2, 5):
        assert client.exchange(Question(f"{server.url}/{number}", {}, alone=alone)).content == b"second"
    assert server.received[1].startswith(b"GET /2 ")


def test_what_comes_after_a_line_was_taken_and_before_it_is_asked_is_not_taken_for_the_answer(scripted, adapter, kit):
    server = scripted([kit.answer(b"first"), 0.2, SURPLUS], [kit.answer(b"second")])
    client, loop, got = adapter(), Loop(), []

    def begin(path):
        loop.start(lambda: got.append(kit.ask(client, server.url + path).content))

    def wait_for(many):
        until = time.monotonic() + 10
        while len(got) < many and time.monotonic() < until:
            loop.turn(0.1)

    begin("/1")
    wait_for(1)
    begin("/2")
    time.sleep(0.5)  # what else the loop does before it sends
    wait_for(2)
    assert got == [b"first", b"second"]
    assert server.connections == 2


def test_an_exchange_that_the_loop_cannot_watch_ends_at_once(scripted, adapter, kit, monkeypatch, send):
    server = scripted([kit.answer(b"first")])
    client = adapter(deadline_seconds=30)
    with monkeypatch.context() as patched:

        def no_more(*_):
            raise OSError(errno.ENOSPC, "no more watches for this user")

        patched.setattr(Loop, "watch", no_more)
        begun, caught = time.monotonic(), []

        def asking():
            with pytest.raises(GONE) as refused:
                send(client, server.url + "/1")
            caught.append(refused)

        thread = threading.Thread(target=asking, daemon=True)
        thread.start()
        thread.join(10)
        assert caught
        assert time.monotonic() - begun < 5
    assert send(client, server.url + "/2").content == b"first"


@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "over TLS"])
def test_what_is_asked_alone_has_a_connection_that_nobody_had_before_and_nobody_has_after(
    scripted, adapter, kit, certificates, encrypted
):
    context = server_context(certificates, "ours") if encrypted else None
    server = scripted([kit.answer(b"one")], tls=context)
    client = adapter(ca=certificates / "ours.pem")
    for number in range(5):
        assert client.exchange(Question(f"{server.url}/alone/{number}", {}, alone=True)).content == b"one"
        assert kit.ask(client, f"{server.url}/shared/{number}").content == b"one"
    assert server.connections == 5 + 1
    assert len(kit.resting(client)) == 2
    client.close()
    assert kit.resting(client) == []


def lines_of(port: int) -> dict[tuple[str, str], tuple[bool, str]]:
    """The connections to or from a port here by their ends: whether the port is the other one's, and their state, as
    Linux tells it."""
    found, ending = {}, f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines():
        if ending not in line:  # of ten thousands that other tests have left
            continue
        _, local, remote, state, *_ = line.split()
        for ours, address in ((False, local), (True, remote)):
            if address.endswith(ending) and state != LISTENS:
                found[local, remote] = ours, state
    return found


def connections(port: int, before=()) -> list[tuple[bool, str]]:
    """Of each connection to or from a port here, but for those there were `before` (somebody else's, a minute ago),
    whether it is at the caller's end and its state."""
    return [found for ends, found in lines_of(port).items() if ends not in before]


LISTENS, WAITS = "0A", "06"


def test_what_is_looked_at_would_be_seen(scripted):
    server = scripted([b""])
    with socket.create_connection(("127.0.0.1", server.port)):
        assert (True, "01") in connections(server.port)
    assert settled(server) == [(True, WAITS)], "who closes first keeps the port"


def settled(server, before=()) -> list[tuple[bool, str]]:
    """Its connections as soon as nobody has anything to close any more. (Not looked at twice: what waits is gone after
    a minute, and a machine can stand still for one.)"""
    until = time.monotonic() + 10
    while True:
        found = connections(server.port, before)
        if all(state == WAITS for _, state in found):
            return found
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "over TLS"])
@pytest.mark.parametrize("length", [3, 300_000])
def test_no_connection_that_the_gateway_closes_keeps_its_port(scripted, adapter, kit, certificates, encrypted, length):
    """A document has a connection of its own, and there are some 28 000 ports for a minute of them."""
    context = server_context(certificates, "ours") if encrypted else None
    server = scripted([kit.answer(b"a" * length)], tls=context)
    client, before = adapter(ca=certificates / "ours.pem"), lines_of(server.port)
    for number in range(20):
        assert len(client.exchange(Question(f"{server.url}/{number}", {}, alone=True)).content) == length
    client.close()
    assert settled(server, before) == []
    assert server.connections == 20


def test_neither_does_one_that_is_given_up_or_was_kept(scripted, adapter, kit):
    server, other = scripted([kit.answer(b"one")], [0.3, kit.answer(b"too late"), None]), scripted([kit.answer(b"one")])
    before = {one: lines_of(one.port) for one in (server, other)}
    client = adapter(deadline_seconds=0.1)
    assert kit.ask(client, server.url + "/1").content == b"one"
    with pytest.raises(LATE):
        kit.ask(client, server.url + "/2")
    assert kit.ask(client, other.url + "/").content == b"one"
    assert len(kit.resting(client)) == 1
    client.close()
    for one, earlier in before.items():
        assert settled(one, earlier) == []


@contextmanager
def no_descriptor_left():
    """In this process, whoever asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
    try:
        with suppress(OSError):
            while True:
                held.append(os.dup(2))
        yield
    finally:
        for one in held:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_where_this_machine_has_nothing_left_it_is_not_the_backend_that_is_gone(adapter, send):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        client, loop, ended = adapter(), Loop(), []

        def ask():
            try:
                send(client, url)
            except GONE as error:
                ended.append(error)

        def asked() -> requests.ConnectionError:
            loop.start(ask)
            until = time.monotonic() + 10
            while not ended and time.monotonic() < until:
                loop.turn(0.1)
            return ended.pop()

        assert not isinstance(asked(), NothingLeft)
        with no_descriptor_left():
            error = asked()
        assert isinstance(error, NothingLeft)
        assert "socket" in str(error)
        assert not isinstance(asked(), NothingLeft), "as soon as there is something again"


@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "over TLS"])
def test_a_good_connection_is_used_again(scripted, adapter, kit, certificates, encrypted):
    server = scripted([kit.answer(b"one")], tls=server_context(certificates, "ours") if encrypted else None)
    client = adapter(ca=certificates / "ours.pem")
    for _ in range(10):
        assert kit.ask(client, server.url + "/").content == b"one"
    assert server.connections == 1


def test_what_is_asked_alone_over_tls_keeps_its_session_and_its_certificates(scripted, adapter, kit, certificates):
    server = scripted([kit.answer(b"one")], tls=server_context(certificates, "ours"))
    client = adapter(ca=certificates / "ours.pem")
    lines = set()
    for _ in range(5):
        assert client.exchange(Question(server.url + "/", {}, alone=True)).content == b"one"
        lines.update(kit.resting(client))
    assert server.connections == 5
    assert len(lines) == 1


@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "over TLS"])
def test_who_hangs_up_on_a_question_after_a_rest_is_asked_again(scripted, adapter, kit, certificates, encrypted):
    context = server_context(certificates, "ours") if encrypted else None
    server = scripted([kit.answer(b"one")], [None], [kit.answer(b"three")], tls=context)
    client = adapter(ca=certificates / "ours.pem")
    assert kit.ask(client, server.url + "/1").content == b"one"
    assert kit.ask(client, server.url + "/2").content == b"three"
    assert [line.split(b" ")[1] for line in server.received] == [b"/1", b"/2", b"/2"]
    assert server.connections == 2


def at_once(loop, ask, times) -> list:
    """What becomes of a question that is asked so many times together, in one loop: answers, or errors."""
    ended = []

    def one():
        try:
            ended.append(ask())
        except GONE as error:
            ended.append(error)

    for _ in range(times):
        loop.start(one)
    until = time.monotonic() + 10
    while len(ended) < times and time.monotonic() < until:
        loop.turn(0.1)
    return ended


def test_a_question_that_ends_its_connection_is_not_asked_on_all_of_them(scripted, adapter, kit):
    server = scripted(*[[0.2, kit.answer(b"ok")]] * 5, [None])
    client, loop = adapter(), Loop()
    asked = partial(at_once, loop, lambda: kit.ask(client, server.url + "/").content)
    assert asked(5) == [b"ok"] * 5
    assert len(kit.resting(client)) == 5
    assert isinstance(asked(1)[0], requests.ConnectionError)
    assert len(server.received) == 5 + 2
    client.close()


@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "over TLS"])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n"], ids=["nothing", "an answer"])
def test_who_takes_a_connection_and_ends_it_is_tried_once(adapter, kit, certificates, said, encrypted):
    taken = []
    with socket.create_server(("127.0.0.1", 0)) as backend:

        def refuse():
            with suppress(OSError):
                while True:
                    connection, _ = backend.accept()
                    taken.append(connection)
                    if encrypted:
                        connection = server_context(certificates, "ours").wrap_socket(connection, server_side=True)
                    with connection:
                        connection.sendall(said)

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        client = adapter(ca=certificates / "ours.pem", deadline_seconds=5)
        for _ in range(3):
            # Too late to be seen before it was asked, it is an answer.
            with suppress(GONE, MalformedAnswer):
                assert (
                    kit.ask(client, f"http{'s' * encrypted}://127.0.0.1:{backend.getsockname()[1]}/").status_code == 503
                )
        backend.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert len(taken) <= 6
    client.close()


def test_an_answer_that_comes_before_all_was_asked_ends_the_connection(adapter, kit):
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as backend:

        def answer():
            with suppress(OSError):
                while True:
                    connection, _ = backend.accept()
                    with connection, suppress(ConnectionError):
                        heard.append(connection.recv(16))
                        connection.sendall(kit.answer(b"early"))
                        time.sleep(0.3)
                        while connection.recv(1 << 20):
                            pass

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        client, url = adapter(deadline_seconds=5), f"http://127.0.0.1:{backend.getsockname()[1]}"
        assert kit.ask(client, url + "/first", **{"X-Long": "a" * (20 << 20)}).content == b"early"
        assert kit.resting(client) == []
        assert kit.ask(client, url + "/second").content == b"early"
        client.close()
        backend.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert heard == [b"GET /first HTTP/", b"GET /second HTTP"]


@pytest.mark.looks_inside
@pytest.mark.parametrize("bound", ["MOST_IDLE", "MOST_AGED"])
def test_a_connection_that_has_rested_or_been_there_for_long_is_not_used_again(
    scripted, adapter, kit, monkeypatch, bound
):
    monkeypatch.setattr(kept, bound, 0.2)
    server = scripted([kit.answer(b"one")])
    client = adapter()
    assert kit.ask(client, server.url + "/").content == b"one"
    time.sleep(0.4)
    assert kit.ask(client, server.url + "/").content == b"one"
    assert server.connections == 2
    assert len(kit.resting(client)) == 1


def test_a_connection_that_has_been_there_for_long_is_not_used_again_though_it_never_rested_for_long(
    scripted, adapter, kit, monkeypatch
):
    server = scripted([0.05, kit.answer(b"one")])
    client, loop = adapter(), Loop()

    def asked(times):
        assert at_once(loop, lambda: kit.ask(client, server.url + "/").content, times) == [b"one"] * times

    asked(1)
    (oldest,) = kit.resting(client)
    monkeypatch.setattr(oldest, "_born", oldest._born - kept.MOST_AGED)
    asked(1)
    assert oldest not in kit.resting(client)
    asked(2)
    young, old = kit.resting(client)
    monkeypatch.setattr(old, "_born", old._born - kept.MOST_AGED)
    asked(1)
    assert kit.resting(client) == [young], "the one on top, which rested last, is as old as any"
    client.close()


def test_a_connection_that_ended_while_it_rested_holds_no_descriptor(scripted, adapter, kit):
    server = scripted([kit.answer(b"one"), 0.1, None], [kit.answer(b"two")])
    client, other = adapter(), scripted([0.5, kit.answer(b"other")])
    assert kit.ask(client, server.url + "/").content == b"one"
    (line,) = kit.resting(client)
    assert kit.ask(adapter(), other.url + "/").content == b"other"  # the loop goes on meanwhile
    assert line._socket.fileno() == -1
    assert kit.ask(client, server.url + "/").content == b"two"


def test_what_was_refused_is_not_kept_in_memory(scripted, adapter, kit):
    server = scripted([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nCANARI", None])

    def readers() -> int:
        return sum(type(one) is AnswerReader for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        client, before = adapter(), readers()
        for _ in range(5):
            with pytest.raises(MalformedAnswer):
                kit.ask(client, server.url + "/")
        assert readers() == before
    finally:
        gc.enable()


def test_who_hangs_up_on_every_question_is_not_asked_for_ever(scripted, adapter, kit):
    server = scripted([kit.answer(b"one")], [None])
    client = adapter()
    assert kit.ask(client, server.url + "/1").content == b"one"
    with pytest.raises(GONE):
        kit.ask(client, server.url + "/2")
    assert len(server.received) == 3


@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "over TLS"])
def test_a_question_that_does_not_go_out_at_once_goes_out_whole(scripted, adapter, kit, certificates, encrypted):
    context = server_context(certificates, "ours") if encrypted else None
    server = scripted([kit.answer(b"one")], tls=context)
    client, long = adapter(ca=certificates / "ours.pem"), "a" * (8 << 20)
    for _ in range(2):
        assert kit.ask(client, server.url + "/", **{"X-Long": long}).content == b"one"
        assert f"X-Long: {long}\r\n".encode() in server.received[-1]
    assert server.connections == 1


def test_a_header_that_is_not_ascii_is_not_sent(scripted, adapter, kit):
    server = scripted([kit.answer(b"one")])
    with pytest.raises(requests.exceptions.InvalidHeader):
        kit.ask(adapter(), server.url + "/", **{"X-A": "é"})
    assert server.connections == 0


def test_the_first_address_answers_though_the_second_was_tried_meanwhile(adapter, kit):
    slow, silent = on_one_port()
    port = slow.getsockname()[1]
    crowd = [crowded(socket.AF_INET6, ("::1", port)), crowded(socket.AF_INET, ("127.0.0.1", port))]

    def make_room():
        time.sleep(0.5)
        for one in crowd[0]:
            one.close()
        number = 0
        while True:
            try:
                connection, _ = slow.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):
                while connection.recv(65536):
                    number += 1
                    connection.sendall(kit.answer(b"%d" % number))
                    if number == 2:
                        looked_at.wait(30)
                        connection.sendall(SURPLUS)

    looked_at = threading.Event()
    backend = threading.Thread(target=make_room, daemon=True)
    backend.start()
    client = adapter(connect_seconds=8)
    client._lines._options.append((pycurl.RESOLVE, [f"backend.test:{port}:[::1],127.0.0.1"]))
    try:
        url = f"http://backend.test:{port}/"
        assert kit.ask(client, url).content == b"1"
        # That connection is the one that is kept, and looked at.
        assert kit.ask(client, url).content == b"2"
        (line,) = kit.resting(client)
        assert line.is_silent()
        looked_at.set()
        assert line._looking.poll(30_000)
        assert not line.is_silent()
    finally:
        looked_at.set()
        client.close()
        slow.shutdown(socket.SHUT_RDWR)
        backend.join(10)
        for one in (slow, silent, *crowd[0], *crowd[1]):
            one.close()


def on_one_port():
    """Two listeners, of IPv6 and of IPv4. A port that is free for the one may be somebody's for the other."""
    for _ in range(50):
        try:
            first = socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=0)
        except OSError:
            pytest.skip("no IPv6 here")
        try:
            return first, socket.create_server(("127.0.0.1", first.getsockname()[1]), backlog=0)
        except OSError:
            first.close()
    pytest.fail("no port is free for both")


def crowded(family, address):
    """Connections that fill the backlog of a listener: whoever comes next must try again after a second."""
    crowd = [socket.socket(family) for _ in range(3)]
    for one in crowd:
        one.setblocking(False)
        one.connect_ex(address)
    return crowd


def test_a_connection_that_the_backend_closed_meanwhile_is_replaced(scripted, adapter, kit):
    server = scripted([kit.answer(b"one"), None])
    client = adapter()
    for _ in range(5):
        assert kit.ask(client, server.url + "/").content == b"one"


FRAMES = {
    "chunks in capitals": (b"Transfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    "trailers": (b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Famille: a\r\nX-B: b\r\n\r\n", b"ok"),
    "words behind the size of a chunk": (b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n", b"ok"),
    "a coding on a line that is folded": (b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    "gzip and chunked": (b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
    "gzip and chunked, folded": (b"Transfer-Encoding: gzip,\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
    "identity": (b"Transfer-Encoding: identity\r\n\r\nok", None),
    "two codings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
    "the same length twice": (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokx", None),
    "a length below zero": (b"Content-Length: -2\r\n\r\nok", None),
    "a length with a sign": (b"Content-Length: +2\r\n\r\nok", None),
    "a length that is a list": (b"Content-Length: 2, 2\r\n\r\nok", None),
    "a length without a number": (b"Content-Length: \r\n\r\nok", None),
    "a length and chunks": (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", None),
    "a space behind the size of a chunk": (b"Transfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0\r\n\r\n", b"ok"),
    "a space before the colon of the length": (b"Content-Length : 500\r\n\r\nok", None),
    "a space before the colon of the coding": (b"Transfer-Encoding : chunked\r\n\r\n2\r\nok\r\n", None),
    "a space before the colon": (b"Content-Length: 2\r\nX-A : b\r\n\r\nok", None),
    "a line without a colon": (b"Content-Length: 2\r\nX-A\r\n\r\nok", None),
    "a line without a name": (b"Content-Length: 2\r\n: b\r\n\r\nok", None),
    "a status line among the headers": (b"Content-Length: 2\r\nHTTP/1.1 200 OK\r\n\r\nok", None),
    "NUL in a header": (b"Content-Length: 2\r\nX-A: a\0b\r\n\r\nok", None),
}


@pytest.mark.parametrize(("rest", "body"), FRAMES.values(), ids=FRAMES)
def test_an_answer_is_framed_in_one_way_or_refused(scripted, adapter, rest, body, send):
    server = scripted([b"HTTP/1.1 200 OK\r\nX-First: 1\r\n" + rest, None])
    if body is None:
        with pytest.raises(MalformedAnswer):
            send(adapter(deadline_seconds=3), server.url + "/")
    else:
        answered = send(adapter(deadline_seconds=3), server.url + "/")
        assert answered.content == body
        assert [name for name, _ in answered.fields] == ["x-first", "transfer-encoding"]


def test_a_trailer_that_looks_like_a_status_line_is_one_to_libcurl_and_none_to_llhttp(scripted, adapter, kit):
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Famille: a\r\nHTTP/1.1: b\r\n\r\n"
    server = scripted([chunks, None])
    answered = adapter(deadline_seconds=3).exchange(Question(server.url + "/", {}, alone=True))
    assert answered.content == b"ok"
    assert [name for name, _ in answered.fields] == ["transfer-encoding"]
    with pytest.raises(MalformedAnswer):
        kit.ask(adapter(deadline_seconds=3), server.url + "/")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Length: 4\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n",
    ],
)
def test_an_answer_that_breaks_off_in_its_head_is_none(scripted, adapter, head, send):
    with pytest.raises((BROKEN, GONE)):
        send(adapter(), scripted([head, None]).url + "/")


ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[1,"


class ToTheEnd:
    """A backend that answers once, without saying how long its answer is, and ends the connection in its way."""

    def __init__(self, end, context=None) -> None:
        self._end, self._context = end, context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def _answer(self) -> None:
        connection, _ = self._listener.accept()
        if self._context:
            connection = self._context.wrap_socket(connection, server_side=True)
        with connection:
            connection.recv(65536)
            connection.sendall(ENDLESS)
            time.sleep(0.1)  # read before the end, which a reset may overtake
            self._end(connection)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._listener.close()
        self._thread.join(10)


def in_order(connection) -> None:
    if isinstance(connection, ssl.SSLSocket):
        with suppress(OSError):
            connection.unwrap()


def cut(connection) -> None:
    """Closed beneath TLS, as anyone between the two can do."""
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("end", "encrypted", "whole"),
    [
        pytest.param(in_order, False, True, id="closed"),
        pytest.param(reset, False, False, id="reset"),
        pytest.param(in_order, True, True, id="closed over TLS"),
        pytest.param(cut, True, False, id="cut off beneath TLS"),
        pytest.param(reset, True, False, id="reset beneath TLS"),
    ],
)
def test_an_answer_that_ends_with_its_connection_is_whole_where_that_was_closed(
    adapter, certificates, send, end, encrypted, whole
):
    client = adapter(ca=certificates / "ours.pem", deadline_seconds=5)
    with ToTheEnd(end, server_context(certificates, "ours") if encrypted else None) as backend:
        if whole:
            assert send(client, backend.url).content == b"[1,"
        else:
            with pytest.raises(BROKEN):
                send(client, backend.url)


@pytest.mark.attack(25)
@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.0 200 OK", True),
        (b"HTTP/1.1 200", True),
        (b"HTTP/1.1 200 ", True),
        (b"HTTP/1.1 2000 OK", False),
        (b"HTTP/1.1 200OK", False),
        (b"HTTP/1.1 20 OK", False),
        (b"HTTP/1.1  200 OK", False),
        (b"HTTP/1.2 200 OK", False),
        (b"HTTP/2 200 OK", False),
        (b"HTTP/11 200 OK", False),
        (b"http/1.1 200 OK", False),
    ],
    ids=repr,
)
def test_a_status_line_is_one_or_the_answer_is_refused(scripted, adapter, line, read, send):
    server = scripted([line + b"\r\nContent-Length: 2\r\n\r\n{}", None])
    if read:
        assert send(adapter(), server.url + "/").content == b"{}"
    else:
        with pytest.raises((MalformedAnswer, requests.ConnectionError)):
            send(adapter(), server.url + "/")


def test_interim_answers_leave_nothing_in_the_last(scripted, adapter, kit, send):
    hints = b"HTTP/1.1 103 Early Hints\r\nX-Famille: a\r\n\r\n" * 3
    answered = send(adapter(), scripted([hints + kit.answer(b"ok", JSON)]).url + "/")
    assert answered.status_code == 200
    assert answered.fields == [("content-type", "application/json"), ("content-length", "2")]
    assert answered.named("content-length") == ["2"]


def test_a_session_of_requests_is_carried_as_well(scripted, adapter, kit):
    server = scripted([kit.answer(b'{"a": 1}', JSON, "X-A: 1", "X-A: 2")])
    with requests.Session() as session:
        session.mount("http://", adapter())
        for number in range(2):
            answered = session.get(f"{server.url}/{number}", headers={"X-B": "3"})
            assert (answered.status_code, answered.json(), answered.url) == (200, {"a": 1}, f"{server.url}/{number}")
            assert (answered.headers["content-type"], answered.headers["X-a"]) == ("application/json", "2")
        assert session.post(f"{server.url}/2", data=b"posted").ok
    assert [asked.split()[:2] for asked in server.received] == [[b"GET", b"/0"], [b"GET", b"/1"], [b"POST", b"/2"]]
    assert b"\r\nX-B: 3\r\n" in server.received[0]
    assert server.connections == 2


@pytest.mark.parametrize("last", ["Connection: close", "Connection: keep-alive"])
def test_an_answer_is_the_same_whether_another_may_follow_or_not(scripted, adapter, kit, send, last):
    client, server = adapter(), scripted([kit.answer(b"ok", JSON, last)])
    for _ in range(2):
        answered = send(client, server.url + "/")
        _, value = last.split(": ")
        assert answered.fields == [
            ("content-type", "application/json"),
            ("connection", value),
            ("content-length", "2"),
        ]
        assert answered.content == b"ok"


@pytest.mark.parametrize("size", [1000, 1001], ids=["at the limit", "one byte more"])
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "in chunks"])
def test_the_size_limit_is_exact(scripted, adapter, kit, size, chunked, send):
    body = b"a" * size
    frame = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    server = scripted([frame if chunked else kit.answer(body)])
    if size > 1000:
        with pytest.raises(MalformedAnswer, match="limit"):
            send(adapter(size_limit=1000), server.url + "/")
    else:
        assert send(adapter(size_limit=1000), server.url + "/").content == body


@pytest.mark.parametrize("seconds", [0.0001, 0.2])
def test_a_deadline_however_short_is_one(scripted, adapter, kit, seconds, send):
    server = scripted([3.0, kit.answer(b"ok")])
    with pytest.raises(requests.Timeout):
        send(adapter(deadline_seconds=seconds), server.url + "/")


def test_a_backend_that_is_not_there_is_a_connection_error(adapter, scripted, send):
    gone = scripted([b""])
    gone.close()
    with pytest.raises(requests.ConnectionError):
        send(adapter(), gone.url + "/")


def test_no_redirect_is_followed_and_no_cookie_kept(scripted, adapter, kit, send):
    elsewhere = scripted([kit.answer(b"elsewhere")])
    moved = kit.answer(b"", f"Location: {elsewhere.url}/", "Set-Cookie: a=b", status="302 Found")
    server = scripted([moved])
    client = adapter()
    for _ in range(2):
        assert send(client, server.url + "/").status_code == 302
    assert elsewhere.received == []
    assert b"ookie" not in server.received[1]


def test_nothing_of_the_environment_is_used(scripted, adapter, kit, monkeypatch, tmp_path, send):
    proxy = scripted([kit.answer(b"proxy")])
    server = scripted([kit.answer(b"backend")])
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert send(adapter(), server.url + "/").content == b"backend"
    assert b"uthorization" not in server.received[0]
    assert proxy.received == []


def test_the_path_is_sent_as_it_is_and_the_headers_are_those_given(scripted, adapter, kit, send):
    server = scripted([kit.answer(b"ok")])
    send(adapter(), server.url + "/a/../b%2Fc?d=e", Accept="text/plain")
    line, *headers = server.received[0].decode().split("\r\n")[:-2]
    assert line == "GET /a/../b%2Fc?d=e HTTP/1.1"
    assert sorted(headers) == ["Accept: text/plain", f"Host: 127.0.0.1:{server.port}", "User-Agent: cafpro-gateway"]


@pytest.mark.parametrize("value", ["a\r\nX-B: b", "a\nb", "a\rb", "a\0b", "a\x1bb"], ids=repr)
def test_a_header_that_would_be_several_is_not_sent(scripted, adapter, kit, value, send):
    server = scripted([kit.answer(b"ok")])
    with pytest.raises(requests.exceptions.InvalidHeader):
        send(adapter(), server.url + "/", **{"X-A": value})
    assert server.received == []


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX-B: b", "/a\nb", "/a\tb"], ids=repr)
def test_an_address_that_would_be_several_lines_is_not_asked_for(scripted, adapter, kit, path, send):
    server = scripted([kit.answer(b"ok")])
    with pytest.raises(requests.RequestException):
        send(adapter(), server.url + path)
    assert server.received == []


@pytest.mark.parametrize("scheme", ["file", "ftp", "gopher", "dict"])
def test_only_http_is_spoken(adapter, scheme, send):
    with pytest.raises(requests.RequestException):
        send(adapter(), f"{scheme}://127.0.0.1/etc/passwd")


def test_threads_share_connections_and_never_an_answer(backend, adapter, kit):
    client = adapter()
    numbers = [f"999000{n}" for n in range(1, 4)]
    expected = {n: kit.ask(client, f"{backend.url}/dossiers/{n}").content for n in numbers}
    mistakes = []

    def work(seed: int) -> None:
        for step in range(15):
            number = numbers[(seed + step) % len(numbers)]
            try:
                if kit.ask(client, f"{backend.url}/dossiers/{number}").content != expected[number]:
                    mistakes.append(number)
            except Exception as error:  # noqa: BLE001 - told by the main thread
                mistakes.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert mistakes == []
    assert len(kit.resting(client)) <= 32
    assert len(set(expected.values())) == 3


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_child_process_does_not_speak_on_its_parents_connections(scripted, adapter, kit):
    server = scripted([kit.answer(b"ok")])
    client = adapter()
    kit.ask(client, server.url + "/parent")
    child = os.fork()
    if child == 0:
        try:
            code = 0 if kit.ask(client, server.url + "/child").content == b"ok" and len(kit.resting(client)) == 1 else 1
        except BaseException:  # noqa: BLE001 - a child must not run on as a second pytest
            code = 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert server.connections == 2
    kit.ask(client, server.url + "/parent")
    assert server.connections == 2


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Self-signed certificates of 127.0.0.1 and of another host, and one for a client."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, subject in (
        ("ours", "IP:127.0.0.1,DNS:localhost"),
        ("other", "DNS:elsewhere.example"),
        ("client", "DNS:gateway"),
    ):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject}"),
                *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")),
            ],
            check=True,
            capture_output=True,
        )
    return folder


def server_context(folder, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.mark.parametrize(
    ("name", "ca", "accepted"),
    [
        pytest.param("ours", "ours.pem", True, id="the authority is the one named"),
        pytest.param("ours", None, False, id="self-signed, before the public authorities"),
        pytest.param("ours", "other.pem", False, id="signed by another"),
        pytest.param("other", "other.pem", False, id="of another host"),
        pytest.param("ours", "ours.key", False, id="an authority that is no certificate"),
        pytest.param("ours", "none.pem", False, id="an authority that is not there"),
    ],
)
def test_the_backends_certificate_is_verified(scripted, adapter, kit, certificates, name, ca, accepted):
    server = scripted([kit.answer(b"ok")], tls=server_context(certificates, name))
    client = adapter(ca=certificates / ca if ca else None)
    if accepted:
        assert kit.ask(client, server.url + "/").content == b"ok"
    else:
        with pytest.raises(requests.ConnectionError):
            kit.ask(client, server.url + "/")
        assert server.received == []


@pytest.mark.parametrize("name", ["ca", "client_certificate"])
def test_a_certificate_that_was_renewed_is_the_one_of_the_next_connection(
    scripted, adapter, kit, certificates, tmp_path, name
):
    context = server_context(certificates, "ours")
    context.load_verify_locations(certificates / "client.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = scripted([kit.answer(b"ok"), None], tls=context)
    files = {"ca": "ours.pem", "client_certificate": "client.pem", "client_key": "client.key"}
    for file in files.values():
        shutil.copy(certificates / file, tmp_path / file)
    client = adapter(**{option: tmp_path / file for option, file in files.items()})
    assert kit.ask(client, server.url + "/").content == b"ok"
    other = "other" if name == "ca" else "ours"
    shutil.copy(certificates / f"{other}.pem", tmp_path / files[name])
    if name == "client_certificate":
        shutil.copy(certificates / f"{other}.key", tmp_path / files["client_key"])
    with pytest.raises(requests.RequestException):
        kit.ask(client, server.url + "/")
    for file in files.values():
        shutil.copy(certificates / file, tmp_path / file)
    assert kit.ask(client, server.url + "/").content == b"ok"


def test_what_tls_says_for_itself_while_nothing_is_asked_disturbs_nobody(
    scripted, adapter, kit, certificates, monkeypatch
):
    """The tickets of a session come behind the handshake, when the question may not have been sent."""

    class Late(KeptLine):
        def exchange(self, task, *rest):
            pause(0.2)
            return super().exchange(task, *rest)

    monkeypatch.setattr("gateway.proxy.lines.KeptLine", Late)
    server = scripted([kit.answer(b"ok")], tls=server_context(certificates, "ours"))
    client = adapter(ca=certificates / "ours.pem", deadline_seconds=5)
    for _ in range(3):
        assert kit.ask(client, server.url + "/").content == b"ok"
    assert server.connections == 1


def test_one_byte_that_nobody_asked_for_is_not_forgotten_once_it_was_seen(scripted, adapter, kit, certificates):
    server = scripted([kit.answer(b"first"), 0.1, b"x"], [kit.answer(b"ok")], tls=server_context(certificates, "ours"))
    client = adapter(ca=certificates / "ours.pem")
    assert kit.ask(client, server.url + "/").content == b"first"
    (line,) = kit.resting(client)
    time.sleep(0.3)
    assert [line.is_silent() for _ in range(3)] == [False] * 3
    assert kit.ask(client, server.url + "/").content == b"ok"
    assert server.connections == 2


def test_who_does_not_shake_hands_is_late(adapter, kit):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(requests.Timeout):
            kit.ask(adapter(deadline_seconds=0.5), f"https://127.0.0.1:{silent.getsockname()[1]}/")
        assert time.monotonic() - begun < 5


def test_a_handshake_is_part_of_connecting(adapter, kit):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(requests.Timeout):
            kit.ask(adapter(connect_seconds=0.5, deadline_seconds=30), f"https://127.0.0.1:{silent.getsockname()[1]}/")
        assert time.monotonic() - begun < 10


def test_what_this_machine_lacks_for_tls_says_nothing_of_the_backend(scripted, adapter, kit, certificates, monkeypatch):
    def no_more(*_):
        raise OSError(errno.ENOSPC, "no more watches for this user")

    server = scripted([kit.answer(b"ok")], tls=server_context(certificates, "ours"))
    with monkeypatch.context() as patched:
        patched.setattr("gateway.proxy.tls._shake_hands", no_more)
        with pytest.raises(NothingLeft, match="ENOSPC"):
            kit.ask(adapter(ca=certificates / "ours.pem"), server.url + "/")
    assert kit.ask(adapter(ca=certificates / "ours.pem"), server.url + "/").content == b"ok"


def test_a_name_may_end_with_a_dot(scripted, adapter, kit, certificates):
    server = scripted([kit.answer(b"ok")], tls=server_context(certificates, "ours"))
    assert kit.ask(adapter(ca=certificates / "ours.pem"), f"https://localhost.:{server.port}/").content == b"ok"


def test_the_secrets_of_connections_are_written_nowhere(scripted, kit, certificates, tmp_path):
    server = scripted([kit.answer(b"ok")], tls=server_context(certificates, "ours"))
    code = f"""
from pathlib import Path
from gateway.proxy.exchange import Question
from gateway.proxy.transport import TransportAdapter
ca = Path({str(certificates)!r}) / "ours.pem"
adapter = TransportAdapter(deadline_seconds=9, connect_seconds=9, size_limit=9, ca=ca)
for alone in (False, True):
    print(adapter.exchange(Question({server.url!r} + "/", {{}}, alone=alone)).content)
"""
    file = tmp_path / "secrets"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "SSLKEYLOGFILE": str(file)}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["b'ok'"] * 2, done.stderr
    assert not file.exists()


def test_who_speaks_no_tls_is_not_asked(adapter, kit):
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer():
            connection, _ = plain.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                connection.recv(65536)

        backend = threading.Thread(target=answer, daemon=True)
        backend.start()
        with pytest.raises(GONE, match="TLS"):
            kit.ask(adapter(), f"https://127.0.0.1:{plain.getsockname()[1]}/")
        backend.join(10)


@pytest.mark.filterwarnings("ignore:.*TLSv1.*is deprecated:DeprecationWarning")
def test_tls_before_1_2_is_not_spoken_with_the_backend(scripted, adapter, kit, certificates):
    context = server_context(certificates, "ours")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    server = scripted([kit.answer(b"ok")], tls=context)
    with pytest.raises(requests.ConnectionError):
        kit.ask(adapter(ca=certificates / "ours.pem"), server.url + "/")


@pytest.mark.parametrize("shown", [True, False], ids=["with a certificate", "without"])
def test_a_backend_can_ask_the_gateway_for_its_certificate(scripted, adapter, kit, certificates, shown):
    context = server_context(certificates, "ours")
    context.load_verify_locations(certificates / "client.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = scripted([kit.answer(b"ok")], tls=context)
    own = {"client_certificate": certificates / "client.pem", "client_key": certificates / "client.key"}
    client = adapter(ca=certificates / "ours.pem", **(own if shown else {}))
    if shown:
        assert kit.ask(client, server.url + "/").content == b"ok"
    else:
        with pytest.raises(GONE):
            kit.ask(client, server.url + "/")
        assert server.received == []
        assert server.connections == 1, "it is not tried for ever"


def test_a_key_under_a_passphrase_cannot_be_used_and_nobody_is_asked(scripted, kit, certificates):
    """On a terminal, where OpenSSL would ask and wait."""
    wrapped = certificates / "wrapped.key"
    subprocess.run(
        ["openssl", "pkey", "-in", certificates / "client.key", "-aes256", "-passout", "pass:secret", "-out", wrapped],
        check=True,
        capture_output=True,
    )
    server = scripted([kit.answer(b"ok")], tls=server_context(certificates, "ours"))
    code = f"""
from pathlib import Path
from gateway.proxy.fetch import Backend
from gateway.settings import Upstream
folder = Path({str(certificates)!r})
own = dict(client_certificate=folder / "client.pem", client_key=folder / "wrapped.key")
try:
    Backend(Upstream(url={server.url!r}, ca=folder / "ours.pem", **own)).fetch("/a", {{}})
except Exception as refusal:
    print(type(refusal).__name__)
"""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        said = bytearray()
        with suppress(OSError):  # EIO: the other side is closed
            while piece := os.read(ours, 4096):
                said += piece
                if b"pass phrase" in said:
                    process.kill()
        os.close(ours)
        assert process.wait(20) == 0, said
    assert bytes(said).strip() == b"UpstreamUnreachable"
    assert server.received == []
