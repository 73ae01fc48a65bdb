"""Which cells, lines and conditions of a policy no decision table exercises.

Promises are left out: they are about whole sets of situations and would seem to exercise everything. What they hold is
what the mutants say (`policy.mutants`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from gateway.model import Facts
from gateway.policy.anatomy import Anatomy, Rule
from gateway.policy.cases import Suite
from gateway.policy.conditions import always_holds, asked, held
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Decisions
from gateway.policy.layout import ANY_DOSSIER, CONDITIONS, GATES, MATRIX, REFUSALS
from gateway.policy.statements import words
from gateway.policy.variants import variant

KINDS: Final = ("cell", "dossiers", "condition", "rule")


@dataclass(frozen=True, slots=True)
class Point:
    """Something that a test can exercise: where it stands, what it is in a few words, and whether one does."""

    kind: str
    where: str
    said: str
    exercised: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """A policy, its texts and rules, and the tests that it was held against."""

    policy: Policy
    texts: Mapping[str, str]
    rules: Anatomy
    suite: Suite
    decisions: Decisions
    """Of `policy`."""
    wide: Decisions
    """Of `variants.widened`: which rows a decision looked at."""

    def of_profile(self, profile: str) -> list[Facts]:
        """The situations of the cases in which this profile asks, those that open something first."""
        mine = dict.fromkeys(facts for _, facts in self.suite.situations() if facts.profile == profile)
        return sorted(mine, key=lambda facts: not self.decisions.of(facts).rubrics)

    def looked_at(self, profile: str) -> set[str]:
        """The rubrics whose row alone decides in a case whether this profile sees them."""
        found: set[str] = set()
        for facts in self.of_profile(profile):
            if len(found) == len(self.policy.rows):
                break
            found |= self.wide.of(facts).rubrics
        return found


def coverage(examined: Examined) -> list[Point]:
    """Every point in the order of the files. Raises like `Decisions.of`."""
    return [*_cells(examined), *_dossiers(examined), *_conditions(examined), *_rules(examined)]


def percent(points: Sequence[Point]) -> float:
    """How many of them are exercised; 100 where there are none."""
    return 100.0 * sum(point.exercised for point in points) / len(points) if points else 100.0


def by_kind(points: Sequence[Point]) -> Iterator[tuple[str, list[Point]]]:
    for kind, found in groupby(points, key=lambda point: point.kind):
        yield kind, list(found)


def _cells(examined: Examined) -> Iterator[Point]:
    """A cell is exercised where its row was looked at for this profile: where the cross alone decides."""
    looked_at = {profile: examined.looked_at(profile) for profile in examined.policy.profiles}
    for row in examined.policy.rows:
        for profile in examined.policy.profiles:
            state = "open" if profile in row.profiles else "closed"
            exercised = row.slug in looked_at[profile]
            yield Point("cell", f"{MATRIX}:{row.line}", f"{profile} × {row.slug} ({state})", exercised)


def _dossiers(examined: Examined) -> Iterator[Point]:
    for profile in examined.policy.profiles:
        line = examined.rules.dossiers(profile)
        if line is None:
            continue
        mine = [(facts, examined.decisions.of(facts)) for facts in examined.of_profile(profile)]
        for kind in words(line.parameters[1][0].term):
            opened = [
                facts for facts, grant in mine if grant.rubrics and (kind == ANY_DOSSIER or kind in facts.mandates)
            ]
            said = "any dossier" if kind == ANY_DOSSIER else f"with the mandate {kind}"
            yield Point("dossiers", line.where, f"{profile}: {said}", bool(opened))
        if ANY_DOSSIER not in words(line.parameters[1][0].term):
            shut = any(grant.denied == "dossier" for _, grant in mine)
            yield Point("dossiers", line.where, f"{profile}: without any of these mandates", shut)


def _conditions(examined: Examined) -> Iterator[Point]:
    """Each word that a condition asks for, and any other, is exercised where a decision read the fact and it was so."""
    read = _words_read(examined)
    for rule in _deciding(examined.rules):
        for condition in asked(rule):
            fact, where = condition.fact, f"{rule.file}:{condition.placed.line}"
            seen = read.get(fact, set())
            for word in condition.words:
                yield Point("condition", where, f"{fact} is {word}", any(word in had for had in seen))
            if condition.others(tuple(examined.policy.profiles)):
                other = any(had.isdisjoint(condition.words) for had in seen)
                yield Point("condition", where, f"{fact} is something else", other)


def _words_read(examined: Examined) -> Mapping[str, set[frozenset[str]]]:
    """Fact → the words it had where a decision read it."""
    read: dict[str, set[frozenset[str]]] = {}
    for _, facts in examined.suite.situations():
        for fact in examined.decisions.read_for(facts):
            read.setdefault(fact, set()).add(held(facts, fact))
    return read


def _rules(examined: Examined) -> Iterator[Point]:
    """Each rule with conditions, where it holds and where it does not: oso is asked about that rule alone."""
    rules = list(_deciding(examined.rules))
    probing = variant(examined.policy, {**examined.texts, GATES: _with_probes(examined, rules)})
    every = list(dict.fromkeys(facts for _, facts in examined.suite.situations()))
    profiles = tuple(examined.policy.profiles)
    for place, rule in enumerate(rules):
        for wanted, said in ((True, "holds"), (False, "does not hold")):
            if not wanted and always_holds(rule, examined.rules.shapes[rule.name], profiles):
                continue
            exercised = any(probing.opens(facts, str(place)) is wanted for facts in every)
            yield Point("rule", rule.where, f"{rule.name} {said}", exercised)


def _deciding(rules: Anatomy) -> Iterator[Rule]:
    """The rules with conditions that a decision goes through."""
    for rule in rules.rules:
        if rule.goals and rule.file in (CONDITIONS, REFUSALS, GATES) and not rule.name.startswith("allow"):
            yield rule


def _with_probes(examined: Examined, rules: Sequence[Rule]) -> str:
    """The gates with a copy of each of `rules` under a name of its own, and `allow_field`, the one question that names
    a single word, asking for the copy whose number it is given."""
    texts, copies, questions = examined.texts, [], []
    for place, rule in enumerate(rules):
        copies.append(f"\nprobe_{place}{rule.whole.of(texts[rule.file])[len(rule.name) :]};")
        nouns = (f"_{noun}" if noun in _NOUNS else "_" for noun in examined.rules.shapes[rule.name])
        question = f'allow_field(_agent: Agent, _action: String, _dossier: Dossier, "{place}")'
        questions.append(f"{question} if probe_{place}({', '.join(nouns)})")
    (asks,) = examined.rules.named("allow_field")
    return asks.whole.replaced(texts[GATES], ";\n".join(questions)) + "".join(copies)


_NOUNS: Final = ("agent", "action", "dossier")
