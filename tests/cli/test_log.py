"""The log waits for nobody and nobody waits for the log."""

import contextlib
import fcntl
import json
import os
import threading

import pytest
import structlog

from gateway.cli import log
from gateway.cli.log import LONGEST_LINE, MOST_WAITING, Sink, Stream, write_log
from tests.forking import ended, forked

LINES = 3 * MOST_WAITING


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine may take longer for what is waited for than a process that ends would wait."""
    monkeypatch.setattr(log, "FLUSH_SECONDS", 20.0)


@pytest.fixture
def pipe():
    """The two ends of a pipe that holds a page."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    for end in (writing, reading):
        with contextlib.suppress(OSError):
            os.close(end)


def read_all(reading):
    with open(reading, "rb", closefd=False) as file:
        return file.read().decode().splitlines()


def test_a_line_is_json_with_its_time_and_its_level(pipe):
    reading, writing = pipe
    write_log(sink := Sink(writing))
    structlog.get_logger().error("fault", kind="Test")
    structlog.reset_defaults()
    sink.drain()
    os.close(writing)
    [line] = map(json.loads, read_all(reading))
    assert (line["event"], line["kind"], line["level"]) == ("fault", "Test", "error")
    assert line["timestamp"].endswith("Z")


def test_a_pipe_that_nobody_reads_costs_lines_whose_number_is_told_once_it_is_read(pipe):
    reading, writing = pipe
    sink = Sink(writing)
    writer = threading.Thread(target=lambda: [sink.write(f"line {number}\n") for number in range(LINES)])
    writer.start()
    writer.join(20)
    assert not writer.is_alive(), "whoever writes waits"
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(read_all(reading)))
    reader.start()
    sink.drain()
    os.close(writing)
    reader.join(20)
    lines = [int(line.removeprefix("line ")) for line in read if line.startswith("line ")]
    told = [json.loads(line) for line in read if not line.startswith("line ")]
    assert len(lines) > MOST_WAITING
    assert lines == sorted(set(lines))
    assert {line["event"] for line in told} == {"lines of the log were dropped"}
    assert sum(line["lines"] for line in told) == LINES - len(lines)


def test_the_end_of_a_process_waits_for_its_last_lines_and_not_for_a_reader_that_never_comes(pipe, monkeypatch):
    monkeypatch.setattr(log, "FLUSH_SECONDS", 0.5)
    reading, writing = pipe
    sink = Sink(writing)
    sink.write("a\n" * 5_000)
    sink.drain()
    assert os.read(reading, 65_536) == b"a\n" * 2_048
    sink.drain()


def test_a_pipe_that_was_closed_costs_its_lines_and_nothing_else(pipe):
    reading, writing = pipe
    os.close(reading)
    sink = Sink(writing)
    for _ in range(10):
        sink.write("lost\n")
    sink.drain()
    assert sink._writer
    assert sink._writer.is_alive()


def test_a_descriptor_that_does_not_block_is_waited_for(pipe):
    reading, writing = pipe
    os.set_blocking(writing, False)
    sink = Sink(writing)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(read_all(reading)))
    for number in range(1_500):
        sink.write(f"line {number}\n")
    reader.start()
    sink.drain()
    os.close(writing)
    reader.join(20)
    assert read == [f"line {number}" for number in range(1_500)]


def test_after_a_fork_each_process_writes_its_own_lines_once(pipe):
    reading, writing = pipe
    sink = Sink(writing)
    sink.write("of the parent\n")
    sink.drain()

    def write():
        sink.write("of the child\n")
        sink.drain()

    assert ended(forked(write)) == 0
    sink.write("of the parent again\n")
    sink.drain()
    os.close(writing)
    assert read_all(reading) == ["of the parent", "of the child", "of the parent again"]


def test_a_line_beyond_all_measure_is_cut(pipe):
    reading, writing = pipe
    sink = Sink(writing)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(read_all(reading)))
    reader.start()
    sink.write("a" * 1_000_000 + "\n")
    sink.write("after\n")
    sink.drain()
    os.close(writing)
    reader.join(20)
    assert read == ["a" * LONGEST_LINE, "after"]


def test_what_is_no_text_is_refused_by_the_stream_as_by_any_other(pipe):
    with pytest.raises(TypeError):
        Stream(Sink(pipe[1])).write(b"bytes")  # type: ignore[arg-type]
