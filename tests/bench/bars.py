"""What must hold: ratios within one run, and the few times that the gateway may add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tests.bench.measuring import SLOW_MS, Durable, Row
from tests.bench.targets import BACKEND, FASTAPI, FASTIFY, GATEWAY, LUA, NJS

_AGAINST: Final = (
    ("4 KB", (FASTIFY,), 1.0),
    ("4 KB", (LUA,), 0.7),
    ("4 KB", (FASTAPI,), 12.0),
    ("16 KB", (LUA, NJS, FASTIFY), 1.5),
    ("64 KB", (LUA, NJS, FASTIFY), 2.5),
    ("1 MB", (LUA, NJS, FASTIFY), 6.0),
)
"""Size, the peers of whom the best counts, how many times its requests per core the gateway must answer at least."""
ADDED_P50_MS: Final = 0.3
MEMORY_MB: Final = 80.0


class Bar(NamedTuple):
    """One promise. `ratio` says that it compares within the run, so that a noisy machine does not decide."""

    said: str
    value: float
    asked: float
    at_least: bool
    ratio: bool
    unit: str = ""

    @property
    def holds(self) -> bool:
        return self.value >= self.asked if self.at_least else self.value <= self.asked

    def __str__(self) -> str:
        verdict = "holds      " if self.holds else "falls short"
        side = "at least" if self.at_least else "at most"
        return f"{verdict}  {self.said}: {self.value:.2f}{self.unit}, asked {side} {self.asked:.2f}{self.unit}"


def throughput_bars(rows: Sequence[Row]) -> list[Bar]:
    """Requests per second and core beside the peers', for each size."""
    rates = {(row.case, row.target): row.rps_per_core for row in rows}
    bars = []
    for size, peers, asked in _AGAINST:
        best = max(peers, key=lambda peer: rates[size, peer])
        of = f"the best of {len(peers)} peers, {best}" if len(peers) > 1 else best
        bars.append(
            Bar(f"{size}, per core, beside {of}", rates[size, GATEWAY] / rates[size, best], asked, True, True, "x")
        )
    return bars


def latency_bars(rows: Sequence[Row], durable: Durable) -> list[Bar]:
    """What the gateway adds to the backend's own latency at 1 connection."""
    bars = []
    for size in ("4 KB", "64 KB"):
        middle, late = added(rows, GATEWAY, size, 1)
        said = f"{size}, 1 connection, added"
        allowed = ADDED_P50_MS + durable.p50_ms
        bars.append(Bar(f"{said} p50 (0.3 ms and a durable write)", middle, allowed, False, False, " ms"))
        bars.append(Bar(f"{said} p99, in its p50", late / middle, 3.0, False, False, "x"))
    return bars


def slow_bars(rows: Iterable[Row]) -> list[Bar]:
    """A backend of 20 ms and 64 connections, beside fastify."""
    found = {row.target: row for row in rows}
    gateway, said = found[GATEWAY], f"backend of {SLOW_MS} ms, 64 connections"
    return [
        Bar(f"{said}, throughput beside {FASTIFY}", gateway.rps / found[FASTIFY].rps, 1.0, True, True, "x"),
        Bar(f"{said}, p99 in the backend's time", gateway.p99_ms / SLOW_MS, 2.0, False, False, "x"),
    ]


def memory_bar(worker_mb: float) -> Bar:
    """What a worker of the gateway holds after all the loads on it, what it shares with its supervisor included."""
    return Bar("memory of a worker of the gateway", worker_mb, MEMORY_MB, False, False, " MB")


def added(rows: Iterable[Row], target: str, size: str, connections: int) -> tuple[float, float]:
    """The p50 and the p99, in ms, less the backend's own at the same connections."""
    found = {row.target: row for row in rows if (row.case, row.connections) == (size, connections)}
    direct, through = found[BACKEND], found[target]
    return through.p50_ms - direct.p50_ms, through.p99_ms - direct.p99_ms
