"""Accounts: the named agents of partners, their profiles, engagement, password and open sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, insert, not_, or_, select, update

from gateway.errors import Misconfigured
from gateway.identity.changes import Signature, write_change
from gateway.identity.entering import refused_alike
from gateway.identity.entries import (
    find_account,
    find_open_account,
    find_partner,
    instant,
    profiles_problem,
    refuse,
    seconds,
    text_problem,
    written,
)
from gateway.identity.failures import forget_failures
from gateway.identity.headcount import crowding_problem
from gateway.identity.links import void_link
from gateway.identity.opaque import public_id
from gateway.identity.passwords import NO_PASSWORD, hash_password, password_problem
from gateway.identity.proving import is_identifier
from gateway.identity.sessions import end_every_session, end_one_session
from gateway.identity.staff import is_staff
from gateway.identity.store import Changing, Guarded, Store
from gateway.identity.tables import account, activation, failure, partner, second_factor, session
from gateway.identity.wrong import absent, conflicting, unacceptable


@dataclass(frozen=True, slots=True)
class Account:
    """An agent's account. Without a profile (Caf staff) it opens no dossier. `locked_at`: too many wrong passwords;
    `closed_at`: the agent has left, and nobody is let in with it any more. `function` is what the agent does there.
    `invited_until`: the end of a link with which the agent may choose a password, not used yet. `second_factor`: since
    when it logs in with one. `delegated`: it manages the agents of its partner. `suspended_by_partner`: one of these
    suspended it, not the Caf.
    """

    identifier: str
    partner: str
    profiles: tuple[str, ...]
    engagement_version: str | None
    engagement_signed_at: datetime | None
    suspended: bool
    locked_at: datetime | None
    function: str | None
    closed_at: datetime | None
    invited_until: datetime | None
    second_factor: datetime | None
    delegated: bool
    suspended_by_partner: bool


_STAYS: Final = account.c.closed_at.is_(None)
ACCOUNT_STATES: Final = {
    "open": and_(_STAYS, not_(account.c.suspended), failure.c.locked_at.is_(None)),
    "suspended": and_(_STAYS, account.c.suspended),
    "locked": and_(_STAYS, failure.c.locked_at.is_not(None)),
    "closed": not_(_STAYS),
}
"""What an account can be, for lists; a suspended one can be locked as well."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that nobody has ended yet; idle ones stay listed until `expires_at`. `id` says which is meant, and
    opens nothing."""

    id: str
    identifier: str
    profile: str
    assurance: str
    opened_at: datetime | None
    seen_at: datetime | None
    expires_at: datetime | None


def add_account(
    store: Store,
    *,
    identifier: str,
    password: str,
    partner_name: str,
    profiles: Sequence[str] = (),
    function: str | None = None,
    signed: Signature | None = None,
    now: datetime | None = None,
) -> None:
    """Enter an account of a known partner, where its conventions have room for one more agent (`headcount`) at `now`.
    Its engagement is still to be signed.
    """
    weak = password_problem(password, names=(identifier, partner_name))
    kept = "" if weak else hash_password(password)
    with store.change() as connection:
        put_account(
            connection,
            identifier=identifier,
            password_hash=kept,
            partner_name=partner_name,
            profiles=profiles,
            function=function,
            signed=signed,
            now=now,
            besides=weak,
        )


def put_account(
    connection: Connection,
    *,
    identifier: str,
    password_hash: str,
    partner_name: str,
    profiles: Sequence[str],
    function: str | None,
    signed: Signature | None,
    now: datetime | None,
    besides: str | None = None,
) -> int:
    """The new account's id, in the caller's transaction. `besides` is a problem that is known already."""
    partner_id, unknown = find_partner(connection, partner_name)
    refuse(
        [
            identifier_problem(identifier),
            _taken(connection, identifier),
            besides,
            unknown,
            profiles_problem(profiles),
            _function_problem(function),
        ]
    )
    if partner_id is not None:
        refuse([crowding_problem(connection, partner_id, profiles, today=_day(now))])
    entered = insert(account).values(
        identifier=identifier,
        password_hash=password_hash,
        partner_id=partner_id,
        profiles=written(profiles),
        suspended=False,
        function=function,
        confirmed_on=_day(now),
    )
    with refused_alike(connection, lambda: [_taken(connection, identifier)]):
        account_id = int(connection.execute(entered.returning(account.c.id)).scalar_one())
    write_change(connection, signed, act="account add", subject=identifier, now=now)
    return account_id


def accounts(
    store: Store,
    *,
    partner_name: str | None = None,
    identifier: str | None = None,
    state: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Account]:
    """Every account, or one partner's, those in one of `ACCOUNT_STATES`, or the one called `identifier`, by identifier:
    those `after` one, so many."""
    query = (
        select(
            account.c.identifier,
            partner.c.name,
            account.c.profiles,
            account.c.engagement_version,
            account.c.engagement_signed_at,
            account.c.suspended,
            failure.c.locked_at,
            account.c.function,
            account.c.closed_at,
            activation.c.expires_at,
            second_factor.c.confirmed_at,
            account.c.delegated,
            account.c.suspended_by_partner,
        )
        .join(partner, partner.c.id == account.c.partner_id)
        .outerjoin(failure, failure.c.account_id == account.c.id)
        .outerjoin(activation, activation.c.account_id == account.c.id)
        .outerjoin(second_factor, second_factor.c.account_id == account.c.id)
        .order_by(account.c.identifier)
    )
    with store.read() as connection:
        if partner_name is not None:
            partner_id, unknown = find_partner(connection, partner_name)
            refuse([unknown])
            query = query.where(partner.c.id == partner_id)
        if identifier is not None:
            account_id, _, unknown = find_account(connection, identifier)
            refuse([unknown])
            query = query.where(account.c.id == account_id)
        if after is not None:
            query = query.where(account.c.identifier > after)
        if state is not None:
            query = query.where(ACCOUNT_STATES[state])
        return [
            Account(
                identifier=row.identifier,
                partner=row.name,
                profiles=tuple(row.profiles.split()),
                engagement_version=row.engagement_version,
                engagement_signed_at=instant(row.engagement_signed_at),
                suspended=row.suspended,
                locked_at=instant(row.locked_at),
                function=row.function,
                closed_at=instant(row.closed_at),
                invited_until=instant(row.expires_at),
                second_factor=instant(row.confirmed_at),
                delegated=row.delegated,
                suspended_by_partner=row.suspended_by_partner,
            )
            for row in connection.execute(query.limit(limit))
        ]


def suspend_account(
    store: Changing, *, identifier: str, by_partner: bool = False, signed: Signature | None = None
) -> None:
    """Refuse this account's log-ins and its open sessions, until it is resumed. Its activation link is void, for
    good. `by_partner`: its partner's administrator does it, which leaves what the Caf suspended the Caf's.
    """
    partners = or_(account.c.suspended_by_partner, not_(account.c.suspended)) if by_partner else False
    act = "account suspend"
    _change(store, identifier, signed, act=act, void=True, suspended=True, suspended_by_partner=partners)


def resume_account(
    store: Changing, *, identifier: str, by_partner: bool = False, signed: Signature | None = None
) -> None:
    """Let a suspended account in again, with the sessions it still has. Raises `Misconfigured` where `by_partner` its
    administrator would, and the Caf suspended it.
    """
    withheld = and_(account.c.suspended, not_(account.c.suspended_by_partner))
    with store.change() as connection:
        account_id, _, unknown = find_open_account(connection, identifier)
        refuse([unknown])
        this = account.c.id == account_id
        if by_partner and connection.execute(select(withheld).where(this)).scalar_one():
            raise Misconfigured([_SUSPENDED_BY_CAF])
        connection.execute(update(account).where(this).values(suspended=False, suspended_by_partner=False))
        write_change(connection, signed, act="account resume", subject=identifier)


def unlock_account(store: Changing, *, identifier: str, signed: Signature | None = None) -> None:
    """Let an account in again that too many wrong passwords have locked. Its password stays."""
    _change(store, identifier, signed, act="account unlock", unlock=True)


def set_profiles(
    store: Changing,
    *,
    identifier: str,
    profiles: Sequence[str],
    signed: Signature | None = None,
    now: datetime | None = None,
) -> bool:
    """Give the account exactly these profiles, where the partner's conventions have room for those that are new to it.
    Sessions under another one are refused from their next request on, for as long as the account does not hold it.

    True where it is of the staff now and was not: then its password, its link and its sessions are void, since somebody
    of the staff may have given it the first two, and would be two persons.
    """
    refuse([profiles_problem(profiles)])
    with store.change() as connection:
        account_id, partner_id, unknown = find_open_account(connection, identifier)
        refuse([unknown])
        before = connection.execute(select(account.c.profiles).where(account.c.id == account_id)).scalar_one()
        added = [profile for profile in profiles if profile not in before.split()]
        if partner_id is not None:
            refuse([crowding_problem(connection, partner_id, added, today=_day(now), besides=account_id)])
        after = written(profiles)
        kind = connection.execute(select(partner.c.kind).where(partner.c.id == partner_id)).scalar()
        promoted = bool(before) and kind is not None and is_staff(partner_kind=kind, profiles=profiles)
        kept = {"profiles": after, **({"password_hash": NO_PASSWORD} if promoted else {})}
        connection.execute(update(account).where(account.c.id == account_id).values(**kept))
        if promoted:
            void_link(connection, account_id)
            end_every_session(connection, account_id)
        detail = f"{before or 'none'} → {after or 'none'}{', without the password of before' if promoted else ''}"
        write_change(connection, signed, act="account profiles", subject=identifier, detail=detail, now=now)
        return promoted


def set_function(store: Changing, *, identifier: str, function: str, signed: Signature | None = None) -> None:
    """Note what the agent does at the partner's."""
    refuse([_function_problem(function)])
    _change(store, identifier, signed, act="account function", function=function)


def sign_engagement(
    store: Changing, *, identifier: str, version: str, now: datetime, signed: Signature | None = None
) -> None:
    """Note that the agent accepted this version of the personal engagement."""
    refuse([text_problem("version", version)])
    at = seconds(now)
    _change(store, identifier, signed, act="account sign", engagement_version=version, engagement_signed_at=at)


def withdraw_engagement(store: Changing, *, identifier: str, signed: Signature | None = None) -> None:
    """Note that the agent has no engagement any more."""
    _change(store, identifier, signed, act="account withdraw", engagement_version=None, engagement_signed_at=None)


def set_password(store: Store | Guarded, *, identifier: str, password: str, signed: Signature | None = None) -> int:
    """Give the account another password, unlock it and end its sessions; how many there were. Its activation link is
    void.
    """
    with store.read() as connection:
        owner = select(partner.c.name).join(account, account.c.partner_id == partner.c.id)
        found = connection.execute(owner.where(account.c.identifier == identifier)) if is_identifier(identifier) else ()
        names = (identifier, *(row.name for row in found))
    refuse([password_problem(password, names=names)])
    kept = hash_password(password)
    return _change(
        store, identifier, signed, act="account password", end=True, unlock=True, void=True, password_hash=kept
    )


def end_sessions(store: Changing, *, identifier: str, only: str | None = None, signed: Signature | None = None) -> int:
    """End every session of the account, or the one whose id is `only`; how many there were."""
    if only is None:
        return _change(store, identifier, signed, act="session end", end=True)
    with store.change() as connection:
        account_id, _, unknown = find_open_account(connection, identifier)
        refuse([unknown])
        refuse([None if end_one_session(connection, account_id, only) else _no_session(identifier)])
        write_change(connection, signed, act="session end", subject=identifier, detail=f"session {only}")
    return 1


def open_sessions(
    store: Store, *, identifier: str | None = None, now: datetime, after: int | None = None, limit: int | None = None
) -> list[OpenSession]:
    """Every session that has not expired at `now`, or one account's, the last used first: after so many, so many."""
    query = (
        select(
            session.c.token_hash,
            account.c.identifier,
            session.c.profile,
            session.c.assurance,
            session.c.opened_at,
            session.c.seen_at,
            session.c.expires_at,
        )
        .join(account, account.c.id == session.c.account_id)
        .where(session.c.expires_at > seconds(now))
        .order_by(session.c.seen_at.desc(), account.c.identifier, session.c.token_hash)
        .limit(limit)
        .offset(after)
    )
    with store.read() as connection:
        if identifier is not None:
            account_id, _, unknown = find_account(connection, identifier)
            refuse([unknown])
            query = query.where(account.c.id == account_id)
        return [
            OpenSession(
                public_id(kept), name, profile, assurance, instant(opened_at), instant(seen_at), instant(expires_at)
            )
            for kept, name, profile, assurance, opened_at, seen_at, expires_at in connection.execute(query)
        ]


def _change(
    store: Changing,
    identifier: str,
    signed: Signature | None,
    *,
    act: str,
    end: bool = False,
    unlock: bool = False,
    void: bool = False,
    **values: Any,
) -> int:
    with store.change() as connection:
        account_id, _, unknown = find_open_account(connection, identifier)
        refuse([unknown])
        detail = ""
        if values:
            detail = _replaced(connection, account_id, values)
            connection.execute(update(account).where(account.c.id == account_id).values(**values))
        if unlock and account_id is not None:
            forget_failures(connection, account_id)
        if void:
            void_link(connection, account_id)
        ended = end_every_session(connection, account_id) if end else 0
        write_change(connection, signed, act=act, subject=identifier, detail=detail)
        return ended


def _replaced(connection: Connection, account_id: int | None, values: Mapping[str, Any]) -> str:
    """What is written over and kept nowhere else: an engagement and the function, not a password."""
    told = [name for name in ("engagement_version", "engagement_signed_at", "function") if name in values]
    if not told:
        return ""
    row = connection.execute(select(*(account.c[name] for name in told)).where(account.c.id == account_id)).one()
    return ", ".join(
        f"{name}: {'none' if before is None else before} → {'none' if values[name] is None else values[name]}"
        for name, before in zip(told, row, strict=True)
    )


def identifier_problem(identifier: str) -> str | None:
    if is_identifier(identifier):
        return None
    return unacceptable(
        "The identifier must match [a-z0-9][a-z0-9._-]{0,63}.",
        "Un identifiant s'écrit en minuscules sans accent, avec des chiffres, points, tirets et soulignés : 64 signes "
        "au plus, le premier étant une lettre ou un chiffre.",
    )


def _taken(connection: Connection, identifier: str) -> str | None:
    known, _, _ = find_account(connection, identifier)
    return None if known is None else known_account(identifier)


def known_account(identifier: str) -> str:
    return conflicting(f"There is an account called {identifier!r} already.", "Un compte porte déjà cet identifiant.")


_SUSPENDED_BY_CAF: Final = conflicting(
    "The Caf suspended this account: only its staff resumes it.",
    "La Caf a suspendu ce compte : elle seule peut le rouvrir.",
)


def _no_session(identifier: str) -> str:
    return absent(
        f"{identifier} has no session of this id.", "Ce compte n'a pas de session ouverte qui porte cet identifiant."
    )


def _function_problem(function: str | None) -> str | None:
    return None if function is None else text_problem("function", function)


def _day(now: datetime | None) -> date:
    return (now or datetime.now(UTC)).date()
