"""Compiling `routes.toml`: what a security team writes becomes a `RouteTable`, or a list of sentences.

Nothing here reads a file: the text comes in, so that what is fingerprinted is what is compiled.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from gateway.errors import Misconfigured
from gateway.model import NEVER
from gateway.redaction.drafts import Problem
from gateway.redaction.entries import Entry, read_entry
from gateway.redaction.parts import Part
from gateway.redaction.paths import overlap
from gateway.redaction.pointers import RUBRIC, read_pointer, spell_out, write_pointer
from gateway.redaction.sentences import Lines, did_you_mean
from gateway.redaction.table import JSON, Content, Route, RouteTable

LONGEST_LINE: Final = 2_000
"""Characters. The parser's time grows with the square of a dotted key, and a longer number cannot be read at all."""
DEEPEST: Final = 8
"""How deep brackets and braces may nest, the file's own level included."""
MOST_ROUTES: Final = 200
"""Each is compared with each other, and every refusal of one is a sentence."""
MOST_PROBLEMS: Final = 200
_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class Doubt(NamedTuple):
    """What is wrong in the file, and where; line and column count from 1."""

    line: int
    column: int
    sentence: str


def compile_routes(text: str, rubrics: Sequence[str], file: str = "routes.toml") -> RouteTable:
    """The route table that `text` describes, for these slugs.

    Raises `Misconfigured` with every problem found, up to MOST_PROBLEMS, each written "routes.toml:LINE: sentence", in
    the file's order.
    """
    table, doubts = read_routes(text, rubrics)
    if table is None:
        raise Misconfigured([f"{file}:{doubt.line}: {doubt.sentence}" for doubt in doubts])
    return table


def read_routes(text: str, rubrics: Sequence[str]) -> tuple[RouteTable | None, list[Doubt]]:
    """The same, or None and what is wrong, in the file's order."""
    lines = Lines(text)
    written, problems = _read_toml(text, lines)
    entries = [read_entry(table, rubrics) for table in written]
    routes: list[Route] = []
    for place, entry in enumerate(entries):
        owner = next((each for each in entries if each.name == entry.part_of), entry)
        contents = _contents(entry, owner, rubrics)
        for about, sentence in (
            *entry.problems,
            *_clashes(entry, entries[:place]),
            *_loose_part(entry, owner, entries, contents),
        ):
            line = lines.of_route(place, about)
            problems.append(Doubt(line, lines.column(line, about), sentence))
        if entry.template:
            routes.append(_route(entry, entry.template, contents))
    if problems:
        return None, sorted(set(problems), key=lambda doubt: (doubt.line, doubt.sentence))[:MOST_PROBLEMS]
    return RouteTable(routes), []


def _read_toml(text: str, lines: Lines) -> tuple[list[dict[str, Any]], list[Doubt]]:
    """The `[[route]]` tables of the file, and what is wrong around them."""
    for number, written in enumerate(text.split("\n"), 1):
        if len(written) > LONGEST_LINE:
            return [], [
                Doubt(number, 1, f"this line has more than {LONGEST_LINE} characters: write it on several lines.")
            ]
    try:
        file = tomllib.loads(text)
        nested = _is_deeper(file, DEEPEST)
    except RecursionError:
        file, nested = {}, True
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        where = _WHERE.search(message)
        line = int(where[1]) if where and where[1] else text.count("\n") + 1
        column = int(where[2]) if where and where[2] else 1
        reason = message[: where.start()] if where else message
        return [], [
            Doubt(line, column, f"from here on the file cannot be read: check quotes, brackets and commas ({reason}).")
        ]
    if nested:
        return [], [Doubt(_deepest_line(text), 1, f"brackets, braces or dotted keys nest deeper than {DEEPEST}.")]
    problems = [
        Doubt(
            lines.of(key),
            lines.column(lines.of(key), key),
            f'the file has no place for "{key}": it holds [[route]] sections only.{did_you_mean(key, ["route"])}',
        )
        for key in file
        if key != "route"
    ]
    routes = file.get("route", [])
    if not isinstance(routes, list) or not all(isinstance(route, dict) for route in routes):
        return [], [*problems, Doubt(lines.of("route"), 1, "each route starts with [[route]], in double brackets.")]
    if len(routes) > MOST_ROUTES:
        return [], [*problems, Doubt(lines.of_route(MOST_ROUTES), 1, f"there are more than {MOST_ROUTES} routes.")]
    if not routes and not problems:
        problems.append(Doubt(1, 1, "the file has no [[route]]: nothing of the backend could be reached."))
    return routes, problems


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)


def _deepest_line(text: str) -> int:
    """About where: brackets within texts and comments are counted too."""
    depth, deepest, found = 0, 0, 1
    for number, line in enumerate(text.split("\n"), 1):
        for character in line:
            depth += (character in "[{") - (character in "]}")
            if depth > deepest:
                deepest, found = depth, number
    return found


def _clashes(entry: Entry, earlier: Sequence[Entry]) -> Iterator[Problem]:
    for other in earlier:
        if entry.name and entry.name == other.name:
            yield Problem("name", f'two routes are named "{entry.name}".')
        if entry.template and other.template and overlap(entry.template, other.template):
            yield Problem("match", f'a path that fits "{entry.name}" can also fit "{other.name}".')


def _contents(entry: Entry, owner: Entry, slugs: Sequence[str]) -> dict[str, Content]:
    """What the entry answers, by the slug in its path; what its owner has no pointer for opens to nobody."""
    if entry.answer != JSON or owner.part is None:
        return {}
    if owner is entry:
        return {"": Content(owner.part, "", owner.part.rubrics())}
    pointer = read_pointer(entry.at)
    contents = {}
    for slug in slugs if RUBRIC in pointer else ("",):
        spelled = spell_out(pointer, slug)
        part = owner.part.at(spelled) or Part(NEVER)
        contents[slug] = Content(part, write_pointer(spelled), part.rubrics())
    return contents


def _loose_part(
    entry: Entry, owner: Entry, entries: Sequence[Entry], contents: dict[str, Content]
) -> Iterator[Problem]:
    if not entry.part_of:
        return
    if owner is entry:
        names = [each.name for each in entries if each is not entry and each.part is not None]
        yield Problem("part_of", f'there is no other route "{entry.part_of}".{did_you_mean(entry.part_of, names)}')
    elif owner.answer != JSON or owner.part_of:
        yield Problem("part_of", f'"{entry.part_of}" has no [route.parts] of its own to take a part of.')
    elif contents and not any(content.rubrics for content in contents.values()):
        yield Problem("at", f'nothing at "{entry.at}" of "{entry.part_of}" belongs to a rubric.')


def _route(entry: Entry, template: Any, contents: dict[str, Content]) -> Route:
    return Route(
        name=entry.name,
        method=entry.method,
        template=template,
        action=entry.action,
        answer=entry.answer,
        query=entry.query,
        content_types=entry.content_types,
        rubric=entry.rubric,
        contents=contents,
    )
