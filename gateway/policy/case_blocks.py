"""One file of tests as TOML: its tables with the lines they stand on, and what makes it unreadable."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.policy.layout import known, near
from gateway.policy.tokens import Problem

LONGEST_LINE: Final = 2_000
"""Characters. The parser's time grows with the square of a dotted key."""
DEEPEST: Final = 8
"""How deep brackets and braces may nest."""
KINDS: Final = ("case", "promise")
DEFAULTS: Final = "defaults"

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([A-Za-z_-]+)\s*\]")
_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

Refuse = Callable[[int, int, str], None]
"""Notes a problem: the line, the column, the sentence."""


@dataclass(frozen=True, slots=True)
class Block:
    """One table of the file: `[[case]]`, `[[promise]]` or `[defaults]`."""

    kind: str
    table: Mapping[str, Any]
    lines: Sequence[str]
    first: int
    """Number of its first line, from 1."""

    def place(self, key: str = "", word: str = "") -> tuple[int, int]:
        """Line and column, from 1, of a word among a key's values, else of the key, else of the block."""
        begins = re.compile(rf"(\s*){re.escape(key)}\s*=")
        for at, line in enumerate(self.lines if key else ()):
            found = begins.match(line)
            if found:
                return self._word(at, word) or (self.first + at, len(found[1]) + 1)
        return self.first, 1

    def _word(self, at: int, word: str) -> tuple[int, int] | None:
        for further, line in enumerate(self.lines[at:] if word else ()):
            if further and re.match(r"\s*[A-Za-z_]+\s*=", line):
                break
            for quoted in (f'"{word}"', f"'{word}'"):
                if quoted in line:
                    return self.first + at + further, line.index(quoted) + 1
        return None


def read_blocks(file: str, text: str) -> tuple[list[Block], list[Problem]]:
    """The tables of a file in their order, or why it cannot be read."""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        fault = _fault(line)
        if fault:
            return [], [Problem(file, number, 1, fault)]
    try:
        tables = tomllib.loads(text)
    except RecursionError:  # brackets on many lines
        return [], [Problem(file, 1, 1, f"brackets nest deeper than {DEEPEST}.")]
    except tomllib.TOMLDecodeError as error:
        return [], [_undecodable(file, str(error), len(lines))]
    problems: list[Problem] = []

    def refuse(line: int, column: int, said: str) -> None:
        problems.append(Problem(file, line, column, said))

    blocks = _blocks(tables, lines, refuse)
    return blocks, problems


def _fault(line: str) -> str:
    if len(line) > LONGEST_LINE:
        return f"this line has more than {LONGEST_LINE} characters: write it on several lines."
    if '"""' in line or "'''" in line:
        return "texts over several lines (three quotation marks) are not used here: one quotation mark, one line."
    if max(line.count("["), line.count("{"), line.count(".")) > 200:
        return "this line has too many brackets or dots."
    return ""


def _undecodable(file: str, message: str, last: int) -> Problem:
    where = _WHERE.search(message)
    line, column = (int(where[1]), int(where[2])) if where and where[1] else (last, 1)
    reason = message[: where.start()] if where else message
    said = f"from here on the file cannot be read: check quotation marks, brackets and commas ({reason})."
    if "overwrite" in reason.lower():
        said = "this key or table stands twice here: remove one of the two."
    return Problem(file, line, column, said)


def _blocks(tables: Mapping[str, Any], lines: Sequence[str], refuse: Refuse) -> list[Block]:
    headers = [(at, found[1], found[2]) for at, line in enumerate(lines) if (found := _HEADER.match(line))]
    ends = [*(at for at, _, _ in headers[1:]), len(lines)][: len(headers)]
    pending = {name: iter(_tables(value)) for name, value in tables.items()}
    blocks: list[Block] = []
    for (at, brackets, name), end in zip(headers, ends, strict=True):
        if name not in (*KINDS, DEFAULTS):
            continue
        wanted = "[" if name == DEFAULTS else "[["
        if brackets != wanted:
            refuse(at + 1, 1, f"write {wanted}{name}{']' * len(wanted)}, with {_count(wanted)} on each side.")
            return []
        # TOML has refused a heading that makes no table.
        blocks.append(Block(name, next(pending[name]), lines[at:end], at + 1))
    _leftovers(tables, pending, lines, refuse)
    return blocks


def _tables(value: Any) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, dict)]


def _leftovers(tables: Mapping[str, Any], pending: Mapping[str, Any], lines: Sequence[str], refuse: Refuse) -> None:
    names = (*KINDS, DEFAULTS)
    for name in tables:
        line = next((at for at, line in enumerate(lines, 1) if re.match(rf"\s*\[*\s*{re.escape(name)}\b", line)), 1)
        if name not in names:
            hint = near(name, names) or " Every key stands under [[case]], [[promise]] or [defaults]."
            refuse(line, 1, f"`{shown(name)}` is not understood here.{hint}{known(f'[[{kind}]]' for kind in KINDS)}")
        elif next(pending[name], None) is not None or not _tables(tables[name]):
            refuse(line, 1, f"each {name} has its own heading: write [[{name}]] on a line of its own.")


def _count(brackets: str) -> str:
    return "one bracket" if len(brackets) == 1 else "two brackets"


def shown(written: str) -> str:
    """What somebody wrote, as it can be repeated in a sentence: short, and with nothing invisible in it."""
    visible = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in written[:40])
    return visible + ("…" if len(written) > 40 else "")


def unknown_keys(block: Block, keys: Iterable[str], refuse: Refuse) -> None:
    """Refuse each key of a block that is none of `keys`."""
    words = list(keys)
    for key in block.table:
        if key not in words:
            noun = "[defaults] has" if block.kind == DEFAULTS else f"a {block.kind} has"
            said = f"{noun} no `{shown(key)}`."
            refuse(*block.place(key), f"{said}{near(key, words)}{known(words)}")
