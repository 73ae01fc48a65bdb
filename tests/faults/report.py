"""What was measured, as JSON for programs and as a table for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.faults.trial import Measured

RESULTS: Final = Path(__file__).parent / "results"
_HEAD: Final = (
    *("fault", "rounds", "in flight when it struck", "answered", "refused", "broken off", "not let in", "leaked"),
    *("answered, not recorded", "seconds to recovery"),
)


def write(found: Sequence[Measured]) -> None:
    """`faults.json` and `faults.md`, replaced."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps([dataclasses.asdict(measured) for measured in found], indent=1, ensure_ascii=False)
    (RESULTS / "faults.json").write_text(text + "\n")
    rows = [_HEAD, ("---",) + ("---:",) * (len(_HEAD) - 1), *map(_row, found)]
    (RESULTS / "faults.md").write_text(
        "# Faults under load\n\nWritten by `make faults`: real processes, the load runs all the time. "
        "Broken off: the connection ended before the answer had. Where a fault struck more than once, in flight is the "
        "least and the most, recovery the middle and the most.\n\n"
        + "".join(f"| {' | '.join(row)} |\n" for row in rows)
    )


def _row(measured: Measured) -> tuple[str, ...]:
    refused = ", ".join(f"{code} {count}" for code, count in sorted(measured.refused.items()))
    flying, recovery = sorted(measured.in_flight), sorted(measured.recovery)
    return (
        measured.fault,
        str(measured.rounds),
        _both(str(flying[0]), str(flying[-1])) if flying else "",
        str(measured.answered),
        refused or "0",
        str(measured.broken_off),
        str(measured.turned_away),
        str(measured.leaked),
        str(measured.unrecorded),
        _both(f"{recovery[len(recovery) // 2]:.2f}", f"{recovery[-1]:.2f}") if recovery else "",
    )


def _both(first: str, second: str) -> str:
    return first if first == second else f"{first} / {second}"
