"""Whether the backend is asked at all: after too many failures in a row it is left alone for a while, and tried anew.

Knows nothing of HTTP, of tasks or of the backend: it is told how exchanges end, and what time it is.

    closed ── `failures` in a row ──► open ── after `seconds`, the next one asks ──► half-open
      ▲                                ▲ └─────────── that one fails, or never tells ───┘ │
      └────────────────────────────────┼──────────────── that one is answered ────────────┘
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Final

from gateway.errors import UpstreamResting

SOON: Final = 1
"""Seconds to wait while another request tries the backend: nobody knows how long it takes."""


class State(Enum):
    """The value is how much of the backend is left alone."""

    CLOSED = 0.0
    """It is asked as usual."""
    HALF_OPEN = 0.5
    """One exchange tries it; nobody else asks meanwhile."""
    OPEN = 1.0
    """It is not asked."""


class Breaker:
    """Stands before the backend, one in each process; for any of its threads and tasks.

    An exchange counts in the period in which it was begun, between one change of state and the next: what was under way
    when the breaker opened neither closes it nor keeps it open, however it ends.
    """

    def __init__(
        self,
        *,
        failures: int,
        seconds: float,
        changed: Callable[[State], None] = lambda state: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`changed` is told each new state; what it raises is lost. `clock` never goes back."""
        self._most = failures
        self._seconds = seconds
        self._changed = changed
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        """In a row, in this period."""
        self._rests_until = 0.0
        self.state = State.CLOSED
        self.period = 0

    def begin(self) -> int:
        """The period in which an exchange may begin now, to be told to `ended` in any case, once.

        Raises `UpstreamResting` where none may.
        """
        period = self.period  # read before the state, and written after it: never the period of another state
        if self.state is State.CLOSED:
            return period
        with self._lock:
            if self.state is State.OPEN:
                left = self._rests_until - self._clock()
                if left > 0:
                    raise UpstreamResting("it failed too often in a row", seconds=max(SOON, math.ceil(left)))
                self._become(State.HALF_OPEN)
            elif self.state is State.HALF_OPEN:
                raise UpstreamResting("another request is trying it again", seconds=SOON)
            return self.period

    def ended(self, period: int, *, alive: bool | None) -> None:
        """An exchange that was begun in `period` ended: the backend showed that it lives, or that it does not, or
        neither (None: whatever ended it was not the backend)."""
        if alive and not self._failed and self.state is State.CLOSED:
            return
        with self._lock:
            if period != self.period:
                return
            if self.state is State.HALF_OPEN:
                self._become(State.CLOSED if alive else State.OPEN)
            elif alive:
                self._failed = 0
            elif alive is not None:
                self._failed += 1
                if self._failed >= self._most:
                    self._become(State.OPEN)

    def _become(self, state: State) -> None:
        if state is State.OPEN:
            self._rests_until = self._clock() + self._seconds
        self._failed = 0
        self.state = state
        self.period += 1
        # Whoever counts or logs has no say in whether the backend is asked.
        with suppress(Exception):
            self._changed(state)
