"""The whole gateway beside what a user would pick instead: the same work, one core each, all in one run.

Installs the peers (kept in .bench/), checks every answer, measures, prints tables and the bars of what must hold, and
writes tests/bench/results/. The gateway runs whole: token, mandates and objection looked up, decision, redaction,
durable record, metrics. Figures of different runs cannot be compared; ratios within one can.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench import bars, machine, measuring, targets
from tests.bench.agents import DOSSIERS, cold_and_hot
from tests.bench.dossiers import write_copies, write_dossiers
from tests.bench.installing import CACHE, install
from tests.bench.measuring import Durable, Effort, Row
from tests.bench.processes import descendants, memory_of
from tests.bench.results import write_results
from tests.bench.targets import BACKEND, FASTIFY, GATEWAY, LUA

RESULTS: Final = Path(__file__).with_name("results")
"""The figures of the last whole run, kept with the code. Those of any other run are in .bench/ only."""
PARTS: Final = ("sizes", "latency", "slow", "agents")


def main() -> None:
    """Run the parts asked for; exit 1 in a quick run whose ratios fall short."""
    options = parse_options()
    effort = Effort(1, 2, quick=True) if options.quick else Effort(options.seconds, options.rounds)
    installed = install(progress)
    report: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "quick": options.quick,
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        "versions": targets.versions(installed),
    }
    held: list[bars.Bar] = []
    walks = [machine.walked()]
    progress(f"the machine: {walks[0]}")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cafpro-bench-")))
        folder.chmod(0o755)
        www = folder / "www"
        write_dossiers(www)
        backend = stack.enter_context(targets.backend(folder / "backend", www))
        if {"sizes", "latency"} & set(options.only):
            with targets.everybody(folder, backend.url, installed) as everybody:
                progress("all answers are right; warming up")
                measuring.warm_up(everybody.values(), effort)
                if "sizes" in options.only:
                    progress(
                        f"sizes: {len(everybody)} targets at {measuring.SATURATING} connections, 1 MB at "
                        f"{measuring.SATURATING_AT_1_MB}"
                    )
                    print(heading())
                    rows = measuring.side_by_side(everybody, effort, print_rows)
                    memory = measuring.memory(everybody.values())
                    print("memory, MB: " + ", ".join(f"{name} {held:.0f}" for name, held in memory.items()))
                    report |= {"sizes": rows, "memory_mb": memory}
                    worker, *_ = descendants(everybody[GATEWAY].pid)  # behind it, the one that keeps the policies
                    held += [*bars.throughput_bars(rows), bars.memory_bar(memory_of(worker) / 1e6)]
                if "latency" in options.only:
                    names = (GATEWAY, FASTIFY) if options.quick else (GATEWAY, LUA, FASTIFY)
                    progress("latency added over the backend")
                    rows, durable = measuring.latency([backend, *(everybody[name] for name in names)], effort, folder)
                    print_latency(rows, durable)
                    report |= {"latency": rows, "durable_write_ms": durable}
                    held += bars.latency_bars(rows, durable)
        if "slow" in options.only:
            progress(f"a backend that takes {measuring.SLOW_MS} ms, {measuring.SLOW_CONNECTIONS} connections")
            rows = measuring.slow_backend(folder, www, installed, effort)
            print(heading())
            print_rows(rows)
            report["slow"] = rows
            held += bars.slow_bars(rows)
        if "agents" in options.only and not options.quick:
            progress("cold and hot: agents and dossiers, SQLite and PostgreSQL")
            write_copies(www, DOSSIERS)
            print(heading())
            report["agents"] = cold_and_hot(folder, backend.url, effort, print_rows)
    walks.append(machine.walked())
    progress(f"the machine: {walks[1]}")
    report["walks"] = walks
    print("\n".join(["", *map(str, held)]))
    report["bars"] = [{**bar._asdict(), "holds": bar.holds} for bar in held]
    whole = not options.quick and set(options.only) == set(PARTS)
    folder = RESULTS if whole else CACHE / "results"
    write_results(folder, report)
    progress(f"written: {os.path.relpath(folder)}/bench.json and its charts")
    if options.quick and not all(bar.holds for bar in held if bar.ratio):
        sys.exit(1)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        epilog="Example:\n  .venv/bin/python -m tests.bench --only sizes --rounds 5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="90 seconds; exit 1 where a ratio falls short")
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison (default: 3)")
    parser.add_argument("--seconds", type=int, default=2, help="of each load (default: 2)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts (default: all)")
    return parser.parse_args()


_BEGUN: Final = time.monotonic()


def progress(text: str) -> None:
    """A line for whoever waits, with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGUN:4.0f} s] {text}", flush=True)


def heading() -> str:
    return f"{'':40}{'':18}{'CPU us':>9}{'rps/core':>10}{'rps':>9}{'p50 ms':>9}{'p99 ms':>9}{'':4}beside the gateway"


def print_rows(rows: Sequence[Row]) -> None:
    """A table's lines, and what the gateway's rate is of each other's."""
    ours = next(row.rps_per_core for row in rows if row.target == GATEWAY)
    for row in rows:
        ratio = f"{'':4}{ours / row.rps_per_core:.2f}x" if row.target != GATEWAY else ""
        print(
            f"{row.case:40}{row.target:18}{row.cpu_us:9.1f}{row.rps_per_core:10.0f}{row.rps:9.0f}"
            f"{row.p50_ms:9.2f}{row.p99_ms:9.2f}{ratio}"
        )
    sys.stdout.flush()


def print_latency(rows: Sequence[Row], durable: Durable) -> None:
    """p50 and p99 of each target and what it adds to the backend's own."""
    print(f"a durable write alone: p50 {durable.p50_ms:.3f} ms, p99 {durable.p99_ms:.3f} ms")
    print(
        f"{'':10}{'connections':>12}  {'':20}{'CPU us':>9}{'p50 ms':>9}{'p99 ms':>9}{'added p50':>12}{'added p99':>12}"
    )
    for row in rows:
        middle, late = bars.added(rows, row.target, row.case, row.connections)
        told = f"{middle:12.3f}{late:12.3f}" if row.target != BACKEND else ""
        measured = f"{row.cpu_us:9.1f}{row.p50_ms:9.3f}{row.p99_ms:9.3f}"
        print(f"{row.case:10}{row.connections:12}  {row.target:20}{measured}{told}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
