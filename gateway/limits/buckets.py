"""Token buckets of everyone who asks, each of them one instant: when it will be full again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from gateway.limits.cells import MASK, ROW, ROW_BITS, fresh_salt, shared_cells

SECOND: Final = 1_000_000_000
"""In nanoseconds, as everything here."""
_FULL_WITHIN: Final = 1 << 62


class Buckets:
    """Lets each key through `burst` times at once and `per_minute` times a minute, over all processes together.

    The generic cell rate algorithm, in whole nanoseconds: a request moves the instant at which its bucket is full again
    by the time that one request takes to come back, and is let through where that instant is not too far away. Make it
    before the fork; use it in any process and thread.
    """

    __slots__ = ("_apart", "_cells", "_now", "_patience", "_salt")

    def __init__(self, *, per_minute: int, burst: int, now: Callable[[], int] = time.monotonic_ns) -> None:
        """`now` must never go back, and be the same for all processes."""
        self._apart = -(-60 * SECOND // per_minute)
        self._patience = min(burst * self._apart, _FULL_WITHIN)
        self._now = now
        self._salt = fresh_salt()
        self._cells = shared_cells()

    def take(self, key: str) -> int:
        """0 where `key` is let through, which is counted; else after how many whole seconds it will be.

        On the way of every request: everything in one place, about a microsecond.
        """
        digits = hash((self._salt, key))
        now = self._now()
        cells = self._cells
        at, beside, below = digits & MASK, ROW | digits >> ROW_BITS & MASK, 2 * ROW | digits >> 2 * ROW_BITS & MASK
        first, second, third = cells[at], cells[beside], cells[below]
        full = first if first < second else second
        if third < full:
            full = third
        if full < now:
            full = now
        full += self._apart
        late = full - now - self._patience
        if late > 0:
            return -(-late // SECOND)
        # Read again: another process may have raised them meanwhile.
        if cells[at] < full:
            cells[at] = full
        if cells[beside] < full:
            cells[beside] = full
        if cells[below] < full:
            cells[below] = full
        return 0

    def wait(self, key: str) -> int:
        """After how many whole seconds `key` would be let through; 0 for at once. Nothing is counted."""
        now = self._now()
        full = max(now, min(self._cells[place] for place in self._places(key)))
        return max(0, -(-(full + self._apart - now - self._patience) // SECOND))

    def spend(self, key: str) -> None:
        """Counts one for `key`, also where it would not have been let through: what was too much is waited for."""
        places = self._places(key)
        full = max(self._now(), min(self._cells[place] for place in places)) + self._apart
        for place in places:
            self._cells[place] = max(full, self._cells[place])

    def _places(self, key: str) -> tuple[int, int, int]:
        digits = hash((self._salt, key))
        return digits & MASK, ROW | digits >> ROW_BITS & MASK, 2 * ROW | digits >> 2 * ROW_BITS & MASK
