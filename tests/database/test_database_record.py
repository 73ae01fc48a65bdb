"""Group commit among tasks of one loop: each row exactly once, batches form, a failure refuses its members alone."""

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RecordUnavailable, StoreUnavailable
from gateway.loop.waiting import pause, run
from gateway.record.entry import COLUMNS, Entry
from gateway.record.journal import open_journal
from gateway.record.recorder import MOST_AT_ONCE, Recorder
from tests.database import elsewhere
from tests.database.tasks import Meeting, ticks, together


def entry(name):
    return Entry(name, datetime(2026, 6, 15, 10, 0, tzinfo=UTC), "192.0.2.1")


def names_in(rows):
    return [row[COLUMNS.index("request_id")] for row in rows]


class Disk:
    """Writes to `write`, and knows each batch; the nth does the nth of `deeds`: how long it waits, what it raises."""

    def __init__(self, write=None, deeds=()):
        self._write = write
        self._deeds = list(deeds)
        self.batches = []
        self.kept = []
        self._writers = 0

    def write(self, rows):
        self._writers += 1
        assert self._writers == 1, "two tasks write at once"
        try:
            self.batches.append(names_in(rows))
            seconds, fault = self._deeds[len(self.batches) - 1] if len(self.batches) <= len(self._deeds) else (0, None)
            if seconds:
                pause(seconds)
            if fault:
                raise fault
            if self._write:
                self._write(rows)
            self.kept += self.batches[-1]
        finally:
            self._writers -= 1


def append_all(recorder, tasks, each):
    """Each task appends so many, all ready at the same time; what became of each entry."""
    outcome = {}
    meeting = Meeting(tasks)

    def append(task):
        meeting.wait()
        for number in range(each):
            name = f"{task}.{number}"
            try:
                recorder.append(entry(name))
                outcome[name] = "durable"
            except RecordUnavailable:
                outcome[name] = "refused"

    together(*(partial(append, task) for task in range(tasks)))
    return outcome


@pytest.fixture
def journal(tmp_path):
    opened = open_journal(f"sqlite:///{tmp_path / 'record.db'}")
    yield opened
    opened.close()


@pytest.fixture
def kept(tmp_path):
    """The names in the record, read by a connection that is not ours."""

    def read():
        connection = sqlite3.connect(tmp_path / "record.db")
        names = [name for (name,) in connection.execute("SELECT request_id FROM record ORDER BY id")]
        connection.close()
        return names

    return read


@pytest.mark.parametrize(("tasks", "each"), [(1, 1), (1, 30), (2, 20), (64, 5), (65, 5), (200, 3)])
def test_each_entry_is_written_exactly_once(journal, kept, tasks, each):
    disk = Disk(journal.write)
    outcome = append_all(Recorder(disk.write), tasks, each)
    assert set(outcome.values()) == {"durable"}
    assert kept() == disk.kept
    assert sorted(disk.kept) == sorted(f"{task}.{number}" for task in range(tasks) for number in range(each))
    for task in range(tasks):
        mine = [int(name.split(".")[1]) for name in disk.kept if name.startswith(f"{task}.")]
        assert mine == list(range(each)), "in its order"


def test_those_that_are_ready_together_are_written_together(journal):
    disk = Disk(journal.write)
    append_all(Recorder(disk.write), 2 * MOST_AT_ONCE + 10, 1)
    assert [len(batch) for batch in disk.batches] == [MOST_AT_ONCE, MOST_AT_ONCE, 10]


def test_one_alone_is_written_at_once():
    disk = Disk()
    recorder = Recorder(disk.write)
    run(lambda: recorder.append(entry("alone")))
    assert disk.batches == [["alone"]]


def test_those_that_come_while_one_writes_are_written_together_when_it_is_done(journal):
    disk = Disk(journal.write, [(0.05, None)])
    recorder = Recorder(disk.write)

    def later(name):
        while not disk.batches:
            ticks(1)
        recorder.append(entry(name))

    together(partial(recorder.append, entry("first")), *(partial(later, f"later.{number}") for number in range(20)))
    assert [len(batch) for batch in disk.batches] == [1, 20]


def test_an_entry_is_durable_before_its_append_returns(journal, kept):
    recorder = Recorder(journal.write)
    found = []

    def append(name):
        recorder.append(entry(name))
        found.append(name in kept())

    together(*(partial(append, str(number)) for number in range(30)))
    assert found == [True] * 30


FAULTS = [StoreUnavailable("full"), OSError(28, "no space"), ValueError("CANARI-famille"), MemoryError()]


@settings(max_examples=60, deadline=None)
@given(
    deeds=st.lists(
        st.tuples(st.sampled_from([0, 0, 0.001]), st.sampled_from([None, None, *FAULTS])), min_size=1, max_size=12
    ),
    tasks=st.integers(1, 100),
    each=st.integers(1, 4),
)
def test_a_failing_write_refuses_exactly_its_members(deeds, tasks, each):
    disk = Disk(deeds=deeds)
    outcome = append_all(Recorder(disk.write), tasks, each)
    written = [name for batch in disk.batches for name in batch]
    assert sorted(written) == sorted(f"{task}.{number}" for task in range(tasks) for number in range(each))
    for number, batch in enumerate(disk.batches):
        fault = deeds[number][1] if number < len(deeds) else None
        assert {outcome[name] for name in batch} == {"refused" if fault else "durable"}
    assert sorted(disk.kept) == sorted(name for name, told in outcome.items() if told == "durable")


def test_a_write_that_fails_in_the_file_leaves_no_row_of_its_batch(journal, kept):
    recorder = Recorder(journal.write)
    outcome, meeting = Counter(), Meeting(4)

    def append(name):
        meeting.wait()
        try:
            recorder.append(entry(name))
            outcome["durable"] += 1
        except RecordUnavailable:
            outcome["refused"] += 1

    together(*(partial(append, name) for name in ("one", "two", "\ud800", "four")))
    assert outcome == {"refused": 4}
    run(lambda: recorder.append(entry("five")))
    assert kept() == ["five"]


def test_while_another_process_writes_all_entries_wait_and_the_loop_goes_on(journal, kept, tmp_path):
    recorder = Recorder(journal.write)
    run(lambda: recorder.append(entry("before")))
    done = []

    def append(name):
        recorder.append(entry(name))
        done.append(name)

    def go_on_and_release():
        ticks()
        assert not done
        release()

    with elsewhere.occupied(tmp_path / "record.db") as release:
        together(*(partial(append, f"{number}") for number in range(100)), go_on_and_release)
    assert len(done) == 100
    assert sorted(kept()) == sorted(["before", *done])


def test_two_loops_in_two_threads_share_a_recorder(journal, kept):
    recorder = Recorder(journal.write)

    def append(thread, task):
        for number in range(5):
            recorder.append(entry(f"{thread}.{task}.{number}"))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda thread: together(*(partial(append, thread, task) for task in range(20))), range(2)))
    expected = [f"{thread}.{task}.{number}" for thread in range(2) for task in range(20) for number in range(5)]
    assert sorted(kept()) == sorted(expected)
