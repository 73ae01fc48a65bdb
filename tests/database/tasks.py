"""Tasks of this thread's own loop, all begun in one turn of it."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.loop.waiting import Outcome, own_loop, pause

PATIENCE = 30.0
"""Seconds after which a task that has not ended is believed to be stuck."""


def together(*works: Callable[[], Any]) -> list[Any]:
    """What each of `works` returns, each a task. Raises the first failure among them, once all have ended."""
    loop = own_loop()
    results: list[Any] = [None] * len(works)
    failures: list[BaseException] = []
    unfinished = len(works)

    def do(place: int) -> None:
        nonlocal unfinished
        try:
            results[place] = works[place]()
        except BaseException as failure:  # noqa: BLE001 - told outside of the loop
            failures.append(failure)
        finally:
            unfinished -= 1

    for place in range(len(works)):
        loop.soon(partial(loop.start, partial(do, place)))
    until = time.monotonic() + PATIENCE
    while unfinished:
        loop.turn(1.0)
        assert time.monotonic() < until, "a task never ended"
    if failures:
        raise failures[0]
    return results


def ticks(count: int = 20) -> None:
    """Go on and wait, `count` times: what stops the loop stops this."""
    for _ in range(count):
        pause(0.001)


class Meeting:
    """A place where so many tasks wait for one another, to go on in the same turn of the loop."""

    def __init__(self, tasks: int) -> None:
        self._missing = tasks
        self._here: list[Outcome[None]] = []

    def wait(self) -> None:
        mine = Outcome[None]()
        self._here.append(mine)
        self._missing -= 1
        if not self._missing:
            for outcome in self._here[:-1]:
                outcome.settle(None)
        else:
            mine.wait()
