"""May these policies come into force? Asked in processes of their own: nothing they do can hurt whoever asks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import Misconfigured
from gateway.policy_files.approved import ApprovalRules, approval_in, unapproved
from gateway.policy_files.child import checked, isolated
from gateway.policy_files.folder import load_texts
from gateway.policy_files.watching import Look, Reason
from gateway.structs import prepared

SECONDS: Final = 120.0
"""Of the clock, for what opens something to be told from what is approved: on a busy machine requests come first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why not, in sentences; or neither, where they may."""

    reason: Reason | None = None
    because: tuple[str, ...] = ()


class Question(msgspec.Struct, frozen=True, array_like=True):
    """Texts that are in order, the folder in which their approval is, and who must have signed it."""

    texts: Mapping[str, str]
    folder: str
    approvers: int
    keys: str | None


def examined(found: Look, folder: Path, rules: ApprovalRules | None, *, seconds: float = SECONDS) -> Verdict:
    """Whether what was found in the folder is in order, and approved by these rules where there are any.

    A check that ends without a result is `unchecked`. Blocks until it ends.
    """
    if found.texts is None:
        return Verdict("unreadable", found.problems)
    findings = checked(found.texts)
    if findings.problems:
        late = any(problem.stage == "limits" for problem in findings.problems)
        return Verdict("unchecked" if late else "refused", tuple(str(problem) for problem in findings.problems))
    if rules is None or _exactly_approved(folder, rules, found.fingerprint):
        return Verdict()
    keys = str(rules.keys) if rules.keys else None
    return _compared(Question(found.texts, str(folder), rules.approvers, keys), seconds)


def _exactly_approved(folder: Path, rules: ApprovalRules, fingerprint: str) -> bool:
    try:
        return approval_in(folder, rules).fingerprint == fingerprint
    except Misconfigured:
        return False


def _compared(question: Question, seconds: float) -> Verdict:
    """What the texts open beyond what is approved: asked in a child, since to enumerate them takes seconds."""
    try:
        done = isolated(__name__, asked=msgspec.msgpack.encode(question), seconds=seconds)
        done.check_returncode()
        told = msgspec.msgpack.decode(done.stdout, type=tuple[str, ...])
    except subprocess.TimeoutExpired:
        said = f"What is approved was not compared within {seconds:.0f} seconds."
        return Verdict("unchecked", (said,))
    except (OSError, subprocess.CalledProcessError, msgspec.DecodeError) as fault:
        return Verdict("unchecked", (f"What is approved could not be compared ({_why(fault)}).",))
    return Verdict("unapproved", told) if told else Verdict()


def _why(fault: Exception) -> str:
    if isinstance(fault, subprocess.CalledProcessError):
        return f"exit {fault.returncode}"
    return getattr(fault, "strerror", None) or type(fault).__name__


def main() -> None:
    """In the child: read the question, write what is not approved."""
    question = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=prepared(Question))
    rules = ApprovalRules(question.approvers, Path(question.keys) if question.keys else None)
    told = unapproved(Path(question.folder), load_texts(question.texts, proven=True), rules)
    sys.stdout.buffer.write(msgspec.msgpack.encode(told))
