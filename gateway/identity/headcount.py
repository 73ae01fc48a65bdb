"""How many agents a partner's conventions allow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from gateway.identity.tables import account, convention, partner
from gateway.identity.wrong import conflicting

_AT_ONCE: Final = 2_000
"""Partners that are held together."""


class _Signed(NamedTuple):
    """A convention that is not over."""

    number: str
    caisse: str
    profiles: str
    max_agents: int | None


class Room:
    """What a partner's conventions leave room for on a day, and how many have a place already.

    An agent takes a place in every convention that opens one of its profiles, until the account is closed. There is
    room for a profile where one of a Caf's conventions that open it has some; where none opens it, nothing is limited.
    """

    def __init__(self, connection: Connection, partner_id: int, *, today: date, besides: int | None = None) -> None:
        """`besides` is an account that is not counted."""
        columns = (convention.c.number, convention.c.caisse, convention.c.profiles, convention.c.max_agents)
        standing = select(*columns).where(convention.c.partner_id == partner_id, convention.c.ends_on >= today)
        self._signed = [_Signed._make(row) for row in connection.execute(standing.order_by(convention.c.number))]
        self._taken = dict.fromkeys((each.number for each in self._signed if each.max_agents is not None), 0)
        if self.is_limited:
            others = select(account.c.profiles).where(
                account.c.partner_id == partner_id, account.c.closed_at.is_(None), account.c.id != (besides or 0)
            )
            for row in connection.execute(others):
                self.take(row[0].split())

    @property
    def is_limited(self) -> bool:
        """Whether a convention says how many."""
        return bool(self._taken)

    def take(self, profiles: Sequence[str]) -> None:
        """One more agent has these profiles."""
        for each in self._signed:
            if each.max_agents is not None and not set(profiles).isdisjoint(each.profiles.split()):
                self._taken[each.number] += 1

    def problem(self, profiles: Sequence[str]) -> str | None:
        """What forbids one more agent with these profiles."""
        for profile in profiles:
            for caisse in {each.caisse for each in self._signed}:
                opening = [each for each in self._signed if each.caisse == caisse and profile in each.profiles.split()]
                if opening and all(self._is_full(each) for each in opening):
                    full = opening[0]
                    return conflicting(
                        f"The convention {full.number!r} allows {full.max_agents} agents, and the partner has as many "
                        "with a profile that it opens: close an account, or sign for more.",
                        f"La convention autorise {full.max_agents} agents et n'a plus de place : fermez un compte ou "
                        "signez pour davantage.",
                    )
        return None

    def _is_full(self, signed: _Signed) -> bool:
        return signed.max_agents is not None and self._taken[signed.number] >= signed.max_agents


def crowding_problem(
    connection: Connection, partner_id: int, profiles: Sequence[str], *, today: date, besides: int | None = None
) -> str | None:
    """What forbids one more agent with these profiles, `besides` being the account that is to have them.

    The partner stays held until the transaction ends: of two at once, the second counts the first.
    """
    connection.execute(select(partner.c.id).where(partner.c.id == partner_id).with_for_update())
    return Room(connection, partner_id, today=today, besides=besides).problem(profiles)


def held_rooms(connection: Connection, partner_ids: Iterable[int], *, today: date) -> dict[int, Room]:
    """What is left at those of these partners where it is limited, by their ids.

    All of the partners stay held as by `crowding_problem`: in one order, so that no two who hold many wait for each
    other.
    """
    ids = sorted(partner_ids)
    rooms: dict[int, Room] = {}
    for first in range(0, len(ids), _AT_ONCE):
        some = ids[first : first + _AT_ONCE]
        named = select(partner.c.id).where(partner.c.id.in_(some)).order_by(partner.c.id)
        connection.execute(named.with_for_update())
        limited = select(convention.c.partner_id).where(
            convention.c.partner_id.in_(some), convention.c.max_agents.is_not(None), convention.c.ends_on >= today
        )
        for number in connection.execute(limited.distinct()).scalars().all():
            rooms[number] = Room(connection, number, today=today)
    return rooms
