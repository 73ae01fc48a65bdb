"""Rows beside other processes that write too: the loop goes on, nothing is lost, nothing is there twice."""

import sqlite3
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from gateway.database import connections
from gateway.errors import StoreUnavailable
from gateway.loop.waiting import pause, run
from gateway.record.journal import open_journal
from tests.database import elsewhere
from tests.database.tasks import ticks, together

PAGE = 4096


def test_what_is_appended_is_there_for_everyone_at_once(board):
    run(lambda: board.append("one", "two"))
    board.append("three")
    assert board.lines() == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("statements", "opened"),
    [(elsewhere.WRITING, True), (elsewhere.WRITING, False), (elsewhere.ALONE, False)],
    ids=["it writes", "it writes and we have not opened the file yet", "it has the file for itself"],
)
def test_while_another_process_occupies_the_file_a_row_waits_and_the_loop_goes_on(board, statements, opened):
    if opened:
        board.append("before")
    done = []

    def append():
        board.append("mine")
        done.append("mine")

    def go_on_and_release():
        ticks()
        assert not done, "nothing can be written yet"
        release()

    with elsewhere.occupied(board.database.file, statements) as release:
        together(append, go_on_and_release)
    assert done == ["mine"]
    assert board.lines() == ["before"] * opened + ["mine"]


def test_a_row_and_a_question_wait_for_whoever_recovers_the_file(board):
    """As all but one of the workers must that begin after all were killed."""
    board.append("before")
    done = []

    def go_on_and_release():
        ticks()
        assert not done
        release()

    with elsewhere.recovered(board.database.file) as release:
        together(
            lambda: (board.append("mine"), done.append("row")),
            lambda: (board.says(), done.append("answer")),
            go_on_and_release,
        )
    assert sorted(done) == ["answer", "row"]
    assert board.lines() == ["before", "mine"]


def test_beside_somebody_who_hardly_ever_pauses_the_file_is_found_to_be_writable(board):
    """Else a worker with much to do says that it is not ready, and is sent nobody any more."""
    with elsewhere.written_on(board.database.file):
        for _ in range(10):
            board.database.check_writable()
            time.sleep(0.05)  # so that it is occupied again


@pytest.mark.parametrize("by", [run, lambda work: work()], ids=["task", "thread"])
def test_a_row_that_waits_for_too_long_is_refused_and_the_next_one_is_written(board, by):
    board.append("before")
    held = board.database._appending
    with elsewhere.occupied(board.database.file) as release:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable) as refusal:
            by(lambda: board.append("late"))
        waited = time.monotonic() - begun
        assert refusal.value.because == "another process has been writing for too long"
        assert waited >= connections._APPEND_SECONDS
        release()
    by(lambda: board.append("after"))
    assert board.database._appending is held, "waiting costs no connection"
    assert board.lines() == ["before", "after"]


@pytest.mark.looks_inside
def test_the_loop_goes_on_while_a_row_waits_in_vain(board, monkeypatch):
    monkeypatch.setattr(connections, "_APPEND_SECONDS", 0.2)
    counted = Counter()

    def append():
        with pytest.raises(StoreUnavailable):
            board.append("late")
        counted["refused"] += 1

    def go_on():
        while not counted["refused"]:
            counted["ticks"] += 1
            ticks(1)

    with elsewhere.occupied(board.database.file):
        together(append, go_on)
    assert counted["ticks"] > 2, "a loop that waits with the row goes round once"


def test_a_row_waits_for_another_writer_of_the_same_loop(board):
    writer = sqlite3.connect(board.database.file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO line (name, says, day) VALUES ('door', 'first', '2026-01-01')")

    def end():
        ticks(3)
        writer.execute("COMMIT")

    together(lambda: board.append("second"), end)
    writer.close()
    assert board.lines() == ["first", "second"]


@pytest.mark.looks_inside
@pytest.mark.parametrize("by", [run, lambda work: work()], ids=["task", "thread"])
def test_a_row_goes_on_when_whoever_has_the_same_bell_is_done(board, by, monkeypatch):
    """Long before it would try by itself."""
    monkeypatch.setattr(connections, "_RETRY_SECONDS", 600)
    monkeypatch.setattr(connections, "_APPEND_SECONDS", 600)
    board.append("before")
    done = []
    with elsewhere.occupied(board.database.file) as release:
        waiting = threading.Thread(target=lambda: (by(lambda: board.append("mine")), done.append(True)), daemon=True)
        waiting.start()
        for _ in range(3):  # it hears of somebody, and finds the file as it was
            time.sleep(0.05)
            board.bell.ring()
        assert not done
        release()
    board.bell.ring()
    waiting.join(30)
    assert done and board.lines() == ["before", "mine"]


@pytest.mark.looks_inside
def test_whoever_has_written_rings_and_whoever_could_not_does_not(board, monkeypatch):
    monkeypatch.setattr(connections, "_APPEND_SECONDS", 0.01)
    rung = Counter()
    monkeypatch.setattr(board.bell, "ring", lambda: rung.update(["ring"]))
    board.append("one")
    assert rung["ring"] == 1
    with elsewhere.occupied(board.database.file), pytest.raises(StoreUnavailable):
        board.append("two")
    with pytest.raises(StoreUnavailable):
        board.append("three", None)
    assert rung["ring"] == 1


def test_rows_that_cannot_all_be_written_are_all_refused(board):
    with pytest.raises(StoreUnavailable, match="SQLITE_CONSTRAINT"):
        run(lambda: board.append("one", None))
    run(lambda: board.append("two"))
    assert board.lines() == ["two"]


def test_a_row_goes_to_the_file_that_has_the_name_now(board, tmp_path):
    board.append("before")
    with sqlite3.connect(board.database.file) as source, sqlite3.connect(tmp_path / "copy.db") as target:
        source.backup(target)
    source.close()
    target.close()
    for file in tmp_path.glob("board.db*"):
        file.unlink()
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        run(lambda: board.append("meanwhile"))
    (tmp_path / "copy.db").rename(board.database.file)
    run(lambda: board.append("after"))
    assert board.lines() == ["before", "after"]


# What is appended goes into SQLite's log, and from there into the file.


def log_of(board) -> int:
    """Bytes."""
    return board.database.file.with_name(board.database.file.name + "-wal").stat().st_size


def test_the_log_is_copied_into_the_file_while_whoever_appends_goes_on(board):
    """A transaction that copied it itself would keep everyone waiting."""
    board.append("before")
    empty = board.database.file.stat().st_size
    appended = []

    def append_until_copied():
        while board.database.file.stat().st_size == empty:
            board.append("line " * 100)
            appended.append(log_of(board))
            pause(0.0)
            assert len(appended) < 2 * connections.COPIED_AFTER, "nothing was ever copied"

    run(append_until_copied)
    # SQLite's own measure, after which the one who appends would have done it, is longer.
    assert len(appended) >= connections.COPIED_AFTER - 1
    assert appended[-1] < connections.LONGEST_LOG * PAGE
    assert len(board.lines()) == len(appended) + 1


def test_where_nobody_copies_it_whoever_appends_does_before_it_grows_for_ever(board):
    board.append("before")
    large = "x" * 25 * PAGE
    rows = connections.LONGEST_LOG // 25 + 20
    assert rows < connections.COPIED_AFTER, "too few to be copied aside"

    def append_many():
        for _ in range(rows):
            board.append(large)

    run(append_many)
    assert log_of(board) < (connections.LONGEST_LOG + 100) * (PAGE + 24)
    assert board.database.file.stat().st_size > connections.LONGEST_LOG * PAGE / 2
    assert len(board.lines()) == rows + 1


@pytest.mark.looks_inside
def test_a_log_that_cannot_be_copied_aside_keeps_nothing_from_being_appended(board, monkeypatch):
    board.append("before")

    def nothing(*_):
        raise RuntimeError("no thread")

    monkeypatch.setattr(board.database, "_aside", SimpleNamespace(do=nothing))

    def append_many():
        for _ in range(2 * connections.COPIED_AFTER // 50 + 2):
            board.append(*["line"] * 50)
            pause(0.0)

    run(append_many)
    assert not board.database._copies, "the next one tries again"
    assert len(board.lines()) > 2 * connections.COPIED_AFTER


APPENDING = """
import sys
from datetime import UTC, datetime
from functools import partial
from gateway.record.entry import Entry
from gateway.record.journal import open_journal
from gateway.record.recorder import Recorder
from tests.database.tasks import together

url, process, tasks, each = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
journal = open_journal(url)
recorder = Recorder(journal.write)

def append(task):
    for number in range(each):
        recorder.append(Entry(f"{process}.{task}.{number}", datetime(2026, 6, 15, tzinfo=UTC), "192.0.2.1"))

print("ready", flush=True)
sys.stdin.readline()
together(*(partial(append, task) for task in range(tasks)))
print("all durable")
"""
TASKS, EACH = 12, 25


@pytest.mark.parametrize("kind", ["file", "server"])
def test_processes_that_append_at_once_lose_nothing_and_write_nothing_twice(kind, tmp_path, request):
    url = f"sqlite:///{tmp_path / 'record.db'}" if kind == "file" else request.getfixturevalue("url")
    processes = [elsewhere.begin(APPENDING, url, name, str(TASKS), str(EACH)) for name in "abc"]
    for process in processes:
        process.stdin.write("go on\n")
        process.stdin.flush()
    for process in processes:
        assert elsewhere.end(process) == "all durable\n"
    journal = open_journal(url)
    with journal._database.read() as connection:
        kept = list(connection.exec_driver_sql("SELECT request_id FROM record ORDER BY id").scalars())
    journal.close()
    expected = [f"{process}.{task}.{number}" for process in "abc" for task in range(TASKS) for number in range(EACH)]
    assert sorted(kept) == sorted(expected)
    for process in "abc":
        mine = [int(name.split(".")[2]) for name in kept if name.startswith(f"{process}.0.")]
        assert mine == list(range(EACH)), "and what one task wrote is in its order"


def test_what_is_appended_is_on_the_disk_before_anybody_is_told(board):
    board.append("mine")
    connection = board.database._appending.connection
    asked = [connection.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in ("journal_mode", "synchronous")]
    assert asked == ["wal", 2], "in full"
