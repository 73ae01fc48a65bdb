"""A check takes place in a process of its own: whatever becomes of it, whoever asked goes on."""

import os
import shutil
import subprocess
import sys

import pytest

from gateway.policy_files import examining
from gateway.policy_files.approved import ApprovalRules
from gateway.policy_files.examining import examined
from gateway.policy_files.findings import Finding, Findings
from gateway.policy_files.folder import shipped
from gateway.policy_files.history import take_as_approved
from gateway.policy_files.watching import look

MATRIX = "matrix.polar"
ENFANTS = '"Enfants",     ["T2", "T3"]'


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(shipped(), tmp_path / "policies")
    take_as_approved(tmp_path / "policies")
    return tmp_path / "policies"


def change(folder, old, new):
    written = (folder / MATRIX).read_text()
    assert written.count(old) == 1
    (folder / MATRIX).write_text(written.replace(old, new))


def verdict(folder, rules=None, **more):
    return examined(look(folder), folder, rules or ApprovalRules(), **more)


def test_what_is_in_order_and_approved_may_come_into_force(folder):
    assert verdict(folder).reason is None


def test_what_closes_needs_no_approval_and_what_opens_does(folder):
    # What was taken as approved is approved as it is, and nothing besides: the shipped approval names its cells.
    shutil.copyfile(shipped() / "approved.json", folder / "approved.json")
    change(folder, ENFANTS, '"Enfants",     ["T3"]')
    assert verdict(folder).reason is None
    change(folder, '"Enfants",     ["T3"]', '"Enfants",     ["T3", "T1"]')
    opened = verdict(folder)
    assert opened.reason == "unapproved"
    assert opened.because
    assert examined(look(folder), folder, None).reason is None, "nobody approves a draft"


def test_everything_that_is_wrong_is_told(folder):
    change(folder, '"creances"', '"creance"')
    (folder / "routes.toml").write_text("[[route]]\n")
    found = verdict(folder)
    assert found.reason == "refused"
    assert [line for line in found.because if line.startswith("matrix.polar:14")]
    assert [line for line in found.because if line.startswith("routes.toml")]


def test_a_folder_that_cannot_be_read_is_not_checked(folder, monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    (folder / MATRIX).unlink()
    found = verdict(folder)
    assert found.reason == "unreadable"
    assert [line for line in found.because if "missing" in line]


def opened(folder):
    """More than is approved, so that it must be told from it."""
    (folder / "approved.json").unlink()
    change(folder, ENFANTS, '"Enfants",     ["T2", "T3", "T1"]')


def test_a_comparison_that_does_not_end_is_ended(folder):
    opened(folder)
    found = verdict(folder, seconds=0.05)
    assert (found.reason, found.because) == ("unchecked", ("What is approved was not compared within 0 seconds.",))


ENDS = {
    "is killed": ("import os; os.kill(os.getpid(), 9)", "exit -9"),
    "fails": ("raise SystemExit(3)", "exit 3"),
    "says nothing": ("", "DecodeError"),
    "says something else": ("print('ok')", "ValidationError"),
}


@pytest.mark.parametrize(("does", "why"), ENDS.values(), ids=ENDS)
def test_a_comparison_that_ends_otherwise_is_none(folder, monkeypatch, tmp_path, does, why):
    opened(folder)
    monkeypatch.setattr(examining, "checked", lambda _: Findings())
    command = tmp_path / "python"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{does}"\n')
    command.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(command))
    found = verdict(folder)
    assert (found.reason, found.because) == ("unchecked", (f"What is approved could not be compared ({why}).",))


def test_a_check_that_cannot_begin_is_no_check(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = verdict(folder)
    assert found.reason == "unchecked"
    assert os.strerror(2) in found.because[0]


def test_a_check_that_met_a_limit_is_no_check(folder, monkeypatch):
    """What is slow on a busy machine may be tried again; what is wrong may not."""
    late = Finding("limits", "the check did not end within 80 seconds")
    monkeypatch.setattr(examining, "checked", lambda _: Findings((late,)))
    assert verdict(folder).reason == "unchecked"


def test_what_is_exactly_what_was_approved_is_not_compared(folder, monkeypatch):
    monkeypatch.setattr(examining, "_compared", None)
    assert verdict(folder).reason is None
