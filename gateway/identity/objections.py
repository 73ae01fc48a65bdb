"""Objections: dossiers whose person refused sharing, set and lifted by Caf staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Select, insert, select, update

from gateway.identity.changes import Signature, write_change
from gateway.identity.entering import take_turn
from gateway.identity.entries import dossier_problem, instant, refuse, seconds, text_problem
from gateway.identity.store import Store
from gateway.identity.tables import objection
from gateway.identity.wrong import conflicting

_RAISED: Final = conflicting(
    "An objection is raised on this dossier already.", "Une opposition est déjà enregistrée sur ce dossier."
)
_NOT_RAISED: Final = conflicting(
    "No objection is raised on this dossier.", "Aucune opposition n'est enregistrée sur ce dossier."
)


@dataclass(frozen=True, slots=True)
class Objection:
    """A person's refusal of sharing, raised until it is lifted."""

    id: int
    dossier: str
    raised_at: datetime | None
    lifted_at: datetime | None
    reference: str


def raise_objection(
    store: Store, *, dossier: str, reference: str, now: datetime, signed: Signature | None = None
) -> None:
    """Withhold a dossier from external partners. `reference` is the letter's; one objection at a time."""
    with store.change() as connection:
        take_turn(connection, objection)
        malformed = dossier_problem(dossier)
        standing = None if malformed else connection.execute(_standing(dossier)).first()
        refuse(
            [
                malformed,
                text_problem("reference", reference),
                _RAISED if standing else None,
            ]
        )
        connection.execute(insert(objection).values(dossier=dossier, raised_at=seconds(now), reference=reference))
        write_change(connection, signed, act="objection raise", subject=dossier, now=now)


def lift_objection(store: Store, *, dossier: str, now: datetime, signed: Signature | None = None) -> None:
    """End what was raised on a dossier. It stays listed."""
    refuse([dossier_problem(dossier)])
    with store.change() as connection:
        take_turn(connection, objection)
        standing = connection.execute(_standing(dossier)).first()
        refuse([None if standing else _NOT_RAISED])
        connection.execute(
            update(objection)
            .where(objection.c.dossier == dossier, objection.c.lifted_at.is_(None))
            .values(lifted_at=seconds(now))
        )
        write_change(connection, signed, act="objection lift", subject=dossier, now=now)


def objections(
    store: Store, *, dossier: str | None = None, after: int | None = None, limit: int | None = None
) -> list[Objection]:
    """Every objection, lifted ones too, of a dossier where given, in the order of entry: those `after` the id of one,
    so many.
    """
    columns = (objection.c.id, objection.c.dossier, objection.c.raised_at, objection.c.lifted_at, objection.c.reference)
    query = select(*columns).order_by(objection.c.id).limit(limit)
    if after is not None:
        query = query.where(objection.c.id > after)
    if dossier is not None:
        refuse([dossier_problem(dossier)])
        query = query.where(objection.c.dossier == dossier)
    with store.read() as connection:
        return [
            Objection(objection_id, number, instant(raised_at), instant(lifted_at), reference)
            for objection_id, number, raised_at, lifted_at, reference in connection.execute(query)
        ]


def _standing(dossier: str) -> Select[tuple[int]]:
    return select(objection.c.id).where(objection.c.dossier == dossier, objection.c.lifted_at.is_(None))
