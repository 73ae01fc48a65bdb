"""The part of Polar that a policy may be written in: a parser, and its limits.

Polar allows far more (calls into Python, negation anywhere, arithmetic, `new`, `debug`, inline queries). Whatever is
not in this grammar is refused before oso sees the text, with the line and a sentence. The limits keep oso's own
parser safe: 8 000 nested brackets end the process, 50 000 terms hold it for a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

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
from gateway.policy.tokens import Problem, Token, Unreadable, tokens

LARGEST_FILE: Final = 256 * 1024
"""Bytes. Some 2 000 rows of the table."""
DEEPEST_NESTING: Final = 8
LONGEST_STATEMENT: Final = 2_000
"""Tokens."""

Item = TypeVar("Item")

RESERVED: Final = frozenset(
    (
        *("new", "debug", "print", "cut", "forall", "matches", "isa", "mod", "rem", "true", "false", "nil"),
        *("inf", "nan", "if", "and", "or", "not", "in", "type", "actor", "resource"),
    )
)


def read(file: str, text: str) -> list[Statement]:
    """The statements of a file. Raises `Unreadable` at the first place that is not in the grammar."""
    size = len(text.encode(errors="surrogatepass"))
    if size > LARGEST_FILE:
        raise Unreadable(Problem(file, 1, 1, f"the file has {size} bytes; at most {LARGEST_FILE} are read."))
    statements, pending, depth = [], list[Token](), 0
    for token in tokens(file, text):
        pending.append(token)
        depth += (token.text in "([") - (token.text in ")]") if token.kind == "mark" else 0
        if depth > DEEPEST_NESTING:
            raise Unreadable(Problem(file, token.line, token.column, f"brackets nest deeper than {DEEPEST_NESTING}."))
        if len(pending) > LONGEST_STATEMENT:
            raise Unreadable(Problem(file, pending[0].line, 1, "this rule is too long: split it, or end it with `;`."))
        if token.kind == "mark" and token.text == ";":
            statements.append(_Statement(file, pending).parse())
            pending = []
    if pending:
        last = pending[-1]
        raise Unreadable(Problem(file, last.line, last.column, "the last rule has no `;` at its end."))
    return statements


class _Statement:
    """A recursive-descent parser over the tokens of one statement, `;` included."""

    def __init__(self, file: str, pending: list[Token]) -> None:
        self.file = file
        self.pending = pending
        self.at = 0

    def parse(self) -> Statement:
        line = self.now.line
        declares = self.word("type")
        name = self.name("the name of a rule")
        parameters = self.listed("(", self.parameter, ")")
        goals = self.body() if not declares and self.word("if") else ()
        if not self.mark(";"):
            raise self.refuse(f"expected `;`, found `{self.now.text}`.")
        return Statement(name, parameters, goals, declares, line)

    @property
    def now(self) -> Token:
        return self.pending[min(self.at, len(self.pending) - 1)]

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
        self.at += 1
        return token.text

    def listed(self, opening: str, one: Callable[[], Item], closing: str) -> tuple[Item, ...]:
        if not self.mark(opening):
            raise self.refuse(f"expected `{opening}`, found `{self.now.text}`.")
        items: list[Item] = []
        while not self.mark(closing):
            items.append(one())
            if not self.mark(",") and not (self.now.kind == "mark" and self.now.text == closing):
                raise self.refuse(f"expected `,` or `{closing}`, found `{self.now.text}`.")
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
            return Text(token.text[1:-1], token.line)
        if token.kind == "mark" and token.text == "[":
            return Texts(self.listed("[", self.item, "]"), token.line)
        if token.kind == "class":
            raise self.refuse(f'`{token.text}` must be written between double quotes: "{token.text}".')
        return Variable(self.name("a string, a list or a variable"), token.line)

    def item(self) -> Text | Variable:
        term = self.plain()
        if isinstance(term, Texts):
            raise self.refuse("a list inside a list is not used in these policies.")
        return term

    def term(self) -> Term:
        term = self.plain()
        if not isinstance(term, Variable) or not self.mark("."):
            return term
        attribute = Attribute(term.name, self.name("the name of a fact"), term.line)
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
            if not (self.word("and") or self.word("or")):
                return tuple(goals)

    def goal(self) -> Goal:
        line = self.now.line
        if self.word("not"):
            denied = self.term()
            if not isinstance(denied, Variable) or not (self.now.kind == "mark" and self.now.text == "("):
                raise self.refuse("`not` may only stand before a rule: `refusal(…)`.")
            return Denied(self.call(denied.name, line), line)
        left = self.term()
        if isinstance(left, Variable) and self.now.kind == "mark" and self.now.text == "(":
            return self.call(left.name, line)
        if self.mark("="):
            return Comparison(left, "=", self.term(), line)
        if self.word("in"):
            return Comparison(left, "in", self.term(), line)
        raise self.refuse(f"expected `=` or `in`, found `{self.now.text}`.")

    def call(self, name: str, line: int) -> Call:
        return Call(name, self.listed("(", self.term, ")"), line)
