"""Sentences about the route file, with the line they are about and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_ROUTE_HEADER: Final = re.compile(r"\s*\[\[\s*route\s*\]\]")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "…"?`, or nothing where no known word is close."""
    close = get_close_matches(word, [each for each in known if each != word], n=1, cutoff=0.75)
    return f' Did you mean "{close[0]}"?' if close else ""


def listed(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


class Lines:
    """The lines of the file, to tell where something is written."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._headers = [number for number, line in enumerate(self._lines) if _ROUTE_HEADER.match(line)]

    def of_route(self, place: int, about: str = "") -> int:
        """The number, from 1, of the line of the `place`th route where `about` stands, quoted or as a key.

        The line of the route's `[[route]]` where it stands nowhere.
        """
        if place >= len(self._headers):
            return self.of(about)
        first, *rest = [*self._headers[place:], len(self._lines)]
        return self._find(about, first, rest[0])

    def of(self, about: str) -> int:
        return self._find(about, 0, len(self._lines))

    def column(self, line: int, about: str) -> int:
        """Where `about` stands in that line, its quotation mark included; where it does not, where the line begins."""
        written = self._lines[line - 1]
        found = re.search(rf"[\"']?{re.escape(about)}", written) if about else None
        return (found.start() if found else len(written) - len(written.lstrip())) + 1

    def _find(self, about: str, first: int, end: int) -> int:
        key = re.compile(rf"\s*\[*\s*(?:route\.)?{re.escape(about)}\s*[=.\]]")
        for number in range(first, end) if about else ():
            line = self._lines[number].split("#", 1)[0]
            if f'"{about}"' in line or f"'{about}'" in line or key.match(line):
                return number + 1
        return first + 1
