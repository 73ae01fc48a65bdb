"""`/-/metrics` of a real gateway with two workers: what happened, in numbers, and nothing of whom it happened to."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.story.running import Gateway, is_problem, until

TOKEN = "moissonneuse-0123456789-0123456789"
DOSSIER = "9990001"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def counting(start_gateway, stub_url, tmp_path_factory) -> Gateway:
    file = tmp_path_factory.mktemp("scrape") / "scrape.token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    gateway = start_gateway(stub_url, server__workers=2, metrics__token_file=file)
    gateway.enter("m.durand", "T1")
    gateway.enter("m.petit", "T9")
    return gateway


def numbers(gateway: Gateway) -> dict[str, float]:
    """Every sample of a scrape, named as Prometheus shows it, labels in order."""
    scraped = gateway.ask("/-/metrics", BEARER)
    assert scraped.status == 200
    return {
        " ".join((sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items())))): sample.value
        for family in text_string_to_metric_families(scraped.body.decode())
        for sample in family.samples
    }


def since(gateway: Gateway, before: dict[str, float]) -> dict[str, float]:
    """What grew."""
    return {name: value - before[name] for name, value in numbers(gateway).items() if value != before[name]}


def test_what_was_answered_and_refused_is_counted_over_both_workers(counting):
    session, guardian = counting.log_in("m.durand"), counting.log_in("m.petit")
    before = numbers(counting)
    for _ in range(30):
        counting.close()  # the next connection may reach the other worker
        assert counting.ask(f"/dossiers/{DOSSIER}", session).status == 200
    for _ in range(5):
        assert counting.ask(f"/dossiers/{DOSSIER}", guardian).status == 403
    assert counting.ask("/dossiers/0000000", session).status == 404
    grown = since(counting, before)
    assert grown["cafpro_requests_total code= status=200"] == 30
    assert grown["cafpro_requests_total code=GW320 status=403"] == 5
    assert grown["cafpro_requests_total code=GW401 status=404"] == 1
    assert grown["cafpro_request_seconds_count"] == 36
    assert grown["cafpro_upstream_seconds_count outcome=answered"] == 31
    assert grown["cafpro_record_rows_total"] == 36
    assert grown.get("cafpro_decisions_total cached=no", 0) + grown["cafpro_decisions_total cached=yes"] == 36
    assert grown.get("cafpro_decisions_total cached=no", 0) <= 4, "two distinct facts, each once in each worker"


def test_both_workers_are_seen_to_go_round(counting):
    def told() -> dict[str, float] | None:
        found = numbers(counting)
        return found if found["cafpro_workers"] == 2 and found["cafpro_connections"] >= 1 else None

    seen = until(told, "two workers tell of themselves")
    assert seen["cafpro_worker_starts_total"] == 2
    assert seen["cafpro_worker_silent_seconds"] < 5


@pytest.mark.attack(30)
def test_a_scrape_says_nothing_of_anyone(counting):
    counting.ask(f"/dossiers/{DOSSIER}", counting.log_in("m.durand"))
    text = counting.ask("/-/metrics", BEARER).text()
    for word in ("m.durand", "m.petit", "Partenaire", DOSSIER, "CANARI", "creances", "T1", "T9", TOKEN):
        assert word not in text
    assert not re.search(r"[0-9a-f]{32}", re.sub(r"X-Request-Id: \w+", "", text)), "no fingerprint, mark or token"


@pytest.mark.attack(30)
@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {TOKEN}x"}, {"X-Scrape-Token": TOKEN}], ids=str)
def test_without_the_token_it_is_refused_and_recorded(counting, headers):
    answer = counting.ask("/-/metrics", headers)
    is_problem(answer, 401, "GW101")
    assert counting.recorded(answer)["code"] == "GW101"


@pytest.mark.attack(30)
def test_an_agents_session_does_not_open_it(counting):
    answer = counting.ask("/-/metrics", counting.log_in("m.durand"))
    is_problem(answer, 401, "GW101")
    assert counting.recorded(answer)["agent"] == "m.durand"


@pytest.mark.attack(30)
def test_where_no_token_is_configured_there_is_no_such_address(gateway, sessions):
    is_problem(gateway.ask("/-/metrics", sessions["T1"]), 404, "GW203")
