"""A store made by any version is brought to this one's tables and back, whole or not at all, on both databases."""

import contextlib
import itertools
import json
import os
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.database import migrating
from gateway.database.history import DIRECTORY
from gateway.errors import Misconfigured
from gateway.identity import directory
from gateway.identity.sessions import sign_in
from gateway.identity.store import open_store
from gateway.identity.tables import METADATA
from gateway.settings import Identity

FIRST = Path(__file__).with_name("first")
"""What the first version made, before there were revisions: typed from it, not from ours."""
ROOT = Path(__file__).parents[2]
LAST = DIRECTORY.head
NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
CONFIGURATION = """
[upstream]
url = "http://127.0.0.1:9000"
[record]
key_file = "record.key"
[store]
url = "{url}"
[identity]
caisse = "691"
"""


class Kept:
    """A database of one of the two kinds, looked at with no code of ours."""

    def __init__(self, url):
        self.url = url
        self.kind = url.partition(":")[0].partition("+")[0]
        self._engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)

    def run(self, text):
        if self.kind == "sqlite":
            with contextlib.closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
                connection.executescript(text)
        else:
            with self._engine.begin() as connection:
                connection.exec_driver_sql(text)

    def first(self):
        """Make it what the first version made, with agents in it."""
        self.run((FIRST / f"{self.kind}.sql").read_text())
        return self

    def rows(self):
        """Every row of the first version's tables, in the columns that it had."""
        with self._engine.connect() as connection:
            return {
                table: sorted(map(repr, connection.exec_driver_sql(f"SELECT {', '.join(names.split())} FROM {table}")))
                for table, names in DIRECTORY.first.items()
            }

    def shape(self):
        """Its tables as the database describes them, the columns in their order."""
        with self._engine.connect() as connection:
            inspector = sqlalchemy.inspect(connection)
            shape = {
                table: (
                    [
                        (each["name"], str(each["type"]), each["nullable"], each["default"])
                        for each in inspector.get_columns(table)
                    ],
                    inspector.get_pk_constraint(table),
                    sorted(inspector.get_foreign_keys(table), key=repr),
                    sorted(inspector.get_unique_constraints(table), key=repr),
                    sorted(inspector.get_indexes(table), key=repr),
                )
                for table in inspector.get_table_names()
            }
            if self.kind == "sqlite":
                shape["without rowid"] = sorted(
                    name
                    for name, without in connection.exec_driver_sql("SELECT name, wr FROM pragma_table_list")
                    if without
                )
        return shape

    def revision(self):
        with self._engine.connect() as connection:
            return connection.exec_driver_sql("SELECT version_num FROM directory_version").scalar()

    def differences(self):
        with self._engine.connect() as connection:
            options = {"version_table": DIRECTORY.table, "target_metadata": METADATA, "compare_type": True}
            return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request):
    return request.param


@pytest.fixture
def fresh(kind, tmp_path, request):
    """Makes empty databases of this kind."""
    made, files = [], itertools.count()

    def another():
        if kind == "sqlite":
            return Kept(f"sqlite:///{tmp_path / f'store{next(files)}.db'}")
        made.append(request.getfixturevalue("server").empty_database())
        return Kept(made[-1])

    yield another
    for url in made:
        request.getfixturevalue("server").remove(url)


@pytest.fixture
def cafpro(tmp_path, monkeypatch):
    """What a command prints, standard error after standard output, on this store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "record.key").write_bytes(os.urandom(32))

    def run(kept, *words, status=0):
        url = kept if isinstance(kept, str) else kept.url
        (tmp_path / "gateway.toml").write_text(CONFIGURATION.format(url=url))
        result = CliRunner().invoke(main, words, catch_exceptions=False)
        assert result.exit_code == status, result.output
        return result.output

    return run


def process(*words, folder):
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# What there is.


def test_the_history_names_every_revision_in_its_order():
    scripts = ScriptDirectory(str(migrating.PLACE))
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == DIRECTORY.revisions
    for script in scripts.walk_revisions():
        assert script.doc.endswith("."), f"{script.revision} says what it does"


def test_every_module_of_a_revision_is_in_the_package():
    listed = (ROOT / "setup.cfg").read_text()
    for name in ("migrations", "migrations.versions"):
        assert f"    gateway.database.{name}\n" in listed


def test_an_empty_store_is_made_at_the_last_revision_at_once(fresh):
    kept = fresh()
    open_store(kept.url).close()
    assert kept.revision() == DIRECTORY.head
    assert kept.differences() == []


def test_tables_made_at_once_are_those_that_the_revisions_make(fresh, cafpro):
    made, grown, empty = fresh(), fresh().first(), fresh()
    open_store(made.url).close()
    if empty.kind == "sqlite":
        empty.run("")
    for kept in (grown, empty):
        cafpro(kept, "store", "upgrade")
        assert kept.differences() == []
        assert kept.shape() == made.shape()


# From the first version.


def test_a_store_of_the_first_version_keeps_everything(fresh, cafpro):
    kept = fresh().first()
    before = kept.rows()
    cafpro(kept, "store", "upgrade")
    assert kept.rows() == before
    assert kept.revision() == DIRECTORY.head
    with contextlib.closing(open_store(kept.url)) as store:
        rules = Identity(caisse="691")
        assert sign_in(store, rules, identifier="m.martin", password="Correct-horse-26", now=NOON).agent.profile == "T9"
        directory.add_partner(store, name="Udaf", kind="external")
    assert "nothing to do" in cafpro(kept, "store", "upgrade")


def test_a_store_from_before_there_were_failures_is_completed(fresh, cafpro):
    kept = fresh().first()
    kept.run("DROP TABLE failure")
    with pytest.raises(Misconfigured, match=f"is at revision none and this version of Cafpro wants {LAST}: write"):
        open_store(kept.url)
    cafpro(kept, "store", "upgrade")
    assert kept.differences() == []
    open_store(kept.url).close()


def test_another_programs_tables_are_left_alone(fresh, cafpro):
    kept = fresh()
    kept.run("CREATE TABLE account (id INTEGER, owner TEXT)")
    said = "holds other tables than Cafpro's: table account lacks engagement_signed_at"
    with pytest.raises(Misconfigured, match=said):
        open_store(kept.url)
    assert said in cafpro(kept, "store", "upgrade", status=2)
    assert "other tables than Cafpro's: table account" in cafpro(kept, "store", "current", status=1)
    assert list(kept.shape())[:1] == ["account"]


# And back.

FURNISHED = """
UPDATE partner SET siret = '73282932000074' WHERE id = 1;
UPDATE convention SET max_agents = 12 WHERE id = 1;
UPDATE account SET function = 'social worker' WHERE id = 1;
UPDATE account SET closed_at = 1781517600 WHERE id = 2;
INSERT INTO change (at, "by", act, subject, detail, why)
VALUES (1781517600, 'c.petit', 'account close', 'a.durand', '', 'left');
UPDATE account SET delegated = TRUE WHERE id = 1;
UPDATE account SET suspended_by_partner = TRUE WHERE id = 2;
INSERT INTO wording (version, fingerprint, text, accepted_at) VALUES ('2012-07', '00', 'Je...', 1781517600);
INSERT INTO activation (account_id, token_hash, expires_at) VALUES (1, '00', 1781517600);
INSERT INTO join_request (organisation, siret, function, profiles, contact, state, asked_at)
VALUES ('Udaf', '73282932000074', 'tuteur', 'T9', 'direction@udaf.example', 'asked', 1781517600);
UPDATE account SET confirmed_on = '2026-06-15', last_used_on = '2026-06-15' WHERE id = 1;
INSERT INTO second_factor (account_id, secret, begun_at, confirmed_at, last_step) VALUES (1, '', 0, 0, 0);
INSERT INTO recovery_code (account_id, code_hash) VALUES (1, '');
"""
LOST = (
    "1 accounts: that their partner suspended them, and not the Caf.",
    "1 delegated administrators: that they are.",
    "1 second factors: these agents log in with their password alone.",
    "1 requests to join.",
    "1 accounts: when they were confirmed.",
    "1 accounts: when they were last used.",
    "1 texts of the engagement, as they were accepted.",
    "1 activation links: make them anew.",
    "1 partners: their SIRET.",
    "1 conventions: how many agents they allow.",
    "1 accounts: the agent's function.",
    "1 closed accounts: that they are closed. They stay suspended.",
    "1 changes: who made them, when and why.",
)


def test_a_store_goes_there_and_back_and_there_again_with_all_that_the_first_version_knew(fresh, cafpro):
    kept = fresh().first()
    before, shape = kept.rows(), kept.shape()
    for _ in range(2):
        said = cafpro(kept, "store", "upgrade")
        assert "Made 0002: SIRET of partners" in said and said.endswith(f"now at revision {LAST}.\n")
        assert kept.differences() == []
        kept.run(FURNISHED)
        assert kept.rows() == before
        said = cafpro(kept, "store", "downgrade", "0001", "--yes")
        assert "Undone 0002: SIRET of partners" in said and said.endswith("now at revision 0001.\n")
        assert [line.removeprefix("Lost: ") for line in said.splitlines() if "Lost: " in line] == list(LOST)
        assert kept.rows() == before
        assert {name: of for name, of in kept.shape().items() if name != DIRECTORY.table} == shape


def test_going_back_says_first_what_would_be_lost_and_changes_nothing(fresh, cafpro):
    kept = fresh().first()
    assert "nothing after 0001 is there to undo" in cafpro(kept, "store", "downgrade", "0001", status=2)
    cafpro(kept, "store", "upgrade")
    assert "Nothing would be lost." in cafpro(kept, "store", "downgrade", "0001", status=1)
    kept.run(FURNISHED)
    before, shape = kept.rows(), kept.shape()
    said = cafpro(kept, "store", "downgrade", "0001", status=1)
    assert [line.removeprefix("Would be lost: ") for line in said.splitlines() if "Would be lost" in line] == list(LOST)
    assert said.endswith("nothing is changed. Write --yes to do it.\n")
    assert (kept.rows(), kept.shape(), kept.revision()) == (before, shape, LAST)
    said = cafpro(kept, "store", "upgrade", "0001", status=2)
    assert f"at revision {LAST}, after 0001: `downgrade` goes back" in said


def test_an_account_that_was_closed_lets_nobody_in_after_going_back(fresh, cafpro):
    kept = fresh().first()
    cafpro(kept, "store", "upgrade")
    cafpro(kept, "account", "close", "m.martin", "--why", "left")
    cafpro(kept, "store", "downgrade", "0001", "--yes")
    cafpro(kept, "store", "upgrade")
    with contextlib.closing(open_store(kept.url)) as store:
        [gone] = [entry for entry in directory.accounts(store) if entry.identifier == "m.martin"]
        assert (gone.suspended, gone.closed_at) == (True, None)
        assert directory.open_sessions(store, identifier="m.martin", now=NOON) == []
        assert [entry.released_at is None for entry in directory.mandates(store)] == [False, False]


# Which version may work with it.


def test_a_store_of_an_earlier_version_is_refused_with_the_command_to_write(fresh, cafpro):
    kept = fresh().first()
    before, shape = kept.rows(), kept.shape()
    for words in (("partner", "list"), ("check",), ("serve",)):
        said = cafpro(kept, *words, status=1)
        assert f"is at revision 0001 and this version of Cafpro wants {LAST}: write `cafpro store upgrade`" in said
    assert f"revision 0001. This version wants {LAST}." in cafpro(kept, "store", "current", status=1)
    assert (kept.rows(), kept.shape()) == (before, shape)
    cafpro(kept, "store", "upgrade", "0001")
    assert kept.revision() == "0001"
    assert "revision 0001 already, nothing to do" in cafpro(kept, "store", "upgrade", "0001")


def test_a_store_of_a_later_version_is_refused_in_a_sentence(fresh, cafpro):
    kept = fresh()
    open_store(kept.url).close()
    kept.run("UPDATE directory_version SET version_num = '0999'")
    for words in (("partner", "list"), ("check",)):
        said = cafpro(kept, *words, status=1)
        assert "at revision 0999, which a later version of Cafpro has made: this version is too old for it" in said
    for words in (("store", "upgrade"), ("store", "downgrade", "0001", "--yes")):
        assert "at revision 0999, which a later version of Cafpro made" in cafpro(kept, *words, status=2)
    assert kept.revision() == "0999"


def test_current_says_where_the_store_is(fresh, cafpro):
    kept = fresh()
    if kept.kind == "sqlite":
        assert "is not there. Put it back, if there was one" in cafpro(kept, "store", "current", status=1)
        assert not Path(kept.url.removeprefix("sqlite:///")).exists()
        kept.run("")
    assert "no table yet" in cafpro(kept, "store", "current", status=1)
    cafpro(kept, "store", "upgrade")
    assert f"revision {DIRECTORY.head}, the one that this version wants." in cafpro(kept, "store", "current")
    told = json.loads(cafpro(kept, "store", "current", "--format", "json"))
    assert told == {"revision": DIRECTORY.head, "wanted": DIRECTORY.head, "at_head": True, "problems": []}


def test_a_start_at_the_right_revision_imports_nothing_of_alembic(fresh, tmp_path):
    kept = fresh()
    open_store(kept.url).close()
    script = (
        "import sys; import gateway.app, gateway.cli.serve\nfrom gateway.identity.store import open_store\n"
        "open_store(sys.argv[1]).close()\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('alembic', 'mako')))"
    )
    running = process("-c", script, kept.url, folder=tmp_path)
    assert running.communicate(timeout=60) == ("[]\n", "")


def test_a_file_stays_its_owners_alone_and_keeps_its_journal(tmp_path, cafpro):
    kept = Kept(f"sqlite:///{tmp_path / 'store.db'}").first()
    (tmp_path / "store.db").chmod(0o644)
    cafpro(kept, "store", "upgrade")
    assert stat.S_IMODE((tmp_path / "store.db").stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_store_that_cannot_be_reached_is_said_in_a_sentence(tmp_path, cafpro):
    (tmp_path / "notes.db").write_text("Dear diary, " * 1000)
    for url, said in (
        (
            f"sqlite:///{tmp_path / 'notes.db'}",
            "cannot be used now, and is as it was: the database failed (SQLITE_NOTADB)",
        ),
        ("postgresql+psycopg://agent:hunter2@127.0.0.1:1/cafpro", "cannot be used now, and is as it was: the database"),
        ("sqlite:///absent.db", "is not there. Put it back, if there was one"),
        ("mysql://localhost/x", "must begin with sqlite:/// or postgresql+psycopg://"),
    ):
        for words in (("current",), ("upgrade",), ("downgrade", "0001"), ("downgrade", "0001", "--yes")):
            told = cafpro(url, "store", *words, status=1)
            assert said in told and "hunter2" not in told and "Traceback" not in told
    assert (tmp_path / "notes.db").read_text().startswith("Dear diary")


def test_a_store_that_another_holds_for_too_long_is_as_it_was(fresh, cafpro, monkeypatch):
    kept = fresh().first()
    before, shape = kept.rows(), kept.shape()
    monkeypatch.setattr(migrating, "_PATIENCE_MS", 50)
    with occupied(kept):
        assert "cannot be used now, and is as it was" in cafpro(kept, "store", "upgrade", status=1)
    assert (kept.rows(), kept.shape()) == (before, shape)


# Whole or not at all, and once.

UPGRADE = """
import sys
from gateway.database import migrating
from gateway.database.history import DIRECTORY
from gateway.database.opening import connected
database, _ = connected(sys.argv[1], setting="store.url")
print("ready", flush=True)
way = migrating.upgrade(database, DIRECTORY, to=DIRECTORY.head)
print(len(way.steps))
"""
"""As `cafpro store upgrade` does, and says when it begins."""

BREAK = """
import os
from sqlalchemy import Engine, event
@event.listens_for(Engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if " ".join(statement.split()).startswith(sys.argv[2]):
        os._exit(9)
"""
"""The power fails after the first statement that begins so."""


@contextlib.contextmanager
def occupied(kept):
    """Nobody else can change the tables meanwhile."""
    if kept.kind == "sqlite":
        locker = sqlite3.connect(kept.url.removeprefix("sqlite:///"), isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
    else:
        locker = kept._engine.connect()
        locker.exec_driver_sql("SELECT pg_advisory_xact_lock(3247)")
    yield
    locker.close()


def test_of_two_that_upgrade_at_once_one_does_and_both_are_right(fresh, tmp_path):
    kept = fresh().first()
    before = kept.rows()
    with occupied(kept):
        both = [process("-c", UPGRADE, kept.url, folder=tmp_path) for _ in range(2)]
        assert [each.stdout.readline() for each in both] == ["ready\n"] * 2
    said = [each.communicate(timeout=60) for each in both]
    assert [error for _, error in said] == ["", ""]
    assert sorted(int(done) for done, _ in said) == [0, len(DIRECTORY.revisions) - 1]
    assert kept.rows() == before
    assert kept.differences() == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE directory_version",
        "ALTER TABLE partner",
        "CREATE UNIQUE INDEX ix_partner_siret",
        "ALTER TABLE account",
        "CREATE INDEX ix_change_subject",
        "UPDATE directory_version",
    ],
)
def test_a_crash_in_the_middle_leaves_the_store_as_it_was(fresh, tmp_path, statement):
    kept = fresh().first()
    before, shape = kept.rows(), kept.shape()
    running = process(
        "-c", UPGRADE.replace("import sys", "import sys" + BREAK, 1), kept.url, statement, folder=tmp_path
    )
    assert running.communicate(timeout=60) == ("ready\n", "")
    assert running.returncode == 9
    assert kept.rows() == before
    assert kept.shape() == shape
    again = process("-c", UPGRADE, kept.url, folder=tmp_path)
    assert again.communicate(timeout=60)[1] == ""
    assert kept.rows() == before
    assert kept.differences() == []


def test_a_crash_on_the_way_back_leaves_the_store_as_it_was(fresh, tmp_path, cafpro):
    kept = fresh().first()
    cafpro(kept, "store", "upgrade")
    kept.run(FURNISHED)
    before, shape = kept.rows(), kept.shape()
    back = UPGRADE.replace(
        "upgrade(database, DIRECTORY, to=DIRECTORY.head)", 'downgrade(database, DIRECTORY, to="0001")'
    )
    script = back.replace("import sys", "import sys" + BREAK, 1)
    running = process("-c", script, kept.url, "ALTER TABLE partner DROP", folder=tmp_path)
    assert running.communicate(timeout=60) == ("ready\n", "")
    assert running.returncode == 9
    assert (kept.rows(), kept.shape(), kept.revision()) == (before, shape, LAST)
    open_store(kept.url).close()
