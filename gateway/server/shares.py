"""How many connections each worker has, in memory that all of them share: whoever has most stands back for a moment.

The kernel wakes one of the workers that wait for a client, and with clients that stay a worker that is woken for all of
them would serve all of them, while the others have nothing to do.
"""

from __future__ import annotations

import mmap
from typing import Final

_NOBODY: Final = -1
_CELL_BYTES: Final = 8


class Shares:
    """Of so many workers. Made before the fork."""

    def __init__(self, workers: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, workers * _CELL_BYTES)).cast("q")
        for slot in range(workers):
            self.release(slot)

    def of(self, slot: int) -> Share:
        """What the worker of this place, from 0, tells and is told."""
        return Share(self._counts, slot)

    def release(self, slot: int) -> None:
        """Nobody is in this place any more."""
        self._counts[slot] = _NOBODY


class Share:
    """One worker's."""

    def __init__(self, counts: memoryview[int], slot: int) -> None:
        self._counts, self._slot = counts, slot

    def has(self, connections: int) -> None:
        """It has so many now."""
        self._counts[self._slot] = connections

    def is_large(self) -> bool:
        """Whether it has more than another, by more than two, and by more than a quarter."""
        least = min(count for count in self._counts if count != _NOBODY)
        return self._counts[self._slot] > least + max(2, least // 4)
