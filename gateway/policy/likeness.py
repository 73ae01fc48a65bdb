"""Which values of a fact a policy cannot tell apart, read off its rules.

A policy that asks of the convention only whether it is "in_force" decides alike where it is suspended, expired or none.
Where a fact is put to any other use than being held against fixed words, each of its values is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import chain, combinations

from gateway.model import FACT_VOCABULARIES
from gateway.policy.statements import (
    Attribute,
    Call,
    Comparison,
    Goal,
    Statement,
    Term,
    Text,
    Texts,
    Variable,
    is_fixed,
    terms_of,
    variable_of,
    words,
)

Likeness = Mapping[object, object]
"""Each value of a fact, as in `Facts`, and the first of those that are like it."""


def likenesses(statements: Mapping[str, Sequence[Statement]]) -> Mapping[str, Likeness]:
    """For the facts that are held against fixed words only, by these statements (file name → its statements).

    Exact for what the grammar takes (`policy.grammar`): every condition comes out alike for values that are alike, and
    no value goes anywhere but into conditions. Values outside the vocabularies are in none.
    """
    rules = [statement for each in statements.values() for statement in each if not statement.declares]
    asked: dict[str, list[frozenset[str] | None]] = {}
    for rule in rules:
        for goal in rule.goals:
            for term in terms_of(goal):
                if isinstance(term, Attribute):
                    asked.setdefault(term.name, []).append(_words_asked(term, goal, rule, rules))
    return {
        fact: _alike(fact, [some for some in asked[fact] if some is not None])
        for fact in FACT_VOCABULARIES
        if fact in asked and None not in asked[fact]
    }


def _alike(fact: str, asked: Sequence[frozenset[str]]) -> Likeness:
    first: dict[object, object] = {}
    if fact == "mandates":
        either = reduce(frozenset.union, asked)
        return {held: first.setdefault(held & either, held) for held in _subsets(FACT_VOCABULARIES[fact])}
    return {word: first.setdefault(tuple(word in some for some in asked), word) for word in FACT_VOCABULARIES[fact]}


def _subsets(words: Sequence[str]) -> list[frozenset[str]]:
    return [
        frozenset(some) for some in chain.from_iterable(combinations(words, size) for size in range(len(words) + 1))
    ]


def _words_asked(fact: Attribute, goal: Goal, rule: Statement, rules: Sequence[Statement]) -> frozenset[str] | None:
    """The words that `goal` holds `fact` against; None where it does, or may do, anything else with it."""
    if not isinstance(goal, Comparison):
        return None
    other = goal.right if fact is goal.left else goal.left
    if fact.name == "mandates":
        if goal.operator != "in" or fact is goal.left:
            return None
        return _drawn(other.name, goal, rule, rules) if isinstance(other, Variable) else _one(other)
    if goal.operator == "=":
        return _one(other)
    return _list(other) if fact is goal.left else None


def _drawn(name: str, asking: Goal, rule: Statement, rules: Sequence[Statement]) -> frozenset[str] | None:
    """The words that a variable can be when `rule` comes to `asking`: those of a list that it was `in` before, be it
    written there or in the facts of a table, as in `dossiers(agent.profile, kinds, _) and kind in kinds`.

    Before, not behind: a variable that is free there is each mandate in turn, and what is asked of each, and read for
    it, is another thing for other mandates.
    """
    if rule.has_alternatives or name == "_":
        return None
    before = next(at for at, goal in enumerate(rule.goals) if goal is asking)
    for at, goal in enumerate(rule.goals[:before]):
        if isinstance(goal, Comparison) and goal.operator == "in" and variable_of(goal.left) == name:
            found = _list(goal.right)
            if found is None and isinstance(goal.right, Variable):
                found = _tabled(goal.right.name, rule.goals[:at], rules)
            if found is not None:
                return found
    return None


def _tabled(name: str, before: Sequence[Goal], rules: Sequence[Statement]) -> frozenset[str] | None:
    """The words of all the lists that a variable can be, where it is a place of a table that states facts only."""
    for goal in before:
        if name == "_" or not isinstance(goal, Call):
            continue
        given = [variable_of(argument) for argument in goal.arguments]
        if name not in given:
            continue
        place = given.index(name)
        lines = [line for line in rules if line.name == goal.name]
        if lines and all(_states_fact(line, place) for line in lines):
            listed = [_list(line.parameters[place].term) for line in lines]
            if None not in listed:
                return frozenset(chain.from_iterable(some for some in listed if some is not None))
    return None


def _states_fact(line: Statement, place: int) -> bool:
    return line.is_fact and len(line.parameters) > place


def _one(term: Term) -> frozenset[str] | None:
    return frozenset((term.value,)) if isinstance(term, Text) else None


def _list(term: Term) -> frozenset[str] | None:
    return frozenset(words(term)) if isinstance(term, Texts) and is_fixed(term) else None
