"""Flat, linear or neither: what a line through the points says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

FLAT_WITHIN = 0.15
"""How much dearer the fitted line may be at the end of the axis than at its beginning, and any point beyond that: the
noise of a shared machine."""
LINEAR_WITHIN = 0.25
"""How far each point may lie from `fixed + slope x n`, for its own size."""


class Point(NamedTuple):
    """What one request, or one decision, costs where the axis stands at `at`. Times in µs, tails in ms."""

    at: float
    cost_us: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    rps: float = 0.0


class Verdict(NamedTuple):
    """`kind` is flat, linear or neither; `slope` says how steep the fitted line is."""

    kind: str
    slope: str


def judge(points: Sequence[Point], unit: str, *, flat_within: float = FLAT_WITHIN) -> Verdict:
    """Which of the two lines passes through the points: a constant, or a fixed cost and so much for each `unit`."""
    costs = [point.cost_us for point in points]
    _, power = _fit([(math.log(point.at), math.log(point.cost_us)) for point in points])
    change = (points[-1].at / points[0].at) ** power - 1
    if abs(change) <= flat_within and max(costs) <= min(costs) * (1 + FLAT_WITHIN + flat_within):
        return Verdict("flat", f"{change:+.0%} from end to end")
    fixed, slope = _fit([(point.at, point.cost_us) for point in points], [1 / cost**2 for cost in costs])
    off = max(abs(fixed + slope * point.at - point.cost_us) / point.cost_us for point in points)
    if slope > 0 and off <= LINEAR_WITHIN:
        return Verdict("linear", f"{cost_text(fixed)} + {_readable(slope, unit.removesuffix('s'))}")
    return Verdict("neither", f"{costs[-1] / costs[0]:.3g} times as much at the end, a line misses by {off:.0%}")


def _readable(slope: float, unit: str) -> str:
    for name, factor in (("", 1), ("thousand ", 1e3), ("million ", 1e6)):
        if slope * factor >= 0.01:
            return f"{cost_text(slope * factor)} for each {name}{unit}"
    return f"{slope * 1e9:.3g} µs for each billion {unit}"


def _fit(points: Sequence[tuple[float, float]], weights: Sequence[float] | None = None) -> tuple[float, float]:
    """The line with the least (weighted) squares: its value at 0, and its slope."""
    weighted = list(zip(weights or [1.0] * len(points), points, strict=True))
    total = sum(weight for weight, _ in weighted)
    at = sum(weight * x for weight, (x, _) in weighted) / total
    cost = sum(weight * y for weight, (_, y) in weighted) / total
    spread = sum(weight * (x - at) ** 2 for weight, (x, _) in weighted)
    slope = sum(weight * (x - at) * (y - cost) for weight, (x, y) in weighted) / spread
    return cost - slope * at, slope


def cost_text(us: float) -> str:
    """Such as `0.8 µs`, `124 µs`, `13.1 ms`, `2.2 s`."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size:
            return f"{us / size:.3g} {unit}"
    return f"{us:.3g} µs"


def count_text(count: float) -> str:
    """Such as `20`, `10 k`, `1 M`."""
    for unit, size in ((" M", 1e6), (" k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.3g}"
