"""Processes that begin with the gateway's modules in memory, forked from one that has imported them, as the gateway
forks its workers: the tests start hundreds, and each would import for a second of the processor first.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_KNOWN = ("gateway.cli.check", "gateway.cli.serve", "upstream_stub.__main__")
_OWN = frozenset({"POLAR_TIMEOUT_MS"})
"""Variables that those modules set for themselves."""
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([*_KNOWN, "tests.story.warm"])


class WarmProcess:
    """`python -m` with these arguments, its standard output and error appended to a file; used like a `Popen`."""

    def __init__(self, arguments: Sequence[str], output: Path, variables: Mapping[str, str]) -> None:
        # A daemon, in that module's sense: it is told to end, and not waited for, when the tests end before it.
        self._process: ForkServerProcess = _CONTEXT.Process(
            target=_become, args=(list(arguments), str(output), dict(variables)), daemon=True
        )
        self._process.start()
        assert self._process.pid
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _become(arguments: list[str], output: str, variables: dict[str, str]) -> None:
    file = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)
    for name in os.environ.keys() - variables.keys() - _OWN:
        del os.environ[name]
    os.environ.update(variables)
    sys.argv = list(arguments)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
