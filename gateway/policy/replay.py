"""Past consultations decided again, by the policies in force and by a draft: what would have changed, for whom.

Like is compared with like: both policies are asked about the same facts, each distinct facts once. What the record says
of an answer is what *left*, less than what was open: a dossier lacks rubrics, and a route answers some of them only. So
a change counts for a consultation only where its route can answer the rubric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

from polar.exceptions import OsoError

from gateway.model import Facts, vocabulary_faults
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Decisions
from gateway.policy.sandbox import PolicyDefect

NO_DECISION: Final = "refused before anything was decided"
UNREADABLE: Final = "facts that cannot be read"
OUTSIDE: Final = "facts outside their vocabulary"
NO_ROUTE: Final = "a route that the route table in force does not have"
NOT_SAID: Final = "refused, and the record does not say which rubric was asked for"
FAULT: Final = "one of the two policies fails on these facts"
REASONS: Final = (NO_DECISION, UNREADABLE, OUTSIDE, NO_ROUTE, NOT_SAID, FAULT)
"""Why a consultation cannot be replayed."""

Answers = Mapping[str, Sequence[frozenset[str]]]
"""Each route's name and what its answer can hold: a set of rubrics, or one of several where its address names one."""


@dataclass
class Tally:
    """Consultations, by what they would lose and gain. One may do both, of different rubrics."""

    lost: int = 0
    gained: int = 0
    left: int = 0
    """Of the lost, those in which it had really left."""


@dataclass
class Replayed:
    """What a replay came to. Every number counts consultations, but `decided`, which counts distinct facts."""

    consultations: int = 0
    others: int = 0
    """Rows that are no consultations: log-ins, sessions, readings of the record."""
    replayed: int = 0
    not_replayable: Counter[str] = field(default_factory=Counter)
    elsewhere: Counter[str] = field(default_factory=Counter)
    """Of the replayed, those decided at the time by other policies than the ones in force, by their fingerprint."""
    touched: Tally = field(default_factory=Tally)
    refused: int = 0
    """Those to which something was open and nothing would be."""
    admitted: int = 0
    """Those to which nothing was open and something would be."""
    rubrics: dict[str, Tally] = field(default_factory=dict)
    partners: dict[str, Tally] = field(default_factory=dict)
    profiles: dict[str, Tally] = field(default_factory=dict)
    decided: int = 0

    @property
    def changes(self) -> bool:
        """Whether anything would be lost or gained."""
        return bool(self.touched.lost or self.touched.gained)


class Replay:
    """Counts consultations one kind after the other, into `result`."""

    def __init__(self, before: Policy, after: Policy, answers: Answers) -> None:
        self.result = Replayed()
        self._policies = before, after
        self._decisions = Decisions(before), Decisions(after)
        self._decided: dict[Facts, tuple[frozenset[str], frozenset[str]] | None] = {}
        self._answers = answers

    def other(self, times: int) -> None:
        """So many rows that are no consultations."""
        self.result.others += times

    def consulted(
        self, facts: Facts | str, *, partner: str, route: str, left: frozenset[str], policy: str, times: int
    ) -> None:
        """So many equal consultations. `facts` are those that were decided on, or the reason why there are none;
        `left` are the rubrics that left; `policy` is the fingerprint of those that decided.
        """
        result = self.result
        result.consultations += times
        change = facts if isinstance(facts, str) else self._change(facts, route, left)
        if isinstance(change, str):
            result.not_replayable[change] += times
            return
        before, after = change
        result.replayed += times
        if policy != self._policies[0].fingerprint:
            result.elsewhere[policy] += times
        result.refused += times * (bool(before) and not after)
        result.admitted += times * (bool(after) and not before)
        if before != after:
            profile = facts.profile if isinstance(facts, Facts) else ""
            self._tell(before - after, after - before, left, partner=partner, profile=profile, times=times)

    def _change(self, facts: Facts, route: str, left: frozenset[str]) -> tuple[Set[str], Set[str]] | str:
        """What of this route's answer was and would be open, or why that cannot be said."""
        if vocabulary_faults(facts):
            return OUTSIDE
        answers = self._answers.get(route)
        if answers is None:
            return NO_ROUTE
        decided = self._decide(facts)
        if decided is None:
            return FAULT
        could = [answer for answer in answers if left <= answer] or answers
        concerned = frozenset().union(*could)
        before, after = (opened & concerned for opened in decided)
        return NOT_SAID if before != after and len(could) > 1 else (before, after)

    def _decide(self, facts: Facts) -> tuple[frozenset[str], frozenset[str]] | None:
        if facts not in self._decided:
            self.result.decided += 1
            try:
                before, after = (decisions.of(facts).rubrics for decisions in self._decisions)
                self._decided[facts] = before, after
            except (OsoError, PolicyDefect):
                self._decided[facts] = None
        return self._decided[facts]

    def _tell(
        self, lost: Set[str], gained: Set[str], left: Set[str], *, partner: str, profile: str, times: int
    ) -> None:
        result = self.result
        for slug in lost | gained:
            _add(result.rubrics.setdefault(slug, Tally()), slug in lost, slug in gained, slug in left, times)
        told = bool(lost), bool(gained), not lost.isdisjoint(left), times
        _add(result.touched, *told)
        _add(result.partners.setdefault(partner, Tally()), *told)
        _add(result.profiles.setdefault(profile, Tally()), *told)


def _add(tally: Tally, lost: bool, gained: bool, left: bool, times: int) -> None:
    tally.lost += times * lost
    tally.gained += times * gained
    tally.left += times * (lost and left)
