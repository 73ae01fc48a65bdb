"""In a worker: taking the policies that were accepted while it serves.

The new ones are made beside the old ones in a thread, as are the decisions that will be asked for at once; then one
reference is replaced. A request has taken it before or after, never between.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.errors import Misconfigured
from gateway.logs import get_logger
from gateway.policy.loading import fingerprint
from gateway.policy_files.board import Accepted, Board
from gateway.policy_files.folder import Current, InForce, load_texts

WARM_SECONDS: Final = 0.5
"""How long decisions are made beforehand: those that were asked for last, so that nobody waits for them."""
WARMED: Final = 256
_HAND_OVER_SECONDS: Final = 0.0005

_log = get_logger()


class Follower:
    """Keeps `current` at what the board says, for the worker in one place."""

    def __init__(self, board: Board, slot: int) -> None:
        """Makes the policies that are to decide now. Raises `Misconfigured`."""
        self._board, self._slot = board, slot
        number, accepted = board.newest()
        self.current = Current(_made(accepted))
        self._number = number
        self._busy = False
        board.took(slot, number)

    def look(self) -> None:
        """Begin to take what is new. Never waits: for the worker's loop, a few times a second."""
        if self._board.number != self._number and not self._busy:
            self._busy = True
            try:
                threading.Thread(target=self._follow, name="policies", daemon=True).start()
            except RuntimeError:  # no thread to be had now: asked for again
                self._busy = False

    def _follow(self) -> None:
        number, accepted = self._board.newest()
        try:
            with _yielding():
                made = _made(accepted)
                _warm(made, self.current.in_force)
            self.current.in_force = made
            self._board.took(self._slot, number)
        except Exception as fault:  # noqa: BLE001 - whatever happens, the old ones go on deciding
            self._board.could_not(self._slot, number)
            _log.error("policies not taken", policy=accepted.fingerprint, kind=type(fault).__name__)
        finally:
            self._number = number
            self._busy = False
        # The old ones are circles: plans know their tables.
        gc.collect()


def _made(accepted: Accepted) -> InForce:
    if fingerprint(accepted.texts) != accepted.fingerprint:
        raise Misconfigured(["The policies that were handed over are not those that were accepted."])
    # Whoever accepted them has asked the canaries.
    return load_texts(accepted.texts, proven=True)


def _warm(made: InForce, before: InForce) -> None:
    """Decides what has been asked for lately."""
    until = time.monotonic() + WARM_SECONDS
    for facts in before.policy.decided_last(WARMED):
        if time.monotonic() > until:
            break
        made.policy.decide(facts)


@contextmanager
def _yielding() -> Iterator[None]:
    """Requests get the interpreter back from this thread ten times sooner than from others."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_HAND_OVER_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
