"""Two policies compared by what they open, cell by cell over the whole domain, and never by their text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.policy.enumeration import Cell, Enumerated, Openings

OPENED = "opened"
CLOSED = "closed"
WIDENED = "widened"
NARROWED = "narrowed"
MOVED = "moved"


@dataclass(frozen=True, slots=True)
class CellChange:
    """A cell that is not open in the same situations: sets of them, as `policy.situations` has them."""

    cell: Cell
    before: int
    after: int

    @property
    def gained(self) -> int:
        """The situations in which it is open now and was not."""
        return self.after & ~self.before

    @property
    def lost(self) -> int:
        """The situations in which it was open and is no longer."""
        return self.before & ~self.after

    @property
    def kind(self) -> str:
        """`OPENED` where it never was open, `CLOSED` where it never is; else `WIDENED` and `NARROWED`, or `MOVED` where
        some situations were gained and others lost."""
        if not self.before or not self.after:
            return OPENED if self.after else CLOSED
        if self.gained and self.lost:
            return MOVED
        return WIDENED if self.gained else NARROWED


def difference(old: Openings, new: Openings) -> list[CellChange]:
    """Every cell that differs, profiles in the order of their numbers (T9 before T10), then rubrics by their slugs."""
    changes = (CellChange(cell, old.of(*cell), new.of(*cell)) for cell in {*old.cells, *new.cells})
    return sorted((change for change in changes if change.before != change.after), key=_order)


def _order(change: CellChange) -> tuple[list[str | int], str]:
    profile, slug = change.cell
    # Every second part is a number: parts of one kind are compared with each other only.
    return [int(part) if at % 2 else part for at, part in enumerate(re.split(r"(\d+)", profile))], slug


@dataclass(frozen=True)
class Vocabulary:
    """Profiles or rubrics that were added and removed, and those whose words (label, source) changed."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    reworded: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.reworded)


def profiles_compared(old: Enumerated, new: Enumerated) -> Vocabulary:
    """What became of the profiles; their words are their labels."""
    return _compared(old.profiles, new.profiles)


def rubrics_compared(old: Enumerated, new: Enumerated) -> Vocabulary:
    """What became of the rubrics; their words are their labels and sources."""
    before, after = ({row.slug: (row.label, row.source) for row in one.rows} for one in (old, new))
    return _compared(before, after)


def _compared(old: Mapping[str, object], new: Mapping[str, object]) -> Vocabulary:
    return Vocabulary(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        reworded=tuple(name for name in new if name in old and old[name] != new[name]),
    )


@dataclass(frozen=True, slots=True)
class Alike:
    """Rubrics of one profile that changed in the same way."""

    profile: str
    change: CellChange
    """Of the first of them."""
    slugs: tuple[str, ...]


def alike(changes: Iterable[CellChange], slugs: Sequence[str]) -> list[Alike]:
    """The changes by profile and by what changed; rubrics in the order of `slugs`, others after them."""
    groups: dict[tuple[str, int, int], list[CellChange]] = {}
    for change in changes:
        groups.setdefault((change.cell[0], change.before, change.after), []).append(change)
    place = {slug: at for at, slug in enumerate(slugs)}
    return [
        Alike(
            profile, group[0], tuple(sorted((c.cell[1] for c in group), key=lambda slug: place.get(slug, len(place))))
        )
        for (profile, _, _), group in groups.items()
    ]
