"""What workers count is right: across processes and threads, through replacements, at a cost near nothing."""

import dis
import os
import struct
import sys
import threading
import time

import pytest

from gateway.metrics import counts as counts_module
from gateway.metrics.counts import Counts, Row
from gateway.metrics.layout import ANSWERED, CELLS, CONNECTIONS, RECORD_ROWS, RELOADS, REQUEST_SECONDS, STARTS, SUM
from tests.forking import ended, forked


def done_elsewhere(work) -> None:
    """Runs `work` in a child process, to its end."""
    assert ended(forked(work)) == 0


def sums(counts):
    return [sum(column) for column in zip(*counts.read(), strict=True)]


def test_what_each_process_counts_is_seen_by_every_other():
    counts = Counts(3)
    mine = counts.take(0)
    mine.answered(200, "", 0.5)
    for slot in (1, 2):
        done_elsewhere(lambda slot=slot: counts.take(slot).answered(200, "", 0.25))
        assert sums(counts)[ANSWERED[200, ""]] == slot + 1
    assert sums(counts)[REQUEST_SECONDS + SUM] == 1.0

    def see():
        assert sums(counts)[ANSWERED[200, ""]] == 3

    done_elsewhere(see)


def test_processes_that_count_at_the_same_time_lose_nothing():
    workers, each = 4, 20_000
    counts = Counts(workers)

    def work(slot):
        row = counts.take(slot)
        for _ in range(each):
            row.answered(200, "", 0.002)
            row.recorded(3, 0.002)

    children = []
    for slot in range(workers):
        child = os.fork()
        if not child:
            try:
                work(slot)
            finally:
                os._exit(0)
        children.append(child)
    before = [0.0] * CELLS
    while children:
        children = [child for child in children if not os.waitpid(child, os.WNOHANG)[0]]
        now = sums(counts)
        assert now >= before, "a counter went back while it was read"
        before = now
    total = sums(counts)
    assert total[ANSWERED[200, ""]] == workers * each
    assert total[RECORD_ROWS] == 3 * workers * each
    assert total[REQUEST_SECONDS + SUM] == pytest.approx(workers * each * 0.002)


def test_a_number_is_read_as_it_was_or_as_it_is_while_another_process_writes_it():
    counts = Counts(1)
    # No byte of one is the same in the other, so that a mixture would be neither.
    few, many = (int(struct.unpack("d", bytes([byte]) * 8)[0]) for byte in (0x43, 0x44))
    child = os.fork()
    if not child:
        try:
            row, until = counts.take(0), time.monotonic() + 0.4
            while time.monotonic() < until:
                for _ in range(200):
                    row.looked(connections=few, in_flight=0, waiting=0)
                    row.looked(connections=many, in_flight=0, waiting=0)
        finally:
            os._exit(0)
    seen = set()
    while not os.waitpid(child, os.WNOHANG)[0]:
        seen |= {counts.read()[0][CONNECTIONS] for _ in range(50)}
    assert seen <= {0.0, few, many}
    assert {few, many} <= seen


def test_threads_of_a_worker_that_count_at_the_same_time_lose_nothing():
    counts, each, threads = Counts(1), 20_000, 4
    row = counts.take(0)

    def work():
        for _ in range(each):
            row.answered(200, "", 0.5)
            row.recorded(1, 0.5)

    switches = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        sys.setswitchinterval(switches)
    total = sums(counts)
    assert total[ANSWERED[200, ""]] == total[RECORD_ROWS] == each * threads
    assert total[REQUEST_SECONDS + SUM] == each * threads / 2


@pytest.mark.looks_inside
@pytest.mark.parametrize(
    "function",
    [*(value for name, value in vars(Row).items() if not name.startswith("_")), counts_module._observe],
    ids=lambda function: function.__name__,
)
def test_between_reading_a_cell_and_writing_it_no_other_thread_can_come(function):
    """CPython 3.11 and 3.12 hand over at calls, at jumps backwards and at a function's start only."""
    harmless = ("LOAD_FAST", "LOAD_CONST", "LOAD_GLOBAL", "BINARY_OP", "COPY", "SWAP", "CACHE", "EXTENDED_ARG")
    reading, updates = False, 0
    for instruction in dis.get_instructions(function):
        if instruction.opname == "BINARY_SUBSCR":
            reading = True
        elif instruction.opname == "STORE_SUBSCR":
            updates, reading = updates + reading, False
        elif reading:
            assert instruction.opname in harmless, f"line {instruction.positions.lineno}: {instruction.opname}"
    assert not reading
    observes = counts_module._observe.__name__ in function.__code__.co_names
    assert updates or observes or function in (Row.looked, Row.policy_stale)


def test_a_replaced_worker_goes_on_where_its_predecessor_ended():
    counts = Counts(2)

    def die_at_work():
        row = counts.take(1)
        row.answered(200, "", 0.5)
        row.looked(connections=7, in_flight=3, waiting=2)

    done_elsewhere(die_at_work)
    assert sums(counts)[CONNECTIONS] == 7
    counts.release(1)
    assert sums(counts)[CONNECTIONS] == 0
    assert sums(counts)[ANSWERED[200, ""]] == 1

    done_elsewhere(lambda: counts.take(1).answered(200, "", 0.5))
    assert sums(counts)[ANSWERED[200, ""]] == 2
    assert sums(counts)[STARTS] == 2


def test_a_worker_that_begins_leaves_the_other_rows_alone():
    counts = Counts(3)
    rows = [counts.take(slot) for slot in range(3)]
    for number, row in enumerate(rows, 1):
        row.looked(connections=number, in_flight=number, waiting=number)
        row.unclassified(number)
    before = counts.read()
    counts.release(1)
    counts.take(1)
    assert (counts.read()[0], counts.read()[2]) == (before[0], before[2])


def test_there_are_no_more_rows_than_workers():
    with pytest.raises(IndexError):
        Counts(2).take(2)


def test_counting_keeps_nothing():
    """However much is counted, and whatever: no memory grows, so that neither a cost nor a series can."""
    counts = Counts(1)
    row = counts.take(0)

    def count(number):
        row.answered(200 + number % 400, f"GW{number % 999}", number / 1000)
        row.decided(cached=bool(number % 2))
        row.fetched("late" if number % 2 else f"CANARI-{number}", number / 1000)
        row.unclassified(number)
        row.recorded(number, number / 1000)
        row.looked(connections=number, in_flight=1, waiting=0)
        counts.beside.reloaded(RELOADS[number % len(RELOADS)])
        counts.beside.policy_stale(bool(number % 2))

    for number in range(1_000):
        count(number)
    before = sys.getallocatedblocks()
    for number in range(20_000):
        count(number)
    assert sys.getallocatedblocks() - before < 500
    assert len(counts.read()[0]) == CELLS
