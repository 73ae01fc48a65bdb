"""Cells that are open and that nobody used, and the table without them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.policy.engine import Policy
from gateway.policy.enumeration import Cell, Openings
from gateway.policy.tokens import Token, tokens


@dataclass
class Usage:
    """How often a rubric left, by profile; and how often anything at all did."""

    cells: Counter[Cell] = field(default_factory=Counter)
    profiles: Counter[str] = field(default_factory=Counter)

    def left(self, profile: str, rubrics: Iterable[str], times: int) -> None:
        """So many answers to this profile held something of these rubrics."""
        self.profiles[profile] += times
        for slug in rubrics:
            self.cells[profile, slug] += times


def unused(policy: Policy, opened: Openings, usage: Usage) -> Mapping[str, list[str]]:
    """Each profile of the policy, and the rubrics that are open to it in some situation and of which nothing left."""
    return {
        profile: [r.slug for r in policy.rows if opened.of(profile, r.slug) and not usage.cells[profile, r.slug]]
        for profile in policy.profiles
    }


def without_cells(text: str, cells: Iterable[Cell]) -> str:
    """The text of matrix.polar with these profiles taken off these rubrics' lists, and nothing else changed: comments,
    order and blanks stay. A row that no profile is left to has an empty list; a cell that no row has is no matter.
    The text is that of a policy that was loaded.
    """
    closed = set(cells)
    ends = [0, *(found.end() for found in re.finditer("\n", text))]
    statement: list[_Standing] = []
    cuts: list[tuple[int, int]] = []
    for token in tokens(text):
        at = ends[token.line - 1] + token.column - 1
        statement.append(_Standing(token, at, at + len(token.text)))
        if token.kind == "mark" and token.text == ";":
            cuts += _cuts(statement, closed)
            statement = []
    for first, last in sorted(cuts, reverse=True):
        after = text[last:]
        # The blank that stood before the next word goes too, not the one before a comment.
        text = text[:first] + (after.lstrip(" ") if after.lstrip(" ")[:1] in ('"', "]") else after)
    return text


class _Standing(NamedTuple):
    token: Token
    first: int
    last: int


def _cuts(statement: list[_Standing], closed: set[Cell]) -> Iterator[tuple[int, int]]:
    """What of a row's text goes: each profile that loses the cell, with the comma that parted it from the others."""
    words = [each.token.text for each in statement]
    if words[0] != "rubric" or "[" not in words:
        return
    inside = statement[words.index("[") + 1 : words.index("]")]
    slug = words[2].strip('"')
    goes = [each for each in inside if (each.token.text.strip('"'), slug) in closed]
    kept = [each for each in inside if each.token.kind == "text" and each not in goes]
    for each in goes:
        place = inside.index(each)
        yield each.first, each.last
        comma = place - 1 if kept and each.first > kept[-1].first else place + 1
        if comma < len(inside):
            yield inside[comma].first, inside[comma].last
