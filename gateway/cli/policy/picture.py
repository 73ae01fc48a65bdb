"""The table as a page and as a picture, in French, for whoever decides: no script, nothing from elsewhere, no date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import shorten, wrap
from typing import Final, NamedTuple

from gateway.cli.policy.pages import page, together
from gateway.policy.grid import PLAIN, Grid
from gateway.policy.wording import requirements


class Entry(NamedTuple):
    """A mark and the sentence that says when a cell with it is open."""

    mark: str
    sentence: str


class _Said(NamedTuple):
    where: str
    more: str
    nothing: str
    then: str


_SAID: Final = {
    "en": _Said("open where: {}.", "as X, and also: {}.", "every cell is closed.", "; "),
    "fr": _Said("ouvert si : {}.", "comme X, et en plus : {}.", "toutes les cases sont fermées.", " ; "),
}


def legend(grid: Grid, language: str) -> list[Entry]:
    """What each mark stands for, the plain one first; of others that demand the same and more, only what is more."""
    said = _SAID[language]
    if not grid.marks:
        return [Entry("", said.nothing)]
    plain = next(bits for bits, mark in grid.marks.items() if mark == PLAIN)
    common = requirements(plain, language)
    found = []
    for bits, mark in grid.marks.items():
        demanded = requirements(bits, language)
        more = [one for one in demanded if one not in common]
        if mark != PLAIN and more and set(common) < set(demanded):
            found.append(Entry(mark, said.more.format(said.then.join(more))))
        else:
            found.append(Entry(mark, said.where.format(said.then.join(demanded))))
    return found


def as_html(grid: Grid) -> str:
    """A page that is read on a screen, on paper, and aloud."""
    return page("matrix.html", grid=grid, plain=PLAIN, legend=legend(grid, "fr"))


_LETTER: Final = 7.4
"""Pixels that a letter takes at most, on average, in the 13 pixels of the picture's sans-serif."""
_LONGEST: Final = 44
"""Letters of a label or a source; more are cut off."""
_LINE: Final = 24
_COLUMN: Final = 44
_TOTAL: Final = 64
_MARGIN: Final = 24
_TOP: Final = 92
_SMALL: Final = 19


@dataclass(frozen=True)
class _Layout:
    """Where things stand in the picture, in pixels."""

    grid: Grid

    @property
    def first(self) -> float:
        """Where the first profile's column begins."""
        return _MARGIN + _LETTER * max(18, *(len(cut(row.label)) for row in self.grid.rows)) + 12

    @property
    def totals(self) -> float:
        return self.first + _COLUMN * len(self.grid.profiles)

    @property
    def sources(self) -> float:
        return self.totals + _TOTAL + 12

    @property
    def width(self) -> float:
        return max(self.sources + _LETTER * max(12, *(len(cut(row.source)) for row in self.grid.rows)) + _MARGIN, 720)

    @property
    def bottom(self) -> float:
        """Where the table ends, its totals included."""
        return _TOP + _LINE * (len(self.grid.rows) + 2)

    def column(self, at: int) -> float:
        return self.first + _COLUMN * at

    def row(self, at: int) -> float:
        """The top of the row; 0 is the line of the profiles."""
        return _TOP + _LINE * at

    def lines(self) -> Iterator[tuple[float, str, str]]:
        """The lines under the table: their place, what begins them and their text."""
        letters = int((self.width - 2 * _MARGIN - 44) / _LETTER)
        entries = [(entry.mark, entry.sentence) for entry in legend(self.grid, "fr")]
        at = self.bottom + 34
        for entry in (*entries, ("", ""), *self.grid.profiles.items()):
            for number, line in enumerate(wrap(together(entry[1]), letters) or [""]):
                yield at, entry[0] if number == 0 else "", line
                at += _SMALL


def cut(text: str) -> str:
    """As much of a label or a source as there is room for."""
    return shorten(text, _LONGEST, placeholder="…") if len(text) > _LONGEST else text


def as_svg(grid: Grid) -> str:
    """The same table as one picture."""
    layout = _Layout(grid)
    lines = list(layout.lines())
    return page(
        "matrix.svg", grid=grid, plain=PLAIN, layout=layout, lines=lines, cut=cut, height=lines[-1][0] + 2 * _MARGIN
    )
