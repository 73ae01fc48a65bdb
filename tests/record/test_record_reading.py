"""The record read: exactly the rows since an instant, counted whole, while others write; and that it was read."""

import contextlib
import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from gateway.database.opening import open_database
from gateway.errors import Absent, StoreUnavailable
from gateway.policy_files.folder import load_folder, shipped
from gateway.record import reading
from gateway.record.entry import COLUMNS, Entry, instant_text
from gateway.record.journal import METADATA, Journal, open_journal, record
from gateway.record.reading import Kind, RecordReader, open_reader
from tests.database.server import url
from tests.record.synthetic import rows

__all__ = ["url"]

NOW = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
READING = {"request_id": "r" * 24, "now": NOW, "who": "command line: someone", "command": "cafpro policy test"}


@pytest.fixture(scope="module")
def policy():
    return load_folder(shipped()).policy


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """An empty record, on either kind of database."""
    where = f"sqlite:///{tmp_path / 'record.db'}" if request.param == "sqlite" else request.getfixturevalue("url")
    database = open_database(where, METADATA, setting="record.url")
    yield database
    database.close()


def counted(reader, span):
    found = Counter()
    for each in reader.counted(span):
        found[each.kind] += each.times
    return found


def of_row(row):
    return Kind(*(row[COLUMNS.index(name)] for name in Kind._fields))


def test_every_row_since_an_instant_is_counted_once_and_none_before_it(database, policy, monkeypatch):
    monkeypatch.setattr(reading, "AT_ONCE", 70)
    written = list(rows(policy, 1_000, until=NOW, days=100))
    Journal(database).write(written)
    reader = RecordReader(database)
    for days in (0, 1, 33, 99, 100, 200):
        since = NOW - timedelta(days=days)
        span = reader.begin(since, **READING)
        wanted = Counter(of_row(row) for row in written if row[0] >= instant_text(since))
        found = counted(reader, span)
        assert {kind: times for kind, times in found.items() if kind.act != "read"} == wanted
        assert span.begins == datetime.fromisoformat(written[0][0])


def test_that_the_record_was_read_is_recorded_before_anything_is_read(database):
    span = RecordReader(database).begin(NOW - timedelta(days=30), **READING)
    assert span.length == 0
    with database.read() as connection:
        [row] = connection.execute(select(record)).mappings().all()
    assert dict(row) == {
        **dict.fromkeys(COLUMNS, ""),
        **{"id": row["id"], "at": instant_text(NOW), "request_id": "r" * 24, "act": "read", "status": 200},
        **{"agent": "command line: someone", "route": "cafpro policy test", "rubrics": "[]", "rules": "[]"},
        "because": "the record since 2026-05-16T10:00:00.000000+00:00",
    }


def test_what_is_told_of_the_progress_is_the_whole_span(database, policy, monkeypatch):
    monkeypatch.setattr(reading, "AT_ONCE", 64)
    Journal(database).write(list(rows(policy, 200, until=NOW, days=10)))
    reader, told = RecordReader(database), []
    span = reader.begin(NOW - timedelta(days=20), **READING)
    assert sum(each.times for each in reader.counted(span, told.append)) == 200
    assert (sum(told), len(told)) == (span.length, 4)


@pytest.fixture(scope="module")
def purged(tmp_path_factory):
    """A record whose rows are taken away between two examples; ids go on."""
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('r')}/record.db", METADATA, setting="record.url")
    yield database
    database.close()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_row_is_found_whatever_is_missing_and_whatever_the_clocks_said(purged, data):
    """Ids with gaps, as after a purge; instants in any order, as when a clock was behind for days."""
    minutes = data.draw(st.lists(st.integers(0, 50_000), min_size=1, max_size=40))
    gone = data.draw(st.sets(st.integers(1, len(minutes) - 1)) if len(minutes) > 1 else st.just(set()))
    since = NOW + timedelta(minutes=data.draw(st.integers(-10, 50_010)))
    at = [NOW + timedelta(minutes=minute) for minute in minutes]
    with purged.change() as connection:
        connection.execute(delete(record))
    Journal(purged).write([Entry(str(place), each, "").row() for place, each in enumerate(at, start=1)])
    with purged.change() as connection:
        connection.execute(delete(record).where(record.c.request_id.in_([str(place) for place in gone])))
    kept = [each for place, each in enumerate(at, start=1) if place not in gone]
    reader = RecordReader(purged)
    span = reader.begin(since, **READING)
    assert sum(each.times for each in reader.counted(span)) == sum(each >= since for each in kept)


def test_a_reader_holds_up_nobody_who_writes(tmp_path, policy, monkeypatch):
    monkeypatch.setattr(reading, "AT_ONCE", 50)
    file = tmp_path / "record.db"
    database = open_database(f"sqlite:///{file}", METADATA, setting="record.url")
    reader = open_reader(f"sqlite:///{file}")
    with contextlib.closing(database), contextlib.closing(reader), contextlib.closing(sqlite3.connect(file)) as other:
        Journal(database).write(list(rows(policy, 300, until=NOW, days=10)))
        span = reader.begin(NOW - timedelta(days=20), **READING)
        found = 0
        other.execute("PRAGMA busy_timeout = 0")
        for each in reader.counted(span):
            found += each.times
            Journal(database).write([Entry("meanwhile", NOW, "").row()])
            # Nothing is held open: the log can be emptied between two statements, which a reader's transaction forbids.
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        assert found == 300, "what is appended meanwhile is not of the span"


def test_a_record_that_does_not_say_when_is_not_read_as_if_it_did(tmp_path):
    open_journal(f"sqlite:///{tmp_path / 'record.db'}").close()
    reader = open_reader(f"sqlite:///{tmp_path / 'record.db'}")
    with contextlib.closing(reader), contextlib.closing(sqlite3.connect(tmp_path / "record.db")) as other:
        names = ", ".join(COLUMNS)
        other.execute(f"INSERT INTO record ({names}) VALUES ({', '.join('?' * len(COLUMNS))})", ["x"] * len(COLUMNS))
        other.commit()
        with pytest.raises(StoreUnavailable, match="whose instant is none"):
            reader.begin(NOW, **READING)


def test_a_record_that_cannot_say_it_was_read_is_not_read(tmp_path, policy):
    file = tmp_path / "record.db"
    open_journal(f"sqlite:///{file}").close()
    reader = open_reader(f"sqlite:///{file}")
    with contextlib.closing(reader), contextlib.closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            reader.begin(NOW, **READING)


def test_a_record_that_is_not_there_is_not_made_to_be_read(tmp_path):
    """A gateway at work would go on in it as if nothing were missing."""
    with pytest.raises(Absent, match=r"record\.url: .*record\.db is not there"):
        open_reader(f"sqlite:///{tmp_path / 'record.db'}")
    assert list(tmp_path.iterdir()) == []
