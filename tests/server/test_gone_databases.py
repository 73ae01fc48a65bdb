"""A worker that begins while a database is gone does not make another: an empty one would hide what is missing."""

import sqlite3
from contextlib import closing

import pytest

from gateway.app import create_app
from gateway.cli.init import furnish
from gateway.errors import Misconfigured
from gateway.policy_files.folder import shipped
from gateway.settings import load


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
@pytest.mark.parametrize(("name", "setting"), [("record.db", "record.url"), ("cafpro.db", "store.url")])
def test_no_worker_makes_a_database_anew(tmp_path, name, setting, left):
    file = furnish(
        tmp_path / "gateway",
        bind="127.0.0.1:8080",
        public_url="http://127.0.0.1:8080",
        upstream="http://127.0.0.1:9",
        caisse="851",
        policies=shipped(),
    )
    gone = file.parent / name
    gone.unlink()
    if left == "an empty file":
        gone.touch(0o600)
    with pytest.raises(Misconfigured) as refused:
        create_app(load(file, {}))
    [said] = refused.value.problems
    if left == "nothing":
        assert said == f"{setting}: {gone} cannot be opened (No such file or directory)."
        assert not gone.exists()
    else:
        assert said.startswith(f"{setting}: {gone} is empty, and a gateway is at work with it: put back what it held")
        with closing(sqlite3.connect(gone)) as connection:
            assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == []
