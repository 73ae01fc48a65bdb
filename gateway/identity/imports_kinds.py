"""What an import may bring: partners, conventions, accounts, mandates. Each row is checked as its entry by hand is.

Accounts come without a password: whoever leads them is sent a link (`identity/activation.py`). Nothing of a kind's
memory grows with the rows of a file, but with the partners that they name.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, ClassVar, Final

from sqlalchemy import Column, Connection, Table, select

from gateway.identity.accounts import identifier_problem, known_account
from gateway.identity.activation import NO_PASSWORD
from gateway.identity.entries import (
    agents_problem,
    caisse_problem,
    closed_account,
    days_problem,
    dossier_problem,
    is_text,
    no_account,
    no_partner,
    profiles_problem,
    siret_problem,
    text_problem,
    word_problem,
    written,
)
from gateway.identity.headcount import Room
from gateway.identity.mandates import not_theirs
from gateway.identity.partners import NO_PROFILE, known_convention, known_partner
from gateway.identity.tables import account, convention, mandate, partner
from gateway.model import MANDATE_KINDS, PARTNER_KINDS

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER: Final = re.compile(r"[0-9]{1,6}")


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
            self.says(f"{name}: a day is written YYYY-MM-DD, such as 2026-01-31.")
        return found


@lru_cache(maxsize=4096)
def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        return None


class Kind(ABC):
    """One import's. `columns` says which of the file's must be there, `stored` which of the table's are written."""

    noun: ClassVar[str]
    columns: ClassVar[Mapping[str, bool]]
    table: ClassVar[Table]
    stored: ClassVar[tuple[str, ...]]

    def __init__(self, today: date) -> None:
        self.today = today
        self._partners: dict[str, int] = {}

    @abstractmethod
    def keys(self, row: Row) -> Iterable[str]:
        """What no other row of the file may have, in words."""

    @abstractmethod
    def check(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Say what is wrong with each, and fill its values in. Rows come in the file's order, each once."""

    def _find_partners(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Look up those that are not known yet; say which do not exist."""
        names = {row.cells["partner"] for row in rows} - self._partners.keys()
        for name, number in _found(connection, partner.c.name, names, partner.c.id):
            self._partners[name] = number
        for row in rows:
            name = row.cells["partner"]
            row.says(None if name in self._partners else no_partner(name))


class Partners(Kind):
    noun, table, stored = "partner", partner, ("name", "kind", "siret")
    columns: ClassVar = {"name": True, "kind": False, "siret": False}

    def keys(self, row: Row) -> Iterable[str]:
        yield f"The name {row.cells['name']!r}"
        if row.cells.get("siret"):
            yield f"The SIRET {row.cells['siret']!r}"

    def check(self, connection: Connection, rows: Sequence[Row]) -> None:
        names = {name for (name,) in _found(connection, partner.c.name, {row.cells["name"] for row in rows})}
        given = {row.cells["siret"] for row in rows if row.cells.get("siret")}
        taken = {siret for (siret,) in _found(connection, partner.c.siret, given)}
        for row in rows:
            name, kind, siret = row.cells["name"], row.cells.get("kind") or "external", row.cells.get("siret") or None
            row.says(
                text_problem("name", name),
                word_problem("kind", kind, PARTNER_KINDS),
                siret_problem(siret),
                known_partner(name) if name in names else None,
                "There is a partner with this SIRET already." if siret in taken else None,
            )
            row.values = name, kind, siret


class Conventions(Kind):
    noun, table = "convention", convention
    stored = ("partner_id", "number", "caisse", "starts_on", "ends_on", "suspended", "profiles", "max_agents")
    columns: ClassVar = {
        **dict.fromkeys(("number", "partner", "caisse", "starts_on", "ends_on", "profiles"), True),
        "max_agents": False,
    }

    def keys(self, row: Row) -> Iterable[str]:
        yield f"The number {row.cells['number']!r}"

    def check(self, connection: Connection, rows: Sequence[Row]) -> None:
        self._find_partners(connection, rows)
        known = {name for (name,) in _found(connection, convention.c.number, {row.cells["number"] for row in rows})}
        for row in rows:
            cells, profiles = row.cells, row.cells["profiles"].split()
            starts_on, ends_on = row.day("starts_on"), row.day("ends_on")
            most = cells.get("max_agents") or None
            number = int(most) if most and _NUMBER.fullmatch(most) else None
            row.says(
                text_problem("number", cells["number"]),
                known_convention(cells["number"]) if cells["number"] in known else None,
                caisse_problem(cells["caisse"]),
                *(f"{name}: a day is needed." for name in ("starts_on", "ends_on") if not cells[name]),
                days_problem(starts_on, ends_on) if starts_on else None,
                profiles_problem(profiles),
                None if profiles else NO_PROFILE,
                agents_problem(0 if most and number is None else number),
            )
            row.values = (
                self._partners.get(cells["partner"]),
                *(cells["number"], cells["caisse"], cells["starts_on"], cells["ends_on"], False),
                *(written(profiles), number),
            )


class Accounts(Kind):
    noun, table = "account", account
    stored = ("identifier", "password_hash", "partner_id", "profiles", "suspended", "function", "confirmed_on")
    columns: ClassVar = {"identifier": True, "partner": True, "profiles": False, "function": False}

    def __init__(self, today: date) -> None:
        super().__init__(today)
        self._rooms: dict[int, Room | None] = {}

    def keys(self, row: Row) -> Iterable[str]:
        yield f"The identifier {row.cells['identifier']!r}"

    def check(self, connection: Connection, rows: Sequence[Row]) -> None:
        self._find_partners(connection, rows)
        asked = {row.cells["identifier"] for row in rows}
        known = {name for (name,) in _found(connection, account.c.identifier, asked)}
        for row in rows:
            identifier, profiles = row.cells["identifier"], row.cells.get("profiles", "").split()
            function = row.cells.get("function") or None
            row.says(
                identifier_problem(identifier),
                known_account(identifier) if identifier in known else None,
                profiles_problem(profiles),
                text_problem("function", function) if function else None,
            )
            employer = self._partners.get(row.cells["partner"])
            if employer is not None and not row.problems:
                row.says(self._crowding(connection, employer, profiles))
            kept = (identifier, NO_PASSWORD, employer, written(profiles), False, function)
            row.values = (*kept, self.today.isoformat())

    def _crowding(self, connection: Connection, employer: int, profiles: Sequence[str]) -> str | None:
        """What forbids this agent, who is counted from now on where nothing does."""
        if employer not in self._rooms:
            room = Room(connection, employer, today=self.today)
            self._rooms[employer] = room if room.is_limited else None
        room_left = self._rooms[employer]
        if room_left is None:
            return None
        problem = room_left.problem(profiles)
        if problem is None:
            room_left.take(profiles)
        return problem


class Mandates(Kind):
    noun, table = "mandate", mandate
    stored = ("dossier", "kind", "partner_id", "account_id", "starts_on", "ends_on", "reference")
    columns: ClassVar = {
        **dict.fromkeys(("dossier", "kind", "partner"), True),
        **{"account": False, "starts_on": True, "ends_on": False, "reference": True},
    }

    def keys(self, row: Row) -> Iterable[str]:
        # All of it: a dossier may be entrusted twice, for two reasons or times.
        return ("The same mandate\0" + "\0".join(row.cells.get(name, "") for name in self.columns),)

    def check(self, connection: Connection, rows: Sequence[Row]) -> None:
        self._find_partners(connection, rows)
        named = {row.cells["account"] for row in rows if row.cells.get("account")}
        columns = (account.c.id, account.c.partner_id, account.c.closed_at)
        agents = {name: rest for name, *rest in _found(connection, account.c.identifier, named, *columns)}
        for row in rows:
            cells, starts_on, ends_on = row.cells, row.day("starts_on"), row.day("ends_on")
            employer, name = self._partners.get(cells["partner"]), cells.get("account", "")
            agent, works_for, closed_at = agents.get(name, (None, None, None))
            elsewhere = agent is not None and employer is not None and works_for != employer
            row.says(
                dossier_problem(cells["dossier"]),
                word_problem("kind", cells["kind"], MANDATE_KINDS),
                no_account(name) if name and agent is None else None,
                closed_account(name) if closed_at is not None else None,
                not_theirs(name, cells["partner"]) if elsewhere else None,
                "starts_on: a day is needed." if not cells["starts_on"] else None,
                days_problem(starts_on, ends_on) if starts_on else None,
                text_problem("reference", cells["reference"]),
            )
            days = cells["starts_on"], cells.get("ends_on") or None
            row.values = (cells["dossier"], cells["kind"], employer, agent, *days, cells["reference"])
        self._say_entered(connection, rows)

    def _say_entered(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Say which are in the store already, and not released."""
        columns = [mandate.c[name] for name in self.stored[1:]]
        dossiers = {row.cells["dossier"] for row in rows}
        known: dict[tuple[Any, ...], int] = {}
        for dossier, number, released_at, *rest in _found(
            connection, mandate.c.dossier, dossiers, mandate.c.id, mandate.c.released_at, *columns
        ):
            if released_at is None:
                written_so = (each.isoformat() if isinstance(each, date) else each for each in rest)
                known[dossier, *written_so] = number
        for row in rows if known else ():
            if row.values in known:
                row.says(f"It is entered already, as mandate {known[row.values]}.")


KINDS: Final[Mapping[str, type[Kind]]] = {kind.noun: kind for kind in (Partners, Conventions, Accounts, Mandates)}


def _found(
    connection: Connection, column: Column[Any], asked: Iterable[str], *others: Column[Any]
) -> Iterator[tuple[Any, ...]]:
    """The rows in which `column` is one of those asked for: its value and the others'."""
    possible = [text for text in asked if is_text(text)]
    if possible:
        # All at once: one by one costs more than the rest of it.
        yield from connection.execute(select(column, *others).where(column.in_(possible))).all()
