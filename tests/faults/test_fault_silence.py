"""A PostgreSQL server that falls silent while 16 agents ask: nobody hangs up, and what is sent is acknowledged, but
nothing comes back."""

from __future__ import annotations

import contextlib
import http.client
import selectors
import socket
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from tests.faults.breaking import LONG, Breakable
from tests.faults.conftest import Loaded, rows_of
from tests.story.running import until

pytestmark = pytest.mark.attack(33)

ROUNDS = 3 if LONG else 1
SECONDS = 20.0 if LONG else 0.5


class Relay:
    """Passes on what comes on a port of its own, until it is told to be silent."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._door = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self._door.getsockname()[1]
        self.silent = False
        self._forgotten: set[socket.socket] = set()
        """Those that were open when it fell silent, and those that came while it was: they stay so."""
        self._other: dict[socket.socket, socket.socket] = {}
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._door, selectors.EVENT_READ)
        self._ended = False
        self._thread = threading.Thread(target=self._relay)
        self._thread.start()

    def _relay(self) -> None:
        while not self._ended:
            for key, _ in self._ready.select(0.1):
                if key.fileobj is self._door:
                    self._accept()
                else:
                    self._pass_on(key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        one, _ = self._door.accept()
        if self.silent:
            self._forgotten.add(one)
            return
        other = socket.create_connection(self._to)
        for each, peer in ((one, other), (other, one)):
            self._other[each] = peer
            self._ready.register(each, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        if one not in self._other:
            return
        with contextlib.suppress(OSError):
            if said := one.recv(65536):
                if self.silent:
                    self._forgotten |= {one, self._other[one]}
                if one not in self._forgotten:
                    self._other[one].sendall(said)
                return
        for each in (one, self._other[one]):
            del self._other[each]
            self._ready.unregister(each)
            each.close()

    def close(self) -> None:
        self._ended = True
        self._thread.join()
        for each in (self._door, *self._other, *self._forgotten):
            each.close()


@pytest.fixture
def silenced(server, stub_url, start_loaded) -> Iterator[tuple[Loaded, Relay, str]]:
    """A gateway that holds everything on the server, the relay between them, and the URL that does without."""
    direct = server.empty_database()
    relay = Relay(int(make_url(direct).port or 0))
    url = make_url(direct).set(port=relay.port).render_as_string(hide_password=False)
    yield start_loaded(stub_url, {"store.url": url, "record.url": url}), relay, direct
    relay.close()
    server.remove(direct)


def ready(gateway: Breakable) -> int:
    """The status of the probe; 0 where none comes in five seconds."""
    host, _, port = gateway.host.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/-/health/ready")
            return connection.getresponse().status
        except TimeoutError:
            return 0


def test_a_silent_server_is_a_refusal_for_all_and_its_return_needs_no_hands(silenced):
    loaded, relay, direct = silenced
    name = "PostgreSQL silent, as behind a firewall that drops everything"
    with loaded.trial(name, refusals=["GW502", "GW503"], rows=rows_of(direct)) as trial:
        for _ in range(ROUNDS):
            with trial.round():
                relay.silent = True
                trial.refuses("GW503")
                assert [ready(loaded.gateway) for _ in range(4)] == [503] * 4
                trial.bad_for(SECONDS)
                relay.silent = False
    # A probe that was under way waits for its answer as long as a request does, in each worker.
    until(lambda: {ready(loaded.gateway) for _ in range(8)} == {200}, "it says that it is ready")
    assert loaded.gateway.sign_in("t1").status == 201
