"""Partners and the conventions the Caf has signed with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Date, Text, and_, insert, not_, select, tuple_, update

from gateway.errors import Misconfigured
from gateway.identity.changes import Signature, write_change
from gateway.identity.entering import refused_alike
from gateway.identity.entries import (
    agents_problem,
    caisse_problem,
    days_problem,
    find_partner,
    is_text,
    profiles_problem,
    refuse,
    siret_problem,
    text_problem,
    word_problem,
    written,
)
from gateway.identity.store import Store
from gateway.identity.tables import convention, partner
from gateway.identity.wrong import absent, conflicting, unacceptable
from gateway.model import PARTNER_KINDS

NO_PROFILE: Final = unacceptable("A convention opens at least one profile.", "Une convention ouvre au moins un profil.")


@dataclass(frozen=True, slots=True)
class Partner:
    """An organisation whose agents log in. Those of before have no `siret`."""

    name: str
    kind: str
    siret: str | None


@dataclass(frozen=True, slots=True)
class Convention:
    """A service agreement. Both days count; profiles it does not name, it does not open. `max_agents`: None is any."""

    number: str
    partner: str
    caisse: str
    starts_on: date
    ends_on: date
    suspended: bool
    profiles: tuple[str, ...]
    max_agents: int | None


def add_partner(
    store: Store, *, name: str, kind: str, siret: str | None = None, signed: Signature | None = None
) -> None:
    """Enter a partner. `kind` is one of `model.PARTNER_KINDS`; no two have one SIRET."""
    with store.change() as connection:
        put_partner(connection, name=name, kind=kind, siret=siret, signed=signed)


def put_partner(connection: Connection, *, name: str, kind: str, siret: str | None, signed: Signature | None) -> None:
    """`add_partner`, in the caller's transaction."""

    def problems() -> list[str | None]:
        known, _ = find_partner(connection, name)
        return [
            text_problem("name", name),
            word_problem("kind", kind, PARTNER_KINDS),
            None if known is None else known_partner(name),
            siret_problem(siret),
            _taken(connection, siret),
        ]

    refuse(problems())
    with refused_alike(connection, problems):
        connection.execute(insert(partner).values(name=name, kind=kind, siret=siret))
    write_change(connection, signed, act="partner add", subject=name)


def set_siret(store: Store, *, name: str, siret: str, signed: Signature | None = None) -> None:
    """Give a partner its SIRET, or another."""
    with store.change() as connection:
        partner_id, unknown = find_partner(connection, name)
        refuse([unknown, siret_problem(siret), _taken(connection, siret, besides=partner_id)])
        before = connection.execute(select(partner.c.siret).where(partner.c.id == partner_id)).scalar()
        with refused_alike(connection, lambda: [_taken(connection, siret, besides=partner_id)]):
            connection.execute(update(partner).where(partner.c.id == partner_id).values(siret=siret))
        write_change(connection, signed, act="partner siret", subject=name, detail=f"{before or 'none'} → {siret}")


def partners(
    store: Store,
    *,
    name: str | None = None,
    kind: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Partner]:
    """Every partner, or the one of this name, or those of a kind, by name: those `after` one, so many."""
    query = select(partner.c.name, partner.c.kind, partner.c.siret).order_by(partner.c.name).limit(limit)
    if after is not None:
        query = query.where(partner.c.name > after)
    if kind is not None:
        query = query.where(partner.c.kind == kind)
    with store.read() as connection:
        if name is not None:
            partner_id, unknown = find_partner(connection, name)
            refuse([unknown])
            query = query.where(partner.c.id == partner_id)
        return [Partner(*row) for row in connection.execute(query)]


def add_convention(
    store: Store,
    *,
    partner_name: str,
    number: str,
    caisse: str,
    starts_on: date,
    ends_on: date,
    profiles: Sequence[str],
    max_agents: int | None = None,
    signed: Signature | None = None,
) -> None:
    """Enter a convention of a known partner. `number` is unique; at least one profile. Without `max_agents` any number
    of agents may have them.
    """
    with store.change() as connection:
        put_convention(
            connection,
            partner_name=partner_name,
            number=number,
            caisse=caisse,
            starts_on=starts_on,
            ends_on=ends_on,
            profiles=profiles,
            max_agents=max_agents,
            signed=signed,
        )


def put_convention(
    connection: Connection,
    *,
    partner_name: str,
    number: str,
    caisse: str,
    starts_on: date,
    ends_on: date,
    profiles: Sequence[str],
    max_agents: int | None,
    signed: Signature | None,
) -> None:
    """`add_convention`, in the caller's transaction."""
    partner_id, unknown = find_partner(connection, partner_name)
    terms: dict[str, Any] = {
        "number": number,
        "caisse": caisse,
        "starts_on": starts_on,
        "ends_on": ends_on,
        "max_agents": max_agents,
    }

    def problems() -> list[str | None]:
        return [unknown, *convention_problems(connection, profiles=profiles, **terms)]

    refuse(problems())
    entered = insert(convention).values(partner_id=partner_id, suspended=False, profiles=written(profiles), **terms)
    with refused_alike(connection, problems):
        connection.execute(entered)
    write_change(connection, signed, act="convention add", subject=number)


def convention_problems(
    connection: Connection,
    *,
    number: str,
    caisse: str,
    starts_on: date,
    ends_on: date,
    profiles: Sequence[str],
    max_agents: int | None,
) -> list[str | None]:
    """What forbids a convention with these terms, whoever it is with."""
    query = select(convention.c.id).where(convention.c.number == number)
    known = connection.execute(query).scalar() if is_text(number) else None
    return [
        text_problem("number", number),
        None if known is None else known_convention(number),
        caisse_problem(caisse),
        days_problem(starts_on, ends_on),
        profiles_problem(profiles),
        None if profiles else NO_PROFILE,
        agents_problem(max_agents),
    ]


def suspend_convention(store: Store, *, number: str, signed: Signature | None = None) -> None:
    """Close what this convention opens, until it is resumed."""
    _change(store, number, signed, act="convention suspend", suspended=True)


def resume_convention(store: Store, *, number: str, signed: Signature | None = None) -> None:
    """Let a suspended convention open again what its days allow."""
    _change(store, number, signed, act="convention resume", suspended=False)


def limit_convention(store: Store, *, number: str, max_agents: int | None, signed: Signature | None = None) -> None:
    """Allow this many agents, or any number. Where there are more already, they stay and no other is entered."""
    refuse([agents_problem(max_agents)])
    _change(store, number, signed, act="convention limit", max_agents=max_agents)


CONVENTION_STATES: Final[Mapping[str, Callable[[date], ColumnElement[bool]]]] = {
    "in_force": lambda day: and_(not_(convention.c.suspended), _runs(day)),
    "to_come": lambda day: convention.c.starts_on > day,
    "expired": lambda day: convention.c.ends_on < day,
    "suspended": lambda day: and_(convention.c.suspended, _runs(day)),
}
"""What a convention can be on a day, for lists."""


def _runs(day: date) -> ColumnElement[bool]:
    return and_(convention.c.starts_on <= day, convention.c.ends_on >= day)


def conventions(
    store: Store,
    *,
    number: str | None = None,
    partner_name: str | None = None,
    state: tuple[str, date] | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Convention]:
    """Every convention, or the one of this number, or one partner's, or those in one of `CONVENTION_STATES` on a day,
    by partner and first day: those `after` the number of one, so many."""
    place = (partner.c.name, convention.c.starts_on, convention.c.number)
    query = (
        select(
            convention.c.number,
            partner.c.name,
            convention.c.caisse,
            convention.c.starts_on,
            convention.c.ends_on,
            convention.c.suspended,
            convention.c.profiles,
            convention.c.max_agents,
        )
        .join(partner, partner.c.id == convention.c.partner_id)
        .order_by(*place)
        .limit(limit)
    )
    with store.read() as connection:
        if partner_name is not None:
            partner_id, unknown = find_partner(connection, partner_name)
            refuse([unknown])
            query = query.where(partner.c.id == partner_id)
        if number is not None:
            refuse([None if is_text(number) else no_convention(number)])
            query = query.where(convention.c.number == number)
        if state is not None:
            named, day = state
            query = query.where(CONVENTION_STATES[named](day))
        if after is not None:
            last = select(*place).join(partner, partner.c.id == convention.c.partner_id)
            found = connection.execute(last.where(convention.c.number == after)).one_or_none()
            if found is None:
                raise Misconfigured([no_convention(after)])
            query = query.where(tuple_(*place) > tuple_(*found, types=[Text(), Date(), Text()]))
        return [Convention(*row[:-2], tuple(row[-2].split()), row[-1]) for row in connection.execute(query)]


def _change(store: Store, number: str, signed: Signature | None, *, act: str, **values: bool | int | None) -> None:
    with store.change() as connection:
        query = select(convention.c.id, convention.c.max_agents).where(convention.c.number == number).with_for_update()
        found = connection.execute(query).one_or_none() if is_text(number) else None
        if found is None:
            raise Misconfigured([no_convention(number)])
        connection.execute(update(convention).where(convention.c.id == found[0]).values(**values))
        limit = "max_agents" in values
        detail = f"{found.max_agents or 'any'} → {values['max_agents'] or 'any'}" if limit else ""
        write_change(connection, signed, act=act, subject=number, detail=detail)


def _taken(connection: Connection, siret: str | None, *, besides: int | None = None) -> str | None:
    query = select(partner.c.name).where(partner.c.siret == siret, partner.c.id != (besides or 0))
    other = connection.execute(query).scalar() if siret and siret_problem(siret) is None else None
    if other is None:
        return None
    return conflicting(f"The partner {other!r} has this SIRET already.", "Un partenaire a déjà ce Siret.")


def no_convention(number: str) -> str:
    return absent(f"There is no convention {number!r}.", "Aucune convention ne porte ce numéro.")


def known_partner(name: str) -> str:
    return conflicting(f"There is a partner called {name!r} already.", "Un partenaire porte déjà ce nom.")


def known_convention(number: str) -> str:
    return conflicting(f"There is a convention {number!r} already.", "Une convention porte déjà ce numéro.")
