"""The path of a route: literal segments, and nouns that are read out of a path and written back into one.

Nouns are ASCII: `{numero}` is seven digits, `{id}` is `[0-9a-z-]{1,32}`, `{rubric}` is a known slug.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

NUMBER: Final = "numero"
SLUG: Final = "rubric"

# The characters of each noun, and how few and how many of them.
_NOUNS: Final = {
    NUMBER: (string.digits, 7, 7),
    "id": (string.digits + string.ascii_lowercase + "-", 1, 32),
}
NOUN_NAMES: Final = (*_NOUNS, SLUG)

_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]*", re.ASCII)
_SEGMENT: Final = re.compile(r"([^{}]*)(?:\{([^{}]*)\}([^{}]*))?")

RESERVED: Final = (("-",), ("access", "v1"), (".well-known", "authzen-configuration"))
"""The first segments of the gateway's own addresses. `/` is the gateway's too, and no template can say it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a path: literal text (`noun` empty), or a noun with literal text around it.

    `spellings` lists every text it accepts where they can be listed, and is empty where they cannot.
    """

    before: str
    noun: str
    after: str
    pattern: str
    spellings: tuple[str, ...]

    def accepts(self, text: str) -> bool:
        return re.fullmatch(self.pattern, text, re.ASCII) is not None

    def characters(self, length: int) -> list[str] | None:
        """The characters accepted at each position of a text of this length, or None where no text has it."""
        allowed, fewest, most = _NOUNS[self.noun]
        count = length - len(self.before) - len(self.after)
        return [*self.before, *[allowed] * count, *self.after] if fewest <= count <= most else None


@dataclass(frozen=True, slots=True)
class Template:
    """A route's path: `pattern` reads the nouns of a path that fits, whole.

    `written` is the path with each noun's name in braces. `misnumbered` fits the paths that are this template's but for
    their number: same literal segments, anything for the nouns, and no dossier number where `{numero}` stands.
    """

    segments: tuple[Segment, ...]
    written: str
    pattern: re.Pattern[str]
    misnumbered: re.Pattern[str]

    def write(self, nouns: Mapping[str, str]) -> str:
        """The path with these nouns. Raises ValueError unless the template itself reads them back."""
        path = self.written.format_map(nouns)
        if self.pattern.fullmatch(path) is None:
            raise ValueError("these nouns do not make a path of this route")
        return path


def read_template(text: str, slugs: Sequence[str]) -> Template:
    """The template written as `text`. Raises ValueError with a whole sentence that says what is wrong with it."""
    if not text.startswith("/") or text == "/":
        raise ValueError('the path must start with "/" and name something after it.')
    segments = tuple(_read_segment(part, slugs) for part in text[1:].split("/"))
    nouns = [segment.noun for segment in segments if segment.noun]
    if nouns.count(NUMBER) != 1:
        raise ValueError("the path must contain {numero} exactly once: every route is about one dossier.")
    for noun in nouns:
        if nouns.count(noun) > 1:
            raise ValueError(f"the path contains {{{noun}}} more than once.")
    for reserved in RESERVED:
        if all(s.accepts(word) for s, word in zip(segments, reserved, strict=False)) and len(segments) >= len(reserved):
            raise ValueError(f"the addresses under /{'/'.join(reserved)} are the gateway's own.")
    return Template(
        segments=segments,
        written="".join(f"/{s.before}{f'{{{s.noun}}}' if s.noun else ''}{s.after}" for s in segments),
        pattern=re.compile("".join("/" + s.pattern for s in segments), re.ASCII),
        misnumbered=re.compile("".join("/" + _misnumbered(s) for s in segments), re.ASCII),
    )


def overlap(one: Template, other: Template) -> bool:
    """Whether some path fits both templates."""
    if len(one.segments) != len(other.segments):
        return False
    return all(map(_segments_overlap, one.segments, other.segments))


def _segments_overlap(one: Segment, other: Segment) -> bool:
    if one.spellings:
        return any(map(other.accepts, one.spellings))
    if other.spellings:
        return any(map(one.accepts, other.spellings))
    longest = max(len(s.before) + _NOUNS[s.noun][2] + len(s.after) for s in (one, other))
    return any(_share_a_text(one.characters(n), other.characters(n)) for n in range(1, longest + 1))


def _share_a_text(one: Iterable[str] | None, other: Iterable[str] | None) -> bool:
    if one is None or other is None:
        return False
    return all(not set(some).isdisjoint(others) for some, others in zip(one, other, strict=True))


def _read_segment(text: str, slugs: Sequence[str]) -> Segment:
    if text in ("", ".", ".."):
        raise ValueError(f'"{text}" cannot stand between two "/" of a path.')
    parts = _SEGMENT.fullmatch(text)
    if parts is None:
        raise ValueError(f'"{text}" has braces that do not pair, or more than one noun.')
    before, noun, after = parts[1], parts[2], parts[3] or ""
    if not _PLAIN.fullmatch(before + after):
        raise ValueError(f'"{text}" may only contain letters without accents, digits and . _ ~ - besides its noun.')
    if noun is None:
        return Segment(before, "", "", re.escape(before), (before,))
    if noun not in NOUN_NAMES:
        raise ValueError(f"{{{noun}}} is not known; a path knows {{numero}}, {{id}} and {{rubric}}.")
    if noun == SLUG:
        spellings = tuple(before + slug + after for slug in slugs)
        inner = "|".join(map(re.escape, slugs))
    else:
        spellings = ()
        allowed, fewest, most = _NOUNS[noun]
        inner = f"[{re.escape(allowed)}]{{{fewest},{most}}}"
    return Segment(before, noun, after, f"{re.escape(before)}(?P<{noun}>{inner}){re.escape(after)}", spellings)


def _misnumbered(segment: Segment) -> str:
    if not segment.noun:
        return segment.pattern
    if segment.noun != NUMBER:
        return "[^/]*"
    return f"(?!{segment.pattern}(?:/|\\Z))[^/]*"
