"""What a check found, told to people, to programs, to GitHub's log and as SARIF 2.1.0."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click
import msgspec

from gateway import __version__
from gateway.policy_files.findings import STAGES, Finding, Findings

WIDEST: Final = 140
"""Columns of a line that is shown; of a longer one, what is around the place."""
_WORD: Final = re.compile(r'"[^"\n]*"|[\w.]+|.')
SARIF_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in `folder`, the texts of its files as far as they could be read, and the seconds it took."""

    folder: Path
    findings: Findings
    texts: Mapping[str, str]
    seconds: float

    def path(self, finding: Finding) -> str:
        return str(self.folder / finding.file)

    def line(self, finding: Finding) -> str | None:
        """The line that a finding is about, or None where it is about no line that could be read."""
        lines = self.texts.get(finding.file, "").split("\n")
        return (
            lines[finding.line - 1].rstrip("\r") if finding.file in self.texts and finding.line <= len(lines) else None
        )

    def end(self, finding: Finding) -> int:
        """The column behind the word that stands at the place of a finding."""
        found = _WORD.match(self.line(finding) or "", finding.column - 1)
        return found.end() + 1 if found else finding.column + 1


# -------------------------------------------------------------------- text


def text(report: Report) -> str:
    """For people: each finding with its line and the place under it. Styled; `click.echo` takes that off for a pipe."""
    if not report.findings.problems:
        return _good(report)
    return f"{told(report)}. The gateway refuses this folder."


def told(report: Report) -> str:
    """Each finding with its line and the place under it, and how many there are: the beginning of a sentence."""
    problems = report.findings.problems
    parts = [part for finding in problems for part in (*_finding(report, finding), "")]
    files = len({finding.file for finding in problems})
    counted = f"{many(len(problems), 'problem')} in {many(files, 'file')}"
    return "\n".join([*parts, click.style(counted, fg="red", bold=True)])


def _good(report: Report) -> str:
    policy = report.findings.policy
    if policy is None:
        return f"{report.folder}: nothing was found, and nothing was checked."
    cells = policy.rubrics * policy.profiles
    mandated = f"{policy.entrusted_cells} of them only with a mandate"
    return "\n".join(
        [
            f"{report.folder}: {click.style('no problem found', fg='green', bold=True)}.",
            f"{many(policy.rubrics, 'rubric')}, {many(policy.profiles, 'profile')}, "
            f"{many(policy.open_cells, 'open cell')} of {cells}, {mandated}.",
            f"{many(policy.conditions, 'condition')}, {many(policy.refusals, 'refusal')}, "
            f"{many(policy.routes, 'route')}. Checked in {report.seconds:.1f} seconds.",
            f"fingerprint {policy.fingerprint}",
        ]
    )


def many(number: int, noun: str) -> str:
    """A number of things, in words that fit it."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _finding(report: Report, finding: Finding) -> Iterator[str]:
    line = report.line(finding)
    place = f"{report.path(finding)}:{finding.line}:{finding.column}" if finding.file else str(report.folder)
    yield f"{click.style(visible(place), bold=True)}: {visible(finding.said)}"
    if line:
        before, word, after = _around(line, finding.column - 1, report.end(finding) - 1)
        number = f"{finding.line:5} | "
        yield f"{click.style(number, dim=True)}{before}{word}{after}"
        marks = "^" * max(1, _width(word))
        yield f"{click.style(' ' * 5 + ' | ', dim=True)}{' ' * _width(before)}{click.style(marks, fg='red', bold=True)}"


def _around(line: str, start: int, end: int) -> tuple[str, str, str]:
    """The line as it is shown, in three: before the word, the word, behind it; of a long line a part."""
    first = 0 if len(line) <= WIDEST else max(0, start - WIDEST // 3)
    last = min(len(line), first + WIDEST)
    end = max(start + 1, min(end, last))
    before, word, after = line[first:start], line[start:end], line[end:last]
    return ("…" if first else "") + visible(before), visible(word), visible(after) + ("…" if last < len(line) else "")


def visible(text: str) -> str:
    """The text with what cannot be seen, or could move what is seen, written out."""
    return "".join(" " if each == "\t" else each if each.isprintable() else f"<U+{ord(each):04X}>" for each in text)


def _width(shown: str) -> int:
    """Columns of a terminal."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in shown)
    return len(shown) + wide - sum(unicodedata.combining(each) > 0 for each in shown)


# -------------------------------------------------------------------- json


def as_json(report: Report) -> str:
    policy = report.findings.policy
    shown = {
        "policy": policy.fingerprint if policy else None,
        "summary": policy,
        "seconds": round(report.seconds, 3),
        "problems": [
            {
                "file": report.path(each) if each.file else str(report.folder),
                "line": each.line if each.file else None,
                "column": each.column if each.file else None,
                "said": each.said,
                "stage": each.stage,
                "text": report.line(each) if each.file else None,
            }
            for each in report.findings.problems
        ],
    }
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


# -------------------------------------------------------------------- github


def github(report: Report) -> str:
    """Workflow commands: GitHub shows each beside its line."""
    return "\n".join(_command(report, finding) for finding in report.findings.problems)


def _command(report: Report, finding: Finding) -> str:
    place = {"file": report.path(finding), "line": finding.line, "endLine": finding.line}
    place |= {"col": finding.column, "endColumn": report.end(finding)}
    told = {**(place if finding.file else {"file": report.folder}), "title": f"cafpro policy check: {finding.stage}"}
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in told.items())
    return f"::error {properties}::{_data(finding.said)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# -------------------------------------------------------------------- sarif


def sarif(report: Report) -> str:
    """A log of one run, for whatever collects what tools found in a repository."""
    rules = [
        {"id": f"policy/{stage}", "shortDescription": {"text": f"{said}."}, "defaultConfiguration": {"level": "error"}}
        for stage, said in STAGES.items()
    ]
    driver = {"name": "cafpro policy check", "version": __version__, "semanticVersion": __version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not any(each.stage == "limits" for each in report.findings.problems)}],
        "results": [_result(report, finding) for finding in report.findings.problems],
    }
    log = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode()


def _result(report: Report, finding: Finding) -> dict[str, Any]:
    path = report.folder / finding.file
    physical: dict[str, Any] = {
        "artifactLocation": {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix())}
    }
    if finding.file:
        physical["region"] = {
            "startLine": finding.line,
            "startColumn": finding.column,
            "endLine": finding.line,
            "endColumn": report.end(finding),
        }
        line = report.line(finding)
        if line is not None:
            physical["contextRegion"] = {"startLine": finding.line, "endLine": finding.line, "snippet": {"text": line}}
    return {
        "ruleId": f"policy/{finding.stage}",
        "ruleIndex": list(STAGES).index(finding.stage),
        "level": "error",
        "message": {"text": finding.said},
        "locations": [{"physicalLocation": physical}],
    }


FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "text": text,
    "json": as_json,
    "github": github,
    "sarif": sarif,
}
