"""Two route tables compared by what they let out: which part of which answer, under which rubric.

An *opening* is whatever could leave now and could not before, or leaves under another rubric than before; where in
doubt, it is one. Only documents that both tables understand are compared: what the former refused for its shape alone
is no part of anything. A table that no longer makes sure whose dossier an answer is does open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model import ALWAYS, NEVER, THE_NUMBER
from gateway.redaction.parts import Part
from gateway.redaction.pointers import ANY_ITEM, write_pointer
from gateway.redaction.table import DOCUMENT, Content, Route, RouteTable

PART: Final = "part"
WHOLE: Final = "whole"
NUMBER: Final = "number"
ROUTE: Final = "route"


@dataclass(frozen=True, slots=True)
class PartChange:
    """One difference between two tables, at the route's name in the new one, or in the old one where it is gone.

    `what` differs, from `before` to `after` (None: nothing):

    * "part": the label of what stands at `pointer`; None where no pointer leads there, or it only carries others
    * "whole": whether that leaves "whole" or only what is "listed" in it
    * "number": the pointer that tells whose dossier an answer is about
    * "route": the whole route, by its address
    * "name", "action", "answer", "rubric": what the route says under this word; "query", "content_types": one entry
    """

    route: str
    what: str
    pointer: str
    before: str | None
    after: str | None
    opens: bool

    def __str__(self) -> str:
        """An English sentence without its full stop."""
        return _SENTENCES[self.what].format(
            route=self.route,
            pointer=self.pointer or "the whole answer",
            before=self.before or "nothing",
            after=self.after or "nothing",
        )


_SENTENCES: Final[Mapping[str, str]] = {
    PART: "{route}: {pointer} belonged to {before}, and belongs to {after}",
    WHOLE: "{route}: {pointer} left {before}, and leaves {after}",
    NUMBER: "{route}: whose dossier it is was told by {before}, and is told by {after}",
    ROUTE: "{route}: the address was {before}, and is {after}",
    "name": "{route}: the name was {before}",
    "action": "{route}: the action was {before}, and is {after}",
    "answer": "{route}: the answer was {before}, and is {after}",
    "rubric": "{route}: the document belonged to {before}, and belongs to {after}",
    "query": "{route}: the query parameter was {before}, and is {after}",
    "content_types": "{route}: the content type was {before}, and is {after}",
}


def compared(old: RouteTable, new: RouteTable) -> list[PartChange]:
    """Every difference in what leaves, in the order of the new table, what is gone last. Equal tables have none.

    Routes are the same where they have the same address, whatever they are called.
    """
    before = {_address(route): route for route in old.routes}
    after = {_address(route): route for route in new.routes}
    changes: list[PartChange] = []
    for address, route in after.items():
        if address in before:
            changes += _same_address(before[address], route)
        else:
            changes.append(PartChange(route.name, ROUTE, "", None, address, opens=True))
    for address, route in before.items():
        if address not in after:
            changes.append(PartChange(route.name, ROUTE, "", address, None, opens=False))
    return changes


def _address(route: Route) -> str:
    return f"{route.method} {route.template.written}"


def _same_address(old: Route, new: Route) -> Iterator[PartChange]:
    if old.name != new.name:
        yield PartChange(new.name, "name", "", old.name, new.name, opens=False)
    for what in ("action", "answer", "rubric"):
        one, other = getattr(old, what), getattr(new, what)
        if one != other:
            yield PartChange(new.name, what, "", one or None, other or None, opens=True)
    for what in ("query", "content_types"):
        one, other = getattr(old, what), getattr(new, what)
        for word in other:
            if word not in one:
                yield PartChange(new.name, what, "", None, word, opens=True)
        for word in one:
            if word not in other:
                yield PartChange(new.name, what, "", word, None, opens=False)
    if old.answer != DOCUMENT:
        for slug in dict.fromkeys((*new.contents, *old.contents)):
            yield from _contents(new.name, old.contents.get(slug), new.contents.get(slug))


def _contents(route: str, old: Content | None, new: Content | None) -> Iterator[PartChange]:
    shown = new or old
    if shown is None:
        return
    walk = _Walk(route, shown.pointer, old.rubrics if old else frozenset())
    yield from walk.parts(old.part if old else None, new.part if new else None, (), None)
    one, other = (_number(content.part) if content else None for content in (old, new))
    if one != other and old and new:
        yield PartChange(route, NUMBER, shown.pointer, one, other, opens=one is not None)


def _number(part: Part, pointer: tuple[str, ...] = ()) -> str | None:
    """Where, from here, stands what tells whose dossier it is, or None."""
    if part.label == THE_NUMBER:
        return write_pointer(pointer)
    found = (_number(member, (*pointer, name)) for name, member in (part.members or {}).items())
    return next((each for each in found if each is not None), None)


_Pair = tuple[str | None, str | None]


class _Walk:
    """Through two trees of parts at once. `rubrics` are those that the old one can hold: without any of them granted,
    nothing of it left at all."""

    def __init__(self, route: str, at: str, rubrics: frozenset[str]) -> None:
        self._route, self._at, self._rubrics = route, at, rubrics

    def parts(
        self,
        old: Part | None,
        new: Part | None,
        pointer: tuple[str, ...],
        told: _Pair | None,
        around: tuple[Part | None, Part | None] = (None, None),
    ) -> Iterator[PartChange]:
        """What differs from here on. `told` is what the place around this one has been said to have become.

        A table whose parts end further out has the same part here, which was compared out there.
        """
        in_list = ANY_ITEM in pointer
        pair = (old.label if old else None, new.label if new else None)
        if pair[0] != pair[1]:
            opens = not _own(new) <= self._left(_own(old)) or self._shell_leaves(old, new, in_list=in_list)
            if pair != told:
                yield self._change(PART, pointer, *pair, opens=opens)
            told = pair
        else:
            told = None
        if _looked_into(old) and _taken_whole(new) and new is not around[1]:
            yield self._change(WHOLE, pointer, "listed", "whole", opens=True)
        elif _taken_whole(old) and _looked_into(new) and _own(new) and old is not around[0]:
            yield self._change(WHOLE, pointer, "whole", "listed", opens=False)
        before, after = _inside(old), _inside(new)
        for step in dict.fromkeys((*after, *before)):
            one = before.get(step) or _within(old)
            other = after.get(step) or _within(new)
            yield from self.parts(one, other, (*pointer, step), told, (old, new))

    def _change(
        self, what: str, pointer: tuple[str, ...], before: str | None, after: str | None, *, opens: bool
    ) -> PartChange:
        return PartChange(self._route, what, self._at + write_pointer(pointer), before, after, opens)

    def _left(self, labels: frozenset[str]) -> frozenset[str]:
        """The labels whose holders the old table gave what leaves under `labels`."""
        return labels | self._rubrics if ALWAYS in labels else labels

    def _shell_leaves(self, old: Part | None, new: Part | None, *, in_list: bool) -> bool:
        """Whether the place can leave empty, which tells that it is there, where it did not: the frame of a document
        leaves for each part that it carries, another place for its own rubric only."""
        if in_list or old is None or old.label is None or new is None or new.label is not None:
            return False
        return not _carried(new) <= self._left(_own(old))


def _looked_into(part: Part | None) -> bool:
    return part is not None and (part.members is not None or part.item is not None)


def _taken_whole(part: Part | None) -> bool:
    return not _looked_into(part) and bool(_own(part))


def _own(part: Part | None) -> frozenset[str]:
    """The labels by any of which the place itself leaves: one, or none."""
    label = part.label if part else None
    if label in (None, NEVER):
        return frozenset()
    return frozenset((ALWAYS if label == THE_NUMBER else str(label),))


def _carried(part: Part) -> frozenset[str]:
    """The labels by any of which something inside leaves."""
    return frozenset().union(*(_own(inner) | _carried(inner) for inner in _inside(part).values()))


def _inside(part: Part | None) -> Mapping[str, Part]:
    if part is None:
        return {}
    return part.members or ({ANY_ITEM: part.item} if part.item else {})


def _within(part: Part | None) -> Part | None:
    """What everything is that lies in a place without parts of its own: the same."""
    return None if part is None or _looked_into(part) else part
