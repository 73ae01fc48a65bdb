"""More than there is room for: answered at once that it shall come back, and nobody else waits for it."""

import contextlib
import socket

import pytest

from gateway.server import worker as server
from tests.server.talking import Place, Said, everything, get, post, read_one, until

CONCURRENCY, WAITING = 2, 3


@pytest.fixture
def small():
    place = Place(concurrency=CONCURRENCY, waiting=WAITING, own_at_work=1, own_waiting=1)

    def own(environ, start_response, rest):
        return getattr(place.town, f"do_{rest}", place.town.show)(environ, start_response, "")

    place.town.do_own = own
    yield place
    place.close()


def fill(place, stack, path="/wait", *, at_work=CONCURRENCY, waiting=WAITING):
    """Clients that hold every place of a lane."""
    clients = []
    for number in range(at_work + waiting):
        client = stack.enter_context(place.connect())
        client.sendall(get(path))
        clients.append(client)
        if number < at_work:
            assert place.town.inside.acquire(timeout=20)
    lane = place.worker._own if path.startswith("/own") else place.worker._others
    until(lambda: len(lane.queue) == waiting)
    return clients


def test_beyond_the_places_it_is_answered_503_at_once_and_never_enters_the_application(small):
    with contextlib.ExitStack() as stack:
        clients = fill(small, stack)
        late = stack.enter_context(small.connect())
        late.sendall(get("/late"))
        said = read_one(late)
        assert (said.status, said.body, said["retry-after"]) == (503, b"no room", ["2"])
        assert small.refused == 1
        assert "/late" not in {environ["PATH_INFO"] for environ in small.town.seen}
        small.town.open.set()
        assert [read_one(client).body for client in clients] == [b"waited"] * len(clients)
        late.sendall(get("/late"))
        assert read_one(late).status == 200, "the connection has stayed"


@pytest.mark.parametrize("path", ["/own/health", "/%6fwn/health", "/own", "/own/?a=b"])
def test_the_applications_own_addresses_do_not_wait_for_the_others(small, path):
    with contextlib.ExitStack() as stack:
        fill(small, stack)
        assert Said(small.exchange(get(path))).status == 200
        assert Said(small.exchange(get("/x/own"))).status == 503


def test_the_others_do_not_wait_for_the_applications_own_addresses(small):
    with contextlib.ExitStack() as stack:
        fill(small, stack, "/own/wait", at_work=1, waiting=1)
        assert Said(small.exchange(post("/own", b"abc"))).status == 503
        assert Said(small.exchange(get("/x"))).status == 200


def test_head_is_refused_without_a_body(small):
    with contextlib.ExitStack() as stack:
        fill(small, stack)
        with small.connect() as client:
            client.sendall(get("/x", "Connection: close", method="HEAD"))
            said = Said(everything(client), has_body=False)
    assert (said.status, said["content-length"], said.rest) == (503, ["7"], b"")


@pytest.mark.parametrize("sent", [0, 1_000_000], ids=["nothing of it sent", "much of it sent"])
def test_a_body_that_nobody_reads_ends_the_connection_with_the_refusal(small, sent):
    with contextlib.ExitStack() as stack:
        fill(small, stack)
        with small.connect() as client:
            client.sendall(get("/x", "Content-Length: 1000000", method="POST") + bytes(sent))
            client.shutdown(socket.SHUT_WR)
            said = Said(everything(client))
    assert (said.status, said["connection"]) == (503, ["close"])


def test_what_follows_a_refused_request_in_the_same_read_is_not_answered(small):
    with contextlib.ExitStack() as stack:
        fill(small, stack)
        said = Said(small.exchange(get("/x") + get("/y")))
    assert (said.status, said["connection"], said.rest) == (503, ["close"], b"")


def test_a_burst_is_served_as_far_as_there_is_room_and_afterwards_everything_is(small):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(small.connect()) for _ in range(100)]
        for client in clients:
            client.sendall(get("/wait"))
        until(lambda: small.refused == len(clients) - CONCURRENCY - WAITING)
        small.town.open.set()
        answers = [read_one(client) for client in clients]
        assert sorted(said.status for said in answers) == [200] * (CONCURRENCY + WAITING) + [503] * small.refused
        for client in clients:
            client.sendall(get("/after"))
            assert read_one(client).status == 200


def test_how_many_wait_and_are_at_work_is_told_of_both_lanes_together(small):
    with contextlib.ExitStack() as stack:
        fill(small, stack)
        fill(small, stack, "/own/wait", at_work=1, waiting=1)
        expected = {"connections": 7, "in_flight": CONCURRENCY + 1, "waiting": WAITING + 1}
        until(lambda: small.busy[-1:] == [expected])
        small.town.open.set()
        until(lambda: (small.busy[-1]["in_flight"], small.busy[-1]["waiting"]) == (0, 0))


def test_where_nobody_may_wait_the_first_beyond_is_refused():
    place = Place(concurrency=1, waiting=0)
    with contextlib.ExitStack() as stack:
        stack.callback(place.close)
        fill(place, stack, at_work=1, waiting=0)
        assert Said(place.exchange(get("/x"))).status == 503


def test_a_refusal_that_cannot_be_made_is_a_plain_503(small, monkeypatch):
    monkeypatch.setattr(small.worker, "_refuse", lambda: 1 / 0)
    with contextlib.ExitStack() as stack:
        fill(small, stack)
        said = Said(small.exchange(get("/x")))
        assert (said.status, said.body, said["connection"]) == (503, b"", ["close"])


def test_newcomers_take_the_place_of_those_that_have_been_silent_for_longest(monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 10)
    monkeypatch.setattr(server, "GIVEN_UP_AT_ONCE", 2)
    monkeypatch.setattr(server, "SILENT_SECONDS", 0.0)
    place = Place(concurrency=8)
    with contextlib.ExitStack() as stack:
        stack.callback(place.close)
        clients = [stack.enter_context(place.connect()) for _ in range(10)]
        at_work, begun, *silent = clients
        at_work.sendall(get("/wait"))
        assert place.town.inside.acquire(timeout=20)
        begun.sendall(b"GET / HTTP/1.1\r\nHo")
        for client in silent:
            client.sendall(get("/x"))
            read_one(client)
        until(lambda: sum(connection._size > 0 for connection in list(place.worker._connections.values())) == 2)
        newcomer = stack.enter_context(place.connect())
        newcomer.sendall(get("/new"))
        assert read_one(newcomer).status == 200
        assert [client.recv(1) for client in silent[:2]] == [b"", b""]
        begun.sendall(b"st: h\r\n\r\n")
        place.town.open.set()
        for client in (begun, at_work):
            assert read_one(client).status == 200
        for client in silent[2:]:
            client.sendall(get("/again"))
            assert read_one(client).status == 200


def test_where_everyone_is_speaking_the_newcomer_is_turned_away(monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(server, "SILENT_SECONDS", 0.0)
    place = Place()
    with contextlib.ExitStack() as stack:
        stack.callback(place.close)
        clients = [stack.enter_context(place.connect()) for _ in range(3)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHo")
        until(lambda: sum(connection._size > 0 for connection in list(place.worker._connections.values())) == 3)
        with place.connect() as newcomer:
            assert newcomer.recv(1) == b""
        for client in clients:
            client.sendall(b"st: h\r\n\r\n")
            assert read_one(client).status == 200


def test_whoever_has_only_just_come_is_not_taken_for_silent(monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(server, "SILENT_SECONDS", 60.0)
    place = Place()
    with contextlib.ExitStack() as stack:
        stack.callback(place.close)
        clients = [stack.enter_context(place.connect()) for _ in range(3)]
        until(lambda: len(place.worker._connections) == 3)
        with place.connect() as newcomer:
            assert newcomer.recv(1) == b""
        for client in clients:
            client.sendall(get("/x"))
            assert read_one(client).status == 200
