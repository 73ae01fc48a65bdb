"""Many entries at once, from a file: all of them, in one transaction, or none.

The file is read once and checked whole before anything is written, with the directory open to everyone meanwhile: its
rows wait aside (`imports_staging.py`). Then the places that others may have taken meanwhile are counted again, and the
rows are written. On SQLite, which has one writer at a time, log-ins and changes wait for that part, and give up after
some seconds.

An import is one change, whose id each of its rows keeps: so who entered it, when and why can be told of every one.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import BinaryIO, Final

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from gateway.database.opening import alone
from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import refuse, text_problem
from gateway.identity.imports_file import CsvFile, Unreadable
from gateway.identity.imports_kinds import KINDS
from gateway.identity.imports_rows import Kind, Row
from gateway.identity.imports_staging import Staging
from gateway.identity.store import Store
from gateway.identity.tables import change
from gateway.identity.wrong import conflicting, unacceptable

_AT_ONCE: Final = 2_000
"""Rows that are checked together."""
OVERTAKEN: Final = conflicting(
    "Somebody has imported a file meanwhile, or entered one of these: nothing is entered. Import it again.",
    "Un autre import a eu lieu entre-temps, ou l'une de ces entrées a été faite : rien n'est entré. Recommencez.",
)
Say = Callable[[int, str], None]
"""Told each problem, with the line that it is on, in their order."""
Tell = Callable[[str, int, int | None], None]
"""Told now and then which part it is, `Checking` (bytes) or `Writing` (rows), and how much is done of how much, None
where nobody knows: of a pipe."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file: how many rows it has, how many problems, and the change by which its rows were entered, None
    where they were not.
    """

    rows: int
    problems: int
    change_id: int | None


def import_file(
    store: Store,
    noun: str,
    file: BinaryIO,
    *,
    name: str,
    say: Say,
    tell: Tell = lambda *_: None,
    only_check: bool = False,
    staff_too: bool = True,
    signed: Signature | None = None,
    now: datetime | None = None,
) -> Imported:
    """Enter every row of a CSV file as a `noun` of `KINDS`, unless something is wrong with one, or `only_check`.

    `name` is the file's, for whoever reads the changes. Without `staff_too` an account of the Caf's staff is a problem.
    Raises `Misconfigured` for such a name, or `StoreUnavailable`: then nothing is entered.
    """
    refuse([text_problem("file's name", name)])
    moment = now or datetime.now(UTC)
    kind = KINDS[noun](moment.date(), staff_too=staff_too)
    size = None
    if file.seekable():
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
    with store.read() as connection:
        before = _last_import(connection, noun)
    rows = problems = 0
    with Staging(1 + len(kind.stored)) as staging:
        source: CsvFile | None = None
        try:
            source = CsvFile(file, kind.columns)
            for batch in _batches(source):
                _check(store, kind, staging, batch)
                for row in batch:
                    for sentence in row.problems:
                        say(row.line, sentence)
                rows += len(batch)
                problems += sum(len(row.problems) for row in batch)
                if not problems:
                    staging.add([(row.line, *row.values) for row in batch])
                tell("Checking", source.bytes_read, size)
        except Unreadable as error:
            say(error.line, error.sentence)
            problems += 1
        if problems or only_check or source is None or not rows:
            return Imported(rows, problems, None)
        try:
            with store.change() as connection:
                alone(store, connection)
                if _last_import(connection, noun) != before:
                    raise _Overtaken
                for line, sentence in kind.crowded(connection, staging.rows()):
                    say(line, sentence)
                    problems += 1
                if problems:
                    return Imported(rows, problems, None)
                act, detail = f"{noun} import", f"{rows} {noun}s from {name}, SHA-256 {source.digest}"
                change_id = write_change(connection, signed, act=act, subject=name, detail=detail, now=moment)
                with _as_overtaken(connection):
                    _write(connection, kind, staging, change_id, lambda done: tell("Writing", done, rows))
        except _Overtaken:
            say(1, OVERTAKEN)
            return Imported(rows, 1, None)
    return Imported(rows, 0, change_id)


class _Overtaken(Exception):
    """What is to be written was checked against another directory than the one that there is."""


@contextmanager
def _as_overtaken(connection: Connection) -> Iterator[None]:
    """What the database refuses was entered by somebody else since it was checked."""
    try:
        yield
    except (IntegrityError, connection.dialect.loaded_dbapi.IntegrityError):
        raise _Overtaken from None


def _last_import(connection: Connection, noun: str) -> int | None:
    """The last import of such entries. Another since the check may have brought the same: a mandate has nothing by
    which the database would know it."""
    found = select(func.max(change.c.id)).where(change.c.act == f"{noun} import")
    return connection.execute(found).scalar_one_or_none()


def _batches(source: CsvFile) -> Iterator[list[Row]]:
    """Rows with as many cells as the header, and those that have not, whose problem is said."""
    header, width = source.header, len(source.header)

    def row(line: int, cells: list[str]) -> Row:
        if len(cells) == width:
            return Row(line, dict(zip(header, cells, strict=True)))
        problem = unacceptable(
            f"The row has {len(cells)} cells, the first line names {width} columns.",
            f"La ligne a {len(cells)} cellules, la première nomme {width} colonnes.",
        )
        return Row(line, {}, [problem])

    every = iter(source)
    while True:
        batch: list[Row] = []
        try:
            for line, cells in islice(every, _AT_ONCE):
                batch.append(row(line, cells))
        except Unreadable:
            # What came before it is looked at first, so that problems come in the order of their lines.
            if batch:
                yield batch
            raise
        if not batch:
            return
        yield batch


def _check(store: Store, kind: Kind, staging: Staging, batch: Sequence[Row]) -> None:
    whole = [row for row in batch if not row.problems]
    first: dict[str, int] = {}
    again: list[tuple[Row, str]] = []
    for row in whole:
        for key in kind.keys(row):
            if key in first:
                again.append((row, key))
            else:
                first[key] = row.line
    before = staging.lines_of(first)
    for row, key in again:
        row.says(_twice(key, before.get(key, first[key])))
    for row in whole:
        for key in kind.keys(row) if before else ():
            if key in before and first[key] == row.line:
                row.says(_twice(key, before[key]))
    with store.read() as connection:
        kind.check(connection, whole)


def _twice(key: str, line: int) -> str:
    return conflicting(
        f"{key.partition(chr(0))[0]} stands on line {line} already.", f"La ligne {line} entre déjà la même chose."
    )


def _write(connection: Connection, kind: Kind, staging: Staging, change_id: int, told: Callable[[int], None]) -> None:
    columns = (*kind.stored, "import_id")
    done = 0
    if connection.dialect.name == "postgresql":
        cursor = connection.connection.cursor()
        with cursor.copy(f'COPY "{kind.table.name}" ({", ".join(columns)}) FROM STDIN') as copy:
            for some in staging.rows():
                for _, *row in some:
                    copy.write_row((*row, change_id))
                told(done := done + len(some))
    else:
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {kind.table.name} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - ours
        for some in staging.rows():
            connection.exec_driver_sql(statement, [(*row, change_id) for _, *row in some])
            told(done := done + len(some))
