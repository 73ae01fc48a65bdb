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


@pytest.mark.looks_inside
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


HEAD = b"GET / HTTP/1.1\r\nHo"


def crowd(place, stack, said, *addresses):
    """Clients that have said this much, in order, of these addresses; all of it has been read."""
    clients = []
    for address in addresses:
        clients.append(stack.enter_context(place.connect(address)))
        clients[-1].sendall(said)
        until(lambda: len(place.worker._connections) >= len(clients))
        until(lambda: all(connection._size == len(said) for connection in [*place.worker._connections.values()]))
    return clients


@pytest.fixture
def full(monkeypatch):
    """How to start a worker with so many places and no more."""
    with contextlib.ExitStack() as stack:

        def begin(places, *, seconds=0.0, at_once=1):
            monkeypatch.setattr(server, "MOST_CONNECTIONS", places)
            monkeypatch.setattr(server, "SILENT_SECONDS", seconds)
            monkeypatch.setattr(server, "GIVEN_UP_AT_ONCE", at_once)
            place = Place(concurrency=8)
            stack.callback(place.close)
            return place, stack

        yield begin


def served(client, request=b"st: h\r\n\r\n") -> bool:
    """Whether this client, which says this now, is answered 200."""
    try:
        client.sendall(request)
        return read_one(client).status == 200
    except (ConnectionError, AssertionError):
        return False


@pytest.mark.looks_inside
@pytest.mark.attack(13)
@pytest.mark.parametrize("said", [b"G", HEAD, b"\r\n", HEAD + b"st: h\r\nX-A: b\r\n"])
def test_where_everyone_is_speaking_newcomers_take_the_place_of_the_oldest_heads(full, said):
    place, stack = full(8, at_once=2)
    clients = crowd(place, stack, said, *["127.0.0.1"] * 8)
    assert served(stack.enter_context(place.connect()), get("/new"))
    assert [client.recv(1) for client in clients[:2]] == [b"", b""]
    assert [served(stack.enter_context(place.connect()), get("/new")) for _ in range(3)] == [True] * 3
    rest = {b"G": b"ET / HTTP/1.1\r\nHost: h\r\n\r\n", HEAD: b"st: h\r\n\r\n", b"\r\n": get("/")}.get(said, b"\r\n")
    assert served(clients[-1], rest), "the youngest has kept its place"


@pytest.mark.looks_inside
@pytest.mark.attack(13)
def test_silent_ones_are_given_up_before_a_head_is(full):
    place, stack = full(4)
    begun = crowd(place, stack, HEAD, *["127.0.0.1"] * 3)
    silent = stack.enter_context(place.connect("127.0.0.2"))
    until(lambda: len(place.worker._connections) == 4)
    assert served(stack.enter_context(place.connect("127.0.0.3")), get("/new"))
    assert silent.recv(1) == b""
    assert [served(client) for client in begun] == [True] * 3


@pytest.mark.looks_inside
@pytest.mark.attack(13)
def test_the_address_that_holds_most_gives_up_its_heads_first(full, monkeypatch):
    place, stack = full(6, seconds=60.0)
    one, two, three, *many = crowd(place, stack, HEAD, "127.0.0.2", "127.0.0.3", "127.0.0.3", *["127.0.0.4"] * 3)
    # 60 seconds are believed: three of six are no more than half.
    with place.connect("127.0.0.5") as newcomer:
        assert newcomer.recv(1) == b""
    monkeypatch.setattr(server, "SILENT_SECONDS", 0.0)
    until(lambda: not place.worker._crowded)
    assert served(stack.enter_context(place.connect("127.0.0.5")), get("/new"))
    assert [served(client) for client in (one, two, three, *many)] == [True, True, True, False, True, True]


@pytest.mark.looks_inside
@pytest.mark.attack(13)
def test_one_address_that_holds_more_than_half_is_not_believed_to_be_about_to_go_on(full):
    """Else whoever opens connections faster than they are given up keeps everybody out."""
    place, stack = full(4, seconds=60.0)
    other, *many = crowd(place, stack, HEAD, "127.0.0.2", *["127.0.0.3"] * 3)
    assert served(stack.enter_context(place.connect("127.0.0.4")), get("/new"))
    assert [served(client) for client in (other, *many)] == [True, False, True, True]


@pytest.mark.looks_inside
@pytest.mark.attack(13)
def test_of_such_an_address_a_head_that_is_older_goes_before_a_newcomer_that_has_not_spoken_yet(full):
    """Behind one proxy everyone has one address."""
    place, stack = full(4, seconds=60.0)
    clients = crowd(place, stack, HEAD, *["127.0.0.1"] * 4)
    newcomers = []
    for client in clients[:3]:
        newcomers.append(stack.enter_context(place.connect()))
        assert client.recv(1) == b""
    assert [served(client, get("/new")) for client in newcomers] == [True] * 3
    assert served(clients[3])


@pytest.mark.attack(13)
def test_whose_request_is_answered_or_body_awaited_or_answer_taken_keeps_its_place(full):
    place, stack = full(4)
    at_work, sending, taking, refused = (stack.enter_context(place.connect()) for _ in range(4))
    at_work.sendall(get("/wait"))
    sending.sendall(post("/body", b"abc")[:-2])
    taking.sendall(get("/large/33554432"))
    refused.sendall(get("/x", "Content-Length: 9", method="POST"))
    assert place.town.inside.acquire(timeout=20)
    connections = place.worker._connections
    until(lambda: [c.awaits_body for c in [*connections.values()]].count(True) == 1)
    until(lambda: [bool(c.outgoing and not c.at_work) for c in [*connections.values()]].count(True) == 1)
    until(lambda: [c.lingers for c in [*connections.values()]].count(True) == 1)
    with place.connect() as newcomer:
        assert newcomer.recv(1) == b""
    sending.sendall(b"bc")
    place.town.open.set()
    assert [read_one(client).status for client in (at_work, sending, taking, refused)] == [200] * 4


@pytest.mark.looks_inside
def test_whoever_has_only_just_come_is_not_taken_for_silent(full):
    place, stack = full(4, seconds=60.0)
    clients = [stack.enter_context(place.connect(f"127.0.0.{number}")) for number in range(2, 6)]
    until(lambda: len(place.worker._connections) == 4)
    with place.connect("127.0.0.6") as newcomer:
        assert newcomer.recv(1) == b""
    assert [served(client, get("/x")) for client in clients] == [True] * 4
