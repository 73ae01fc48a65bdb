"""The gateway, a load on it, and something that breaks."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.faults.breaking import LONG, Breakable, MoodyBackend
from tests.faults.load import Question, question
from tests.faults.report import write
from tests.faults.trial import Measured, trial
from tests.story.brochure import OPEN, kept_dossier
from upstream_stub.dossiers import dossier_text

PROFILES = ("T1", "T2", "T6", "T11")
DOSSIERS = ("9990001", "9990003", "9990005", "9990010")


@dataclasses.dataclass
class Loaded:
    """A gateway with agents who know what they are to be answered."""

    gateway: Breakable
    asked: list[Question]
    results: list[Measured]

    def trial(self, fault: str, **more: Any) -> contextlib.AbstractContextManager[Any]:
        """See `tests.faults.trial.trial`."""
        more.setdefault("rows", self.gateway.record_rows)
        return trial(fault, self.gateway.url, self.asked, results=self.results, **more)


def expected(number: str, profile: str) -> bytes:
    whole = dossier_text(number)
    assert whole
    return kept_dossier(whole, OPEN[profile])


def asked_by(gateway: Breakable) -> list[Question]:
    """What a fresh session of each profile asks for. One dossier after the other: half of the agents, whom one of two
    workers serves, ask for all of them also when they ask in step. What is about one or two opens no breaker."""
    sessions = {profile: gateway.log_in(profile.lower()) for profile in PROFILES}
    return [
        question(gateway.host, f"/dossiers/{number}", session, expected(number, profile))
        for profile, session in sessions.items()
        for number in DOSSIERS
    ]


def rows_of(url: str) -> Callable[[], list[dict[str, Any]]]:
    """Reads the record on a PostgreSQL server."""

    def rows() -> list[dict[str, Any]]:
        with psycopg.connect(url.replace("+psycopg", ""), row_factory=dict_row) as connection:
            return connection.execute("SELECT * FROM record").fetchall()

    return rows


def comes_back(gateway: Breakable) -> None:
    """It is ready again, and agents log in."""
    assert gateway.ask("/-/health/ready").status == 200
    assert gateway.sign_in("t1").status == 201


StartLoaded = Callable[..., Loaded]


@pytest.fixture(scope="session")
def results() -> Iterator[list[Measured]]:
    """What every fault came to. `make faults` writes it down."""
    found: list[Measured] = []
    yield found
    if LONG:
        write(found)


@pytest.fixture(scope="module")
def start_loaded(results: list[Measured], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartLoaded]:
    """Starts gateways of two workers before a backend, with settings written like `upstream.deadline_seconds`."""
    with contextlib.ExitStack() as stack:

        def start(
            upstream: str,
            settings: Mapping[str, object] | None = None,
            variables: Mapping[str, str] | None = None,
        ) -> Loaded:
            folder: Path = tmp_path_factory.mktemp("gateway")
            told = {name: str(value) for name, value in (settings or {}).items()}
            gateway = Breakable(folder, upstream=upstream, settings=told, variables=variables)
            stack.callback(gateway.stop)
            for profile in PROFILES:
                gateway.enter(profile.lower(), profile)
            return Loaded(gateway, asked_by(gateway), results)

        yield start


@pytest.fixture(scope="module")
def loaded(stub_url: str, start_loaded: StartLoaded) -> Loaded:
    """Before the stub, with nothing special about it; a file's tests share it, since it recovers."""
    return start_loaded(stub_url)


@pytest.fixture(scope="module")
def moody() -> Iterator[MoodyBackend]:
    backend = MoodyBackend()
    yield backend
    backend.stop()
