# ruff: noqa: E501 -- one end, one line: tables are read across
"""The check runs in a process of its own: whatever becomes of it is a finding, and nothing of it stays."""

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from gateway.policy_files import child
from gateway.policy_files.child import OUT_OF_MEMORY, PATIENCE, checked, checked_folder
from gateway.policy_files.findings import LONGEST_SENTENCE, Finding, Findings, clipped
from gateway.policy_files.folder import ROUTES
from gateway.policy_files.looking import looked_at

M, C, G = "matrix.polar", "conditions.polar", "gates.polar"
IN_FORCE = 'agent.convention = "in_force"'


@pytest.fixture
def folder(every_text, tmp_path) -> Path:
    copy = tmp_path / "policies"
    copy.mkdir()
    for name, text in every_text.items():
        (copy / name).write_text(text, encoding="utf-8")
    return copy


@pytest.fixture
def start(monkeypatch):
    """What the child runs in place of the check."""

    def start(code: str) -> None:
        monkeypatch.setattr(child, "_START", f"import sys; sys.path.insert(0, sys.argv[1]); {code}")

    return start


def sentences(findings: Findings) -> list[str]:
    assert findings.policy is None
    return [f"{each.stage}: {each.said}" for each in findings.problems]


def test_the_shipped_policies_are_found_to_be_good_and_what_they_say_is_counted(every_text, in_force):
    findings = checked(every_text, seconds=60)
    assert findings.problems == ()
    assert findings.policy is not None
    assert msgspec.to_builtins(findings.policy) == {
        **{"fingerprint": in_force.fingerprint, "rubrics": 20, "profiles": 14, "open_cells": 89, "entrusted_cells": 19},
        **{"conditions": 5, "refusals": 1, "routes": 5},
    }


def test_what_is_found_in_the_child_is_what_is_found_here(every_text):
    spoilt = {**every_text, M: every_text[M].replace('"creances"', '"creance"'), ROUTES: "x = 1\n" + every_text[ROUTES]}
    *_, here = looked_at(spoilt)
    assert checked(spoilt) == here
    assert {each.file for each in here.problems} == {M, ROUTES}


def test_several_mistakes_of_a_file_are_told_at_once_whatever_their_kind(every_text):
    spoilt = every_text[M].replace('["T2", "T3"]', '["T2", T3]').replace('"creances"', '"creance"')
    found = checked({**every_text, M: spoilt.replace('rubric("qf_caf"', 'rubrique("qf_caf"')})
    assert [(each.line, each.column) for each in found.problems] == [(8, 45), (14, 8), (16, 1)]


def test_files_that_cannot_be_read_are_told_with_the_mistakes_of_the_others(folder):
    (folder / G).unlink()
    (folder / C).write_bytes(b"# \n\xff")
    (folder / M).write_text((folder / M).read_text().replace('"creances"', '"creance"'))
    findings, texts = checked_folder(folder)
    assert [(each.stage, each.file, each.line, each.column) for each in findings.problems] == [
        *(("files", C, 2, 1), ("files", G, 1, 1)),
        *(("rules", M, 1, 1), ("rules", M, 14, 8)),
    ]
    assert G not in texts and C not in texts


def test_a_folder_that_is_not_there_is_one_finding(tmp_path):
    findings, texts = checked_folder(tmp_path / "nowhere")
    assert sentences(findings) == ["files: there is no such folder of policies."]
    assert texts == {}


def test_a_text_that_no_file_could_hold_is_refused_before_a_child_begins(every_text, monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    findings = checked({**every_text, M: "# \udcff"})
    assert [str(each) for each in findings.problems] == [f"{M}:1: the file is not UTF-8; save it as UTF-8."]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "limits: the engine crashed on these policies (SIGSEGV), perhaps for want of memory."),
        ("import os; os.abort()", "limits: the engine crashed on these policies (SIGABRT), perhaps for want of memory."),
        ("sys.exit(3)", "limits: the check ended without a result (exit 3)."),
        (f"sys.exit({OUT_OF_MEMORY})", "limits: the check needed more than 1024 MB of memory: a rule has no end, or a file is too large."),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "limits: the check used more than 20 seconds of the processor: a rule has no end, or a file is too large."),
        ("import msgspec; raise RuntimeError('a secret')", "limits: the check ended without a result (exit 1)."),
    ],
)  # fmt: skip
def test_a_child_that_ends_in_any_other_way_is_a_finding_in_words(every_text, start, code, said):
    start(code)
    assert sentences(checked(every_text)) == [said]


def test_what_was_found_before_the_engine_ended_the_process_is_kept(every_text, start):
    start(
        "from gateway.policy_files import child, looking; import os\n"
        "def crash(*_): os.abort()\n"
        "looking.engine = crash; child.main(*sys.argv[2:])"
    )
    spoilt = every_text[ROUTES].replace('action = "consult"', 'action = "consulter"', 1)
    first, second = sentences(checked({**every_text, ROUTES: spoilt}))
    assert first.startswith('routes: action cannot be "consulter"')
    assert second.startswith("limits: the engine crashed on these policies (SIGABRT)")


def test_a_child_that_does_not_end_is_ended_and_said_so(every_text, start):
    start("import time; time.sleep(600)")
    began = time.monotonic()
    found = sentences(checked(every_text, seconds=0.2))
    assert found == ["limits: the check did not end within 1 seconds: a rule has no end, or a file is too large."]
    assert time.monotonic() - began < 600 / PATIENCE


def test_a_child_that_computes_for_ever_is_ended_by_its_limit(every_text, start, monkeypatch):
    start("from gateway.policy_files.child import _limit; _limit(1, 1024)\nwhile True: pass")
    monkeypatch.setattr(child, "PATIENCE", 120)
    [found] = sentences(checked(every_text, seconds=1))
    assert (
        found
        == "limits: the check used more than 1 seconds of the processor: a rule has no end, or a file is too large."
    )


def test_a_child_that_takes_too_much_memory_is_ended_by_its_limit(every_text, start):
    start(
        "from gateway.policy_files import child\n"
        "child.looked_at = lambda texts: [bytearray(2**31)]; child.main(*sys.argv[2:])"
    )
    said = "limits: the check needed more than 512 MB of memory: a rule has no end, or a file is too large."
    assert sentences(checked(every_text, megabytes=512)) == [said]


def test_nothing_that_lies_in_the_working_folder_is_imported(every_text, tmp_path, monkeypatch):
    """Whoever checks stands in a folder that somebody else wrote."""
    witness = tmp_path / "it ran"
    for name in ("msgspec", "gateway", "polar", "json", "sitecustomize", "usercustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(witness)!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "json.py"))
    assert {each.stage for each in checked({**every_text, M: ""}).problems} == {"rules"}
    assert not witness.exists()


def test_the_child_is_told_nothing_of_the_environment_and_can_write_no_file(every_text, start, tmp_path, monkeypatch):
    monkeypatch.setenv("CAFPRO_RECORD__KEY", "a secret")
    start(
        "from gateway.policy_files.child import _limit; import os; _limit(20, 1024)\n"
        "assert 'CAFPRO_RECORD__KEY' not in os.environ\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"try:\n    os.write(os.open({str(tmp_path / 'file')!r}, os.O_CREAT | os.O_WRONLY), b'x')\n"
        "except OSError: sys.exit(44)"
    )
    assert sentences(checked(every_text)) == ["limits: the check ended without a result (exit 44)."]


def test_a_check_that_cannot_begin_is_a_finding(every_text, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert sentences(checked(every_text)) == ["limits: the check could not begin (No such file or directory)."]


def test_no_child_stays_behind(every_text, start):
    start("import time; time.sleep(600)")
    before = psutil.Process().children()
    checked(every_text, seconds=0.2)
    assert psutil.Process().children() == before


def test_a_sentence_about_something_very_long_keeps_its_two_ends():
    told = clipped("a" * 5_000 + "z")
    assert len(told) <= LONGEST_SENTENCE + 3 and told.startswith("aaa") and told.endswith("az")


def test_a_finding_is_told_with_its_file_and_line_or_of_the_policies_as_a_whole():
    assert str(Finding("rules", "a sentence.", M, 3, 7)) == "matrix.polar:3: a sentence."
    assert str(Finding("load", "a sentence.")) == "policies: a sentence."
