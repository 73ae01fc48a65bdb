"""More requests than there is room for: told to come back at once, while everything that is not at fault goes on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.story.brochure import OPEN, kept_dossier
from tests.story.running import (
    PASSWORD,
    PATIENCE,
    Backend,
    Gateway,
    connect,
    exchange,
    is_problem,
    read_answer,
    until,
)
from upstream_stub.dossiers import dossier_text

CONCURRENCY, WAITING = 2, 3
DOSSIER = "9990001"
TOKEN = "moissonneuse-0123456789-0123456789"


class Hanging:
    """A backend that answers dossiers, once it is let."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def __call__(self, path: str) -> tuple[int, dict[str, str], bytes]:
        assert self.open.wait(PATIENCE)
        return 200, {"Content-Type": "application/json"}, dossier_text(DOSSIER) or b""


@pytest.fixture(scope="module")
def hanging() -> Hanging:
    return Hanging()


@pytest.fixture(scope="module")
def backend(hanging: Hanging, start_backend) -> Iterator[Backend]:
    yield start_backend(hanging)
    hanging.open.set()


@pytest.fixture(scope="module")
def gateway(backend: Backend, start_gateway, tmp_path_factory) -> Gateway:
    file = tmp_path_factory.mktemp("scrape") / "scrape.token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    gateway = start_gateway(
        backend.url,
        server__concurrency=CONCURRENCY,
        server__waiting=WAITING,
        upstream__deadline_seconds=120,
        metrics__token_file=file,
        limits__agent_burst=100_000,
        limits__address_burst=100_000,
    )
    gateway.enter("t1", "T1")
    return gateway


@pytest.fixture(scope="module")
def session(gateway: Gateway) -> dict[str, str]:
    return gateway.log_in("t1")


def asking(gateway: Gateway, session: dict[str, str], *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} /dossiers/{DOSSIER} HTTP/1.1", f"Host: {gateway.host}", *headers]
    return "\r\n".join([*lines, f"Authorization: {session['Authorization']}", "", ""]).encode()


def number(gateway: Gateway, name: str) -> float:
    scraped = gateway.ask("/-/metrics", {"Authorization": f"Bearer {TOKEN}"})
    assert scraped.status == 200, scraped
    [value] = [
        sample.value
        for family in text_string_to_metric_families(scraped.body.decode())
        for sample in family.samples
        if sample.name == name
    ]
    return value


@contextmanager
def saturated(gateway: Gateway, hanging: Hanging, session: dict[str, str]) -> Iterator[list[socket.socket]]:
    """Consultations that hold every place, and wait for a backend that hangs; afterwards all of them are answered."""
    hanging.open.clear()
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(gateway.url)) for _ in range(CONCURRENCY + WAITING)]
        for client in clients:
            client.sendall(asking(gateway, session))
        until(lambda: number(gateway, "cafpro_requests_waiting") == WAITING, "every place is taken")
        yield clients
        hanging.open.set()
        for client in clients:
            assert_whole(read_answer(client))


def assert_whole(answer) -> None:
    assert (answer.status, answer.body) == (200, kept_dossier(dossier_text(DOSSIER) or b"", OPEN["T1"]))


def test_beyond_the_places_a_consultation_is_refused_at_once_as_every_refusal_is(gateway, hanging, session):
    before = number(gateway, "cafpro_turned_away_total")
    with saturated(gateway, hanging, session), connect(gateway.url) as client:
        client.sendall(asking(gateway, session))
        refused = read_answer(client)
        is_problem(refused, 503, "GW209")
        assert refused.one("Retry-After") == "2"
        assert gateway.record_rows(request_id=refused.one("X-Request-Id")) == [], "it never reached the application"
        head = exchange(gateway.url, asking(gateway, session, "Connection: close", method="HEAD"), method="HEAD")
        assert (head.status, head.body) == (503, b"")
        assert [name for name, _ in head.headers if name != "Connection"] == [name for name, _ in refused.headers]
        assert number(gateway, "cafpro_turned_away_total") == before + 2
        hanging.open.set()
        until(lambda: number(gateway, "cafpro_requests_waiting") == 0, "there is room again")
        client.sendall(asking(gateway, session))
        assert_whole(read_answer(client))


def test_a_refusal_of_the_servers_looks_like_one_of_the_applications(gateway, hanging, session):
    with saturated(gateway, hanging, session):
        by_server = exchange(gateway.url, asking(gateway, session))
    by_application = gateway.ask(f"/dossiers/{DOSSIER}")
    is_problem(by_application, 401, "GW101")
    alike = {"Retry-After", "WWW-Authenticate", "Connection"}
    assert {name for name, _ in by_server.headers} - alike == {name for name, _ in by_application.headers} - alike
    assert set(by_server.json()) == set(by_application.json())


def test_a_body_that_is_announced_to_the_backend_is_refused_unread(gateway, hanging, session):
    with saturated(gateway, hanging, session):
        refused = exchange(gateway.url, asking(gateway, session, "Content-Length: 1000000", method="POST"))
    is_problem(refused, 503, "GW209")
    assert refused.one("Connection") == "close"


def test_while_the_backend_hangs_health_is_told_and_agents_log_in_and_out(gateway, hanging, session):
    with saturated(gateway, hanging, session):
        for _ in range(5):
            assert gateway.ask("/-/health/live").status == 200
            assert gateway.ask("/-/health/ready").status == 200
            fresh = gateway.log_in("t1")
            assert gateway.ask("/-/session", fresh, method="DELETE").status == 204


def test_after_a_storm_everything_is_served_and_what_was_answered_is_recorded_once(gateway, hanging, session):
    hanging.open.clear()
    rows, turned_away = len(gateway.record_rows(route="dossier")), number(gateway, "cafpro_turned_away_total")
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(gateway.url)) for _ in range(100)]
        for client in clients:
            client.sendall(asking(gateway, session))
        refused = len(clients) - CONCURRENCY - WAITING
        until(lambda: number(gateway, "cafpro_turned_away_total") == turned_away + refused, "the others are refused")
        hanging.open.set()
        answers = [read_answer(client) for client in clients]
        assert sorted(answer.status for answer in answers) == [200] * (CONCURRENCY + WAITING) + [503] * refused
        for client in clients:
            client.sendall(asking(gateway, session))
            assert_whole(read_answer(client))
    assert len(gateway.record_rows(route="dossier")) == rows + CONCURRENCY + WAITING + len(clients)


def test_a_flood_of_log_ins_holds_neither_consultations_nor_probes(gateway, hanging, session):
    hanging.open.set()
    body = f'{{"identifier": "t1", "password": "{PASSWORD}"}}'
    head = f"POST /-/session HTTP/1.1\r\nHost: {gateway.host}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    flooding = threading.Event()
    flooding.set()

    def flood(_: int) -> set[int]:
        found = set()
        with connect(gateway.url) as client:
            while flooding.is_set():
                client.sendall(request)
                found.add(read_answer(client).status)
        return found

    with ThreadPoolExecutor(30) as pool:
        floods = [pool.submit(flood, number) for number in range(30)]
        try:
            until(lambda: gateway.record_rows(code="GW209"), "more log-ins than can be looked at")
            for _ in range(20):
                assert_whole(gateway.ask(f"/dossiers/{DOSSIER}", session))
                assert gateway.ask("/-/health/ready").status == 200
        finally:
            flooding.clear()
        assert set().union(*(flood.result() for flood in floods)) == {201, 503}


def test_asked_to_end_it_answers_and_records_what_runs_and_refuses_the_rest(start_backend, tmp_path):
    hanging = Hanging()
    backend = start_backend(hanging)
    settings = {"server.concurrency": "5", "upstream.deadline_seconds": "120"}
    with ExitStack() as stack:
        gateway = Gateway(tmp_path, upstream=backend.url, settings=settings, policies=None)
        stack.callback(gateway.stop)  # where it must end with 0
        stack.callback(hanging.open.set)
        gateway.enter("t1", "T1")
        session = gateway.log_in("t1")
        idle = stack.enter_context(connect(gateway.url))
        idle.sendall(f"GET /-/health/live HTTP/1.1\r\nHost: {gateway.host}\r\n\r\n".encode())
        assert read_answer(idle).status == 200
        clients = [stack.enter_context(connect(gateway.url)) for _ in range(5)]
        for client in clients:
            client.sendall(asking(gateway, session))
        until(lambda: len(backend.asked) == 5, "all are at the backend")
        gateway._process.popen.terminate()
        assert idle.recv(1) == b"", "an idle connection is closed"
        with pytest.raises(ConnectionRefusedError):
            connect(gateway.url)
        hanging.open.set()
        for client in clients:
            answer = read_answer(client)
            assert_whole(answer)
            assert answer.one("Connection") == "close"
            assert gateway.recorded(answer)["status"] == 200
