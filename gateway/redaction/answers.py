"""From the backend's answer to ours: what is granted is copied, byte for byte, and nothing else ever is.

Whatever is not understood raises `UpstreamNotUnderstood` with a fixed reason that quotes nothing of the answer.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Set
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from gateway.errors import NotOpen, UpstreamNotUnderstood
from gateway.redaction.levels import read_document
from gateway.redaction.plans import Plan
from gateway.redaction.table import DOCUMENT, JSON, Route

_BIT: Final = 32_768
_UTF8_PARAMETER: Final = re.compile(r'charset=("?)utf-8\1', re.IGNORECASE | re.ASCII)


class Redacted(NamedTuple):
    """What may leave: the body; the slugs of which some part is in it; where the backend sent what no pointer names.

    `unclassified` holds pointers of the route table's document, with `*` for any item of a list and `?` for a key
    that is not plain; never a value, and at most `levels.MOST_UNCLASSIFIED` of them.
    """

    body: bytes
    left: frozenset[str]
    unclassified: tuple[str, ...] = ()


def redact(body: bytes, plan: Plan, number: str) -> Redacted:
    """The parts of a JSON document that `plan` opens, where it is the dossier `number`.

    Raises `UpstreamNotUnderstood` for a body that is not UTF-8 or not JSON (a byte-order mark, NaN, a lone surrogate
    and nesting too deep for the parser included), and, at every level that the plan looks into, for a key written
    twice or another shape than declared. What lies inside a part kept whole is the backend's own affair.
    """
    if not _is_utf8(body):
        raise UpstreamNotUnderstood("not UTF-8")
    unclassified: dict[str, None] = {}
    value = _read(body, plan, unclassified)
    if not plan.is_about(value, number):
        raise UpstreamNotUnderstood("another dossier than the one asked for")
    out: list[bytes] = []
    left: set[str] = set()
    if not plan.root.copy(value, out, left):
        out.append(plan.root.empty)
    left.discard("")
    return Redacted(b"".join(out), frozenset(left), tuple(unclassified))


def redact_document(body: bytes, content_type: str | None, route: Route, granted: Set[str]) -> Redacted:
    """The whole of a document that belongs to one rubric.

    Raises `NotOpen` where that rubric is not granted, and as `declared_type` does.
    """
    if route.answer != DOCUMENT or route.rubric not in granted:
        raise NotOpen("this document's rubric is not granted")
    declared_type(content_type, route)
    return Redacted(body, frozenset((route.rubric,)))


@lru_cache(maxsize=256)
def declared_type(header: str | None, route: Route) -> str:
    """The media type to send out: the one of the route's `content_types` that the backend's Content-Type names.

    Raises `UpstreamNotUnderstood` for any other, for none, and for a parameter, except UTF-8 as the charset of JSON.
    """
    media_type, *parameters = (header or "").split(";")
    declared = media_type.strip(" \t").lower()
    if declared not in route.content_types:
        raise UpstreamNotUnderstood("a content type that the route does not declare")
    accepted = 1 if route.answer == JSON else 0
    if len(parameters) > accepted or not all(_UTF8_PARAMETER.fullmatch(text.strip(" \t")) for text in parameters):
        raise UpstreamNotUnderstood("a content type with parameters that the route does not declare")
    return declared


def _read(body: bytes, plan: Plan, unclassified: dict[str, None]) -> Any:
    try:
        value = plan.root.read(body)
        return read_document(plan.root, body, plan.pointer, unclassified) if value is None else value
    except msgspec.DecodeError:
        problem = "not JSON"
    except RecursionError:
        problem = "nested too deep"
    # Raised out here so that the refusal does not carry the parser's error, and with it the document.
    raise UpstreamNotUnderstood(problem)


def _is_utf8(body: bytes) -> bool:
    """Whether the whole body is UTF-8, decoded bit by bit: one large string would cost three times as much."""
    try:
        if len(body) <= _BIT:
            body.decode()
            return True
        view, position = memoryview(body), 0
        while position < len(body):
            last = position + _BIT >= len(body)
            position += codecs.utf_8_decode(view[position : position + _BIT], "strict", last)[1]
    except UnicodeDecodeError:
        return False
    return True
