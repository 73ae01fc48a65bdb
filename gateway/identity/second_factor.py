"""The second factor: codes of an authenticator application, and recovery codes for the day when it is lost.

TOTP (RFC 6238) as every application knows it: 30 seconds, six digits, SHA-1. A code is good in its time-step and the
two beside it, once: what was accepted, and whatever is older, is refused from then on by every process that shares the
store, because it is decided in the transaction that holds the account. A clock that steps back makes codes wait.

Secrets are sealed (`sealing`). Recovery codes are 80 random bits each, kept as their SHA-256: they are good without the
seal's key.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import pyotp
from sqlalchemy import Connection, delete, func, insert, select, update

from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import seconds
from gateway.identity.sealing import Seal
from gateway.identity.store import Store
from gateway.identity.tables import recovery_code, second_factor

STEP_SECONDS: Final = 30
DRIFT: Final = 1
"""Steps that an agent's clock may be early or late."""
RECOVERY_CODES: Final = 10
BEGUN_SECONDS: Final = 600
"""How long a secret that was told may wait for its first code."""
LOOKED_AT: Final = 20
"""Second factors, of which is asked whether their secrets can be opened."""
ISSUER: Final = "Cafpro"
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz023456789"
_GROUP, _GROUPS = 4, 4


@dataclass(frozen=True, slots=True)
class Begun:
    """A secret, told now and never again: in the application's letters, and as the address that a QR code holds."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Factor:
    """An account's second factor: since when, and how many recovery codes are left."""

    since: int
    codes_left: int


def factor_of(connection: Connection, account_id: int) -> Factor | None:
    """The second factor of an account, None where it has none that was confirmed."""
    query = select(second_factor.c.confirmed_at).where(second_factor.c.account_id == account_id)
    since = connection.execute(query).scalar()
    return None if since is None else Factor(since, _codes_left(connection, account_id))


def begin(connection: Connection, seal: Seal, account_id: int, *, identifier: str, now: datetime) -> Begun:
    """A new secret for an account that has no second factor, in the place of one that was never confirmed."""
    secret = pyotp.random_base32()
    connection.execute(delete(second_factor).where(second_factor.c.account_id == account_id))
    connection.execute(
        insert(second_factor).values(
            account_id=account_id,
            secret=seal.sealed(secret, account_id=account_id),
            begun_at=seconds(now),
            last_step=0,
        )
    )
    return Begun(secret, pyotp.TOTP(secret).provisioning_uri(name=identifier, issuer_name=ISSUER))


def is_begun(connection: Connection, account_id: int, *, now: datetime) -> bool:
    """Whether a secret was told lately and waits for its first code."""
    row = connection.execute(select(second_factor).where(second_factor.c.account_id == account_id)).one_or_none()
    return row is not None and row.confirmed_at is None and 0 <= seconds(now) - row.begun_at <= BEGUN_SECONDS


def confirm(connection: Connection, account_id: int, *, now: datetime) -> tuple[str, ...]:
    """The begun second factor counts from now on. Its recovery codes, told now and never again."""
    found = second_factor.c.account_id == account_id
    connection.execute(update(second_factor).where(found).values(confirmed_at=seconds(now)))
    codes = tuple(_new_code() for _ in range(RECOVERY_CODES))
    connection.execute(delete(recovery_code).where(recovery_code.c.account_id == account_id))
    connection.execute(
        insert(recovery_code), [{"account_id": account_id, "code_hash": _digest(account_id, code)} for code in codes]
    )
    return codes


def forget(connection: Connection, account_id: int | None) -> None:
    """The account has no second factor any more."""
    connection.execute(delete(second_factor).where(second_factor.c.account_id == account_id))
    connection.execute(delete(recovery_code).where(recovery_code.c.account_id == account_id))


def is_right_code(connection: Connection, seal: Seal | None, account_id: int, code: str, *, now: datetime) -> bool:
    """Whether the application shows `code` now; then it is used up. The account must be held by the transaction.

    Nothing is right where the secret cannot be opened.
    """
    row = connection.execute(select(second_factor).where(second_factor.c.account_id == account_id)).one_or_none()
    secret = seal.opened(row.secret, account_id=account_id) if row is not None and seal is not None else None
    if row is None or secret is None:
        return False
    application, given = pyotp.TOTP(secret), _plain(code).encode("utf-8", "replace")
    this = seconds(now) // STEP_SECONDS
    fitting = [
        step
        for step in range(max(0, this - DRIFT), this + DRIFT + 1)
        if hmac.compare_digest(application.at(step * STEP_SECONDS).encode(), given) and step > row.last_step
    ]
    if not fitting:
        return False
    found = second_factor.c.account_id == account_id
    connection.execute(update(second_factor).where(found).values(last_step=fitting[-1]))
    return True


def sealed_elsewhere(store: Store, seal: Seal | None) -> int:
    """Of the latest second factors, so many whose secret none of these keys opens: every code of theirs is wrong."""
    latest = select(second_factor).order_by(second_factor.c.account_id.desc()).limit(LOOKED_AT)
    with store.read() as connection:
        rows = connection.execute(latest).all()
    return sum(seal is None or seal.opened(row.secret, account_id=row.account_id) is None for row in rows)


def is_right_recovery_code(
    connection: Connection, account_id: int, code: str, *, identifier: str, now: datetime
) -> bool:
    """Whether `code` is a recovery code that nobody has used; then it is used, which is kept among the changes with the
    number of those that are left. The account must be held by the transaction.
    """
    used = connection.execute(
        update(recovery_code)
        .where(
            recovery_code.c.account_id == account_id,
            recovery_code.c.code_hash == _digest(account_id, code),
            recovery_code.c.used_at.is_(None),
        )
        .values(used_at=seconds(now))
    )
    if used.rowcount != 1:
        return False
    left = f"{_codes_left(connection, account_id)} recovery codes left"
    write_change(
        connection, Signature(identifier), act="account recovery-code", subject=identifier, detail=left, now=now
    )
    return True


def is_second_factor(
    connection: Connection, seal: Seal | None, account_id: int, code: str | None, *, identifier: str, now: datetime
) -> bool:
    """Whether `code` is one or the other; then it is used up."""
    if not code:
        return False
    return is_right_code(connection, seal, account_id, code, now=now) or is_right_recovery_code(
        connection, account_id, code, identifier=identifier, now=now
    )


def _codes_left(connection: Connection, account_id: int) -> int:
    unused = (recovery_code.c.account_id == account_id, recovery_code.c.used_at.is_(None))
    left: int = connection.execute(select(func.count()).select_from(recovery_code).where(*unused)).scalar_one()
    return left


def _new_code() -> str:
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))


def _plain(code: str) -> str:
    """A code as people type it, without what they put between its signs."""
    return "".join(code.split()).replace("-", "").lower()


def _digest(account_id: int, code: str) -> str:
    return hashlib.sha256(f"{account_id}:{_plain(code)}".encode("utf-8", "replace")).hexdigest()
