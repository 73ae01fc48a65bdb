"""How long a request to join keeps the contact that it gave: a person's name, address or telephone.

It is there for the file to be sent, and goes so many days after the decision (GDPR, article 5.1.e; the CNIL: no longer
than it serves). What was asked for, and who decided what and when, stays.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select, update

from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import seconds
from gateway.identity.joining import ERASED
from gateway.identity.store import Store
from gateway.identity.tables import join_request

BY: Final = "(retention)"
"""Who erases, in the changes: nobody in person, and no account is called so."""
_DAY: Final = 86_400
_AT_ONCE: Final = 100


def erase_contacts(store: Store, *, days: int, now: datetime) -> int:
    """Erase the contacts of requests that were decided at least so many days ago; of how many. Each is a change.

    Of several machines that do it at once, each request is one's. Raises `StoreUnavailable`: what was erased until then
    is. Where there is nothing to erase, nobody who writes is kept waiting.
    """
    before = seconds(now) - days * _DAY
    due = (
        select(join_request.c.id)
        .where(join_request.c.decided_at <= before, join_request.c.contact != ERASED)
        .order_by(join_request.c.id)
        .limit(_AT_ONCE)
    )
    signed = Signature(BY, f"decided {days} days ago or earlier")
    erased = 0
    while True:
        with store.read() as connection:
            if connection.execute(due).first() is None:
                return erased
        with store.change() as connection:
            held = list(connection.execute(due.with_for_update(skip_locked=True)).scalars())
            connection.execute(update(join_request).where(join_request.c.id.in_(held)).values(contact=ERASED))
            for request_id in held:
                write_change(connection, signed, act="request erase", subject=str(request_id), now=now)
        if not held:
            return erased  # another machine is at the rest
        erased += len(held)
