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
from email.utils import formatdate
from typing import Any, Final

import structlog

from gateway.server.connection import FOREVER, Application, Connection, Malformed, Patience

MOST_CONNECTIONS: Final = 16_384
ACCEPTED_AT_ONCE: Final = 64
SWEEP_SECONDS: Final = 0.25

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
        self._active = 0
        self._active_lock = threading.Lock()
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
            threading.Thread(target=self._serve, name=f"request-{number}", daemon=True).start()
        while keep_on():
            self._sweep()
            time.sleep(SWEEP_SECONDS)
        self._stopping.set()
        until = time.monotonic() + grace_seconds
        while self._active and time.monotonic() < until:
            time.sleep(0.02)

    def _serve(self) -> None:
        accepting = self._listener.fileno()
        while True:
            for descriptor, _ in self._epoll.poll(-1, 1):
                if descriptor == accepting:
                    self._accept()
                    continue
                connection = self._connections.get(descriptor)
                if connection is None:
                    continue
                try:
                    self._handle(descriptor, connection)
                except Exception as fault:  # noqa: BLE001 - one connection's failure must not cost a thread
                    _log.error("connection failed", kind=type(fault).__name__)
                    self._drop(descriptor, connection)

    def _accept(self) -> None:
        if self._stopping.is_set():
            return
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                break
            except OSError as fault:
                # Out of descriptors: asked again at the next sweep, not at once and for ever.
                _log.warning("not accepted", kind=type(fault).__name__, number=fault.errno)
                self._accepts = False
                return
            if len(self._connections) >= MOST_CONNECTIONS:
                sock.close()
                continue
            self._welcome(sock, str(address[0]))
        self._epoll.modify(self._listener.fileno(), _IN)

    def _welcome(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        connection = Connection(sock, address, patience=self._patience, wants_body=self._wants_body)
        self._connections[sock.fileno()] = connection
        self._epoll.register(sock.fileno(), _IN)

    def _handle(self, descriptor: int, connection: Connection) -> None:
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
        if connection.expects_continue():
            connection.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self._epoll.modify(descriptor, _IN)

    def _answer(self, connection: Connection) -> None:
        connection.deadline = FOREVER
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started[:] = [status, headers]

        with self._active_lock:
            self._active += 1
        try:
            answered = self._application(connection.environment(self._shared), start_response)
            try:
                body = b"".join(answered)
            finally:
                if hasattr(answered, "close"):
                    answered.close()
            status, headers = started
            connection.answer(status, headers, body, date=self._date, stays=not self._stopping.is_set())
        finally:
            with self._active_lock:
                self._active -= 1

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
        if self._connections.pop(descriptor, None) is connection:
            connection.close()

    def _sweep(self) -> None:
        """Wake the connections whose time is over: closed, or answered without their body."""
        if not self._accepts:
            self._accepts = True
            self._epoll.modify(self._listener.fileno(), _IN)
        self._date = formatdate(usegmt=True)
        now = time.monotonic()
        for connection in list(self._connections.values()):
            if now < connection.deadline:
                continue
            connection.deadline = FOREVER
            connection.late = connection.awaits_body
            # A shut socket is an event: a thread takes the connection and does the rest.
            try:
                connection.socket.shutdown(socket.SHUT_RD if connection.late else socket.SHUT_RDWR)
            except OSError:
                continue


class _Discard:
    """`wsgi.errors`: nobody writes there; what would be written could quote a request."""

    def write(self, text: str) -> int:
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        return None

    def flush(self) -> None:
        return None
