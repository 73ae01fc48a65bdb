"""What a run leaves: its figures as JSON, and charts of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench import charts
from tests.bench.dossiers import SIZES
from tests.bench.measuring import Row
from tests.bench.targets import FLOOR, GATEWAY

_NOTE: Final = (
    "20 rubrics, 4 kept; one core each; 64 connections, 16 at 1 MB; medians. Ratios hold, absolute figures do not."
)
_FLOOR: Final = f"{FLOOR} (no work)"


def write_results(folder: Path, report: Mapping[str, Any]) -> None:
    """`bench.json` and a chart of each part that was measured."""
    folder.mkdir(exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(_plain(report), indent=1) + "\n")
    if "sizes" in report:
        panels = {size: _beside([row for row in report["sizes"] if row.case == size]) for size in SIZES}
        title = "Requests per second and core, and the gateway's as a multiple of each"
        drawn = charts.bars(title, _NOTE, panels, ours=GATEWAY, plain=[_FLOOR])
        (folder / "bench.svg").write_text(drawn, "utf-8")
    if "agents" in report:
        title = "Cold and hot: CPU µs for each request of the gateway, by database"
        note = "16 connections, 4 KB. 20,000 agents and dossiers come round in an order that no memory helps."
        drawn = charts.bars(title, note, _by_database(report["agents"]), alike=True)
        (folder / "bench-agents.svg").write_text(drawn, "utf-8")


def _beside(rows: Sequence[Row]) -> list[tuple[str, float, str]]:
    """The bars of one size: the floor first, then the others, the quickest first."""
    ours = next(row.rps_per_core for row in rows if row.target == GATEWAY)
    ordered = sorted(rows, key=lambda row: (row.target != FLOOR, -row.rps_per_core))
    return [
        (
            _FLOOR if row.target == FLOOR else row.target,
            row.rps_per_core,
            f"{row.rps_per_core:,.0f}" + ("" if row.target == GATEWAY else f" · {ours / row.rps_per_core:.2f} ×"),
        )
        for row in ordered
    ]


def _by_database(rows: Sequence[Row]) -> dict[str, list[tuple[str, float, str]]]:
    panels: dict[str, list[tuple[str, float, str]]] = {}
    for row in rows:
        case, _, database = row.case.rpartition(", ")
        panels.setdefault(database, []).append((case, row.cpu_us, f"{row.cpu_us:.0f} µs · p99 {row.p99_ms:.1f} ms"))
    return panels


def _plain(value: Any) -> Any:
    """Named tuples as objects, figures with as many digits as they deserve."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return round(value, 3) if isinstance(value, float) else value
