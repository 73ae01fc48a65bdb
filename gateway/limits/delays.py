"""How long an identifier waits after log-ins that failed, whether an account has that name or not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from gateway.limits.cells import MASK, ROW, ROW_BITS, ROWS, fresh_salt, shared_cells

FREE: Final = 2
"""Failures in a row after which nobody waits: fingers slip."""
LONGEST_SECONDS: Final = 120
FORGOTTEN_SECONDS: Final = 3600
"""After so long without another failure it is as if there had been none."""
_MILLISECOND: Final = 1_000_000
_COUNT_BITS: Final = 8
_MOST: Final = (1 << _COUNT_BITS) - 1


def delay_seconds(failures: int) -> int:
    """How long after the last of so many failures in a row nothing is tried: 0, 0, 1, 2, 4, 8 … at most two minutes."""
    return min(1 << failures - FREE - 1, LONGEST_SECONDS) if failures > FREE else 0


class Delays:
    """Failures of each identifier, over all processes together, from every address, and of them those from one address.
    Make it before the fork.

    A success is forgiven the failures that came from where it came from, and no others: or whoever fails elsewhere
    would see that somebody has that name and has just logged in.

    A cell holds how many there were and when the last was (milliseconds on the monotonic clock), moved as one number.
    """

    def __init__(self, *, now: Callable[[], int] = time.monotonic_ns) -> None:
        """`now` is in nanoseconds, must never go back, and be the same for all processes."""
        self._now = now
        self._salt = fresh_salt()
        self._cells = shared_cells()

    def wait(self, identifier: str) -> int:
        """For how many whole seconds, rounded up, nothing is tried for it; 0 where it may be tried now."""
        now = self._now() // _MILLISECOND
        left = min(self._left(place, now) for place in self._places(identifier))
        return -(-left // 1000)

    def failed(self, identifier: str, *, address: str) -> None:
        """An attempt failed that was tried."""
        now = self._now() // _MILLISECOND
        for places in (self._places(identifier), self._places((identifier, address))):
            failures = min(self._failures(place, now) for place in places) + 1
            for place in places:
                # The instant is new in each row and the count does not fall, so no row says less than there was.
                self._cells[place] = now << _COUNT_BITS | min(max(failures, self._failures(place, now)), _MOST)

    def succeeded(self, identifier: str, *, address: str) -> None:
        """An attempt succeeded: what failed from this address is forgotten. (Also some of what was of others who share
        a cell with it, rarely.)"""
        now = self._now() // _MILLISECOND
        its_own = self._places((identifier, address))
        forgiven = min(self._failures(place, now) for place in its_own)
        if not forgiven:
            return
        for place in its_own:
            self._cells[place] = 0
        for place in self._places(identifier):
            self._cells[place] -= min(forgiven, self._cells[place] & _MOST)

    def _left(self, place: int, now: int) -> int:
        at = self._cells[place] >> _COUNT_BITS
        return max(0, at + 1000 * delay_seconds(self._failures(place, now)) - now)

    def _failures(self, place: int, now: int) -> int:
        cell = self._cells[place]
        return 0 if now - (cell >> _COUNT_BITS) >= 1000 * FORGOTTEN_SECONDS else cell & _MOST

    def _places(self, key: str | tuple[str, str]) -> list[int]:
        digits = hash((self._salt, key))
        return [row * ROW | digits >> row * ROW_BITS & MASK for row in range(ROWS)]
