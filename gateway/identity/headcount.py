"""How many agents a partner's conventions allow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, select

from gateway.identity.tables import account, convention, partner
from gateway.identity.wrong import conflicting


class _Signed(NamedTuple):
    """A convention that is not over."""

    number: str
    caisse: str
    profiles: str
    max_agents: int | None


def crowding_problem(
    connection: Connection, partner_id: int, profiles: Sequence[str], *, today: date, besides: int | None = None
) -> str | None:
    """What forbids one more agent with these profiles, `besides` being the account that is to have them.

    An agent takes a place in every convention that opens one of its profiles, until the account is closed. There is
    room for a profile where one of a Caf's conventions that open it has some; where none opens it, nothing is limited.
    The partner stays held until the transaction ends: of two at once, the second counts the first.
    """
    connection.execute(select(partner.c.id).where(partner.c.id == partner_id).with_for_update())
    columns = (convention.c.number, convention.c.caisse, convention.c.profiles, convention.c.max_agents)
    standing = select(*columns).where(convention.c.partner_id == partner_id, convention.c.ends_on >= today)
    signed = [_Signed._make(row) for row in connection.execute(standing.order_by(convention.c.number))]
    others = select(account.c.profiles).where(
        account.c.partner_id == partner_id, account.c.closed_at.is_(None), account.c.id != (besides or 0)
    )
    held = [set(row[0].split()) for row in connection.execute(others)]
    for profile in profiles:
        for caisse in {each.caisse for each in signed}:
            opening = [each for each in signed if each.caisse == caisse and profile in each.profiles.split()]
            if opening and all(_is_full(each, held) for each in opening):
                full = opening[0]
                return conflicting(
                    f"The convention {full.number!r} allows {full.max_agents} agents, and the partner has as many with "
                    "a profile that it opens: close an account, or sign for more.",
                    "La convention n'a plus de place pour un agent : fermez un compte ou signez pour davantage.",
                )
    return None


def _is_full(signed: _Signed, held: Sequence[set[str]]) -> bool:
    opened = set(signed.profiles.split())
    return signed.max_agents is not None and sum(1 for profiles in held if profiles & opened) >= signed.max_agents
