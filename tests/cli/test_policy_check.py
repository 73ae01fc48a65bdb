"""What `cafpro policy check` prints: for people, for programs, for GitHub, and as SARIF."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway.cli.policy.reports import FORMATS, WIDEST, Report, github, sarif, text, visible
from gateway.policy_files.findings import STAGES, Finding, Findings, Summary

M = "matrix.polar"
ROW = 'rubric("creance",    "Créances",    ["T1"], "row 10");'
UNKNOWN = Finding("rules", "unknown rubric `creance`. Did you mean `creances`?", M, 2, 8)
GOOD = Summary("f" * 64, 20, 14, 89, 19, 5, 1, 5)


def report(*problems: Finding, line: str = ROW, policy: Summary | None = None, folder: str = "policies") -> Report:
    return Report(Path(folder), Findings(problems, policy), {M: f"# the table\n{line}\n"}, 1.23)


def plain(told: Report) -> list[str]:
    return click.unstyle(text(told)).split("\n")


def test_a_finding_is_shown_with_its_line_and_the_place_under_it():
    assert plain(report(UNKNOWN)) == [
        "policies/matrix.polar:2:8: unknown rubric `creance`. Did you mean `creances`?",
        f"    2 | {ROW}",
        "      |        ^^^^^^^^^",
        "",
        "1 problem in 1 file. The gateway refuses this folder.",
    ]


def test_a_good_folder_says_what_it_holds_its_fingerprint_and_how_long_it_took():
    assert plain(report(policy=GOOD)) == [
        "policies: no problem found.",
        "20 rubrics, 14 profiles, 89 open cells of 280, 19 of them only with a mandate.",
        "5 conditions, 1 refusal, 5 routes. Checked in 1.2 seconds.",
        f"fingerprint {'f' * 64}",
    ]


@pytest.mark.parametrize(
    ("line", "column", "shown", "marks"),
    [
        ("\tx = y", 2, " x = y", " ^"),
        ('"é" T3', 5, '"é" T3', "    ^^"),
        ("# a\u202e\x1b[31mb", 4, "# a<U+202E><U+001B>[31mb", "   ^^^^^^^^"),
        ("日本 T3", 4, "日本 T3", "     ^^"),
        ("", 1, None, None),
        ("ab", 3, "ab", "  ^"),
    ],
    ids=repr,
)
def test_a_line_can_move_nothing_on_the_terminal_and_its_marks_stand_under_the_place(line, column, shown, marks):
    told = plain(report(Finding("rules", "a sentence.", M, 2, column), line=line))
    assert told[0] == f"policies/matrix.polar:2:{column}: a sentence."
    assert told[1:3] == ([f"    2 | {shown}", f"      | {marks}"] if shown is not None else ["", told[2]])


def test_of_a_very_long_line_the_part_around_the_place_is_shown():
    line = "a" * 10_000 + ' "T33" ' + "b" * 10_000
    _, shown, marks, *_ = plain(report(Finding("rules", "a sentence.", M, 2, 10_002), line=line))
    assert len(shown) <= WIDEST + 12
    assert shown[marks.index("^") : marks.rindex("^") + 1] == '"T33"'


def test_what_is_wrong_with_the_folder_as_a_whole_has_no_line():
    assert plain(report(Finding("limits", "the check could not begin.")))[0] == "policies: the check could not begin."


def test_what_is_said_and_the_name_of_a_file_are_shown_harmless():
    told = plain(report(Finding("rules", "a \x1b[2J sentence.", "\x1b[31m.polar", 1, 1)))
    assert told[0] == "policies/<U+001B>[31m.polar:1:1: a <U+001B>[2J sentence."
    assert visible("a\tb\r\n") == "a b<U+000D><U+000A>"


def test_github_commands_are_escaped_so_that_nothing_ends_or_begins_another():
    told = github(report(Finding("rules", "100 %, a\n::error::b", M, 2, 8), folder="a,b:c"))
    assert told == (
        "::error file=a%2Cb%3Ac/matrix.polar,line=2,endLine=2,col=8,endColumn=17,title=cafpro policy check%3A rules"
        "::100 %25, a%0A::error::b"
    )
    assert github(report(policy=GOOD)) == ""
    assert (
        github(report(Finding("limits", "late."))) == "::error file=policies,title=cafpro policy check%3A limits::late."
    )


def test_sarif_is_a_log_of_version_2_1_0():
    """What its schema demands: the required members, no others, and their types."""
    log = json.loads(sarif(report(UNKNOWN, Finding("limits", "late."), Finding("routes", "x.", "routes.toml", 3, 1))))
    assert set(log) == {"$schema", "version", "runs"}
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    [run] = log["runs"]
    assert set(run) == {"tool", "columnKind", "invocations", "results"}
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["invocations"] == [{"executionSuccessful": False}]
    driver = run["tool"]["driver"]
    assert set(driver) == {"name", "version", "semanticVersion", "rules"}
    assert [rule["id"] for rule in driver["rules"]] == [f"policy/{stage}" for stage in STAGES]
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"].endswith(".")
        assert rule["defaultConfiguration"] == {"level": "error"}
    for result in run["results"]:
        assert set(result) == {"ruleId", "ruleIndex", "level", "message", "locations"}
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        [location] = result["locations"]
        physical = location["physicalLocation"]
        assert re.fullmatch(r"[A-Za-z0-9/._%-]+", physical["artifactLocation"]["uri"])
        region = physical.get("region")
        if region:
            assert all(type(value) is int and value >= 1 for value in region.values())
            assert region["endColumn"] > region["startColumn"]
    first = run["results"][0]["locations"][0]["physicalLocation"]
    assert first == {
        "artifactLocation": {"uri": "policies/matrix.polar"},
        "region": {"startLine": 2, "startColumn": 8, "endLine": 2, "endColumn": 17},
        "contextRegion": {"startLine": 2, "endLine": 2, "snippet": {"text": ROW}},
    }


def test_sarif_of_a_good_folder_has_no_result_and_names_an_absolute_folder_by_a_uri():
    good = json.loads(sarif(report(policy=GOOD)))["runs"][0]
    assert good["results"] == [] and good["invocations"] == [{"executionSuccessful": True}]
    [result] = json.loads(sarif(report(UNKNOWN, folder="/a b/é")))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {
        "uri": "file:///a%20b/%C3%A9/matrix.polar"
    }


def test_json_says_each_finding_with_its_place_its_line_and_its_stage():
    told = json.loads(FORMATS["json"](report(UNKNOWN, Finding("limits", "late."))))
    assert told["policy"] is None and told["summary"] is None
    assert told["problems"] == [
        {"file": "policies/matrix.polar", "line": 2, "column": 8, "said": UNKNOWN.said, "stage": "rules", "text": ROW},
        {"file": "policies", "line": None, "column": None, "said": "late.", "stage": "limits", "text": None},
    ]
    assert json.loads(FORMATS["json"](report(policy=GOOD)))["summary"]["open_cells"] == 89


@pytest.mark.parametrize("form", FORMATS)
def test_the_command_ends_with_1_where_it_finds_something_and_prints_no_colour_into_a_pipe(form, tmp_path):
    (tmp_path / M).write_text(ROW)
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "policy", "check", str(tmp_path), "--format", form],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = done.stderr if form == "text" else done.stdout
    assert "the file is missing" in said and "\x1b" not in done.stdout + done.stderr
    assert (done.stdout if form == "text" else done.stderr) == ""
