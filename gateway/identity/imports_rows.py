"""A row of a file that is imported, and what every kind of row has."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, ClassVar, Final, NamedTuple

from sqlalchemy import Column, Connection, Table, select

from gateway.identity.entries import is_text, no_partner
from gateway.identity.tables import partner
from gateway.identity.wrong import unacceptable

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(slots=True)
class Row:
    """A row of the file: what is wrong with it so far, and what the table is to hold."""

    line: int
    cells: Mapping[str, str]
    problems: list[str] = field(default_factory=list)
    values: tuple[Any, ...] = ()

    def says(self, *problems: str | None) -> None:
        for problem in problems:
            if problem:
                self.problems.append(problem)

    def day(self, name: str) -> date | None:
        """The day in a cell, None where it is empty or no day, which is said."""
        text = self.cells.get(name, "")
        found = _day(text)
        if found is None and text:
            self.says(
                unacceptable(
                    f"{name}: a day is written YYYY-MM-DD, such as 2026-01-31.",
                    f"{name} : une date s'écrit AAAA-MM-JJ, par exemple 2026-01-31.",
                )
            )
        return found


def day_needed(name: str) -> str:
    return unacceptable(f"{name}: a day is needed.", f"{name} : une date est nécessaire.")


@lru_cache(maxsize=4096)
def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        return None


Problem = tuple[int, str]
"""The line of a row, and what is wrong with it."""


class _Employer(NamedTuple):
    id: int
    kind: str


class Kind(ABC):
    """One import's. `columns` says which of the file's must be there, `stored` which of the table's are written."""

    noun: ClassVar[str]
    columns: ClassVar[Mapping[str, bool]]
    table: ClassVar[Table]
    stored: ClassVar[tuple[str, ...]]

    def __init__(self, today: date, *, staff_too: bool) -> None:
        """`staff_too`: accounts of the Caf's staff may be among them."""
        self.today, self.staff_too = today, staff_too
        self._partners: dict[str, _Employer] = {}

    @abstractmethod
    def keys(self, row: Row) -> Iterable[str]:
        """What no other row of the file may have, in words."""

    @abstractmethod
    def check(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Say what is wrong with each, and fill its values in. Rows come in the file's order, each once."""

    def crowded(self, connection: Connection, staged: Iterator[Sequence[tuple[Any, ...]]]) -> Iterator[Problem]:
        """What has come in the way since the rows were checked, told in the transaction that would write them and that
        keeps it from coming from now on. `staged` are the rows' lines and values, some at a time.
        """
        yield from ()

    def _find_partners(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Look up those that are not known yet; say which do not exist."""
        names = {row.cells["partner"] for row in rows} - self._partners.keys()
        for name, *rest in look_up(connection, partner.c.name, names, partner.c.id, partner.c.kind):
            self._partners[name] = _Employer._make(rest)
        for row in rows:
            name = row.cells["partner"]
            row.says(None if name in self._partners else no_partner(name))

    def _partner_id(self, row: Row) -> int | None:
        employer = self._partners.get(row.cells["partner"])
        return None if employer is None else employer.id


def look_up(
    connection: Connection, column: Column[Any], asked: Iterable[str], *others: Column[Any]
) -> Iterator[tuple[Any, ...]]:
    """The rows in which `column` is one of those asked for: its value and the others'."""
    possible = [text for text in asked if is_text(text)]
    if possible:
        # All at once: one by one costs more than the rest of it.
        yield from connection.execute(select(column, *others).where(column.in_(possible))).all()
