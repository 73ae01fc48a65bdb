"""What the yearly review looks at: accounts that nobody has confirmed or used, conventions about to end.

The CNIL asks for rights to be reviewed once a year (guide "Sécurité des données personnelles"). Days are civil days of
the configured time zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, exists, func, literal, or_, select, update

from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import caisse_problem, find_open_account, refuse
from gateway.identity.store import Store
from gateway.identity.tables import account, convention, partner
from gateway.identity.wrong import absent

CONFIRMED_FOR: Final = 365
"""Days after which an account is to be confirmed again."""
UNUSED_AFTER: Final = 90
"""Days without a log-in, or since it was entered or confirmed."""
ENDS_WITHIN: Final = 60
"""Days before the last one of a convention."""
FINDINGS: Final = ("unconfirmed", "unused", "ending")


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is an account's identifier, or a convention's number where it is `ending`. `day`: when it was confirmed
    or used last, or ends; None where that is not known.
    """

    finding: str
    subject: str
    partner: str
    day: date | None


def review(
    store: Store,
    *,
    today: date,
    caisse: str | None = None,
    finding: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Finding]:
    """What is to be looked at, or what is of one `finding` or of one Caf's partners: those `after` a finding and its
    subject, written with a blank between, so many. Closed accounts need no review, suspended ones no use.
    """
    refuse([None if caisse is None else caisse_problem(caisse)])
    last, _, subject = (after or "").partition(" ")
    if after is not None and last not in FINDINGS:
        refuse([absent(f"There is no finding {last!r}.", "Cette page n'existe pas.")])
    found: list[Finding] = []
    with store.read() as connection:
        for kind in FINDINGS[FINDINGS.index(last) if after else 0 :]:
            if finding in (None, kind):
                query, key = _asked(kind, today, caisse)
                if kind == last:
                    query = query.where(key > subject)
                room = None if limit is None else limit - len(found)
                found += [Finding(kind, *row) for row in connection.execute(query.order_by(key).limit(room))]
    return found


def confirm_account(store: Store, *, identifier: str, today: date, signed: Signature | None = None) -> None:
    """Note that the agent still needs the account as it is."""
    with store.change() as connection:
        account_id, _, unknown = find_open_account(connection, identifier)
        refuse([unknown])
        before = connection.execute(select(account.c.confirmed_on).where(account.c.id == account_id)).scalar_one()
        connection.execute(update(account).where(account.c.id == account_id).values(confirmed_on=today))
        detail = f"confirmed_on: {before or 'none'} → {today}"
        write_change(connection, signed, act="account confirm", subject=identifier, detail=detail)


def note_use(connection: Connection, account_id: int, *, today: str) -> None:
    """The account is used today: written once a day, in the transaction of a log-in."""
    day = date.fromisoformat(today)
    unknown = or_(account.c.last_used_on.is_(None), account.c.last_used_on < day)
    connection.execute(update(account).where(account.c.id == account_id, unknown).values(last_used_on=day))


def _asked(kind: str, today: date, caisse: str | None) -> tuple[Select[Any], Any]:
    of_caisse = literal(True) if caisse is None else convention.c.caisse == caisse
    if kind == "ending":
        query = select(convention.c.number, partner.c.name, convention.c.ends_on)
        query = query.join(partner, partner.c.id == convention.c.partner_id)
        soon = convention.c.ends_on.between(today, today + timedelta(days=ENDS_WITHIN))
        return query.where(soon, of_caisse), convention.c.number
    used = func.coalesce(account.c.last_used_on, account.c.confirmed_on)
    confirmed = account.c.confirmed_on
    stale = {
        "unconfirmed": or_(confirmed.is_(None), confirmed <= today - timedelta(days=CONFIRMED_FOR)),
        "unused": and_(used <= today - timedelta(days=UNUSED_AFTER), account.c.suspended.is_(False)),
    }[kind]
    day = confirmed if kind == "unconfirmed" else account.c.last_used_on
    query = select(account.c.identifier, partner.c.name, day).join(partner, partner.c.id == account.c.partner_id)
    query = query.where(stale, account.c.closed_at.is_(None))
    if caisse is not None:
        query = query.where(exists().where(convention.c.partner_id == partner.c.id, of_caisse))
    return query, account.c.identifier
