"""Processes that begin with the gateway's modules in memory, forked from one that has imported them, as the gateway
forks its workers: the tests start hundreds, and each would import for a second of the processor first.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

_KNOWN = ("gateway.cli.check", "gateway.cli.init", "gateway.cli.serve", "upstream_stub.__main__")
_OWN = frozenset({"POLAR_TIMEOUT_MS"})
"""Variables that those modules set for themselves."""
_PR_SET_PDEATHSIG = 1
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([*_KNOWN, "tests.story.proven", "tests.story.warm"])


class WarmProcess:
    """`python -m` with these arguments, its standard output and error appended to files; used like a `Popen`. From its
    standard input nothing comes, and no end."""

    def __init__(
        self,
        arguments: Sequence[str],
        output: Path,
        variables: Mapping[str, str],
        *,
        errors: Path | None = None,
        folder: Path | None = None,
        processor_seconds: int | None = None,
    ) -> None:
        """Both into one file where `errors` has none of its own. The system ends what wants more of the processor."""
        told = list(arguments), output, errors or output, dict(variables), folder, processor_seconds
        # A daemon, in that module's sense: it is told to end, and not waited for, when the tests end before it.
        self._process: ForkServerProcess = _CONTEXT.Process(target=_become, args=told, daemon=True)
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


def run(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    *,
    seconds: float,
    folder: Path | None = None,
    processor_seconds: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """What a command answers. Raises `subprocess.TimeoutExpired` after so many seconds."""
    with TemporaryDirectory() as beside:
        output, errors = Path(beside, "output"), Path(beside, "errors")
        process = WarmProcess(
            arguments, output, variables, errors=errors, folder=folder, processor_seconds=processor_seconds
        )
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        return subprocess.CompletedProcess(list(arguments), code, output.read_text(), errors.read_text())


def _become(
    arguments: list[str],
    output: Path,
    errors: Path,
    variables: dict[str, str],
    folder: Path | None,
    processor_seconds: int | None,
) -> None:
    # Where the tests are killed, what they started ends with the process that forks it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # Its end is kept open: whoever reads what is never written waits for ever.
    nothing, _ = os.pipe()
    os.dup2(nothing, 0)
    for stream, path in (1, output), (2, errors):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(file, stream)
        os.close(file)
    if folder:
        os.chdir(folder)
    if processor_seconds:
        resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds))
    for name in os.environ.keys() - variables.keys() - _OWN:
        del os.environ[name]
    os.environ.update(variables)
    sys.argv = list(arguments)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
