"""A PostgreSQL server that falls silent: nobody hangs up, and what is sent is acknowledged, but nothing comes back."""

from __future__ import annotations

import contextlib
import http.client
import selectors
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import make_url

from tests.story.running import until

pytestmark = pytest.mark.attack(33)

AGENTS = 20


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
def relay(server) -> Iterator[tuple[Relay, str, str]]:
    """A relay, the database's URL through it, and the URL that does without."""
    url = server.empty_database()
    between = Relay(int(make_url(url).port or 0))
    yield between, make_url(url).set(port=between.port).render_as_string(hide_password=False), url
    between.close()
    server.remove(url)


def status(gateway, path: str, headers=None, *, seconds: float = 25) -> int:
    """Of the answer; 0 where none comes in time."""
    host, _, port = gateway.host.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=seconds)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        return connection.getresponse().status
    except TimeoutError:
        return 0
    finally:
        connection.close()


def test_a_silent_server_is_a_refusal_for_all_and_its_return_needs_no_hands(start_gateway, stub_url, relay):
    between, url, direct = relay
    gateway = start_gateway(stub_url, store__url=url, record__url=url)
    gateway.enter("agent", "T1")
    session = gateway.log_in("agent")

    def asked(_) -> int:
        return status(gateway, "/dossiers/9990001", session)

    with ThreadPoolExecutor(AGENTS) as agents:
        assert set(agents.map(asked, range(AGENTS))) == {200}
        between.silent = True
        assert set(agents.map(asked, range(AGENTS))) == {503}
        probed = [status(gateway, "/-/health/ready", seconds=5) for _ in range(3)]
        assert probed[1:] == [503, 503], probed
        between.silent = False
        until(lambda: asked(0) == 200, "answers come back", seconds=45)
        until(lambda: status(gateway, "/-/health/ready", seconds=5) == 200, "it says so", seconds=45)
        assert set(agents.map(asked, range(AGENTS))) == {200}
    with psycopg.connect(direct.replace("+psycopg", "")) as connection:
        rows = connection.execute("SELECT count(*) FROM record WHERE status = 200 AND dossier IS NOT NULL").fetchone()
    assert rows is not None
    assert rows[0] >= 2 * AGENTS + 1
