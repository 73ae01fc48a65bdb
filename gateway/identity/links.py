"""The rows of activation links: at most one for each account, kept as the SHA-256 of its token."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert

from gateway.identity.entries import instant, seconds
from gateway.identity.opaque import digest, new_token
from gateway.identity.tables import activation

ADDRESS: Final = "/-/activation"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link just made. `token` is told to whoever asked for it now and never again."""

    token: str = field(repr=False)
    expires_at: datetime | None

    def link(self, public_url: str) -> str:
        """What the agent is sent. The token stands behind the `#`: a browser keeps that part to itself, so that it
        reaches no log, of ours or of a proxy, and no `Referer` (RFC 9110, 10.1.3).
        """
        return f"{public_url.rstrip('/')}{ADDRESS}#{self.token}"


def make_link(connection: Connection, account_id: int, *, hours: int, now: datetime) -> Invitation:
    """A fresh link for this account, which the caller's transaction holds. The one before is worth nothing any more."""
    void_link(connection, account_id)
    token = new_token()
    expires_at = seconds(now) + hours * 3600
    connection.execute(
        insert(activation).values(account_id=account_id, token_hash=digest(token), expires_at=expires_at)
    )
    return Invitation(token, instant(expires_at))


def void_link(connection: Connection, account_id: int | None) -> None:
    """The account's link, where it has one, is worth nothing any more. None is no account."""
    connection.execute(delete(activation).where(activation.c.account_id == account_id))
