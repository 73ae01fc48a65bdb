"""A database as the gateway uses it: ask, read, change, append.

`reading` and `append` are the request path: SQL compiled once, raw connections that stay open, nothing of SQLAlchemy's
execution in between. In the task of a loop a file is read and written on the spot, unless another process occupies it,
and a server is asked aside. `read` and `change` are for everything that is not done on each request.

What was read is remembered until anything in the file changes, which SQLite tells for a hundredth of the price of
asking again; of a server, for one second.

Any failure of the database is `StoreUnavailable`, whose `because` names the kind of failure and never quotes SQL
or values. What failed is dropped and opened afresh on the next use, so that recovery needs no hands.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import CompoundSelect, Connection, Engine, Insert, Select, Update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.database.held import Held
from gateway.errors import StoreUnavailable
from gateway.loop.loop import current_task
from gateway.loop.waiting import Aside, Bell

BUSY_MS: Final = 5000
"""How long, in milliseconds, a statement waits for another process that is writing."""
_APPEND_SECONDS: Final = 2.0
"""How long a row waits for the rows of other processes. Shorter: requests wait behind one another."""
_RETRY_SECONDS: Final = 0.001
_ANSWER_SECONDS: Final = 8.0
"""How long a server may take over a question or a row that a request waits for: then it has fallen silent."""
_PROBE_MS: Final = round(_APPEND_SECONDS * 1000)
_NOTE_MS: Final = 20
_NOT_ALLOWED: Final = "42501"
"""PostgreSQL's `insufficient_privilege`."""
_VERSION: Final = "PRAGMA data_version"
"""Another number as soon as another connection, of any process, has changed the file."""
_FILE_CHECK_SECONDS: Final = 1.0
COPIED_AFTER: Final = 2000
"""Rows that a process appends to a file, after which what SQLite's log holds is copied into it, aside: about 400 pages,
for 6 to 12 ms, however often a page was written anew for one row more."""
LONGEST_LOG: Final = 8000
"""Pages of the log, after which whoever appends copies those that are left. Only between two transactions can the log
begin anew, and where nobody pauses, what is copied aside has been added to meanwhile: then it is 32 MB long."""
MOST_ASKING: Final = 12
"""Connections to a server that a process asks by, beside those for changes and the one that appends; and threads, for
what the tasks of a loop ask that blocks. A server has places for so many (PostgreSQL: 100), and every process comes."""
MOST_CHANGING: Final = 5
"""Connections to a server for changes, and for what is looked at before the first request."""
REMEMBERED: Final = 4096
"""Answers that a process remembers of a database, the latest of them."""
REMEMBERED_SECONDS: Final = 1.0
"""How long an answer of a server is believed: a change made elsewhere acts within this time."""

T = TypeVar("T")
Question = Select[Any] | CompoundSelect[Any]


class _Own:
    """What a loop, which is its thread's, has of a database: its connection, and what it remembers.

    What is remembered is replaced when it is out of date, never emptied: what a slow server answered to an earlier
    reading is forgotten with it. Every connection counts changes for itself, so the version names it too.
    """

    def __init__(self) -> None:
        self.held: Held | None = None
        self.remembered: dict[Any, Any] = {}
        self.version: tuple[Any, Held | None] | None = None
        self.believed_until = 0.0
        self.turn: tuple[object, int] | None = None


class _Occupied(Exception):
    """Another process is writing, and whoever asks should not wait here."""


class Reading:
    """Answers of a database, shaped by whoever asks, and remembered in that shape where there is a memory."""

    __slots__ = ("_database", "_memory")

    def __init__(self, database: Database, memory: dict[Any, Any] | None = None) -> None:
        self._database = database
        self._memory = memory

    def ask(self, question: Question, shape: Callable[[list[tuple[Any, ...]]], T], **values: str | int) -> T:
        """What `shape` makes of the rows: see `Database.ask`. `shape` depends on nothing but the rows, which is why it
        must be the same for the same question.
        """
        memory = self._memory
        if memory is None:
            return shape(self._database.ask(question, **values))
        key = (question, *values.values())
        try:
            found: T = memory[key]
        except KeyError:
            found = shape(self._database.ask(question, **values))
            if len(memory) >= REMEMBERED:
                del memory[next(iter(memory))]  # the oldest: a dict keeps its order
            memory[key] = found
        return found


class Database:
    """One process's access to a database, shared by its threads. `file` is None on a server."""

    def __init__(self, engine: Engine, file: Path | None) -> None:
        self.file = file
        self._engine = engine
        self._failure: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._compiled: dict[Question, tuple[str, tuple[str, ...]]] = {}
        self._inserts: dict[Insert, str] = {}
        self._appending: Held | None = None
        self._uncopied = 0
        """Rows that were appended since the log was last copied."""
        self._copies = False
        self._local = threading.local()
        self._idle: list[Held] = []
        """Connections of the threads, which take the one used last and give it back: as many as ever asked at once, and
        not one for each thread with a cache of its own. A list gives and takes its last one whole, in any thread."""
        self._aside = Aside(MOST_ASKING, "database")
        self._places = threading.BoundedSemaphore(MOST_ASKING)
        self._hung_up_at = 0.0
        """When a server was last found to have ended a connection: those opened before are not tried any more."""

    def reading(self) -> Reading:
        """What the database says from now on. Made for one request, and asked without waiting between.

        A file is looked at once for all the requests that were ready together: each of them had begun before, so no
        change that was over when it was sent is missed. Raises `StoreUnavailable`.
        """
        task = current_task()
        if task is None:
            return Reading(self)
        mine = self._own
        if mine.turn != (task.loop, task.loop.turns):
            if self.file is None:
                moment = time.monotonic()
                if moment >= mine.believed_until:
                    mine.remembered, mine.believed_until = {}, moment + REMEMBERED_SECONDS
            else:
                try:
                    # Before anything is asked: what changes meanwhile is seen at the next reading.
                    version = self._ask(_VERSION, ()), mine.held
                except _Occupied:
                    return Reading(self)
                if version != mine.version:
                    mine.remembered, mine.version = {}, version
            mine.turn = task.loop, task.loop.turns
        return Reading(self, mine.remembered)

    def ask(self, question: Question, **values: str | int) -> list[tuple[Any, ...]]:
        """The rows that answer `question`, as the driver gives them: text, integers, truths as 0/1 or bool.

        Every value is bound; days are given as `YYYY-MM-DD`. `question` should be a constant: it is compiled once.
        Raises `StoreUnavailable`.
        """
        sql, names = self._compiled.get(question) or self._compile(question)
        asked = partial(self._ask, sql, [values[name] for name in names])
        if self.file is None:
            return self._aside.do(asked)
        try:
            return asked()
        except _Occupied:
            return self._aside.do(asked)

    def _ask(self, sql: str, values: Sequence[str | int]) -> list[tuple[Any, ...]]:
        if self.file is not None:
            return self._asked(sql, values)
        if not self._places.acquire(timeout=BUSY_MS / 1000):
            raise StoreUnavailable("all connections to the server are in use")
        try:
            return self._asked(sql, values)
        finally:
            self._places.release()

    def _asked(self, sql: str, values: Sequence[str | int]) -> list[tuple[Any, ...]]:
        held: Held | None = None
        idle = self._idle
        try:
            held = self._taken()
            rows: list[tuple[Any, ...]] = held.connection.execute(sql, values).fetchall()
        except (self._failure, SQLAlchemyError, OSError) as error:
            if _is_occupied(error) and current_task():
                raise _Occupied from None
            self._notice_end(held)
            self._drop(held)
            raise StoreUnavailable(_kind_of(error)) from None
        if held is not self._own.held:
            idle.append(held)
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
                    _begin(connection, wait_ms)
                    try:
                        yield connection
                    except BaseException:
                        with suppress(SQLAlchemyError):
                            connection.exec_driver_sql("ROLLBACK")
                        raise
                    connection.exec_driver_sql("COMMIT")

    def append(self, change: Insert, columns: Sequence[str], rows: Sequence[tuple[object, ...]], bell: Bell) -> None:
        """Insert many rows of `columns` in one durable transaction, on a connection kept for this alone.

        One caller at a time. `change` should be a constant: it is compiled once. Where another process occupies a file,
        it is tried again at each ring of `bell`, which is rung afterwards, and without one, often: not everybody who
        writes has a bell. Raises `StoreUnavailable`.
        """
        sql = self._inserts.get(change) or self._compile_insert(change, columns)
        if self.file is None:
            self._aside.do(partial(self._append, sql, rows))
            return
        until = time.monotonic() + _APPEND_SECONDS
        while True:
            try:
                self._append(sql, rows)
                break
            except _Occupied:
                if time.monotonic() >= until:
                    raise StoreUnavailable("another process has been writing for too long") from None
                bell.wait(_RETRY_SECONDS)
        bell.ring()
        self._uncopied += len(rows)
        task = current_task()
        if self._uncopied >= COPIED_AFTER and task is not None and not self._copies:
            self._uncopied, self._copies = 0, True
            task.loop.soon(partial(task.loop.start, self._copy))

    def _copy(self) -> None:
        """A task: has the log copied into the file. Where that fails, the next one tries, and at last who appends."""
        try:
            with suppress(StoreUnavailable, RuntimeError):
                self._aside.do(partial(self._asked, "PRAGMA wal_checkpoint(PASSIVE)", ()))
        finally:
            self._copies = False

    def _append(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        held, self._appending = self._appending, None
        try:
            if held is None or self._is_stale(held):
                held = self._hold()
                if self.file:
                    # SQLite's own patience sleeps longer and longer, and in a loop would make everyone wait.
                    held.connection.execute("PRAGMA busy_timeout = 0")
                    held.connection.execute(f"PRAGMA wal_autocheckpoint = {LONGEST_LOG}")
            cursor = held.connection.cursor()
            if self.file:
                cursor.execute("BEGIN IMMEDIATE")
                cursor.executemany(sql, rows)
                cursor.execute("COMMIT")
            else:
                # One transaction, which the server confirms when it is durable.
                with cursor.copy(sql) as copy:
                    for row in rows:
                        copy.write_row(row)
        except BaseException as error:
            if self.file and _is_occupied(error) and not (held is not None and held.connection.in_transaction):
                self._appending = held
                raise _Occupied from None
            # Closing undoes what was begun.
            self._notice_end(held)
            if held is not None:
                held.close()
            if isinstance(error, (self._failure, SQLAlchemyError, OSError)):
                raise StoreUnavailable(_kind_of(error)) from None
            raise
        self._appending = held

    def note(self, change: Update) -> bool:
        """Make a change that may be lost. False, after 20 ms at most, when the store is busy or unavailable."""
        return self._aside.do(partial(self._note, change))

    def _note(self, change: Update) -> bool:
        try:
            with self.change(wait_ms=_NOTE_MS) as connection:
                connection.execute(change)
        except StoreUnavailable:
            return False
        return True

    def check_writable(self) -> None:
        """Raises `StoreUnavailable` when no change could be made now. Waits for other writers as long as a row does."""
        with self.change(wait_ms=_PROBE_MS) as connection:
            if self.file is None:
                answer = connection.exec_driver_sql("SELECT current_setting('transaction_read_only')")
                if answer.scalar_one() != "off":
                    raise StoreUnavailable("the database is read-only")

    def close(self) -> None:
        """Close every connection, and one that another thread is asking by once it is answered. A later use opens new
        ones.

        They are let go of, and whoever is the last to have one closes it: to close what another thread is asking by
        ends the process, since Python's sqlite3 takes away what that thread reads next.
        """
        self._local = threading.local()
        self._idle = []
        self._appending = None
        self._engine.dispose()

    @property
    def _own(self) -> _Own:
        """This thread's."""
        try:
            own: _Own = self._local.own
        except AttributeError:
            own = self._local.own = _Own()
        return own

    def _compile(self, question: Question) -> tuple[str, tuple[str, ...]]:
        compiled = question.compile(dialect=self._engine.dialect)
        names = tuple(compiled.positiontup or ())
        self._compiled[question] = str(compiled), names
        return self._compiled[question]

    def _compile_insert(self, change: Insert, columns: Sequence[str]) -> str:
        """On a server it is its `COPY`, which takes a fifth of the processor for 64 rows that their `INSERT`s take."""
        dialect = self._engine.dialect
        if self.file is None:
            names = ", ".join(map(dialect.identifier_preparer.quote, columns))
            sql = f"COPY {dialect.identifier_preparer.quote(change.table.name)} ({names}) FROM STDIN"
        else:
            sql = str(change.compile(dialect=dialect, column_keys=list(columns)))
        self._inserts[change] = sql
        return sql

    def _taken(self) -> Held:
        """A connection to ask: a loop's own, or for a thread one that nobody uses until it is given back."""
        mine = self._own if current_task() else None
        held = mine.held if mine else self._resting()
        if held is not None:
            moment = time.monotonic()
            if self.file is None or moment - held.checked_at > _FILE_CHECK_SECONDS:
                if self._is_stale(held):
                    self._drop(held)
                    held = None
                elif self.file is not None:
                    held.checked_at = moment
        if held is None:
            held = self._hold()
            if mine:
                mine.held = held
        return held

    def _resting(self) -> Held | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _hold(self) -> Held:
        file_id = self._file_id()
        pooled = self._engine.raw_connection()
        held = Held(pooled.driver_connection, file_id)
        pooled.detach()
        if self.file is None:
            held.connection.patience = _ANSWER_SECONDS
        return held

    def _is_stale(self, held: Held) -> bool:
        if self.file is None:
            return held.checked_at <= self._hung_up_at or held.is_ended()
        # An open SQLite connection goes on reading a file that was removed or replaced by a restored one.
        return held.file_id != self._file_id()

    def _notice_end(self, held: Held | None) -> None:
        # A server that was started again has hung up on every connection: one of them finds out for all.
        if self.file is None and held is not None and held.connection.closed:
            self._hung_up_at = time.monotonic()

    def _file_id(self) -> tuple[int, int] | None:
        if self.file is None:
            return None
        status = os.stat(self.file)
        return status.st_dev, status.st_ino

    def _drop(self, held: Held | None) -> None:
        if held is not None:
            held.close()
        if held is self._own.held:
            self._own.held = None

    @contextmanager
    def _failures_refused(self) -> Iterator[None]:
        try:
            yield
        except (self._failure, SQLAlchemyError) as error:
            raise StoreUnavailable(_kind_of(error)) from None


def _begin(connection: Connection, wait_ms: int) -> None:
    """Take the write lock of a file. SQLite's own patience sleeps longer and longer, and beside somebody who writes all
    the time it looked at seventeen instants of a second, and one second in seven found none of them free."""
    until = time.monotonic() + wait_ms / 1000
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            break
        except DBAPIError as error:
            if not _is_occupied(error.orig) or time.monotonic() >= until:
                raise
        time.sleep(_RETRY_SECONDS)
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_MS}")


def _is_occupied(error: BaseException | None) -> bool:
    # One of its kinds is SQLITE_BUSY_RECOVERY: another process reads the log that a third left when it was ended.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _kind_of(error: Exception) -> str:
    """The failure in words that hold no value and no SQL."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, OSError):
        return f"the database file cannot be read ({cause.strerror})"
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    if code == _NOT_ALLOWED:
        return f"its user is not allowed to do that ({code}), whoever owns it is: see `cafpro store grant --help`"
    return f"the database failed ({code or type(cause).__name__})"
