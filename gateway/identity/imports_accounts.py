"""Accounts of a file: each is counted against the room that its partner's conventions leave, when it is checked and
once more when it is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import chain
from typing import Any, ClassVar

from sqlalchemy import Connection

from gateway.identity.accounts import identifier_problem, known_account
from gateway.identity.entries import profiles_problem, text_problem, written
from gateway.identity.headcount import Room, held_rooms
from gateway.identity.imports_rows import Kind, Problem, Row, look_up
from gateway.identity.passwords import NO_PASSWORD
from gateway.identity.staff import STAFF_ELSEWHERE, is_staff
from gateway.identity.tables import account


class Accounts(Kind):
    noun, table = "account", account
    stored = ("identifier", "password_hash", "partner_id", "profiles", "suspended", "function", "confirmed_on")
    columns: ClassVar = {"identifier": True, "partner": True, "profiles": False, "function": False}

    def __init__(self, today: date, *, staff_too: bool) -> None:
        super().__init__(today, staff_too=staff_too)
        self._rooms: dict[int, Room | None] = {}

    def keys(self, row: Row) -> Iterable[str]:
        yield f"The identifier {row.cells['identifier']!r}"

    def check(self, connection: Connection, rows: Sequence[Row]) -> None:
        self._find_partners(connection, rows)
        asked = {row.cells["identifier"] for row in rows}
        known = {name for (name,) in look_up(connection, account.c.identifier, asked)}
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
            if employer is not None and not self.staff_too and is_staff(partner_kind=employer.kind, profiles=profiles):
                row.says(STAFF_ELSEWHERE)
            if employer is not None and not row.problems:
                row.says(self._crowding(connection, employer.id, profiles))
            kept = (identifier, NO_PASSWORD, self._partner_id(row), written(profiles), False, function)
            row.values = (*kept, self.today.isoformat())

    def crowded(self, connection: Connection, staged: Iterator[Sequence[tuple[Any, ...]]]) -> Iterator[Problem]:
        """Those for whom there was room, and is none any more: others have been entered meanwhile."""
        rooms = held_rooms(connection, (employer.id for employer in self._partners.values()), today=self.today)
        partner_id, profiles = 1 + self.stored.index("partner_id"), 1 + self.stored.index("profiles")
        for row in chain.from_iterable(staged) if rooms else ():
            room = rooms.get(row[partner_id])
            problem = None if room is None else _taken(room, row[profiles].split())
            if problem:
                yield row[0], problem

    def _crowding(self, connection: Connection, employer: int, profiles: Sequence[str]) -> str | None:
        """What forbids this agent, who is counted from now on where nothing does."""
        if employer not in self._rooms:
            room = Room(connection, employer, today=self.today)
            self._rooms[employer] = room if room.is_limited else None
        room_left = self._rooms[employer]
        return None if room_left is None else _taken(room_left, profiles)


def _taken(room: Room, profiles: Sequence[str]) -> str | None:
    """What forbids one more agent with these profiles, who takes a place where nothing does."""
    problem = room.problem(profiles)
    if problem is None:
        room.take(profiles)
    return problem
