"""Who is loaded in which round."""

import pytest

from tests.bench import measuring
from tests.bench.measuring import Effort, Shot, rounds
from tests.bench.processes import Measured
from tests.bench.targets import Target


def shot(name: str, *, once: bool = False) -> Shot:
    return Shot("4 KB", Target(name, f"http://{name}", 1, "token"), 16, "/dossiers/1", once=once)


def test_each_round_begins_with_another_and_whom_no_bar_is_about_is_loaded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def load(pid: int, url: str, **how: object) -> Measured:
        asked.append(url.removeprefix("http://").removesuffix("/dossiers/1"))
        return Measured(1, float(len(asked)), 1.0, 1.0, 1.0)

    monkeypatch.setattr(measuring, "load", load)
    rows = rounds([shot("a"), shot("b", once=True), shot("c")], Effort(1, 3), lambda: asked.append("-"))
    assert asked == ["-", "a", "b", "c", "-", "c", "a", "-", "a", "c"]
    assert [(row.target, row.cpu_us) for row in rows] == [("a", 7.0), ("b", 3.0), ("c", 6.0)]
