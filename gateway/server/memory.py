"""The memory of a worker: what is free goes back to the system, also from between what is in use."""

from __future__ import annotations

import ctypes
import time
from contextlib import suppress
from typing import Final

TRIM_SECONDS: Final = 30.0


class Heap:
    """glibc keeps what was freed, but for the end of its heap: a worker would hold for ever what its busiest moment
    needed. Nothing on another libc."""

    def __init__(self) -> None:
        self._trim = None
        with suppress(OSError, AttributeError):
            self._trim = ctypes.CDLL(None).malloc_trim
        self._at = time.monotonic()

    def look(self) -> None:
        """Gives back what is free, where that is due. It takes a few milliseconds at most."""
        moment = time.monotonic()
        if self._trim is not None and moment - self._at >= TRIM_SECONDS:
            self._at = moment
            self._trim(0)
