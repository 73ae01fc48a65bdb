"""May these policies come into force? Asked in a process of its own, so that nothing they do can hurt whoever asks."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import Misconfigured
from gateway.policy_files.approved import ApprovalRules, unapproved
from gateway.policy_files.folder import load_texts
from gateway.policy_files.watching import Look, Reason

CPU_SECONDS: Final = 60
"""Of a processor. A good folder takes two; where something must be enumerated, ten."""
MEMORY: Final = 2 * 1024 * 1024 * 1024
SECONDS: Final = 120.0
"""Of the clock: on a busy machine requests come first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why not, in sentences; or neither, where they may."""

    reason: Reason | None = None
    because: tuple[str, ...] = ()


class Question(msgspec.Struct, frozen=True, array_like=True):
    """The texts, and where they must be approved the folder in which the approval is, and who must have signed it."""

    texts: Mapping[str, str]
    folder: str = ""
    approvers: int = 1
    keys: str | None = None


class Found(msgspec.Struct, frozen=True, array_like=True):
    """Everything that is wrong with them, or else what is not approved."""

    wrong: tuple[str, ...]
    unapproved: tuple[str, ...]


def examined(found: Look, folder: Path, rules: ApprovalRules | None, *, seconds: float = SECONDS) -> Verdict:
    """Whether what was found in the folder is in order, and approved by these rules where there are any.

    A check that ends without a result is `unchecked`. Blocks until it ends.
    """
    if found.texts is None:
        return Verdict("unreadable", found.problems)
    question = Question(found.texts)
    if rules is not None:
        question = Question(found.texts, str(folder), rules.approvers, str(rules.keys) if rules.keys else None)
    try:
        done = subprocess.run(  # noqa: S603 - our own
            [sys.executable, "-m", __name__],
            input=msgspec.msgpack.encode(question),
            capture_output=True,
            timeout=seconds,
            check=True,
        )
        told = msgspec.msgpack.decode(done.stdout, type=Found)
    except subprocess.TimeoutExpired:
        return Verdict("unchecked", (f"The check did not end within {seconds:.0f} seconds.",))
    except (OSError, subprocess.CalledProcessError, msgspec.DecodeError) as fault:
        return Verdict("unchecked", (f"The check ended without a result ({_why(fault)}).",))
    if told.wrong:
        return Verdict("refused", told.wrong)
    return Verdict("unapproved", told.unapproved) if told.unapproved else Verdict()


def _why(fault: Exception) -> str:
    if isinstance(fault, subprocess.CalledProcessError):
        return f"exit {fault.returncode}"
    return getattr(fault, "strerror", None) or type(fault).__name__


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    question = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.msgpack.encode(_answer(question)))


def _answer(question: Question) -> Found:
    try:
        loaded = load_texts(question.texts)
    except Misconfigured as error:
        return Found(error.problems, ())
    if not question.folder:
        return Found((), ())
    rules = ApprovalRules(question.approvers, Path(question.keys) if question.keys else None)
    return Found((), tuple(unapproved(Path(question.folder), loaded, rules)))


if __name__ == "__main__":
    _main()
