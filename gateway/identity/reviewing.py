"""What the yearly review looks at: accounts that nobody has confirmed or used, conventions about to end, and requests
to join that nobody has decided, which keep a person's contact for as long.

The CNIL asks for rights to be reviewed once a year (guide "Sécurité des données personnelles"). Days are civil days of
the configured time zone, those of requests of UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, Text, and_, cast, exists, func, literal, or_, select, update

from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import caisse_problem, find_open_account, refuse, seconds
from gateway.identity.store import Changing, Store
from gateway.identity.tables import account, convention, join_request, partner
from gateway.identity.wrong import absent

CONFIRMED_FOR: Final = 365
"""Days after which an account is to be confirmed again."""
UNUSED_AFTER: Final = 90
"""Days without a log-in, or since it was entered or confirmed."""
ENDS_WITHIN: Final = 60
"""Days before the last one of a convention."""
UNDECIDED_AFTER: Final = 90
"""Days since a request to join came."""
FINDINGS: Final = ("unconfirmed", "unused", "ending", "undecided")


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is an account's identifier, a convention's number where it is `ending`, the number of a request to join
    where it is `undecided`; `partner` is then the organisation that asks. `day`: when it was confirmed or used last, or
    ends, or came; None where that is not known.
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
    subject, written with a blank between, so many. Closed accounts need no review, suspended ones no use. A request is
    every Caf's until one has signed.
    """
    refuse([None if caisse is None else caisse_problem(caisse)])
    last, _, passed = (after or "").partition(" ")
    if after is not None and last not in FINDINGS:
        refuse([absent(f"There is no finding {last!r}.", "Cette page n'existe pas.")])
    found: list[Finding] = []
    with store.read() as connection:
        for kind in FINDINGS[FINDINGS.index(last) if after else 0 :]:
            if finding in (None, kind):
                query, key = _asked(kind, today, caisse)
                if kind == last:
                    query = query.where(key > passed)
                room = None if limit is None else limit - len(found)
                for subject, name, day in connection.execute(query.order_by(key).limit(room)):
                    # A request came at an instant, in seconds.
                    at = datetime.fromtimestamp(day, UTC).date() if kind == "undecided" else day
                    found.append(Finding(kind, subject, name, at))
    return found


def confirm_account(store: Changing, *, identifier: str, today: date, signed: Signature | None = None) -> None:
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
    if kind == "undecided":
        since = seconds(datetime.combine(today - timedelta(days=UNDECIDED_AFTER - 1), time(), UTC))
        due = and_(join_request.c.decided_at.is_(None), join_request.c.asked_at < since)
        query = select(cast(join_request.c.id, Text), join_request.c.organisation, join_request.c.asked_at).where(due)
        if caisse is not None:
            query = query.where(or_(join_request.c.caisse.is_(None), join_request.c.caisse == caisse))
        return query, cast(join_request.c.id, Text)
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
