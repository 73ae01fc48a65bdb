"""Asked to end: what runs is finished, what waits is begun for a moment, the rest refused, and nobody holds it up."""

import contextlib
import select
import threading

import pytest

from gateway.server import worker as server
from gateway.server.connection import Patience
from tests.server.talking import Place, Said, everything, get, post, read_one, until

SHORT = Patience(head=0.4, body=0.4, idle=60.0, answer=0.4)
LONG_GRACE = 600.0
"""Seconds: what ends within a test did not end because this time was over."""


@pytest.fixture
def start():
    with contextlib.ExitStack() as stack:

        def begin(**options):
            place = Place(**options)
            stack.callback(place.close)
            return place

        yield begin


def stop(place):
    place.stop()
    until(lambda: place.listener.fileno() == -1)


def busy(place, stack, clients):
    """So many clients that have asked and wait, those at work first."""
    asking = [stack.enter_context(place.connect()) for _ in range(clients)]
    for client in asking:
        client.sendall(get("/wait"))
    for _ in range(min(place.concurrency, clients)):
        assert place.town.inside.acquire(timeout=20)
    until(lambda: len(place.worker._others.queue) == max(0, clients - place.concurrency))
    return asking


def test_whoever_waits_when_it_begins_to_end_is_still_served(start, monkeypatch):
    monkeypatch.setattr(server, "BEGIN_SECONDS", 60.0)
    place = start(concurrency=2, grace_seconds=LONG_GRACE)
    with contextlib.ExitStack() as stack:
        clients = busy(place, stack, 5)
        stop(place)
        with pytest.raises(ConnectionRefusedError):
            place.connect()
        place.town.open.set()
        answers = [Said(everything(client)) for client in clients]
    assert [(said.body, said["connection"]) for said in answers] == [(b"waited", ["close"])] * 5
    place.thread.join(20)
    assert not place.thread.is_alive()


def test_whoever_has_waited_in_vain_is_refused_and_what_runs_is_finished(start, monkeypatch):
    monkeypatch.setattr(server, "BEGIN_SECONDS", 0.1)
    place = start(concurrency=2, grace_seconds=LONG_GRACE)
    with contextlib.ExitStack() as stack:
        known = stack.enter_context(place.connect())
        known.sendall(get("/x")[:-2])
        clients = busy(place, stack, 5)
        stop(place)
        until(lambda: len(select.select(clients, [], [], 0)[0]) == 3)
        refused = select.select(clients, [], [], 0)[0]
        for client in refused:
            said = Said(everything(client))
            assert (said.status, said["connection"]) == (503, ["close"])
        known.sendall(b"\r\n")
        assert Said(everything(known)).status == 503, "nothing is begun any more"
        place.town.open.set()
        finished = [Said(everything(client)) for client in clients if client not in refused]
    assert [said.body for said in finished] == [b"waited"] * 2
    assert len(place.town.seen) == 2


def test_whoever_waits_when_the_time_is_over_is_refused_before_the_end(start, monkeypatch):
    monkeypatch.setattr(server, "BEGIN_SECONDS", 60.0)
    place = start(concurrency=1, grace_seconds=0.3)
    with contextlib.ExitStack() as stack:
        _, waiting = busy(place, stack, 2)
        place.stop()
        assert read_one(waiting).status == 503
        place.thread.join(20)
        assert not place.thread.is_alive(), "what hangs does not hold it beyond its time"


def test_a_connection_that_is_idle_is_closed_at_once_while_others_are_at_work(start):
    place = start(grace_seconds=LONG_GRACE)
    with contextlib.ExitStack() as stack:
        idle = stack.enter_context(place.connect())
        idle.sendall(get("/x"))
        read_one(idle)
        [client] = busy(place, stack, 1)
        stop(place)
        assert idle.recv(1) == b""
        assert place.thread.is_alive()
        place.town.open.set()
        assert read_one(client).body == b"waited"


def test_a_request_that_had_come_on_an_idle_connection_is_answered(start):
    place = start(grace_seconds=LONG_GRACE)
    sent = threading.Event()

    def hold(environ, start_response, _):
        assert sent.wait(20)  # the whole loop, so that what is sent meanwhile is there when it goes on, and not read
        return place.town.send(start_response, b"held")

    place.town.do_hold = hold
    with place.connect() as holder, place.connect() as idle:
        idle.sendall(get("/x"))
        read_one(idle)
        holder.sendall(get("/hold"))
        until(lambda: place.town.seen[-1]["PATH_INFO"] == "/hold")
        place.stop()
        idle.sendall(get("/in-time"))
        sent.set()
        assert read_one(holder).body == b"held"
        assert read_one(idle).shown["PATH_INFO"] == "/in-time"


@pytest.mark.parametrize("begun", [post("/body", b"abc")[:-2], get("/body")[:-1]], ids=["its body", "its head"])
def test_a_request_that_has_begun_to_arrive_is_waited_for_though_nothing_else_is_at_work(start, monkeypatch, begun):
    monkeypatch.setattr(server, "BEGIN_SECONDS", 60.0)
    place = start(grace_seconds=LONG_GRACE)
    with place.connect() as client:
        client.sendall(begun)
        until(lambda: any(connection.arrives for connection in list(place.worker._connections.values())))
        stop(place)
        place.thread.join(0.5)
        assert place.thread.is_alive(), "longer than it takes to see that nothing is at work"
        client.sendall(b"bc" if begun.startswith(b"POST") else b"\n")
        assert Said(everything(client)).status == 200
    place.thread.join(20)
    assert not place.thread.is_alive()


@pytest.mark.attack(13)
@pytest.mark.parametrize("others", [0, 1], ids=["nothing else at work", "another at work"])
def test_whoever_has_not_sent_its_body_when_nothing_is_begun_any_more_is_refused(start, monkeypatch, others):
    monkeypatch.setattr(server, "BEGIN_SECONDS", 0.1)
    place = start(patience=Patience(body=600.0), grace_seconds=LONG_GRACE)
    with contextlib.ExitStack() as stack:
        asking = busy(place, stack, others)
        sending = stack.enter_context(place.connect())
        sending.sendall(post("/body", b"abc")[:-2])
        until(lambda: any(connection.awaits_body for connection in list(place.worker._connections.values())))
        stop(place)
        said = read_one(sending)
        assert (said.status, said["connection"]) == (503, ["close"])
        place.town.open.set()
        assert [read_one(client).body for client in asking] == [b"waited"] * others
        place.thread.join(20)
        assert not place.thread.is_alive()
    assert place.refused == 1
    assert "/body" not in {environ["PATH_INFO"] for environ in place.town.seen}


@pytest.mark.attack(13)
def test_whoever_has_only_begun_a_head_holds_it_up_no_longer_than_requests_are_begun(start, monkeypatch):
    monkeypatch.setattr(server, "BEGIN_SECONDS", 0.1)
    place = start(patience=Patience(head=600.0), grace_seconds=LONG_GRACE)
    with place.connect() as client:
        client.sendall(b"GET /x HTT")
        until(lambda: any(connection.arrives for connection in list(place.worker._connections.values())))
        place.stop()
        place.thread.join(20)
        assert not place.thread.is_alive()


def ends_beside_a_reader_that_does_not_read(place):
    with place.connect() as client:
        client.sendall(get("/large/33554432"))
        until(lambda: any(connection.outgoing for connection in list(place.worker._connections.values())))
        place.stop()
        place.thread.join(20)
        return not place.thread.is_alive()


def test_a_reader_that_does_not_read_is_given_up_at_its_own_time_also_while_it_ends(start):
    assert ends_beside_a_reader_that_does_not_read(start(patience=SHORT, grace_seconds=LONG_GRACE))


def test_a_reader_that_does_not_read_cannot_hold_it_beyond_its_time(start):
    assert ends_beside_a_reader_that_does_not_read(start(grace_seconds=0.5))


def test_times_and_the_date_are_kept_also_while_it_ends(start):
    place = start(patience=SHORT, grace_seconds=LONG_GRACE)
    with contextlib.ExitStack() as stack:
        [client] = busy(place, stack, 1)
        late, headless = (stack.enter_context(place.connect()) for _ in range(2))
        until(lambda: len(place.worker._connections) == 3)
        stop(place)
        place.worker._date = "long ago"
        late.sendall(get("/body", "Content-Length: 100", method="POST") + b"ab")
        headless.sendall(b"GET /x HTT")
        assert read_one(late).shown["body"] == "late"
        assert headless.recv(1) == b""
        until(lambda: place.worker._date != "long ago")
        place.town.open.set()
        assert read_one(client).body == b"waited"
