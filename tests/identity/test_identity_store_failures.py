"""A database that is not there, not ours, locked, read-only or broken: refused in words, recovered without hands."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.database import connections
from gateway.errors import Misconfigured, StoreUnavailable
from gateway.identity import directory
from gateway.identity.facts import SESSION
from gateway.identity.store import open_store
from tests.identity.conftest import on_a_file

ROOT = Path(__file__).parents[2]


@on_a_file
def test_the_file_is_readable_by_its_owner_alone(town, tmp_path):
    town.sign_in()
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("directory.db*")}
    assert set(modes.values()) == {0o600}


@on_a_file
def test_an_existing_file_is_closed_to_others(town, tmp_path):
    (tmp_path / "directory.db").chmod(0o644)
    open_store(town.url).close()
    assert stat.S_IMODE((tmp_path / "directory.db").stat().st_mode) == 0o600


def test_a_store_keeps_what_it_holds_when_it_is_opened_again(town):
    open_store(town.url).close()
    assert [entry.name for entry in directory.partners(town.store)] == [town.partner]


@on_a_file
def test_connections_are_durable_and_checked(town):
    town.store.ask(SESSION, token_hash="", caisse="691", today="2026-01-01")
    connection = town.store._idle[-1].connection
    asked = {
        pragma: connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        for pragma in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "cache_size")
    }
    assert asked == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "cache_size": -512,
    }


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is not a database URL"),
        ("cafpro.db", "is not a database URL"),
        ("mysql://localhost/x", "must begin with sqlite:/// or postgresql+psycopg://"),
        ("postgresql+asyncpg://localhost/x", "must begin with"),
        ("sqlite://", "must name one file"),
        ("sqlite:///:memory:", "must name one file"),
        ("sqlite:///x.db?mode=ro", "must name one file"),
        ("sqlite:////nowhere/at/all.db", "No such file or directory"),
        ("sqlite:////tmp", "Is a directory"),
        ("postgresql://agent:hunter2@127.0.0.1:1/cafpro", "store.url: "),
    ],
)
def test_a_store_that_cannot_be_opened_is_said_in_a_sentence(url, said):
    with pytest.raises(Misconfigured) as error:
        open_store(url)
    [problem] = error.value.problems
    assert problem.startswith("store.url: ")
    assert said in problem
    assert "hunter2" not in problem


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "notes.db").write_text("Dear diary, " * 1000)
    with pytest.raises(Misconfigured, match="SQLITE_NOTADB"):
        open_store(f"sqlite:///{tmp_path / 'notes.db'}")


def test_another_programs_database_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE account (id INTEGER, owner TEXT)")
    connection.close()
    with pytest.raises(
        Misconfigured, match="holds other tables than Cafpro's: table account lacks engagement_signed_at"
    ):
        open_store(f"sqlite:///{tmp_path / 'other.db'}")


@pytest.mark.looks_inside
@on_a_file
def test_a_locked_database_still_answers_and_refuses_changes(town, tmp_path, monkeypatch):
    token = town.sign_in().token
    monkeypatch.setattr(connections, "_PROBE_MS", 10)
    locker = sqlite3.connect(tmp_path / "directory.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    later = town.noon + timedelta(minutes=20)
    assert town.identify(token, now=later).identifier == town.agent
    with pytest.raises(StoreUnavailable) as refusal:
        town.store.check_writable()
    assert refusal.value.because == "the database failed (SQLITE_BUSY)"
    with pytest.raises(StoreUnavailable), town.store.change(wait_ms=10):
        pass
    locker.execute("ROLLBACK")
    locker.close()
    town.store.check_writable()
    assert town.identify(token, now=later).identifier == town.agent


@pytest.mark.looks_inside
@on_a_file
def test_a_database_removed_is_noticed_and_one_restored_is_read(town, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "_FILE_CHECK_SECONDS", -1.0)
    token = town.sign_in().token
    file = tmp_path / "directory.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shutil.copy(file, tmp_path / "backup")
    for each in tmp_path.glob("directory.db*"):
        each.unlink()
    for attempt in (lambda: town.identify(token), town.sign_in, town.store.check_writable):
        with pytest.raises(StoreUnavailable):
            attempt()
    assert not file.exists()
    shutil.copy(tmp_path / "backup", file)
    assert town.identify(token).identifier == town.agent
    town.store.check_writable()


@on_a_file
def test_a_broken_database_is_unavailable_and_tells_nothing(town, tmp_path):
    token = town.sign_in().token
    town.store.close()
    file = tmp_path / "directory.db"
    sound = file.read_bytes()
    file.write_bytes(sound[:100] + os.urandom(len(sound) - 100))
    for side in tmp_path.glob("directory.db-*"):
        side.unlink()
    with pytest.raises(StoreUnavailable) as refusal:
        town.identify(token)
    assert token not in str(refusal.value)
    assert "SELECT" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    file.write_bytes(sound)
    for side in tmp_path.glob("directory.db-*"):
        side.unlink()
    assert town.identify(token).identifier == town.agent


@on_a_file
def test_a_broken_connection_is_opened_afresh_on_the_next_use(town):
    token = town.sign_in().token
    town.identify(token)
    held = [each for each in (town.store._own.held, *town.store._idle) if each]
    assert held
    for each in held:
        each.connection.close()
    with pytest.raises(StoreUnavailable):
        town.identify(token)
    assert town.identify(token).identifier == town.agent


@on_a_file
def test_a_change_that_fails_leaves_nothing(town):
    def stumble():
        with town.store.change() as connection:
            connection.exec_driver_sql("UPDATE account SET suspended = 1")
            raise RuntimeError

    def point_at_nobody():
        with town.store.change() as connection:
            connection.exec_driver_sql("UPDATE account SET suspended = 1")
            connection.exec_driver_sql("UPDATE account SET partner_id = 99")

    with pytest.raises(RuntimeError):
        stumble()
    with pytest.raises(StoreUnavailable, match="SQLITE_CONSTRAINT_FOREIGNKEY"):
        point_at_nobody()
    assert [entry.suspended for entry in directory.accounts(town.store)] == [False]


READ_ONLY = """
import os, sys
from datetime import UTC, datetime
from gateway.errors import Misconfigured, StoreUnavailable
from gateway.identity.sessions import identify
from gateway.identity.store import open_store
from gateway.settings import Identity
store = open_store(sys.argv[1])
rules, token = Identity(caisse="691"), sys.argv[2]
now = datetime.fromisoformat(sys.argv[3])
identify(store, rules, token, now=now)
os.chmod(sys.argv[1].removeprefix("sqlite:///"), 0o444)
if os.geteuid() == 0:
    os.seteuid(65534)
print(identify(store, rules, token, now=now)[0].identifier)
try:
    store.check_writable()
except StoreUnavailable as refusal:
    print(refusal.because.partition("_")[0])
try:
    open_store(sys.argv[1])
except Misconfigured as error:
    print(error.problems[0].rpartition("(")[2])
"""


@on_a_file
def test_a_read_only_file_still_answers_and_is_not_ready(town):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        url = f"sqlite:///{folder}/directory.db"
        token = town.sign_in().token
        with sqlite3.connect(f"{folder}/directory.db") as copy, sqlite3.connect(str(town.store.file)) as source:
            source.backup(copy)
        copy.close()
        source.close()
        said = subprocess.run(
            [sys.executable, "-c", READ_ONLY, url, token, town.noon.isoformat()],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert said.stdout.splitlines() == [
        town.agent,
        "the database failed (SQLITE",
        "Permission denied).",
    ], said.stderr
