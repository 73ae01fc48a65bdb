"""The record read: what was asked for since an instant, equal rows counted together. Reading is itself recorded.

Rows are appended in the order of their ids, and `at`, when a request came, is a text whose order is that of time. The
two orders are not the same: a machine's clock may have been days behind. So every row is looked at, from the first,
which is cheap beside counting, and needs no index that every request would have to pay for. Rows are read some
thousands at a time, each time a short transaction: on SQLite a reader holds up nobody who writes, and a short one does
not keep the write-ahead log from being emptied either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from gateway.database.connections import Database
from gateway.database.opening import open_database
from gateway.errors import StoreUnavailable
from gateway.record.entry import Entry, instant_text
from gateway.record.journal import METADATA, Journal, record

AT_ONCE: Final = 50_000
"""Rows that one statement reads: half a second of a small machine."""

_ENDS: Final = select(func.min(record.c.id), func.max(record.c.id))
_AT: Final = select(record.c.at).where(record.c.id == bindparam("id"))
_KIND: Final = (
    *(record.c.partner, record.c.rubrics, record.c.facts, record.c.route),
    *(record.c.policy, record.c.act, record.c.code, record.c.profile),
)
_KINDS: Final = (
    select(*_KIND, func.count(), func.min(record.c.at))
    .where(record.c.id.between(bindparam("first"), bindparam("last")), record.c.at >= bindparam("since"))
    .group_by(*_KIND)
)


class Kind(NamedTuple):
    """What rows have in common, each text as the record has it."""

    partner: str
    rubrics: str
    facts: str
    route: str
    policy: str
    act: str
    code: str
    profile: str


@dataclass(frozen=True, slots=True)
class Counted:
    """So many rows of a kind, the earliest of them `first`."""

    kind: Kind
    times: int
    first: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """The rows of a record since an instant. Its ids are `first` to `last`, none where `last` is less.

    `begins` is when the first row of the whole record came, None where there is none.
    """

    since: datetime
    first: int
    last: int
    begins: datetime | None

    @property
    def length(self) -> int:
        """How many ids are looked at; there may be fewer rows."""
        return max(0, self.last - self.first + 1)


class RecordReader:
    """One process's reading of a record. Its methods raise `StoreUnavailable` where it cannot be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, since: datetime, *, request_id: str, now: datetime, who: str, command: str) -> Span:
        """What there is to read since an instant, once it is durably recorded that it is read.

        `who` reads it, and by which `command`. What is appended from now on is not in the span.
        """
        entry = Entry(request_id, now, "")
        entry.act, entry.agent, entry.route, entry.status = "read", who, command, 200
        entry.because = f"the record since {instant_text(since)}"
        with self._database.read() as connection:
            span = _span(connection, since)
        Journal(self._database).write([entry.row()])
        return span

    def counted(self, span: Span, read: Callable[[int], None] = lambda _: None) -> Iterator[Counted]:
        """The rows of the span, counted by kind. A kind may come again: equal rows that stand far apart.

        `read` is told, now and then, how many more ids of the span are behind it.
        """
        since = instant_text(span.since)
        for first in range(span.first, span.last + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, span.last)
            with self._database.read() as connection:
                found = connection.execute(_KINDS, {"first": first, "last": last, "since": since}).all()
            for *kind, times, at in found:
                yield Counted(Kind(*kind), times, _instant(at))
            read(last - first + 1)

    def close(self) -> None:
        self._database.close()


def open_reader(url: str) -> RecordReader:
    """The record at `url`, which is never made to be read. Raises `Misconfigured`."""
    return RecordReader(open_database(url, METADATA, setting="record.url", make=False))


def _span(connection: Connection, since: datetime) -> Span:
    first, last = connection.execute(_ENDS).one()
    if first is None:
        return Span(since, 1, 0, None)
    begins = _instant(connection.execute(_AT, {"id": first}).scalar_one())
    return Span(since, first, last, begins)


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise StoreUnavailable("the record holds a row whose instant is none") from None
