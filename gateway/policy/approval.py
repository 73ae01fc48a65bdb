"""What is approved, as data that people can read, and what a proposal opens beyond it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from gateway.policy.difference import difference
from gateway.policy.enumeration import Cell, Openings
from gateway.policy.situations import bits_of, describe

MOST_CONDITIONS: Final = 256
MOST_ALTERNATIVES: Final = 4_096
"""In all conditions together. The shipped policies have three conditions and 14 alternatives."""


class Condition(Struct, frozen=True, forbid_unknown_fields=True):
    """Cells that are open in the same situations: profile → slugs. `when` is a `situations.Description`."""

    when: tuple[tuple[dict[str, tuple[str, ...]], ...], ...]
    cells: dict[str, tuple[str, ...]]


def conditions(openings: Openings, profiles: Iterable[str], slugs: Sequence[str]) -> tuple[Condition, ...]:
    """The whole matrix, each open cell once, in the order of these profiles and slugs."""
    alike: dict[int, dict[str, tuple[str, ...]]] = {}
    for profile in profiles:
        for slug in slugs:
            bits = openings.of(profile, slug)
            if bits:
                cells = alike.setdefault(bits, {})
                cells[profile] = (*cells.get(profile, ()), slug)
    return tuple(
        Condition(tuple(tuple(dict(box) for box in requirement) for requirement in describe(bits)), cells)
        for bits, cells in alike.items()
    )


def openings_of(approved: Sequence[Condition]) -> Openings:
    """The matrix that `conditions` wrote. Raises `ValueError` with the end of a sentence about one that it did not."""
    if len(approved) > MOST_CONDITIONS:
        raise ValueError(f"has more than {MOST_CONDITIONS} conditions")
    if sum(len(requirement) for one in approved for requirement in one.when) > MOST_ALTERNATIVES:
        raise ValueError(f"has more than {MOST_ALTERNATIVES} alternatives in its conditions")
    cells: dict[Cell, int] = {}
    met: set[int] = set()
    for one in approved:
        bits = _bits(one)
        if bits in met:
            raise ValueError("says the same condition twice")
        met.add(bits)
        for profile, slugs in one.cells.items():
            for slug in slugs:
                if (profile, slug) in cells:
                    raise ValueError(f"names the cell {profile} {slug} twice")
                cells[profile, slug] = bits
    return Openings(cells)


def _bits(condition: Condition) -> int:
    try:
        bits = bits_of(condition.when)
    except (KeyError, ValueError) as error:
        raise ValueError(f"has a condition that says nothing ({str(error)[:100]})") from None
    if not bits:
        raise ValueError("has a condition in which nothing is ever open")
    return bits


def beyond(approved: Openings, proposed: Openings) -> Mapping[Cell, int]:
    """Each cell that the proposal opens in situations in which it is not approved, and exactly those situations."""
    return {change.cell: change.gained for change in difference(approved, proposed) if change.gained}
