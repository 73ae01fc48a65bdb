"""Log-ins that failed, and what counts as one, kept in the store: what makes an identifier and an address wait after a
restart too, and on every machine that shares the store. `limits` says the same sooner, of one machine since its start.

Nobody is named: an identifier as it was typed, which may be a password, and an address are a keyed hash, under a key
that is not in the store. A row has its place by that hash, in a table of `PLACES` for each kind, so that no flood makes
it grow; whoever comes to a place where somebody waits is not noted here, and where nobody has to, takes it. So nobody
waits for what somebody else did, and whoever would have a row forgotten must fill the table with failures of others.
An hour after its last failure a row means nothing, and goes; nor does one of days to come, which a clock has left that
stepped back since. Instants are milliseconds since 1970, UTC.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from importlib import import_module
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, and_, bindparam, case, delete, not_, or_, select, update

from gateway.errors import TooManyAttempts
from gateway.identity.store import Store
from gateway.identity.tables import guess
from gateway.limits.delays import FORGOTTEN_SECONDS, FREE, LONGEST_SECONDS, delay_seconds
from gateway.limits.limits import line_of

PLACES: Final = 1 << 16
"""For identifiers, for identifiers at an address, and for addresses, each."""
_FORGOTTEN_MS: Final = 1000 * FORGOTTEN_SECONDS
_TO_COME_MS: Final = 300_000
"""How much two machines may differ, or a clock step back, before what was noted is not believed."""
_SWEPT_AT_ONCE: Final = 100
_ASKED: Final = select(guess.c.place, guess.c.tag, guess.c.failures, guess.c.at).where(
    or_(guess.c.place == bindparam("identifier"), guess.c.place == bindparam("address"))
)


class Row(NamedTuple):
    """Where somebody's row is, and what tells it from another's in the same place."""

    place: int
    tag: int


class Guesses:
    """How failed log-ins are kept: under this key, `burst` from one address at once and `per_minute` more."""

    def __init__(self, key: bytes, *, per_minute: int, burst: int) -> None:
        self._key = hmac.new(key, b"cafpro failed log-ins", hashlib.sha256).digest()
        self._apart = -(-60_000 // per_minute)
        self._patience = burst * self._apart

    def attempt(self, *, identifier: str | None, address: str) -> Attempt:
        """A log-in with this identifier, as it was typed, from this address; None for what counts as one and names no
        identifier."""
        line = line_of(address)
        return Attempt(
            None if identifier is None else self._row(0, identifier),
            None if identifier is None else self._row(1, f"{line} {identifier}"),
            self._row(2, line),
            self._apart,
            self._patience,
        )

    def _row(self, kind: int, text: str) -> Row:
        found = hmac.new(self._key, b"%d " % kind + text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        place = kind * PLACES + int.from_bytes(found[:4], "big") % PLACES
        return Row(place, int.from_bytes(found[4:12], "big") >> 1)


class Attempt(NamedTuple):
    """One log-in, or what counts as one. Its identifier, if it has one, fails in a row, from anywhere and from this
    address; the address has a bucket of failures, of which `at` says when it is full again."""

    identifier: Row | None
    together: Row | None
    address: Row
    apart: int
    patience: int

    def admit(self, store: Store, *, now: datetime) -> None:
        """Raises `TooManyAttempts` where too many have failed, `StoreUnavailable`. Nothing is written."""
        moment = _milliseconds(now)
        named = self.identifier or self.address
        rows = store.ask(_ASKED, identifier=named.place, address=self.address.place)
        for_identifier = for_address = 0
        for place, tag, failures, at in rows:
            if (place, tag) == self.identifier and moment - _FORGOTTEN_MS < at <= moment + _TO_COME_MS:
                delay = 1000 * delay_seconds(failures)
                for_identifier = min(delay, at + delay - moment)
            elif (place, tag) == self.address and at <= self._fullest(moment):
                for_address = min(1000 * LONGEST_SECONDS, at + self.apart - moment - self.patience)
        longest = max(for_identifier, for_address)
        if longest > 0:
            whose = "from this address" if for_address >= for_identifier else "for this identifier"
            raise TooManyAttempts(f"too many failures {whose}, kept in the store", seconds=-(-longest // 1000))

    def note(self, connection: Connection, *, now: datetime) -> None:
        """It failed. In the order of their places, so that two transactions never wait for each other."""
        moment = _milliseconds(now)
        # Its own alone: with the other come megabytes.
        insert = import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert
        for row in filter(None, (self.identifier, self.together)):
            new = insert(guess).values(place=row.place, tag=row.tag, failures=1, at=moment)
            lately = guess.c.at.between(moment - _FORGOTTEN_MS + 1, moment + _TO_COME_MS)
            again = and_(guess.c.tag == row.tag, lately)
            connection.execute(
                new.on_conflict_do_update(
                    index_elements=[guess.c.place],
                    set_={
                        "tag": row.tag,
                        "failures": case((again, guess.c.failures + 1), else_=1),
                        "at": moment,
                    },
                    where=or_(guess.c.tag == row.tag, guess.c.failures <= FREE, not_(lately)),
                )
            )
        row, full = self.address, moment + self.apart
        new = insert(guess).values(place=row.place, tag=row.tag, failures=0, at=full)
        owed = guess.c.at.between(moment + 1, self._fullest(moment))
        again = and_(guess.c.tag == row.tag, owed)
        connection.execute(
            new.on_conflict_do_update(
                index_elements=[guess.c.place],
                set_={
                    "tag": row.tag,
                    "at": case((again, guess.c.at + self.apart), else_=full),
                },
                where=or_(guess.c.tag == row.tag, guess.c.at <= moment + self.patience // 2, not_(owed)),
            )
        )
        connection.execute(_sweep(moment))

    def _fullest(self, moment: int) -> int:
        """The latest instant at which an address's bucket can be full again, where clocks agree: as many log-ins as are
        checked at once may fail beyond its patience."""
        return moment + self.patience + 64 * self.apart + _TO_COME_MS

    def forgive(self, connection: Connection, *, now: datetime) -> None:
        """It succeeded: this identifier's failures from this address are forgotten, and no others."""
        if self.identifier is None or self.together is None:
            return
        found = connection.execute(select(guess.c.failures, guess.c.at).where(*_is(self.together))).one_or_none()
        if found is None:
            return
        if _milliseconds(now) - found.at < _FORGOTTEN_MS:
            left = case((guess.c.failures > found.failures, guess.c.failures - found.failures), else_=0)
            connection.execute(update(guess).where(*_is(self.identifier)).values(failures=left))
        connection.execute(delete(guess).where(*_is(self.together)))


def _is(row: Row) -> tuple[Any, Any]:
    return guess.c.place == row.place, guess.c.tag == row.tag


def _sweep(moment: int) -> Any:
    over = select(guess.c.place).where(guess.c.at <= moment - _FORGOTTEN_MS).limit(_SWEPT_AT_ONCE)
    return delete(guess).where(guess.c.place.in_(over.with_for_update(skip_locked=True)))


def _milliseconds(now: datetime) -> int:
    return int(now.timestamp() * 1000)
