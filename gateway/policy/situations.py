"""Every situation an agent can be in before a dossier, as one small finite set, and what a part of it has in common.

A *situation* is the facts of a decision without the profile: 4 608 of them. A set of situations is an integer whose
bit `i` stands for `SITUATIONS[i]`: union, difference and comparison are those of integers.

A set is *described* by requirements that are independent of each other, each a choice of alternatives. What a
description says is exactly the set, never less or more: `bits_of(describe(bits)) == bits`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations, product
from operator import itemgetter
from typing import Any, Final

from gateway.model import (
    ACTIONS,
    ASSURANCES,
    CONVENTION_STATES,
    ENGAGEMENT_STATES,
    MANDATE_KINDS,
    OBJECTION_STATES,
    PARTNER_KINDS,
    Facts,
)

HELD: Final = ("held", "not_held")
"""Each kind of mandate is held on the dossier or not: in a description, a variable of its own."""

VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "partner_kind": PARTNER_KINDS,
    "convention": CONVENTION_STATES,
    "engagement": ENGAGEMENT_STATES,
    **dict.fromkeys(MANDATE_KINDS, HELD),
    "objection": OBJECTION_STATES,
    "assurance": ASSURANCES,
    "action": ACTIONS,
}
"""What can differ between two situations, and its words, in the order in which situations are listed."""

Box = Mapping[str, tuple[str, ...]]
"""Variable → the words it may have. A variable that is not there may have any."""
Requirement = tuple[Box, ...]
"""Alternatives: one of them must be so."""
Description = tuple[Requirement, ...]
"""Each of them must be so. Without any: every situation."""

Words = tuple[str, ...]
SITUATIONS: Final[Sequence[Words]] = tuple(product(*VARIABLES.values()))
EVERY: Final = (1 << len(SITUATIONS)) - 1
"""The set of all situations."""
_NAMES: Final = tuple(VARIABLES)
_PLACES: Final = {name: place for place, name in enumerate(_NAMES)}
_MANDATES: Final = {kind: _PLACES[kind] for kind in MANDATE_KINDS}


def facts_in(situation: Words, profile: str) -> Facts:
    """The facts of `profile` in one of `SITUATIONS`."""
    word = dict(zip(_NAMES, situation, strict=True))
    return Facts(
        profile=profile,
        partner_kind=word["partner_kind"],
        convention=word["convention"],
        engagement=word["engagement"],
        mandates=frozenset(kind for kind, place in _MANDATES.items() if situation[place] == "held"),
        objection=word["objection"],
        assurance=word["assurance"],
        action=word["action"],
    )


@lru_cache(maxsize=8192)
def bit_of(facts: Facts) -> int:
    """The set of the one situation these facts are in. Raises `KeyError` for facts outside their vocabularies."""
    words = {kind: "held" if kind in facts.mandates else "not_held" for kind in MANDATE_KINDS}
    return 1 << _INDEXES[tuple(words.get(name) or getattr(facts, name) for name in _NAMES)]


_INDEXES: Final = {situation: index for index, situation in enumerate(SITUATIONS)}


def situations(bits: int) -> Iterator[Words]:
    """The situations of a set, in their order."""
    for index, digit in enumerate(reversed(f"{bits:b}")):
        if digit == "1":
            yield SITUATIONS[index]


def bits_of(description: Description) -> int:
    """The set that a description describes. Raises `KeyError` or `ValueError` for a variable or word that is none."""
    bits = EVERY
    for requirement in description:
        bits &= _any_of(requirement)
    return bits


def having(fact: str, values: Iterable[Any]) -> int:
    """The set of the situations in which a fact has one of these values, as `Facts` has them. Raises like `bits_of`."""
    if fact != "mandates":
        return _with(fact, tuple(values))
    return _any_of([{kind: ("held" if kind in held else "not_held",) for kind in MANDATE_KINDS} for held in values])


def _any_of(requirement: Iterable[Box]) -> int:
    bits = 0
    for box in requirement:
        inside = EVERY
        for name, words in box.items():
            inside &= _with(name, words)
        bits |= inside
    return bits


@lru_cache(maxsize=1024)
def _with(name: str, words: Words) -> int:
    if not set(words) <= set(VARIABLES[name]):
        raise ValueError(f"{name} has no word {sorted(set(words) - set(VARIABLES[name]))[0]!r}")
    place = _PLACES[name]
    return sum(1 << index for index, situation in enumerate(SITUATIONS) if situation[place] in words)


@lru_cache(maxsize=1024)
def describe(bits: int) -> Description:
    """The requirements that hold together in exactly these situations, each about as few variables as possible.

    Nothing requires what every situation has, so `EVERY` is described by no requirement; the empty set by one without
    alternatives.
    """
    if not bits:
        return ((),)
    members = list(situations(bits))
    rest = list(range(len(_NAMES)))
    requirements: list[Requirement] = []
    while rest:
        factor = _factor(members, rest)
        rest = [place for place in rest if place not in factor]
        allowed = _projected(members, factor)
        if len(allowed) < len(list(product(*(VARIABLES[_NAMES[place]] for place in factor)))):
            requirements.append(_cover(factor, allowed))
    return tuple(requirements)


def _factor(members: Sequence[Words], rest: Sequence[int]) -> tuple[int, ...]:
    """The fewest variables, the first of `rest` among them, that are independent of the others: what `members` allow
    of these and of the rest can be combined at will."""
    first, others = rest[0], rest[1:]
    whole = len(_projected(members, rest))
    for size in range(len(others)):
        for more in combinations(others, size):
            factor = (first, *more)
            left = [place for place in others if place not in more]
            if len(_projected(members, factor)) * len(_projected(members, left)) == whole:
                return factor
    return tuple(rest)


def _projected(members: Sequence[Words], places: Sequence[int]) -> set[Words]:
    if len(places) == 1:
        return {(situation[places[0]],) for situation in members}
    return set(map(itemgetter(*places), members))


def _cover(places: Sequence[int], allowed: set[Words]) -> Requirement:
    """Boxes that hold exactly `allowed`, each as wide as it can be, none superfluous."""
    boxes: list[tuple[Words, ...]] = []
    for point in sorted(allowed, key=lambda words: _order(places, words)):
        if not any(_holds(box, point) for box in boxes):
            boxes.append(_grown(places, point, allowed))
    for box in list(boxes):
        others = [other for other in boxes if other is not box]
        if all(any(_holds(other, point) for other in others) for point in product(*box)):
            boxes.remove(box)
    return tuple(
        {
            _NAMES[place]: words
            for place, words in zip(places, box, strict=True)
            if len(words) < len(VARIABLES[_NAMES[place]])
        }
        for box in boxes
    )


def _order(places: Sequence[int], words: Words) -> tuple[int, ...]:
    return tuple(VARIABLES[_NAMES[place]].index(word) for place, word in zip(places, words, strict=True))


def _holds(box: Sequence[Words], point: Words) -> bool:
    return all(word in words for word, words in zip(point, box, strict=True))


def _grown(places: Sequence[int], point: Words, allowed: set[Words]) -> tuple[Words, ...]:
    box: list[Words] = [(word,) for word in point]
    for at in reversed(range(len(box))):
        for word in VARIABLES[_NAMES[places[at]]]:
            wider = [*box[:at], (word,), *box[at + 1 :]]
            if word not in box[at] and all(found in allowed for found in product(*wider)):
                box[at] = (*box[at], word)
        box[at] = tuple(word for word in VARIABLES[_NAMES[places[at]]] if word in box[at])
    return tuple(box)
