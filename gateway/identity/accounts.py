"""Accounts: the named agents of partners, their profiles, engagement, password and open sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from gateway.identity.entries import (
    find_account,
    find_partner,
    instant,
    profiles_problem,
    refuse,
    seconds,
    text_problem,
    written,
)
from gateway.identity.failures import forget_failures
from gateway.identity.passwords import hash_password, password_problem
from gateway.identity.sessions import is_identifier
from gateway.identity.store import Store
from gateway.identity.tables import account, failure, partner, session


@dataclass(frozen=True, slots=True)
class Account:
    """An agent's account. Without a profile (Caf staff) it opens no dossier. `locked_at`: too many wrong passwords."""

    identifier: str
    partner: str
    profiles: tuple[str, ...]
    engagement_version: str | None
    engagement_signed_at: datetime | None
    suspended: bool
    locked_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that nobody has ended yet; idle ones stay listed until `expires_at`."""

    identifier: str
    profile: str
    assurance: str
    opened_at: datetime | None
    seen_at: datetime | None
    expires_at: datetime | None


def add_account(
    store: Store, *, identifier: str, password: str, partner_name: str, profiles: Sequence[str] = ()
) -> None:
    """Enter an account of a known partner. Its engagement is still to be signed."""
    weak = password_problem(password)
    kept = "" if weak else hash_password(password)
    with store.change() as connection:
        partner_id, unknown = find_partner(connection, partner_name)
        known, _, _ = find_account(connection, identifier)
        refuse(
            [
                None if is_identifier(identifier) else "The identifier must match [a-z0-9][a-z0-9._-]{0,63}.",
                None if known is None else f"There is an account called {identifier!r} already.",
                weak,
                unknown,
                profiles_problem(profiles),
            ]
        )
        connection.execute(
            insert(account).values(
                identifier=identifier,
                password_hash=kept,
                partner_id=partner_id,
                profiles=written(profiles),
                suspended=False,
            )
        )


def accounts(store: Store, *, partner_name: str | None = None) -> list[Account]:
    """Every account, or one partner's, by identifier."""
    query = (
        select(
            account.c.identifier,
            partner.c.name,
            account.c.profiles,
            account.c.engagement_version,
            account.c.engagement_signed_at,
            account.c.suspended,
            failure.c.locked_at,
        )
        .join(partner, partner.c.id == account.c.partner_id)
        .outerjoin(failure, failure.c.account_id == account.c.id)
        .order_by(account.c.identifier)
    )
    with store.read() as connection:
        if partner_name is not None:
            partner_id, unknown = find_partner(connection, partner_name)
            refuse([unknown])
            query = query.where(partner.c.id == partner_id)
        return [
            Account(
                identifier, name, tuple(profiles.split()), version, instant(signed_at), suspended, instant(locked_at)
            )
            for identifier, name, profiles, version, signed_at, suspended, locked_at in connection.execute(query)
        ]


def suspend_account(store: Store, *, identifier: str) -> None:
    """Refuse this account's log-ins and its open sessions, until it is resumed."""
    _change(store, identifier, suspended=True)


def resume_account(store: Store, *, identifier: str) -> None:
    """Let a suspended account in again, with the sessions it still has."""
    _change(store, identifier, suspended=False)


def unlock_account(store: Store, *, identifier: str) -> None:
    """Let an account in again that too many wrong passwords have locked. Its password stays."""
    _change(store, identifier, unlock=True)


def set_profiles(store: Store, *, identifier: str, profiles: Sequence[str]) -> None:
    """Give the account exactly these profiles. Sessions under another one are refused from their next request on, for
    as long as the account does not hold it."""
    refuse([profiles_problem(profiles)])
    _change(store, identifier, profiles=written(profiles))


def sign_engagement(store: Store, *, identifier: str, version: str, now: datetime) -> None:
    """Note that the agent accepted this version of the personal engagement."""
    refuse([text_problem("version", version)])
    _change(store, identifier, engagement_version=version, engagement_signed_at=seconds(now))


def withdraw_engagement(store: Store, *, identifier: str) -> None:
    """Note that the agent has no engagement any more."""
    _change(store, identifier, engagement_version=None, engagement_signed_at=None)


def set_password(store: Store, *, identifier: str, password: str) -> int:
    """Give the account another password, unlock it and end its sessions; how many there were."""
    refuse([password_problem(password)])
    return _change(store, identifier, end=True, unlock=True, password_hash=hash_password(password))


def end_sessions(store: Store, *, identifier: str) -> int:
    """End every session of the account; how many there were."""
    return _change(store, identifier, end=True)


def open_sessions(store: Store, *, identifier: str | None = None, now: datetime) -> list[OpenSession]:
    """Every session that has not expired at `now`, or one account's, the last used first."""
    query = (
        select(
            account.c.identifier,
            session.c.profile,
            session.c.assurance,
            session.c.opened_at,
            session.c.seen_at,
            session.c.expires_at,
        )
        .join(account, account.c.id == session.c.account_id)
        .where(session.c.expires_at > seconds(now))
        .order_by(session.c.seen_at.desc(), account.c.identifier)
    )
    with store.read() as connection:
        if identifier is not None:
            account_id, _, unknown = find_account(connection, identifier)
            refuse([unknown])
            query = query.where(account.c.id == account_id)
        return [
            OpenSession(name, profile, assurance, instant(opened_at), instant(seen_at), instant(expires_at))
            for name, profile, assurance, opened_at, seen_at, expires_at in connection.execute(query)
        ]


def _change(store: Store, identifier: str, *, end: bool = False, unlock: bool = False, **values: Any) -> int:
    with store.change() as connection:
        account_id, _, unknown = find_account(connection, identifier)
        refuse([unknown])
        if values:
            connection.execute(update(account).where(account.c.id == account_id).values(**values))
        if unlock and account_id is not None:
            forget_failures(connection, account_id)
        if not end:
            return 0
        return connection.execute(delete(session).where(session.c.account_id == account_id)).rowcount
