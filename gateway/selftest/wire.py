"""A client that sends exactly what it is given: nothing is completed, joined, escaped or normalised on the way.

Every exchange is bounded in time and size. What comes back is a value, also where it is no answer at all.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, NamedTuple
from urllib.parse import urlsplit

EXCHANGE_SECONDS: Final = 20.0
"""For one whole exchange: more than the gateway gives its backend."""
LARGEST_HEAD: Final = 65_536
LARGEST_BODY: Final = 33_554_432
READ_AT_ONCE: Final = 65_536
MOST_INTERIM: Final = 4
"""Interim answers (1xx) that may come before the answer."""

PER_SECOND: Final = 8.0
BURST: Final = 100
"""Requests at once, then so many a second: within what one agent may send by default (200, then 10 a second)."""
LONGEST_WAIT: Final = 20.0
"""Seconds of Retry-After that are waited for."""
MOST_RETRIES: Final = 3

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?", re.DOTALL)
_WITHOUT_BODY: Final = (204, 304)


class Answer(NamedTuple):
    """What came back. `status` is 0 where it is no whole answer, and `fate` then says what happened instead."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    fate: str = ""

    def all(self, name: str) -> list[str]:
        """The values of the header lines called so."""
        return [value for field, value in self.headers if field.lower() == name.lower()]

    def first(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return next(iter(self.all(name)), "")

    @property
    def kind(self) -> str:
        """The content type without its parameters."""
        return self.first("Content-Type").partition(";")[0].strip().lower()


CLOSED: Final = "the connection was closed without an answer"
LATE: Final = "no answer in time"
UNREACHABLE: Final = "no connection"
GARBLED: Final = "something that is not an HTTP answer"
BROKEN: Final = "an answer that broke off"
TOO_LARGE: Final = "more than can be looked at"


class Unreachable(Exception):
    """The deployment cannot be spoken to. Its text is a whole sentence."""


class Limited(Exception):
    """429, and the wait that is asked for is longer than the kit waits."""


class OutOfTime(Exception):
    """The time that the check or the whole run may take is over."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the deployment is, as its URL says."""

    scheme: str
    host: str
    port: int

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What belongs into Host: without the scheme's own port."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"


def place_of(url: str) -> Place:
    """The place that `url` names. Raises `ValueError` with a sentence where it is not just scheme, host and port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise ValueError("must be written http://host[:port] or https://host[:port]")
    if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must name a host and a port, nothing else")
    return Place(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))


class Stream:
    """One open connection."""

    def __init__(self, sock: socket.socket, *, until: float) -> None:
        self._socket = sock
        self._until = until
        self._read = b""
        self._ended = ""

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send these bytes. Where the other side takes no more, its answer says why."""
        # An error of TLS is an `OSError` too.
        with suppress(OSError):
            self._socket.settimeout(max(0.01, self._until - time.monotonic()))
            self._socket.sendall(data)

    def answer(self, *, method: str = "GET", seconds: float = EXCHANGE_SECONDS) -> Answer:
        """The next answer on this connection, in so many seconds."""
        until = min(self._until, time.monotonic() + seconds)
        for _ in range(MOST_INTERIM):
            while b"\r\n\r\n" not in self._read:
                if len(self._read) > LARGEST_HEAD:
                    return Answer(0, fate=TOO_LARGE)
                if not self._more(until):
                    return Answer(0, fate=(self._ended if not self._read or self._ended == LATE else GARBLED))
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            found = _head(head)
            if found is None:
                return Answer(0, fate=GARBLED)
            if found.status == 101 or found.status >= 200:
                return self._with_body(found, method, until)
        return Answer(0, fate=GARBLED)

    def _with_body(self, head: Answer, method: str, until: float) -> Answer:
        if method == "HEAD" or head.status in _WITHOUT_BODY or head.status < 200:
            return head
        try:
            if head.first("Transfer-Encoding").lower() == "chunked":
                return head._replace(body=self._chunks(until))
            announced = head.first("Content-Length")
            if announced:
                return head._replace(body=self._exactly(int(announced), until))
            while self._more(until):
                if len(self._read) > LARGEST_BODY:
                    raise _Unreadable(TOO_LARGE)
            if self._ended == LATE:
                raise _Unreadable(LATE)
            return head._replace(body=self._read)
        except ValueError:
            return Answer(0, head.headers, fate=GARBLED)
        except _Unreadable as fault:
            return Answer(0, head.headers, fate=str(fault))

    def _chunks(self, until: float) -> bytes:
        pieces: list[bytes] = []
        room = LARGEST_BODY
        while True:
            size = int(self._line(until).partition(b";")[0], 16)
            room -= size
            if size < 0 or room < 0:
                raise _Unreadable(TOO_LARGE)
            if size == 0:
                while self._line(until):
                    pass
                return b"".join(pieces)
            pieces.append(self._exactly(size, until))
            if self._line(until):
                raise _Unreadable(GARBLED)

    def _line(self, until: float) -> bytes:
        while b"\r\n" not in self._read:
            if len(self._read) > LARGEST_HEAD:
                raise _Unreadable(GARBLED)
            if not self._more(until):
                raise _Unreadable(BROKEN if self._ended == CLOSED else self._ended)
        line, _, self._read = self._read.partition(b"\r\n")
        return line

    def _exactly(self, size: int, until: float) -> bytes:
        if not 0 <= size <= LARGEST_BODY:
            raise _Unreadable(TOO_LARGE)
        pieces, left = [self._read[:size]], size - len(self._read)
        self._read = self._read[size:]
        while left > 0:
            if not self._more(until):
                raise _Unreadable(BROKEN if self._ended == CLOSED else self._ended)
            pieces.append(self._read[:left])
            left, self._read = left - len(self._read), self._read[left:]
        return b"".join(pieces)

    def _more(self, until: float) -> bool:
        """Read what there is. False at the end, or when the time is over."""
        if self._ended:
            return False
        try:
            self._socket.settimeout(max(0.01, until - time.monotonic()))
            piece = self._socket.recv(READ_AT_ONCE)
        except TimeoutError:
            self._ended = LATE
        except OSError:
            self._ended = CLOSED
        else:
            self._read += piece
            self._ended = "" if piece else CLOSED
        if time.monotonic() >= until and not self._ended:
            self._ended = LATE
        return not self._ended


class _Unreadable(Exception):
    """A body that does not come whole."""


def _head(head: bytes) -> Answer | None:
    first, *lines = head.split(b"\r\n")
    found = _STATUS_LINE.fullmatch(first)
    if found is None:
        return None
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            return None
        headers.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return Answer(int(found[1]), tuple(headers))


class Wire:
    """Opens connections to one deployment, not faster than its limits allow. `ended` is a time of `time.monotonic`."""

    def __init__(self, place: Place, *, context: ssl.SSLContext, per_second: float = PER_SECOND) -> None:
        self.place = place
        self.context = context
        self.ended = float("inf")
        self.answered: Callable[[Answer], None] = lambda answer: None
        """Told of every answer that an exchange brought."""
        self._per_second = per_second
        self._room = float(BURST)
        self._looked = time.monotonic()

    def exchange(self, request: bytes, *, method: str = "GET", seconds: float = EXCHANGE_SECONDS) -> Answer:
        """The answer to exactly these bytes, on a connection of their own.

        A 429 is waited for. Raises `Limited` where that takes too long, or `OutOfTime`.
        """
        for _ in range(MOST_RETRIES):
            answer = self.once(request, method=method, seconds=seconds)
            if answer.status != 429:
                return answer
            self._wait(answer.first("Retry-After"))
        raise Limited("429 again and again")

    def once(self, request: bytes, *, method: str = "GET", seconds: float = EXCHANGE_SECONDS) -> Answer:
        """The same, a 429 being an answer as any other."""
        try:
            stream = self.open()
        except OSError:
            answer = Answer(0, fate=UNREACHABLE)
        else:
            with stream:
                stream.send(request)
                answer = stream.answer(method=method, seconds=seconds)
        self.answered(answer)
        return answer

    def open(self, *, context: ssl.SSLContext | None = None, plain: bool = False) -> Stream:
        """A connection, over TLS where the URL says https and not `plain`. Raises `OSError` or `OutOfTime`."""
        self._pace()
        until = min(self.ended, time.monotonic() + EXCHANGE_SECONDS)
        if until <= time.monotonic():
            raise OutOfTime
        sock = socket.create_connection((self.place.host, self.place.port), timeout=until - time.monotonic())
        if self.place.secure and not plain:
            try:
                sock = (context or self.context).wrap_socket(sock, server_hostname=self.place.host)
            except BaseException:
                sock.close()
                raise
        return Stream(sock, until=until)

    def reach(self) -> None:
        """Raises `Unreachable` unless a connection can be opened, the certificate being one that is trusted."""
        where = self.place.origin
        try:
            self.open().__exit__(None, None, None)
        except ssl.SSLCertVerificationError as error:
            why = error.verify_message.rstrip(".")
            raise Unreachable(f"The certificate of {where} is not trusted ({why}): see --ca.") from None
        except ssl.SSLError as error:
            raise Unreachable(f"{where} does not speak TLS ({error.reason or 'no handshake'}).") from None
        except TimeoutError:
            raise Unreachable(f"Nothing answers at {where} (no answer in time).") from None
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "no such name"
            raise Unreachable(f"Nothing answers at {where} ({why}).") from None

    def _pace(self) -> None:
        now = time.monotonic()
        self._room = min(float(BURST), self._room + (now - self._looked) * self._per_second)
        self._looked = now
        self._room -= 1
        if self._room < 0:
            self._sleep(-self._room / self._per_second)

    def _wait(self, asked: str) -> None:
        told = asked.isascii() and asked.isdigit() and len(asked) < 6
        if not told or int(asked) > LONGEST_WAIT:
            raise Limited(f"429, Retry-After: {asked if told else 'not a number of seconds'}")
        self._sleep(int(asked))

    def _sleep(self, seconds: float) -> None:
        if time.monotonic() + seconds > self.ended:
            raise OutOfTime
        time.sleep(seconds)
