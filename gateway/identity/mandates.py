"""Mandates: dossiers entrusted to a partner, or to one of its agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, insert, not_, or_, select, update

from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import (
    days_problem,
    dossier_problem,
    find_open_account,
    find_partner,
    instant,
    refuse,
    seconds,
    text_problem,
    word_problem,
)
from gateway.identity.store import Store
from gateway.identity.tables import account, mandate, partner
from gateway.identity.wrong import absent, conflicting
from gateway.model import MANDATE_KINDS


@dataclass(frozen=True, slots=True)
class Mandate:
    """A dossier entrusted for a reason. Both days count, None is open. Without `account`, to the whole partner."""

    id: int
    dossier: str
    kind: str
    partner: str
    account: str | None
    starts_on: date
    ends_on: date | None
    reference: str
    released_at: datetime | None


def add_mandate(
    store: Store,
    *,
    dossier: str,
    kind: str,
    partner_name: str,
    identifier: str | None = None,
    starts_on: date,
    ends_on: date | None = None,
    reference: str,
    signed: Signature | None = None,
) -> int:
    """Entrust a dossier to a known partner, or to its agent `identifier` alone. The mandate's id.

    `kind` is one of `model.MANDATE_KINDS`; `reference` is the judgment's or the file's.
    """
    with store.change() as connection:
        partner_id, unknown = find_partner(connection, partner_name)
        account_id, employer, stranger = (
            (None, partner_id, None) if identifier is None else find_open_account(connection, identifier)
        )
        elsewhere = partner_id is not None and employer is not None and employer != partner_id
        refuse(
            [
                dossier_problem(dossier),
                word_problem("kind", kind, MANDATE_KINDS),
                unknown,
                stranger,
                not_theirs(identifier, partner_name) if elsewhere else None,
                days_problem(starts_on, ends_on),
                text_problem("reference", reference),
            ]
        )
        added = connection.execute(
            insert(mandate).values(
                dossier=dossier,
                kind=kind,
                partner_id=partner_id,
                account_id=account_id,
                starts_on=starts_on,
                ends_on=ends_on,
                reference=reference,
            )
        )
        key: tuple[int] = added.inserted_primary_key  # type: ignore[assignment]  # None only for many rows at once
        write_change(connection, signed, act="mandate add", subject=str(key[0]))
        return key[0]


def release_mandate(store: Store, *, mandate_id: int, now: datetime, signed: Signature | None = None) -> None:
    """Take a mandate back, at once and for good. It stays listed."""
    with store.change() as connection:
        query = select(mandate.c.released_at).where(mandate.c.id == mandate_id).with_for_update()
        found = connection.execute(query).one_or_none()
        refuse(
            [
                no_mandate(mandate_id) if found is None else None,
                _released(mandate_id) if found and found[0] is not None else None,
            ]
        )
        connection.execute(update(mandate).where(mandate.c.id == mandate_id).values(released_at=seconds(now)))
        write_change(connection, signed, act="mandate release", subject=str(mandate_id), now=now)


_STAYS: Final = mandate.c.released_at.is_(None)
MANDATE_STATES: Final[Mapping[str, Callable[[date], ColumnElement[bool]]]] = {
    "running": lambda day: and_(
        _STAYS, mandate.c.starts_on <= day, or_(mandate.c.ends_on.is_(None), mandate.c.ends_on >= day)
    ),
    "to_come": lambda day: and_(_STAYS, mandate.c.starts_on > day),
    "over": lambda day: and_(_STAYS, mandate.c.ends_on < day),
    "released": lambda _: not_(_STAYS),
}
"""What a mandate can be on a day, for lists."""


def mandates(
    store: Store,
    *,
    mandate_id: int | None = None,
    dossier: str | None = None,
    partner_name: str | None = None,
    state: tuple[str, date] | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[Mandate]:
    """Every mandate, released ones too, of this id, of a dossier, of a partner and in one of `MANDATE_STATES` on a day
    where given, in the order of entry: those `after` the id of one, so many.
    """
    query = (
        select(
            mandate.c.id,
            mandate.c.dossier,
            mandate.c.kind,
            partner.c.name,
            account.c.identifier,
            mandate.c.starts_on,
            mandate.c.ends_on,
            mandate.c.reference,
            mandate.c.released_at,
        )
        .join(partner, partner.c.id == mandate.c.partner_id)
        .outerjoin(account, account.c.id == mandate.c.account_id)
        .order_by(mandate.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(mandate.c.id > after)
    if mandate_id is not None:
        query = query.where(mandate.c.id == mandate_id)
    if state is not None:
        named, day = state
        query = query.where(MANDATE_STATES[named](day))
    with store.read() as connection:
        if dossier is not None:
            refuse([dossier_problem(dossier)])
            query = query.where(mandate.c.dossier == dossier)
        if partner_name is not None:
            partner_id, unknown = find_partner(connection, partner_name)
            refuse([unknown])
            query = query.where(mandate.c.partner_id == partner_id)
        return [Mandate(*row[:-1], instant(row[-1])) for row in connection.execute(query)]


def not_theirs(identifier: str | None, partner_name: str) -> str:
    return conflicting(
        f"The account {identifier!r} is not of the partner {partner_name!r}.", "Ce compte n'est pas de ce partenaire."
    )


def no_mandate(mandate_id: int) -> str:
    return absent(f"There is no mandate {mandate_id}.", "Aucun mandat ne porte ce numéro.")


def _released(mandate_id: int) -> str:
    return conflicting(f"Mandate {mandate_id} is released already.", "Ce mandat est déjà repris.")
