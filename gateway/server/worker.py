"""One process: threads that share an epoll. Whichever is free takes the next connection that has something to say.

No connection is waited for: a thread reads what has arrived, and only a whole request occupies it. So ten thousand
slow clients cost their memory and nothing else, and the number of threads is the number of requests answered at once.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Any, Final

import structlog

from gateway.server.connection import FOREVER, Application, Connection, Malformed, Patience

MOST_CONNECTIONS: Final = 16_384
MOST_OUTGOING: Final = 256 * 1024 * 1024
"""Bytes of answers that clients are slow to take, kept in memory. Beyond it the oldest of them are given up."""
ACCEPTED_AT_ONCE: Final = 64
SWEEP_SECONDS: Final = 0.25
QUIET_LOOKS: Final = 3
"""How often nothing must be seen at work before it is believed: an event is on its way to a thread for a moment."""

_IN: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT
_OUT: Final = select.EPOLLOUT | select.EPOLLONESHOT

_log = structlog.get_logger()


class Worker:
    """Serves `application` on a bound, listening socket."""

    def __init__(
        self,
        application: Application,
        listener: socket.socket,
        *,
        threads: int,
        wants_body: Callable[[str], bool],
        patience: Patience,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`wants_body` tells for a path whether the application reads bodies there."""
        self._application = application
        self._listener = listener
        self._count = threads
        self._wants_body = wants_body
        self._patience = patience
        self._tls = tls
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._accepts = True
        self._busy = [False] * threads
        """For each thread, whether it looks after a connection."""
        self._closing = threading.Lock()
        """Held to close a socket, and to shut one: a closed one's descriptor may be another client's already."""
        self._stopping = threading.Event()
        self._date = formatdate(usegmt=True)
        host, port = listener.getsockname()[:2]
        self._shared: dict[str, Any] = {
            "SCRIPT_NAME": "",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if tls else "http",
            "wsgi.errors": _Discard(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }

    def run(self, keep_on: Callable[[], bool], *, grace_seconds: float) -> None:
        """Serve while `keep_on()`; then refuse what is new, finish what runs for at most `grace_seconds`, return."""
        self._listener.setblocking(False)
        self._epoll.register(self._listener.fileno(), _IN)
        for number in range(self._count):
            threading.Thread(target=self._serve, args=(number,), name=f"request-{number}", daemon=True).start()
        while keep_on():
            self._sweep()
            time.sleep(SWEEP_SECONDS)
        self._stopping.set()
        # Once every process has closed it, whoever knocks is refused instead of kept waiting.
        self._listener.close()
        until = time.monotonic() + grace_seconds
        quiet = 0
        while quiet < QUIET_LOOKS and time.monotonic() < until:
            time.sleep(0.02)
            quiet = 0 if self._works() else quiet + 1

    def _works(self) -> bool:
        return any(self._busy) or any(connection.outgoing for connection in list(self._connections.values()))

    def _serve(self, number: int) -> None:
        accepting = self._listener.fileno()
        while True:
            for descriptor, _ in self._epoll.poll(-1, 1):
                self._busy[number] = True
                connection = None if descriptor == accepting else self._connections.get(descriptor)
                try:
                    if descriptor == accepting:
                        self._accept()
                    elif connection:
                        self._handle(descriptor, connection)
                except Exception as fault:  # noqa: BLE001 - one connection's failure must not cost a thread
                    if connection:
                        self._drop(descriptor, connection)
                    _tell("connection failed", fault)
                self._busy[number] = False

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if self._stopping.is_set():
                return
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                break
            except OSError as fault:
                # Out of descriptors: asked again at the next sweep, not at once and for ever.
                self._accepts = False
                if not self._stopping.is_set():
                    _tell("not accepted", fault)
                return
            try:
                if len(self._connections) < MOST_CONNECTIONS:
                    self._welcome(sock, str(address[0]))
                else:
                    sock.close()
            except (OSError, ValueError):
                # Gone already. (TLS refuses what was sent in clear before a reset; ValueError: no descriptor any more.)
                sock.close()
        self._listen_again()

    def _listen_again(self) -> None:
        # Stopping closes the listener; what is left is nothing to wait for.
        with suppress(OSError, ValueError):
            self._epoll.modify(self._listener.fileno(), _IN)

    def _welcome(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        connection = Connection(sock, address, patience=self._patience, wants_body=self._wants_body)
        descriptor = sock.fileno()
        self._connections[descriptor] = connection
        try:
            self._epoll.register(descriptor, _IN)
        except OSError:
            self._drop(descriptor, connection)

    def _handle(self, descriptor: int, connection: Connection) -> None:
        if connection.expired:
            return self._drop(descriptor, connection)
        if connection.lingers:
            return self._epoll.modify(descriptor, _IN) if connection.discard() else self._drop(descriptor, connection)
        if connection.outgoing:
            if not connection.send():
                return self._drop(descriptor, connection)
            return self._after_sending(descriptor, connection)
        try:
            present = connection.receive()
        except Malformed as malformed:
            connection.answer(malformed.status, [("Content-Length", "0")], b"", date=self._date, stays=False)
            return self._after_sending(descriptor, connection)
        if not present:
            return self._drop(descriptor, connection)
        if connection.ready:
            self._answer(connection)
            return self._after_sending(descriptor, connection)
        connection.tell_to_continue()
        return self._epoll.modify(descriptor, _IN)

    def _answer(self, connection: Connection) -> None:
        connection.deadline = FOREVER
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started[:] = [status, headers]

        try:
            answered = self._application(connection.environment(self._shared), start_response)
            try:
                body = b"".join(answered)
            finally:
                if hasattr(answered, "close"):
                    answered.close()
            status, headers = started
            connection.answer(status, headers, body, date=self._date, stays=not self._stopping.is_set())
        except BaseException as fault:  # noqa: BLE001 - an application that ends must not end the thread
            connection.answer("500 Internal Server Error", [], b"", date=self._date, stays=False)
            _tell("application failed", fault)

    def _after_sending(self, descriptor: int, connection: Connection) -> None:
        if connection.outgoing:
            self._epoll.modify(descriptor, _OUT)
        elif connection.stays and not self._stopping.is_set():
            connection.next()
            self._epoll.modify(descriptor, _IN)
        elif connection.linger():
            self._epoll.modify(descriptor, _IN)
        else:
            self._drop(descriptor, connection)

    def _drop(self, descriptor: int, connection: Connection) -> None:
        with self._closing:
            if self._connections.get(descriptor) is connection:
                del self._connections[descriptor]
                connection.close()

    def _sweep(self) -> None:
        """Wake the connections whose time is over: closed, or answered without their body."""
        if not self._accepts:
            self._accepts = True
            self._listen_again()
        self._date = formatdate(usegmt=True)
        now = time.monotonic()
        connections = list(self._connections.values())
        for connection in connections:
            if now >= connection.deadline and not self._waits_for_us(connection):
                connection.late = connection.awaits_body
                self._wake(connection, expired=not connection.late)
        slow = [connection for connection in connections if connection.outgoing and not connection.expired]
        kept = sum(connection.kept for connection in slow)
        for connection in sorted(slow, key=lambda connection: connection.deadline):
            if kept <= MOST_OUTGOING:
                break
            kept -= connection.kept
            self._wake(connection, expired=True)

    def _waits_for_us(self, connection: Connection) -> bool:
        """Whether the client has sent something that no thread has had time to read: then it is not the late one."""
        if connection.outgoing:
            return False
        with self._closing:
            return connection.has_unread()

    def _wake(self, connection: Connection, *, expired: bool) -> None:
        # The deadline stays: a thread that takes the connection meanwhile may be setting it, and shutting twice is
        # no harm.
        connection.expired = expired
        # A shut socket is an event: a thread takes the connection and does the rest.
        with self._closing:
            connection.shut(socket.SHUT_RDWR if expired else socket.SHUT_RD)


def _tell(event: str, fault: BaseException) -> None:
    """Log a failure by its kind. A log that cannot be written must not cost a thread."""
    with suppress(Exception):
        _log.error(event, kind=type(fault).__name__, number=getattr(fault, "errno", None))


class _Discard:
    """`wsgi.errors`: nobody writes there; what would be written could quote a request."""

    def write(self, text: str) -> int:
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        return None

    def flush(self) -> None:
        return None
