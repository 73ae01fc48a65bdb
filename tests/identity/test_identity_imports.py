"""Many entries from one file: all of them or none, each problem said with its line, on a file and on a real server."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from threading import Barrier

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from gateway.cli.main import main
from gateway.errors import Misconfigured
from gateway.identity import directory
from gateway.identity.directory import Signature
from gateway.identity.imports import OVERTAKEN, import_file
from gateway.identity.refusals import LogInRefused
from gateway.identity.sessions import sign_in
from gateway.identity.store import open_store
from gateway.identity.tables import METADATA, account, change, convention, mandate, partner
from gateway.identity.wrong import Wrong
from gateway.settings import Identity
from tests.forking import ended, forked

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
HAND = Signature("c.petit", "liste du 15 juin")
LYON, RHONE = "CCAS de Lyon", "Département du Rhône"


@pytest.fixture
def store(anywhere):
    """Two partners, and the agent `m.martin` of the first."""
    with contextlib.closing(open_store(anywhere)) as opened:
        for name in (LYON, RHONE):
            directory.add_partner(opened, name=name, kind="external")
        directory.add_account(opened, identifier="m.martin", password="Correct-horse-26", partner_name=LYON)
        yield opened


def imported(store, noun, text, **more):
    """What came of a file with this text, and its problems."""
    problems = []

    def say(line, sentence):
        assert isinstance(sentence, Wrong), f"has no French: {sentence}"
        problems.append((line, sentence))

    raw = text if isinstance(text, bytes) else text.encode()
    done = import_file(store, noun, io.BytesIO(raw), name="liste.csv", signed=HAND, now=NOON, say=say, **more)
    assert done.problems == len(problems)
    return done, problems


def entered(store, noun, text):
    done, problems = imported(store, noun, text)
    assert problems == []
    return done


def everything(store):
    """Every row of every table."""
    with store.read() as connection:
        return [connection.execute(select(table)).all() for table in METADATA.sorted_tables]


MANDATES = "dossier,kind,partner,account,starts_on,ends_on,reference\n"


def test_each_kind_is_entered_as_it_is_by_hand(store):
    entered(store, "partner", "name,kind,siret\nUdaf,external,73282932000074\nCaf,caf,\n=1+1,,\n")
    entered(
        store, "convention",
        "number,partner,caisse,starts_on,ends_on,profiles,max_agents\n"
        "C-1,Udaf,691,2026-01-01,2026-12-31,T9 T1,3\nC-2,Udaf,691,2026-01-01,2026-12-31,T2,\n",
    )  # fmt: skip
    entered(store, "account", "identifier,partner,profiles,function\na.un,Udaf,T9 T1,juriste\na.deux,Udaf,,\n")
    entered(store, "mandate", MANDATES + "0000001,judgment,Udaf,a.un,2026-01-01,,RG 1\n"
            "0000001,masp,Udaf,,2026-01-01,2026-06-30,RG 1\n")  # fmt: skip
    found = {each.name: each for each in directory.partners(store)}
    assert (found["Udaf"].siret, found["Caf"].kind, found["=1+1"].kind) == ("73282932000074", "caf", "external")
    [first, second] = directory.conventions(store)
    assert (first.profiles, first.max_agents, first.ends_on) == (("T1", "T9"), 3, date(2026, 12, 31))
    assert (second.suspended, second.max_agents) == (False, None)
    agents = {each.identifier: each for each in directory.accounts(store, partner_name="Udaf")}
    one = agents["a.un"]
    with store.read() as connection:
        [confirmed] = connection.execute(select(account.c.confirmed_on).where(account.c.identifier == "a.un")).scalars()
    assert confirmed == NOON.date()
    assert (one.profiles, one.function, one.suspended) == (("T1", "T9"), "juriste", False)
    assert [(one.kind, one.account, one.ends_on) for one in directory.mandates(store)] == [
        ("judgment", "a.un", None),
        ("masp", None, date(2026, 6, 30)),
    ]


def test_an_account_that_a_file_brought_has_no_password_that_anything_matches(store):
    entered(store, "account", f"identifier,partner,profiles\na.un,{LYON},T9\n")
    for password in ("", "Correct-horse-26"):
        with pytest.raises(LogInRefused):
            sign_in(store, Identity(caisse="691"), identifier="a.un", password=password, now=NOON)


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["without a mark", "with a mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_file_is_read_as_spreadsheets_write_it(store, separator, mark, end):
    rows = [("name", "kind", "siret"), (f'"Été, {separator} « l\'école »"', "external", ""), (), ("Ouest", "", "")]
    text = mark + "".join(separator.join(row) + end for row in rows)
    done = entered(store, "partner", text)
    assert done.rows == 2
    assert {f"Été, {separator} « l'école »", "Ouest"} <= {each.name for each in directory.partners(store)}


BAD = {
    "partner": (
        "name,siret\nNeuf,73282932000074\nCCAS de Lyon,\nNeuf,\nAutre,73282932000074\n blanc,12\n",
        [
            (3, "There is a partner called 'CCAS de Lyon' already."),
            (4, "The name 'Neuf' stands on line 2 already."),
            (5, "The SIRET '73282932000074' stands on line 2 already."),
            (6, "The name must be 1 to 200 printable characters, without blanks around them."),
            (6, "The SIRET must be fourteen digits without blanks, as Insee gave them, such as 73282932000074."),
        ],
    ),
    "convention": (
        "number;partner;caisse;starts_on;ends_on;profiles;max_agents\n"
        "C-1;CCAS de Lyon;691;2026-01-01;2026-12-31;T9;\n"
        "C-1;Nulle part;69;2026-13-01;;;-1\n"
        "C-2;CCAS de Lyon;691;2026-12-31;2026-01-01;T17;0\n",
        [
            (3, "The number 'C-1' stands on line 2 already."),
            (3, "There is no partner called 'Nulle part'."),
            (3, "starts_on: a day is written YYYY-MM-DD, such as 2026-01-31."),
            (3, "The caisse must be three digits, such as 691."),
            (3, "ends_on: a day is needed."),
            (3, "A convention opens at least one profile."),
            (3, "A convention allows 1 to 100000 agents."),
            (4, "The last day comes before the first."),
            (4, "A profile is written T1 to T16."),
            (4, "A convention allows 1 to 100000 agents."),
        ],
    ),
    "account": (
        "identifier,partner,profiles,function\na.un,CCAS de Lyon,T9,\nm.martin,CCAS de Lyon,,\nA.Un,Nulle part,T0,"
        "\x07\na.un,CCAS de Lyon,,\n",
        [
            (3, "There is an account called 'm.martin' already."),
            (4, "There is no partner called 'Nulle part'."),
            (4, "The identifier must match [a-z0-9][a-z0-9._-]{0,63}."),
            (4, "A profile is written T1 to T16."),
            (4, "The function must be 1 to 200 printable characters, without blanks around them."),
            (5, "The identifier 'a.un' stands on line 2 already."),
        ],
    ),
    "mandate": (
        MANDATES + "9990001,judgment,CCAS de Lyon,,2026-01-01,,R\n"
        "99900,reason,Nulle part,nobody,,2026-01-01,\n"
        "9990001,judgment,Département du Rhône,m.martin,2026-01-02,2026-01-01,R\n"
        "9990001,judgment,CCAS de Lyon,,2026-01-01,,R\n"
        "9990001,judgment\n",
        [
            (3, "There is no partner called 'Nulle part'."),
            (3, "The dossier must be seven digits, such as 9990001."),
            (3, "The kind must be one of judgment, masp, direct_payment, instruction."),
            (3, "There is no account called 'nobody'."),
            (3, "starts_on: a day is needed."),
            (3, "The reference must be 1 to 200 printable characters, without blanks around them."),
            (4, "The account 'm.martin' is not of the partner 'Département du Rhône'."),
            (4, "The last day comes before the first."),
            (5, "The same mandate stands on line 2 already."),
            (6, "The row has 2 cells, the first line names 7 columns."),
        ],
    ),
}


@pytest.mark.parametrize("only_check", [True, False], ids=["dry run", "in earnest"])
@pytest.mark.parametrize("noun", BAD)
def test_every_problem_is_said_with_its_line_and_nothing_is_written(store, noun, only_check):
    text, said = BAD[noun]
    before = everything(store)
    done, problems = imported(store, noun, text, only_check=only_check)
    assert problems == said
    assert done.change_id is None
    assert everything(store) == before


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "The first line must name the columns: name, kind (may be left out), siret (may be left out)."),
        ("name,town\nx,y\n", 1, "There is no column 'town'. The columns are name, kind (may be left out), siret"),
        ("kind\ncaf\n", 1, "The column 'name' is missing."),
        ("name,name\nx,y\n", 1, "A column stands there twice."),
        ("name\nOne\nTwo".encode("utf-16"), 1, "The file must be UTF-8."),
        ("name\nÉté\n".encode("latin-1"), 2, "The name must be 1 to 200 printable characters"),
        ('name\nOne\n"Two\n', 3, "From here on this is no CSV"),
        ('name\nOne\n"T"wo\n', 3, "From here on this is no CSV"),
        ("name\nOne\rTwo\n", 2, "From here on this is no CSV"),
        ("name\nOne\n" + "x" * 70_000 + "\n", 3, "From here on this is no CSV (a line is longer than 64 KB)."),
        ("x" * 70_000, 1, "This is no CSV (a line is longer than 64 KB)."),
        ('name\n"One\nTwo"\nThree\n', 2, "The name must be 1 to 200 printable characters"),
        ('name\n"One\nTwo"\n three\n', 4, "The name must be 1 to 200 printable characters"),
        ("name\nO\0ne\n", 2, "The name must be 1 to 200 printable characters"),
    ],
)
def test_what_is_no_such_file_is_said_in_a_sentence(store, text, line, said):
    _, problems = imported(store, "partner", text, only_check=True)
    assert problems[-1][0] == line
    assert problems[-1][1].startswith(said)


def test_a_file_that_was_entered_already_is_refused_line_by_line_unless_it_was_released(store):
    text = MANDATES + f"9990001,judgment,{LYON},m.martin,2026-01-01,,R\n9990001,masp,{LYON},,2026-01-01,2026-12-31,R\n"
    entered(store, "mandate", text)
    _, problems = imported(store, "mandate", text)
    assert problems == [(2, "It is entered already, as mandate 1."), (3, "It is entered already, as mandate 2.")]
    directory.release_mandate(store, mandate_id=1, now=NOON)
    assert imported(store, "mandate", text)[1] == [(3, "It is entered already, as mandate 2.")]


def test_a_convention_has_room_for_those_before_and_not_for_those_after(store):
    directory.add_convention(
        store, partner_name=LYON, number="C-1", caisse="691", starts_on=date(2026, 1, 1), ends_on=date(2026, 12, 31),
        profiles=["T9"], max_agents=3,
    )  # fmt: skip
    directory.add_account(
        store, identifier="ici", password="Correct-horse-26", partner_name=LYON, profiles=["T9"], now=NOON
    )
    rows = [f"a.{number},{LYON},{profiles}" for number, profiles in enumerate(("T9", "T1", "T9 T1", "T9", "T1"))]
    _, problems = imported(store, "account", "\n".join(["identifier,partner,profiles", *rows]))
    assert [line for line, _ in problems] == [5]
    assert "The convention 'C-1' allows 3 agents" in problems[0][1]
    assert entered(store, "account", "\n".join(["identifier,partner,profiles", *rows[:3], rows[4]])).rows == 4
    assert [line for line, _ in imported(store, "account", f"identifier,partner,profiles\nb,{LYON},T9\n")[1]] == [2]


def test_accounts_of_the_staff_are_problems_where_they_may_not_be_among_them(store):
    directory.add_partner(store, name="Caf", kind="caf")
    text = f"identifier,partner,profiles\na.un,Caf,\na.deux,Caf,T1\na.trois,{LYON},\na.quatre,Caf, \n"
    _, problems = imported(store, "account", text, staff_too=False)
    said = "It would be an account of the Caf's staff, which is entered by `cafpro account` only."
    assert problems == [(2, said), (5, said)]
    assert entered(store, "account", text).rows == 4


def places(store, number, most):
    """A convention of Lyon's with room for so many."""
    directory.add_convention(
        store, partner_name=LYON, number=number, caisse="691", starts_on=date(2026, 1, 1), ends_on=date(2026, 12, 31),
        profiles=["T9"], max_agents=most,
    )  # fmt: skip


def by_hand(store, identifier):
    directory.add_account(
        store, identifier=identifier, password="Correct-horse-26", partner_name=LYON, profiles=["T9"], now=NOON
    )


THREE = "identifier,partner,profiles\n\n" + "".join(f"a.{number},{LYON},T9\n" for number in range(3))
FILES = {
    "partner": "name\nTout neuf\n",
    "convention": f"number,partner,caisse,starts_on,ends_on,profiles\nC-9,{LYON},691,2026-01-01,2026-12-31,T9\n",
    "account": f"identifier,partner\ntout.neuf,{LYON}\n",
    "mandate": f"dossier,kind,partner,starts_on,reference\n9990001,judgment,{LYON},2026-01-01,RG 9\n",
}
FULL = (
    "The convention 'C-1' allows 3 agents, and the partner has as many with a profile that it opens: close an account, "
    "or sign for more."
)


@pytest.mark.parametrize("what", ["a place is taken", "fewer are allowed"])
def test_room_that_is_gone_between_the_check_and_the_writing_refuses_the_file(store, what):
    places(store, "C-1", 3 if what == "a place is taken" else None)
    before = []

    def meanwhile(part, done, whole):
        assert part == "Checking", "nothing is written"
        if done == whole:
            by_hand(store, "plus.vite")
            if what == "fewer are allowed":
                directory.limit_convention(store, number="C-1", max_agents=3)
            before.append(everything(store))

    done, problems = imported(store, "account", THREE, tell=meanwhile)
    assert problems == [(5, FULL)]
    assert (done.rows, done.change_id) == (3, None)
    assert before == [everything(store)]
    directory.limit_convention(store, number="C-1", max_agents=4)
    assert entered(store, "account", THREE).rows == 3


def test_of_two_files_for_the_last_places_one_is_entered(store):
    places(store, "C-1", 3)
    together = Barrier(2)

    def enter(letter):
        text = THREE.replace("a.", f"{letter}.")
        return imported(store, "account", text, tell=lambda part, done, whole: part == "Checking" and together.wait(10))

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(enter, "bc"))
    assert sorted(problems for _, problems in outcomes) == [[], [(1, OVERTAKEN)]]
    assert len(directory.accounts(store, partner_name=LYON)) == 1 + 3
    late = "bc"[[problems for _, problems in outcomes].index([(1, OVERTAKEN)])]
    assert imported(store, "account", THREE.replace("a.", f"{late}."))[1] == [(3, FULL), (4, FULL), (5, FULL)]


@pytest.mark.parametrize("noun", ["partner", "convention", "account", "mandate"])
def test_the_same_file_twice_at_once_is_entered_once(store, noun):
    """A double click, or a proxy that sends a request again."""
    text = FILES[noun]
    before = []

    def meanwhile(part, done, whole):
        if part == "Checking" and done == whole:
            assert entered(store, noun, text).rows == 1
            before.append(everything(store))

    done, problems = imported(store, noun, text, tell=meanwhile)
    assert (problems, done.change_id) == ([(1, OVERTAKEN)], None)
    assert before == [everything(store)]


@pytest.mark.parametrize("noun", ["partner", "convention", "account"])
def test_what_is_entered_by_hand_between_the_check_and_the_writing_refuses_the_file(store, noun):
    before = []

    def meanwhile(part, done, whole):
        if part == "Checking" and done == whole:
            if noun == "partner":
                directory.add_partner(store, name="Tout neuf", kind="external")
            elif noun == "convention":
                places(store, "C-9", None)
            else:
                by_hand(store, "tout.neuf")
            before.append(everything(store))

    done, problems = imported(store, noun, FILES[noun], tell=meanwhile)
    assert (problems, done.change_id) == ([(1, OVERTAKEN)], None)
    assert before == [everything(store)]
    directory.add_partner(store, name="Encore un", kind="external")  # it works on
    assert imported(store, noun, FILES[noun], only_check=True)[0].problems == 1


def test_whoever_is_entered_by_hand_while_a_file_is_written_waits_and_is_refused(store):
    places(store, "C-1", 3)
    late = []
    with ThreadPoolExecutor(1) as pool:

        def meanwhile(part, done, whole):
            if part == "Writing" and done == whole:
                late.append(pool.submit(by_hand, store, "trop.tard"))
                with pytest.raises(TimeoutError):
                    late[0].result(0.3)

        assert imported(store, "account", THREE, tell=meanwhile)[1] == []
        with pytest.raises(Misconfigured, match="allows 3 agents"):
            late[0].result(10)


def test_a_closed_accounts_mandate_is_refused(store):
    directory.close_account(store, identifier="m.martin", signed=HAND, now=NOON)
    _, problems = imported(store, "mandate", MANDATES + f"9990001,judgment,{LYON},m.martin,2026-01-01,,R\n")
    assert problems == [(2, "The account 'm.martin' is closed.")]


def test_an_import_is_one_change_by_which_each_of_its_rows_is_explained(store):
    entered(store, "partner", "name\nUdaf\nCnav\n")
    done = entered(store, "account", "identifier,partner\na.un,Udaf\na.deux,Cnav\n")
    entered(store, "mandate", MANDATES + "9990001,judgment,Udaf,a.un,2026-01-01,,R\n")
    directory.suspend_account(store, identifier="a.un", signed=HAND)
    told = directory.changes(store, subject="a.un")
    assert [(one.act, one.by, one.why) for one in told][:1] == [("account import", "c.petit", "liste du 15 juin")]
    assert told[0].id == done.change_id
    assert told[0].subject == "liste.csv"
    assert told[0].detail.startswith("2 accounts from liste.csv, SHA-256 ")
    assert [one.act for one in told] == ["account import", "account suspend"]
    assert [one.act for one in directory.changes(store, subject="Cnav")] == ["partner import"]
    assert [one.act for one in directory.changes(store, subject="1")] == ["mandate import"]
    assert [one.act for one in directory.changes(store, subject="m.martin")] == ["account add"]
    with store.read() as connection:
        for table in (partner, convention, account, mandate):
            for (number,) in connection.execute(select(table.c.import_id).where(table.c.import_id.is_not(None))):
                assert connection.execute(select(change.c.act).where(change.c.id == number)).scalar() == (
                    f"{table.name} import"
                )


MANY = 11_111
"""Rows, in several batches: of reading and of writing."""
LARGE = MANDATES + "".join(f"{n:07},judgment,{LYON},m.martin,2026-01-01,,RG {n}\n" for n in range(MANY))


def batches_written(part, done):
    return part == "Writing" and 0 < done < MANY


def test_a_file_whose_writing_fails_after_some_batches_has_entered_nothing(store):
    before = everything(store)

    def fail(part, done, _):
        if batches_written(part, done):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imported(store, "mandate", LARGE, tell=fail)
    assert everything(store) == before
    assert entered(store, "mandate", LARGE).rows == MANY


def test_a_file_whose_writing_is_killed_after_some_batches_has_entered_nothing(anywhere, store):
    before = everything(store)

    def import_and_die():
        def die(part, done, _):
            if batches_written(part, done):
                os.kill(os.getpid(), signal.SIGKILL)

        imported(open_store(anywhere), "mandate", LARGE, tell=die)

    assert ended(forked(import_and_die)) == -signal.SIGKILL
    assert everything(store) == before
    assert entered(store, "mandate", LARGE).rows == MANY


def test_rows_in_many_batches_are_all_entered_and_told_of(store):
    told = []
    done, problems = imported(store, "mandate", LARGE, tell=lambda *part: told.append(part))
    assert (done.rows, problems) == (MANY, [])
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(mandate)).scalar() == MANY
    assert [part for part in told if part[0] == "Writing"][-1] == ("Writing", MANY, MANY)
    checked = [part for part in told if part[0] == "Checking"]
    assert checked[-1][1] == checked[-1][2] == len(LARGE.encode())
    again = LARGE + LARGE.splitlines(keepends=True)[1]
    assert (MANY + 2, "The same mandate stands on line 2 already.") in imported(store, "mandate", again)[1]


CELLS = st.sampled_from(["", "Udaf", "Cnav", "=1+1", " Udaf", "a;b", 'a"b', "é", "x" * 201, "\ud800", LYON, "\x1b[0m"])
KINDS = st.sampled_from(["external", "caf", "", "other"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELLS, KINDS), max_size=8))
def test_whatever_the_file_all_of_it_is_entered_or_none_and_every_bad_line_is_named(tmp_path_factory, rows):
    """The oracle enters the same rows one by one, into a directory of its own."""
    folder = tmp_path_factory.mktemp("import")
    with (
        contextlib.closing(open_store(f"sqlite:///{folder / 'one.db'}")) as by_hand,
        contextlib.closing(open_store(f"sqlite:///{folder / 'all.db'}")) as at_once,
    ):
        for each in (by_hand, at_once):
            directory.add_partner(each, name=LYON, kind="external")
        bad = set()
        for line, (name, kind) in enumerate(rows, start=2):
            try:
                directory.add_partner(by_hand, name=name, kind=kind or "external")
            except Misconfigured:
                bad.add(line)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("name", "kind"), *rows])
        before = everything(at_once)
        done, problems = imported(at_once, "partner", text.getvalue().encode("utf-8", "surrogatepass"))
        # A row whose twin above is bad is named here too: which of them is meant, nobody knows.
        twins = {line for line, (name, _) in enumerate(rows, 2) if name in [other for other, _ in rows[: line - 2]]}
        found = {line for line, _ in problems}
        assert bad <= found <= bad | twins
        if found or not rows:
            assert (done.change_id, everything(at_once)) == (None, before)
        else:
            names = [(each.name, each.kind) for each in directory.partners(by_hand)]
            assert [(each.name, each.kind) for each in directory.partners(at_once)] == names


# The commands.


@pytest.fixture
def folder(tmp_path):
    assert CliRunner().invoke(main, ["init", str(tmp_path / "caf")]).exit_code == 0
    return tmp_path / "caf"


def cafpro(folder, *words, status=0):
    done = CliRunner().invoke(main, [*words, "--config", str(folder / "gateway.toml")], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done.output


def test_a_file_is_looked_at_then_entered_and_listed(folder):
    file = folder / "partners.csv"
    file.write_text('name\n=cmd|calc\n"@sum, 1"\nUdaf\n')
    assert (
        cafpro(folder, "partner", "import", str(file), "--dry-run")
        == "3 partners could be entered: nothing is written.\n"
    )
    assert cafpro(folder, "partner", "list") == "None.\n"
    assert cafpro(folder, "partner", "import", str(file), "--why", "liste") == "3 partners are entered: change 1.\n"
    said = cafpro(folder, "partner", "import", str(file), status=1)
    assert said.splitlines()[0] == "partners.csv:2: There is a partner called '=cmd|calc' already."
    assert said.splitlines()[-1] == "3 problems: nothing is written."
    # A spreadsheet that opens the export calculates nothing.
    names = [row["name"] for row in csv.DictReader(io.StringIO(cafpro(folder, "partner", "list", "--format", "csv")))]
    assert sorted(names) == ["'=cmd|calc", "'@sum, 1", "Udaf"]
    [told] = json.loads(cafpro(folder, "change", "list", "--format", "json"))
    assert (told["act"], told["subject"], told["why"]) == ("partner import", "partners.csv", "liste")


def test_a_file_that_cannot_be_read_or_is_not_there_is_said_in_a_sentence(folder):
    said = cafpro(folder, "partner", "import", str(folder / "none.csv"), status=1)
    assert said == f"{folder / 'none.csv'}: cannot be read (No such file or directory).\n"
