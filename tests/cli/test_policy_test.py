"""`cafpro policy test`, as a security team and its pipeline use it."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.policy_files.folder import shipped

KEPT = '[[case]]\nname = "T2\'s column"\nprofile = "T2"\nopens = ["enfants", "qf_cnaf", "adresse"]\n'
BROKEN = '[[case]]\nname = "T3 & <T2>"\nprofile = "T3"\nopens = ["enfants", "adresse"]\n'


@pytest.fixture
def folder(tmp_path) -> Path:
    """The shipped policies with a few tests of its own and no promise: nothing is enumerated."""
    copy = tmp_path / "policies"
    shutil.copytree(shipped(), copy, ignore=shutil.ignore_patterns("tests", "drafts", "history"))
    (copy / "tests").mkdir()
    (copy / "tests" / "own.toml").write_text(KEPT, encoding="utf-8")
    return copy


def cafpro(*words):
    return CliRunner().invoke(main, ["policy", "test", *map(str, words)])


def test_tests_that_are_kept_are_counted_and_end_with_0(folder):
    done = cafpro(folder)
    assert done.exit_code == 0
    first, second = done.stdout.splitlines()
    assert first == "1 test (1 case, 1 situation; 0 promises): all kept."
    assert second.startswith("fingerprint ")
    assert len(second.split()[1]) == 64


def test_a_test_that_is_not_kept_is_shown_with_what_decided_and_ends_with_1(folder):
    (folder / "tests" / "broken.toml").write_text(BROKEN, encoding="utf-8")
    done = cafpro("--policies", folder, "--mutants")
    assert done.exit_code == 1
    assert done.stdout.startswith(
        "FAILED tests/broken.toml:1: T3 & <T2>\n"
        "  T3, partner external, convention in_force, engagement signed, mandates none, objection none,"
        " assurance password, action consult\n"
        "    wanted   adresse, enfants\n"
        "    got      adresse, enfants, qf_caf\n"
        "    decided  qf_caf: opened by matrix.polar:16 (brochure 2012, row 12), with convention in force,"
        " engagement signed, identity proved, any dossier\n"
        "\n"
        "2 tests (2 cases, 2 situations; 0 promises): 1 failed.\n"
    )
    assert "mutation score" not in done.stdout
    assert done.stderr == "Which changes would be noticed is told once every test is kept.\n"


def test_coverage_says_in_percent_and_by_name_what_no_case_exercises(folder):
    done = cafpro(folder, "--coverage")
    assert done.exit_code == 0
    assert "  cells             20 of  280\n" in done.stdout
    assert "no case exercises:\n  matrix.polar:5 " in done.stdout
    assert "T1 × paiement (open)" in done.stdout
    assert "more (--format json lists all)." in done.stdout


def test_untested_rights_are_sentences_and_end_with_1(folder):
    done = cafpro(folder, "--mutants")
    assert done.exit_code == 1
    assert "untested rights:\n" in done.stdout
    assert "  matrix.polar:14        If T1 lost `creances`, no test would notice.\n" in done.stdout
    assert "280 cells opened or closed" in done.stdout
    score = next(line for line in done.stdout.splitlines() if line.startswith("mutation score"))
    assert float(score.split()[2]) < 20


def test_json_holds_everything(folder):
    (folder / "tests" / "broken.toml").write_text(BROKEN, encoding="utf-8")
    done = cafpro(folder, "--coverage", "--format", "json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["failed"], len(told["policy"])) == (1, 64)
    assert [(test["file"], test["line"], test["name"], test["kind"]) for test in told["tests"]] == [
        ("tests/broken.toml", 1, "T3 & <T2>", "case"),
        ("tests/own.toml", 1, "T2's column", "case"),
    ]
    assert told["tests"][0]["failures"][0]["got"] == "adresse, enfants, qf_caf"
    assert len([point for point in told["coverage"]["points"] if point["kind"] == "cell"]) == 280


def test_junit_is_xml_that_names_files_tests_and_failures(folder):
    (folder / "tests" / "broken.toml").write_text(BROKEN, encoding="utf-8")
    done = cafpro(folder, "--coverage", "--format", "junit")
    assert done.exit_code == 1
    root = ElementTree.fromstring(done.stdout_bytes)
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert list(suites) == ["coverage", "tests/broken.toml", "tests/own.toml"]
    assert (suites["tests/broken.toml"].get("tests"), suites["tests/broken.toml"].get("failures")) == ("1", "1")
    (case,) = suites["tests/broken.toml"].iter("testcase")
    assert case.attrib == {
        "classname": "tests/broken.toml",
        "name": "T3 & <T2>",
        "file": "tests/broken.toml",
        "line": "1",
    }
    assert "qf_caf: opened by matrix.polar:16" in case.find("failure").text
    assert suites["tests/own.toml"].find("testcase").find("failure") is None
    properties = {each.get("name"): each.get("value") for each in suites["coverage"].iter("property")}
    assert list(properties) == [
        "coverage.all",
        "coverage.cell",
        "coverage.dossiers",
        "coverage.condition",
        "coverage.rule",
    ]


def test_a_mistake_in_a_test_is_shown_in_its_line_and_nothing_is_run(folder):
    (folder / "tests" / "wrong.toml").write_text('[[case]]\nname = "a"\nprofile = "T2"\nopens = ["enfant"]\n')
    done = cafpro(folder)
    assert (done.exit_code, done.stdout) == (1, "")
    where, line, caret, _, last = done.stderr.splitlines()
    assert where.startswith(f"{folder}/tests/wrong.toml:4:10: unknown rubric `enfant`. Did you mean `enfants`?")
    assert line == '    4 | opens = ["enfant"]'
    assert caret == "      |          ^^^^^^^^"
    assert last == "1 problem in 1 file. No test was run."
    told = json.loads(cafpro(folder, "--format", "json").stdout)
    assert [(problem["line"], problem["column"], problem["stage"]) for problem in told["problems"]] == [
        (4, 10, "tests")
    ]


def test_a_folder_that_is_refused_is_not_tested(folder):
    matrix = folder / "matrix.polar"
    matrix.write_text(matrix.read_text(encoding="utf-8").replace('"T2", "T3"', '"T2", "T33"'), encoding="utf-8")
    done = cafpro(folder)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "matrix.polar:8: unknown profile `T33`. Did you mean `T3`?" in done.stderr


def test_a_folder_without_tests_is_told_so(folder):
    shutil.rmtree(folder / "tests")
    done = cafpro(folder)
    assert done.exit_code == 1
    assert "there is no such folder: what nobody wants of the policies cannot be tested." in done.stderr


@pytest.mark.parametrize("words", [["--format", "xml"], [".", "--policies", "."], ["a", "b"], ["--coverages"]])
def test_misuse_ends_with_2(words):
    assert cafpro(*words).exit_code == 2
