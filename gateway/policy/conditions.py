"""The conditions that ask for a word of a fact: `agent.convention = "in_force"`, `"masp" in dossier.mandates`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.model import FACT_VOCABULARIES, Facts
from gateway.policy.anatomy import PlacedGoal, Rule
from gateway.policy.statements import Attribute, Comparison, Text, is_fixed, words


@dataclass(frozen=True, slots=True)
class Asked:
    """A condition that holds where `fact` is one of `words`, or, of mandates, where one of them is held.

    `variable` is the noun that it reads: `agent` in `agent.convention`.
    """

    placed: PlacedGoal
    variable: str
    fact: str
    words: tuple[str, ...]

    def others(self, profiles: tuple[str, ...]) -> tuple[str, ...]:
        """The words of the fact that it does not ask for."""
        return tuple(word for word in (FACT_VOCABULARIES.get(self.fact) or profiles) if word not in self.words)


def held(facts: Facts, fact: str) -> frozenset[str]:
    """The words that a fact has: one, or of mandates any number."""
    value: str | frozenset[str] = getattr(facts, fact)
    return value if isinstance(value, frozenset) else frozenset((value,))


def asked(rule: Rule) -> Iterator[Asked]:
    """The conditions of `rule` that are of this kind."""
    for placed in rule.goals:
        found = _asked(placed)
        if found is not None:
            yield found


def always_holds(rule: Rule, shape: Sequence[str], profiles: tuple[str, ...]) -> bool:
    """Whether a rule asks for nothing today: every condition takes every word, and its head names none. `shape` is what
    its places are called."""
    conditions = list(asked(rule))
    if len(conditions) < len(rule.goals) or any(condition.others(profiles) for condition in conditions):
        return False
    heads = zip(rule.parameters, shape, strict=True)
    return not any(isinstance(given.term, Text) and name in FACT_VOCABULARIES for (given, _), name in heads)


def _asked(placed: PlacedGoal) -> Asked | None:
    goal = placed.goal
    if not isinstance(goal, Comparison):
        return None
    for fact, other in ((goal.left, goal.right), (goal.right, goal.left)):
        if isinstance(fact, Attribute) and is_fixed(other):
            return Asked(placed, fact.variable, fact.name, tuple(dict.fromkeys(words(other))))
    return None
