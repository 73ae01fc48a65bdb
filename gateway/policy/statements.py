"""What a policy text says once it is read: the nouns of the grammar, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol


class Placed(Protocol):
    """Whatever stands at a place of a file: line and column count from 1."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


class Place(NamedTuple):
    line: int
    column: int


TOP: Final = Place(1, 1)
"""Where what is missing from a file is told."""


@dataclass(frozen=True, slots=True)
class Text:
    value: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of strings or, in the body of a rule, of variables."""

    items: tuple[Text | Variable, ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Attribute:
    variable: str
    name: str
    line: int
    column: int


Term = Text | Texts | Variable | Attribute


@dataclass(frozen=True, slots=True)
class Parameter:
    """One place of a head: a term, or a variable with the type it is declared to have."""

    term: Text | Texts | Variable
    type: str


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Term, ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left = right` or `left in right`."""

    left: Term
    operator: str
    right: Term
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Denied:
    """`not call(…)`."""

    call: Call
    line: int
    column: int


Goal = Call | Comparison | Denied


@dataclass(frozen=True, slots=True)
class Statement:
    """`head;`, `head if body;` or `type head;`. The body is its goals in order, `and` and `or` alike."""

    name: str
    parameters: tuple[Parameter, ...]
    goals: tuple[Goal, ...]
    has_alternatives: bool
    """Whether an `or` stands in its body."""
    declares: bool
    line: int
    column: int

    @property
    def is_fact(self) -> bool:
        return not self.goals and not self.declares


def terms_of(goal: Goal) -> tuple[Term, ...]:
    """What a goal compares, or hands to a rule."""
    if isinstance(goal, Comparison):
        return goal.left, goal.right
    return goal.call.arguments if isinstance(goal, Denied) else goal.arguments


def calls_of(statement: Statement) -> Iterator[str]:
    """The rules that a statement rests on."""
    for goal in statement.goals:
        if not isinstance(goal, Comparison):
            yield goal.call.name if isinstance(goal, Denied) else goal.name


def variables_of(statement: Statement) -> Iterator[tuple[str, Placed]]:
    """The name of each variable, as often as it stands there, and where."""
    terms: list[Term] = [parameter.term for parameter in statement.parameters]
    for goal in statement.goals:
        terms += terms_of(goal)
    for term in terms:
        for part in term.items if isinstance(term, Texts) else (term,):
            if isinstance(part, Variable):
                yield part.name, part
            elif isinstance(part, Attribute):
                yield part.variable, part


def words(term: Term) -> list[str]:
    """The strings of a string or a list."""
    return [text.value for text in texts(term)]


def texts(term: Term) -> list[Text]:
    """The same with their places."""
    if isinstance(term, Text):
        return [term]
    return [item for item in term.items if isinstance(item, Text)] if isinstance(term, Texts) else []


def is_fixed(term: Term) -> bool:
    """Whether the term is a string or a list of nothing but strings."""
    return isinstance(term, Text) or (isinstance(term, Texts) and all(isinstance(item, Text) for item in term.items))


def variable_of(term: Term) -> str:
    """The variable's name, or nothing where the term is something else."""
    return term.name if isinstance(term, Variable) else ""


def word(term: Term) -> str:
    """The string, or nothing where the term is something else."""
    return term.value if isinstance(term, Text) else ""


def without_lines(value: object) -> object:
    """The same for two things that differ only by where they stand."""
    if isinstance(value, tuple):
        return tuple(without_lines(part) for part in value)
    names = getattr(type(value), "__slots__", None)
    if names is None or isinstance(value, str):
        return value
    return (
        type(value).__name__,
        *(without_lines(getattr(value, name)) for name in names if name not in ("line", "column")),
    )
