"""What became of each mutant: one JSON object a line, so that a run may be interrupted, and goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutation.sources import Mutant

KILLED = ("killed", "no end")


@dataclass(frozen=True)
class Result:
    name: str
    digest: str
    line: int
    result: str
    """`killed`, `no end` (out of time, which counts as killed), `survived`, `unreached` (no test comes there), or
    `fault`: it could not be tried."""
    by: str
    """The test that noticed."""
    tried: int
    """How many tests were run."""
    left: int
    """How many reach the place and were left out: the slowest."""
    how: str = "fork"
    """`fork`, or `fresh` where a process of its own tried it again."""


class Results:
    """The last result of each mutant. A mutant of a function that has changed is another one."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.last: dict[tuple[str, str], Result] = {}
        if file.exists():
            for line in file.read_text("utf-8").splitlines():
                self._keep(Result(**json.loads(line)))

    def of(self, mutant: Mutant) -> Result | None:
        return self.last.get((_function(mutant.name), mutant.digest))

    def add(self, result: Result) -> None:
        with self.file.open("a", encoding="utf-8") as kept:
            kept.write(json.dumps(asdict(result)) + "\n")
        self._keep(result)

    def _keep(self, result: Result) -> None:
        self.last[_function(result.name), result.digest] = result


def _function(name: str) -> str:
    return name.rpartition("__mutmut_")[0]


def counted(results: Iterable[Result | None]) -> str:
    """`78 mutants: 70 killed, 8 survived`."""
    found = [each.result if each else "not tried" for each in results]
    kinds = [f"{found.count(kind)} {kind}" for kind in sorted(set(found))]
    return f"{len(found)} mutants: {', '.join(kinds)}"
