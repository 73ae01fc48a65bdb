"""The directory's commands, as an administrator types them."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from gateway.cli.directory import change, objection, session
from gateway.cli.main import main
from gateway.cli.showing import account, convention, mandate, partner
from gateway.identity.passwords import password_problem
from gateway.identity.store import open_store

ROOT = Path(__file__).parents[2]
CONFIGURATION = """
[upstream]
url = "http://127.0.0.1:9000"
[record]
key_file = "record.key"
[store]
url = "sqlite:///cafpro.db"
[identity]
caisse = "691"
"""


on_both = pytest.mark.parametrize("folder", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def folder(request, tmp_path, monkeypatch):
    """A configuration whose directory is a file, or a database on the server where a test asks for it."""
    if getattr(request, "param", "sqlite") == "postgresql":
        monkeypatch.setenv("CAFPRO_STORE__URL", request.getfixturevalue("emptied"))
    (tmp_path / "gateway.toml").write_text(CONFIGURATION)
    (tmp_path / "record.key").write_bytes(os.urandom(32))
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///cafpro.db").close()
    return tmp_path


def cafpro(*words, typed=None, status=0):
    """The standard output of a command, and its standard error when it is to fail."""
    result = CliRunner().invoke(main, words, input=typed, catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.stdout if status == 0 else result.stderr


def leaves(group):
    return [(group.name, name) for name in group.commands]


GROUPS = (account, change, convention, mandate, objection, partner, session)
COMMANDS = [words for group in GROUPS for words in leaves(group)]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_list_may_come_from_a_pipe(folder, monkeypatch, terminal):
    """As from `gunzip -c partners.csv.gz | cafpro partner import /dev/stdin`: it is read once, its length unknown."""
    monkeypatch.setattr("gateway.cli.imports.sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: terminal)))
    text = "name,kind\n" + "".join(f"Partenaire {number},external\n" for number in range(5_000))
    receiver, sender = os.pipe()

    def write():
        with os.fdopen(sender, "w") as pipe:
            pipe.write(text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        said = cafpro("partner", "import", f"/dev/fd/{receiver}")
    finally:
        os.close(receiver)
        writer.join()
    assert said == "5000 partners are entered: change 1.\n"


def test_an_account_that_comes_to_the_staff_is_told_to_need_another_password(folder):
    cafpro("partner", "add", "Caf", "--kind", "caf")
    cafpro("account", "add", "c.petit", "--partner", "Caf", "--profile", "T1", "--generate")
    assert cafpro("account", "profiles", "c.petit") == (
        "c.petit is of the staff now. The password of before is void, and so is an activation link: give another one "
        "with `cafpro account password c.petit`.\n"
    )
    assert cafpro("account", "profiles", "c.petit") == "", "it was of the staff"


@on_both
def test_a_day_at_the_desk(folder):
    cafpro("partner", "add", "CCAS de Lyon")
    cafpro("convention", "add", "2026-014", "--partner", "CCAS de Lyon", "--caisse", "691", "--from", "2026-01-01",
           "--to", "2028-12-31", "--profile", "T9", "--profile", "T1")  # fmt: skip
    made = cafpro("account", "add", "m.martin", "--partner", "CCAS de Lyon", "--profile", "T9", "--generate").strip()
    assert password_problem(made) is None
    cafpro("account", "sign", "m.martin")
    assert cafpro("mandate", "add", "9990001", "--kind", "judgment", "--partner", "CCAS de Lyon", "--account",
                  "m.martin", "--from", "2026-01-01", "--reference", "TJ Lyon") == "1\n"  # fmt: skip
    cafpro("objection", "raise", "0000002", "--reference", "letter")
    cafpro("convention", "suspend", "2026-014")
    cafpro("account", "suspend", "m.martin")
    [agent] = json.loads(cafpro("account", "list", "--format", "json"))
    assert agent.pop("engagement_signed_at").endswith("Z")
    assert agent == {
        "identifier": "m.martin",
        "partner": "CCAS de Lyon",
        "profiles": ["T9"],
        "engagement_version": "2012-07",
        "suspended": True,
        "locked_at": None,
        "function": None,
        "closed_at": None,
        "invited_until": None,
        "second_factor": None,
        "delegated": False,
        "suspended_by_partner": False,
    }
    assert cafpro("convention", "list", "--format", "csv") == (
        "number,partner,caisse,starts_on,ends_on,suspended,profiles,max_agents\n"
        "2026-014,CCAS de Lyon,691,2026-01-01,2028-12-31,yes,T1 T9,\n"
    )
    cafpro("convention", "resume", "2026-014")
    cafpro("account", "resume", "m.martin")
    cafpro("account", "withdraw", "m.martin")
    cafpro("account", "profiles", "m.martin")
    cafpro("mandate", "release", "1")
    cafpro("objection", "lift", "0000002")
    assert "None." in cafpro("session", "list")
    assert cafpro("session", "end", "m.martin") == "0\n"
    assert "m.martin has no session of this id." in cafpro("session", "end", "m.martin", "--only", "0" * 24, status=2)
    [mandate] = json.loads(cafpro("mandate", "list", "--dossier", "9990001", "--format", "json"))
    assert mandate["released_at"].endswith("Z")
    assert mandate["ends_on"] is None
    [objection] = csv.DictReader(io.StringIO(cafpro("objection", "list", "--format", "csv")))
    assert objection["dossier"] == "0000002"
    assert objection["lifted_at"].endswith("Z")
    assert "CCAS de Lyon" in cafpro("partner", "list")


def test_an_invited_agent_is_sent_a_link_that_is_printed_once_and_alone(folder):
    cafpro("partner", "add", "CCAS de Lyon")
    enter = ("account", "add", "m.martin", "--partner", "CCAS de Lyon", "--profile", "T9", "--invite")
    assert "no other way to give it" in cafpro(*enter, "--generate", status=2)
    link = re.compile(r"http://127\.0\.0\.1:8080/-/activation#[A-Za-z0-9_-]{43}\n")
    first = cafpro(*enter)
    assert link.fullmatch(first)
    second = cafpro("account", "invite", "m.martin", "--why", "forgotten")
    assert link.fullmatch(second) and second != first
    [agent] = json.loads(cafpro("account", "list", "--format", "json"))
    assert agent["invited_until"].endswith("Z")
    assert first.strip()[-43:] not in (folder / "cafpro.db").read_bytes().decode("latin-1")
    cafpro("account", "suspend", "m.martin")
    assert "resume it first" in cafpro("account", "invite", "m.martin", status=2)


@on_both
def test_an_agent_comes_and_leaves_and_who_did_it_is_kept(folder):
    cafpro("partner", "add", "CCAS de Lyon", "--siret", "73282932000074", "--by", "c.petit", "--why", "request 26-7")
    cafpro("convention", "add", "2026-014", "--partner", "CCAS de Lyon", "--caisse", "691", "--from", "2026-01-01",
           "--to", "9999-12-31", "--profile", "T9", "--max-agents", "1")  # fmt: skip
    enter = ("--partner", "CCAS de Lyon", "--profile", "T9", "--function", "social worker", "--generate")
    cafpro("account", "add", "m.martin", *enter)
    assert "allows 1 agents" in cafpro("account", "add", "a.durand", *enter, status=2)
    cafpro("mandate", "add", "9990001", "--kind", "judgment", "--partner", "CCAS de Lyon", "--account", "m.martin",
           "--from", "2026-01-01", "--reference", "TJ Lyon")  # fmt: skip
    assert "Missing option '--why'" in cafpro("account", "close", "m.martin", status=2)
    assert cafpro("account", "close", "m.martin", "--why", "left on 2026-06-30", "--by", "c.petit") == (
        "m.martin is closed: 0 sessions ended, 1 mandates released (1).\n"
    )
    assert "m.martin' is closed" in cafpro("account", "close", "m.martin", "--why", "again", status=2)
    cafpro("account", "add", "a.durand", *enter)
    cafpro("convention", "limit", "2026-014", "--max-agents", "12")
    cafpro("convention", "limit", "2026-014")
    cafpro("partner", "siret", "CCAS de Lyon", "35600000000048")
    cafpro("account", "function", "a.durand", "director")
    [gone] = [one for one in json.loads(cafpro("account", "list", "--format", "json")) if one["closed_at"]]
    assert (gone["identifier"], gone["function"]) == ("m.martin", "social worker")
    assert "35600000000048" in cafpro("partner", "list")
    told = json.loads(cafpro("change", "list", "--by", "c.petit", "--format", "json"))
    assert [(one["act"], one["subject"], one["why"]) for one in told] == [
        ("partner add", "CCAS de Lyon", "request 26-7"),
        ("account close", "m.martin", "left on 2026-06-30"),
        ("mandate release", "1", "left on 2026-06-30"),
    ]
    everything = list(csv.DictReader(io.StringIO(cafpro("change", "list", "--format", "csv"))))
    assert len(everything) == 11 and all(one["by"] and one["at"].endswith("Z") for one in everything)
    assert cafpro("change", "list", "--until", "2020-01-01") == "None.\n"
    assert len(json.loads(cafpro("change", "list", "--since", "2020-01-01", "--until", "9999-12-31", "--format", "json",
                                 "--act", "account", "--subject", "a.durand"))) == 2  # fmt: skip


def test_the_review_is_a_list_for_programs_too(folder):
    cafpro("partner", "add", "Udaf")
    cafpro("convention", "add", "C-1", "--partner", "Udaf", "--caisse", "691", "--from", "2026-01-01", "--to",
           str(date.today() + timedelta(days=30)), "--profile", "T9")  # fmt: skip
    cafpro("account", "add", "m.martin", "--partner", "Udaf", "--generate")
    cafpro("account", "confirm", "m.martin", "--why", "review")
    [ending] = json.loads(cafpro("account", "review", "--caisse", "691", "--format", "json"))
    assert (ending["finding"], ending["subject"], ending["partner"]) == ("ending", "C-1", "Udaf")
    assert cafpro("account", "review", "--caisse", "851") == "None.\n"


def test_whoever_became_root_is_the_one_who_does_it(folder, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "c.petit")
    cafpro("partner", "add", "Udaf")
    monkeypatch.setenv("SUDO_USER", "")
    cafpro("partner", "add", "Other")
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    monkeypatch.setenv("SUDO_USER", "liar")
    cafpro("partner", "add", "Third")
    told = json.loads(cafpro("change", "list", "--format", "json"))
    assert [one["by"] for one in told] == ["c.petit", "root", "uid 4000000"]


def test_a_password_comes_from_standard_input_or_is_asked_for_twice(folder):
    cafpro("partner", "add", "UDAF")
    cafpro("account", "add", "one", "--partner", "UDAF", "--password-stdin", typed="Correct-horse-26\n")
    cafpro("account", "add", "two", "--partner", "UDAF", typed="Correct-horse-26\nCorrect-horse-26\n")
    cafpro("account", "password", "one", "--password-stdin", typed="Correct-horse-27")
    said = cafpro("account", "password", "two", "--password-stdin", typed="short", status=2)
    assert said.startswith("The password is too easy to guess")
    assert "not UTF-8" in cafpro("account", "password", "two", "--password-stdin", typed=b"\xff\xfe\n", status=2)
    assert "exclude" in cafpro("account", "password", "two", "--password-stdin", "--generate", typed="x", status=2)


def test_a_generated_password_is_not_shown_when_nothing_was_done(folder):
    assert cafpro("account", "add", "one", "--partner", "UDAF", "--generate", status=2) == (
        "There is no partner called 'UDAF'.\n"
    )


@pytest.mark.parametrize(("group", "name"), COMMANDS)
def test_every_command_has_help_with_an_example_that_it_understands(group, name, folder):
    text = cafpro(group, name, "--help")
    example = text.partition("Example:\n")[2].strip()
    assert example.startswith(f"cafpro {group} {name}")
    assert "--config" in text
    words = subprocess.run(
        ["sh", "-c", f'for word in {example.removeprefix("cafpro ")}; do echo "$word"; done'],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    understood = CliRunner().invoke(main, words, catch_exceptions=False)
    assert "Usage:" not in understood.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mandate", "add", "999", "--kind", "judgment", "--partner", "?", "--from", "2026-01-01", "--reference", "r"),
         "The dossier must be seven digits, such as 9990001.\nThere is no partner called '?'.\n"),
        (("convention", "suspend", "x"), "There is no convention 'x'.\n"),
        (("account", "suspend", "\udcff"), "There is no account called '\\udcff'.\n"),
        (("mandate", "release", "7"), "There is no mandate 7.\n"),
        (("objection", "lift", "9990001"), "No objection is raised on this dossier.\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_sentences(folder, words, said):
    assert cafpro(*words, status=2) == said


@pytest.mark.parametrize(
    "day", ["2026-02-30", "20260101", "2026-W01-1", "01/02/2026", "", "tomorrow", "2026-01-01T00:00", "٢٠٢٦-01-01"]
)
def test_a_day_is_written_one_way(folder, day):
    said = cafpro("convention", "add", "1", "--partner", "x", "--caisse", "691", "--from", day, "--to", "2026-12-31",
                  "--profile", "T1", status=2)  # fmt: skip
    assert "a day is written YYYY-MM-DD" in said


def test_a_configuration_or_a_store_that_cannot_be_used_is_a_finding(folder):
    assert "cannot be read" in cafpro("partner", "list", "--config", "absent.toml", status=1)
    (folder / "bad.toml").write_text(CONFIGURATION + '\ncolour = "blue"\n')
    assert "unknown key `colour`" in cafpro("partner", "list", "--config", "bad.toml", status=1)
    (folder / "cafpro.db").write_text("not a database " * 100)
    assert "cannot be used" in cafpro("partner", "list", status=1)


def test_a_spreadsheet_finds_no_formula_in_a_csv(folder):
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "plain = fine", 'quoted "name", comma']
    for name in names:
        cafpro("partner", "add", "--", name)
    rows = list(csv.reader(io.StringIO(cafpro("partner", "list", "--format", "csv"))))
    assert sorted(row[0] for row in rows[1:]) == sorted(["'=1+1", "'+1", "'-1", "'@SUM(A1)", *names[4:]])


def test_a_table_keeps_what_looks_like_markup_and_whole_lines(folder):
    cafpro("partner", "add", "[red]CCAS[/red] " + "x" * 150)
    assert "[red]CCAS[/red] " + "x" * 150 in cafpro("partner", "list")


def test_a_list_of_nothing(folder):
    assert cafpro("partner", "list") == "None.\n"
    assert cafpro("partner", "list", "--format", "json") == "[]\n"
    assert cafpro("partner", "list", "--format", "csv") == "name,kind,siret\n"


def test_the_commands_run_as_a_real_process(folder):
    script = "from gateway.cli.main import main; main()"

    def run(*words):
        return subprocess.run(
            [sys.executable, "-c", script, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    added = run("partner", "add", "Département du Rhône")
    assert (added.returncode, added.stdout, added.stderr) == (0, "", "")
    again = run("partner", "add", "Département du Rhône")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "There is a partner called 'Département du Rhône' already.\n"
    listed = run("partner", "list", "--format", "json")
    assert json.loads(listed.stdout) == [{"name": "Département du Rhône", "kind": "external", "siret": None}]


@on_both
def test_nothing_of_another_that_is_called_the_same_is_shown_with_it(folder):
    """Identifiers may be digits, as mandates and dossiers are; and a file may be called what its sender likes."""
    for name in ("CCAS de Lyon", "Udaf"):
        cafpro("partner", "add", name)
    for identifier in ("9990001", "1"):
        cafpro("account", "add", identifier, "--partner", "CCAS de Lyon", "--generate")
    cafpro("objection", "raise", "9990001", "--reference", "lettre")
    cafpro("mandate", "add", "9990001", "--kind", "judgment", "--partner", "CCAS de Lyon", "--from", "2026-01-01",
           "--reference", "TJ Lyon")  # fmt: skip
    cafpro("mandate", "release", "1")
    cafpro("session", "end", "1")
    (folder / "Udaf").write_text("name\nAutre\n")
    cafpro("partner", "import", "Udaf")
    for group, name, told, untold in (
        ("account", "9990001", ["account add"], ["objection", "mandate"]),
        ("account", "1", ["account add", "session end"], ["mandate"]),
        ("mandate", "1", ["mandate add", "mandate release"], ["account add", "session"]),
        ("partner", "Udaf", ["partner add"], ["import"]),
        ("partner", "Autre", ["partner import"], []),
    ):
        said = cafpro(group, "show", name)
        assert [words for words in told if words not in said] == []
        assert [words for words in untold if words in said] == []


@on_both
def test_one_entry_is_shown_with_everything_that_was_done_to_it(folder):
    (folder / "list.csv").write_text("name\nCCAS de Lyon\n")
    cafpro("partner", "import", "list.csv", "--why", "request 26-7", "--by", "c.petit")
    cafpro("convention", "add", "2026-014", "--partner", "CCAS de Lyon", "--caisse", "691", "--from", "2026-01-01",
           "--to", "2028-12-31", "--profile", "T9")  # fmt: skip
    cafpro("account", "add", "m.martin", "--partner", "CCAS de Lyon", "--profile", "T9", "--generate")
    cafpro("account", "suspend", "m.martin", "--why", "leave of absence")
    cafpro("mandate", "add", "9990001", "--kind", "judgment", "--partner", "CCAS de Lyon", "--from", "2026-01-01",
           "--reference", "TJ Lyon")  # fmt: skip
    for group, name, told in (
        ("partner", "CCAS de Lyon", ["partner import", "c.petit", "request 26-7"]),
        ("convention", "2026-014", ["convention add"]),
        ("account", "m.martin", ["account add", "account suspend", "leave of absence"]),
        ("mandate", "1", ["mandate add", "9990001"]),
    ):
        said = cafpro(group, "show", name)
        assert [words for words in told if words not in said] == []
        [entry] = json.loads(cafpro(group, "show", name, "--format", "json"))
        assert name in (str(value) for value in entry.values())
    for group, name in (("partner", "Udaf"), ("convention", "7"), ("account", "nobody"), ("mandate", "7")):
        assert cafpro(group, "show", name, status=2).startswith("There is no ")


def test_no_command_makes_a_directory_where_the_file_is_gone(folder):
    """A gateway at work would go on in it, and know nobody."""
    (folder / "cafpro.db").unlink()
    for words in (("account", "list"), ("partner", "add", "Udaf"), ("mandate", "import", "gateway.toml")):
        said = cafpro(*words, status=1)
        assert said.startswith(f"store.url: {folder / 'cafpro.db'} is not there. Put it back, if there was one")
    assert not (folder / "cafpro.db").exists()
