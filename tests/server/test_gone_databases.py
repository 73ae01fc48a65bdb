"""A worker that begins while a database is gone does not make another: an empty one would hide what is missing."""

import sqlite3
from contextlib import closing

import pytest

from gateway.app import create_app
from gateway.cli.keeping import Writing
from gateway.errors import Absent, Misconfigured
from gateway.policy_files.shadow import Tally
from gateway.settings import load
from tests.furnishing import furnished


@pytest.fixture
def configuration(tmp_path):
    return furnished(tmp_path / "gateway")


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
@pytest.mark.parametrize(("name", "setting"), [("record.db", "record.url"), ("cafpro.db", "store.url")])
def test_no_worker_makes_a_database_anew(configuration, name, setting, left):
    gone = configuration.parent / name
    gone.unlink()
    if left == "an empty file":
        gone.touch(0o600)
    with pytest.raises(Misconfigured) as refused:
        create_app(load(configuration, {}))
    [said] = refused.value.problems
    if left == "nothing":
        assert said.startswith(f"{setting}: {gone} is not there. Put it back, if there was one")
        assert not gone.exists()
    else:
        assert said.startswith(f"{setting}: {gone} is empty. Put back what it held, if it did")
        with closing(sqlite3.connect(gone)) as connection:
            assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == []


def test_nor_does_the_process_beside_the_workers(configuration):
    """It would hold what a draft changes, and no record; the next start would add one to it without a word."""
    (configuration.parent / "record.db").unlink()
    writing = Writing(load(configuration, {}))
    for _ in range(2):
        with pytest.raises(Absent, match=r"record\.db is not there"):
            writing("draft", "in force", Tally())
    assert not (configuration.parent / "record.db").exists()
