"""The nouns of the kit: a check, what it found, what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.selftest.site import Site


class Finding(NamedTuple):
    """Something that must not be: what was sent, in words, and what came back. Never a dossier's content."""

    sent: str
    came: str


class Inapplicable(NamedTuple):
    """Why a check has nothing to try. `unfinished`: it applies, and could not be carried out this time."""

    reason: str
    unfinished: bool = False


Tried = Sequence[Finding] | Inapplicable


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is tried, about a line of the list. `sent` says in words what is sent, `hint` where to look when
    something was found. `run` returns its findings, none when all is well."""

    line: int
    name: str
    sent: str
    hint: str
    run: Callable[[Site], Tried]


class Verdict(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Result:
    """One entry of the report. `came` is a count of what came back; `reason` says why it is not applicable."""

    line: int
    family: str
    check: str
    verdict: Verdict
    sent: str
    came: str
    reason: str
    unfinished: bool
    findings: tuple[Finding, ...]
    hint: str
    references: tuple[str, ...]

    def shown(self) -> dict[str, Any]:
        """The entry as JSON has it: all of its fields, the hint where it failed."""
        return {
            "line": self.line,
            "family": self.family,
            "check": self.check,
            "verdict": str(self.verdict),
            "sent": self.sent,
            "came": self.came,
            "reason": self.reason,
            "unfinished": self.unfinished,
            "findings": [finding._asdict() for finding in self.findings],
            "hint": self.hint if self.verdict is Verdict.FAILED else "",
            "references": list(self.references),
        }
