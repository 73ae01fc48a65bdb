"""One connection: bytes in through llhttp, one request at a time as a WSGI environment, bytes out.

Never blocks: reading and writing take what the socket has room for. The worker asks again when there is more.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import httptools

from gateway.loop.loop import is_readable

READ_AT_ONCE: Final = 65_536
LARGEST_HEAD: Final = 32_768
"""Bytes of request line and headers."""
LARGEST_BODY: Final = 65_536
"""Bytes buffered of a body; what is longer reaches the application cut off, and it refuses it."""
LARGEST_MESSAGE: Final = LARGEST_HEAD + 8 * LARGEST_BODY
"""Bytes of a whole request, with what surrounds its chunks."""
MOST_HEADERS: Final = 100
HEADER_COST: Final = 256
"""Bytes of memory that a header takes beside its own, at most."""
LINGER_SECONDS: Final = 2.0
LARGEST_DISCARDED: Final = 16 * 1024 * 1024
"""Bytes thrown away of what a client goes on sending after its answer."""

FOREVER: Final = float("inf")

WITHOUT_BODY: Final = ("1", "204", "304")
"""How the statuses begin whose answers have no body and no length."""

_UNPREFIXED: Final = {"content-length": "CONTENT_LENGTH", "content-type": "CONTENT_TYPE"}

TOO_LARGE: Final = "431 Request Header Fields Too Large"
NOT_UNDERSTOOD: Final = "400 Bad Request"

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a client may take: for a head, for a body, between requests, and for taking an answer."""

    head: float = 10.0
    body: float = 5.0
    idle: float = 60.0
    answer: float = 60.0


class _LateBody:
    """Stands for a body that did not arrive in time."""

    def read(self, size: int = -1) -> bytes:
        raise TimeoutError("the announced body did not arrive in time")

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return [self.read(hint)]

    def __iter__(self) -> Iterator[bytes]:
        return iter((self.read(),))


@lru_cache(maxsize=256)
def _key(name: bytes) -> str:
    """The key in the environment of a header's lower-case name; empty for one that would be taken for another."""
    if b"_" in name:
        return ""
    text = name.decode("latin-1")
    return _UNPREFIXED.get(text) or "HTTP_" + text.upper().replace("-", "_")


_VARY: Final = frozenset({"Content-Length", "X-Request-Id"})
"""Headers that have another value in each answer: not worth remembering."""


def _line(header: tuple[str, str]) -> tuple[bytes, bool]:
    """A header as it is sent, and whether it is the body's length. Raises `ValueError` for one that would be two."""
    name, value = header
    text = f"{name}: {value}"
    if "\r" in text or "\n" in text or "\0" in text:
        raise ValueError("a header that holds the end of a line")
    return f"{text}\r\n".encode("latin-1"), name.lower() == "content-length"


_remembered_line: Final = lru_cache(maxsize=256)(_line)


@lru_cache(maxsize=256)
def _first_lines(status: str, date: str) -> bytes:
    """How an answer begins. Raises `ValueError` for a status that would be more than one line."""
    if not (status + date).isprintable():
        raise ValueError("a status that holds the end of a line")
    return f"HTTP/1.1 {status}\r\nDate: {date}\r\n".encode("latin-1")


class Malformed(Exception):
    """What came is not HTTP as we accept it. The connection is answered `status` and closed."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Connection:
    """The state of one client's connection."""

    __slots__ = (
        "_begun",
        "_body",
        "_complete",
        "_discarded",
        "_fault",
        "_headed",
        "_headers",
        "_keeps",
        "_method",
        "_parser",
        "_path",
        "_room",
        "_size",
        "_surplus",
        "_target",
        "_told_to_continue",
        "_unparsed",
        "_version",
        "address",
        "at_work",
        "awaits_body",
        "counted",
        "deadline",
        "descriptor",
        "expired",
        "is_own",
        "kept",
        "late",
        "lingers",
        "outgoing",
        "own",
        "patience",
        "ready",
        "served",
        "socket",
        "stays",
        "watched",
    )

    def __init__(self, sock: socket.socket, address: str, *, patience: Patience, is_own: Callable[[str], bool]) -> None:
        self.socket = sock
        self.descriptor = sock.fileno()
        self.watched = 0
        """The events of epoll for which the worker looks at it."""
        self.at_work = False
        """Its request is in the application, or waits to be."""
        self.address = address
        self.patience = patience
        self.is_own = is_own
        self.outgoing = memoryview(b"")
        self.kept = 0
        """Bytes of memory that `outgoing` holds while anything of it is left."""
        self.expired = False
        """The time is over: nothing more is read, answered or sent."""
        self.late = False
        """The time for the body is over: what there is goes to the application."""
        self.stays = False
        self.served = False
        """A request on it was answered before: it is kept alive."""
        self.lingers = False
        self._discarded = 0
        self.deadline = time.monotonic() + patience.head
        self._parser: Any = httptools.HttpRequestParser(self)
        self._expect_request()

    def _expect_request(self) -> None:
        # Kept, not asked of the parser later: it forgets, and may have gone on to the next request by then.
        self._method = self._version = ""
        self._keeps = False
        self._target = b""
        self._begun = b""
        """What was read up to the first header, or more."""
        self._path = ""
        self.own = False
        """The request is for one of the application's own addresses."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._size = 0
        self.counted = 0
        """How much of what is `held` whoever looks after all has taken notice of."""
        # One buffer: an object for each of a body's chunks would be many times the body.
        self._body = bytearray()
        self._room = LARGEST_BODY
        self._headed = False
        self._complete = False
        self._fault = ""
        """The status that answers a request which llhttp reads and we do not accept."""
        self._surplus = False
        self._unparsed = 0
        """Bytes to come of a body that the parser leaves to us."""
        self._told_to_continue = False
        self.ready = False
        """A request can be given to the application."""
        self.awaits_body = False

    # What llhttp calls.

    def on_message_begin(self) -> None:
        # Another request behind the one whose head was read, whether its body was wanted or not.
        self._surplus = self._headed

    def on_url(self, piece: bytes) -> None:
        if not self._surplus:
            self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head come trailers: whoever looks at the head alone has not seen them, so nobody does.
        if not self._surplus and not self._headed:
            if len(self._headers) == MOST_HEADERS:
                self._fault = TOO_LARGE
            else:
                self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        if self._surplus:
            return
        self._headed = True
        if self._size > LARGEST_HEAD and self._head_size() > LARGEST_HEAD:
            self._fault = TOO_LARGE
        method: bytes = self._parser.get_method()
        self._method = method.decode("latin-1")
        self._version = self._parser.get_http_version()
        self._keeps = self._parser.should_keep_alive()
        # llhttp reads RTSP/1.0 and blanks in a row too, and then tells of neither.
        line = method + b" " + self._target + b" HTTP/" + self._version.encode("latin-1") + b"\r\n"
        if not self._begun.lstrip(b"\r\n").startswith(line):
            self._fault = NOT_UNDERSTOOD
        self._begun = b""
        if self._version not in ("1.0", "1.1"):
            self._fault = "505 HTTP Version Not Supported"
        codings, lengths = [], []
        for name, value in self._headers:
            if name == b"transfer-encoding":
                codings.append(value.lower())
            elif name == b"content-length":
                lengths.append(value)
        if codings and (codings != [b"chunked"] or self._version == "1.0"):
            self._fault = NOT_UNDERSTOOD
        announced = codings or lengths
        path = self._target.partition(b"?")[0]
        self._path = (unquote_to_bytes(path) if path.find(b"%") >= 0 else path).decode("latin-1")
        self.own = self.is_own(self._path)
        if self._fault or not announced or announced == [b"0"]:
            return
        if not self.own or (announced[0].isdigit() and int(announced[0]) > LARGEST_BODY):
            self.ready = True
            self._surplus = True
        else:
            self.awaits_body = True
            self.deadline = time.monotonic() + self.patience.body
            if self._parser.should_upgrade() and not codings:
                self._unparsed = int(announced[0])

    def on_body(self, piece: bytes) -> None:
        if self._surplus:
            return
        self._body += piece
        self._room -= len(piece)
        if self._room < 0:
            self.ready = True
            self._surplus = True

    def on_message_complete(self) -> None:
        if not self._surplus and not self._unparsed:
            self._complete = self.ready = True

    def _head_size(self) -> int:
        return len(self._target) + sum(len(name) + len(value) + 4 for name, value in self._headers)

    # What the worker calls.

    def receive(self) -> bool:
        """Take in what has arrived. False when the client is gone. Raises `Malformed`."""
        if self.late:
            self.ready = self.awaits_body
            return self.ready
        while True:
            try:
                piece = self.socket.recv(READ_AT_ONCE)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return True
            except OSError:
                return False
            if not piece:
                return False
            self._size += len(piece)
            self._feed(piece)
            if not self.ready and not self.awaits_body and self._size == len(piece):
                self.deadline = time.monotonic() + self.patience.head
            if self.ready or not (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
                return True

    def _feed(self, piece: bytes) -> None:
        if self._unparsed:
            self._feed_unparsed(piece)
            return
        if not self._headers and not self._headed:
            self._begun += piece
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            if self._unparsed:
                self._feed_unparsed(piece[upgrade.args[0] :])
            else:
                self._surplus = True
        except httptools.HttpParserError:
            if not self.ready:
                raise Malformed(self._fault or NOT_UNDERSTOOD) from None
            self._surplus = True
        if self._fault:
            raise Malformed(self._fault)
        if not self.ready and self._size > (LARGEST_MESSAGE if self._headed else LARGEST_HEAD):
            raise Malformed("413 Content Too Large" if self._headed else TOO_LARGE)

    def _feed_unparsed(self, piece: bytes) -> None:
        # Whoever offers another protocol sends its request whole before it (RFC 9110, 7.8), and httptools stops at the
        # head. We take none, so that what follows the body is nothing.
        self.on_body(piece[: self._unparsed])
        self._unparsed = max(0, self._unparsed - len(piece))
        if not self._unparsed:
            self._complete = self.ready = self._surplus = True

    def environment(self, shared: Mapping[str, Any]) -> dict[str, Any]:
        """The WSGI environment (PEP 3333) of the request that is ready.

        A header whose name contains an underscore is dropped: it would be taken for another. Repeated headers are
        joined with a comma, so that one which must be single has no value anyone accepts.
        """
        environ = dict(shared)
        environ["REQUEST_METHOD"] = self._method
        environ["PATH_INFO"] = self._path
        environ["QUERY_STRING"] = self._target.partition(b"?")[2].decode("latin-1")
        environ["SERVER_PROTOCOL"] = "HTTP/" + self._version
        environ["REMOTE_ADDR"] = self.address
        environ["wsgi.input"] = _LateBody() if self.late else io.BytesIO(self._body)
        for name, value in self._headers:
            key = _key(name)
            if key:
                text = value.decode("latin-1")
                environ[key] = f"{environ[key]}, {text}" if key in environ else text
        return environ

    def answer(self, status: str, headers: list[tuple[str, str]], body: bytes, *, date: str, stays: bool) -> None:
        """Send an answer to the request that was ready, or as much of it as the client takes now.

        Where the answer ends is made sure of here: an answer without a length gets one, and none has a body where
        there must not be one. Raises `ValueError` where a header would be another one, or the length is not the body's.
        """
        stays = stays and self._complete and not self._surplus and self._keeps
        pieces = [_first_lines(status, date)]
        announced = None
        for header in headers:
            line, is_length = _line(header) if header[0] in _VARY else _remembered_line(header)
            pieces.append(line)
            if is_length:
                announced = header[1] if announced is None else ""
        if self._method == "HEAD" or status.startswith(WITHOUT_BODY):
            body = b""
        elif announced is None:
            pieces.append(b"Content-Length: %d\r\n" % len(body))
        elif announced != str(len(body)):
            raise ValueError("a length that is not the body's")
        pieces += b"\r\n" if stays else b"Connection: close\r\n\r\n", body
        self.outgoing = memoryview(b"".join(pieces))
        self.kept = len(self.outgoing)
        self.stays = stays
        self.awaits_body = False
        self.deadline = time.monotonic() + self.patience.answer

    def send(self) -> bool:
        """Send what the client takes now of what is left to send. False when the client is gone."""
        try:
            while self.outgoing:
                sent = self.socket.send(self.outgoing)
                self.outgoing = self.outgoing[sent:]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False
        self.outgoing = memoryview(b"")
        return True

    def next(self) -> None:
        """The answer is gone and the connection stays: expect another request."""
        self._expect_request()
        self.late = False
        self.served = True
        self.deadline = time.monotonic() + self.patience.idle

    def tell_to_continue(self) -> None:
        """Tell the client to send its body, once, where it waits to be told. Never one that speaks HTTP/1.0, which
        would take it for the answer (RFC 9110, 10.1.1)."""
        if self.awaits_body and not self._told_to_continue and not self._body:
            self._told_to_continue = True
            expects = any(name == b"expect" and value.lower() == b"100-continue" for name, value in self._headers)
            if expects and self._version != "1.0":
                with suppress(OSError):
                    self.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def has_unread(self) -> bool:
        """Whether something has arrived that was not taken in yet. False once the connection is closed."""
        descriptor = self.socket.fileno()
        return descriptor >= 0 and is_readable(descriptor)

    @property
    def held(self) -> int:
        """Bytes of memory, about, that what has arrived of a request takes while it is not whole."""
        return self._size + HEADER_COST * len(self._headers)

    @property
    def arrives(self) -> bool:
        """A request has begun to arrive, and is not whole."""
        return bool(self._size) and not (self.ready or self.at_work or self.outgoing or self.lingers)

    def head_since(self) -> float | None:
        """When the head began to arrive that is not whole yet, on the monotonic clock. None where there is none."""
        return self.deadline - self.patience.head if self.arrives and not self._headed else None

    def silent_since(self) -> float | None:
        """When it began to say nothing, on the monotonic clock: when it was opened, or its last request answered. None
        where a request has begun to arrive, is answered, or will never come."""
        if self._size or self.at_work or self.outgoing or self.lingers:
            return None
        return self.deadline - (self.patience.idle if self.served else self.patience.head)

    def linger(self) -> bool:
        """Whether the client may still be sending: our side is shut, and what comes is to be discarded for a moment.

        Closing at once would reset the connection, and the client could lose the answer.
        """
        if self._complete and not self._surplus:
            return False
        self.lingers = True
        self.deadline = time.monotonic() + LINGER_SECONDS
        return self.shut(socket.SHUT_WR)

    def shut(self, sides: int) -> bool:
        """Shut one side or both of the connection. False when the client is gone."""
        try:
            # Not `SSLSocket.shutdown`: it takes the encryption off, and what is sent after it goes out in clear.
            socket.socket.shutdown(self.socket, sides)
        except OSError:
            return False
        return True

    def discard(self) -> bool:
        """Throw away what has arrived. False when there will be no more, or it has been enough."""
        try:
            thrown = len(self.socket.recv(READ_AT_ONCE))
            self._discarded += thrown
            return thrown > 0 and self._discarded <= LARGEST_DISCARDED
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False

    def close(self) -> None:
        # It knows what it calls: as a circle, both would stay until the collector comes by.
        self._parser = None
        self.socket.close()
