"""Group commit: each entry durable exactly once before its request is answered, whoever writes it."""

import socket
import sqlite3
import threading
import time
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RecordUnavailable, StoreUnavailable
from gateway.loop.loop import READ, Loop
from gateway.model import dossier_number
from gateway.record.entry import COLUMNS, DossierMark, Entry
from gateway.record.journal import open_journal
from gateway.record.recorder import Recorder

WAIT = 30.0


def entry(name: str) -> Entry:
    return Entry(name, datetime(2026, 6, 15, 10, 0, tzinfo=UTC), "192.0.2.1")


def name_of(row) -> str:
    return row[COLUMNS.index("request_id")]


class Disk:
    """Keeps rows; the nth batch does the nth of `deeds`: how long it takes, and what it raises."""

    def __init__(self, deeds=()) -> None:
        self.deeds = list(deeds)
        self.batches: list[list[str]] = []
        self.kept: list[str] = []
        self.writers = 0

    def write(self, rows) -> None:
        self.writers += 1
        assert self.writers == 1, "two threads write at once"
        try:
            names = [name_of(row) for row in rows]
            assert names, "an empty batch"
            self.batches.append(names)
            seconds, fault = self.deeds[len(self.batches) - 1] if len(self.batches) <= len(self.deeds) else (0, None)
            time.sleep(seconds)
            if fault:
                raise fault
            self.kept += names
        finally:
            self.writers -= 1


def append_all(recorder: Recorder, names: list[list[str]]) -> dict[str, str]:
    """One thread for each list; what became of each entry."""
    outcome: dict[str, str] = {}

    def work(mine: list[str]) -> None:
        for name in mine:
            try:
                recorder.append(entry(name))
                outcome[name] = "durable"
            except RecordUnavailable:
                outcome[name] = "refused"
            except BaseException as fault:  # noqa: BLE001 - told by the main thread
                outcome[name] = type(fault).__name__

    threads = [threading.Thread(target=work, args=(mine,), daemon=True) for mine in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive(), "a thread was never woken"
    return outcome


def names_of(threads: int, each: int) -> list[list[str]]:
    return [[f"{thread}.{number}" for number in range(each)] for thread in range(threads)]


def test_every_entry_of_64_threads_is_written_exactly_once():
    disk = Disk()
    names = names_of(64, 50)
    outcome = append_all(Recorder(disk.write), names)
    assert set(outcome.values()) == {"durable"}
    assert sorted(disk.kept) == sorted(name for mine in names for name in mine)


def test_those_that_arrive_while_one_writes_are_written_together():
    disk = Disk([(0.3, None)])
    append_all(Recorder(disk.write), names_of(32, 1))
    assert len(disk.batches) < 32
    assert max(map(len, disk.batches)) > 1


def test_the_entries_of_one_thread_keep_their_order():
    disk = Disk()
    append_all(Recorder(disk.write), names_of(16, 30))
    for thread in range(16):
        mine = [int(name.split(".")[1]) for name in disk.kept if name.startswith(f"{thread}.")]
        assert mine == sorted(mine)


def test_an_entry_is_durable_before_its_append_returns():
    disk = Disk([(0.01, None)] * 100)
    recorder = Recorder(disk.write)
    for number in range(20):
        recorder.append(entry(str(number)))
        assert disk.kept[-1] == str(number)


class Ending(BaseException):
    """Not an Exception: what ends a thread."""


FAULTS = [StoreUnavailable("full"), OSError(28, "no space"), ValueError("CANARI-famille"), MemoryError(), Ending()]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0.001, 0.003]), st.sampled_from([None, None, *FAULTS])), min_size=1, max_size=12
    ),
    st.integers(1, 16),
    st.integers(1, 5),
)
def test_a_failing_batch_fails_its_members_and_nobody_else(deeds, threads, each):
    disk = Disk(deeds)
    names = names_of(threads, each)
    outcome = append_all(Recorder(disk.write), names)
    every = [name for batch in disk.batches for name in batch]
    assert sorted(every) == sorted(name for mine in names for name in mine), "each in exactly one batch"
    for number, batch in enumerate(disk.batches):
        fault = deeds[number][1] if number < len(deeds) else None
        told = sorted(outcome[name] for name in batch)
        if fault is None:
            assert told == ["durable"] * len(batch)
        elif isinstance(fault, Ending):
            assert told.count("Ending") == 1, "whoever wrote ends, the others are refused"
            assert told.count("refused") == len(batch) - 1
        else:
            assert told == ["refused"] * len(batch)


def test_after_a_failure_the_next_entry_is_written():
    disk = Disk([(0, StoreUnavailable("busy"))])
    recorder = Recorder(disk.write)
    with pytest.raises(RecordUnavailable):
        recorder.append(entry("first"))
    recorder.append(entry("second"))
    assert disk.kept == ["second"]


def test_a_failure_is_logged_without_a_word_of_what_failed(capsys):
    disk = Disk([(0, ValueError("CANARI-famille")), (0, StoreUnavailable("our own words"))])
    recorder = Recorder(disk.write)
    for name in ("first", "second"):
        with pytest.raises(RecordUnavailable):
            recorder.append(entry(name))
    printed = "".join(capsys.readouterr())
    assert "CANARI" not in printed
    assert "our own words" in printed


def test_the_journal_keeps_what_64_threads_append(tmp_path):
    journal = open_journal(f"sqlite:///{tmp_path / 'record.db'}")
    names = names_of(64, 8)
    assert set(append_all(Recorder(journal.write), names).values()) == {"durable"}
    journal.close()
    connection = sqlite3.connect(tmp_path / "record.db")
    kept = connection.execute("SELECT id, request_id, address, rubrics FROM record ORDER BY id").fetchall()
    connection.close()
    assert sorted(row[1] for row in kept) == sorted(name for mine in names for name in mine)
    assert {row[2:] for row in kept} == {("192.0.2.1", "[]")}


def test_a_journal_that_was_locked_or_removed_recovers_by_itself(tmp_path):
    file = tmp_path / "record.db"
    journal = open_journal(f"sqlite:///{file}")
    recorder = Recorder(journal.write)
    recorder.append(entry("before"))
    for name in ("record.db", "record.db-wal", "record.db-shm"):
        (tmp_path / name).rename(tmp_path / f"{name}.away")
    with pytest.raises(RecordUnavailable):
        recorder.append(entry("meanwhile"))
    for name in ("record.db", "record.db-wal", "record.db-shm"):
        if (tmp_path / f"{name}.away").exists():
            (tmp_path / f"{name}.away").rename(tmp_path / name)
    recorder.append(entry("after"))
    journal.close()


def test_a_row_that_cannot_be_written_leaves_no_transaction_open(tmp_path):
    journal = open_journal(f"sqlite:///{tmp_path / 'record.db'}")
    recorder = Recorder(journal.write)
    with pytest.raises(RecordUnavailable):
        recorder.append(entry("\ud800"))
    recorder.append(entry("after"))
    journal.close()


def test_the_mark_of_a_dossier_depends_on_the_key_the_caisse_and_the_number():
    number = dossier_number("9990001")
    other = dossier_number("9990002")
    assert number and other
    marks = {
        DossierMark(b"a" * 32, "691")(number),
        DossierMark(b"b" * 32, "691")(number),
        DossierMark(b"a" * 32, "751")(number),
        DossierMark(b"a" * 32, "691")(other),
    }
    assert len(marks) == 4
    assert all(len(mark) == 64 and "9990001" not in mark for mark in marks)
    assert DossierMark(b"a" * 32, "691")(number) in marks


def test_requests_of_one_turn_that_never_wait_are_written_together():
    disk, loop, done = Disk(), Loop(), []
    recorder = Recorder(disk.write)

    def answer(name: str) -> None:
        recorder.append(entry(name))
        done.append(name)

    pairs = [socket.socketpair() for _ in range(16)]
    try:
        for number, (near, far) in enumerate(pairs):
            near.send(b"x")

            def begin(_, far=far, number=number) -> None:
                far.recv(1)
                loop.start(partial(answer, str(number)))

            loop.watch(far.fileno(), READ, begin)
        for _ in range(20):
            loop.turn(0)
    finally:
        for pair in pairs:
            loop.unwatch(pair[1].fileno())
            for end in pair:
                end.close()
    assert sorted(done) == sorted(map(str, range(16)))
    assert len(disk.batches) <= 2
