"""A PostgreSQL server that loses its power, or is stopped, while 16 agents ask."""

from __future__ import annotations

import contextlib

import pytest

from tests.faults.breaking import LONG, Breakable
from tests.faults.conftest import DOSSIERS, PROFILES, comes_back, expected, rows_of
from tests.faults.load import question
from tests.faults.trial import trial

pytestmark = pytest.mark.attack(33)

ROUNDS = 6 if LONG else 1
SECONDS = 5.0 if LONG else 0.5
STOPPED = {"immediate": "killed as by a power cut", "fast": "stopped as for maintenance"}


@pytest.fixture(scope="module")
def urls(server):
    with contextlib.ExitStack() as stack:
        made = [server.empty_database() for _ in range(4)]
        for url in made:
            stack.callback(server.remove, url)
        yield made


@pytest.fixture(scope="module")
def loaded(urls, stub_url, start_loaded):
    return start_loaded(stub_url, {"store.url": urls[0], "record.url": urls[1]})


@pytest.mark.parametrize("mode", STOPPED)
def test_a_server_that_holds_everything_keeps_every_row_it_confirmed(loaded, server, urls, mode):
    # The refusal that the directory is gone cannot be recorded either.
    with loaded.trial(f"PostgreSQL {STOPPED[mode]}", refusals=["GW502", "GW503"], rows=rows_of(urls[1])) as trial:
        for _ in range(ROUNDS):
            with trial.round(), server.stopped(mode):
                trial.refuses("GW503")
                trial.bad_for(SECONDS)
    comes_back(loaded.gateway)


def test_a_server_that_holds_the_directory_alone_is_missed_in_the_record(server, urls, stub_url, start_loaded):
    loaded = start_loaded(stub_url, {"store.url": urls[2]})
    with loaded.trial("PostgreSQL killed, the record beside it in a file", refusals=["GW502"]) as trial:
        for _ in range(ROUNDS):
            with trial.round(), server.stopped("immediate"):
                trial.refuses("GW502")
                trial.bad_for(SECONDS)
    comes_back(loaded.gateway)


@pytest.fixture(scope="module")
def pair(urls, stub_url, tmp_path_factory):
    """Two machines that share a server, and what is asked of each: sessions were opened at the other one."""
    shared = {"store.url": urls[3], "record.url": urls[3]}
    with contextlib.ExitStack() as stack:
        gateways = []
        for name in ("lyon", "paris"):
            gateways.append(Breakable(tmp_path_factory.mktemp(name), upstream=stub_url, settings=shared))
            stack.callback(gateways[-1].stop)
        for profile in PROFILES:
            gateways[0].enter(profile.lower(), profile)
        sessions = [{profile: each.log_in(profile.lower()) for profile in PROFILES} for each in gateways]
        yield [
            (each, [question(each.host, f"/dossiers/{number}", others[profile], expected(number, profile))
                    for number in DOSSIERS for profile in PROFILES])
            for each, others in zip(gateways, reversed(sessions), strict=True)
        ]  # fmt: skip


@pytest.mark.parametrize("mode", STOPPED)
def test_two_gateways_that_share_a_server_refuse_while_it_is_away_and_come_back_with_it(
    pair, server, urls, results, mode
):
    name = f"PostgreSQL {STOPPED[mode]}, two gateways"
    with contextlib.ExitStack() as stack:
        trials = [
            stack.enter_context(
                trial(name, each.url, asked, rows_of(urls[3]), results=results, refusals=["GW502", "GW503"])
            )
            for each, asked in pair
        ]
        for _ in range(ROUNDS):
            with contextlib.ExitStack() as fault:
                for each in trials:
                    fault.enter_context(each.round())
                fault.enter_context(server.stopped(mode))
                for each in trials:
                    each.refuses("GW503")
                    each.bad_for(SECONDS)
    for each, _ in pair:
        comes_back(each)
