"""What several files of this folder need: a backend of one scripted answer, and requests for the adapter."""

import socket
import threading
import time
from contextlib import suppress
from itertools import chain

import pytest

from gateway.proxy.exchange import Question
from gateway.proxy.transport import TransportAdapter


class Scripted:
    """A backend that reads requests and plays, for the nth one of all connections, the nth of its parts.

    A part is bytes, seconds to wait, or None, which closes the connection. The last answer is played for ever after.
    """

    def __init__(self, *answers, tls=None) -> None:
        self.answers = list(answers)
        self.tls = tls
        self.received: list[bytes] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with self._lock:
                self._open.append(connection)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection) -> None:
        with suppress(OSError):
            try:
                if self.tls:
                    connection.recv(1, socket.MSG_PEEK)  # of one that was reset `wrap_socket` would leave a socket open
                    connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                    with self._lock:
                        self._open.append(connection)
                    connection.do_handshake()
                while True:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        piece = connection.recv(65536)
                        if not piece:
                            return
                        request += piece
                    with self._lock:
                        number = len(self.received)
                        self.received.append(request)
                    for part in self.answers[min(number, len(self.answers) - 1)]:
                        if part is None:
                            return
                        if isinstance(part, bytes):
                            connection.sendall(part)
                        else:
                            time.sleep(part)
            finally:
                connection.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]).encode() + body


def ask(adapter: TransportAdapter, url: str, **headers: str):
    return adapter.exchange(Question(url, headers))


def ask_alone(adapter: TransportAdapter, url: str, **headers: str):
    return adapter.exchange(Question(url, headers, alone=True))


def resting(adapter: TransportAdapter) -> list:
    """The lines that this thread could use again: those whose connection is kept, and handles that make a new one."""
    return [*chain.from_iterable(adapter._lines._kept.values()), *adapter._lines._single]


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Kit:
    Clock = Clock
    answer = staticmethod(answer)
    ask = staticmethod(ask)
    resting = staticmethod(resting)


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit


@pytest.fixture(params=[ask, ask_alone], ids=["on a connection that is kept", "alone"])
def send(request):
    """Each way in which something is asked in clear: by llhttp and by libcurl."""
    return request.param


@pytest.fixture
def scripted():
    opened = []

    def begin(*answers, tls=None) -> Scripted:
        opened.append(Scripted(*answers, tls=tls))
        return opened[-1]

    yield begin
    for backend in opened:
        backend.close()


@pytest.fixture
def adapter():
    made = []

    def make(**options) -> TransportAdapter:
        made.append(
            TransportAdapter(**{"deadline_seconds": 10, "connect_seconds": 2, "size_limit": 1 << 20, **options})
        )
        return made[-1]

    yield make
    for one in made:
        one.close()
