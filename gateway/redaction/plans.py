"""What to read of a document and what to copy of it: a tree of nodes for one part and one set of open rubrics.

Leaves are `msgspec.Raw`: the parser checks their structure without building them, and what is kept is spliced into the
answer byte for byte. Members of an object leave in the order of the route table; lists keep the backend's order.

A container leaves when its own label is open; when it has no label, stands outside every list (the frame of the
document) and holds something open; otherwise only if something is left in it: an empty shell tells nobody what exists.

What was read of an object is a struct, where ABSENT stands for a missing leaf and UNSET for a missing container; of a
list, a list. A container that leaves as `null` is that Raw text, in either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from gateway.model import ALWAYS, THE_NUMBER
from gateway.redaction.parts import Part

ABSENT: Final = Raw()

# White space around the first bracket, key or colon: then it is worth measuring the text without any.
_SPACED: Final = re.compile(rb'[{\[]*(?:"[^"\\]*":?)?[ \t\n\r]')

_values: Final = msgspec.structs.astuple
_encode: Final = msgspec.json.Encoder().encode
_encode_into: Final = msgspec.json.Encoder().encode_into
_raw: Final = msgspec.json.Decoder(Raw)


class Leaf:
    """A part that is not looked into: it leaves whole, or not at all."""

    type: Any = Raw
    empty = b""
    missing: Any = ABSENT

    def __init__(self, label: str, *, opened: bool) -> None:
        self.label, self.open, self.stays = label, opened, opened
        self.may_leave = self.uniform = opened

    def read(self, text: bytes) -> Any:
        """The whole of `text`, less the white space around it. Raises as the parser does."""
        return _raw.decode(text)

    def copy(self, value: Raw, out: list[bytes], left: set[str]) -> bool:
        if not self.open:
            return False
        out.append(value)
        left.add(self.label)
        return True

    def withhold(self, value: Any) -> None:
        """Nothing to withhold in what leaves whole."""


class Container:
    """An object or a list that is looked into.

    `label` is the slug that leaves with it, empty where it leaves for another reason. It is `uniform` where all that
    leaves from it leaves under that label: then what does not leave is removed from what was read, and the encoder
    writes the rest at once.
    """

    empty: bytes
    missing: Any = UNSET
    may_leave = True
    uniform: bool

    def __init__(self, kind: Any, inside: Iterable[Node], label: str, *, opened: bool, stays: bool) -> None:
        self.type, self.label, self.open, self.stays = kind, label, opened, stays
        self.uniform = opened and all(
            not node.may_leave or (node.uniform and node.label in (label, "")) for node in inside
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)

    def read(self, text: bytes) -> Any:
        """What the parser reads of `text` where nothing else is in it, else None. Raises as the parser does.

        The parser drops unknown members in silence, and keeps the last of repeated ones. But `text` is longer than
        the shortest text of what was read by its white space, its unknown and repeated members, and the escapes that
        its keys could spare. None of these is ever negative, so the lengths are equal only where there is none of
        them. One line feed at the end is forgiven. A text with white space is measured without it, but what is read
        of it keeps its own.
        """
        try:
            value = self._decoder.decode(text)
        except msgspec.ValidationError:
            return None
        if self.shortest(value, len(text)) == len(text) - text.endswith(b"\n"):
            return value
        if _SPACED.match(text):
            compact = msgspec.json.format(text, indent=-1)
            if self.shortest(self._decoder.decode(compact), len(compact)) == len(compact):
                return value
        return None

    def shortest(self, value: Any, expected: int) -> int:
        """How many bytes the shortest text of what the parser read has, of which no more than so many are expected."""
        raise NotImplementedError

    def copy(self, value: Any, out: list[bytes], left: set[str]) -> bool:
        """Adds to `out` what may leave, and to `left` whose it is. False, and nothing added, where nothing may."""
        if self.uniform:
            self.withhold(value)
            out.append(_encode(value))
        elif type(value) is Raw:
            out.append(value)
        else:
            first = len(out)
            self._copy_inside(value, out, left)
            if len(out) > first:
                out[first] = self.empty[:1] + out[first][1:]
                out.append(self.empty[1:])
            elif self.stays:
                out.append(self.empty)
            else:
                return False
        left.add(self.label)
        return True

    def withhold(self, value: Any) -> None:
        """Removes from `value` what does not leave."""
        raise NotImplementedError

    def _copy_inside(self, value: Any, out: list[bytes], left: set[str]) -> None:
        """Adds each thing that may leave after a text that begins with a comma."""
        raise NotImplementedError


class Members(Container):
    """An object with known members, in the order of the route table; `type` is the struct that holds what was read."""

    empty = b"{}"

    def __init__(self, inside: Mapping[str, Node], label: str, *, opened: bool, stays: bool) -> None:
        self.inside = inside
        self.places = {name: place for place, name in enumerate(inside)}
        fields = [
            (f"m{self.places[name]}", node.type, msgspec.field(default=node.missing, name=name))
            for name, node in inside.items()
        ]
        struct = msgspec.defstruct("Members", fields, omit_defaults=True, gc=False)
        super().__init__(struct, inside.values(), label, opened=opened, stays=stays)
        self._leaving = [
            (self.places[name], b"," + _encode(name) + b":", node, node.label if isinstance(node, Leaf) else None)
            for name, node in inside.items()
            if node.may_leave
        ]
        self.withheld = [f"m{self.places[name]}" for name, node in inside.items() if not node.may_leave]
        around = {name: len(_encode(name)) + len(":,") for name in inside}
        self._leaves = [(self.places[name], around[name]) for name, node in inside.items() if isinstance(node, Leaf)]
        self._containers = [
            (self.places[name], around[name], f"m{self.places[name]}", node)
            for name, node in inside.items()
            if isinstance(node, Container)
        ]

    @property
    def holds_containers(self) -> bool:
        return bool(self._containers)

    def shortest(self, value: Any, expected: int) -> int:
        """Counted, not written: most of a document is in leaves, whose text is there."""
        values = _values(value)
        size = 1  # a brace; the other one stands for the comma that the last member lacks
        for place, around in self._leaves:
            inner = values[place]
            if inner is not ABSENT:
                size += around + len(inner)
        for place, around, _, node in self._containers:
            inner = values[place]
            if inner is not UNSET:
                size += around
                size += node.shortest(inner, expected - size)
        return max(size, len(self.empty))

    def withhold(self, value: Any) -> None:
        if type(value) is Raw:
            return
        for name in self.withheld:
            setattr(value, name, ABSENT)
        for _, _, name, node in self._containers:
            inner = getattr(value, name)
            if inner is not UNSET:
                node.withhold(inner)

    def _copy_inside(self, value: Any, out: list[bytes], left: set[str]) -> None:
        values = _values(value)
        for place, key, node, label in self._leaving:
            inner = values[place]
            if inner is node.missing:
                continue
            if label is not None:  # a leaf that may leave does
                out += key, inner
                left.add(label)
            else:
                out.append(key)
                if not node.copy(inner, out, left):
                    out.pop()


class Items(Container):
    """A list of `item`s."""

    empty = b"[]"

    def __init__(self, item: Node, label: str, *, opened: bool, stays: bool) -> None:
        self.item = item
        super().__init__(list.__class_getitem__(item.type), [item], label, opened=opened, stays=stays)

    def shortest(self, value: Any, expected: int) -> int:
        text = bytearray(max(expected, 0))  # of room for so many as are expected, no more is made
        _encode_into(value, text)
        return len(text)

    def withhold(self, value: Any) -> None:
        if type(value) is Raw:
            return
        if not self.item.may_leave:
            value.clear()
        elif isinstance(self.item, Members) and not self.item.holds_containers:
            # Most lists are of this kind, and may be long.
            for name in self.item.withheld:
                for inner in value:
                    if type(inner) is not Raw:
                        setattr(inner, name, ABSENT)
        else:
            for inner in value:
                self.item.withhold(inner)

    def _copy_inside(self, value: Any, out: list[bytes], left: set[str]) -> None:
        for inner in value:
            out.append(b",")
            if not self.item.copy(inner, out, left):
                out.pop()


Node = Leaf | Members | Items


def plan_part(part: Part, granted: frozenset[str], *, in_list: bool = False) -> Node:
    """The plan for `part` when the rubrics `granted` are open. A container from which nothing may leave is a leaf."""
    opened = part.label in (ALWAYS, THE_NUMBER) or part.label in granted
    label = part.label if opened and part.label in granted else ""
    stays = opened or (part.label is None and not in_list)
    if part.item is not None:
        item = plan_part(part.item, granted, in_list=True)
        if opened or item.may_leave:
            return Items(item, label, opened=opened, stays=stays)
    elif part.members is not None:
        inside = {name: plan_part(member, granted, in_list=in_list) for name, member in part.members.items()}
        if opened or any(node.may_leave for node in inside.values()):
            return Members(inside, label, opened=opened, stays=stays)
    return Leaf(label, opened=opened)


class Plan:
    """How to redact one part of a document for one set of open rubrics, of which it can hold one at least.

    `pointer` is where that part stands.
    """

    def __init__(self, part: Part, granted: frozenset[str], pointer: str = "") -> None:
        self.root, self.pointer = plan_part(part, granted), pointer
        self._number = _number_steps(part, self.root)

    def is_about(self, value: Any, number: str) -> bool:
        """Whether what was read is the dossier `number`, where the table says which part tells."""
        if self._number is None:
            return True
        for step in self._number:
            value = getattr(value, step, ABSENT)
        return type(value) is Raw and bytes(value) == b'"%b"' % number.encode()


def _number_steps(part: Part, node: Node) -> tuple[str, ...] | None:
    """Where the structs of `node` hold the part labelled `number`; None where there is none."""
    if part.label == THE_NUMBER:
        return ()
    if isinstance(node, Members):
        for name, member in (part.members or {}).items():
            below = _number_steps(member, node.inside[name])
            if below is not None:
                return (f"m{node.places[name]}", *below)
    return None
