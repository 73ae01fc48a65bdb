"""JSON written by hand, so that the very characters of a dossier are known.

`json.dumps` would read `1.10` as 1.1 and decide by itself which characters are escaped. A gateway that
promises "byte for byte" is only tested by a backend whose bytes a re-serialisation would change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Raw(str):
    """JSON text that is written as it stands: an amount such as `1.10`, or a part already written."""


class Escaped(str):
    """A string whose non-ASCII characters are written as `\\u00e9`, where others are written in UTF-8."""


def json_text(value: Any) -> str:
    """`value` as compact JSON; dictionaries keep their order."""
    match value:
        case Raw():
            return str(value)
        case Escaped():
            return json.dumps(str(value), ensure_ascii=True)
        case dict():
            members = (f"{json_text(key)}:{json_text(item)}" for key, item in value.items())
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(map(json_text, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class WrittenDossier:
    """A dossier as the bytes that are sent, and where each of its rubrics stands in them."""

    whole: bytes
    spans: Mapping[str, tuple[int, int]]

    def rubric(self, slug: str) -> bytes | None:
        """The rubric exactly as it stands in the whole dossier, or None where it has none of that name."""
        span = self.spans.get(slug)
        return None if span is None else self.whole[slice(*span)]


def write_dossier(numero: str, caisse: str, rubrics: Mapping[str, Any]) -> WrittenDossier:
    """`{"numero", "caisse", "rubriques": {slug: {…}}}` in UTF-8."""
    opening = json_text({"numero": numero, "caisse": caisse}).removesuffix("}") + ',"rubriques":{'
    written, length, spans = [opening.encode()], len(opening.encode()), {}
    for position, (slug, rubric) in enumerate(rubrics.items()):
        key = f"{',' if position else ''}{json_text(slug)}:".encode()
        body = json_text(rubric).encode()
        start = length + len(key)
        length = start + len(body)
        spans[slug] = (start, length)
        written += [key, body]
    return WrittenDossier(whole=b"".join([*written, b"}}"]), spans=spans)
