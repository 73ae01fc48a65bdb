"""The contact of a request to join goes some time after the decision, and nothing else of it; on both databases."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import insert, select

from gateway.cli import erasing
from gateway.cli.erasing import erase_once
from gateway.errors import Misconfigured
from gateway.identity import directory
from gateway.identity.joining import STATES
from gateway.identity.retention import erase_contacts
from gateway.identity.store import open_store
from gateway.identity.tables import join_request
from gateway.settings import load
from tests.identity.conftest import NOON, Town, on_a_file

DAYS = 180
LONG_AGO = NOON - timedelta(days=DAYS)
CONTACT = "Mme Le Bihan, direction@udaf.example, 02 51 00 00 00"


def entered(town: Town, state: str, decided_at: datetime | None, *, many: int = 1) -> None:
    row = {
        **{"organisation": "Udaf", "siret": "73282932000074", "function": "tuteur", "profiles": "T9"},
        **{"contact": CONTACT, "state": state, "asked_at": int((LONG_AGO - timedelta(days=9)).timestamp())},
        **{"decided_by": "b.roux", "decided_at": None if decided_at is None else int(decided_at.timestamp())},
    }
    with town.store.change() as connection:
        connection.execute(insert(join_request), [row] * many)


def erased(town: Town) -> list[str]:
    """The subjects of the changes that erased something."""
    return [change.subject for change in directory.changes(town.store, act="request erase")]


def test_what_was_decided_long_enough_ago_loses_its_contact_and_nothing_else(twin):
    entered(twin, "approved", LONG_AGO)
    entered(twin, "refused", LONG_AGO - timedelta(days=400))
    entered(twin, "approved", LONG_AGO + timedelta(seconds=1))
    for state in STATES[:3]:
        entered(twin, state, None)
    with twin.store.read() as connection:
        before = [dict(row._mapping) for row in connection.execute(select(join_request).order_by(join_request.c.id))]
    assert erase_contacts(twin.store, days=DAYS, now=NOON) == 2
    with twin.store.read() as connection:
        after = [dict(row._mapping) for row in connection.execute(select(join_request).order_by(join_request.c.id))]
    assert after == [{**row, "contact": "" if row["id"] <= 2 else CONTACT} for row in before]
    shown = directory.join_requests(twin.store)
    assert [request.contact for request in shown] == [None, None, *[CONTACT] * 4]
    assert (shown[0].state, shown[0].decided_by, shown[0].decided_at) == ("approved", "b.roux", LONG_AGO)
    assert erased(twin) == ["1", "2"]
    [first, _] = directory.changes(twin.store, act="request erase")
    assert (first.by, first.at, first.detail, first.why) == ("(retention)", NOON, "", "decided 180 days ago or earlier")
    # Once each, and the third a second later.
    assert erase_contacts(twin.store, days=DAYS, now=NOON) == 0
    assert erase_contacts(twin.store, days=DAYS, now=NOON + timedelta(seconds=1)) == 1
    assert erased(twin) == ["1", "2", "3"]


def test_however_many_there_are_and_however_many_erase_each_is_erased_once(twin):
    entered(twin, "refused", LONG_AGO, many=250)
    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(erase_contacts, twin.store, days=DAYS, now=NOON) for _ in range(3)]
    assert sum(each.result() for each in done) == 250
    assert sorted(map(int, erased(twin))) == list(range(1, 251))
    assert {request.contact for request in directory.join_requests(twin.store)} == {None}


@on_a_file
def test_what_is_erased_is_not_left_in_the_file(town):
    entered(town, "approved", LONG_AGO)
    erase_contacts(town.store, days=DAYS, now=NOON)
    town.store.close()
    file = Path(town.url.removeprefix("sqlite:///"))
    assert b"Le Bihan" not in b"".join(each.read_bytes() for each in file.parent.glob(f"{file.name}*"))


@pytest.mark.parametrize("good", [True, False])
def test_a_store_that_cannot_be_asked_is_said_and_asked_again(tmp_path, anywhere, capsys, good):
    (tmp_path / "record.key").write_text("00" * 32)
    (tmp_path / "gateway.toml").write_text(
        f'[upstream]\nurl = "http://127.0.0.1:1"\n[policies]\n[store]\nurl = "{anywhere}"\n'
        '[record]\nkey_file = "record.key"\n[identity]\ncaisse = "691"\n'
    )
    settings = load(tmp_path / "gateway.toml", {} if good else {"CAFPRO_STORE__URL": f"sqlite:///{tmp_path}"})
    open_store(anywhere).close()
    assert erase_once(settings, now=NOON) is good
    assert ("are not erased, though some may be due" in capsys.readouterr().out) is not good


def test_a_directory_that_is_gone_is_not_made_anew(tmp_path, capsys):
    """A disk that is not mounted, a file that is being put back: an empty directory in its place would know nobody."""
    (tmp_path / "record.key").write_text("00" * 32)
    (tmp_path / "gateway.toml").write_text(
        '[upstream]\nurl = "http://127.0.0.1:1"\n[policies]\n[store]\nurl = "sqlite:///cafpro.db"\n'
        '[record]\nkey_file = "record.key"\n[identity]\ncaisse = "691"\n'
    )
    settings, file = load(tmp_path / "gateway.toml", {}), tmp_path / "cafpro.db"
    assert erase_once(settings, now=NOON) is False
    assert not file.exists()
    file.touch()
    assert erase_once(settings, now=NOON) is False
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == []
    with pytest.raises(Misconfigured, match=r"is empty\. Put back what it held"):
        open_store(settings.store.url, make=False)
    assert capsys.readouterr().out.count("are not erased, though some may be due") == 2


def test_whatever_goes_wrong_the_thread_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(erasing, "open_store", lambda *_, **__: 1 / 0)
    settings = SimpleNamespace(store=SimpleNamespace(url=f"sqlite:///{tmp_path}"))
    assert erase_once(settings, now=NOON) is False
    assert "ZeroDivisionError" in capsys.readouterr().out
