"""Waiting that a signal ends at once, so that a process with nothing to do need not look again and again."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

_DRAINED = 4096


class Readable(Protocol):
    """A socket, and what is one inside."""

    def fileno(self) -> int: ...


class Wakeful:
    """Waits for signals that have a handler in Python, in the main thread. One in a process."""

    def __init__(self) -> None:
        """Its pipe is closed in programs that the process starts. A child that is forked calls `forget`."""
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def wait(self, seconds: float | None, sources: Sequence[Readable] = ()) -> None:
        """Returns when a signal has come since the last wait, when one of `sources` is readable, or after so many
        seconds; None: never for that reason. The signal's handler has run by then."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        for source in sources:
            poll.register(source, select.POLLIN)
        poll.poll(None if seconds is None else seconds * 1000)
        with suppress(BlockingIOError):
            os.read(self._read, _DRAINED)

    def forget(self) -> None:
        """In a child: what wakes the parent does not wake it, nor the other way round."""
        signal.set_wakeup_fd(-1)
        os.close(self._read)
        os.close(self._write)


def noticed(*_: Any) -> None:
    """The handler of a signal that is only to wake."""
