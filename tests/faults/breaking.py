"""What breaks, for real: processes that are killed, disks that are full, clocks that step, backends that lie."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from gateway.settings import Limits
from tests.debian import found_or_installed
from tests.ports import free_port
from tests.story.running import Gateway, Process, until
from upstream_stub.dossiers import dossier_text

LONG = bool(os.environ.get("FAULTS_LONG"))
"""`make faults`: more rounds, longer faults."""

_STEPPING = Path(__file__).parent / "stepping"
_LIBRARIES = "/usr/lib/*/faketime/libfaketime.so.1"
_NO_DISK = "A small disk is a tmpfs that only root can mount: run as root, or in a user namespace (`unshare -rm`)."
MANY = "1000000"


class Breakable(Gateway):
    """A gateway whose processes can be killed and started again, and whose databases may stand anywhere."""

    def __init__(
        self, folder: Path, *, upstream: str, settings: Mapping[str, str], variables: Mapping[str, str] | None = None
    ) -> None:
        boundless = {f"limits.{name}": MANY for name in Limits.__struct_fields__}
        self.settings, self.variables = {"server.workers": "2", **boundless, **settings}, variables
        super().__init__(folder, upstream=upstream, settings=self.settings, policies=None, variables=variables)
        if record := self.settings.get("record.url", "").removeprefix("sqlite:///"):
            self.record_file = Path(record)

    def is_whole(self) -> bool:
        """Whether every worker is there."""
        return len(self.workers()) == int(self.settings["server.workers"])

    def kill(self) -> None:
        """The supervisor is no more, from one instant to the next."""
        self._process.popen.send_signal(signal.SIGKILL)
        self._process.popen.wait()

    def start_again(self) -> None:
        """As a service manager does."""
        serve = ["gateway.cli", "serve", "--config", str(self.configuration)]
        log = self.folder / "gateway.log"
        self._process = Process(serve, log, settings=self.settings, variables=self.variables)
        self._process.answers(f"{self.url}/-/health/ready")


@contextlib.contextmanager
def small_disk(at: Path, *, megabytes: int) -> Iterator[Path]:
    """A file system of its own, of this size."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        if os.environ.get("CI"):
            pytest.fail(_NO_DISK)
        pytest.skip(_NO_DISK)
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "cafpro-fault", str(at)]
    subprocess.run(mount, check=True)
    try:
        yield at
    finally:
        # Lazily: whoever still has a file open there ends by itself.
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not one more byte fits until the block ends."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (65_536, 4_096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def unwritable(processes: list[psutil.Process]) -> Iterator[None]:
    """Every write of these processes to a file fails, as on a disk that went read-only under open files."""
    before = {process.pid: resource.prlimit(process.pid, resource.RLIMIT_FSIZE) for process in processes}
    for pid, (_, most) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def with_siblings(file: Path) -> list[Path]:
    """A SQLite database's files: itself, its log, the index of that log."""
    return [found for found in (file, Path(f"{file}-wal"), Path(f"{file}-shm")) if found.exists()]


def copy_of(file: Path, to: Path) -> None:
    """A backup of a database in use, made as an operator makes one."""
    with contextlib.closing(sqlite3.connect(file)) as source, contextlib.closing(sqlite3.connect(to)) as copy:
        source.backup(copy)


class Clock:
    """The clock of the processes that are started with `variables`: `step` moves it. Their monotonic clock goes on."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.step(0)
        self.variables = {
            "LD_PRELOAD": str(_faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(_STEPPING), os.environ.get("PYTHONPATH")))),
        }

    def step(self, seconds: int) -> None:
        """From now on the clock differs from ours by so many seconds."""
        aside = self._file.with_suffix(".new")
        aside.write_text(f"{seconds:+d}\n")
        aside.replace(self._file)


def _faketime() -> Path:
    return found_or_installed(lambda: next(iter(sorted(Path("/").glob(_LIBRARIES.lstrip("/")))), None), "faketime")


class MoodyBackend:
    """Answers the stub's dossiers, or does what `mood` says, from the next request on.

    `well`; `hangs` without a word; `drips` a byte a second; `resets` in the middle of the body; `garbage` instead of
    HTTP; `lies`: another family's dossier.
    """

    def __init__(self) -> None:
        self.mood = "well"
        self.padding = 0
        """Bytes that dossier `1500001` has in one of its rubrics."""
        self._ending = threading.Event()
        self._port = free_port()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """On the same port as before."""
        self._ending.clear()
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=1024)
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def stop(self) -> None:
        """All connections end, and no new one is taken."""
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            received = b""
            while not self._ending.is_set():
                while b"\r\n\r\n" not in received:
                    piece = connection.recv(65_536)
                    if not piece:
                        return
                    received += piece
                head, _, received = received.partition(b"\r\n\r\n")
                if not self._answer(connection, head.split(b" ", 2)[1].decode()):
                    return
        self._open.discard(connection)

    def dossier(self, number: str) -> bytes:
        """What it answers when it is well."""
        if number == "1500001":
            filled = "x" * self.padding
            text = f'{{"numero":"{number}","caisse":"851","rubriques":{{"droits":{{"texte":"{filled}"}}}}}}'
            return text.encode()
        return dossier_text(number) or b""

    def _answer(self, connection: socket.socket, path: str) -> bool:
        """Whether the connection goes on."""
        mood = self.mood
        body = self.dossier("9990002" if mood == "lies" else path[-7:])
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        if mood == "hangs":
            connection.recv(1)
        elif mood == "garbage":
            connection.sendall(b"\x16\x03\x01" + body)
        elif mood == "resets":
            connection.sendall(head + body[:1000])
            # No time to linger: the other side is told that the connection was reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        elif mood == "drips":
            for at in range(len(head + body)):
                connection.sendall((head + body)[at : at + 1])
                if self._ending.wait(1.0):
                    break
        else:
            connection.sendall(head + body)
            return True
        return False


def ended(processes: list[psutil.Process], *, seconds: float = 20) -> None:
    """Returns when none of these is there any more."""
    until(lambda: not any(alive(process) for process in processes), "the processes have ended", seconds=seconds)


def alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def moments(rounds: int, *, most: float) -> Iterator[float]:
    """Seconds to wait before each of so many strikes: never the same point of a request twice."""
    golden = 0.618_033_988_75
    for number in range(rounds):
        yield (number * golden % 1) * most
