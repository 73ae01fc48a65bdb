"""What came of testing the policies, for people, for programs, and as JUnit XML for whatever shows test results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import msgspec

from gateway.cli.policy.reports import many
from gateway.policy.cases import Case, Failure, Verdict
from gateway.policy.coverage import Point, by_kind, percent
from gateway.policy.survival import Survival
from gateway.policy.trial import Trial

MOST_LISTED: Final = 40
"""Points that no test exercises, in text: the first of them."""
_PLURAL: Final = {"cell": "cells", "dossiers": "dossiers lines", "condition": "conditions", "rule": "rules"}


# -------------------------------------------------------------------- text


def text(trial: Trial, fingerprint: str) -> str:
    lines = [line for verdict in trial.failed for line in (*_failed(verdict), "")]
    lines.append(_summary(trial))
    if trial.coverage is not None:
        lines += ["", *_covered(trial.coverage)]
    if trial.survival is not None:
        lines += ["", *_survived(trial.survival)]
    return "\n".join([*lines, f"fingerprint {fingerprint}"])


def _failed(verdict: Verdict) -> Iterator[str]:
    test = verdict.test
    yield f"FAILED {test.file}:{test.line}: {test.name}"
    for failure in verdict.failures:
        yield from (f"  {line}" for line in _told(failure))
    if verdict.failed > len(verdict.failures):
        yield f"  and {verdict.failed - len(verdict.failures)} more like it, of {verdict.tried}."


def _told(failure: Failure) -> Iterator[str]:
    yield failure.situation
    yield f"  wanted   {failure.wanted}"
    yield f"  got      {failure.got}"
    for decided in failure.decided:
        yield f"  decided  {decided}"


def _summary(trial: Trial) -> str:
    tables = [verdict for verdict in trial.verdicts if isinstance(verdict.test, Case)]
    situations = sum(verdict.tried for verdict in tables)
    failed = f"{len(trial.failed)} failed" if trial.failed else "all kept"
    cases = f"{many(len(tables), 'case')}, {many(situations, 'situation')}"
    promises = many(len(trial.verdicts) - len(tables), "promise")
    return f"{many(len(trial.verdicts), 'test')} ({cases}; {promises}): {failed}."


def _covered(points: tuple[Point, ...]) -> Iterator[str]:
    yield f"coverage {_percent(percent(points))}"
    for kind, found in by_kind(points):
        exercised = sum(point.exercised for point in found)
        yield f"  {_PLURAL[kind]:<16}{exercised:>4} of {len(found):>4}"
    left = [point for point in points if not point.exercised]
    if left:
        yield "no case exercises:"
    yield from (f"  {point.where:<22} {point.said}" for point in left[:MOST_LISTED])
    if len(left) > MOST_LISTED:
        yield f"  and {len(left) - MOST_LISTED} more (--format json lists all)."


def _survived(survival: Survival) -> Iterator[str]:
    noticed = survival.counted - len(survival.survivors)
    yield f"mutation score {_percent(survival.percent)}: {noticed} of {survival.counted} changes would be noticed"
    yield f"  {survival.cells} cells opened or closed, {survival.conditions} changed conditions"
    if survival.without_effect:
        yield f"  not counted: {survival.without_effect} that would change nothing"
    if survival.unusable:
        yield f"  not counted: {survival.unusable} with which nothing could be decided"
    if survival.survivors:
        yield "untested rights:"
    yield from (f"  {survivor.where:<22} {survivor.said}" for survivor in survival.survivors)


def _percent(value: float) -> str:
    # Never rounded up to what it is not.
    return f"{int(value * 10) / 10:.1f} %"


# -------------------------------------------------------------------- json


def json(trial: Trial, fingerprint: str) -> bytes:
    found: dict[str, Any] = {
        "policy": fingerprint,
        "failed": len(trial.failed),
        "tests": [_verdict(verdict) for verdict in trial.verdicts],
    }
    if trial.coverage is not None:
        found["coverage"] = {"percent": percent(trial.coverage), "points": trial.coverage}
    if trial.survival is not None:
        survival = trial.survival
        found["mutants"] = {"percent": survival.percent, "counted": survival.counted, **_fields(survival)}
    return msgspec.json.format(msgspec.json.encode(found), indent=2)


def _verdict(verdict: Verdict) -> Mapping[str, Any]:
    test = verdict.test
    return {
        "file": test.file,
        "line": test.line,
        "name": test.name,
        "kind": "case" if isinstance(test, Case) else "promise",
        "tried": verdict.tried,
        "failed": verdict.failed,
        "failures": verdict.failures,
    }


def _fields(survival: Survival) -> Mapping[str, Any]:
    return {name: getattr(survival, name) for name in survival.__slots__}


# -------------------------------------------------------------------- junit


def junit(trial: Trial, fingerprint: str) -> bytes:
    root = Element("testsuites", name=f"cafpro policy test {fingerprint}")
    by_file: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in trial.verdicts:
        by_file[verdict.test.file].append(verdict)
    for file, verdicts in by_file.items():
        failures = sum(bool(verdict.failed) for verdict in verdicts)
        suite = SubElement(root, "testsuite", name=file, tests=str(len(verdicts)), failures=str(failures))
        for verdict in verdicts:
            test = verdict.test
            case = SubElement(suite, "testcase", classname=file, name=test.name, file=file, line=str(test.line))
            if verdict.failed:
                failed = SubElement(case, "failure", message=f"{verdict.failed} of {verdict.tried} are not as wanted")
                failed.text = "\n".join(_failed(verdict))
    if trial.survival is not None:
        _untested(root, trial.survival)
    if trial.coverage is not None:
        root.insert(0, _properties(trial.coverage))
    indent(root)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _untested(root: Element, survival: Survival) -> None:
    number = len(survival.survivors)
    suite = SubElement(root, "testsuite", name="untested rights", tests=str(survival.counted), failures=str(number))
    for survivor in survival.survivors:
        case = SubElement(suite, "testcase", classname="untested rights", name=f"{survivor.where}: {survivor.said}")
        SubElement(case, "failure", message=survivor.said)


def _properties(points: tuple[Point, ...]) -> Element:
    suite = Element("testsuite", name="coverage", tests="0", failures="0")
    properties = SubElement(suite, "properties")
    for kind, found in (("all", list(points)), *by_kind(points)):
        SubElement(properties, "property", name=f"coverage.{kind}", value=f"{percent(found):.1f}")
    return suite


SHAPES: Final[Mapping[str, Callable[[Trial, str], str | bytes]]] = {"text": text, "json": json, "junit": junit}
