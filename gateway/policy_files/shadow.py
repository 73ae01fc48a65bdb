"""A draft beside what is in force: what would be different, on the decisions that are really asked for.

Workers count the facts that they decide on, and tell them to the process beside them; the draft is evaluated there and
nowhere else. So it can neither change an answer nor hold one up. Facts are states: nobody and no dossier is in them.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from polar.exceptions import OsoError

from gateway.errors import Misconfigured
from gateway.logs import get_logger
from gateway.model import Facts, Grant
from gateway.policy.engine import Policy
from gateway.policy.sandbox import PolicyDefect
from gateway.policy.situations import bit_of
from gateway.policy_files.examining import Verdict
from gateway.policy_files.folder import load_texts
from gateway.policy_files.watching import Look, Watch
from gateway.structs import prepared

MOST_DISTINCT: Final = 4_096
"""Facts that a worker keeps apart between two tellings."""
TELL_SECONDS: Final = 1.0
WRITE_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 30.0
"""After a check that ended without a result, until the next one of the same content."""
_AT_ONCE: Final = 64
"""Of them, in one piece: well below what a socket takes at once."""
_BUSY_SECONDS: Final = 0.25
_LARGEST: Final = 1024 * 1024

_log = get_logger()


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """Facts that were decided on, so many times, by the policies of this fingerprint: of the rubrics that could be in
    the answer, those that were open."""

    policy: str
    facts: Facts
    rubrics: frozenset[str]
    opened: frozenset[str]
    times: int


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What a worker tells at once, and of how many decisions it does not tell what they were."""

    asked: list[Asked]
    lost: int = 0


class Seen:
    """In a worker: counts what is decided. For the one thread of its loop."""

    def __init__(self, teller: socket.socket) -> None:
        self._teller = teller
        self._counts: dict[tuple[str, Facts, frozenset[str]], list[Any]] = {}
        self._lost = 0
        self._tell_at = 0.0

    def __call__(self, policy: str, facts: Facts, grant: Grant, rubrics: frozenset[str]) -> None:
        """These facts were decided on, for an answer that can hold these rubrics. Costs less than a microsecond."""
        key = policy, facts, rubrics
        counted = self._counts.get(key)
        if counted is not None:
            counted[0] += 1
        elif len(self._counts) < MOST_DISTINCT:
            self._counts[key] = [1, grant.rubrics & rubrics]
        else:
            self._lost += 1

    def tell(self) -> None:
        """Tell what was counted, once a second. Never waits: what cannot be told now is told later."""
        if not (self._counts or self._lost) or time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + TELL_SECONDS
        keys = list(self._counts)
        for first in range(0, max(1, len(keys)), _AT_ONCE):
            some = keys[first : first + _AT_ONCE]
            asked = [Asked(*key, self._counts[key][1], self._counts[key][0]) for key in some]
            try:
                self._teller.send(msgspec.msgpack.encode(Told(asked, self._lost)), socket.MSG_DONTWAIT)
            except OSError:
                return
            self._lost = 0
            for key in some:
                del self._counts[key]


Cell = tuple[str, str, str, int]
"""A difference: for a profile, a rubric is opened (`gained`) or closed (`lost`) by the draft, in the situation that has
this place in `policy.situations.SITUATIONS`."""


class Tally:
    """What was found since it was last written, of one draft beside one policy in force."""

    def __init__(self) -> None:
        self.compared = self.failed = self.lost = 0
        """Decisions: those that were asked of the draft too; of these, those on which it failed; and those of which
        nothing is known."""
        self.cells: dict[Cell, int] = {}


Write = Callable[[str, str, Tally], None]
"""Adds the tally of a draft beside what was in force, each by its fingerprint, to what is kept: all, or it raises."""


class Draft:
    """In the process beside the workers: keeps the draft as its folder says, and compares."""

    def __init__(self, folder: Path, told: socket.socket, *, examine: Callable[[Look], Verdict], write: Write) -> None:
        """`told` is the other end of the workers' `teller`. `write` raises where it could not; then it is asked again
        later, with more."""
        self._watch, self._examine, self._write = Watch(folder), examine, write
        self._told = told
        self._policy: Policy | None = None
        self._opened: dict[Facts, frozenset[str] | None] = {}
        self._tallies: dict[str, Tally] = {}
        self._write_at = 0.0
        self._retry_at = float("inf")
        self._complained = False

    def fileno(self) -> int:
        """Readable when a worker has told something."""
        return self._told.fileno()

    def look(self) -> None:
        """Look at the folder; where it is new and settled, it is the draft from now on, if it can be one."""
        if time.monotonic() >= self._retry_at:
            self._retry_at = float("inf")
            self._watch.tell_again()
        found = self._watch.again()
        if found is None:
            return
        self.write()
        self._policy, self._opened, self._tallies = None, {}, {}
        verdict = self._examine(found)
        if not verdict.reason and found.texts is not None:
            try:
                self._policy = load_texts(found.texts, proven=True).policy
                _log.info("a draft is compared with what is in force", draft=found.fingerprint)
                return
            except Misconfigured as error:
                verdict = Verdict("refused", error.problems)
        if verdict.reason == "unchecked":
            self._retry_at = time.monotonic() + RETRY_SECONDS
        _log.warning("the draft is compared with nothing", reason=verdict.reason, because=verdict.because[:20])

    def turn(self) -> None:
        """Compare what workers have told, for a quarter of a second; write what was found, every few seconds."""
        until = time.monotonic() + _BUSY_SECONDS
        while time.monotonic() < until:
            try:
                told = msgspec.msgpack.decode(self._told.recv(_LARGEST, socket.MSG_DONTWAIT), type=prepared(Told))
            except BlockingIOError:
                break
            self.compare(told)
        if time.monotonic() >= self._write_at:
            self.write()
            self._write_at = time.monotonic() + WRITE_SECONDS

    def compare(self, told: Told) -> None:
        """Count what the draft decides otherwise."""
        if self._policy is None:
            return
        for asked in told.asked:
            tally = self._tallies.setdefault(asked.policy, Tally())
            tally.compared += asked.times
            opened = self._decided(self._policy, asked.facts)
            if opened is None:
                tally.failed += asked.times
                continue
            for cell in _differences(asked, opened):
                tally.cells[cell] = tally.cells.get(cell, 0) + asked.times
        if told.lost and told.asked:
            self._tallies[told.asked[0].policy].lost += told.lost

    def _decided(self, policy: Policy, facts: Facts) -> frozenset[str] | None:
        """What the draft opens, None where it fails. Decided once."""
        if facts not in self._opened:
            try:
                self._opened[facts] = policy.evaluate(facts).rubrics
            except (PolicyDefect, OsoError):
                self._opened[facts] = None
        return self._opened[facts]

    def write(self) -> None:
        """Have kept what was found."""
        policy = self._policy
        if policy is None:
            return
        for against, tally in list(self._tallies.items()):
            try:
                self._write(policy.fingerprint, against, tally)
            except Exception as fault:  # noqa: BLE001 - whatever kept it from being written, it is kept here until then
                if not self._complained:
                    _log.warning("what the draft would change is not written; tried again", kind=type(fault).__name__)
                self._complained = True
                return
            del self._tallies[against]
            self._complained = False


def _differences(asked: Asked, opened: frozenset[str]) -> Iterator[Cell]:
    in_draft = opened & asked.rubrics
    if in_draft != asked.opened:
        situation = bit_of(asked.facts).bit_length() - 1
        for change, rubrics in (("gained", in_draft - asked.opened), ("lost", asked.opened - in_draft)):
            for rubric in rubrics:
                yield asked.facts.profile, rubric, change, situation
