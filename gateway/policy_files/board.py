"""What the process that keeps the policies puts up, and the workers read: shared memory, made before the fork.

One process writes, any process reads, nobody waits: what is put up stands beside what stood there before, and one
number says which of the two is to be read. A writer that is killed half-way has changed nothing.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.policy.grammar import LARGEST_FILE
from gateway.policy.lint import FILES
from gateway.structs import prepared

LARGEST_TEXTS: Final = LARGEST_FILE * (len(FILES) + 2)
"""Bytes: every file as large as it may be, the route table too, and their names."""
MOST_SENTENCES: Final = 20
"""Of what is wrong with a folder; `cafpro policy check` says everything."""
LONGEST_SENTENCE: Final = 1_000
LARGEST_STANDING: Final = MOST_SENTENCES * LONGEST_SENTENCE * 4 + 1_024
_CELL: Final = 8


class Slate:
    """Bytes that one process at a time writes, and any process reads whole."""

    def __init__(self, room: int) -> None:
        """For at most `room` bytes."""
        self._room = -(-room // _CELL) * _CELL
        # Anonymous and shared: no file, nothing to clean up, gone with the last process. Untouched, it takes no memory.
        memory = mmap.mmap(-1, _CELL * 3 + 2 * self._room)
        cells = memoryview(memory)
        self._cells = cells[: 3 * _CELL].cast("Q")  # the number, and the length of each place
        first = 3 * _CELL
        self._places = (cells[first : first + self._room], cells[first + self._room :])

    @property
    def number(self) -> int:
        """How often something was put up: a look at it costs less than a microsecond."""
        return self._cells[0]

    def write(self, content: bytes) -> int:
        """Put `content` up in the place of what stood there. The number that it has. Raises `ValueError` where it is
        too long."""
        if len(content) > self._room:
            raise ValueError("more than there is room for")
        number = self._cells[0] + 1
        place = number % 2
        self._cells[1 + place] = len(content)
        self._places[place][: len(content)] = content
        # Last, and moved whole (`metrics.counts`): until then the other place is the one that is read.
        self._cells[0] = number
        return number

    def read(self) -> tuple[int, bytes]:
        """What stands there, and its number; 0 and nothing before the first."""
        while True:
            number = self._cells[0]
            place = number % 2
            content = bytes(self._places[place][: self._cells[1 + place]])
            if self._cells[0] == number:
                return number, content


class Standing(msgspec.Struct, frozen=True):
    """How the folder stands to what is in force."""

    stale: str = ""
    """Why the folder as it is now is not in force: one of `watching.REASONS`; empty where it is."""
    because: tuple[str, ...] = ()
    """The sentences that say so."""
    since: float = 0.0
    """Since when it has been stale, in seconds since 1970."""


class Accepted(msgspec.Struct, frozen=True):
    """Policies that may decide: they were checked, and approved where approval is asked for."""

    fingerprint: str
    texts: Mapping[str, str]
    mark: str
    """Names all that was looked at when they were accepted: the texts, and the approval beside them."""


class Board:
    """The policies that are to decide, how the folder stands to them, and which worker has taken which."""

    def __init__(self, workers: int) -> None:
        self._accepted = Slate(LARGEST_TEXTS)
        self._standing = Slate(LARGEST_STANDING)
        cells = memoryview(mmap.mmap(-1, 2 * workers * _CELL)).cast("Q")
        self._taken, self._failed = cells[:workers], cells[workers:]
        self._read_standing: tuple[int, Standing] = (0, Standing())

    # The keeper's: one process at a time.

    def accept(self, accepted: Accepted) -> int:
        """From now on these decide: every worker takes them. The number that they have."""
        return self._accepted.write(msgspec.msgpack.encode(accepted))

    def stands(self, stale: str = "", because: tuple[str, ...] = ()) -> None:
        """How the folder stands to them; of what it is stale for, the first sentences."""
        said = tuple(sentence[:LONGEST_SENTENCE] for sentence in because[:MOST_SENTENCES])
        since = time.time() if stale else 0.0
        self._standing.write(msgspec.msgpack.encode(Standing(stale, said, since)))

    def taken(self) -> list[int]:
        """For each worker that serves the number of the policies that it decides by."""
        return [number for number in self._taken.tolist() if number]

    def failed(self, number: int) -> bool:
        """Whether a worker could not make those of this number."""
        return number in self._failed.tolist()

    # The workers'.

    @property
    def number(self) -> int:
        """Of the policies that are to decide."""
        return self._accepted.number

    def newest(self) -> tuple[int, Accepted]:
        """The policies that are to decide, and their number. Something must have been accepted."""
        number, content = self._accepted.read()
        return number, msgspec.msgpack.decode(content, type=prepared(Accepted))

    def standing(self) -> Standing:
        """How the folder stands to them."""
        number, standing = self._read_standing
        if number != self._standing.number:
            number, content = self._standing.read()
            standing = msgspec.msgpack.decode(content, type=prepared(Standing))
            self._read_standing = number, standing
        return standing

    def took(self, slot: int, number: int) -> None:
        """The worker in this place decides by the policies of this number."""
        self._taken[slot] = number

    def could_not(self, slot: int, number: int) -> None:
        """The worker in this place could not make them, and decides by those before."""
        self._failed[slot] = number

    def release(self, slot: int) -> None:
        """The worker in this place is no more."""
        self._taken[slot] = self._failed[slot] = 0
