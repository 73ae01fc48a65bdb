"""Whether the backend is asked at all: after too many failures in a row it is left alone for a while, and tried anew.

Knows nothing of HTTP, of tasks or of the backend: it is told how exchanges end, what they are about, and what time it
is.

    closed ── `failures` in a row ──► open ── after `seconds`, the next one asks ──► half-open
      ▲                                ▲ └─────────── that one fails, or never tells ───┘ │
      └────────────────────────────────┼──────────────── that one is answered ────────────┘

A backend that is gone fails whatever it is asked; one dossier that it cannot serve fails alone, however often. So that
one such dossier does not close the others,

* failures are in a row where nothing was answered between the beginning of the first and the end of the last: ten that
  are late in the same instant say nothing where an eleventh was answered while they waited;
* they are about `SEVERAL` things at least. (Where one dossier is all that anyone asks for, nobody is left alone: each
  is refused by itself, at the deadline.)
* what failed is not what decides whether the backend is back: for `seconds` after the rest another may try it, and only
  then anyone. (Never anyone would be wrong: it may be all that anyone asks for.)
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from enum import Enum
from typing import Final

from gateway.errors import UpstreamResting

SOON: Final = 1
"""Seconds to wait while another request tries the backend: nobody knows how long it takes."""
SEVERAL: Final = 3
"""Failures are the backend's own where they are about as many things (or each about another, where fewer open it)."""
REMEMBERED: Final = 16
"""Things that failed in this row or since, by their hash; those beyond it may try like any other."""


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

    A failure counts in the moment in which its exchange was begun, between one answer or change of state and the next:
    what was under way when the breaker opened neither closes it nor keeps it open, however it ends.
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
        self._several = min(failures, SEVERAL)
        self._seconds = seconds
        self._changed = changed
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        """In a row, in this moment."""
        self._suspects: set[int] = set()
        """What failed in this row, and whatever tried the backend since in vain."""
        self._rests_until = 0.0
        self.state = State.CLOSED
        self.moment = 0

    def begin(self, about: Hashable) -> int:
        """The moment in which an exchange about this may begin now, to be told to `ended` in any case, once.

        Raises `UpstreamResting` where none may.
        """
        moment = self.moment  # read before the state, and written after it: never the moment of another state
        if self.state is State.CLOSED:
            return moment
        with self._lock:
            if self.state is State.OPEN:
                until = self._rests_until + (self._seconds if hash(about) in self._suspects else 0.0)
                left = until - self._clock()
                if left > 0:
                    raise UpstreamResting("it failed too often in a row", seconds=max(SOON, math.ceil(left)))
                self._become(State.HALF_OPEN)
            elif self.state is State.HALF_OPEN:
                raise UpstreamResting("another request is trying it again", seconds=SOON)
            return self.moment

    def ended(self, moment: int, about: Hashable, *, alive: bool | None) -> None:
        """An exchange about this that was begun in `moment` ended: the backend showed that it lives, or that it does
        not, or neither (None: whatever ended it was not the backend)."""
        with self._lock:
            if self.state is State.CLOSED:
                if alive:
                    # Whenever it was begun: it was answered now.
                    self.moment += 1
                    if self._failed:
                        self._forget()
                elif alive is not None and moment == self.moment:
                    self._failed += 1
                    self._suspect(about)
                    if self._failed >= self._most and len(self._suspects) >= self._several:
                        self._become(State.OPEN)
            elif self.state is State.HALF_OPEN and moment == self.moment:
                if not alive:
                    self._suspect(about)
                self._become(State.CLOSED if alive else State.OPEN)

    def _suspect(self, about: Hashable) -> None:
        if len(self._suspects) < REMEMBERED:
            self._suspects.add(hash(about))

    def _forget(self) -> None:
        self._failed = 0
        self._suspects.clear()

    def _become(self, state: State) -> None:
        if state is State.OPEN:
            self._rests_until = self._clock() + self._seconds
        elif state is State.CLOSED:
            self._forget()
        self.state = state
        self.moment += 1
        # Whoever counts or logs has no say in whether the backend is asked.
        with suppress(Exception):
            self._changed(state)
