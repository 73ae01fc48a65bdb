"""A JSON object from outside that can be understood in one way only: I-JSON (RFC 7493), as tokens and key sets are."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def read_object(text: bytes) -> dict[str, Any] | None:
    """The object that `text` is, None where it is anything else: not UTF-8, a name given twice at any depth, a number
    that is none (NaN, Infinity) or too long to be one, a depth that nobody means."""
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError("not a number")
