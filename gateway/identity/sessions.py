"""Sessions: opened with a password, recognised by an opaque token, ended by its holder, by idleness or by time.

A token is opaque (`opaque.py`) and made afresh at each log-in. Instants are whole seconds since 1970, UTC; every `now`
must know its time zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from gateway.database.connections import Reading
from gateway.errors import SessionEnded, StoreUnavailable
from gateway.identity import passwords
from gateway.identity.facts import SESSION, Session, local_day, session_of
from gateway.identity.failures import NOBODY, count_failure, forget_failures, is_locked
from gateway.identity.opaque import digest, is_opaque, new_token
from gateway.identity.refusals import (
    ACCOUNT_CLOSED,
    ACCOUNT_LOCKED,
    ACCOUNT_SUSPENDED,
    PASSWORD_WRONG,
    UNKNOWN_IDENTIFIER,
    AgentSuspended,
    GuessNotNoted,
    LogInRefused,
    ProfileRefused,
)
from gateway.identity.reviewing import note_use
from gateway.identity.store import Store
from gateway.identity.tables import account, session
from gateway.model import Agent
from gateway.settings import Identity

CLOCK_TOLERANCE: Final = 300
"""Seconds a clock may step back, or two machines differ, before a session is no longer believed."""
PATIENCE_MS: Final = 1000
"""How long a log-in or a log-out waits for another writer of the directory, in milliseconds: it holds a thread."""
_SWEPT_AT_ONCE: Final = 100
_IDENTIFIER: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ACCOUNT: Final = select(account.c.id, account.c.password_hash).where(account.c.identifier == bindparam("identifier"))
_HELD_ACCOUNT: Final = (
    select(account.c.password_hash, account.c.profiles, account.c.suspended, account.c.closed_at)
    .where(account.c.id == bindparam("account"))
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session just opened. `token` is told to the agent now and never again."""

    token: str = field(repr=False)
    expires_at: int
    agent: Agent


def is_identifier(text: str) -> bool:
    """Whether an account could be called `text`: `[a-z0-9][a-z0-9._-]{0,63}`, capitals are other letters."""
    return _IDENTIFIER.fullmatch(text) is not None


@passwords.CHECKS.place()
def sign_in(
    store: Store,
    rules: Identity,
    *,
    identifier: str,
    password: str,
    profile: str | None = None,
    now: datetime,
) -> SignedIn:
    """Open a session for the account `identifier` under one of its profiles. Where it has as many as it may have, the
    one that was used longest ago ends.

    `profile` may be None where the account holds one profile, or none (Caf staff: the session's profile is empty).
    Raises `LogInRefused`, alike for an unknown identifier, a wrong password, a suspended, a locked and a closed
    account, the password checked each time; `ProfileRefused`, only to whoever knows the password; `Busy`, where too
    many are being signed in; `StoreUnavailable`, which is `GuessNotNoted` where the password was checked and wrong.
    """
    rows = store.ask(_ACCOUNT, identifier=identifier) if is_identifier(identifier) else []
    account_id, stored = rows[0] if rows else (NOBODY, None)
    if not passwords.password_matches(password, stored=stored) or stored is None:
        try:
            count_failure(store, account_id, now=now, wait_ms=PATIENCE_MS)
        except StoreUnavailable as error:
            raise GuessNotNoted(error.because) from None
        raise LogInRefused(PASSWORD_WRONG, identifier=identifier) if rows else LogInRefused(UNKNOWN_IDENTIFIER)
    renewed = passwords.hash_password(password) if passwords.is_outdated(stored) else None
    with store.change(wait_ms=PATIENCE_MS) as connection:
        # Only now, when it cannot change any more: a password changed since it was checked has ended every session, and
        # none may slip in behind it; and of many guesses at once, none is told anything after the one that locks.
        held, written, suspended, closed_at = connection.execute(_HELD_ACCOUNT, {"account": account_id}).one()
        if held != stored:
            raise LogInRefused(PASSWORD_WRONG, identifier=identifier)
        if closed_at is not None:
            raise LogInRefused(ACCOUNT_CLOSED, identifier=identifier)
        if is_locked(connection, account_id):
            raise LogInRefused(ACCOUNT_LOCKED, identifier=identifier)
        if suspended:
            raise LogInRefused(ACCOUNT_SUSPENDED, identifier=identifier)
        chosen = chosen_profile(profile, held=tuple(written.split()), identifier=identifier)
        forget_failures(connection, account_id)
        if renewed:
            connection.execute(update(account).where(account.c.id == account_id).values(password_hash=renewed))
        token = open_session(connection, rules, account_id=account_id, profile=chosen, assurance="password", now=now)
    agent, _ = identify(store, rules, token, now=now)
    return SignedIn(token, agent.expires_at, agent)


def open_session(
    connection: Connection, rules: Identity, *, account_id: int, profile: str, assurance: str, now: datetime
) -> str:
    """A fresh session of an account that the transaction holds, and its token. Where the account has as many as it may
    have, the one that was used longest ago ends."""
    token, opened_at = new_token(), int(now.timestamp())
    note_use(connection, account_id, today=local_day(rules, opened_at))
    connection.execute(_sweep(opened_at))
    connection.execute(_make_room(account_id, rules))
    connection.execute(
        insert(session).values(
            token_hash=digest(token),
            account_id=account_id,
            profile=profile,
            assurance=assurance,
            opened_at=opened_at,
            seen_at=opened_at,
            expires_at=opened_at + rules.session_hours * 3600,
        )
    )
    return token


def chosen_profile(asked: str | None, *, held: tuple[str, ...], identifier: str) -> str:
    """The profile of a session that is to be opened, of those that are `held`. Raises `ProfileRefused`."""
    if not asked and len(held) <= 1:
        return held[0] if held else ""
    if not asked:
        raise ProfileRefused("several profiles and none asked", identifier=identifier, profiles=held)
    if asked not in held:
        raise ProfileRefused("a profile that is not held", identifier=identifier, profiles=held)
    return asked


def identify(store: Store, rules: Identity, token: str, *, now: datetime) -> tuple[Agent, Reading]:
    """The agent whose session `token` names, with the facts of this instant, and where to ask for more of them.

    The use is noted at most every twentieth of the idle time, so a session ends after 95 to 100 % of it without use.
    Raises `SessionEnded` (`because` tells why), `AgentSuspended`, `StoreUnavailable`.
    """
    if not is_opaque(token):
        raise SessionEnded("malformed token")
    token_hash = digest(token)
    reading = store.reading()
    seconds = int(now.timestamp())
    found = reading.ask(
        SESSION,
        partial(session_of, rules=rules),
        token_hash=token_hash,
        caisse=rules.caisse,
        today=local_day(rules, seconds),
    )
    if found is None:
        raise SessionEnded("unknown token")
    because = _why_ended(found, rules, seconds)
    if because:
        raise SessionEnded(because)
    agent = found.agent
    if found.suspended:
        raise AgentSuspended(agent)
    if agent.profile not in (agent.profiles or ("",)):
        raise SessionEnded("the profile is no longer held")
    if seconds - found.seen_at >= rules.idle_minutes * 60 // 20:
        # Losing this note can only end the session sooner, so a busy store delays nobody.
        store.note(
            update(session)
            .where(session.c.token_hash == token_hash, session.c.seen_at < seconds)
            .values(seen_at=seconds)
        )
    return agent, reading


def sign_out(store: Store, token: str) -> bool:
    """End the session that `token` names; False where there is none. Raises `StoreUnavailable`."""
    if not is_opaque(token):
        return False
    with store.change(wait_ms=PATIENCE_MS) as connection:
        ended = connection.execute(delete(session).where(session.c.token_hash == digest(token)))
    return ended.rowcount > 0


def _why_ended(found: Session, rules: Identity, seconds: int) -> str:
    if seconds >= found.expires_at:
        return "expired"
    if seconds - found.seen_at >= rules.idle_minutes * 60:
        return "idle"
    if found.seen_at - seconds > CLOCK_TOLERANCE:
        # Otherwise a clock set back would give a session those hours once more.
        return "used before its last use: the clock stepped back"
    return ""


def _sweep(seconds: int) -> Any:
    expired = select(session.c.token_hash).where(session.c.expires_at <= seconds).limit(_SWEPT_AT_ONCE)
    return delete(session).where(session.c.token_hash.in_(expired))


def _make_room(account_id: int, rules: Identity) -> Any:
    """Ends the sessions of an account beyond those that leave room for one more."""
    last_used_first = (
        select(session.c.token_hash)
        .where(session.c.account_id == account_id)
        .order_by(session.c.seen_at.desc(), session.c.opened_at.desc())
    )
    beyond = last_used_first.offset(rules.sessions_at_once - 1)
    return delete(session).where(session.c.token_hash.in_(beyond))
