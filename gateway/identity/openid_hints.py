"""The ID token of a log-in at a provider, kept with its session and gone with it: what a provider asks for at a log-out
(`id_token_hint`), ProConnect always.

It says who the agent is to whoever reads it. So it is sealed under a key made of the session's token, which is told
once and kept nowhere: whoever reads the store, or a copy of it, opens none.
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select

from gateway.errors import StoreUnavailable
from gateway.identity.opaque import digest
from gateway.identity.store import Store
from gateway.identity.tables import id_token as kept_tokens

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

LONGEST: Final = 4096
"""Characters of an ID token that is kept: it will be part of an address. A longer one is not sent; the log-out is."""
_KEPT: Final = select(kept_tokens.c.provider, kept_tokens.c.sealed).where(
    kept_tokens.c.token_hash == bindparam("token_hash")
)


class Hint(NamedTuple):
    """The provider at which a session began, and the ID token, None where there is none to show."""

    provider: str
    id_token: str | None


def keep_hint(connection: Connection, token: str, hint: Hint) -> None:
    """Keep what a log-out of the session with this token will need, in the transaction that opens it."""
    sealed = None
    if hint.id_token is not None and len(hint.id_token) <= LONGEST:
        sealed = _seal(token, hint.provider).encrypt(hint.id_token.encode()).decode("ascii")
    connection.execute(
        insert(kept_tokens).values(token_hash=digest(token), provider=hint.provider, sealed=sealed),
    )


class KeptHint(NamedTuple):
    """A hint as the store has it: gone with the session, so read before it ends and opened when it has ended."""

    provider: str
    sealed: str | None

    def opened(self, token: str) -> str | None:
        """The ID token that was kept with the session that `token` opened; None where there was none to keep, or it was
        altered."""
        if self.sealed is None:
            return None
        from cryptography.fernet import InvalidToken  # megabytes, for those alone whose agents log in at a provider

        try:
            return _seal(token, self.provider).decrypt(self.sealed).decode()
        except (InvalidToken, ValueError):
            return None


def kept_hint(store: Store, token: str) -> KeptHint | None:
    """What was kept with the session that `token` opened; None where no provider is to be told of its end, and where
    that cannot be read now: a log-out must not fail for its provider's sake."""
    try:
        with store.read() as connection:
            found = connection.execute(_KEPT, {"token_hash": digest(token)}).one_or_none()
    except StoreUnavailable:
        return None
    return None if found is None else KeptHint(*found)


def _seal(token: str, provider: str) -> Fernet:
    from cryptography.fernet import Fernet

    key = hmac.digest(token.encode("ascii"), f"cafpro id token {provider}".encode(), "sha256")
    return Fernet(base64.urlsafe_b64encode(key))
