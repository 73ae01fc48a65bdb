"""All the harnesses at once, each in its process, for so many seconds."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.harnesses import HARNESSES
from tests.story.running import environment

LAST_LINES = 12
"""Of a harness that did not come to its end. One that did tells what it recommends, in as many lines as it likes."""
PATIENCE = 300
"""Seconds beyond its time that a harness may take to read what it begins with, on a busy machine."""


def run_all(seconds: int, corpus: Path) -> dict[str, tuple[int, str]]:
    """How each harness ended, and the end of what it said: 0 where no input broke a promise.

    They begin with the inputs in `corpus`/name, of which nothing is changed.
    """
    with tempfile.TemporaryDirectory() as folder:
        running = {name: begin(name, seconds, Path(folder), corpus / name) for name in HARNESSES}
        try:
            return {
                name: (process.wait(seconds + PATIENCE), last(Path(folder), name)) for name, process in running.items()
            }
        finally:
            for process in running.values():
                process.kill()
                process.wait()


def begin(name: str, seconds: int, folder: Path, corpus: Path) -> subprocess.Popen[bytes]:
    found = folder / name
    found.mkdir()
    # Not measured: the instrumentation of coverage.py would take the time, and look at itself.
    measured = {key: value for key, value in environment().items() if not key.startswith("COVERAGE")}
    arguments = [f"-max_total_time={seconds}", "-print_final_stats=1", str(found), str(corpus)]
    with (folder / f"{name}.log").open("wb") as log:
        command = [sys.executable, "-m", "tests.fuzz", name, *arguments]
        return subprocess.Popen(command, stdout=log, stderr=log, env=measured)


def last(folder: Path, name: str) -> str:
    lines = (folder / f"{name}.log").read_text(errors="replace").splitlines()
    done = next((number for number, line in enumerate(lines) if re.match(r"#\d+\s+DONE\b", line)), -LAST_LINES)
    return "\n".join(f"    {line[:400]}" for line in lines[done:])
