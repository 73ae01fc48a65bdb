"""What a draft would have changed, added up: in the record's database, in tables of their own.

It survives restarts and sums over processes and machines. A row is a cell in one situation, never a person, a dossier
or a time of consultation but the first and the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Table, Text, delete, insert, select, update

from gateway.database.connections import Database
from gateway.database.opening import open_database
from gateway.database.rights import PASSING

DRAFTS_KEPT: Final = 20
"""The latest; what was found of those before is forgotten."""

METADATA: Final = MetaData()

run: Final = Table(
    "shadow_run",
    METADATA,
    Column("draft", Text, primary_key=True),
    Column("against", Text, primary_key=True),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("compared", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
    info=PASSING,
)

cell: Final = Table(
    "shadow_cell",
    METADATA,
    Column("draft", Text, primary_key=True),
    Column("against", Text, primary_key=True),
    Column("profile", Text, primary_key=True),
    Column("rubric", Text, primary_key=True),
    Column("change", Text, primary_key=True),
    Column("situation", Integer, primary_key=True, autoincrement=False),
    Column("times", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    info=PASSING,
)

Key = tuple[str, str, str, int]
"""Profile, rubric, change (`gained` or `lost`), and the situation's place in `policy.situations.SITUATIONS`."""


class Found(NamedTuple):
    """Of one cell in one situation: how many decisions, the first and the last (seconds since 1970)."""

    key: Key
    times: int
    first_at: int
    last_at: int


class Run(NamedTuple):
    """One draft beside one policy in force, each by its fingerprint: from when to when, how many decisions were
    compared, on how many the draft failed, of how many nothing is known; and each cell that differed."""

    draft: str
    against: str
    first_at: int
    last_at: int
    compared: int
    failed: int
    lost: int
    cells: tuple[Found, ...]


class ShadowBook:
    """What drafts would have changed. One process's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, draft: str, against: str, *, compared: int, failed: int, lost: int, cells: Mapping[Key, int], now: int
    ) -> None:
        """Adds to what was found before, all or nothing. Raises `StoreUnavailable`."""
        named = {"draft": draft, "against": against}
        with self._database.change() as connection:
            began = _add(connection, run, named, {"compared": compared, "failed": failed, "lost": lost}, now)
            for (profile, rubric, change, situation), times in cells.items():
                key = {**named, "profile": profile, "rubric": rubric, "change": change, "situation": situation}
                _add(connection, cell, key, {"times": times}, now)
            if began:
                _forget(connection)

    def runs(self) -> list[Run]:
        """Everything that was found, the latest first. Raises `StoreUnavailable`."""
        with self._database.read() as connection:
            runs = connection.execute(select(run).order_by(run.c.last_at.desc())).mappings().all()
            cells = connection.execute(select(cell)).mappings().all()
        found: dict[tuple[str, str], list[Found]] = {}
        for row in cells:
            key = row["profile"], row["rubric"], row["change"], row["situation"]
            one = Found(key, row["times"], row["first_at"], row["last_at"])
            found.setdefault((row["draft"], row["against"]), []).append(one)
        return [Run(**row, cells=tuple(found.get((row["draft"], row["against"]), ()))) for row in runs]

    def close(self) -> None:
        self._database.close()


def open_shadow_book(url: str, *, make: bool = True) -> ShadowBook:
    """The one in the record's database at `url`, made where there is none unless `make` forbids it, as of the record
    itself (`journal.open_journal`). Raises `Misconfigured`."""
    return ShadowBook(open_database(url, METADATA, setting="record.url", make=make))


def _add(connection: Connection, table: Table, key: Mapping[str, object], sums: Mapping[str, int], now: int) -> bool:
    """Adds to a row, or makes it: then True."""
    more = {name: table.c[name] + number for name, number in sums.items()}
    same = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*same).values(**more, last_at=now)).rowcount:
        return False
    connection.execute(insert(table).values(**key, **sums, first_at=now, last_at=now))
    return True


def _forget(connection: Connection) -> None:
    latest = list(connection.scalars(select(run.c.draft).order_by(run.c.last_at.desc())))
    kept = list(dict.fromkeys(latest))[:DRAFTS_KEPT]
    for table in (run, cell):
        connection.execute(delete(table).where(table.c.draft.not_in(kept)))
