"""The numbers themselves: one row of shared memory for each worker, and what a worker counts in its own.

Why this is right without a lock:

* Between processes: a row has one writer, and cells are aligned 8-byte floats that CPython moves whole (`memcpy` of a
  constant 8 bytes, one instruction on x86-64). A scrape sees each number as it was or as it is, never a mixture.
* Between the threads of a worker: a thread hands over the interpreter only at a call, a jump backwards or a function's
  start, and none stands between reading a cell and writing it. `tests/metrics` reads the bytecode to keep it so.
  Compiled, as in the wheel, it hands over in calls alone. So every method of `Row` is for any thread. (Of CPython 3.11
  and 3.12, the only ones that the gateway runs on.)

Floats count to 2**53 one by one, which is ten thousand requests a second for thirty thousand years.
"""

from __future__ import annotations

import mmap
import time
from bisect import bisect_left
from typing import Final

from gateway.metrics.layout import (
    ANSWERED,
    ANSWERED_OTHER,
    BREAKER,
    BREAKER_OPENED,
    BUCKETS,
    CELLS,
    CONNECTIONS,
    DECIDED,
    DECIDED_CACHED,
    FETCHED,
    FETCHED_OTHER,
    IN_FLIGHT,
    LOOKED,
    POLICY_STALE,
    RECORD_ROWS,
    RECORD_SECONDS,
    RELOADED,
    REQUEST_SECONDS,
    SERVES,
    STARTS,
    SUM,
    TURNED_AWAY,
    UNCLASSIFIED,
    WAITING,
    Outcome,
)

_CELL_BYTES: Final = 8
_APART: Final = 128
"""Rows begin on multiples of it, in bytes: two workers never write to the same (or a neighbouring) line of a cache."""
_STRIDE: Final = -(-CELLS * _CELL_BYTES // _APART) * _APART // _CELL_BYTES


class Row:
    """What one worker counts. Each method costs a fraction of a microsecond, never waits, and is for any thread."""

    __slots__ = ("_cells",)

    def __init__(self, cells: memoryview[float]) -> None:
        self._cells = cells

    def answered(self, status: int, code: str, seconds: float) -> None:
        """A request left with this status after so long. `code` is the record's: empty where it was no refusal."""
        cells = self._cells
        at = ANSWERED.get((status, code), ANSWERED_OTHER)
        cells[at] += 1.0
        _observe(cells, REQUEST_SECONDS, seconds)

    def decided(self, *, cached: bool) -> None:
        """The policies were asked; equal facts had been decided before where `cached`."""
        cells = self._cells
        at = DECIDED_CACHED if cached else DECIDED
        cells[at] += 1.0

    def fetched(self, outcome: Outcome, seconds: float) -> None:
        """An exchange with the backend ended so, after so long."""
        _observe(self._cells, FETCHED.get(outcome, FETCHED_OTHER), seconds)

    def unclassified(self, parts: int = 1) -> None:
        """So many parts of an answer stood in no pointer of the route table, and were withheld."""
        cells = self._cells
        cells[UNCLASSIFIED] += parts

    def recorded(self, rows: int, seconds: float) -> None:
        """So many rows of the record became durable together, after so long."""
        cells = self._cells
        cells[RECORD_ROWS] += rows
        _observe(cells, RECORD_SECONDS, seconds)

    def turned_away(self) -> None:
        """A request was told to come back without a record: there was no room for it, and the application never saw it,
        or its address has more refusals than are recorded."""
        cells = self._cells
        cells[TURNED_AWAY] += 1.0

    def breaker(self, state: float) -> None:
        """The backend is left alone (1), being tried again (one half), or asked as usual (0)."""
        cells = self._cells
        if state == 1.0:
            cells[BREAKER_OPENED] += 1.0
        cells[BREAKER] = state

    def reloaded(self, result: str) -> None:
        """This became of a folder of policies that had changed: one of `layout.RELOADS`."""
        cells = self._cells
        cells[RELOADED[result]] += 1.0

    def policy_stale(self, stale: bool) -> None:
        """Whether the folder of policies as it is now is not in force."""
        cells = self._cells
        cells[POLICY_STALE] = float(stale)

    def looked(self, *, connections: int, in_flight: int, waiting: int) -> None:
        """The loop went round: so many connections are open, so many requests are being answered, so many more are
        whole and wait for a place. To be told every now and then, not for each request."""
        cells = self._cells
        cells[CONNECTIONS] = connections
        cells[IN_FLIGHT] = in_flight
        cells[WAITING] = waiting
        cells[LOOKED] = time.monotonic()


def _observe(cells: memoryview[float], histogram: int, seconds: float) -> None:
    at = histogram + bisect_left(BUCKETS, seconds)
    cells[at] += 1.0
    at = histogram + SUM
    cells[at] += seconds


class Counts:
    """The rows of so many workers, and one of the process beside them. Made before the fork, so that all share them."""

    def __init__(self, workers: int) -> None:
        # Anonymous and shared: no file, nothing to clean up, gone with the last process.
        size = (workers + 1) * _STRIDE
        cells = memoryview(mmap.mmap(-1, size * _CELL_BYTES)).cast("d")
        *self._rows, self._beside = (cells[start : start + CELLS] for start in range(0, size, _STRIDE))
        self.beside = Row(self._beside)
        """What the process beside the workers counts. It is none of them."""

    def take(self, slot: int) -> Row:
        """The row of the worker that begins here, numbered from 0. What its predecessor counted goes on growing.

        For the worker itself or for whoever starts it; nobody may be writing to that row any more.
        """
        self.release(slot)
        row = self._rows[slot]
        row[STARTS] += 1.0
        row[SERVES] = 1.0
        return Row(row)

    def release(self, slot: int) -> None:
        """Whoever had this row has ended: what was so at that moment is so no more. What it counted stays."""
        row = self._rows[slot]
        for cell in range(SERVES, CELLS):
            row[cell] = 0.0

    def read(self) -> list[list[float]]:
        """The cells of every row, as `layout` places them. For any process, while others write."""
        # Cell by cell: a copy of all the bytes might be made of smaller pieces.
        return [list(row) for row in (*self._rows, self._beside)]
