"""The log: JSON lines on standard error, which nobody waits for.

A pipe that nobody reads or a disk that hangs stops whoever writes to it. That is one thread of each process, never its
loop. What does not fit meanwhile is dropped, and its number told.
"""

from __future__ import annotations

import io
import logging
import os
import queue
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec
import structlog

MOST_WAITING: Final = 2_048
"""Lines that wait to be written, in each process."""
LONGEST_LINE: Final = 16_384
"""Characters. What is longer is cut."""
FLUSH_SECONDS: Final = 1.0
"""How long the end of a process may wait for its last lines."""
STANDARD_ERROR: Final = 2


class Sink:
    """Lines on their way to a descriptor. For any thread, and anew in each process after a fork."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        # What waits in the parent is the parent's, and no thread comes along.
        self._lines: queue.SimpleQueue[str | Callable[[], None]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._writer: threading.Thread | None = None
        self._dropped = self._told = 0

    def write(self, text: str) -> int:
        """Take lines to be written. Never waits and never fails: what there is no room for is counted."""
        if self._lines.qsize() >= MOST_WAITING:
            # No call between reading and writing: no other thread gets in between.
            self._dropped += 1
        else:
            self._lines.put(text if len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + "\n")
            if self._writer is None:
                self._start()
        return len(text)

    def drain(self) -> None:
        """Wait until everything is written, `FLUSH_SECONDS` at most."""
        if self._writer is not None:
            written = threading.Event()
            self._lines.put(written.set)
            written.wait(FLUSH_SECONDS)

    def _start(self) -> None:
        with self._starting:
            if self._writer is None:
                writer = threading.Thread(target=self._serve, name="log", daemon=True)
                # A system short of threads refuses one; the next line asks again.
                with suppress(RuntimeError):
                    writer.start()
                    self._writer = writer

    def _serve(self) -> None:
        while True:
            line = self._lines.get()
            if isinstance(line, str):
                self._put(line)
            else:
                self._tell()
                line()
            if self._lines.qsize() <= MOST_WAITING // 2:
                self._tell()

    def _tell(self) -> None:
        """How many lines are missing, once for all that are."""
        missing = self._dropped - self._told
        if missing:
            self._told += missing
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            said = {"lines": missing, "event": "lines of the log were dropped", "level": "warning", "timestamp": now}
            self._put(msgspec.json.encode(said).decode() + "\n")

    def _put(self, text: str) -> None:
        """Write a text whole. A closed pipe or a full disk costs it and nothing else."""
        rest = text.encode(errors="backslashreplace")
        with suppress(OSError):
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:  # whoever shares the descriptor has made it so
                    writable = select.poll()
                    writable.register(self._descriptor, select.POLLOUT)
                    writable.poll()


class Stream(io.TextIOBase):
    """A sink as a file: whatever writes to standard error writes there, and flushing does not wait."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # whoever does not know what it is tries
            raise TypeError("a log is text")
        return self._sink.write(text)


SINK: Final = Sink(STANDARD_ERROR)


def write_log(sink: Sink = SINK) -> None:
    """Logs are JSON lines on standard error from now on. Writing one never waits and never fails."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=Stream(sink)),  # type: ignore[arg-type]  # all it uses
        cache_logger_on_first_use=True,
    )
