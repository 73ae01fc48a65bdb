"""The record's own database: apart from the directory, appended to and never altered."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, insert

from gateway.database.connections import Database
from gateway.database.opening import open_database
from gateway.database.rights import APPENDED
from gateway.loop.waiting import Bell
from gateway.record.entry import COLUMNS

METADATA: Final = MetaData()

record: Final = Table(
    "record",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    *(Column(name, Integer if name == "status" else Text, nullable=False) for name in COLUMNS),
    sqlite_autoincrement=True,
    info=APPENDED,
)
_APPEND: Final = insert(record)


class Journal:
    """Appends rows. One process's; its threads take turns."""

    def __init__(self, database: Database, bell: Bell | None = None) -> None:
        """`bell` is that of all the processes that append to a file at once."""
        self._database = database
        self._bell = bell or Bell()
        self._turn = threading.Lock()

    def write(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Makes rows of `COLUMNS` durable in one transaction. Raises `StoreUnavailable`."""
        with self._turn:
            self._database.append(_APPEND, COLUMNS, rows, self._bell)

    def check_writable(self) -> None:
        """Raises `StoreUnavailable` when nothing could be appended now."""
        self._database.check_writable()

    def close(self) -> None:
        self._database.close()


def open_journal(url: str, *, make: bool = True, bell: Bell | None = None) -> Journal:
    """The record at `url`, made where there is none unless `make` forbids it. Whoever serves has it already: where it
    is gone then, a new one in its place would hide what is lost. Raises `Misconfigured`."""
    return Journal(open_database(url, METADATA, setting="record.url", make=make), bell)
