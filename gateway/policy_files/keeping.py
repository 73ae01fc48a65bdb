"""The process beside the workers: it watches the folder, has it checked, and puts up what is to decide.

On any doubt what decides goes on deciding, and it is said aloud: once in the log for each content, in the metrics, and
by `/-/health/ready` for as long as it lasts.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from cachetools import LRUCache

from gateway.logs import get_logger
from gateway.loop.waking import Wakeful
from gateway.policy_files.board import Accepted, Board
from gateway.policy_files.control import Control, Outcome, tell
from gateway.policy_files.examining import Verdict
from gateway.policy_files.shadow import RETRY_SECONDS, Draft
from gateway.policy_files.watching import Look, Watch

NAME: Final = "cafpro-policies"
"""What the process is called in lists of processes."""
NICE: Final = 2
"""Requests come first: a check wants seconds of a processor."""
TURN_SECONDS: Final = 1.0
"""Nothing waits longer for the time of something: a look, sums to be written, an address that another gateway had."""
LEAST_SECONDS: Final = 0.1
"""Between two looks, however often they are asked for."""
SETTLED_SECONDS: Final = 0.2
"""Between the two looks of one who was told to look now."""
UNSETTLED_SECONDS: Final = 5.0
SWAP_SECONDS: Final = 5.0
"""How long the workers are waited for."""
_VERDICTS_KEPT: Final = 32

_log = get_logger()


class Counted(Protocol):
    """Is told what there is to count (`metrics.counts.Row`)."""

    def reloaded(self, result: str) -> None: ...

    def policy_stale(self, stale: bool) -> None: ...


class _Ended(Exception):
    """The process is to end, in the middle of a check."""


class Keeper:
    """Keeps the board at what the folder says."""

    def __init__(
        self,
        folder: Path,
        board: Board,
        *,
        examine: Callable[[Look], Verdict],
        every: float,
        control: Control,
        counted: Counted,
        keys: Path | None = None,
        draft: Draft | None = None,
    ) -> None:
        """Looks every so many seconds, and when it is told to. `examine` says whether a folder may come into force; it
        may block for as long as a check takes, and goes by the `keys` of those who may approve, where they sign."""
        self._board, self._examine, self._every = board, examine, max(every, LEAST_SECONDS)
        self._control, self._counted, self._draft = control, counted, draft
        stale = board.standing().stale
        self._folder = folder
        self._watch = Watch(folder, keys, known="" if stale else board.newest()[1].mark)
        # A check asks the same of the same texts: a folder that comes back need not wait for another.
        self._verdicts: LRUCache[str, Verdict] = LRUCache(_VERDICTS_KEPT)
        self._retry_at = float("inf")
        self._told = False
        self._said = "", ""
        """The mark of the content about which it was said that it does not come into force, and why."""

    def run(self, keep_on: Callable[[], bool]) -> None:
        """Until `keep_on()` is false. SIGHUP means: look now."""
        with open("/proc/self/comm", "w") as name:
            name.write(NAME)
        os.nice(NICE)
        signal.signal(signal.SIGHUP, self._hang_up)
        wakeful = Wakeful()
        next_look = 0.0
        try:
            while keep_on():
                asking = self._waited_for(wakeful, min(TURN_SECONDS, max(0.0, next_look - time.monotonic())))
                if asking or self._told:
                    self._told = False
                    outcome = self.look_now()
                    for one in asking:
                        tell(one, outcome)
                elif time.monotonic() >= next_look:
                    self.look()
                    next_look = time.monotonic() + self._every
                if self._draft:
                    self._draft.turn()
        except _Ended:
            pass
        finally:
            self._control.close()
            if self._draft:
                self._draft.write()

    def _hang_up(self, *_: Any) -> None:
        self._told = True

    def _waited_for(self, wakeful: Wakeful, seconds: float) -> list[socket.socket]:
        """Those who ask, once somebody does, a worker tells something or a signal comes, or after so many seconds."""
        sources: list[Control | Draft] = [self._draft] if self._draft else []
        if self._control.open():
            sources.append(self._control)
        wakeful.wait(seconds, sources)
        return self._control.asked()

    # What there is to see.

    def look(self) -> None:
        """Look once; act where the folder is new and settled."""
        if time.monotonic() >= self._retry_at:
            self._retry_at = float("inf")
            self._watch.tell_again()
        found = self._watch.again()
        if found:
            self._act_on(found)
        if self._draft:
            with _ending():
                self._draft.look()

    def look_now(self) -> Outcome:
        """Look until two looks agree, and act whether the folder is new or not."""
        self._watch.tell_again()
        until = time.monotonic() + UNSETTLED_SECONDS
        while time.monotonic() < until:
            found = self._watch.again()
            outcome = self._act_on(found) if found else None
            if outcome:
                return outcome
            time.sleep(SETTLED_SECONDS)
        return self._outcome("unchecked", ("The folder changes all the time: nothing was read twice alike.",))

    def _act_on(self, found: Look) -> Outcome | None:
        """None where the folder has changed again meanwhile: then what it is now will be seen to."""
        _, before = self._board.newest()
        verdict = self._verdict(found)
        if verdict is None:
            return None
        if verdict.reason or found.texts is None:
            return self._stays(verdict, found)
        new = found.fingerprint != before.fingerprint
        if new and not self._hand_over(Accepted(found.fingerprint, found.texts, found.mark), before):
            return self._stays(Verdict("unswapped", ("A worker could not take them; its log says why.",)), found)
        if new:
            self._counted.reloaded("in_force")
        elif self._board.standing().stale:
            _log.info("the folder of policies is as what is in force again", policy=found.fingerprint)
        self._board.stands()
        self._counted.policy_stale(False)
        self._said = "", ""
        return self._outcome("in_force" if new else "unchanged")

    def _verdict(self, found: Look) -> Verdict | None:
        verdict = self._verdicts.get(found.mark)
        if verdict is None and found.mark == self._board.newest()[1].mark:
            verdict = Verdict()  # by whoever kept before
        if verdict is None:
            with _ending():
                verdict = self._examine(found)
            # The approval is read during the check: it must be the one that was looked at.
            if self._watch.now().mark != found.mark:
                return None
        if verdict.reason == "unchecked":
            self._retry_at = time.monotonic() + RETRY_SECONDS
        else:
            self._verdicts[found.mark] = verdict
        return verdict

    def _stays(self, verdict: Verdict, found: Look) -> Outcome:
        """What was in force stays. Said once for each content, however often it is looked at."""
        reason = verdict.reason or "unreadable"
        if self._said != (found.mark, reason):
            self._said = found.mark, reason
            self._board.stands(reason, verdict.because)
            self._counted.policy_stale(True)
            self._counted.reloaded(reason)
            _log.error(
                "POLICIES NOT IN FORCE: the folder has changed, and what was in force before goes on deciding",
                reason=reason,
                because=self._board.standing().because,
                sentences=len(verdict.because),
                folder=str(self._folder),
                found=found.fingerprint,
                policy=self._board.newest()[1].fingerprint,
            )
        return self._outcome(reason, verdict.because)

    def _hand_over(self, new: Accepted, before: Accepted) -> bool:
        """Have every worker take these. False where one could not: then they all take again what they had."""
        begun = time.monotonic()
        number = self._board.accept(new)
        while not self._taken(number) and time.monotonic() - begun < SWAP_SECONDS:
            if self._board.failed(number):
                self._board.accept(before)
                return False
            time.sleep(0.02)
        if self._taken(number):
            _log.info(
                "policies in force",
                policy=new.fingerprint,
                before=before.fingerprint,
                workers=len(self._board.taken()),
                seconds=round(time.monotonic() - begun, 3),
            )
        else:
            _log.error("a worker has not taken the policies yet: does it do anything?", policy=new.fingerprint)
        return True

    def _taken(self, number: int) -> bool:
        return all(taken == number for taken in self._board.taken())

    def _outcome(self, result: str, because: tuple[str, ...] = ()) -> Outcome:
        number, accepted = self._board.newest()
        return Outcome(result, accepted.fingerprint, self._board.taken().count(number), because)


@contextmanager
def _ending() -> Iterator[None]:
    """What blocks meanwhile is broken off when the process is to end."""

    def end(*_: Any) -> None:
        # Once: what is broken off must not be broken off in its cleaning up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
