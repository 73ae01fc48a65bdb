"""The memory behind the limits: a count-min table, as many cells whoever asks.

A key has one cell in each of `ROWS` rows, and what is known of it is the least that its cells say. Keys that share a
cell can only make it say more, so nobody is ever believed to have asked for less than they did; and an innocent key is
taken for an exhausted one only where exhausted ones hold all of its cells: of 1 000 000 innocent keys beside 10 000
exhausted ones, 52 (beside 1 000: none, one in 18 millions). A cell is raised to what is meant to be known, never
increased, so that busy keys do not add up in the cells they share.

Why this needs no lock. A cell is an aligned 8-byte integer that CPython moves whole (see `gateway.metrics.counts`), so
whoever reads it sees a number that somebody wrote. Two processes that read the same cells before either writes count
one request where there were two, and one that is put aside in the nanoseconds between its last look and its writing
takes back what others have counted in the meantime: a few requests more come through, once, and the next ones count as
ever. Nothing is counted twice, so nobody is refused for it.

Memory: 6 MiB for a table at most, of which a page exists once one of its cells was used.
"""

from __future__ import annotations

import mmap
import secrets
from typing import Final

ROWS: Final = 3
ROW_BITS: Final = 18
"""Three of them are taken from the 64 bits of a hash."""
ROW: Final = 1 << ROW_BITS
MASK: Final = ROW - 1
_CELL_BYTES: Final = 8


def shared_cells() -> memoryview[int]:
    """The cells of a new table, all 0, row after row. For this process and those that it forks."""
    return memoryview(mmap.mmap(-1, ROWS * ROW * _CELL_BYTES)).cast("q")


def fresh_salt() -> int:
    """Hashed with each key: Python's own hash is keyed afresh at each start, unless PYTHONHASHSEED says otherwise."""
    return secrets.randbits(60)
