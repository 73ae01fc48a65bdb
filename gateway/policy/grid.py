"""The table with its conditions: a mark for each open cell, one for each distinct set of situations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count, product
from string import ascii_uppercase
from typing import Final

from gateway.policy.enumeration import Enumerated
from gateway.policy.lint import Row

PLAIN: Final = "X"
"""The mark of the condition that most cells have: the brochure's cross."""


@dataclass(frozen=True)
class Grid:
    """An enumerated policy as its readers see it, rows and columns in the order of the files."""

    policy: Enumerated

    @property
    def fingerprint(self) -> str:
        """Of the policies that opened these cells."""
        return self.policy.fingerprint

    @property
    def profiles(self) -> Mapping[str, str]:
        """Each column's profile and its label."""
        return self.policy.profiles

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rubrics."""
        return self.policy.rows

    @cached_property
    def marks(self) -> Mapping[int, str]:
        """Each set of situations in which a cell is open → its mark: `PLAIN` the most frequent one, then letters in the
        order in which readers meet them."""
        met = Counter(bits for row in self.rows for profile in self.profiles if (bits := self._open(profile, row.slug)))
        if not met:
            return {}
        plain = max(met, key=lambda bits: met[bits])
        others = [bits for bits in met if bits != plain]
        return {plain: PLAIN, **dict(zip(others, _letters(), strict=False))}

    def mark(self, profile: str, slug: str) -> str:
        """The mark of a cell; none where it is closed in every situation."""
        return self.marks.get(self._open(profile, slug), "")

    def of_profile(self, profile: str) -> int:
        """How many rubrics the profile sees in some situation."""
        return sum(1 for row in self.rows if self._open(profile, row.slug))

    def of_row(self, slug: str) -> int:
        """How many profiles see the rubric in some situation."""
        return sum(1 for profile in self.profiles if self._open(profile, slug))

    @property
    def total(self) -> int:
        """How many cells are open in some situation."""
        return sum(self.of_profile(profile) for profile in self.profiles)

    def _open(self, profile: str, slug: str) -> int:
        return self.policy.openings.of(profile, slug)


def _letters() -> Iterator[str]:
    """A, B … Z without `PLAIN`, then AA, AB …"""
    letters = [letter for letter in ascii_uppercase if letter != PLAIN]
    for length in count(1):
        yield from map("".join, product(letters, repeat=length))
