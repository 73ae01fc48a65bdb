"""From the pointers of the route file to the tree of parts, with every doubt said before anything is served."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from gateway.model import NEVER
from gateway.redaction.parts import Part
from gateway.redaction.pointers import ANY_ITEM, RUBRIC, Pointer, read_pointer, spell_out, write_pointer
from gateway.redaction.sentences import did_you_mean

V = TypeVar("V")


class Problem(NamedTuple):
    """What is wrong with a route: the text to look for in the file, and a sentence."""

    about: str
    sentence: str


@dataclass(slots=True)
class _Draft:
    """A part while the file is being read. `written` is the pointer, as in the file, that first led here."""

    written: str
    label: str | None = None
    listed: tuple[str, ...] | None = None
    members: dict[str, _Draft] = field(default_factory=dict)
    item: _Draft | None = None

    def inside(self) -> list[_Draft]:
        return [*self.members.values(), *([self.item] if self.item else [])]

    def labels(self) -> set[str | None]:
        return {self.label}.union(*(draft.labels() for draft in self.inside()))


def draw_parts(
    labels: Mapping[str, str], fields: Mapping[str, Sequence[str]], slugs: Sequence[str]
) -> tuple[Part, list[Problem]]:
    """The parts that `[route.parts]` and `[route.fields]` describe, whose pointers and labels are well written.

    An explicit pointer wins over the same one spelled out from `{rubric}`. The problems are what contradicts itself,
    and what would let something out, or hold it back, only by accident.
    """
    root = _Draft(written="")
    spelled_labels, spelled_fields = _spell_out(labels, slugs), _spell_out(fields, slugs)
    for pointer, (written, label) in spelled_labels.items():
        draft = _plant(root, pointer, written)
        draft.label = pointer[read_pointer(written).index(RUBRIC)] if label == RUBRIC else label
    for pointer, (written, names) in spelled_fields.items():
        _plant(root, pointer, written).listed = tuple(names)
    pointers = (*spelled_labels, *spelled_fields)
    places = {write_pointer(pointer[:length]) for pointer in pointers for length in range(1, len(pointer) + 1)}
    return _settle(root, (), None), [*_doubts(root, (), None, places)]


def _spell_out(table: Mapping[str, V], slugs: Sequence[str]) -> dict[Pointer, tuple[str, V]]:
    """Each pointer of the table, `{rubric}` spelled out, with the text it is written as and its value."""
    explicit = {read_pointer(written) for written in table}
    entries: dict[Pointer, tuple[str, V]] = {}
    for written, value in table.items():
        pointer = read_pointer(written)
        if RUBRIC not in pointer:
            entries[pointer] = (written, value)
            continue
        entries |= {each: (written, value) for slug in slugs if (each := spell_out(pointer, slug)) not in explicit}
    return entries


def _plant(root: _Draft, pointer: Pointer, written: str) -> _Draft:
    draft = root
    for step in pointer:
        if step == ANY_ITEM:
            draft.item = draft.item or _Draft(written)
            draft = draft.item
        else:
            draft = draft.members.setdefault(step, _Draft(written))
    return draft


def _settle(draft: _Draft, pointer: Pointer, inherited: str | None) -> Part:
    """The part that the draft becomes; fields that are listed come first, in the order of their list."""
    label = draft.label or inherited
    drafts = {name: _Draft(draft.written) for name in draft.listed or ()} | draft.members
    members = {name: _settle(child, (*pointer, name), label) for name, child in drafts.items()}
    item = _settle(draft.item, (*pointer, ANY_ITEM), label) if draft.item else None
    return Part(label, members if members or draft.listed is not None else None, item)


def _doubts(draft: _Draft, pointer: Pointer, inherited: str | None, places: Collection[str]) -> Iterator[Problem]:
    here, label = write_pointer(pointer), draft.label or inherited
    if draft.item and (draft.members or draft.listed is not None):
        sentence = f'"{here}" is used both as a list (with "*") and as an object (with named fields).'
        yield Problem(draft.item.written, sentence)
    if label is None and draft.listed is not None:
        sentence = f'"{here}" lists fields but belongs to no rubric; give it one under [route.parts].'
        yield Problem(draft.written, sentence + did_you_mean(here, places))
    elif label is None and pointer and draft.labels() <= {None, NEVER}:
        if NEVER in {child.label for child in draft.inside()}:
            sentence = f'"{draft.written}" has no effect: nothing in "{here}" belongs to a rubric.'
            elsewhere = [place for place in places if not place.startswith(here + "/")]
            yield Problem(draft.written, sentence + did_you_mean(here, elsewhere))
    elif label and draft.members:
        yield from _open_ends(draft, pointer, label)
    for name, child in draft.members.items():
        yield from _doubts(child, (*pointer, name), label, places)
    if draft.item:
        yield from _doubts(draft.item, (*pointer, ANY_ITEM), label, places)


def _open_ends(draft: _Draft, pointer: Pointer, label: str) -> Iterator[Problem]:
    """A part with its own pointers inside must list its fields, and these must lead to those pointers."""
    here = write_pointer(pointer)
    if draft.listed is None:
        child = next(iter(draft.members.values()))
        known = ", ".join(f'"{name}"' for name, inner in draft.members.items() if inner.label in (None, label))
        yield Problem(
            child.written,
            f'"{child.written}" lies inside "{here}", so "{here}" must say which of its fields may leave. '
            f'Add under [route.fields] the line "{here}" = [{known}] and complete it with the other fields.',
        )
        return
    for name, child in draft.members.items():
        if name not in draft.listed and child.label is None:
            place = write_pointer((*pointer, name))
            yield Problem(
                child.written,
                f'"{child.written}" lies inside "{place}", which "{here}" does not list under [route.fields]. '
                f'Add "{name}" to that list, or give "{place}" a label.' + did_you_mean(name, draft.listed),
            )
