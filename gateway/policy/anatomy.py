"""Where the rules of a folder stand in its texts, and their conditions: to point at them, and to change one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from gateway.policy.grammar import read
from gateway.policy.layout import FILES, SCHEMA
from gateway.policy.statements import Goal, Parameter, Statement, Variable, word
from gateway.policy.tokens import Token, tokens

DOSSIERS: Final = "dossiers"
"""The lines of conditions.polar that say which dossiers a profile may open."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text: its characters from `start` to `end`, the last not among them."""

    start: int
    end: int

    def of(self, text: str) -> str:
        return text[self.start : self.end]

    def replaced(self, text: str, by: str) -> str:
        return text[: self.start] + by + text[self.end :]


@dataclass(frozen=True, slots=True)
class PlacedGoal:
    """One condition of a rule and where it is written."""

    goal: Goal
    span: Span
    line: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One statement of a file that decides. `whole` is its text without the `;`, `name_span` its first word."""

    file: str
    statement: Statement
    whole: Span
    name_span: Span
    parameters: tuple[tuple[Parameter, Span], ...]
    goals: tuple[PlacedGoal, ...]

    @property
    def name(self) -> str:
        return self.statement.name

    @property
    def where(self) -> str:
        return f"{self.file}:{self.statement.line}"


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The rules that decide, in the order of the files, and the shapes they have."""

    rules: tuple[Rule, ...]
    shapes: Mapping[str, tuple[str, ...]]
    """Rule → the names its places have in schema.polar."""

    def named(self, name: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.name == name]

    def dossiers(self, profile: str) -> Rule | None:
        """The line that says which dossiers `profile` may open."""
        return next((rule for rule in self.named(DOSSIERS) if word(rule.parameters[0][0].term) == profile), None)


def anatomy(texts: Mapping[str, str]) -> Anatomy:
    """The anatomy of a folder that the lint accepts (file name → text). Raises `Unreadable` outside the grammar."""
    shapes = {
        statement.name: tuple(p.term.name if isinstance(p.term, Variable) else "" for p in statement.parameters)
        for statement in read(SCHEMA, texts[SCHEMA])
        if statement.declares
    }
    return Anatomy(tuple(rule for file in FILES if file != SCHEMA for rule in _rules(file, texts[file])), shapes)


def _rules(file: str, text: str) -> Iterator[Rule]:
    starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    pending: list[Token] = []
    statements = iter(read(file, text))
    for token in tokens(text):
        # A text says what kind of token it is, here and below: that of a string has its quotation marks.
        if token.text == ";":
            yield _rule(file, next(statements), pending, starts)
            pending = []
        else:
            pending.append(token)


def _rule(file: str, statement: Statement, written: Sequence[Token], starts: Sequence[int]) -> Rule:
    def span(first: int, after: int) -> Span:
        head, last = written[first], written[after - 1]
        return Span(starts[head.line - 1] + head.column - 1, starts[last.line - 1] + last.column - 1 + len(last.text))

    end = _closing(written, 1)
    goals = _goal_ranges(written, end + 2)
    return Rule(
        file,
        statement,
        span(0, len(written)),
        span(0, 1),
        tuple(
            (parameter, span(*place))
            for parameter, place in zip(statement.parameters, _listed(written, 2, end), strict=True)
        ),
        tuple(
            PlacedGoal(goal, span(*place), written[place[0]].line)
            for goal, place in zip(statement.goals, goals, strict=True)
        ),
    )


def _closing(written: Sequence[Token], opening: int) -> int:
    """The place of the bracket that closes the one at `opening`."""
    depth = 0
    for at in range(opening, len(written)):
        depth += _deeper(written[at])
        if depth == 0:
            return at
    raise ValueError("a bracket is not closed")


def _deeper(token: Token) -> int:
    return (token.text in ("(", "[")) - (token.text in (")", "]"))


def _listed(written: Sequence[Token], first: int, end: int) -> Iterator[tuple[int, int]]:
    """The ranges of what stands between commas."""
    depth, start = 0, first
    for at in range(first, end):
        depth += _deeper(written[at])
        if depth == 0 and written[at].text == ",":
            yield start, at
            start = at + 1
    if start < end:
        yield start, end


def _goal_ranges(written: Sequence[Token], first: int) -> list[tuple[int, int]]:
    """The ranges of the goals of a body: without the `and`, the `or` and the brackets that group them."""
    ranges: list[tuple[int, int]] = []
    depth, start = 0, first
    for at in range(first, len(written)):
        text = written[at].text
        if depth == 0 and (text in (")", "and", "or") or (text == "(" and at == start)):
            if start < at:
                ranges.append((start, at))
            start = at + 1
        else:
            depth += _deeper(written[at])
    if start < len(written):
        ranges.append((start, len(written)))
    return ranges
