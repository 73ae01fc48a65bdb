"""The part of Polar that a policy may be written in: a parser, and its limits.

Polar allows far more (calls into Python, negation anywhere, arithmetic, `new`, `debug`, inline queries). Whatever is
not in this grammar is refused before oso sees the text, with the line and a sentence. The limits keep oso's own
parser safe: 8 000 nested brackets end the process, 50 000 terms hold it for a minute.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

from gateway.policy.layout import near
from gateway.policy.statements import (
    Attribute,
    Call,
    Comparison,
    Denied,
    Goal,
    Parameter,
    Statement,
    Term,
    Text,
    Texts,
    Variable,
)
from gateway.policy.tokens import Problem, Token, Unreadable, fault_of, tokens

LARGEST_FILE: Final = 256 * 1024
"""Bytes. Some 2 000 rows of the table."""
MOST_PROBLEMS: Final = 200
"""Nobody reads on after these; and naming them takes time."""
DEEPEST_NESTING: Final = 8
LONGEST_STATEMENT: Final = 2_000
"""Tokens."""

Item = TypeVar("Item")

_ENGINES_OWN: Final = re.compile(r"_.*[0-9]")
"""oso calls the value of `agent.convention` `_value_7` in a rule, and `_` `_8`: whoever wrote such a name would
ask about that fact, and nobody who reads the rule would see it."""
RESERVED: Final = frozenset(
    (
        *("new", "debug", "print", "cut", "forall", "matches", "isa", "mod", "rem", "true", "false", "nil"),
        *("inf", "nan", "if", "and", "or", "not", "in", "type", "actor", "resource"),
    )
)


def read(file: str, text: str) -> list[Statement]:
    """The statements of a file. Raises `Unreadable` for the first place that is not in the grammar."""
    statements, problems = read_on(file, text)
    if problems:
        raise Unreadable(problems[0])
    return statements


def read_on(file: str, text: str) -> tuple[list[Statement], list[Problem]]:
    """The statements of a file that are in the grammar, and what is not: one problem for each statement, at most
    MOST_PROBLEMS, and one for each comment. Reading goes on after the next `;`."""
    size = len(text.encode(errors="surrogatepass"))
    if size > LARGEST_FILE:
        return [], [Problem(file, 1, 1, f"the file has {size} bytes; at most {LARGEST_FILE} are read.")]
    reading = _Reading(file)
    for token in tokens(text):
        reading.take(token)
        if len(reading.problems) >= MOST_PROBLEMS:
            return reading.statements, reading.problems
    reading.end()
    return reading.statements, reading.problems


class _Reading:
    """Gathers the tokens of one statement after the other. What is wrong in one loses the rest of it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.statements: list[Statement] = []
        self.problems: list[Problem] = []
        self.pending: list[Token] = []
        self.depth = 0
        self.lost = False

    def take(self, token: Token) -> None:
        if token.kind == "fault" and token.text.startswith("#"):
            self.refuse(token, fault_of(token.text))
        elif token.kind == "mark" and token.text == ";":
            if not self.lost:
                self.parse([*self.pending, token])
            self.pending, self.depth, self.lost = [], 0, False
        elif not self.lost:
            self.pending.append(token)
            self.depth += (token.text in "([") - (token.text in ")]") if token.kind == "mark" else 0
            if token.kind == "fault":
                self.parse(self.pending, otherwise=token)
                self.lost = True
            elif self.depth > DEEPEST_NESTING:
                self.lose(token, f"brackets nest deeper than {DEEPEST_NESTING}.")
            elif len(self.pending) >= LONGEST_STATEMENT:  # the `;` is to come
                self.lose(self.pending[0], "this rule is too long: split it, or end it with `;`.")

    def lose(self, place: Token, said: str) -> None:
        self.refuse(place, said)
        self.lost = True

    def parse(self, pending: list[Token], otherwise: Token | None = None) -> None:
        """Reads a statement, or tells what is wrong in it before the fault at its end: a quotation mark that is missing
        makes a fault of the last one of the line."""
        try:
            self.statements.append(_Statement(self.file, pending).parse())
        except Unreadable as unreadable:
            problem = unreadable.problem
            if otherwise and (problem.line, problem.column) >= (otherwise.line, otherwise.column):
                problem = Problem(self.file, otherwise.line, otherwise.column, fault_of(otherwise.text))
            self.problems.append(problem)

    def end(self) -> None:
        if self.pending and not self.lost:
            self.refuse(self.pending[-1], "the last rule has no `;` at its end.")

    def refuse(self, token: Token, said: str) -> None:
        self.problems.append(Problem(self.file, token.line, token.column, said))


class _Statement:
    """A recursive-descent parser over the tokens of one statement, `;` included."""

    def __init__(self, file: str, pending: list[Token]) -> None:
        self.file = file
        self.pending = pending
        self.at = 0
        self.alternatives = False

    def parse(self) -> Statement:
        place = self.now
        declares = self.word("type")
        name = self.name("the name of a rule")
        parameters = self.listed("(", self.parameter, ")")
        goals = self.body() if not declares and self.word("if") else ()
        if not self.mark(";"):
            raise self.refuse(f"expected `;`, found `{self.now.text}`.{self._meant()}")
        return Statement(name, parameters, goals, self.alternatives, declares, place.line, place.column)

    @property
    def now(self) -> Token:
        return self.pending[min(self.at, len(self.pending) - 1)]

    def _follows_a_text(self) -> bool:
        return self.at > 0 and self.pending[self.at - 1].kind == "text" and self.now.kind in ("class", "name")

    def _meant(self) -> str:
        """What whoever goes on here may have forgotten or misspelt."""
        before = self.pending[self.at - 1]
        if self.now.line > before.line and self.now.kind == "name" and self.now.text not in RESERVED:
            return f" Is the `;` missing at the end of line {before.line}?"
        return near(self.now.text, ("and", "or", "if"))

    def refuse(self, said: str) -> Unreadable:
        return Unreadable(Problem(self.file, self.now.line, self.now.column, said))

    def mark(self, text: str) -> bool:
        found = self.now.kind == "mark" and self.now.text == text
        self.at += found
        return found

    def word(self, text: str) -> bool:
        found = self.now.kind == "name" and self.now.text == text
        self.at += found
        return found

    def name(self, what: str) -> str:
        token = self.now
        if token.kind != "name":
            raise self.refuse(f"expected {what}, found `{token.text}`.")
        if token.text in RESERVED:
            raise self.refuse(f"`{token.text}` may not stand here.")
        if token.text.startswith("__"):
            raise self.refuse("names beginning with two underscores are refused.")
        if _ENGINES_OWN.fullmatch(token.text):
            raise self.refuse("a name that begins with `_` must not end with a digit: such names are the engine's own.")
        self.at += 1
        return token.text

    def listed(self, opening: str, one: Callable[[], Item], closing: str) -> tuple[Item, ...]:
        if not self.mark(opening):
            raise self.refuse(f"expected `{opening}`, found `{self.now.text}`.")
        items: list[Item] = []
        while not self.mark(closing):
            items.append(one())
            if not self.mark(",") and not (self.now.kind == "mark" and self.now.text == closing):
                quote = " Is a quotation mark missing before it?" if self._follows_a_text() else ""
                raise self.refuse(f"expected `,` or `{closing}`, found `{self.now.text}`.{quote}")
        return tuple(items)

    def parameter(self) -> Parameter:
        term = self.plain()
        if not isinstance(term, Variable) or not self.mark(":"):
            return Parameter(term, "")
        if self.now.kind != "class":
            raise self.refuse(f"expected a type such as String after `:`, found `{self.now.text}`.")
        self.at += 1
        return Parameter(term, self.pending[self.at - 1].text)

    def plain(self) -> Text | Texts | Variable:
        token = self.now
        if token.kind == "text":
            self.at += 1
            return Text(token.text[1:-1], token.line, token.column)
        if token.kind == "mark" and token.text == "[":
            return Texts(self.listed("[", self.item, "]"), token.line, token.column)
        if token.kind == "class":
            raise self.refuse(f'`{token.text}` must be written between double quotes: "{token.text}".')
        return Variable(self.name("a string, a list or a variable"), token.line, token.column)

    def item(self) -> Text | Variable:
        term = self.plain()
        if isinstance(term, Texts):
            raise self.refuse("a list inside a list is not used in these policies.")
        return term

    def term(self) -> Term:
        term = self.plain()
        if not isinstance(term, Variable) or not self.mark("."):
            return term
        attribute = Attribute(term.name, self.name("the name of a fact"), term.line, term.column)
        if self.now.kind == "mark" and self.now.text in "(.":
            raise self.refuse("facts are read, never called: write `agent.convention`, nothing after it.")
        return attribute

    def body(self) -> tuple[Goal, ...]:
        goals: list[Goal] = []
        while True:
            if self.mark("("):
                goals += self.body()
                if not self.mark(")"):
                    raise self.refuse(f"expected `)`, found `{self.now.text}`.")
            else:
                goals.append(self.goal())
            if self.word("or"):
                self.alternatives = True
            elif not self.word("and"):
                return tuple(goals)

    def goal(self) -> Goal:
        place = self.now
        if self.word("not"):
            denied = self.term()
            if not isinstance(denied, Variable) or not (self.now.kind == "mark" and self.now.text == "("):
                raise self.refuse("`not` may only stand before a rule: `refusal(…)`.")
            return Denied(self.call(denied), place.line, place.column)
        left = self.term()
        if isinstance(left, Variable) and self.now.kind == "mark" and self.now.text == "(":
            return self.call(left)
        if self.mark("="):
            return Comparison(left, "=", self.term(), place.line, place.column)
        if self.word("in"):
            return Comparison(left, "in", self.term(), place.line, place.column)
        raise self.refuse(f"expected `=` or `in`, found `{self.now.text}`.{near(self.now.text, ('in',))}")

    def call(self, rule: Variable) -> Call:
        return Call(rule.name, self.listed("(", self.term, ")"), rule.line, rule.column)
