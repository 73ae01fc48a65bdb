"""A small town: one partner, one convention, one agent, on a real SQLite file and on a real PostgreSQL server."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.identity import directory
from gateway.identity.facts import dossier_facts
from gateway.identity.sessions import SignedIn, identify, sign_in
from gateway.identity.store import Store, open_store
from gateway.identity.tables import METADATA
from gateway.loop.waiting import run
from gateway.model import Agent, dossier_number
from gateway.settings import Identity
from tests.database.server import Server

PARTNER = "CCAS de Lyon"
AGENT = "m.martin"
PASSWORD = "Correct-horse-26"
NUMBER = "9990001"
NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)


@dataclass
class Town:
    """The partner `CCAS de Lyon` and its agent `m.martin`, profile T9, who has no convention and no engagement."""

    store: Store
    url: str
    rules: Identity
    by: Callable[[Callable[[], Any]], Any]
    """How requests are carried out: in a thread of their own, or as tasks of a loop, which remembers."""
    partner: str = PARTNER
    agent: str = AGENT
    password: str = PASSWORD
    number: str = NUMBER
    noon: datetime = NOON
    _counted: int = field(default=0)

    def sign_in(self, *, profile: str | None = None, now: datetime = NOON) -> SignedIn:
        return sign_in(self.store, self.rules, identifier=self.agent, password=self.password, profile=profile, now=now)

    def identify(self, token: str, *, now: datetime = NOON) -> Agent:
        return self.by(partial(identify, self.store, self.rules, token, now=now))[0]

    def facts(self, agent: Agent, *, now: datetime = NOON, number: str | None = None) -> tuple[frozenset[str], str]:
        parsed = dossier_number(number or self.number)
        assert parsed
        return self.by(lambda: dossier_facts(self.store.reading(), self.rules, agent, parsed, now=now))

    def sign_convention(
        self,
        starts_on: str = "2026-01-01",
        ends_on: str = "2026-12-31",
        *,
        caisse: str = "691",
        profiles: tuple[str, ...] = ("T9",),
        suspended: bool = False,
    ) -> str:
        self._counted += 1
        number = f"2026-{self._counted:03}"
        directory.add_convention(
            self.store,
            partner_name=self.partner,
            number=number,
            caisse=caisse,
            starts_on=date.fromisoformat(starts_on),
            ends_on=date.fromisoformat(ends_on),
            profiles=profiles,
        )
        if suspended:
            directory.suspend_convention(self.store, number=number)
        return number

    def entrust(
        self,
        kind: str = "judgment",
        starts_on: str = "2026-01-01",
        ends_on: str | None = None,
        *,
        partner: str | None = None,
        identifier: str | None = None,
        number: str | None = None,
    ) -> int:
        return directory.add_mandate(
            self.store,
            dossier=number or self.number,
            kind=kind,
            partner_name=partner or self.partner,
            identifier=identifier,
            starts_on=date.fromisoformat(starts_on),
            ends_on=date.fromisoformat(ends_on) if ends_on else None,
            reference="TJ Lyon 26/17",
        )


on_a_file = pytest.mark.parametrize("town", ["thread", "loop"], indirect=True)
"""For what is about the file itself, or about who waits for whom on it."""


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the directory's tables and nothing in them: sooner copied than made."""
    file = tmp_path_factory.mktemp("blank") / "directory.db"
    open_store(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session")
def place(server: Server) -> Iterator[tuple[str, Store]]:
    """The URL of a database on the server, with the directory's tables, and a store that empties it."""
    url = server.empty_database()
    store = open_store(url)
    yield url, store
    store.close()
    server.remove(url)


@pytest.fixture
def emptied(place: tuple[str, Store]) -> str:
    """That database, with nothing in its tables, which count from 1 again: sooner done than another one, and than
    TRUNCATE, which makes each table's file anew."""
    url, store = place
    with store.change() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(table.delete())
        connection.exec_driver_sql("SELECT setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences")
    return url


@pytest.fixture(params=["thread", "loop", "postgresql"])
def town(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Town]:
    """On a file, asked by threads and by tasks, and on a real PostgreSQL server, asked by threads: what tasks remember
    of a server, and for how long, is told by tests/database.
    """
    url = _place(request, tmp_path, on_server=request.param == "postgresql")
    store = open_store(url)
    directory.add_partner(store, name=PARTNER, kind="external")
    directory.add_account(store, identifier=AGENT, password=PASSWORD, partner_name=PARTNER, profiles=["T9"])
    by = run if request.param == "loop" else lambda work: work()
    yield Town(store, url, Identity(caisse="691", engagement_version="2012-07"), by)
    store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a directory with nothing in it, on a file or on a real server."""
    return _place(request, tmp_path, on_server=request.param == "postgresql")


def _place(request: pytest.FixtureRequest, tmp_path: Path, *, on_server: bool) -> str:
    if on_server:
        found: str = request.getfixturevalue("emptied")
        return found
    shutil.copy(request.getfixturevalue("blank"), tmp_path / "directory.db")
    return f"sqlite:///{tmp_path / 'directory.db'}"


@pytest.fixture
def twin(anywhere: str) -> Iterator[Town]:
    """The town on each of the two databases, requests carried out in a thread of their own."""
    store = open_store(anywhere)
    directory.add_partner(store, name=PARTNER, kind="external")
    directory.add_account(store, identifier=AGENT, password=PASSWORD, partner_name=PARTNER, profiles=["T9"])
    yield Town(store, anywhere, Identity(caisse="691", engagement_version="2012-07"), lambda work: work())
    store.close()
