"""Which changes of a policy its tests would not notice: its untested rights.

Every open cell closed, every closed cell opened, every condition dropped, reversed, narrowed and widened by a word. A
change is noticed when one test at least fails with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from polar.exceptions import OsoError

from gateway.model import Facts
from gateway.policy.cases import Case, CodeOf
from gateway.policy.conditions import held
from gateway.policy.coverage import Tested
from gateway.policy.enumeration import Decisions, Openings, openings
from gateway.policy.layout import MATRIX
from gateway.policy.lint import Row
from gateway.policy.mutants import RuleMutant, rule_mutants
from gateway.policy.sandbox import PolicyDefect
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


def survival(tested: Tested, opened: Openings, code_of: CodeOf) -> Survival:
    """Judges every change. `opened` is what the tested policy opens, and its tests must all be kept.

    Raises like `Decisions.of`.
    """
    cells = _Cells(tested)
    surviving = list(cells.survivors())
    rules = _Rules(tested, opened, code_of)
    fates = [
        (mutant, rules.fate(mutant)) for mutant in rule_mutants(tested.texts, tested.rules, tested.policy.profiles)
    ]
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


class _Cells:
    """The cells, by set arithmetic on `tested.wide`: why that is exact, `variants.widened` says."""

    def __init__(self, tested: Tested) -> None:
        self.tested = tested
        self.counted = 0
        self.without_effect = 0
        self._wide: dict[str, Openings] = {}

    def survivors(self) -> Iterator[Survivor]:
        for profile in self.tested.policy.profiles:
            # A case wants the exact rubrics: whatever a row that it looks at would add or take away, it notices.
            noticed = self.tested.looked_at(profile)
            for row in self.tested.policy.rows:
                if row.slug not in noticed and not self._promised(profile, row):
                    if not self._would_open(profile).of(profile, row.slug):
                        self.without_effect += 1
                        continue
                    yield _untested_cell(profile, row)
                self.counted += 1

    def _promised(self, profile: str, row: Row) -> bool:
        """Whether the changed cell would break a promise."""
        for promise in self.tested.suite.promises:
            if promise.always is (profile in row.profiles) and promise.broken_in(
                profile, row.slug, 0 if promise.always else self._would_open(profile).of(profile, row.slug)
            ):
                return True
        return False

    def _would_open(self, profile: str) -> Openings:
        """Where each row would open its rubric to this profile, if it named it."""
        if profile not in self._wide:
            self._wide[profile] = openings(self.tested.wide.policy, self.tested.wide, [profile])
        return self._wide[profile]


def _untested_cell(profile: str, row: Row) -> Survivor:
    change = "lost" if profile in row.profiles else "were given"
    return Survivor(f"{MATRIX}:{row.line}", f"If {profile} {change} `{row.slug}`, no test would notice.")


class _Rules:
    """The other changes: each is loaded for what it is, and asked until a test notices."""

    def __init__(self, tested: Tested, opened: Openings, code_of: CodeOf) -> None:
        self.tested = tested
        self.opened = opened
        self.code_of = code_of
        every = dict.fromkeys(facts for _, facts in tested.suite.situations())
        self.wanted: dict[Facts, list[Case]] = {facts: [] for facts in every}
        for case, facts in tested.suite.situations():
            self.wanted[facts].append(case)

    def fate(self, mutant: RuleMutant) -> str:
        try:
            changed = variant(self.tested.policy, {**self.tested.texts, mutant.file: mutant.text})
            decisions = Decisions(changed)
            if any(self._notices(decisions, facts) for facts in self._likely_first(mutant)):
                return "noticed"
            opened = openings(changed, decisions)
        except (OsoError, PolicyDefect):
            return "unusable"
        if opened == self.opened:
            return "without effect"
        broken = any(True for promise in self.tested.suite.promises for _ in promise.broken(opened))
        return "noticed" if broken else "survived"

    def _notices(self, decisions: Decisions, facts: Facts) -> bool:
        grant = decisions.of(facts)
        return not all(case.kept(grant, facts, self.code_of) for case in self.wanted[facts])

    def _likely_first(self, mutant: RuleMutant) -> list[Facts]:
        """All situations of the cases; those with the words that the change is about come first."""

        def unlike(facts: Facts) -> int:
            return sum(held(facts, fact).isdisjoint(words) for fact, words in mutant.about.items())

        return sorted(self.wanted, key=unlike)
