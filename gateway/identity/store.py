"""Open the directory's database: its file or server, its connections, its tables, all problems said in a sentence."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Inspector, NullPool
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from gateway.errors import Misconfigured, StoreUnavailable
from gateway.identity.database import BUSY_MS, Store
from gateway.identity.tables import METADATA

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cache_size = -512",
)
__all__ = ["Store", "open_store"]

_CREATION: Final = 0x0CAF
"""Key of the PostgreSQL advisory lock under which one process at a time creates the tables."""


def open_store(url: str) -> Store:
    """The directory's database at `url`, its tables made where there are none.

    `url` is `sqlite:///FILE` (the file is made, readable by its owner alone) or `postgresql+psycopg://…`. Open one
    in each process, after any fork. Raises `Misconfigured` when it cannot be used; a password in `url` is not shown.
    """
    try:
        parsed = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        raise Misconfigured(["store.url: is not a database URL such as sqlite:///cafpro.db."]) from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return _open_file(parsed)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return _open_server(parsed.set(drivername="postgresql+psycopg"))
    raise Misconfigured(["store.url: must begin with sqlite:/// or postgresql+psycopg://."])


def _open_file(url: sqlalchemy.URL) -> Store:
    if url.database in (None, "", ":memory:") or url.host or url.query:
        raise Misconfigured(["store.url: must name one file, such as sqlite:///cafpro.db, without options."])
    file = Path(str(url.database)).absolute()
    try:
        _make_private(file)
    except OSError as error:
        raise Misconfigured([f"store.url: {file} cannot be opened ({error.strerror})."]) from None
    # `mode=rw`: a file that disappears while the gateway runs must be an error, never a new and empty directory.
    address = f"file:{quote(str(file))}?mode=rw"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = sqlalchemy.create_engine(
        "sqlite+pysqlite://",
        creator=connect,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )
    return _ready(Store(engine, file), name=str(file))


def _open_server(url: sqlalchemy.URL) -> Store:
    try:
        engine = sqlalchemy.create_engine(
            url, paramstyle="format", pool_pre_ping=True, isolation_level="AUTOCOMMIT", hide_parameters=True
        )
    except ModuleNotFoundError:
        raise Misconfigured(["store.url: PostgreSQL needs the package psycopg, which is not installed."]) from None
    except (SQLAlchemyError, TypeError, ValueError):
        raise Misconfigured(["store.url: has an option that PostgreSQL does not know."]) from None
    return _ready(Store(engine, None), name=url.render_as_string(hide_password=True))


def _make_private(file: Path) -> None:
    """Make `file` where there is none, and close it to everyone but its owner."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(descriptor)
        if stat.S_IMODE(status.st_mode) != 0o600 and status.st_uid in (os.geteuid(), 0):
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _ready(store: Store, *, name: str) -> Store:
    try:
        if _missing_tables(store):
            with store.change() as connection:
                if store.file is None:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATION})")
                METADATA.create_all(connection)
        problems = _missing_columns(store)
    except StoreUnavailable as failure:
        store.close()
        raise Misconfigured([f"store.url: {name} cannot be used: {failure.because}."]) from None
    if problems:
        store.close()
        raise Misconfigured([f"store.url: {name} is not a Cafpro directory: {problem}" for problem in problems])
    return store


def _missing_tables(store: Store) -> bool:
    with store.read() as connection:
        return not set(METADATA.tables) <= set(_inspected(connection).get_table_names())


def _missing_columns(store: Store) -> list[str]:
    problems: list[str] = []
    with store.read() as connection:
        inspector = _inspected(connection)
        for name, table in METADATA.tables.items():
            missing = set(table.c.keys()) - {column["name"] for column in inspector.get_columns(name)}
            if missing:
                problems.append(f"table {name} lacks {', '.join(sorted(missing))}.")
    return problems


def _inspected(connection: Any) -> Inspector:
    inspector: Inspector = sqlalchemy.inspect(connection)
    return inspector
