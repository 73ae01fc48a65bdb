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


@contextlib.contextmanager
def occupied(file: Path, statements: tuple[str, ...] = WRITING) -> Iterator[Callable[[], object]]:
    """Another process occupies the file until what this yields is called, or the block ends."""
    process = begin(_OCCUPY, str(file), *statements)
    try:
        yield lambda: end(process)
    finally:
        if process.poll() is None:
            end(process)


def commit(file: Path, *statements: str) -> None:
    """Another process makes these changes, and ends."""
    with occupied(file, ("BEGIN IMMEDIATE", *statements, "COMMIT")):
        pass
