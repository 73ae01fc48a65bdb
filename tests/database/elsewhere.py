"""Other processes that have the same file, or the same server, open."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_OCCUPY = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement)
print("there", flush=True)
sys.stdin.readline()
connection.close()
"""
_WRITE_ON = """
import sqlite3, sys, threading, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), over.set())).start()
connection.execute("BEGIN IMMEDIATE")
print("there", flush=True)
while not over.wait(0.1):
    connection.execute("COMMIT")
    time.sleep(0.004)
    connection.execute("BEGIN IMMEDIATE")
"""
_RECOVER = """
import fcntl, os, sys
shared = os.open(sys.argv[1] + "-shm", os.O_RDWR)
for lock in (120, 122):
    fcntl.lockf(shared, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, lock)
os.pwrite(shared, bytes(96), 0)
print("there", flush=True)
sys.stdin.readline()
"""
WRITING = ("BEGIN IMMEDIATE",)
ALONE = ("PRAGMA locking_mode = EXCLUSIVE", "BEGIN IMMEDIATE", "CREATE TABLE occupant (id INTEGER)", "COMMIT")
"""Keeps everyone else from opening the file, to read it too."""


def begin(script: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process that knows this project, when it has said its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline(), "it ended before it said a word"
    return process


def end(process: subprocess.Popen[str], *, seconds: float = 30) -> str:
    """What else it says after a line was said to it. It must end well."""
    try:
        said, _ = process.communicate("go on\n", timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0
    return said


def occupied(
    file: Path, statements: tuple[str, ...] = WRITING
) -> contextlib.AbstractContextManager[Callable[[], object]]:
    """Another process occupies the file until what this yields is called, or the block ends."""
    return _at_work(_OCCUPY, str(file), *statements)


def written_on(file: Path) -> contextlib.AbstractContextManager[Callable[[], object]]:
    """The same, but that every tenth of a second it leaves the file to others for four thousandths."""
    return _at_work(_WRITE_ON, str(file))


def recovered(file: Path) -> contextlib.AbstractContextManager[Callable[[], object]]:
    """Another process does what SQLite does first in a file whose users were all ended: it reads the log, with the two
    locks that this takes (walformat: the writer's and the recoverer's), while the index of it counts for nothing."""
    return _at_work(_RECOVER, str(file))


@contextlib.contextmanager
def _at_work(script: str, *arguments: str) -> Iterator[Callable[[], object]]:
    process = begin(script, *arguments)
    try:
        yield lambda: end(process)
    finally:
        if process.poll() is None:
            end(process)


def commit(file: Path, *statements: str) -> None:
    """Another process makes these changes, and ends."""
    with occupied(file, ("BEGIN IMMEDIATE", *statements, "COMMIT")):
        pass
