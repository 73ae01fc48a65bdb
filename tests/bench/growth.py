"""How the cost of a request grows, and what the gateway bears: a table, growth.json and growth.svg (growth-full with
--full, and in .bench/ only with --quick).

Each axis is measured as the gateway's CPU for each request while one number grows, and judged by a line fitted through
the points: flat, linear, or neither, and then with its reason. The checks have bars. Absolute figures belong to this
machine; the shape of a line does not.

Example:
  python -m tests.bench.growth --only accounts mandates crowds
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench.growth_axes import AXES, Bench
from tests.bench.growth_chart import Panel, drawn
from tests.bench.growth_decision import hits, load_seconds, misses
from tests.bench.growth_duress import CHECKS, Check
from tests.bench.growth_verdict import FLAT_WITHIN, Point, Verdict, cost_text, count_text, judge
from tests.bench.installing import CACHE

RESULTS = Path(__file__).parent / "results"
"""The figures of the last run that was not quick, kept with the code."""
ROWS = (20, 200, 2_000)
TOOLS = ("nginx", "wrk", "taskset")


class Axis(NamedTuple):
    """How an axis is called, measured and judged. `reason` explains a line that is neither flat nor linear."""

    title: str
    unit: str
    measure: Callable[[Bench], list[Point]]
    reason: str = ""
    flat_within: float = FLAT_WITHIN


def loads(bench: Bench) -> list[Point]:
    """What putting a table in force takes. (2 000 rows: 7 s.)"""
    return [Point(rows, load_seconds(rows) * 1e6) for rows in (20, 60, 200, *([2_000] if bench.full else []))]


MEASURED: dict[str, Axis] = {
    "rows": Axis("Rubric rows: a request", "rows", AXES["rows"]),
    "hits": Axis("Rubric rows: a decision known", "rows", lambda bench: hits(ROWS)),
    "misses": Axis(
        "Rubric rows: a decision made",
        "rows",
        lambda bench: misses(ROWS),
        "oso looks at one row at a time and copies the lists of those before and behind it (FilterRules and SortRules "
        "of its machine): a part that is quadratic, a tenth at 200 rows and the most of it at 2 000. Paid once for "
        "each distinct facts, then it is a hit.",
    ),
    "load": Axis(
        "Rubric rows: putting in force",
        "rows",
        loads,
        "Linear to 200 rows. Beyond them most of it are the canaries, which are decisions made, and these are partly "
        "quadratic.",
    ),
    "accounts": Axis("Accounts, all agents distinct", "accounts", AXES["accounts"]),
    "mandates": Axis("Mandates, T9, dossiers distinct", "mandates", AXES["mandates"]),
    "records": Axis("Lines already in the record", "lines", AXES["records"]),
    "size": Axis(
        "Size of the dossier",
        "KB",
        AXES["size"],
        "Flat to 4 KB, where the request itself is the cost; then linear to 1 MB. At 16 MB a byte can cost "
        "more: buffers of that size come afresh from the kernel, page by page, and no longer fit the caches.",
    ),
    "clients": Axis(
        "Clients at once",
        "clients",
        AXES["clients"],
        "It falls: those who arrive together share one transaction of the record and one turn of the loop; a lone "
        "request pays for both.",
    ),
    "workers": Axis("Worker processes, 16 clients each", "workers", AXES["workers"], flat_within=0.10),
}


def main() -> None:
    """Measure what was asked for, print it, and write the results."""
    options = parse_options()
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} missing: apt-get install nginx-light wrk util-linux")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    began = time.monotonic()
    wanted = options.only or [*MEASURED, *CHECKS]
    found: dict[str, tuple[list[Point], Verdict]] = {}
    checks: dict[str, list[Check]] = {}
    results = CACHE / "results" if options.quick else RESULTS
    chart = results / ("growth-full.svg" if options.full else "growth.svg")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cafpro-growth-")))
        rounds = options.rounds or (1 if options.quick else 2)
        bench = Bench(folder, stack, quick=options.quick, full=options.full, rounds=rounds)
        for name in wanted:
            with contextlib.ExitStack() as bench.stack:
                if name in MEASURED:
                    points = MEASURED[name].measure(bench)
                    found[name] = points, judge(points, MEASURED[name].unit, flat_within=MEASURED[name].flat_within)
                    tell_axis(name, *found[name])
                else:
                    checks[name] = []
                    for check in CHECKS[name](bench):
                        checks[name].append(check)
                        tell_check(check)
            write(chart, found, checks)  # each at once: what fails later costs only itself
            print(f"{'':43}({time.monotonic() - began:.0f} s since the start)", flush=True)


def parse_options() -> argparse.Namespace:
    about, _, example = (__doc__ or "").partition("Example:")
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.growth",
        description=about,
        epilog=f"Example:{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [*MEASURED, *CHECKS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"some of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="one round, not the largest sizes, 1 000 requests")
    parser.add_argument("--full", action="store_true", help="also 2 000 rows served, 10⁷ records, 10⁶ requests")
    parser.add_argument("--rounds", type=int, help="how often each point is measured (2; with --quick, 1)")
    return parser.parse_args()


def tell_axis(name: str, points: list[Point], verdict: Verdict) -> None:
    """One line for each axis as soon as it is known."""
    costs = "   ".join(f"{count_text(point.at)}: {cost_text(point.cost_us)}" for point in points)
    print(f"{MEASURED[name].title:34}{verdict.kind:9}{costs}\n{'':43}{verdict.slope}", flush=True)
    if verdict.kind == "neither":
        print(f"{'':43}{MEASURED[name].reason or 'NOT EXPLAINED'}", flush=True)


def tell_check(check: Check) -> None:
    """One line for each check as soon as it is known."""
    bar = "" if check.bar is None else f" (at most {check.bar:.3g})"
    print(f"{check.what:84}{check.value:>8.3g} {check.unit}{bar}{'' if check.kept else '   MISSED'}", flush=True)


def write(chart: Path, found: dict[str, tuple[list[Point], Verdict]], checks: dict[str, list[Check]]) -> None:
    """The chart, and beside it the same as JSON; what was not measured this time stays as it was."""
    chart.parent.mkdir(parents=True, exist_ok=True)
    file = chart.with_suffix(".json")
    kept = json.loads(file.read_text()) if file.is_file() else {"axes": {}, "checks": {}}
    kept["machine"] = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    for name, (points, verdict) in found.items():
        reason = MEASURED[name].reason if verdict.kind == "neither" else ""
        rows = [point._asdict() for point in points]
        kept["axes"][name] = {"title": MEASURED[name].title, **verdict._asdict(), "reason": reason, "points": rows}
    for name, several in checks.items():
        kept["checks"][name] = [{**check._asdict(), "kept": check.kept} for check in several]
    file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    axes = {name: kept["axes"][name] for name in MEASURED if name in kept["axes"]}
    panels = [
        Panel(
            axis["title"],
            MEASURED[name].unit,
            axis["kind"],
            f"{axis['kind']}: {axis['slope'].partition(',')[0]}",
            [Point(**point) for point in axis["points"]],
        )
        for name, axis in axes.items()
    ]
    chart.write_text(drawn(panels, "What a request costs as things grow: gateway CPU"))


if __name__ == "__main__":
    main()
