"""Where the rules of a decision stand: oso's account of it, read back to the statements of the folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.policy.engine import Policy, Trace
from gateway.policy.layout import GATES
from gateway.policy.statements import (
    Attribute,
    Comparison,
    Denied,
    Parameter,
    Statement,
    Term,
    Text,
    Texts,
    Variable,
    terms_of,
)


class Place(NamedTuple):
    """Where a statement begins. Lines count from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Proofs:
    """Reads the accounts that oso gives of one policy's decisions."""

    def __init__(self, policy: Policy) -> None:
        self._by_head: dict[Hashable, list[tuple[Counter[str], Place]]] = defaultdict(list)
        for file, statements in policy.statements.items():
            for statement in statements:
                if not statement.declares:
                    entry = (Counter(_words_of(statement)), Place(file, statement.line))
                    self._by_head[statement.name, tuple(map(_written, statement.parameters))].append(entry)

    def places(self, trace: Trace) -> list[Place]:
        """Where the rules stand through which oso came to a result, in its order, each once. Of the gates nothing is
        said: everything goes through them.

        oso tells what a rule says and not where it stands. Should two have the same head and the same words, both are
        named.
        """
        found = (place for rule in _rules(trace) for place in self._places_of(rule))
        return [place for place in dict.fromkeys(found) if place.file != GATES]

    def _places_of(self, rule: Mapping[str, Any]) -> list[Place]:
        alike = self._by_head[rule["name"], tuple(_told(each) for each in rule["params"])]
        if len(alike) > 1:
            words = Counter(_words_in(rule["body"]))
            alike = [entry for entry in alike if entry[0] == words] or alike
        return [place for _, place in alike]


def _rules(trace: Trace) -> Iterator[Mapping[str, Any]]:
    node = trace["node"]
    if "Rule" in node:
        yield node["Rule"]
    for child in trace["children"]:
        yield from _rules(child)


def _written(parameter: Parameter) -> Hashable:
    """A place of a head as the folder has it."""
    return _key(parameter.term), parameter.type


def _key(term: Text | Texts | Variable) -> Hashable:
    if isinstance(term, Texts):
        return tuple(map(_key, term.items))
    return ("text", term.value) if isinstance(term, Text) else ("variable", _unnamed(term.name))


def _told(parameter: Mapping[str, Any]) -> Hashable:
    """The same place as oso has it."""
    kind = parameter["specializer"]
    return _value(parameter["parameter"]["value"]), kind["value"]["Pattern"]["Instance"]["tag"] if kind else ""


def _value(value: Mapping[str, Any]) -> Hashable:
    [(kind, inside)] = value.items()
    if kind == "List":
        return tuple(_value(item["value"]) for item in inside)
    return ("text", inside) if kind == "String" else ("variable", _unnamed(str(inside)))


def _unnamed(variable: str) -> str:
    # oso numbers each `_`.
    return "_" if variable.startswith("_") and variable[1:].isdecimal() else variable


def _words_of(statement: Statement) -> Iterator[str]:
    """What a body says but for its variables, which oso adds to: the rules it rests on, the facts, the words."""
    for goal in statement.goals:
        if not isinstance(goal, Comparison):
            yield goal.call.name if isinstance(goal, Denied) else goal.name
        for term in terms_of(goal):
            yield from _words_in_term(term)


def _words_in_term(term: Term) -> Iterator[str]:
    if isinstance(term, Attribute):
        yield term.name
    elif isinstance(term, Texts):
        for item in term.items:
            yield from _words_in_term(item)
    elif isinstance(term, Text):
        yield term.value


def _words_in(body: Any) -> Iterator[str]:
    """The same of a body as oso has it: the strings, and the names of what is called."""
    parts: Sequence[Any] = body if isinstance(body, list) else ()
    if isinstance(body, Mapping):
        if "String" in body:
            yield body["String"]
        elif "Call" in body:
            yield body["Call"]["name"]
            parts = body["Call"]["args"]
        else:
            parts = list(body.values())
    for part in parts:
        yield from _words_in(part)
