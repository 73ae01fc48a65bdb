"""How an organisation joins: it asks, the Caf sends it a file and takes it back, signs the convention, and approves or
refuses. Whoever approves or refuses is another of the Caf's staff than whoever received the file or signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from gateway.database.connections import BUSY_MS
from gateway.errors import Misconfigured
from gateway.identity.accounts import identifier_problem, put_account
from gateway.identity.changes import Signature, write_change
from gateway.identity.delegates import put_delegation
from gateway.identity.entering import take_turn
from gateway.identity.entries import is_text, profiles_problem, refuse, seconds, siret_problem, text_problem, written
from gateway.identity.functions import Functions
from gateway.identity.joining import JoinRequest, held_for
from gateway.identity.links import Invitation, make_link
from gateway.identity.partners import convention_problems, put_convention, put_partner
from gateway.identity.passwords import NO_PASSWORD
from gateway.identity.proving import PATIENCE_MS
from gateway.identity.staff import staff_problem
from gateway.identity.store import Store
from gateway.identity.tables import join_request, partner
from gateway.identity.wrong import conflicting, unacceptable

MOST_ASKED: Final = 1000
"""Requests that nobody has received yet: anyone may send one."""
_FULL: Final = conflicting(
    f"{MOST_ASKED} requests wait to be received: receive or refuse some first.",
    "Trop de demandes attendent d'être lues. Écrivez à votre Caf.",
)
_SAME_PERSON: Final = conflicting(
    "Whoever received the file or signed the convention does not decide: another person of the Caf does.",
    "Une autre personne de la Caf doit décider : vous avez reçu le dossier ou signé la convention.",
)
_A_CAF: Final = conflicting(
    "This SIRET is a Caf's, which does not join.", "Ce Siret est celui d'une Caf, qui n'adhère pas."
)
_WIDER: Final = unacceptable(
    "The convention opens more profiles than were asked for.",
    "La convention ouvre plus de profils qu'il n'en a été demandé.",
)
_WHY: Final = unacceptable("Say why the request is refused.", "Dites pourquoi la demande est refusée.")


@dataclass(frozen=True, slots=True)
class Approved:
    """What an approval made: the partner's name, the convention's number, and the link of its first account, where
    there is one, told once."""

    partner: str
    convention: str
    invitation: Invitation | None


def ask_to_join(
    store: Store,
    functions: Functions,
    *,
    organisation: str,
    siret: str,
    function: str,
    profiles: Sequence[str],
    contact: str,
    by_anyone: bool = False,
    signed: Signature | None = None,
    now: datetime,
) -> int:
    """Enter a request; its id. The same asked again, before it is received, is the same request.

    Of requests `by_anyone`, so many wait at most, and none waits long for another writer: whoever floods them keeps no
    operator from entering one. Refused for a function that may not ask for these profiles, with those that may.
    """
    refuse(
        [
            text_problem("organisation", organisation),
            siret_problem(siret),
            text_problem("contact", contact),
            profiles_problem(profiles),
            text_problem("function", function) or functions.problem(function, profiles),
        ]
    )
    entry: dict[str, Any] = {
        "organisation": organisation,
        "siret": siret,
        "function": function,
        "profiles": written(profiles),
        "contact": contact,
    }
    with store.change(wait_ms=PATIENCE_MS if by_anyone else BUSY_MS) as connection:
        take_turn(connection, join_request)
        waiting = join_request.c.state == "asked"
        again = select(join_request.c.id).where(waiting, *(join_request.c[name] == entry[name] for name in entry))
        known: int | None = connection.execute(again).scalars().first()
        if known is not None:
            return known
        if by_anyone:
            many = connection.execute(select(func.count()).select_from(join_request).where(waiting)).scalar_one()
            refuse([_FULL if many >= MOST_ASKED else None])
        entered = insert(join_request).values(state="asked", asked_at=seconds(now), **entry)
        request_id = int(connection.execute(entered.returning(join_request.c.id)).scalar_one())
        write_change(connection, signed, act="request add", subject=str(request_id), now=now)
        return request_id


def receive_request(store: Store, *, request_id: int, signed: Signature, now: datetime) -> None:
    """Note that the file was sent to the organisation and is back, complete."""
    with store.change() as connection:
        request = _held(connection, request_id, "receive", signed)
        _step(connection, request, signed, act="receive", now=now, state="received", received_by=signed.by)


def sign_request(
    store: Store,
    *,
    request_id: int,
    number: str,
    caisse: str,
    starts_on: date,
    ends_on: date,
    profiles: Sequence[str] = (),
    max_agents: int | None = None,
    signed: Signature,
    now: datetime,
) -> None:
    """Note the convention that was signed, which opens nothing before the approval. Its profiles are those that were
    asked for, or fewer of them; its number is no other's, nor that of another request that is signed and not decided.
    """
    with store.change() as connection:
        take_turn(connection, join_request)
        request = _held(connection, request_id, "sign", signed)
        opened = profiles or request.profiles
        terms: dict[str, Any] = {
            "number": number,
            "caisse": caisse,
            "starts_on": starts_on,
            "ends_on": ends_on,
            "max_agents": max_agents,
        }
        refuse(
            [
                # First: a request that is approved just now has a convention in the next question's answer.
                _promised_number(connection, number),
                *convention_problems(connection, profiles=opened, **terms),
                None if set(opened) <= set(request.profiles) else _WIDER,
            ]
        )
        detail = f"{' '.join(request.profiles)} → {written(opened)}"
        state = {"state": "signed", "signed_by": signed.by, "profiles": written(opened)}
        _step(connection, request, signed, act="sign", now=now, detail=detail, **state, **terms)


def approve_request(
    store: Store,
    *,
    request_id: int,
    administrator: str | None = None,
    hours: int,
    signed: Signature,
    now: datetime,
) -> Approved:
    """Let the organisation in: its partner, where none has its SIRET yet, and its convention; and an account called
    `administrator`, without a profile, that manages its agents, with the link for its password. All of it happens or
    nothing.
    """
    with store.change() as connection:
        request = _held(connection, request_id, "approve", signed)
        refuse(
            [
                _SAME_PERSON if signed.by in (request.received_by, request.signed_by) else None,
                None if administrator is None else identifier_problem(administrator),
            ]
        )
        # Held, as entering the account holds it after the convention: two approvals would wait for each other.
        query = select(partner.c.name, partner.c.kind).where(partner.c.siret == request.siret).with_for_update()
        name, kind = connection.execute(query).one_or_none() or (None, "external")
        # Without a profile, its first account would be of the staff.
        refuse([None if kind == "external" else _A_CAF])
        if name is None:
            name = request.organisation
            put_partner(connection, name=name, kind="external", siret=request.siret, signed=signed)
        if request.number is None or request.caisse is None or request.starts_on is None or request.ends_on is None:
            raise Misconfigured(["The request's convention is missing."])
        put_convention(
            connection,
            partner_name=name,
            number=request.number,
            caisse=request.caisse,
            starts_on=request.starts_on,
            ends_on=request.ends_on,
            profiles=request.profiles,
            max_agents=request.max_agents,
            signed=signed,
        )
        invitation = None
        if administrator is not None:
            account_id = put_account(
                connection,
                identifier=administrator,
                password_hash=NO_PASSWORD,
                partner_name=name,
                profiles=(),
                function=request.function,
                signed=signed,
                now=now,
            )
            put_delegation(connection, account_id, delegated=True)
            write_change(connection, signed, act="account delegate", subject=administrator, now=now)
            invitation = make_link(connection, account_id, hours=hours, now=now)
        _decide(connection, request, signed, act="approve", state="approved", now=now)
        return Approved(name, request.number, invitation)


def refuse_request(store: Store, *, request_id: int, signed: Signature, now: datetime) -> None:
    """Refuse the request, for good. `signed` says why."""
    with store.change() as connection:
        request = _held(connection, request_id, "refuse", signed)
        refuse(
            [
                None if signed.why else _WHY,
                _SAME_PERSON if signed.by in (request.received_by, request.signed_by) else None,
            ]
        )
        _decide(connection, request, signed, act="refuse", state="refused", now=now)


def _promised_number(connection: Connection, number: str) -> str | None:
    query = select(join_request.c.id).where(join_request.c.number == number, join_request.c.state == "signed")
    other = connection.execute(query).scalars().first() if is_text(number) else None
    if other is None:
        return None
    return conflicting(
        f"Request {other} has the convention {number!r}, which is signed already.",
        "Une autre demande a une convention signée qui porte déjà ce numéro.",
    )


def _held(connection: Connection, request_id: int, step: str, signed: Signature) -> JoinRequest:
    refuse([staff_problem(connection, signed.by)])
    return held_for(connection, request_id, step)


def _decide(
    connection: Connection, request: JoinRequest, signed: Signature, *, act: str, state: str, now: datetime
) -> None:
    decided: dict[str, Any] = {"decided_by": signed.by, "decided_at": seconds(now)}
    _step(connection, request, signed, act=act, now=now, state=state, **decided)


def _step(
    connection: Connection,
    request: JoinRequest,
    signed: Signature,
    *,
    act: str,
    now: datetime,
    detail: str = "",
    **values: Any,
) -> None:
    connection.execute(update(join_request).where(join_request.c.id == request.id).values(**values))
    write_change(connection, signed, act=f"request {act}", subject=str(request.id), detail=detail, now=now)
