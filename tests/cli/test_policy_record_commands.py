"""`cafpro policy replay`, `unused` and `explain` as people type them."""

import contextlib
import json
import os
import pwd
import shutil
import sqlite3
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.database.opening import open_database
from gateway.identity import directory
from gateway.identity.store import open_store
from gateway.policy.given_facts import typed_facts
from gateway.policy_files.folder import load_folder, shipped
from gateway.record.entry import Entry, facts_text
from gateway.record.journal import METADATA, Journal, record
from tests.record.synthetic import rows

ROWS = 1_500
PASSWORD = "Une-phrase-de-passe-2012"


@pytest.fixture(scope="module")
def cafpro():
    settings = {name: None for name in os.environ if name.startswith("CAFPRO_")}
    runner = CliRunner(env=settings)
    return lambda *words, **options: runner.invoke(main, [str(word) for word in words], **options)


@pytest.fixture(scope="module")
def furnished(cafpro, tmp_path_factory):
    """A gateway's folder whose record has a hundred days of consultations, and some rows that cannot be replayed."""
    folder = tmp_path_factory.mktemp("gateway") / "caf"
    assert cafpro("init", folder).exit_code == 0
    policy = load_folder(folder / "policies").policy
    database = open_database(f"sqlite:///{folder / 'record.db'}", METADATA, setting="record.url")
    with contextlib.closing(database):
        journal = Journal(database)
        journal.write(list(rows(policy, ROWS, until=datetime.now(UTC), days=100)))
        journal.write([spoilt(*each) for each in SPOILT])
    return folder


SPOILT = [
    ("request", "", "", "[]"),
    ("consult", "dossier", "", "[]"),
    ("consult", "dossier", "{", "[]"),
    ("consult", "dossier", facts_text(typed_facts("T1", "")).replace("in_force", "perhaps"), "[]"),
    ("consult", "gone", facts_text(typed_facts("T1", "")), "[]"),
    ("consult", "dossier", facts_text(typed_facts("T1", "")), "no list"),
]


def spoilt(act, route, facts, rubrics):
    row = dict(zip([column.name for column in record.c][1:], Entry("x" * 24, datetime.now(UTC), "").row(), strict=True))
    return tuple({**row, "act": act, "route": route, "facts": facts, "rubrics": rubrics}.values())


@pytest.fixture
def draft(furnished, tmp_path):
    """Creances closed to T1, opened to T2."""
    folder = Path(shutil.copytree(furnished / "policies", tmp_path / "draft"))
    text = (folder / "matrix.polar").read_text()
    (folder / "matrix.polar").write_text(text.replace('["T1", "T9", "T11", "T13"]', '["T2", "T9", "T11", "T13"]'))
    return folder


def replayed(cafpro, furnished, *words):
    done = cafpro("policy", "replay", "--config", furnished / "gateway.toml", "--format", "json", *words)
    return done.exit_code, json.loads(done.stdout)


def counted(furnished, where):
    with contextlib.closing(sqlite3.connect(furnished / "record.db")) as connection:
        return connection.execute(f"SELECT count(*) FROM record WHERE {where}").fetchone()[0]


def test_a_replay_counts_what_the_record_holds(cafpro, furnished, draft):
    code, found = replayed(cafpro, furnished, "--against", draft, "--since", "365d")
    assert code == 1
    assert found["consultations"] == counted(furnished, "act IN ('consult', 'request')")
    assert found["replayed"] + sum(found["not_replayable"].values()) == found["consultations"]
    lost = counted(
        furnished,
        "profile = 'T1' AND route IN ('dossier', 'rubric') AND rubrics LIKE '%\"creances\"%' AND act = 'consult'",
    )
    assert lost > 0
    assert found["rubrics"]["creances"]["left"] == lost
    assert list(found["rubrics"]) == ["creances"]
    assert set(found["profiles"]) == {"T1", "T2"}
    assert sum(tally["gained"] for tally in found["partners"].values()) == found["touched"]["gained"] > 0


def test_what_cannot_be_replayed_is_said_with_its_reason(cafpro, furnished, draft):
    _, found = replayed(cafpro, furnished, "--against", draft, "--since", "1h")
    told = Counter(found["not_replayable"])
    assert told["refused before anything was decided"] == 2
    assert told["facts that cannot be read"] == 2
    assert told["facts outside their vocabulary"] == 1
    assert told["a route that the route table in force does not have"] == 1
    done = cafpro("policy", "replay", "--config", furnished / "gateway.toml", "--against", draft, "--since", "400d")
    assert "facts outside their vocabulary" in done.stdout
    assert "begins on" in done.stdout
    assert "Créances (creances)" in done.stdout


def test_a_draft_that_changes_nothing_for_anyone_ends_with_0(cafpro, furnished):
    code, found = replayed(cafpro, furnished, "--against", furnished / "policies", "--since", "365d")
    assert (code, found["touched"]) == (0, {"lost": 0, "gained": 0, "left": 0})
    assert found["elsewhere"] == {}, "the record was made by these policies"


def test_consultations_that_other_policies_decided_are_compared_and_said(cafpro, furnished, draft):
    _, found = replayed(cafpro, furnished, "--policies", draft, "--against", furnished / "policies", "--since", "365d")
    assert found["elsewhere"] == {load_folder(furnished / "policies").fingerprint: found["replayed"]}
    done = cafpro(
        *("policy", "replay", "--config", furnished / "gateway.toml", "--policies", draft),
        *("--against", furnished / "policies", "--since", "30d"),
    )
    assert "were decided at the time by other policies" in done.stdout


def test_reading_the_record_leaves_a_row_that_says_who_and_what(cafpro, furnished, draft):
    before = counted(furnished, "act = 'read'")
    replayed(cafpro, furnished, "--against", draft, "--since", "12h")
    cafpro("policy", "unused", "--config", furnished / "gateway.toml", "--since", "12h")
    with contextlib.closing(sqlite3.connect(furnished / "record.db")) as connection:
        asked = "SELECT agent, route, status FROM record WHERE act = 'read' ORDER BY id DESC LIMIT 2"
        found = connection.execute(asked).fetchall()
    who = f"command line: {pwd.getpwuid(os.getuid()).pw_name}"
    assert found == [(who, "cafpro policy unused", 200), (who, "cafpro policy replay", 200)]
    assert counted(furnished, "act = 'read'") == before + 2


@pytest.mark.parametrize("since", ["30", "0d", "d", "30w", "-3d", "1201d", "99999h", "٣d", ""])
def test_a_period_that_is_none_is_misuse(cafpro, furnished, draft, since):
    done = cafpro("policy", "replay", "--config", furnished / "gateway.toml", "--against", draft, "--since", since)
    assert done.exit_code == 2
    assert "30d or 12h" in done.stderr


def test_what_cannot_be_read_is_one_sentence(cafpro, furnished, tmp_path):
    for words in (["--against", tmp_path / "nowhere"], ["--against", shipped(), "--config", tmp_path / "no.toml"]):
        done = cafpro("policy", "replay", "--since", "3d", "--config", furnished / "gateway.toml", *words)
        assert done.exit_code == 2
        assert "Traceback" not in done.output
        assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def strict(furnished, tmp_path):
    """A copy whose record has sound rows only: T1 and T14 consulted, and nobody else."""
    folder = Path(shutil.copytree(furnished, tmp_path / "caf"))
    with contextlib.closing(sqlite3.connect(folder / "record.db")) as connection:
        connection.execute("DELETE FROM record WHERE profile NOT IN ('T1', 'T14')")
        connection.commit()
    return folder


def test_unused_cells_become_a_draft_that_closes_them_and_nothing_else(cafpro, strict, tmp_path):
    words = ("policy", "unused", "--config", strict / "gateway.toml", "--since", "90d")
    done = cafpro(*words, "--format", "json", "--draft", tmp_path / "closed")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["unused"]["T1"], found["unused"]["T14"]) == ([], [])
    before, after = load_folder(strict / "policies").policy, load_folder(tmp_path / "closed").policy
    assert sum(map(len, found["unused"].values())) == 89 - 12 - 4
    for old, new in zip(before.rows, after.rows, strict=True):
        assert new.profiles == tuple(profile for profile in old.profiles if profile in ("T1", "T14"))
    for file in (strict / "policies").iterdir():
        if file.suffix == ".polar" and file.name != "matrix.polar":
            assert (tmp_path / "closed" / file.name).read_bytes() == file.read_bytes()
    assert "# Who sees what" in (tmp_path / "closed" / "matrix.polar").read_text()
    code, changes = replayed(cafpro, strict, "--against", tmp_path / "closed", "--since", "90d")
    assert (code, changes["touched"]["lost"]) == (0, 0), "what nobody used, nobody misses"


def test_a_draft_is_never_written_over_anything(cafpro, strict, tmp_path):
    (tmp_path / "taken").mkdir()
    before = counted(strict, "1")
    done = cafpro(
        *("policy", "unused", "--config", strict / "gateway.toml", "--since", "90d", "--draft", tmp_path / "taken")
    )
    assert (done.exit_code, list((tmp_path / "taken").iterdir())) == (2, [])
    assert "exists already" in done.stderr
    assert counted(strict, "1") == before, "the record was not read"


def test_a_record_younger_than_the_period_is_a_warning(cafpro, strict):
    done = cafpro("policy", "unused", "--config", strict / "gateway.toml", "--since", "365d")
    assert "Warning: the record begins on" in done.stderr
    done = cafpro("policy", "unused", "--config", strict / "gateway.toml", "--since", "60d")
    assert "Warning" not in done.stderr
    assert "T2 (nobody with this profile was answered): enfants, qf_cnaf, adresse" in done.stdout


def test_a_row_that_does_not_say_what_left_stops_the_count(cafpro, furnished):
    done = cafpro("policy", "unused", "--config", furnished / "gateway.toml", "--since", "90d")
    assert done.exit_code == 1
    assert "does not say what left" in done.stderr


@pytest.fixture(scope="module")
def known(furnished):
    """An account with two profiles and a mandate on 9990001; a suspended one."""
    store = open_store(f"sqlite:///{furnished / 'cafpro.db'}")
    now, today = datetime.now(UTC), date.today()
    with contextlib.closing(store):
        directory.add_partner(store, name="Tutelles", kind="external")
        directory.add_convention(
            store,
            partner_name="Tutelles",
            number="C-1",
            caisse="851",
            starts_on=today - timedelta(days=9),
            ends_on=today + timedelta(days=9),
            profiles=["T9", "T10"],
        )
        for identifier, profiles in (("both", ["T9", "T10"]), ("gone", ["T9"])):
            directory.add_account(
                store,
                identifier=identifier,
                password="Une-phrase-de-passe-2012",
                partner_name="Tutelles",
                profiles=profiles,
            )
            directory.sign_engagement(store, identifier=identifier, version="2012-07", now=now)
        directory.suspend_account(store, identifier="gone")
        directory.add_mandate(
            store, dossier="9990001", kind="masp", partner_name="Tutelles", starts_on=today, reference="x"
        )
    return furnished / "gateway.toml"


def explained(cafpro, known, *words, **options):
    done = cafpro("policy", "explain", "--config", known, "--format", "json", *words, **options)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_an_agent_before_a_dossier_is_explained_without_a_session_and_without_the_number(cafpro, known):
    found = explained(cafpro, known, "--dossier", "9990001", "--as", "both", "--profile", "T9")
    assert found["facts"]["mandates"] == ["masp"]
    assert sum(each["open"] for each in found["rubrics"]) == 13
    found = explained(cafpro, known, "--dossier", "9990001", "--as", "both", "--profile", "T10")
    assert (found["denied"], sum(each["open"] for each in found["rubrics"])) == ("dossier", 0)
    found = explained(cafpro, known, "--dossier", "-", "--as", "gone", input="9990001\n")
    assert found["account_suspended"] is True
    for words in (["--lang", "fr"], ["--format", "json"]):
        done = cafpro("policy", "explain", "--config", known, "--dossier", "9990001", "--as", "gone", *words)
        assert "9990001" not in done.output
    assert (
        "suspendu"
        in cafpro("policy", "explain", "--config", known, "--dossier", "9990001", "--as", "gone", "--lang", "fr").output
    )
    with contextlib.closing(open_store(f"sqlite:///{known.parent / 'cafpro.db'}")) as store:
        assert directory.open_sessions(store, now=datetime.now(UTC)) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dossier", "12345", "--as", "gone"], "seven digits"),
        (["--dossier", "9990001", "--as", "nobody"], "There is no account called 'nobody'."),
        (["--dossier", "9990001", "--as", "both"], "holds several profiles (T9, T10)"),
        (["--dossier", "9990001", "--as", "gone", "--profile", "T1"], "does not hold the profile 'T1'"),
        (["--dossier", "9990001"], "go together"),
        (["--as", "gone"], "go together"),
        (["--profile", "T9", "--dossier", "9990001", "--as", "gone", "--facts", ""], "give it or --facts"),
        (["--who", "rsa", "--profile", "T9"], "give it alone"),
        (["--who", "RSA"], "There is no rubric `RSA`"),
        (["--facts", "convention=none"], "say for whom"),
        (["--profile", "T9", "--facts", "mandates=mask"], "Did you mean `masp`?"),
    ],
)
def test_what_cannot_be_explained_is_misuse_with_a_sentence(cafpro, known, words, said):
    done = cafpro("policy", "explain", "--config", known, *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "12345" not in done.stderr


def test_the_reverse_says_who_and_when(cafpro):
    said = cafpro("policy", "explain", "--who", "declaration_ressources", "--lang", "fr").stdout
    assert "Profils qui la voient : 1 sur 14." in said
    assert "mandat : jugement ou Masp" in said
    found = json.loads(cafpro("policy", "explain", "--who", "creances", "--format", "json").stdout)
    assert [each["profile"] for each in found["seen_by"]] == ["T1", "T9", "T11", "T13"]
    assert (found["file"], found["line"]) == ("matrix.polar", 14)


def test_an_explanation_names_the_lines_as_they_stand_in_the_files(cafpro):
    said = cafpro("policy", "explain", "--profile", "T10", "--facts", "mandates=direct_payment").stdout
    for number, line in enumerate((shipped() / "matrix.polar").read_text().splitlines(), start=1):
        if line.startswith("rubric("):
            opened = '"T10"' in line
            [shown] = [each for each in said.splitlines() if f"matrix.polar:{number} " in each]
            assert ("the row does not name T10" not in shown) is opened
    assert 'conditions.polar:26  dossiers("T10", ["direct_payment"]' in said
    said = cafpro("policy", "explain", "--profile", "t10").stdout
    assert "no such profile: profiles.polar does not name it. Did you mean `T10`?" in said
