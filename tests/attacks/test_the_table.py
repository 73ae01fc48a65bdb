"""The table of tests/README.md tells the truth: every line of the list has its tests, none of them is left out."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gateway.selftest.catalogue import LINES, Line
from tests.attacks.table import TESTS, Case, table, written


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """What is collected now, by another process: this one may run a part of the tests."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.attacks.table", "--collect"],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return [Case(*case) for case in json.loads(done.stdout.splitlines()[-1])]


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.number}: {line.attack}")
def test_every_line_is_tried_on_the_running_gateway(cases: list[Case], line: Line) -> None:
    """Here, or where the machine itself is broken."""
    tried = [case for case in cases if line.number in case.lines]
    assert [case for case in tried if case.file.startswith(("attacks/", "faults/"))]


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.number}: {line.attack}")
def test_every_published_fault_is_named_by_a_test_of_its_line(cases: list[Case], line: Line) -> None:
    said = "\n".join(case.says for case in cases if line.number in case.lines)
    published = [reference for reference in line.references if reference.startswith(("CVE-", "GHSA-"))]
    assert [reference for reference in published if reference not in said] == []


def test_no_mark_names_a_line_that_is_not_in_the_list(cases: list[Case]) -> None:
    assert {number for case in cases for number in case.lines} <= {line.number for line in LINES}


def test_no_attack_is_skipped_or_expected_to_succeed(cases: list[Case]) -> None:
    assert {f"{case.file}::{case.test}: {', '.join(case.undone)}" for case in cases if case.undone} == set()


@pytest.mark.looks_inside  # at tests: some are left out where this one is
def test_the_table_names_the_tests_that_there_are(cases: list[Case]) -> None:
    """`make attacks-table` writes it anew."""
    assert [row[:-1] for row in written()] == [row[:-1] for row in table(cases)]


def test_the_table_was_written_when_all_of_them_passed() -> None:
    rows = written()
    assert len(rows) == len(LINES)
    assert [row[-1] for row in rows] == [f"{row[4]} passed" for row in rows]
