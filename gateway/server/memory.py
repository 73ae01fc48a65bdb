"""The memory of a worker, as glibc keeps it: one heap, of which what is free goes back to the system. Another libc does
as it likes."""

from __future__ import annotations

import ctypes
import time
from contextlib import suppress
from typing import Final

TRIM_SECONDS: Final = 10.0
"""Between two times while requests are answered."""
IDLE_SECONDS: Final = 1.0
"""And while none is."""
_M_ARENA_MAX: Final = -8


def share_one_heap() -> None:
    """For the threads of a process. By itself, glibc gives each one that begins a heap of its own, up to eight for each
    core, and what the busiest moment of one needed is of no use to the others. Nobody waits for the one: whoever makes
    an object holds Python's lock anyway."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


class Heap:
    """glibc keeps what was freed, but for the end of its heap: a worker would hold for ever what its busiest moment
    needed."""

    def __init__(self) -> None:
        self._trim = None
        with suppress(OSError, AttributeError):
            self._trim = ctypes.CDLL(None).malloc_trim
        self._at = time.monotonic()

    def look(self, *, idle: bool) -> None:
        """Gives back what is free, where that is due: in an `idle` worker, where nobody waits for it, it is sooner. It
        takes a few milliseconds at most, and a third of one where nothing was made since the last."""
        moment = time.monotonic()
        if self._trim is not None and moment - self._at >= (IDLE_SECONDS if idle else TRIM_SECONDS):
            self._at = moment
            self._trim(0)
