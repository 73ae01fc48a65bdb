"""JSON pointers as the route file writes them: RFC 6901, with `*` for any item of a list and `{rubric}` for a slug.

A pointer is a tuple of steps; `ANY_ITEM` is the step into a list. A key that is exactly `*`, or that is empty, has no
pointer here: it stays unknown and therefore withheld.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

Pointer = tuple[str, ...]

ANY_ITEM: Final = "*"
RUBRIC: Final = "{rubric}"
DEEPEST: Final = 32
"""Steps of a pointer. Plans are read and copied by recursion, one level for each."""

_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_UNREADABLE: Final = re.compile(r'["\\\x00-\x1f]')
# A name that a programmer gives: a map keyed by number, by bank account or by person is not shown.
_SHOWN_KEY: Final = re.compile(r"[a-z][a-z_]{0,40}[0-9]{0,2}", re.ASCII)


def read_pointer(text: str) -> Pointer:
    """The steps of the pointer written as `text`. Raises ValueError with the end of a sentence about `text`."""
    if not text:
        return ()
    if not text.startswith("/"):
        raise ValueError('must start with "/", as in "/rubriques/famille"')
    steps = []
    for step in text[1:].split("/"):
        if not step:
            raise ValueError('has nothing between two "/", or ends with "/"')
        if _BAD_ESCAPE.search(step):
            raise ValueError('has a "~" that is neither "~0" (for "~") nor "~1" (for "/")')
        if ANY_ITEM in step and step != ANY_ITEM:
            raise ValueError('has a "*" beside other characters; "*" stands alone, for any item of a list')
        if step != RUBRIC and ("{" in step or "}" in step):
            raise ValueError('has braces; the only word in braces a pointer knows is "{rubric}"')
        if not can_be_read(step):
            raise ValueError("has a quotation mark, a backslash or a control character, which no part may have")
        steps.append(step.replace("~1", "/").replace("~0", "~"))
    if len(steps) > DEEPEST:
        raise ValueError(f"has more than {DEEPEST} steps")
    if steps.count(RUBRIC) > 1:
        raise ValueError('names "{rubric}" more than once')
    return tuple(steps)


def can_be_read(key: str) -> bool:
    """Whether the parser can look for this key: it knows none that JSON cannot write without an escape."""
    return _UNREADABLE.search(key) is None


def write_pointer(steps: Iterable[str]) -> str:
    """The text of a pointer: what `read_pointer` reads back."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def spell_out(pointer: Pointer, slug: str) -> Pointer:
    """The pointer with `{rubric}` replaced by a slug."""
    return tuple(slug if step == RUBRIC else step for step in pointer)


def show_key(key: str) -> str:
    """A key of the backend as a log may show it: itself when plain, else `?`, for a key can be personal data."""
    return key if _SHOWN_KEY.fullmatch(key) else "?"
