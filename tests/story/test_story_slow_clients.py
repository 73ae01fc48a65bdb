"""Clients that send half of what they announce, or never read, hold nobody else up.

600 of them at once: 200 log-ins whose body never comes, 200 heads that never end, 200 answers that nobody reads.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.story.brochure import OPEN, kept_dossier
from tests.story.running import Gateway, crowd, is_problem, read_answer, until
from upstream_stub.dossiers import dossier_text

CLIENTS = 200
LARGE = "1300001"
"""A dossier of a megabyte, more than the sockets between can hold."""
SLOWEST = 5.0
"""Seconds that the slowest consultation of another agent may take beside them."""


@pytest.fixture(scope="module")
def gateway(stub_url: str, start_gateway) -> Gateway:
    # What is tried is who waits for whom, not how fast two hundred megabytes are fetched: the backend has its time.
    gateway = start_gateway(stub_url, server__body_seconds=6, server__waiting=CLIENTS, upstream__deadline_seconds=120)
    gateway.enter("t1", "T1")
    gateway.enter("t2", "T2")
    return gateway


@pytest.fixture(scope="module")
def session(gateway: Gateway) -> dict[str, str]:
    return gateway.log_in("t2")


@pytest.fixture(scope="module")
def silent(gateway: Gateway) -> Iterator[list[socket.socket]]:
    with crowd(gateway.url, gateway.log_in_without_body(), CLIENTS) as clients:
        yield clients


@pytest.fixture(scope="module")
def unfinished(gateway: Gateway) -> Iterator[list[socket.socket]]:
    with crowd(gateway.url, gateway.unended_head(), CLIENTS) as clients:
        yield clients


@pytest.fixture(scope="module")
def deaf(gateway: Gateway) -> Iterator[list[socket.socket]]:
    with crowd(gateway.url, gateway.whole_request("t1", LARGE), CLIENTS) as clients:
        until(
            lambda: answered_to_the_deaf(gateway) == CLIENTS,
            "all of them have an answer that they do not read",
            seconds=120,
        )
        yield clients


def answered_to_the_deaf(gateway: Gateway) -> int:
    return len(gateway.record_rows(agent="t1", route="dossier"))


def consult(gateway: Gateway, session: dict[str, str]) -> float:
    """How long the slowest of 100 consultations took; each is answered whole."""
    expected, slowest = kept_dossier(dossier_text("9990001") or b"", OPEN["T2"]), 0.0
    for _ in range(100):
        began = time.monotonic()
        answer = gateway.ask("/dossiers/9990001", session)
        slowest = max(slowest, time.monotonic() - began)
        assert (answer.status, answer.body) == (200, expected)
    return slowest


@pytest.mark.attack(13)
def test_six_hundred_slow_clients_do_not_keep_others_from_consulting(gateway, session, deaf, unfinished, silent):
    assert consult(gateway, session) < SLOWEST
    assert gateway.ask("/-/health/ready").status == 200
    assert gateway.sign_in("t2").status == 201


@pytest.mark.attack(13)
def test_a_body_that_never_comes_is_answered_408_in_the_end_and_recorded(gateway, silent):
    for client in silent:
        is_problem(read_answer(client), 408, "GW208")
    rows = gateway.record_rows(code="GW208")
    assert len(rows) == CLIENTS
    assert {(row["act"], row["status"], row["agent"]) for row in rows} == {("log_in", 408, "")}


@pytest.mark.attack(13)
def test_a_head_that_never_ends_is_closed_in_the_end_and_never_reaches_the_application(gateway, unfinished):
    for client in unfinished:
        assert client.recv(1) == b""
    assert gateway.record_rows(act="request", code="GW101") == []


@pytest.mark.attack(13)
def test_whoever_did_not_read_still_gets_the_whole_answer(gateway, session, deaf):
    expected = kept_dossier(dossier_text(LARGE) or b"", OPEN["T1"])
    assert len(expected) > 100_000
    for client in deaf[:20]:
        assert read_answer(client).body == expected
    assert answered_to_the_deaf(gateway) == CLIENTS
    assert consult(gateway, session) < SLOWEST
