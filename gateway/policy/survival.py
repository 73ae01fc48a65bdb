"""Which changes of a policy its tests would not notice: its untested rights.

Every open cell closed, every closed cell opened, every condition dropped, reversed, narrowed and widened by a word. A
change is noticed when one test at least fails with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from polar.exceptions import OsoError

from gateway.model import Facts
from gateway.policy.cases import Case, CodeOf, Promise, likeness
from gateway.policy.conditions import held
from gateway.policy.coverage import Examined
from gateway.policy.enumeration import Decisions
from gateway.policy.layout import MATRIX
from gateway.policy.lint import Row
from gateway.policy.mutants import RuleMutant, rule_mutants
from gateway.policy.sandbox import PolicyDefect
from gateway.policy.situations import EVERY, SITUATIONS, bit_of, facts_in
from gateway.policy.variants import variant


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change that no test notices."""

    where: str
    said: str


@dataclass(frozen=True, slots=True)
class Survival:
    """What became of all changes. `without_effect` open and close nothing, `unusable` oso cannot decide with: neither
    counts in the score."""

    cells: int
    conditions: int
    without_effect: int
    unusable: int
    survivors: tuple[Survivor, ...]

    @property
    def counted(self) -> int:
        return self.cells + self.conditions

    @property
    def percent(self) -> float:
        return 100.0 * (self.counted - len(self.survivors)) / self.counted if self.counted else 100.0


def survival(examined: Examined, code_of: CodeOf) -> Survival:
    """Judges every change. The tested policy must keep all its tests.

    Raises like `Decisions.of`.
    """
    cells = Cells(examined)
    surviving = list(cells.survivors())
    rules = Rules(examined, code_of)
    mutants = rule_mutants(examined.texts, examined.rules, examined.policy.profiles)
    fates = [(mutant, rules.fate(mutant)) for mutant in mutants]
    surviving += [_untested(mutant) for mutant, fate in fates if fate == "survived"]
    told = [fate for _, fate in fates]
    lost = told.count("without effect") + told.count("unusable")
    return Survival(
        cells.counted,
        len(fates) - lost,
        cells.without_effect + told.count("without effect"),
        told.count("unusable"),
        tuple(surviving),
    )


def _untested(mutant: RuleMutant) -> Survivor:
    return Survivor(f"{mutant.file}:{mutant.line}", f"{mutant.said[0].upper()}{mutant.said[1:]}, no test would notice.")


class Cells:
    """The cells, by set arithmetic on `examined.wide`: why that is exact, `variants.widened` says."""

    def __init__(self, examined: Examined) -> None:
        self.examined = examined
        self.counted = 0
        self.without_effect = 0
        self._opened: dict[tuple[str, int], set[str]] = {}

    def survivors(self) -> Iterator[Survivor]:
        for profile in self.examined.policy.profiles:
            # A case wants the exact rubrics: whatever a row that it looks at would add or take away, it notices.
            noticed = self.examined.looked_at(profile)
            for row in self.examined.policy.rows:
                if row.slug not in noticed and not self._promised(profile, row):
                    if row.slug not in self._would_open(profile, EVERY):
                        self.without_effect += 1
                        continue
                    yield _untested_cell(profile, row)
                self.counted += 1

    def _promised(self, profile: str, row: Row) -> bool:
        """Whether the changed cell would break a promise."""
        is_open = profile in row.profiles
        return any(
            promise.always or row.slug in self._would_open(profile, promise.situations)
            for promise in self.examined.suite.promises
            if promise.always is is_open and profile in promise.profiles and row.slug in promise.rubrics
        )

    def _would_open(self, profile: str, bits: int) -> set[str]:
        """The rubrics that this profile would see somewhere in a set of situations, if their rows named it."""
        found = self._opened.setdefault((profile, bits), set())
        for bit, situation in () if found else _ORDINARY_FIRST:
            if bits & bit:
                found |= self.examined.wide.of(facts_in(situation, profile)).rubrics
                if len(found) == len(self.examined.policy.rows):
                    break
        return found


def _untested_cell(profile: str, row: Row) -> Survivor:
    change = "lost" if profile in row.profiles else "were given"
    return Survivor(f"{MATRIX}:{row.line}", f"If {profile} {change} `{row.slug}`, no test would notice.")


class Rules:
    """The other changes: each is loaded for what it is, and asked until a test notices."""

    def __init__(self, examined: Examined, code_of: CodeOf) -> None:
        self.examined = examined
        self.code_of = code_of
        self.wanted: dict[Facts, list[Case]] = {}
        for case, facts in examined.suite.situations():
            self.wanted.setdefault(facts, []).append(case)

    def fate(self, mutant: RuleMutant) -> str:
        """`noticed`, `survived`, `without effect` or `unusable`."""
        try:
            changed = variant(self.examined.policy, {**self.examined.texts, mutant.file: mutant.text})
            decisions = Decisions(changed)
            if any(self._fails(decisions, facts) for facts in sorted(self.wanted, key=_unlike(mutant))):
                return "noticed"
            return self._fate_elsewhere(decisions, mutant)
        except (OsoError, PolicyDefect):
            return "unusable"

    def _fails(self, decisions: Decisions, facts: Facts) -> bool:
        grant = decisions.of(facts)
        return not all(case.kept(grant, facts, self.code_of) for case in self.wanted[facts])

    def _fate_elsewhere(self, decisions: Decisions, mutant: RuleMutant) -> str:
        """In the situations that no case names, one of which may break a promise.

        Only what differs from the tested policy can: that one keeps them all.
        """
        effect = False
        for facts in self._everywhere(mutant):
            promises = self._about(facts)
            if effect and not promises:
                continue
            old, new = self.examined.decisions.of(facts).rubrics, decisions.of(facts).rubrics
            if old != new:
                effect = True
                differing = {True: old - new, False: new - old}
                if any(not differing[promise.always].isdisjoint(promise.rubrics) for promise in promises):
                    return "noticed"
                if not self.examined.suite.promises:
                    break
        return "survived" if effect else "without effect"

    def _about(self, facts: Facts) -> list[Promise]:
        bit = bit_of(facts)
        return [p for p in self.examined.suite.promises if p.situations & bit and facts.profile in p.profiles]

    def _everywhere(self, mutant: RuleMutant) -> Iterator[Facts]:
        """Every situation of every profile, likely ones first."""
        likely = mutant.about.get("profile", frozenset())
        profiles = sorted(self.examined.policy.profiles, key=lambda code: code not in likely)
        unlike = _unlike(mutant)
        for _, situation in sorted(_ORDINARY_FIRST, key=lambda one: unlike(facts_in(one[1], profiles[0]))):
            for profile in profiles:
                yield facts_in(situation, profile)


_ORDINARY_FIRST: Final = sorted(
    ((1 << index, situation) for index, situation in enumerate(SITUATIONS)),
    key=lambda one: likeness(one[1]),
    reverse=True,
)
"""Each situation after the set of it alone."""


def _unlike(mutant: RuleMutant) -> Callable[[Facts], int]:
    """How far facts are from those with which the change is likely to be noticed."""
    return lambda facts: sum(held(facts, fact).isdisjoint(words) for fact, words in mutant.about.items())
