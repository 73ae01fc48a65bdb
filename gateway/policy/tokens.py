"""The tokens of a policy file, each with its place, and how a place that is wrong is told."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a policy file. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    said: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.said}"


class Unreadable(Exception):
    """The text is not in the grammar; the first such place."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is `text`, `class`, `name` or `mark`, or `fault` for what is none of these and stands in a rule or, where
    its text begins with #, in a comment."""

    kind: str
    text: str
    line: int
    column: int


_TOKEN: Final = re.compile(
    r"""(?P<space>(?:[ \t\n]|\r\n)+|\#[^\r\n]*)
      | (?P<text>"[^"\\\r\n]*")
      | (?P<class>[A-Z][A-Za-z0-9_]*)
      | (?P<name>[a-z_][A-Za-z0-9_]*)
      | (?P<mark>[()\[\],;:.=])
    """,
    re.VERBOSE,
)

_STRANGE: Final = {
    # oso ends a comment there: what an editor shows as part of the comment would be a rule.
    "\r": "a carriage return stands alone here; save the file with ordinary ends of line.",
    "?": "a question (`?=`) is never asked of a policy: write a promise in tests/.",
    "'": 'strings are written with double quotes: "T1".',
    "“": 'strings are written with straight double quotes: "T1".',
    "”": 'strings are written with straight double quotes: "T1".',
    "«": 'strings are written with straight double quotes: "T1".',
    '"': "this string has no end on its line, or contains a backslash.",
    "{": "braces are not used in these policies.",
    "!": "`!` is not used in these policies: say what is required.",
    "<": "values are compared with `=` and `in` only: facts are words, not numbers or dates.",
    ">": "values are compared with `=` and `in` only: facts are words, not numbers or dates.",
}


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a file, in order, its faults among them."""
    at, line, start = 0, 1, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        kind, written = (str(found.lastgroup), found.group()) if found else ("fault", text[at])
        column = at - start + 1
        if (kind == "text" or written.startswith("#")) and _text_fault(written):
            kind, column = "fault", column + _unseen(written)
        if kind != "space":
            yield Token(kind, written, line, column)
        breaks = written.count("\n")
        if breaks:
            line, start = line + breaks, at + written.rindex("\n") + 1
        at += len(written)


def fault_of(written: str) -> str:
    """The sentence about a fault."""
    return _text_fault(written) if len(written) > 1 else _strange(written)


def _strange(character: str) -> str:
    if character in _STRANGE:
        return _STRANGE[character]
    if character.isdigit():
        return "numbers are not used in these policies: facts are words, written between double quotes."
    if not character.isascii() or not character.isprintable():
        name = unicodedata.name(character, f"U+{ord(character):04X}")
        return f"the character {name} may stand only between double quotes or after #."
    return f"`{character}` is not used in these policies."


def _unseen(written: str) -> int:
    """How far in it the first character stands that cannot be seen; 0 where all can."""
    return next((place for place, each in enumerate(written) if not each.isprintable() and each != "\t"), 0)


def _text_fault(written: str) -> str:
    for character in written:
        if not character.isprintable() and character != "\t":
            return f"the invisible character U+{ord(character):04X} is refused, even inside a string or a comment."
    if written.startswith('"') and unicodedata.normalize("NFC", written) != written:
        return "an accent is written as two characters here; type the accented letter again (NFC)."
    return ""
