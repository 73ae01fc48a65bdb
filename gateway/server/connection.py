"""One connection: bytes in through llhttp, one request at a time as a WSGI environment, bytes out.

Never blocks: reading and writing take what the socket has room for. The worker asks again when there is more.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import httptools

READ_AT_ONCE: Final = 65_536
LARGEST_HEAD: Final = 32_768
"""Bytes of request line and headers."""
LARGEST_BODY: Final = 65_536
"""Bytes buffered of a body; what is longer reaches the application cut off, and it refuses it."""
MOST_HEADERS: Final = 100
LINGER_SECONDS: Final = 2.0

FOREVER: Final = float("inf")

_UNPREFIXED: Final = {"content-length": "CONTENT_LENGTH", "content-type": "CONTENT_TYPE"}

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a client may take: for a head, for a body, between requests, and for taking an answer."""

    head: float = 10.0
    body: float = 5.0
    idle: float = 60.0
    answer: float = 60.0


class _LateBody(io.RawIOBase):
    """Stands for a body that did not arrive in time."""

    def read(self, size: int = -1) -> bytes:
        raise TimeoutError("the announced body did not arrive in time")


class Malformed(Exception):
    """What came is not HTTP as we accept it. The connection is answered `status` and closed."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Connection:
    """The state of one client's connection. Used by one thread at a time."""

    __slots__ = (
        "_body",
        "_complete",
        "_headers",
        "_overrun",
        "_parser",
        "_size",
        "_surplus",
        "_target",
        "address",
        "awaits_body",
        "deadline",
        "late",
        "lingers",
        "outgoing",
        "patience",
        "ready",
        "socket",
        "stays",
        "wants_body",
    )

    def __init__(
        self, sock: socket.socket, address: str, *, patience: Patience, wants_body: Callable[[str], bool]
    ) -> None:
        self.socket = sock
        self.address = address
        self.patience = patience
        self.wants_body = wants_body
        self.outgoing = b""
        self.late = False
        """The time for the body is over: what there is goes to the application."""
        self.stays = False
        self.lingers = False
        self.deadline = time.monotonic() + patience.head
        self._parser: Any = None
        self._expect_request()

    def _expect_request(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._size = 0
        self._body: list[bytes] = []
        self._complete = False
        self._overrun = False
        self._surplus = False
        self.ready = False
        """A request can be given to the application."""
        self.awaits_body = False

    # What llhttp calls.

    def on_message_begin(self) -> None:
        self._surplus = self._complete

    def on_url(self, piece: bytes) -> None:
        if not self._surplus:
            self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._surplus:
            self._headers.append((name.lower(), value))
            if len(self._headers) > MOST_HEADERS:
                self._overrun = True

    def on_headers_complete(self) -> None:
        if self._surplus:
            return
        announced = [value for name, value in self._headers if name in (b"content-length", b"transfer-encoding")]
        if not announced or announced == [b"0"]:
            return
        path = self._target.partition(b"?")[0].decode("latin-1")
        if not self.wants_body(path) or (announced[0].isdigit() and int(announced[0]) > LARGEST_BODY):
            self.ready = True
            self._surplus = True
        else:
            self.awaits_body = True
            self.deadline = time.monotonic() + self.patience.body

    def on_body(self, piece: bytes) -> None:
        if self._surplus:
            return
        self._body.append(piece)
        if sum(map(len, self._body)) > LARGEST_BODY:
            self.ready = True
            self._surplus = True

    def on_message_complete(self) -> None:
        if not self._surplus:
            self._complete = self.ready = True

    # What the worker calls.

    def receive(self) -> bool:
        """Take in what has arrived. False when the client is gone. Raises `Malformed`."""
        while True:
            try:
                piece = self.socket.recv(READ_AT_ONCE)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return True
            except OSError:
                return False
            if not piece:
                self.ready = self.late and self.awaits_body
                return self.ready
            if not self._size and not self.awaits_body:
                self.deadline = time.monotonic() + self.patience.head
            self._size += len(piece)
            self._feed(piece)
            if self.ready or not (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
                return True

    def _feed(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._surplus = True
        except httptools.HttpParserError:
            if not self.ready:
                raise Malformed("400 Bad Request") from None
            self._surplus = True
        if self._overrun:
            raise Malformed("431 Request Header Fields Too Large")
        if not self.ready and not self.awaits_body and self._size > LARGEST_HEAD:
            raise Malformed("431 Request Header Fields Too Large")

    def environment(self, shared: Mapping[str, Any]) -> dict[str, Any]:
        """The WSGI environment (PEP 3333) of the request that is ready.

        A header whose name contains an underscore is dropped: it would be taken for another. Repeated headers are
        joined with a comma, so that one which must be single has no value anyone accepts.
        """
        path, _, query = self._target.partition(b"?")
        environ = dict(shared)
        environ["REQUEST_METHOD"] = self._parser.get_method().decode("latin-1")
        environ["PATH_INFO"] = (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1")
        environ["QUERY_STRING"] = query.decode("latin-1")
        environ["SERVER_PROTOCOL"] = "HTTP/" + self._parser.get_http_version()
        environ["REMOTE_ADDR"] = self.address
        environ["wsgi.input"] = _LateBody() if self.late else io.BytesIO(b"".join(self._body))
        for raw, value in self._headers:
            if b"_" in raw:
                continue
            name = raw.decode("latin-1")
            key = _UNPREFIXED.get(name) or "HTTP_" + name.upper().replace("-", "_")
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]}, {text}" if key in environ else text
        return environ

    def answer(self, status: str, headers: list[tuple[str, str]], body: bytes, *, date: str, stays: bool) -> None:
        """Send an answer to the request that was ready, or as much of it as the client takes now."""
        self.stays = stays and self._complete and not self._surplus and self._parser.should_keep_alive()
        lines = [f"HTTP/1.1 {status}\r\nDate: {date}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers]
        lines.append("\r\n" if self.stays else "Connection: close\r\n\r\n")
        self.outgoing = "".join(lines).encode("latin-1") + body
        self.deadline = time.monotonic() + self.patience.answer
        self.send()

    def send(self) -> bool:
        """Send what is left to send. False when the client is gone."""
        if not self.outgoing:
            return True
        try:
            sent = self.socket.send(self.outgoing)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False
        self.outgoing = self.outgoing[sent:] if sent < len(self.outgoing) else b""
        return True

    def next(self) -> None:
        """The answer is gone and the connection stays: expect another request."""
        self._expect_request()
        self.late = False
        self.deadline = time.monotonic() + self.patience.idle

    def expects_continue(self) -> bool:
        """Whether the client waits to be told to send its body."""
        return self.awaits_body and not self._body and (b"expect", b"100-continue") in self._headers

    def linger(self) -> bool:
        """Whether the client may still be sending: our side is shut, and what comes is to be discarded for a moment.

        Closing at once would reset the connection, and the client could lose the answer.
        """
        if self._complete and not self._surplus:
            return False
        self.lingers = True
        self.deadline = time.monotonic() + LINGER_SECONDS
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def discard(self) -> bool:
        """Throw away what has arrived. False when there will be no more."""
        try:
            return bool(self.socket.recv(READ_AT_ONCE))
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False

    def close(self) -> None:
        self.socket.close()
