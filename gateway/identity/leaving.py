"""An agent who leaves: the account closed, its sessions ended, its mandates released, in one act."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, update

from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import find_open_account, refuse, seconds
from gateway.identity.links import void_link
from gateway.identity.second_factor import forget
from gateway.identity.sessions import end_every_session
from gateway.identity.store import Changing
from gateway.identity.tables import account, mandate
from gateway.identity.wrong import unacceptable

_WHY: Final = unacceptable("Say why the account is closed.", "Dites pourquoi le compte est fermé.")


@dataclass(frozen=True, slots=True)
class Left:
    """How many sessions were ended, and which mandates released."""

    sessions: int
    mandates: tuple[int, ...]


def close_account(store: Changing, *, identifier: str, signed: Signature, now: datetime) -> Left:
    """Close the account for good: from the next request on, nobody is let in with it any more. It stays listed, and
    its identifier is never another's. What was entrusted to it alone is released. `signed` says why.
    """
    with store.change() as connection:
        account_id, _, unknown = find_open_account(connection, identifier)
        refuse([unknown, None if signed.why else _WHY])
        at = seconds(now)
        connection.execute(update(account).where(account.c.id == account_id).values(closed_at=at, suspended=True))
        void_link(connection, account_id)
        own = (mandate.c.account_id == account_id, mandate.c.released_at.is_(None))
        released = tuple(connection.execute(select(mandate.c.id).where(*own).order_by(mandate.c.id)).scalars())
        connection.execute(update(mandate).where(*own).values(released_at=at))
        ended = end_every_session(connection, account_id)
        forget(connection, account_id)
        detail = f"{ended} sessions ended, {len(released)} mandates released"
        write_change(connection, signed, act="account close", subject=identifier, detail=detail, now=now)
        for number in released:
            write_change(connection, signed, act="mandate release", subject=str(number), now=now)
    return Left(ended, released)
