"""Reading a document level by level: slower than the parser's structs, and able to say what is unknown.

Used where a document is not exactly the shortest text of what is known: it has white space, unknown members, escaped
or repeated keys, or it is not what was declared. Here alone is decided which of these are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from gateway.errors import UpstreamNotUnderstood
from gateway.redaction.plans import Container, Items, Leaf, Node
from gateway.redaction.pointers import ANY_ITEM, show_key, write_pointer

MOST_UNCLASSIFIED: Final = 64

OTHER_SHAPE: Final = "another shape than the route table declares"
REPEATED_KEY: Final = "a key is written twice"

_WHITE_SPACE: Final = b" \t\n\r"
_KEY: Final = re.compile(rb'[{,][ \t\n\r]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_GAP: Final = re.compile(rb"[ \t\n\r]*")

_object: Final = msgspec.json.Decoder(dict[str, Raw])
_list: Final = msgspec.json.Decoder(list[Raw])
_key: Final = msgspec.json.Decoder(str)


def read_document(node: Node, body: bytes, pointer: str, unclassified: dict[str, None]) -> Any:
    """What `node` knows of the document, in the form that the parser would have given it.

    Adds to `unclassified` the pointers of the unknown members, at most MOST_UNCLASSIFIED. Raises
    `UpstreamNotUnderstood` for a repeated key or another shape than declared at a level that `node` looks into, and
    whatever the parser raises for a text that is not JSON.
    """
    value = _read(node, body.strip(_WHITE_SPACE), pointer, unclassified)
    if value is UNSET and node.stays:
        raise UpstreamNotUnderstood(OTHER_SHAPE)
    return node.type() if value is UNSET else value


def _read(node: Node, read: bytes | Raw, pointer: str, unclassified: dict[str, None]) -> Any:
    if isinstance(node, Leaf):
        return Raw(read)
    text = bytes(read)
    if text == b"null":
        return Raw(text) if node.open else UNSET
    if text[:1] != node.empty[:1]:
        raise UpstreamNotUnderstood(OTHER_SHAPE)
    if isinstance(node, Items):
        within = f"{pointer}/{ANY_ITEM}"
        items = (_read(node.item, item, within, unclassified) for item in _list.decode(text))
        return [item for item in items if item is not UNSET]
    values = [inner.missing for inner in node.inside.values()]
    for name, member in _members(text).items():
        if name in node.inside:
            within = pointer + write_pointer((name,))
            values[node.places[name]] = _read_member(node.inside[name], member, within, unclassified)
        elif len(unclassified) < MOST_UNCLASSIFIED:
            unclassified[f"{pointer}/{show_key(name)}"] = None
    return node.type(*values)


def _read_member(node: Node, text: bytes | Raw, pointer: str, unclassified: dict[str, None]) -> Any:
    """As `_read`, by the parser alone where that is enough for this member."""
    value = node.read(bytes(text)) if isinstance(node, Container) else text
    return _read(node, text, pointer, unclassified) if value is None else value


def _members(text: bytes) -> Mapping[str, bytes | Raw]:
    """The members of the object written as `text`. Raises `UpstreamNotUnderstood` where a key is written twice.

    The parser keeps the last value of a repeated key. As in `Container.read`, a text no longer than what was kept
    repeats none. Otherwise, walking over the text with the values that were kept, the second of two equal keys shows,
    or the walk meets a value that is not the kept one: a JSON value that begins like another is that other, except
    for numbers, and after those the walk finds neither a comma nor the closing brace.
    """
    members = _object.decode(text)
    if len(msgspec.json.encode(members)) == len(text):
        return members
    met: set[str] = set()
    position = 0
    while len(met) < len(members):
        key = _KEY.match(text, position)
        name = "" if key is None else _key.decode(b'"' + key[1] + b'"')
        if key is None or name in met or not text.startswith(bytes(members[name]), key.end()):
            raise UpstreamNotUnderstood(REPEATED_KEY)
        met.add(name)
        position = _end(text, key.end() + len(members[name]))
    if members and position != len(text) - 1:
        raise UpstreamNotUnderstood(REPEATED_KEY)
    return members


def _end(text: bytes, position: int) -> int:
    """Where the white space after `position` ends."""
    gap = _GAP.match(text, position)
    return position if gap is None else gap.end()
