"""Writes the record, durably, before the answer leaves.

Group commit: a request that finds nobody writing writes at once; those that arrive meanwhile queue, and one of them
writes for all when the disk is free again. So a lone request waits for one fsync and a hundred together for two.
In a loop the one who writes first lets whatever else is ready be done, which may queue too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from gateway.errors import RecordUnavailable, Refusal
from gateway.logs import get_logger
from gateway.loop.waiting import Outcome, until_quiet
from gateway.record.entry import Entry

_log = get_logger()

Row = tuple[object, ...]

MOST_AT_ONCE: Final = 64
"""Rows in one transaction."""


class _Waiting:
    """A request whose row is queued. `baton` is settled when the row is written, or when it is its turn to write."""

    __slots__ = ("baton", "durable", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.baton: Outcome[None] = Outcome()
        self.durable: bool | None = None
        """None while the row is not written; then whether it is durable."""


class Recorder:
    """Appends entries through `write`, which makes a batch of rows durable or raises."""

    def __init__(
        self, write: Callable[[Sequence[Row]], None], counted: Callable[[int, float], None] | None = None
    ) -> None:
        """`counted` is told, after each batch that became durable, its rows and how many seconds that took."""
        self._write = write
        self._counted = counted
        self._lock = threading.Lock()
        self._queue: list[_Waiting] = []
        self._writing = False

    def append(self, entry: Entry) -> None:
        """Returns when the entry is durable. Raises `RecordUnavailable`; the entry may then be recorded or not."""
        mine = _Waiting(entry.row())
        with self._lock:
            self._queue.append(mine)
            leads = not self._writing
            self._writing = True
        if not leads:
            mine.baton.wait()
        if mine.durable is None:
            until_quiet()
            self._write_queued()
        if not mine.durable:
            raise RecordUnavailable("the record could not be written")

    def _write_queued(self) -> None:
        with self._lock:
            batch, self._queue = self._queue[:MOST_AT_ONCE], self._queue[MOST_AT_ONCE:]
        durable = False
        try:
            begun = time.perf_counter()
            self._write([waiting.row for waiting in batch])
            durable = True
            if self._counted:
                self._counted(len(batch), time.perf_counter() - begun)
        except Exception as fault:  # noqa: BLE001 - whatever happened, nobody in the batch may answer
            _log.error("record not written", entries=len(batch), kind=type(fault).__name__, because=_because(fault))
        finally:
            for waiting in batch:
                waiting.durable = durable
            with self._lock:
                successor = self._queue[0] if self._queue else None
                self._writing = successor is not None
            for waiting in batch:
                waiting.baton.settle(None)
            if successor:
                successor.baton.settle(None)


def _because(fault: Exception) -> str:
    """Our own words only: a database's could quote a row."""
    return fault.because if isinstance(fault, Refusal) else ""
