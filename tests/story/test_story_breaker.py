"""A backend that fails again and again is left alone for a while: refusals cost nothing, and it can come back."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.story.running import Answer, Backend, Gateway, free_port, is_problem, until
from upstream_stub import faults
from upstream_stub.dossiers import dossier_text

pytestmark = pytest.mark.attack(33)

TOKEN = "moissonneuse-0123456789-0123456789"
DOSSIER = "9990001"
ADDRESS = f"/dossiers/{DOSSIER}"
REST = 2.0
"""Seconds that the backend is left alone here."""
FAILURES = 10
"""In a row, as it is without a setting."""


@contextlib.contextmanager
def nobody_listens() -> Iterator[tuple[str, socket.socket]]:
    """An address that refuses connections as long as its socket does not listen."""
    with socket.socket() as closed:
        closed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}", closed


@pytest.fixture
def before(start_gateway, tmp_path):
    """A gateway of one process before some backend, with a session and its scrape token."""

    def start(url: str, **settings: object) -> tuple[Gateway, dict[str, str]]:
        (tmp_path / "scrape.token").write_text(TOKEN)
        (tmp_path / "scrape.token").chmod(0o600)
        gateway = start_gateway(
            url, upstream__breaker_seconds=REST, metrics__token_file=tmp_path / "scrape.token", **settings
        )
        gateway.enter("t1", "T1")
        return gateway, gateway.log_in("t1")

    return start


def breaker(gateway: Gateway) -> tuple[float, float]:
    """Whether the backend is left alone now, and how often that began, as a scrape tells it."""
    scraped = gateway.ask("/-/metrics", {"Authorization": f"Bearer {TOKEN}"})
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(scraped.body.decode())
        for sample in family.samples
    }
    return samples["cafpro_upstream_breaker"], samples["cafpro_upstream_breaker_opened_total"]


def rested(gateway: Gateway, session: dict[str, str]) -> Answer:
    """The answer to the first request that is not told to wait."""

    def asked() -> Answer | None:
        answer = gateway.ask(ADDRESS, session)
        return None if answer.json().get("code") == "GW405" else answer

    return until(asked, "the backend is asked again")


def test_a_backend_that_is_gone_is_left_alone_and_asked_again_when_it_is_back(before):
    with nobody_listens() as (url, place):
        gateway, session = before(url)
        assert breaker(gateway) == (0.0, 0.0)
        for _ in range(FAILURES):
            is_problem(gateway.ask(ADDRESS, session), 502, "GW402")
        assert breaker(gateway) == (1.0, 1.0)
        # From here on a connection would be seen.
        place.listen()
        place.settimeout(0)
        refused = [gateway.ask(ADDRESS, session) for _ in range(5)]
        with pytest.raises(BlockingIOError):
            place.accept()
    for answer in refused:
        is_problem(answer, 503, "GW405")
        assert answer.one("Retry-After") in ("1", "2")
        row = gateway.recorded(answer)
        assert (row["status"], row["code"], row["rubrics"]) == (503, "GW405", "[]")
        assert row["because"]
    is_problem(rested(gateway, session), 502, "GW402")
    assert breaker(gateway) == (1.0, 2.0), "the one that tried it found it as it was"
    with faults.serve(urlsplit(url).port):
        assert rested(gateway, session).status == 200
        assert breaker(gateway) == (0.0, 2.0)
        assert gateway.ask(ADDRESS, session).status == 200
    log = gateway.log()
    assert log.count("the backend is left alone") == 2
    assert log.count("the backend is tried again") == 2
    assert log.count("the backend answers again") == 1


def test_while_one_request_tries_it_nobody_else_does_and_what_was_under_way_is_left_alone(before):
    """A backend that hangs: of 24 at once the tenth to fail opens it, and the others are answered as they end."""
    arrived, asked, open_again = threading.Semaphore(0), [], threading.Event()
    whole = dossier_text(DOSSIER)
    assert whole

    def hang(path: str):
        asked.append(path)
        arrived.release()
        open_again.wait(30)
        return 200, {"Content-Type": "application/json"}, whole

    backend = Backend(hang)
    try:
        gateway, session = before(backend.url, upstream__deadline_seconds=2.0, server__concurrency=64)
        with ThreadPoolExecutor(24) as hands:
            under_way = [hands.submit(gateway.ask, ADDRESS, session) for _ in range(24)]
            answers = [future.result() for future in under_way]
        assert {answer.status for answer in answers} == {504}
        assert len(asked) == 24
        assert breaker(gateway) == (1.0, 1.0), "opened once, whatever ended after"
        with ThreadPoolExecutor(1) as hand:
            trial = hand.submit(rested, gateway, session)
            until(lambda: len(asked) == 25, "one request tries it")
            assert breaker(gateway) == (0.5, 1.0)
            for _ in range(10):
                answer = gateway.ask(ADDRESS, session)
                is_problem(answer, 503, "GW405")
                assert answer.all("Retry-After") == ["1"]
            assert len(asked) == 25
            open_again.set()
            assert trial.result().status == 200
        assert breaker(gateway) == (0.0, 1.0)
    finally:
        open_again.set()
        backend.close()


def test_a_balancer_with_nobody_behind_it_is_a_backend_that_is_gone(before, start_backend):
    backend = start_backend(lambda path: (503, {"Content-Type": "text/html", "Retry-After": "120"}, b"<h1>CANARI</h1>"))
    gateway, session = before(backend.url)
    for _ in range(FAILURES):
        is_problem(gateway.ask(ADDRESS, session), 502, "GW403")
    is_problem(gateway.ask(ADDRESS, session), 503, "GW405")
    assert len(backend.asked) == FAILURES


@pytest.mark.parametrize("status", [404, 500])
def test_a_backend_that_answers_whatever_it_be_is_never_left_alone(before, start_backend, status):
    backend = start_backend(lambda path: (status, {"Content-Type": "text/html"}, b"<h1>CANARI</h1>"))
    gateway, session = before(backend.url)
    answers = {gateway.ask(ADDRESS, session).status for _ in range(3 * FAILURES)}
    assert answers == {404 if status == 404 else 502}
    assert len(backend.asked) == 3 * FAILURES
    assert breaker(gateway) == (0.0, 0.0)


def test_each_process_finds_out_for_itself(before):
    gateway, session = before(f"http://127.0.0.1:{free_port()}", server__workers=2, upstream__breaker_failures=3)

    def both() -> bool:
        gateway.close()  # the next connection may reach the other process
        gateway.ask(ADDRESS, session)
        return breaker(gateway)[0] == 2.0

    until(both, "both processes leave it alone")
