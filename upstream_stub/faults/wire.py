"""One connection, and what a fault may do with it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from time import monotonic

from upstream_stub.dossiers import dossier_text

LONGEST = 55.0
"""Seconds after which a fault that would go on for ever ends by itself."""

JSON = "Content-Type: application/json"

OTHER_FAMILY = "9990002"
"""The dossier that a mix-up would show in place of the one that was asked for."""


class ServerClosedError(Exception):
    """The server is closing: whatever the fault was about, it is over."""


@dataclass(slots=True)
class Wire:
    """The client's connection, while one request for `numero` is answered on it."""

    connection: socket.socket
    numero: str
    closing: Event
    slow_seconds: float
    hung_up: bool = False
    began: float = field(default_factory=monotonic)

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def wait(self, seconds: float) -> None:
        """Let so many seconds pass. Raises ServerClosedError at once when the server closes."""
        if self.closing.wait(min(seconds, LONGEST)):
            raise ServerClosedError

    def within_bounds(self) -> bool:
        """Whether a fault without an end of its own may go on."""
        return monotonic() - self.began < LONGEST

    def hang_up(self) -> None:
        """End the connection in good order after what was sent."""
        self.hung_up = True

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        # Lingering for zero seconds is how a socket is told to send RST in place of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hung_up = True


Act = Callable[[Wire], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing a backend can do wrong: the dossier number that asks for it, what happens, and the doing."""

    number: str
    sentence: str
    act: Act


def dossier_of(numero: str) -> bytes:
    """The ordinary dossier behind a fault: twenty rubrics of canaries, open and closed."""
    text = dossier_text(numero)
    if text is None:
        raise LookupError(numero)
    return text


def head(status: str, *headers: str) -> bytes:
    """A status line and headers, with the empty line that ends them."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def answering(
    body: Callable[[str], bytes] = dossier_of,
    *,
    status: str = "200 OK",
    headers: tuple[str, ...] = (JSON,),
) -> Act:
    """A whole answer in good order, its length announced; what is wrong with it is in its parts."""

    def act(wire: Wire) -> None:
        content = body(wire.numero)
        wire.send(head(status, *headers, f"Content-Length: {len(content)}") + content)

    return act


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
