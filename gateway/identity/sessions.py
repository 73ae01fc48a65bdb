"""Sessions: opened with a password, recognised by an opaque token, ended by its holder, by idleness or by time.

A token is opaque (`opaque.py`) and made afresh at each log-in. Instants are whole seconds since 1970, UTC; every `now`
must know its time zone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from gateway.database.connections import Reading
from gateway.errors import SessionEnded
from gateway.identity import passwords
from gateway.identity.facts import SESSION, local_day, session_of
from gateway.identity.failures import forget_failures, note_failure
from gateway.identity.guesses import Attempt
from gateway.identity.opaque import PUBLIC_DIGITS, digest, is_opaque, is_public_id, new_token
from gateway.identity.proving import PATIENCE_MS, hold, prove_password
from gateway.identity.refusals import (
    ACCOUNT_CHANGED,
    CODE_MISSING,
    CODE_WRONG,
    AgentSuspended,
    LogInRefused,
    ProfileRefused,
    SessionsFull,
)
from gateway.identity.reviewing import note_use
from gateway.identity.sealing import Seal
from gateway.identity.second_factor import factor_of, is_second_factor
from gateway.identity.store import Store
from gateway.identity.tables import account, session
from gateway.model import Agent
from gateway.settings import Identity

CLOCK_TOLERANCE: Final = 300
"""Seconds a clock may step back, or two machines differ, before a session is no longer believed."""
_SWEPT_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session just opened. `token` is told to the agent now and never again; `codes_left`, of the second factor's
    recovery codes, None where there is none."""

    token: str = field(repr=False)
    expires_at: int
    agent: Agent
    codes_left: int | None = None


@passwords.CHECKS.place()
def sign_in(
    store: Store,
    rules: Identity,
    *,
    identifier: str,
    password: str,
    profile: str | None = None,
    code: str | None = None,
    seal: Seal | None = None,
    attempt: Attempt | None = None,
    now: datetime,
) -> SignedIn:
    """Open a session for the account `identifier` under one of its profiles. Where it has as many as it may have, the
    one that was used longest ago ends, or this one is refused (`rules.sessions_full`).

    `profile` may be None where the account holds one profile, or none (Caf staff: the session's profile is empty).
    `code` is asked of an account that has a second factor, whose secret `seal` opens. Whether the password alone was
    right is never told: passwords are used elsewhere too, and whoever tries a list of stolen ones would know which of
    them are good. A missing or wrong code is a wrong password outside, and counts like one.

    Raises `TooManyAttempts` where this `attempt` comes after too many failures, and nothing was tried; `LogInRefused`,
    alike for an unknown identifier, a wrong password or code, a suspended, a locked and a closed account, the password
    checked each time; `ProfileRefused` and `SessionsFull`, only to whoever knows all that is asked; `Busy`, where too
    many are being signed in; `StoreUnavailable`, which is `GuessNotNoted` where the password was checked and wrong.
    """
    proved = prove_password(store, identifier=identifier, password=password, now=now, attempt=attempt)
    renewed = passwords.hash_password(password) if passwords.is_outdated(proved.stored) else None
    token = None
    with store.change(wait_ms=PATIENCE_MS) as connection:
        held = hold(connection, proved)
        factor = factor_of(connection, proved.account_id)
        admitted = factor is None or is_second_factor(
            connection, seal, proved.account_id, code, identifier=identifier, now=now
        )
        if admitted:
            chosen = chosen_profile(profile, held=held, identifier=identifier)
            forget_failures(connection, proved.account_id)
            token = open_session(
                connection,
                rules,
                account_id=proved.account_id,
                profile=chosen,
                assurance="password" if factor is None else "second_factor",
                now=now,
            )
            left = factor and factor_of(connection, proved.account_id)
            if attempt is not None:
                attempt.forgive(connection, now=now)
            if renewed:
                connection.execute(
                    update(account).where(account.c.id == proved.account_id).values(password_hash=renewed)
                )
        else:
            # Here and not in a transaction of its own: whoever sends many codes at once is told nothing after the
            # one that locks.
            note_failure(connection, proved.account_id, now=now, attempt=attempt)
    if not admitted:
        raise LogInRefused(CODE_WRONG if code else CODE_MISSING, identifier=identifier)
    if token is None:
        # Only now: the failures are forgotten, and the code is used up, as after every log-in that was right.
        raise SessionsFull(identifier)
    try:
        agent, _ = identify(store, rules, token, now=now)
    except (SessionEnded, AgentSuspended):
        raise LogInRefused(ACCOUNT_CHANGED, identifier=identifier) from None
    return SignedIn(token, agent.expires_at, agent, left.codes_left if left else None)


def open_session(
    connection: Connection, rules: Identity, *, account_id: int, profile: str, assurance: str, now: datetime
) -> str | None:
    """A fresh session of an account that the transaction holds, and its token. Where the account has as many as it may
    have, the one that was used longest ago ends; or there is none, if `rules` refuse who comes then."""
    token, opened_at = new_token(), int(now.timestamp())
    connection.execute(_sweep(opened_at))
    if rules.sessions_full == "end_oldest":
        connection.execute(_make_room(account_id, rules))
    elif not _has_room(connection, account_id, rules, opened_at):
        return None
    note_use(connection, account_id, today=local_day(rules, opened_at))
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
    because = why_ended(rules, seen_at=found.seen_at, expires_at=found.expires_at, seconds=seconds)
    if because:
        raise SessionEnded(because)
    agent = found.agent
    if found.suspended:
        raise AgentSuspended(agent)
    if not is_held(agent.profile, agent.profiles):
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


def end_every_session(connection: Connection, account_id: int | None) -> int:
    """End the sessions of an account, in the caller's transaction; how many there were. None is no account."""
    return connection.execute(delete(session).where(session.c.account_id == account_id)).rowcount


def end_one_session(connection: Connection, account_id: int | None, session_id: str) -> bool:
    """End the session of this account that is called so (`opaque.public_id`), in the caller's transaction; False where
    it has none."""
    if not is_public_id(session_id):
        return False
    called = func.substr(session.c.token_hash, 1, PUBLIC_DIGITS) == session_id
    return connection.execute(delete(session).where(session.c.account_id == account_id, called)).rowcount > 0


def why_ended(rules: Identity, *, seen_at: int, expires_at: int, seconds: int) -> str:
    """Why a session that was used and ends at these instants is good for nothing; empty where it is good."""
    if seconds >= expires_at:
        return "expired"
    if seconds - seen_at >= rules.idle_minutes * 60:
        return "idle"
    if seen_at - seconds > CLOCK_TOLERANCE:
        # Otherwise a clock set back would give a session those hours once more.
        return "used before its last use: the clock stepped back"
    return ""


def is_held(profile: str, profiles: tuple[str, ...]) -> bool:
    """Whether a session under `profile`, or under none, is one that an account with these may have."""
    return profile in (profiles or ("",))


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


def _has_room(connection: Connection, account_id: int, rules: Identity, seconds: int) -> bool:
    """Whether an account that the transaction holds may have one more session. Those that would be refused now keep
    nobody out: where there is no room otherwise, they go for good."""
    mine = session.c.account_id == account_id
    kept: int = connection.execute(select(func.count()).select_from(session).where(mine)).scalar_one()
    if kept < rules.sessions_at_once:
        return True
    written = connection.execute(select(account.c.profiles).where(account.c.id == account_id)).scalar_one()
    profiles = tuple(written.split())
    query = select(session.c.token_hash, session.c.profile, session.c.seen_at, session.c.expires_at).where(mine)
    gone = [
        {"gone": row["token_hash"]}
        for row in connection.execute(query).mappings()
        if why_ended(rules, seen_at=row["seen_at"], expires_at=row["expires_at"], seconds=seconds)
        or not is_held(row["profile"], profiles)
    ]
    if gone:
        connection.execute(delete(session).where(session.c.token_hash == bindparam("gone")), gone)
    return kept - len(gone) < rules.sessions_at_once
