"""What a scrape reads: the rows of all workers added up, in Prometheus' text format."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.metrics import layout
from gateway.metrics.counts import Counts

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

_BOUNDS: Final = (*(str(bound) for bound in layout.BUCKETS), "+Inf")


class Exposition:
    """The text that shows `counts`. Every series is there from the start, at 0."""

    def __init__(self, counts: Counts) -> None:
        # A registry of our own: in the library's, whatever is imported may put something.
        self._registry = CollectorRegistry(auto_describe=True)
        self._registry.register(_Series(counts))

    def text(self) -> bytes:
        """The numbers of now, as `CONTENT_TYPE`. The same whichever worker is asked."""
        return generate_latest(self._registry)


class _Series(Collector):
    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        rows = self._counts.read()
        sums = [sum(column) for column in zip(*rows, strict=True)]

        requests = CounterMetricFamily(
            "cafpro_requests",
            "Requests that left with their record, by status and by the stable code of a refusal (empty: none).",
            labels=("status", "code"),
        )
        for labels, cell in layout.ANSWERS.items():
            requests.add_metric(labels, sums[cell])
        yield requests
        yield _histogram(
            "cafpro_request_seconds",
            "From a request's way in to the durable record of its answer.",
            sums,
            layout.REQUEST_SECONDS,
        )

        decisions = CounterMetricFamily(
            "cafpro_decisions",
            "Decisions of the policies; cached: equal facts had been decided before.",
            labels=("cached",),
        )
        decisions.add_metric(("no",), sums[layout.DECIDED])
        decisions.add_metric(("yes",), sums[layout.DECIDED_CACHED])
        yield decisions

        upstream = HistogramMetricFamily(
            "cafpro_upstream_seconds",
            "Exchanges with the backend, by how they ended.",
            labels=("outcome",),
        )
        for outcome, first in layout.FETCHED.items():
            upstream.add_metric((outcome,), *_buckets(sums, first))
        yield upstream
        yield CounterMetricFamily(
            "cafpro_upstream_breaker_opened",
            "Times a worker began to leave the backend alone, because it failed too often in a row.",
            sums[layout.BREAKER_OPENED],
        )
        yield GaugeMetricFamily(
            "cafpro_upstream_breaker",
            "Workers that leave the backend alone now; half of one: it is being tried again.",
            sums[layout.BREAKER],
        )
        yield CounterMetricFamily(
            "cafpro_unclassified_parts",
            "Parts of answers that the route table does not name: withheld. Growing: the backend has changed.",
            sums[layout.UNCLASSIFIED],
        )

        yield CounterMetricFamily(
            "cafpro_record_commits",
            "Group commits of the record that became durable.",
            sum(sums[layout.RECORD_SECONDS : layout.RECORD_SECONDS + layout.SUM]),
        )
        yield CounterMetricFamily(
            "cafpro_record_rows", "Rows of the record that became durable.", sums[layout.RECORD_ROWS]
        )
        yield _histogram(
            "cafpro_record_seconds", "What a group commit of the record takes.", sums, layout.RECORD_SECONDS
        )

        yield CounterMetricFamily(
            "cafpro_turned_away",
            "Requests sent away without a record: 503 for want of room, 429 beyond what is recorded of an address.",
            sums[layout.TURNED_AWAY],
        )
        reloads = CounterMetricFamily(
            "cafpro_policy_reloads",
            "Changes of the folder of policies, by what became of them: in force, or why not.",
            labels=("result",),
        )
        for result, cell in layout.RELOADED.items():
            reloads.add_metric((result,), sums[cell])
        yield reloads
        yield GaugeMetricFamily(
            "cafpro_policy_stale",
            "1 while the folder of policies as it is now is not in force: /-/health/ready and the log say why.",
            sums[layout.POLICY_STALE],
        )
        yield GaugeMetricFamily("cafpro_workers", "Worker processes alive.", sums[layout.SERVES])
        yield CounterMetricFamily(
            "cafpro_worker_starts",
            "Workers started, replacements included. Growing: workers die.",
            sums[layout.STARTS],
        )
        yield GaugeMetricFamily(
            "cafpro_worker_silent_seconds",
            "Since the loop of the worker that is silent longest went round. More than a second: something blocks it.",
            _silence(rows),
        )
        yield GaugeMetricFamily("cafpro_connections", "Connections of clients that are open.", sums[layout.CONNECTIONS])
        yield GaugeMetricFamily(
            "cafpro_requests_in_flight", "Requests that are being answered.", sums[layout.IN_FLIGHT]
        )
        yield GaugeMetricFamily(
            "cafpro_requests_waiting", "Whole requests that wait for a place among those.", sums[layout.WAITING]
        )


def _histogram(name: str, what: str, sums: list[float], first: int) -> Metric:
    family = HistogramMetricFamily(name, what)
    family.add_metric((), *_buckets(sums, first))
    return family


def _buckets(sums: list[float], first: int) -> tuple[list[tuple[str, float]], float]:
    """Bounds with how many lasted no longer, and the sum. The count is the last bucket's, so the two always agree."""
    so_far = 0.0
    buckets = []
    for cell, bound in enumerate(_BOUNDS, first):
        so_far += sums[cell]
        buckets.append((bound, so_far))
    return buckets, sums[first + layout.SUM]


def _silence(rows: list[list[float]]) -> float:
    looked = [row[layout.LOOKED] for row in rows if row[layout.LOOKED]]
    return max(0.0, time.monotonic() - min(looked)) if looked else 0.0
