"""A database as the gateway uses it: ask, read, change, append.

`ask` is the request path: SQL compiled once, one raw connection for each thread, nothing of SQLAlchemy's execution
in between. `read` and `change` are for everything that is not done on each request.

Any failure of the database is `StoreUnavailable`, whose `because` names the kind of failure and never quotes SQL
or values. What failed is dropped and opened afresh on the next use, so that recovery needs no hands.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import CompoundSelect, Connection, Engine, Insert, Select, Update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.errors import StoreUnavailable

BUSY_MS: Final = 5000
"""How long, in milliseconds, a statement waits for another process that is writing."""
_APPEND_MS: Final = 2000
"""Shorter: requests wait behind one another for their rows."""
_PROBE_MS: Final = 1000
_NOTE_MS: Final = 20
_FILE_CHECK_SECONDS: Final = 1.0

Question = Select[Any] | CompoundSelect[Any]


class Held:
    """One thread's own connection. `file_id` is the device and inode that it reads, None for a server."""

    def __init__(self, connection: Any, file_id: tuple[int, int] | None) -> None:
        self.connection = connection
        self.file_id = file_id
        self.checked_at = time.monotonic()

    def close(self) -> None:
        with suppress(Exception):
            self.connection.close()

    __del__ = close


class Database:
    """One process's access to a database, shared by its threads. `file` is None on a server."""

    def __init__(self, engine: Engine, file: Path | None) -> None:
        self.file = file
        self._engine = engine
        self._failure: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._compiled: dict[Question, tuple[str, tuple[str, ...]]] = {}
        self._inserts: dict[Insert, str] = {}
        self._appending: Held | None = None
        self._local = threading.local()
        self._held: weakref.WeakSet[Held] = weakref.WeakSet()

    def ask(self, question: Question, **values: str | int) -> list[tuple[Any, ...]]:
        """The rows that answer `question`, as the driver gives them: text, integers, truths as 0/1 or bool.

        Every value is bound; days are given as `YYYY-MM-DD`. `question` should be a constant: it is compiled once.
        """
        sql, names = self._compiled.get(question) or self._compile(question)
        try:
            rows: list[tuple[Any, ...]] = self._connection().execute(sql, [values[name] for name in names]).fetchall()
        except (self._failure, SQLAlchemyError, OSError) as error:
            self._drop()
            raise StoreUnavailable(_kind_of(error)) from None
        return rows

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with."""
        with self._failures_refused(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def change(self, *, wait_ms: int = BUSY_MS) -> Iterator[Connection]:
        """A transaction: kept, durably, when the block ends, and undone when it raises.

        On SQLite it holds the write lock from its first line, so that what it reads stays true until it writes.
        """
        with self._failures_refused():
            if self.file is None:
                with self._engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {wait_ms}")
                    yield connection
            else:
                with self._engine.connect() as connection:
                    connection.exec_driver_sql(f"PRAGMA busy_timeout = {wait_ms}")
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    try:
                        yield connection
                    except BaseException:
                        with suppress(SQLAlchemyError):
                            connection.exec_driver_sql("ROLLBACK")
                        raise
                    connection.exec_driver_sql("COMMIT")

    def append(self, change: Insert, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        """Insert many rows of `columns` in one durable transaction, on a connection kept for this alone.

        One caller at a time. `change` should be a constant: it is compiled once.
        """
        sql = self._inserts.get(change)
        if sql is None:
            sql = self._inserts[change] = str(change.compile(dialect=self._engine.dialect, column_keys=list(columns)))
        held, self._appending = self._appending, None
        try:
            if held is None or held.file_id != self._file_id():
                held = self._hold()
                if self.file:
                    held.connection.execute(f"PRAGMA busy_timeout = {_APPEND_MS}")
            cursor = held.connection.cursor()
            cursor.execute("BEGIN IMMEDIATE" if self.file else "BEGIN")
            cursor.executemany(sql, rows)
            cursor.execute("COMMIT")
        except BaseException as error:
            # Closing undoes what was begun.
            if held is not None:
                held.close()
            if isinstance(error, (self._failure, SQLAlchemyError, OSError)):
                raise StoreUnavailable(_kind_of(error)) from None
            raise
        self._appending = held

    def note(self, change: Update) -> bool:
        """Make a change that may be lost. False, after 20 ms at most, when the store is busy or unavailable."""
        try:
            with self.change(wait_ms=_NOTE_MS) as connection:
                connection.execute(change)
        except StoreUnavailable:
            return False
        return True

    def check_writable(self) -> None:
        """Raises `StoreUnavailable` when no change could be made now. Waits for another writer one second at most."""
        with self.change(wait_ms=_PROBE_MS) as connection:
            if self.file is None:
                answer = connection.exec_driver_sql("SELECT current_setting('transaction_read_only')")
                if answer.scalar_one() != "off":
                    raise StoreUnavailable("the database is read-only")

    def close(self) -> None:
        """Close every connection. A later use opens new ones."""
        for held in list(self._held):
            held.close()
        self._local = threading.local()
        self._engine.dispose()

    def _compile(self, question: Question) -> tuple[str, tuple[str, ...]]:
        compiled = question.compile(dialect=self._engine.dialect)
        names = tuple(compiled.positiontup or ())
        self._compiled[question] = str(compiled), names
        return self._compiled[question]

    def _connection(self) -> Any:
        held: Held | None = getattr(self._local, "held", None)
        if held is not None and self.file is not None:
            moment = time.monotonic()
            if moment - held.checked_at > _FILE_CHECK_SECONDS:
                # An open SQLite connection goes on reading a file that was removed or replaced by a restored one.
                if self._file_id() != held.file_id:
                    self._drop()
                    held = None
                else:
                    held.checked_at = moment
        if held is None:
            held = self._local.held = self._hold()
        return held.connection

    def _hold(self) -> Held:
        file_id = self._file_id()
        pooled = self._engine.raw_connection()
        held = Held(pooled.driver_connection, file_id)
        pooled.detach()
        self._held.add(held)
        return held

    def _file_id(self) -> tuple[int, int] | None:
        if self.file is None:
            return None
        status = os.stat(self.file)
        return status.st_dev, status.st_ino

    def _drop(self) -> None:
        held: Held | None = getattr(self._local, "held", None)
        if held is not None:
            held.close()
            self._local.held = None

    @contextmanager
    def _failures_refused(self) -> Iterator[None]:
        try:
            yield
        except (self._failure, SQLAlchemyError) as error:
            raise StoreUnavailable(_kind_of(error)) from None


def _kind_of(error: Exception) -> str:
    """The failure in words that hold no value and no SQL."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, OSError):
        return f"the database file cannot be read ({cause.strerror})"
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return f"the database failed ({code or type(cause).__name__})"
