"""The password of a log-in, and of what an agent does to their own account: checked, counted, and still true when it
is acted upon."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from gateway.errors import StoreUnavailable
from gateway.identity import passwords
from gateway.identity.failures import NOBODY, count_failure, is_locked
from gateway.identity.guesses import Attempt
from gateway.identity.refusals import (
    ACCOUNT_CLOSED,
    ACCOUNT_LOCKED,
    ACCOUNT_SUSPENDED,
    PASSWORD_WRONG,
    UNKNOWN_IDENTIFIER,
    GuessNotNoted,
    LogInRefused,
)
from gateway.identity.store import Store
from gateway.identity.tables import account

PATIENCE_MS: Final = 1000
"""How long a log-in or a log-out waits for another writer of the directory, in milliseconds: it holds a thread."""
_IDENTIFIER: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ACCOUNT: Final = select(account.c.id, account.c.password_hash).where(account.c.identifier == bindparam("identifier"))
_HELD: Final = (
    select(account.c.password_hash, account.c.profiles, account.c.suspended, account.c.closed_at)
    .where(account.c.id == bindparam("account"))
    .with_for_update()
)


class Proved(NamedTuple):
    """An account whose password somebody knows. `stored` is what it was checked against."""

    account_id: int
    identifier: str
    stored: str


def is_identifier(text: str) -> bool:
    """Whether an account could be called `text`: `[a-z0-9][a-z0-9._-]{0,63}`, capitals are other letters."""
    return _IDENTIFIER.fullmatch(text) is not None


def prove_password(
    store: Store, *, identifier: str, password: str, now: datetime, attempt: Attempt | None = None
) -> Proved:
    """The account that `password` is right for. For whoever has a place among `passwords.CHECKS`.

    Raises `TooManyAttempts` where this `attempt` comes after too many failures, and nothing was tried; `LogInRefused`,
    alike for an unknown identifier and a wrong password, which is counted; `StoreUnavailable`, which is `GuessNotNoted`
    where the password was checked and wrong.
    """
    if attempt is not None:
        attempt.admit(store, now=now)
    rows = store.ask(_ACCOUNT, identifier=identifier) if is_identifier(identifier) else []
    account_id, stored = rows[0] if rows else (NOBODY, None)
    if not passwords.password_matches(password, stored=stored) or stored is None:
        note_guess(store, account_id, now=now, attempt=attempt)
        raise LogInRefused(PASSWORD_WRONG, identifier=identifier) if rows else LogInRefused(UNKNOWN_IDENTIFIER)
    return Proved(account_id, identifier, stored)


def note_guess(store: Store, account_id: int, *, now: datetime, attempt: Attempt | None) -> None:
    """Count what was wrong. Raises `GuessNotNoted`: whoever guesses while nothing can be noted is told nothing."""
    try:
        count_failure(store, account_id, now=now, attempt=attempt, wait_ms=PATIENCE_MS)
    except StoreUnavailable as error:
        raise GuessNotNoted(error.because) from None


def hold(connection: Connection, proved: Proved) -> tuple[str, ...]:
    """The profiles of the account, which is nobody else's until the transaction ends.

    Raises `LogInRefused` where the password is not the account's any more, or the account closed, locked or suspended.
    Only here, when it cannot change any more: a password changed since it was checked has ended every session, and
    none may slip in behind it; and of many guesses at once, none is told anything after the one that locks.
    """
    held = connection.execute(_HELD, {"account": proved.account_id}).one()
    if held.password_hash != proved.stored:
        raise LogInRefused(PASSWORD_WRONG, identifier=proved.identifier)
    if held.closed_at is not None:
        raise LogInRefused(ACCOUNT_CLOSED, identifier=proved.identifier)
    if is_locked(connection, proved.account_id):
        raise LogInRefused(ACCOUNT_LOCKED, identifier=proved.identifier)
    if held.suspended:
        raise LogInRefused(ACCOUNT_SUSPENDED, identifier=proved.identifier)
    return tuple(held.profiles.split())
