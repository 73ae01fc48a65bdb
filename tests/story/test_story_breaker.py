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

from tests.ports import free_port
from tests.story.running import PATIENCE, Answer, Backend, Gateway, is_problem, until
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
FAMILIES = ("9990001", "9990003", "9990004")
"""As many as it takes: what is about fewer can be a fault of theirs."""


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
        settings = {"upstream__breaker_seconds": REST, **settings}
        gateway = start_gateway(url, metrics__token_file=tmp_path / "scrape.token", **settings)
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


def of(number: int) -> str:
    """The address of one family after the other."""
    return f"/dossiers/{FAMILIES[number % len(FAMILIES)]}"


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
        for number in range(FAILURES):
            is_problem(gateway.ask(of(number), session), 502, "GW402")
        assert breaker(gateway) == (1.0, 1.0)
        # From here on a connection would be seen.
        place.listen()
        place.settimeout(0)
        refused = [gateway.ask(ADDRESS, session) for _ in range(5)]
        with pytest.raises(BlockingIOError):
            place.accept()
    for answer in refused:
        is_problem(answer, 503, "GW405")
        assert answer.one("Retry-After") in ("1", "2", "3", "4")
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
            under_way = [hands.submit(gateway.ask, of(number), session) for number in range(24)]
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
    for number in range(FAILURES):
        is_problem(gateway.ask(of(number), session), 502, "GW403")
    is_problem(gateway.ask(ADDRESS, session), 503, "GW405")
    assert len(backend.asked) == FAILURES


@pytest.mark.parametrize("status", [404, 500])
def test_a_backend_that_answers_whatever_it_be_is_never_left_alone(before, start_backend, status):
    backend = start_backend(lambda path: (status, {"Content-Type": "text/html"}, b"<h1>CANARI</h1>"))
    gateway, session = before(backend.url)
    answers = {gateway.ask(of(number), session).status for number in range(3 * FAILURES)}
    assert answers == {404 if status == 404 else 502}
    assert len(backend.asked) == 3 * FAILURES
    assert breaker(gateway) == (0.0, 0.0)


@pytest.mark.parametrize("ill", ["slow", "503"])
def test_one_dossier_that_the_backend_cannot_serve_closes_no_other(before, start_backend, ill):
    """Ten ask for it at once, again and again; another agent's dossier is answered all the while."""
    whole = dossier_text(DOSSIER)
    assert whole
    given_up = threading.Event()

    def answer(path: str):
        if FAMILIES[1] in path:
            if ill == "503":
                return 503, {}, b""
            given_up.wait(PATIENCE)
        return 200, {"Content-Type": "application/json"}, whole

    backend = start_backend(answer)
    # More than the second after which a connection is knocked for again: the backend lets five wait.
    seconds = 2.5 if ill == "slow" else 10.0
    gateway, session = before(backend.url, upstream__deadline_seconds=seconds, server__concurrency=64)
    gateway.enter("t2", "T1")
    other = gateway.log_in("t2")
    stop = threading.Event()

    def go_on() -> list[Answer]:
        answers = []
        while not stop.is_set():
            answers.append(gateway.ask(ADDRESS, other))
        return answers

    with ThreadPoolExecutor(11) as hands:
        answered = hands.submit(go_on)
        try:
            for _ in range(2):
                at_once = [hands.submit(gateway.ask, of(1), session) for _ in range(FAILURES)]
                for failed in at_once:
                    is_problem(failed.result(), *((504, "GW404") if ill == "slow" else (502, "GW403")))
        finally:
            stop.set()
            given_up.set()
        assert {answer.status for answer in answered.result()} == {200}
    assert breaker(gateway) == (0.0, 0.0)


def test_one_dossier_that_nobody_else_asks_beside_is_refused_by_itself(before, start_backend):
    whole = dossier_text(DOSSIER)
    assert whole
    backend = start_backend(
        lambda path: (503, {}, b"") if FAMILIES[1] in path else (200, {"Content-Type": "application/json"}, whole)
    )
    gateway, session = before(backend.url)
    for number in range(3 * FAILURES):
        part = ("", "/rubriques/adresse", "/attestations/ap-9990003-0.pdf")[number % 3]
        is_problem(gateway.ask(of(1) + part, session), 502, "GW403")
    assert gateway.ask(ADDRESS, session).status == 200
    assert breaker(gateway) == (0.0, 0.0)


def test_families_that_the_backend_cannot_serve_do_not_keep_it_closed_to_the_others(before, start_backend):
    """They open it where nobody else asks. They go on asking without a pause, and others are the first to try."""
    whole = dossier_text(DOSSIER)
    assert whole
    ill = ("9990003", "9990004", "9990005")
    backend = start_backend(
        lambda path: (503, {}, b"") if path[-7:] in ill else (200, {"Content-Type": "application/json"}, whole)
    )
    gateway, session = before(backend.url, upstream__breaker_seconds=2 * REST)
    for number in range(FAILURES):
        is_problem(gateway.ask(f"/dossiers/{ill[number % 3]}", session), 502, "GW403")
    assert breaker(gateway) == (1.0, 1.0)

    def asked() -> Answer | None:
        is_problem(gateway.ask(f"/dossiers/{ill[0]}", session), 503, "GW405")
        answer = gateway.ask(ADDRESS, session)
        return None if answer.json().get("code") == "GW405" else answer

    assert until(asked, "another tries it").status == 200
    assert breaker(gateway) == (0.0, 1.0)


def test_each_process_finds_out_for_itself(before):
    gateway, session = before(f"http://127.0.0.1:{free_port()}", server__workers=2, upstream__breaker_failures=3)

    def both() -> bool:
        gateway.close()  # the next connection may reach the other process
        for number in range(FAILURES):
            gateway.ask(of(number), session)
        return breaker(gateway)[0] == 2.0

    until(both, "both processes leave it alone")
