"""A log that nobody reads: standard error is a pipe, and it is full. Nothing but the log is the worse for it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.story import running
from tests.story.running import Gateway, Process, until

SESSIONS = 8
REQUESTS = 400
"""Of each. Each is a line of the log; together they are more than the pipe and what waits for it can hold."""
PAGE = 4096


class Pipe:
    """Standard error of a gateway, as a pipe that holds a page and that a test reads or does not."""

    def __init__(self, file: Path) -> None:
        os.mkfifo(file)
        self.file = file
        self._end = os.open(file, os.O_RDWR)
        fcntl.fcntl(self._end, fcntl.F_SETPIPE_SZ, PAGE)
        self._read = bytearray()
        self._reads = True
        self._reader: threading.Thread | None = None

    def is_full(self) -> bool:
        return not select.select([], [self._end], [], 0)[1]

    def read(self) -> None:
        """From now on somebody reads."""

        def read_on() -> None:
            while self._reads:
                if select.select([self._end], [], [], 0.05)[0]:
                    self._read.extend(os.read(self._end, PAGE))

        self._reader = threading.Thread(target=read_on)
        self._reader.start()

    def lines(self) -> list[dict[str, object]]:
        whole = bytes(self._read).splitlines(keepends=True)
        return [json.loads(line) for line in whole if line.startswith(b"{") and line.endswith(b"\n")]

    def close(self) -> None:
        self._reads = False
        if self._reader:
            self._reader.join()
        os.close(self._end)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "standard-error")
    yield pipe
    pipe.close()


@pytest.fixture
def gateway(pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """Before a backend where nothing listens: each consultation is refused, and a line of the log."""
    monkeypatch.setattr(
        running, "Process", lambda arguments, output, **options: Process(arguments, pipe.file, **options)
    )
    settings = {"server.workers": "1", "upstream.breaker_failures": "1000000"}
    upstream = f"http://127.0.0.1:{free_port()}"
    gateway = Gateway(tmp_path / "gateway", upstream=upstream, settings=settings, policies=None)
    with contextlib.closing(gateway.store):
        gateway.enter("t1", "T1")
        yield gateway
        gateway.close()
        if gateway._process.popen.poll() is None:
            gateway._process.end()


def consult(gateway: Gateway, session: dict[str, str], times: int) -> None:
    """So many consultations by each of some clients; every one is answered and recorded."""
    before = len(gateway.record_rows(route="dossier"))

    def ask() -> None:
        for _ in range(times):
            answers.append(gateway.ask("/dossiers/9990001", session).status)

    answers: list[int] = []
    threads = [threading.Thread(target=ask) for _ in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [502] * (SESSIONS * times)
    assert len(gateway.record_rows(route="dossier")) == before + SESSIONS * times


def test_with_a_full_log_everything_is_answered_and_what_is_missing_of_it_is_told(gateway, pipe):
    session = gateway.log_in("t1")
    consult(gateway, session, REQUESTS)
    assert pipe.is_full()
    assert gateway.ask("/-/health/ready").status == 200
    assert gateway.log_in("t1")
    pipe.read()
    dropped = until(
        lambda: [line for line in pipe.lines() if line["event"] == "lines of the log were dropped"],
        "how many lines are missing is told",
    )
    consult(gateway, session, 1)
    until(
        lambda: (
            len([line for line in pipe.lines() if line["event"] == "refused"]) + sum(line["lines"] for line in dropped)
            == SESSIONS * (REQUESTS + 1)
        ),
        "what was written and what was dropped are all there were",
    )


def test_with_a_full_log_it_ends_with_0(gateway, pipe):
    consult(gateway, gateway.log_in("t1"), 20)
    assert pipe.is_full()
    assert gateway._process.end() == 0


def test_with_a_full_log_a_worker_that_dies_is_replaced_and_it_ends_with_0(gateway, pipe):
    consult(gateway, gateway.log_in("t1"), 20)
    assert pipe.is_full()
    [worker] = gateway.workers()
    for _ in range(2):  # the supervisor has something to say too
        worker.kill()
        gateway.close()
        gateway._process.answers(f"{gateway.url}/-/health/ready")
        [worker] = gateway.workers()
    consult(gateway, gateway.log_in("t1"), 1)
    assert pipe.is_full()
    assert gateway._process.end() == 0
