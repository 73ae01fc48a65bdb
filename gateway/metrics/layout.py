"""Which number stands in which cell of a worker's row. Closed when it is imported: nothing counted adds a series.

No label says anything about a person, a dossier, a rubric or a policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, get_args

from gateway.errors import Refusal

Outcome = Literal["answered", "late", "unreachable", "not_understood"]
"""How an exchange with the backend ended: a whole answer of whatever status, or the refusal it became."""

RELOADS: Final = ("in_force", "unreadable", "refused", "unapproved", "unchecked", "unswapped")
"""What becomes of a folder of policies that has changed: it comes into force, or why it does not."""

OTHER: Final = "other"
"""The label of what no vocabulary knows: counted, and a defect of ours where it is not 0."""

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, each included. What lasts longer has a bucket of its own."""
SUM: Final = len(BUCKETS) + 1
"""Where a histogram keeps the sum of its seconds, counted from its first cell; before it stands a cell a bucket."""

GOOD: Final = (200, 201, 202, 204, 303)
"""The statuses of answers that are no refusal."""


class _Cells:
    """Gives out the cells of a row, each once."""

    def __init__(self) -> None:
        self.given = 0

    def take(self, many: int = 1) -> int:
        """The first of so many."""
        first = self.given
        self.given += many
        return first

    def histogram(self) -> int:
        """The first of a histogram's."""
        return self.take(SUM + 1)


def _refusals(kind: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Those of `gateway.errors`. The classes that other rooms derive from them keep their codes."""
    for inner in kind.__subclasses__():
        if inner.__module__ == Refusal.__module__:
            if "code" in inner.__dict__:
                yield inner
            yield from _refusals(inner)


_cells: Final = _Cells()

ANSWERS: Final[Mapping[tuple[str, str], int]] = {
    labels: _cells.take()
    for labels in (
        *((str(status), "") for status in GOOD),
        *sorted({(str(kind.status), kind.shown) for kind in _refusals()}, key=lambda labels: labels[1]),
        (OTHER, OTHER),
    )
}
"""The cell of each pair of labels. The code is the one that goes out: whoever reads a dashboard beside a refusal of his
own must not learn what the refusal hides (an objection behind a missing mandate)."""

ANSWERED: Final[Mapping[tuple[int, str], int]] = {
    **{(status, ""): ANSWERS[str(status), ""] for status in GOOD},
    **{(kind.status, kind.code): ANSWERS[str(kind.status), kind.shown] for kind in _refusals()},
}
"""The cell of a status and the code that the record keeps."""
ANSWERED_OTHER: Final = ANSWERS[OTHER, OTHER]

REQUEST_SECONDS: Final = _cells.histogram()

DECIDED: Final = _cells.take()
DECIDED_CACHED: Final = _cells.take()

FETCHED: Final[Mapping[str, int]] = {outcome: _cells.histogram() for outcome in (*get_args(Outcome), OTHER)}
"""The histogram of each outcome."""
FETCHED_OTHER: Final = FETCHED[OTHER]

UNCLASSIFIED: Final = _cells.take()

RECORD_SECONDS: Final = _cells.histogram()
RECORD_ROWS: Final = _cells.take()

STARTS: Final = _cells.take()

TURNED_AWAY: Final = _cells.take()
BREAKER_OPENED: Final = _cells.take()

RELOADED: Final[Mapping[str, int]] = {result: _cells.take() for result in RELOADS}

# What is so now, of a worker that lives. The cells from here on are emptied when it ends.
SERVES: Final = _cells.take()
"""1 while a worker has this row."""
CONNECTIONS: Final = _cells.take()
IN_FLIGHT: Final = _cells.take()
WAITING: Final = _cells.take()
BREAKER: Final = _cells.take()
"""1 while the backend is left alone, one half while it is being tried again."""
LOOKED: Final = _cells.take()
"""When its loop last went round: seconds on the monotonic clock, which processes share; 0 before the first time."""
POLICY_STALE: Final = _cells.take()
"""1 while the folder of policies as it is now is not in force. Of the process beside the workers alone."""

CELLS: Final = _cells.given
