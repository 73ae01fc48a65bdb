"""Activation: an agent chooses a password with a link that an administrator made, for a new account or where the
password is forgotten.

A link holds 256 random bits. It works once, until it expires, and not after another was made, the account was suspended
or closed, or an administrator gave it a password. Until then the account is as it was: a new one has no password that
anything could match, and from outside nothing tells it from others.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import String, bindparam, delete, select, update

from gateway.errors import Misconfigured, PasswordGuessable, PasswordWeak
from gateway.identity import passwords
from gateway.identity.accounts import put_account
from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import find_open_account, refuse, seconds
from gateway.identity.failures import forget_failures
from gateway.identity.links import Invitation, make_link
from gateway.identity.opaque import digest, is_opaque
from gateway.identity.passwords import NO_PASSWORD
from gateway.identity.proving import PATIENCE_MS
from gateway.identity.refusals import LINK_EXPIRED, LINK_OVERTAKEN, LINK_UNKNOWN, LinkRefused
from gateway.identity.sessions import end_every_session
from gateway.identity.store import Changing, Store
from gateway.identity.tables import account, activation, partner
from gateway.identity.wrong import conflicting

_LINK: Final = (
    select(activation.c.account_id, activation.c.expires_at, account.c.identifier, partner.c.name)
    .join(account, account.c.id == activation.c.account_id)
    .join(partner, partner.c.id == account.c.partner_id)
    .where(activation.c.token_hash == bindparam("token_hash", type_=String()))
)


def invite_new(
    store: Changing,
    *,
    identifier: str,
    partner_name: str,
    hours: int,
    now: datetime,
    profiles: Sequence[str] = (),
    function: str | None = None,
    signed: Signature | None = None,
) -> Invitation:
    """Enter an account as `add_account` does, but without a password; the link with which its agent chooses one, good
    for so many `hours`.
    """
    with store.change() as connection:
        account_id = put_account(
            connection,
            identifier=identifier,
            password_hash=NO_PASSWORD,
            partner_name=partner_name,
            profiles=profiles,
            function=function,
            signed=signed,
            now=now,
        )
        return make_link(connection, account_id, hours=hours, now=now)


def invite(
    store: Changing, *, identifier: str, hours: int, now: datetime, signed: Signature | None = None
) -> Invitation:
    """A fresh link for an account that exists; the one before is worth nothing any more. The password, if there is
    one, and the sessions stay as they are until the link is used.
    """
    with store.change() as connection:
        account_id, _, unknown = find_open_account(connection, identifier)
        refuse([unknown])
        if account_id is None or _is_shut(connection.execute(_STATE, {"account": account_id}).one()):
            raise Misconfigured([_suspended(identifier)])
        write_change(connection, signed, act="account invite", subject=identifier, now=now)
        return make_link(connection, account_id, hours=hours, now=now)


@passwords.CHECKS.place()
def activate(store: Store, *, token: str, password: str, now: datetime) -> str:
    """Give the account whose link this is its password, unlock it and end its sessions; its identifier. Nobody is
    logged in by it.

    Of two who use a link at once, one succeeds. Raises `LinkRefused`, alike for a token that is unknown, used,
    replaced, void or expired; only to whoever has a good link, which stays good, `PasswordWeak` and
    `PasswordGuessable`; `Busy`, as a log-in does; `StoreUnavailable`.
    """
    rows = store.ask(_LINK, token_hash=digest(token)) if is_opaque(token) else []
    if not rows:
        raise LinkRefused(LINK_UNKNOWN)
    account_id, expires_at, identifier, partner_name = rows[0]
    if expires_at <= seconds(now):
        raise LinkRefused(LINK_EXPIRED, identifier=identifier)
    if passwords.weakness(password):
        raise PasswordWeak("a password that may not be chosen")
    if passwords.password_problem(password, names=(identifier, partner_name)):
        raise PasswordGuessable("a password that is guessed early")
    kept = passwords.hash_password(password)
    with store.change(wait_ms=PATIENCE_MS) as connection:
        # The account first, as whoever suspends it or makes another link does: then neither waits for the other.
        shut = _is_shut(connection.execute(_STATE, {"account": account_id}).one())
        used = delete(activation).where(activation.c.account_id == account_id, activation.c.token_hash == digest(token))
        if connection.execute(used).rowcount != 1 or shut:
            raise LinkRefused(LINK_OVERTAKEN, identifier=identifier)
        connection.execute(update(account).where(account.c.id == account_id).values(password_hash=kept))
        forget_failures(connection, account_id)
        end_every_session(connection, account_id)
        write_change(connection, Signature(by=identifier), act="account activate", subject=identifier, now=now)
    return str(identifier)


def _suspended(identifier: str) -> str:
    return conflicting(
        f"The account {identifier!r} is suspended: resume it first.", "Ce compte est suspendu : rouvrez-le d'abord."
    )


_STATE: Final = (
    select(account.c.suspended, account.c.closed_at).where(account.c.id == bindparam("account")).with_for_update()
)


def _is_shut(state: tuple[bool, int | None]) -> bool:
    suspended, closed_at = state
    return suspended or closed_at is not None
