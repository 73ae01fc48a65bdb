"""What a scrape shows: the numbers of all workers, under names and labels that are known beforehand."""

import re
import time

import pytest

from gateway import errors
from gateway.metrics.counts import Counts
from gateway.metrics.exposition import Exposition
from gateway.metrics.layout import BUCKETS

ALLOWED = {
    "status": r"[2-5][0-9][0-9]|other",
    "code": r"GW[1-5][0-9][0-9]|other|",
    "cached": r"yes|no",
    "result": r"in_force|unreadable|refused|unapproved|unchecked|unswapped",
    "outcome": r"answered|late|unreachable|not_understood|other",
    "le": r"[0-9.]+|\+Inf",
}


def every_refusal(kind=errors.Refusal):
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            if "code" in inner.__dict__:
                yield inner
            yield from every_refusal(inner)


def value(series, name, **labels):
    return series[name, tuple(sorted(labels.items()))]


def changes(before, after):
    return {key: after[key] - before[key] for key in after if after[key] != before[key]}


def test_every_number_appears_under_its_name(kit):
    counts = Counts(2)
    first, second = counts.take(0), counts.take(1)
    first.answered(200, "", 0.003)
    second.answered(200, "", 0.02)
    second.answered(403, "GW301", 20.0)
    first.decided(cached=True)
    second.decided(cached=True)
    second.decided(cached=False)
    first.fetched("answered", 0.003)
    second.fetched("late", 10.0)
    first.unclassified(2)
    second.unclassified()
    first.recorded(5, 0.004)
    second.recorded(7, 0.004)
    first.looked(connections=10, in_flight=3, waiting=0)
    second.looked(connections=20, in_flight=4, waiting=5)
    counts.beside.reloaded("in_force")
    counts.beside.reloaded("refused")
    counts.beside.reloaded("refused")
    counts.beside.policy_stale(True)
    seen = kit.scrape(counts)

    assert value(seen, "cafpro_policy_reloads_total", result="in_force") == 1
    assert value(seen, "cafpro_policy_reloads_total", result="refused") == 2
    assert value(seen, "cafpro_policy_stale") == 1
    assert value(seen, "cafpro_requests_total", status="200", code="") == 2
    assert value(seen, "cafpro_requests_total", status="403", code="GW301") == 1
    assert value(seen, "cafpro_request_seconds_count") == 3
    assert value(seen, "cafpro_request_seconds_sum") == pytest.approx(20.023)
    assert value(seen, "cafpro_request_seconds_bucket", le="0.0025") == 0
    assert value(seen, "cafpro_request_seconds_bucket", le="0.005") == 1
    assert value(seen, "cafpro_request_seconds_bucket", le="0.025") == 2
    assert value(seen, "cafpro_request_seconds_bucket", le="10.0") == 2
    assert value(seen, "cafpro_request_seconds_bucket", le="+Inf") == 3
    assert value(seen, "cafpro_decisions_total", cached="yes") == 2
    assert value(seen, "cafpro_decisions_total", cached="no") == 1
    assert value(seen, "cafpro_upstream_seconds_count", outcome="answered") == 1
    assert value(seen, "cafpro_upstream_seconds_count", outcome="late") == 1
    assert value(seen, "cafpro_upstream_seconds_sum", outcome="late") == 10
    assert value(seen, "cafpro_upstream_seconds_count", outcome="unreachable") == 0
    assert value(seen, "cafpro_unclassified_parts_total") == 3
    assert value(seen, "cafpro_record_commits_total") == 2
    assert value(seen, "cafpro_record_rows_total") == 12
    assert value(seen, "cafpro_record_seconds_count") == 2
    assert value(seen, "cafpro_record_seconds_sum") == pytest.approx(0.008)
    assert value(seen, "cafpro_workers") == 2
    assert value(seen, "cafpro_worker_starts_total") == 2
    assert value(seen, "cafpro_connections") == 30
    assert value(seen, "cafpro_requests_in_flight") == 7
    assert value(seen, "cafpro_requests_waiting") == 5


@pytest.mark.parametrize("bound", BUCKETS)
def test_a_bucket_holds_what_lasted_exactly_its_bound(kit, bound):
    counts = Counts(1)
    row = counts.take(0)
    row.answered(200, "", bound)
    row.answered(200, "", bound * 1.0001)
    assert value(kit.scrape(counts), "cafpro_request_seconds_bucket", le=str(bound)) == 1


def test_every_series_is_there_from_the_start_and_no_request_adds_one(kit):
    counts = Counts(1)
    row = counts.take(0)
    before = kit.scrape(counts)
    for kind in every_refusal():
        row.answered(kind.status, kind.code, 0.1)
    for status in range(100, 1000):
        row.answered(status, "", 0.1)
    for odd in ("CANARI", "GW999", "gw101", '"} 1', "other", "GW101\n"):
        row.answered(401, odd, 0.1)
        row.fetched(odd, 0.1)
    assert kit.scrape(counts).keys() == before.keys()


@pytest.mark.parametrize("kind", list(every_refusal()), ids=lambda kind: kind.code)
def test_every_refusal_is_counted_under_what_it_shows(kit, kind):
    counts = Counts(1)
    row, before = counts.take(0), kit.scrape(counts)
    row.answered(kind.status, kind.code, 0.1)
    counted = {key: n for key, n in changes(before, kit.scrape(counts)).items() if key[0] == "cafpro_requests_total"}
    assert counted == {("cafpro_requests_total", (("code", kind.shown), ("status", str(kind.status)))): 1}


def test_an_objection_is_counted_as_a_missing_mandate(kit):
    """Or an agent who sees the dashboard could tell one from the other by a number that goes up."""
    counts = Counts(1)
    counts.take(0).answered(403, "GW321", 0.1)
    assert value(kit.scrape(counts), "cafpro_requests_total", status="403", code="GW320") == 1
    assert b"GW321" not in Exposition(counts).text()


@pytest.mark.parametrize(
    ("status", "code"),
    [(200, "GW999"), (200, "CANARI"), (418, ""), (0, ""), (500, "GW101"), (401, "gw101"), (401, "other")],
)
def test_what_no_vocabulary_knows_is_counted_as_other(kit, status, code):
    counts = Counts(1)
    counts.take(0).answered(status, code, 0.1)
    seen = kit.scrape(counts)
    assert value(seen, "cafpro_requests_total", status="other", code="other") == 1
    assert value(seen, "cafpro_request_seconds_count") == 1


def test_an_exchange_that_ended_in_an_unknown_way_is_counted_as_other(kit):
    counts = Counts(1)
    counts.take(0).fetched("CANARI", 0.1)
    assert value(kit.scrape(counts), "cafpro_upstream_seconds_count", outcome="other") == 1


def test_labels_say_what_was_agreed_and_nothing_else(kit):
    for _, labels in kit.scrape(Counts(1)):
        for name, text in labels:
            assert re.fullmatch(ALLOWED[name], text), (name, text)


def test_every_name_is_ours_and_explained():
    lines = Exposition(Counts(1)).text().decode().splitlines()
    named = {line.split(" ")[2] for line in lines if line.startswith("# TYPE ")}
    helped = {line.split(" ", 3)[2]: line.split(" ", 3)[3] for line in lines if line.startswith("# HELP ")}
    assert named == helped.keys()
    assert all(name.startswith("cafpro_") for name in named)
    assert all(text.endswith(".") for text in helped.values())


def test_the_loop_that_is_silent_longest_is_told(kit, monkeypatch):
    counts = Counts(3)
    blocked, lively, _ = (counts.take(slot) for slot in range(3))
    assert value(kit.scrape(counts), "cafpro_worker_silent_seconds") == 0  # nobody has gone round yet

    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    blocked.looked(connections=0, in_flight=0, waiting=0)
    monkeypatch.setattr(time, "monotonic", lambda: now + 30)
    lively.looked(connections=0, in_flight=0, waiting=0)
    assert value(kit.scrape(counts), "cafpro_worker_silent_seconds") == pytest.approx(30)
    counts.release(0)
    assert value(kit.scrape(counts), "cafpro_worker_silent_seconds") == 0


def test_a_stale_folder_is_so_whichever_worker_ends(kit):
    counts = Counts(1)
    counts.take(0)
    counts.beside.policy_stale(True)
    counts.release(0)
    assert value(kit.scrape(counts), "cafpro_policy_stale") == 1
    counts.beside.policy_stale(False)
    assert value(kit.scrape(counts), "cafpro_policy_stale") == 0


def test_workers_are_those_that_have_a_row(kit):
    counts = Counts(4)
    for slot in range(4):
        counts.take(slot)
    counts.release(2)
    assert value(kit.scrape(counts), "cafpro_workers") == 3
    counts.take(2)
    seen = kit.scrape(counts)
    assert value(seen, "cafpro_workers") == 4
    assert value(seen, "cafpro_worker_starts_total") == 5
