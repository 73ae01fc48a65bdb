"""A gateway under load while something breaks: what holds whatever happens, and what is measured of it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from tests.faults.load import Load, Question
from tests.story.running import until

AGENTS = 16


@dataclasses.dataclass
class Measured:
    """What came of one kind of fault."""

    fault: str
    rounds: int = 0
    in_flight: list[int] = dataclasses.field(default_factory=list)
    """Requests that waited for their answer when it struck, each time."""
    answered: int = 0
    refused: dict[str, int] = dataclasses.field(default_factory=dict)
    broken_off: int = 0
    turned_away: int = 0
    """Connections that could not be had."""
    leaked: int = 0
    """Answers that were anything else than the expected bytes or a refusal."""
    unrecorded: int = 0
    """Answers whose request is not in the record as it was answered."""
    recovery: list[float] = dataclasses.field(default_factory=list)
    """Seconds from the end of the fault to the last that was not answered well, each time."""


class Trial:
    """One kind of fault, which strikes once or several times."""

    def __init__(self, measured: Measured, load: Load) -> None:
        self.measured, self.load = measured, load
        self._ended_at = 0.0
        self._refused_before: Counter[str] = Counter()

    @contextlib.contextmanager
    def round(self) -> Iterator[None]:
        """A fault that begins now and is over when the block ends. Returns once everything is answered again."""
        self.measured.rounds += 1
        self.measured.in_flight.append(self.load.asking)
        self._refused_before = self.load.refused.copy()
        yield
        self._ended_at = time.monotonic()
        until(lambda: self.load.steady_since(self._ended_at), "every agent is answered again")
        self.measured.recovery.append(round(self.load.recovered_after(self._ended_at), 3))

    def refuses(self, *codes: str) -> None:
        """Returns when agents have been refused for each of these reasons since this round began."""
        try:
            until(
                lambda: all(self.load.refused[code] > self._refused_before[code] for code in codes),
                f"agents are refused for {codes}",
            )
        except AssertionError as late:
            told = (
                f"{self.load.good} good, {dict(self.load.refused)}, {self.load.asking} ask, {self.load.broken} broken"
            )
            raise AssertionError(f"{late}: {told}") from None

    def bad_for(self, seconds: float) -> None:
        """Returns when the fault has lasted so long."""
        end = time.monotonic() + seconds
        until(lambda: time.monotonic() >= end, "time passes")


@contextlib.contextmanager
def trial(
    fault: str,
    url: str,
    asked: Sequence[Question],
    rows: Callable[[], Sequence[dict[str, Any]]],
    *,
    results: list[Measured],
    refusals: Collection[str] = (),
    breaks_off: bool = False,
    agents: int = AGENTS,
) -> Iterator[Trial]:
    """The load runs; what it found is checked when the block ends.

    `rows` reads the record. Only `refusals` are given, and no answer breaks off unless `breaks_off`.
    """
    measured = Measured(fault)
    with Load(url, asked, agents=agents) as load:
        until(lambda: load.good > 4 * agents, "the load runs")
        yield Trial(measured, load)
    recorded: dict[str, list[int]] = {}
    for row in rows():
        recorded.setdefault(row["request_id"], []).append(row["status"])
    unrecorded = [name for name, status in load.answered.items() if recorded.get(name) != [status]]
    measured.answered, measured.refused = load.good, dict(load.refused)
    measured.broken_off, measured.turned_away = load.broken, load.turned_away
    measured.leaked, measured.unrecorded = len(load.wrong), len(unrecorded)
    results.append(measured)
    assert load.wrong == []
    assert unrecorded == []
    assert set(load.refused) <= set(refusals), load.refused
    if not breaks_off:
        assert (load.broken, load.turned_away) == (0, 0)
