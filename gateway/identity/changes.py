"""What was done to the directory: by whom, when, and why, written in the transaction that does it. Never altered."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, insert, or_, select, union_all

from gateway.identity.entries import instant, is_text, refuse, seconds, text_problem
from gateway.identity.store import Store
from gateway.identity.tables import account, change, convention, mandate, partner
from gateway.identity.wrong import unacceptable


def system_user() -> str:
    """Who is at work here, as the operating system knows them: whoever became root, where sudo says so."""
    behind = os.environ.get("SUDO_USER", "") if os.geteuid() == 0 else ""
    if behind:
        return behind
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


@dataclass(frozen=True, slots=True)
class Signature:
    """Whoever makes a change, and why, in their words."""

    by: str = field(default_factory=system_user)
    why: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was done. `act` is the command's words, `subject` whom or what it was done to, `detail` what was
    replaced by what, where nothing else keeps it.
    """

    id: int
    at: datetime | None
    by: str
    act: str
    subject: str
    detail: str
    why: str


def write_change(
    connection: Connection,
    signed: Signature | None,
    *,
    act: str,
    subject: str,
    detail: str = "",
    now: datetime | None = None,
) -> int:
    """Note an act in the transaction that does it; the change's id. Without `signed`, the operating system's user did
    it.
    """
    signed = signed or Signature()
    refuse(
        [
            text_problem("name of whoever does it", signed.by),
            text_problem("reason", signed.why) if signed.why else None,
        ]
    )
    at = seconds(now or datetime.now(UTC))
    row = {"at": at, "by": signed.by, "act": act, "subject": subject, "detail": detail, "why": signed.why}
    return int(connection.execute(insert(change).values(row).returning(change.c.id)).scalar_one())


def _imports_of(subject: str) -> Select[tuple[int]] | CompoundSelect[tuple[int]]:
    """The imports by which something of this name was entered: they tell of it under their file's."""
    named: list[Select[tuple[int]]] = [
        select(column.table.c.import_id).where(column == subject, column.table.c.import_id.is_not(None))
        for column in (partner.c.name, convention.c.number, account.c.identifier)
    ]
    if _ID.fullmatch(subject):
        named.append(select(mandate.c.import_id).where(mandate.c.id == int(subject), mandate.c.import_id.is_not(None)))
    return union_all(*named)


_ID: Final = re.compile(r"[1-9][0-9]{0,8}")
_UNPRINTABLE: Final = unacceptable(
    "What is looked for must be printable characters.", "Ce qui est cherché s'écrit avec des caractères imprimables."
)


def changes(
    store: Store,
    *,
    subject: str | None = None,
    act: str | None = None,
    acts: Collection[str] = (),
    by: str | None = None,
    since: date | None = None,
    until: date | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[Change]:
    """Every change that is all of what is given, the first first: those `after` the id of one, so many. `act` may be
    its beginning, such as `account`; `acts` are beginnings of which it has one: then an import counts for what it
    entered, and not for what its file is called. The days `since` and `until` both count, and are UTC's.
    """
    strange = [word for word in (subject, act, by) if word is not None and not is_text(word)]
    refuse([_UNPRINTABLE if strange else None])
    query = select(*change.c).order_by(change.c.id).limit(limit)
    if subject is not None:
        named = change.c.subject == subject
        if acts:
            named &= change.c.act.not_like("% import")
        query = query.where(named | change.c.id.in_(_imports_of(subject)))
    if acts:
        query = query.where(or_(*map(_is_or_begins, acts)))
    if act is not None:
        query = query.where(_is_or_begins(act))
    if by is not None:
        query = query.where(change.c.by == by)
    if since is not None:
        query = query.where(change.c.at >= _midnight(since))
    if until is not None and until < date.max:
        query = query.where(change.c.at < _midnight(until + timedelta(days=1)))
    if after is not None:
        query = query.where(change.c.id > after)
    with store.read() as connection:
        return [Change(row.id, instant(row.at), *row[2:]) for row in connection.execute(query)]


def _is_or_begins(words: str) -> ColumnElement[bool]:
    return (change.c.act == words) | change.c.act.startswith(f"{words} ", autoescape=True)


def _midnight(day: date) -> int:
    return seconds(datetime.combine(day, time(), UTC))
