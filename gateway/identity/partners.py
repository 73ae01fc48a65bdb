"""Partners and the conventions the Caf has signed with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import insert, select, update

from gateway.errors import Misconfigured
from gateway.identity.entries import (
    caisse_problem,
    days_problem,
    find_partner,
    is_text,
    profiles_problem,
    refuse,
    text_problem,
    word_problem,
    written,
)
from gateway.identity.store import Store
from gateway.identity.tables import convention, partner
from gateway.model import PARTNER_KINDS


@dataclass(frozen=True, slots=True)
class Partner:
    """An organisation whose agents log in."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Convention:
    """A service agreement. Both days count; profiles it does not name, it does not open."""

    number: str
    partner: str
    caisse: str
    starts_on: date
    ends_on: date
    suspended: bool
    profiles: tuple[str, ...]


def add_partner(store: Store, *, name: str, kind: str) -> None:
    """Enter a partner. `kind` is one of `model.PARTNER_KINDS`."""
    with store.change() as connection:
        known, _ = find_partner(connection, name)
        refuse(
            [
                text_problem("name", name),
                word_problem("kind", kind, PARTNER_KINDS),
                None if known is None else f"There is a partner called {name!r} already.",
            ]
        )
        connection.execute(insert(partner).values(name=name, kind=kind))


def partners(store: Store) -> list[Partner]:
    """Every partner, by name."""
    with store.read() as connection:
        rows = connection.execute(select(partner.c.name, partner.c.kind).order_by(partner.c.name))
        return [Partner(name, kind) for name, kind in rows]


def add_convention(
    store: Store,
    *,
    partner_name: str,
    number: str,
    caisse: str,
    starts_on: date,
    ends_on: date,
    profiles: Sequence[str],
) -> None:
    """Enter a convention of a known partner. `number` is unique; at least one profile."""
    with store.change() as connection:
        partner_id, unknown = find_partner(connection, partner_name)
        query = select(convention.c.id).where(convention.c.number == number)
        known = connection.execute(query).scalar() if is_text(number) else None
        refuse(
            [
                unknown,
                text_problem("number", number),
                None if known is None else f"There is a convention {number!r} already.",
                caisse_problem(caisse),
                days_problem(starts_on, ends_on),
                profiles_problem(profiles),
                None if profiles else "A convention opens at least one profile.",
            ]
        )
        connection.execute(
            insert(convention).values(
                partner_id=partner_id,
                number=number,
                caisse=caisse,
                starts_on=starts_on,
                ends_on=ends_on,
                suspended=False,
                profiles=written(profiles),
            )
        )


def suspend_convention(store: Store, *, number: str) -> None:
    """Close what this convention opens, until it is resumed."""
    _set_suspended(store, number, suspended=True)


def resume_convention(store: Store, *, number: str) -> None:
    """Let a suspended convention open again what its days allow."""
    _set_suspended(store, number, suspended=False)


def conventions(store: Store, *, partner_name: str | None = None) -> list[Convention]:
    """Every convention, or one partner's, by partner and first day."""
    query = (
        select(
            convention.c.number,
            partner.c.name,
            convention.c.caisse,
            convention.c.starts_on,
            convention.c.ends_on,
            convention.c.suspended,
            convention.c.profiles,
        )
        .join(partner, partner.c.id == convention.c.partner_id)
        .order_by(partner.c.name, convention.c.starts_on, convention.c.number)
    )
    with store.read() as connection:
        if partner_name is not None:
            partner_id, unknown = find_partner(connection, partner_name)
            refuse([unknown])
            query = query.where(partner.c.id == partner_id)
        return [Convention(*row[:-1], tuple(row[-1].split())) for row in connection.execute(query)]


def _set_suspended(store: Store, number: str, *, suspended: bool) -> None:
    if not is_text(number):
        raise Misconfigured([f"There is no convention {number!r}."])
    with store.change() as connection:
        changed = connection.execute(
            update(convention).where(convention.c.number == number).values(suspended=suspended)
        )
        if not changed.rowcount:
            raise Misconfigured([f"There is no convention {number!r}."])
