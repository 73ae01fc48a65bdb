"""A policies folder is checked in a process of its own, with limits: nothing that it does can hurt whoever asks.

The process is given texts and gives back a small value. It begins without the environment, without the working folder
on its path, without the right to write a file; the engine in it runs no more of a policy than the gateway's would.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

import gateway
from gateway.policy_files.findings import Finding, Findings
from gateway.policy_files.folder import readable
from gateway.policy_files.looking import looked_at
from gateway.structs import prepared

PATIENCE: Final = 4
"""Seconds of the clock for each of the processor: a busy machine is no mistake of the policy."""
OUT_OF_MEMORY: Final = 70
_ENDLESS: Final = "a rule has no end, or a file is too large."
_START: Final = "import sys; sys.path.insert(0, sys.argv[1]); from {module} import main; main(*sys.argv[2:])"


def isolated(module: str, *arguments: str, asked: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """`main` of one of our modules in a process that gets `asked` and has so many seconds of the clock: without the
    environment, and with nothing but the gateway on its path. Raises `OSError` or `subprocess.TimeoutExpired`.
    """
    root = str(Path(gateway.__file__).resolve().parents[1])
    return subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-I", "-B", "-c", _START.format(module=module), root, *arguments],
        input=asked,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        timeout=seconds,
        check=False,
    )


def checked_folder(folder: Path) -> tuple[Findings, Mapping[str, str]]:
    """Everything that is wrong with a folder, and the texts of those of its files that could be read."""
    texts, unread = readable(folder)
    problems = [Finding("files", each.said, each.file, each.line, each.column) for each in unread]
    if not texts:
        return Findings(tuple(problems)), texts
    findings = checked(texts)
    named = {problem.file for problem in problems}
    problems += [each for each in findings.problems if each.file not in named]
    return Findings(tuple(problems), None if problems else findings.policy), texts


def checked(texts: Mapping[str, str], *, seconds: float = 20.0, megabytes: int = 1024) -> Findings:
    """Everything that is wrong with these texts (file name → text), found in a child process.

    It may use so many `seconds` of the processor, `PATIENCE` times as many of the clock, and so much memory. Where it
    does not end by itself within them, that is a finding.
    """
    unwritten = [name for name, text in texts.items() if not _can_be_saved(text)]
    if unwritten:
        return Findings(tuple(Finding("files", "the file is not UTF-8; save it as UTF-8.", name) for name in unwritten))
    asked = msgspec.msgpack.encode({_shown(name): text for name, text in texts.items()})
    try:
        done = isolated(__name__, str(seconds), str(megabytes), asked=asked, seconds=seconds * PATIENCE)
    except subprocess.TimeoutExpired as late:
        return _ended(late.stdout or b"", f"the check did not end within {seconds * PATIENCE:.0f} seconds: {_ENDLESS}")
    except OSError as error:
        return Findings((Finding("limits", f"the check could not begin ({error.strerror})."),))
    if done.returncode:
        return _ended(done.stdout, _why(-done.returncode, seconds=seconds, megabytes=megabytes))
    return _answers(done.stdout)[-1]


def main(seconds: str, megabytes: str) -> None:
    """In the child: read texts, write what is found, line by line as more is known."""
    _limit(float(seconds), int(megabytes))
    texts = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=dict[str, str])
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever the engine may print is none of ours
    try:
        for findings in looked_at(texts):
            answer.write(msgspec.json.encode(findings) + b"\n")
            answer.flush()
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _limit(seconds: float, megabytes: int) -> None:
    # Of the clock, for one question: what has no end is ended by the processor's limit.
    os.environ["POLAR_TIMEOUT_MS"] = str(round(seconds * PATIENCE * 1000))
    whole = math.ceil(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))  # the first ends it with a signal of its own
    for what, most in (
        (resource.RLIMIT_AS, megabytes * 1024 * 1024),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _answers(written: bytes) -> list[Findings]:
    """What the child said, line by line; a line that is not whole was cut off with it."""
    lines = written.split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=prepared(Findings)) for line in lines] or [Findings()]


def _ended(written: bytes, said: str) -> Findings:
    return Findings((*_answers(written)[-1].problems, Finding("limits", said)))


def _why(end: int, *, seconds: float, megabytes: int) -> str:
    if end == signal.SIGXCPU:
        return f"the check used more than {seconds:.0f} seconds of the processor: {_ENDLESS}"
    if end == -OUT_OF_MEMORY:
        return f"the check needed more than {megabytes} MB of memory: {_ENDLESS}"
    if end > 0:
        return f"the engine crashed on these policies ({signal.Signals(end).name}), perhaps for want of memory."
    return f"the check ended without a result (exit {-end})."


def _can_be_saved(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    """A file's name may be no text."""
    return name.encode(errors="backslashreplace").decode()
