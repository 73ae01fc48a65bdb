"""Everything by which two folders of policies differ in what they let out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.policy.difference import (
    CellChange,
    Vocabulary,
    difference,
    profiles_compared,
    rubrics_compared,
)
from gateway.policy.enumeration import Enumerated
from gateway.policy.lint import named_rubrics
from gateway.policy_files.enumerated import both_enumerated
from gateway.policy_files.folder import ROUTES
from gateway.redaction.compared import PartChange, compared
from gateway.redaction.routes import compile_routes


@dataclass(frozen=True)
class Comparison:
    """From `old` to `new`."""

    old: Enumerated
    new: Enumerated
    cells: tuple[CellChange, ...]
    profiles: Vocabulary
    rubrics: Vocabulary
    routes: tuple[PartChange, ...]

    @property
    def opens(self) -> bool:
        """Whether anything is gained: a situation in which a cell is open, or something that may leave."""
        return any(change.gained for change in self.cells) or any(change.opens for change in self.routes)

    @property
    def has_effect(self) -> bool:
        """Whether anybody sees more or less, or could with a row of the table more or less."""
        named = (self.profiles.added, self.profiles.removed, self.rubrics.added, self.rubrics.removed)
        return bool(self.cells or self.routes or any(named))

    def label(self, slug: str) -> str:
        """The rubric's label: the new one, where it is still there."""
        rows = {row.slug: row.label for row in (*self.old.rows, *self.new.rows)}
        return rows.get(slug, slug)

    @property
    def slugs(self) -> tuple[str, ...]:
        """Every rubric of either, in the order of the new table, then of the old one."""
        return tuple(dict.fromkeys(row.slug for row in (*self.new.rows, *self.old.rows)))


def comparison(old: Mapping[str, str], new: Mapping[str, str]) -> Comparison:
    """Of these texts (file name → text), enumerated whole. Raises `Misconfigured` with what is wrong with either."""
    one, other = both_enumerated(old, new)
    tables = (compile_routes(texts[ROUTES], named_rubrics(texts)) for texts in (old, new))
    return Comparison(
        one,
        other,
        tuple(difference(one.openings, other.openings)),
        profiles_compared(one, other),
        rubrics_compared(one, other),
        tuple(compared(*tables)),
    )
