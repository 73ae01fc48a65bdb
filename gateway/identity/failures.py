"""Wrong passwords and codes in a row, kept with the account: the tenth locks it, until an administrator unlocks it.

CNIL 2022-100. Only accounts that exist have a row, and a locked one is not written to any more. What makes identifiers
and addresses wait, whether anybody has that name or not, is noted in the same transaction: `guesses.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from gateway.database.connections import BUSY_MS
from gateway.identity.guesses import Attempt
from gateway.identity.store import Store
from gateway.identity.tables import account, failure

LOCKED_AFTER: Final = 10
"""Failures in a row."""
NOBODY: Final = 0
"""Stands for the account of an identifier that nobody has: databases number from 1."""
_LOCK: Final = select(account.c.id).where(account.c.id == bindparam("account")).with_for_update()
_IN_A_ROW: Final = select(failure.c.in_a_row, failure.c.locked_at).where(failure.c.account_id == bindparam("account"))


def count_failure(
    store: Store, account_id: int, *, now: datetime, attempt: Attempt | None = None, wait_ms: int = BUSY_MS
) -> None:
    """Note that a wrong password was given for this account, in this attempt. For `NOBODY` the attempt alone is noted.

    Failures that several processes note at the same time are all counted. Raises `StoreUnavailable`, where another
    writer holds the store after `wait_ms` milliseconds: whoever guesses while nothing can be noted is told nothing.
    """
    with store.change(wait_ms=wait_ms) as connection:
        # In this order: on a server the count is read once nobody else is at this account any more.
        if connection.execute(_LOCK, {"account": account_id}).scalar() is not None:
            note_failure(connection, account_id, now=now, attempt=attempt)
        elif attempt is not None:
            attempt.note(connection, now=now)


def note_failure(connection: Connection, account_id: int, *, now: datetime, attempt: Attempt | None = None) -> None:
    """`count_failure` of a wrong password, or a wrong code, in a transaction that has locked the account's row."""
    known = connection.execute(_IN_A_ROW, {"account": account_id}).one_or_none()
    in_a_row = (known[0] if known else 0) + 1
    locked_at = int(now.timestamp()) if in_a_row >= LOCKED_AFTER else None
    if known is None:
        connection.execute(insert(failure).values(account_id=account_id, in_a_row=in_a_row, locked_at=locked_at))
    elif known[1] is None:
        changed = update(failure).where(failure.c.account_id == account_id)
        connection.execute(changed.values(in_a_row=in_a_row, locked_at=locked_at))
    if attempt is not None:
        attempt.note(connection, now=now)


def is_locked(connection: Connection, account_id: int) -> bool:
    """Whether the account is locked, and stays so until the transaction ends where it has locked the account's row."""
    known = connection.execute(_IN_A_ROW, {"account": account_id}).one_or_none()
    return known is not None and known[1] is not None


def forget_failures(connection: Connection, account_id: int) -> None:
    """The row of failures is over, and the lock with it."""
    connection.execute(delete(failure).where(failure.c.account_id == account_id))
