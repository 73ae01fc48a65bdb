"""Open a database: its file or server, its connections, its tables, all problems said in a sentence."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Connection, MetaData, NullPool, event, insert
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from gateway.database.connections import BUSY_MS, MOST_CHANGING, Database
from gateway.database.history import History, Standing, inspected, lacking, standing
from gateway.errors import Absent, Misconfigured, StoreUnavailable
from gateway.loop.loop import current_task

if TYPE_CHECKING:
    from gateway.database.patient import Patient

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cache_size = -512",
)
PAUSE: Final = 0.1
"""Seconds between two attempts at a server that is away. Each costs a thread, and there is one for every request."""
_DURABLY: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
"""Whatever a server's administrator has chosen for everybody: what it confirms to us is on its disk. Any choice but
`off` says so."""
_FORGETFUL: Final = (
    "runs with fsync = off: it forgets at a power cut what it has confirmed, such as the record of answers that have "
    "left. Set fsync = on there."
)
_ABSENT: Final = "is not there. Put it back, if there was one; if there was none, a start of the gateway makes it."
_EMPTY: Final = "is empty. Put back what it held, if it did; if it did not, a start of the gateway makes what it needs."
_EMPTY_SERVER: Final = (
    "is empty: a start makes what it needs, whose owner is this user then. A gateway's own user should own nothing: "
    "whoever owns the database writes `cafpro store grant USER` first."
)
_BARRED: Final = (
    "is empty, and its user is not allowed to make tables: whoever owns the database makes them, with `cafpro store "
    "grant USER`."
)
_TABLES: Final = 0x0CAF
"""Key of the PostgreSQL advisory lock under which one process at a time makes or changes tables."""


def open_database(
    url: str, tables: MetaData, *, setting: str, history: History | None = None, make: bool = True
) -> Database:
    """The database at `url`, with `tables` made where there are none, unless `make` forbids it. `setting` names the URL
    in problems.

    `url` is `sqlite:///FILE` (the file is made, readable by its owner alone) or `postgresql+psycopg://…`. Open one
    in each process, after any fork. Raises `Misconfigured` when it cannot be used; a password in `url` is not shown.

    With a `history`, a database at another of its revisions than the last is refused and left as it is. Without one,
    single tables that are missing are made, too.
    """
    database, name = connected(url, setting=setting, make=make)
    try:
        if history is not None:
            _stand_at_head(database, tables, history, make=make)
        else:
            _stand_complete(database, tables, make=make)
        with database.read() as connection:
            if database.file is None and connection.exec_driver_sql("SHOW fsync").scalar_one() == "off":
                raise _Unusable(_FORGETFUL)
            problems = lacking(inspected(connection), {each.name: each.c.keys() for each in tables.tables.values()})
        if problems:
            raise _Unusable(f"holds other tables than Cafpro's: {' '.join(problems)}")
    except StoreUnavailable as failure:
        database.close()
        raise Misconfigured([f"{setting}: {name} cannot be used: {failure.because}."]) from None
    except _Unusable as problem:
        database.close()
        raise _refusal(problem)([f"{setting}: {name} {problem}"]) from None
    return database


def connected(url: str, *, setting: str, make: bool = True) -> tuple[Database, str]:
    """The database at `url`, whatever it holds, and its name for people. A file is made unless `make` forbids it.

    Raises `Misconfigured`, of a server only where `url` cannot be meant: it has not been asked yet.
    """
    try:
        parsed = sqlalchemy.make_url(url)
        if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
            return _file(parsed, make=make), str(parsed.database)
        if parsed.drivername in ("postgresql", "postgresql+psycopg"):
            server = parsed.set(drivername="postgresql+psycopg")
            # Without its options: a password can stand there, too.
            return _server(server), server.set(query={}).render_as_string(hide_password=True)
        raise _Unusable("must begin with sqlite:/// or postgresql+psycopg://.")
    except (ArgumentError, ValueError):
        raise Misconfigured([f"{setting}: is not a database URL such as sqlite:///cafpro.db."]) from None
    except _Unusable as problem:
        raise _refusal(problem)([f"{setting}: {problem}"]) from None


def is_file(url: str) -> bool:
    """Whether the database at `url` is a file, and not on a server, which is there when it answers."""
    return url.startswith("sqlite")


def alone(database: Database, connection: Connection) -> None:
    """Wait until no other process makes or changes tables here, and keep others waiting until the transaction ends. On
    a file, `change` has seen to that.
    """
    if database.file is None:
        driver: Any = connection.connection.driver_connection
        driver.patience = None
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TABLES})")


class _Unusable(Exception):
    """The end of a sentence that begins with the setting's name."""


class _Nothing(_Unusable):
    """There is nothing, and nothing may be made."""


def _nothing_in(connection: Connection) -> _Unusable:
    """What is said of an empty database: on a server, whether a start could make what it needs."""
    if connection.dialect.name != "postgresql":
        return _Nothing(_EMPTY)
    may_make = connection.exec_driver_sql("SELECT has_schema_privilege(current_schema(), 'CREATE')").scalar_one()
    return _Nothing(_EMPTY_SERVER) if may_make else _Unusable(_BARRED)


def _refusal(problem: _Unusable) -> type[Misconfigured]:
    return Absent if isinstance(problem, _Nothing) else Misconfigured


def _file(url: sqlalchemy.URL, *, make: bool) -> Database:
    if url.database in (None, "", ":memory:") or url.host or url.query:
        raise _Unusable("must name one file, such as sqlite:///cafpro.db, without options.")
    file = Path(str(url.database)).absolute()
    try:
        _make_private(file, make=make)
    except OSError as error:
        if error.errno == errno.ENOENT and not make:
            raise _Nothing(f"{file} {_ABSENT}") from None
        raise _Unusable(f"{file} cannot be opened ({error.strerror}).") from None
    # `mode=rw`: a file that disappears while the gateway runs must be an error, never a new and empty directory.
    address = f"file:{quote(str(file))}?mode=rw"

    def connect() -> sqlite3.Connection:
        # A loop does not wait here, not even to open: what finds the file occupied is asked aside.
        patience = 0.0 if current_task() else BUSY_MS / 1000
        connection = sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None, check_same_thread=False)
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
    return Database(engine, file)


def _server(url: sqlalchemy.URL) -> Database:
    try:
        from gateway.database.patient import OPTIONS, Patient

        engine = sqlalchemy.create_engine(
            url,
            paramstyle="format",
            pool_pre_ping=True,
            pool_size=MOST_CHANGING,
            max_overflow=0,
            pool_timeout=BUSY_MS / 1000,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            connect_args={name: value for name, value in OPTIONS.items() if name not in url.query},
        )
    except ModuleNotFoundError:
        raise _Unusable("PostgreSQL needs the package psycopg, which is not installed.") from None
    except (SQLAlchemyError, TypeError, ValueError):
        raise _Unusable("has an option that PostgreSQL does not know.") from None
    event.listen(engine, "do_connect", _Knocking(Patient).connect)
    event.listen(engine, "checkin", _as_patient_as_any)
    return Database(engine, None)


def _as_patient_as_any(connection: Any, _: Any) -> None:
    if connection is not None:
        connection.patience = type(connection).patience


class _Knocking:
    """Opens the connections to a server. Where it has just failed, it fails again without asking, for `PAUSE`."""

    def __init__(self, kind: type[Patient]) -> None:
        self._kind = kind
        self._failed_at = float("-inf")

    def connect(self, dialect: Any, _: Any, arguments: Any, options: Any) -> Any:
        if time.monotonic() - self._failed_at < PAUSE:
            raise dialect.loaded_dbapi.OperationalError("the server was away a moment ago")
        try:
            connection = self._kind.connect(*arguments, **options)
            connection.execute(_DURABLY)
            connection.commit()
            return connection
        except dialect.loaded_dbapi.Error:
            self._failed_at = time.monotonic()
            raise


def _make_private(file: Path, *, make: bool) -> None:
    """Make `file` where there is none and `make` allows it, and close it to everyone but its owner."""
    descriptor = os.open(file, os.O_RDWR | (os.O_CREAT if make else 0) | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(descriptor)
        if stat.S_IMODE(status.st_mode) != 0o600 and status.st_uid in (os.geteuid(), 0):
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _stand_complete(database: Database, tables: MetaData, *, make: bool) -> None:
    """Make the tables that are missing, where `make` allows it. Raises `_Nothing` where it forbids it and none is."""
    with database.read() as connection:
        found = inspected(connection).get_table_names()
        if not make and not found:
            raise _nothing_in(connection)
    if not make or set(tables.tables) <= set(found):
        return
    with database.change() as connection:
        alone(database, connection)
        tables.create_all(connection)


def _stand_at_head(database: Database, tables: MetaData, history: History, *, make: bool) -> None:
    """Make everything at once where there is nothing and `make` allows it. Raises `_Unusable` where the database is not
    at the head."""
    with database.read() as connection:
        found = standing(connection, history)
        if found.empty and not make:
            raise _nothing_in(connection)
    if found.empty:
        with database.change() as connection:
            alone(database, connection)
            # Again: another process may have been faster.
            found = standing(connection, history)
            if found.empty:
                versions = history.versions()
                tables.create_all(connection)
                versions.create(connection, checkfirst=True)
                connection.execute(insert(versions).values(version_num=history.head))
                return
    if found.problems:
        raise _Unusable(f"holds other tables than Cafpro's: {' '.join(found.problems)}")
    if found.revision != history.head:
        _refuse(found, history)


def _refuse(found: Standing, history: History) -> NoReturn:
    if history.is_known(found.revision):
        raise _Unusable(
            f"is at revision {found.revision or 'none'} and this version of Cafpro wants {history.head}: write "
            "`cafpro store upgrade` with the same --config, which changes the tables and keeps what is in them."
        )
    raise _Unusable(
        f"is at revision {found.revision}, which a later version of Cafpro has made: this version is too old for it "
        f"(it knows {history.head})."
    )
