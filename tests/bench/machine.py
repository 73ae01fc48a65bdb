"""What the processor's neighbours leave of its caches, on which every ratio depends.

Virtual machines share a third cache. Where others fill it, whoever has more code and data than the second one holds
waits for memory at every turn: the interpreters of Python and V8 more than nginx with what LuaJIT has compiled.
"""

from __future__ import annotations

import random
import time
from typing import Final, NamedTuple

SMALL, LARGE = 500, 500_000
"""Places to walk through: 20 KB, which the first cache holds, and 20 MB, for which only a third one could do."""
STEPS: Final = 200_000


class Walk(NamedTuple):
    """Nanoseconds of a step, the interpreter's own 30 to 50 included."""

    small_ns: float
    large_ns: float

    def __str__(self) -> str:
        return f"a step through 20 KB of memory takes {self.small_ns:.0f} ns, through 20 MB {self.large_ns:.0f} ns"


def walked() -> Walk:
    """Takes a second, on whichever core it is."""
    return Walk(_step_ns(circle(SMALL)), _step_ns(circle(LARGE)))


def circle(places: int) -> list[int]:
    """For each place the next one: all of them once, in an order that nothing could foresee."""
    order = list(range(places))
    random.Random(places).shuffle(order)
    following = [0] * places
    for here, there in zip(order, order[1:] + order[:1], strict=True):
        following[here] = there
    return following


def _step_ns(following: list[int]) -> float:
    place = 0
    for _ in following:
        place = following[place]
    begun = time.perf_counter()
    for _ in range(STEPS):
        place = following[place]
    return (time.perf_counter() - begun) / STEPS * 1e9
