"""Who enters the application, who waits for a place in it, and who is told to come back.

Two lanes, so that neither holds the other up: the application's own addresses, and all others. A request beyond both
bounds of its lane costs a few microseconds and nothing that lasts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.server.connection import Connection

Refuse = Callable[[], tuple[str, list[tuple[str, str]], bytes]]
"""Makes the answer to a request for which there is no room: status line, headers, body."""

WORDLESS: Final = (("Cache-Control", "no-store"), ("Content-Length", "0"))
"""The headers of every answer that the server gives by itself. There is nothing in it to be guessed, framed or run."""


@dataclass(frozen=True, slots=True)
class Places:
    """How many requests are in the application at once, and how many more, whole ones, wait for one of these places."""

    at_work: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Lanes:
    """The places of each lane. `is_own(path)` tells, for a decoded path, whether it is an address of the application's
    own: those have their lane, and bodies are read there alone."""

    is_own: Callable[[str], bool]
    own: Places
    others: Places


class Lane:
    """One lane as it is now."""

    __slots__ = ("at_work", "most", "queue", "room")

    def __init__(self, places: Places) -> None:
        self.most = places.at_work
        self.room = places.waiting
        self.at_work = 0
        self.queue: deque[Connection] = deque()
        """Whole requests that wait, the first to come in front."""

    def close(self) -> list[Connection]:
        """Nothing enters any more. Those that have waited in vain."""
        self.most = self.room = 0
        waiting = list(self.queue)
        self.queue.clear()
        return waiting


def plain_refusal() -> tuple[str, list[tuple[str, str]], bytes]:
    """503 without a word, where nobody says it better."""
    return "503 Service Unavailable", [("Retry-After", "2"), *WORDLESS], b""
