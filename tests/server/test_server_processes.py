"""The processes: replaced when they die, ended together, and none left behind."""

import contextlib
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest

from gateway.server.supervisor import listen

SERVE = """
import os, signal, sys, time
from pathlib import Path
from gateway.server.connection import Patience
from gateway.server.lanes import Lanes, Places
from gateway.server.supervisor import listen, supervise
from gateway.server.worker import Served

folder, workers, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = str(os.getpid()).encode()
    if path == "/slow":
        (folder / "inside").touch()
        time.sleep(1)
    if path == "/large":
        body = bytes(16_000_000)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

def make(place):
    with (folder / "made").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    if kind == "leaves" or (folder / "broken").exists():
        sys.exit(1)
    if kind == "raises":
        raise LookupError("cannot be made")
    return Served(application)

def beside(keep_on):
    signal.signal(signal.SIGHUP, lambda *_: (folder / "hung up").touch())
    with (folder / "beside").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    while keep_on():
        if (folder / "fall").exists():
            (folder / "fall").unlink()  # one falls, its successor does not
            raise LookupError("falls")
        time.sleep(0.02)
    (folder / "ended").touch()

listener = listen("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
lanes = Lanes(lambda path: False, own=Places(4, 100), others=Places(4, 100))
sys.exit(supervise(make, listener, workers=workers, lanes=lanes, patience=Patience(), tls=None,
                   leaving=(folder / "left").touch, beside=beside if kind == "accompanied" else None))
"""


class Running:
    def __init__(self, folder, *, workers=2, kind="serves", prepare=None) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(folder), str(workers), kind],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            preexec_fn=prepare,
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    def connect(self, address="127.0.0.1"):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(address, 0))

    def ask(self, path: str) -> bytes:
        with self.connect() as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
            received = b""
            while piece := client.recv(65536):
                received += piece
        assert received.startswith(b"HTTP/1.1 200"), received[:100]
        return received.partition(b"\r\n\r\n")[2]

    def workers(self) -> list[psutil.Process]:
        return [c for c in psutil.Process(self.process.pid).children() if c.status() != psutil.STATUS_ZOMBIE]

    def made(self) -> int:
        file = self.folder / "made"
        return len(file.read_text().split()) if file.exists() else 0

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()

    def beside(self) -> list[int]:
        """The processes beside the workers there have been."""
        file = self.folder / "beside"
        return [int(line) for line in file.read_text().split()] if file.exists() else []


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path):
    with contextlib.ExitStack() as stack:

        def begin(**options) -> Running:
            running = Running(tmp_path, **options)
            stack.callback(running.close)
            return running

        yield begin


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_asked_to_end_it_finishes_what_runs_and_leaves_with_0(start, tmp_path, ending):
    running = start()
    with running.connect() as client, running.connect() as idle:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        until((tmp_path / "inside").exists)
        workers = running.workers()
        running.process.send_signal(ending)
        received = b""
        while piece := client.recv(65536):
            received += piece
        assert received.startswith(b"HTTP/1.1 200 OK")
        assert idle.recv(1) == b""
    assert running.process.wait(20) == 0
    assert not [worker for worker in workers if worker.is_running()]
    with pytest.raises(ConnectionRefusedError):
        running.connect()
    assert (tmp_path / "left").exists(), "a worker says its last words"


def test_asked_to_end_while_an_answer_is_being_taken_it_is_sent_whole(start):
    running = start(workers=1)
    with running.connect() as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
        received = len(client.recv(1000))
        running.process.terminate()
        time.sleep(0.5)
        while piece := client.recv(1 << 20):
            received += len(piece)
    assert received > 16_000_000
    assert running.process.wait(20) == 0


@pytest.mark.parametrize("pause", [0, 0.01, 0.02, 0.2])
def test_asked_to_end_at_once_it_ends_at_once(start, pause):
    running = start(workers=4)
    until(lambda: running.made() >= 1)
    time.sleep(pause)
    running.process.terminate()
    assert running.process.wait(10) == 0


def test_a_killed_worker_is_replaced_and_the_others_go_on(start):
    running = start()
    until(lambda: len({running.ask("/") for _ in range(4)}) >= 1 and running.made() == 2)
    victim, other = running.workers()
    victim.kill()
    for _ in range(20):
        assert int(running.ask("/")) != victim.pid
    until(lambda: running.made() == 3 and len(running.workers()) == 2)
    assert other.pid in [worker.pid for worker in running.workers()]
    running.process.terminate()
    assert running.process.wait(20) == 0


def test_a_replacement_that_cannot_start_is_tried_again_while_the_others_go_on(start, tmp_path):
    running = start()
    until(lambda: running.made() == 2)
    running.ask("/")
    (tmp_path / "broken").touch()
    victim, _ = running.workers()
    victim.kill()
    until(lambda: running.made() >= 4)
    assert running.process.poll() is None
    running.ask("/")
    (tmp_path / "broken").unlink()
    until(lambda: len(running.workers()) == 2)
    running.ask("/")


@pytest.mark.parametrize("kind", ["leaves", "raises"])
def test_an_application_that_cannot_be_made_ends_it_all_with_1(start, tmp_path, kind):
    running = start(workers=3, kind=kind)
    assert running.process.wait(20) == 1
    assert running.made() <= 3
    assert (tmp_path / "left").exists(), "a worker says its last words"


def test_without_their_supervisor_the_workers_end(start):
    running = start()
    until(lambda: running.made() == 2)
    workers = running.workers()
    running.process.kill()
    running.process.wait()
    assert len(workers) == 2
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


@pytest.mark.parametrize(
    "prepare",
    [
        lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN) and None,
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGTERM)) and None,
    ],
    ids=["ignored", "held back"],
)
def test_a_starter_that_wants_no_word_of_the_end_of_children_changes_nothing(start, prepare):
    running = start(prepare=prepare)
    until(lambda: running.made() == 2)
    running.workers()[0].kill()
    until(lambda: running.made() == 3)
    running.process.terminate()
    assert running.process.wait(20) == 0


def test_where_descriptors_are_few_the_connections_leave_some_to_the_application(start, tmp_path):
    few = 400
    running = start(workers=1, prepare=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (few, few)))
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(running.connect()) for _ in range(few)]
        # Those for whom there is no room are closed.
        until(lambda: select.select(silent, [], [], 0)[0])
        another = stack.enter_context(running.connect("127.0.0.2"))
        another.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        assert another.recv(100).startswith(b"HTTP/1.1 200")
        assert (tmp_path / "inside").exists(), "it has opened a file"


def test_an_address_that_cannot_be_had_is_an_os_error():
    with listen("127.0.0.1", 0) as taken:
        for host, port in (
            ("127.0.0.1", taken.getsockname()[1]),
            ("127.0.0.1", 70_000),
            ("192.0.2.1", 8080),
            ("a" * 70 + ".example", 8080),
        ):
            with pytest.raises(OSError):
                listen(host, port)


def test_clients_that_stay_are_shared_among_the_workers(start):
    """The kernel would wake the same worker each time, for as long as it finds the time."""
    running = start(workers=3)
    with contextlib.ExitStack() as stack:

        def served() -> bytes:
            client = stack.enter_context(running.connect())
            client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            return client.recv(65536).partition(b"\r\n\r\n")[2]

        begun = set()
        until(lambda: begun.add(served()) or len(begun) == 3)
        counted = Counter(served() for _ in range(60))
    assert {int(pid) for pid in counted} == {worker.pid for worker in running.workers()}
    assert min(counted.values()) >= 5, counted


def test_every_worker_serves(start):
    running = start(workers=2)
    until(lambda: running.made() == 2)
    for worker in running.workers():
        others = [other for other in running.workers() if other != worker]
        assert len(others) == 1
        for other in others:
            other.suspend()
            # One that is stopped as it is woken would keep the connection to itself.
            until(lambda other=other: other.status() == psutil.STATUS_STOPPED)
        try:
            assert int(running.ask("/")) == worker.pid
        finally:
            for other in others:
                other.resume()


def test_one_process_goes_beside_the_workers_and_ends_with_them(start, tmp_path):
    running = start(kind="accompanied")
    until(lambda: running.made() == 2 and running.beside())
    [companion] = running.beside()
    assert companion in [child.pid for child in running.workers()]
    running.ask("/")
    running.process.terminate()
    assert running.process.wait(20) == 0
    assert (tmp_path / "ended").exists()
    assert not psutil.pid_exists(companion)


def test_what_is_told_to_the_supervisor_by_sighup_reaches_the_process_beside_and_nobody_else(start, tmp_path):
    running = start(kind="accompanied")
    until(lambda: running.made() == 2 and running.beside())
    before = {child.pid for child in running.workers()}
    running.ask("/")
    time.sleep(0.2)
    for child in running.workers():
        if child.pid not in running.beside():
            child.send_signal(signal.SIGHUP)  # as a terminal that is closed does, to all of them
    running.process.send_signal(signal.SIGHUP)
    until((tmp_path / "hung up").exists)
    running.ask("/")
    assert {child.pid for child in running.workers()} == before
    assert running.process.poll() is None


@pytest.mark.parametrize("how", ["is killed", "fails"])
def test_the_process_beside_is_replaced_and_the_workers_go_on(start, tmp_path, how):
    running = start(kind="accompanied")
    until(lambda: running.made() == 2 and running.beside())
    workers = {child.pid for child in running.workers()} - {*running.beside()}
    if how == "fails":
        (tmp_path / "fall").touch()
    else:
        psutil.Process(running.beside()[0]).kill()
    until(lambda: len(running.beside()) == 2)
    running.ask("/")
    assert workers <= {child.pid for child in running.workers()}
    running.process.send_signal(signal.SIGHUP)
    until((tmp_path / "hung up").exists)


def test_a_word_for_the_process_beside_is_not_kept_for_later_where_there_is_none(start, tmp_path):
    """The next one begins by looking; told at any later time, it would look when nobody asked."""
    running = start(kind="accompanied")
    until(lambda: running.made() == 2 and running.beside())
    # Stopped, it learns of both at once, however busy the machine: the process is gone, and it was to be told.
    running.process.send_signal(signal.SIGSTOP)
    [gone] = [psutil.Process(pid) for pid in running.beside()]
    gone.kill()
    until(lambda: gone.status() == psutil.STATUS_ZOMBIE)
    running.process.send_signal(signal.SIGHUP)
    running.process.send_signal(signal.SIGCONT)
    until(lambda: len(running.beside()) == 2)
    [worker, _] = [child for child in running.workers() if child.pid not in running.beside()]
    worker.kill()
    until(lambda: running.made() == 3)
    running.ask("/")
    assert not (tmp_path / "hung up").exists()
    running.process.send_signal(signal.SIGHUP)
    until((tmp_path / "hung up").exists)


def test_without_their_supervisor_the_process_beside_ends_too(start):
    running = start(kind="accompanied")
    until(lambda: running.made() == 2 and running.beside())
    family = running.workers()
    assert len(family) == 3
    running.process.kill()
    running.process.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
