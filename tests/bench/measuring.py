"""The measurements of one run: targets alternate in every round, and what is kept of the rounds is the median."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from gateway.model import Facts
from gateway.proxy.answers import fresh_id
from gateway.record.entry import Entry
from gateway.record.journal import Journal, open_journal
from tests.bench import targets
from tests.bench.dossiers import SIZES
from tests.bench.installing import Installed
from tests.bench.processes import MEASURED_CORE, Measured, load, resident
from tests.bench.targets import Target

CONNECTIONS: Final = 16
SATURATING: Final = 64
"""Connections at which each target is asked for all that it can do, as beside the slow backend."""
SATURATING_AT_1_MB: Final = 16
"""Enough there, where some answer 60 a second: what a load leaves unanswered at its end has cost them and counts for
nothing. With 64, njs seemed a quarter dearer."""
SLOW_MS: Final = 20
SLOW_CONNECTIONS: Final = 64
_WRITES: Final = 400
_UNTIL_LONGEST: Final = 800
"""Transactions of 64 rows until SQLite's log is as long as it becomes: while it grows, a write is dearer."""


class Effort(NamedTuple):
    """How long is measured: whole seconds of each load, rounds of each comparison."""

    seconds: int
    rounds: int
    quick: bool = False


class Row(NamedTuple):
    """One target in one situation. `case` is the situation's name; see `Measured` for the units."""

    case: str
    target: str
    connections: int
    cpu_us: float
    rps_per_core: float
    rps: float
    p50_ms: float
    p99_ms: float


class Shot(NamedTuple):
    """One load that is repeated in every round, or made `once`, where it is told and no bar is about it."""

    case: str
    target: Target
    connections: int
    path: str
    script: str = ""
    once: bool = False


class Durable(NamedTuple):
    """One row of the record written durably, alone, in milliseconds."""

    p50_ms: float
    p99_ms: float


def rounds(shots: Sequence[Shot], effort: Effort, beside: Callable[[], None] = lambda: None) -> list[Row]:
    """Every shot once a round, each round beginning with another one; the medians, in the order of `shots`. `beside` is
    called once a round, with nothing else going on. Those that are made once are in the first."""
    found: dict[int, list[Measured]] = {index: [] for index in range(len(shots))}
    for turn in range(effort.rounds):
        beside()
        asked = [index for index, shot in enumerate(shots) if not (shot.once and turn)]
        for index in [asked[(place + turn) % len(asked)] for place in range(len(asked))]:
            shot = shots[index]
            found[index].append(
                load(
                    shot.target.pid,
                    shot.target.url + shot.path,
                    seconds=effort.seconds,
                    connections=shot.connections,
                    token="" if shot.script else shot.target.token,
                    script=shot.script,
                )
            )
    return [_row(shot, found[index]) for index, shot in enumerate(shots)]


def warm_up(everybody: Iterable[Target], effort: Effort) -> None:
    """Every target has compiled what it compiles and holds its connections, for small and for large answers."""
    for target in everybody:
        for size, seconds in (("4 KB", 2),) if effort.quick else (("4 KB", 2), ("64 KB", 1)):
            number, _ = SIZES[size]
            load(
                target.pid,
                f"{target.url}/dossiers/{number}",
                seconds=seconds,
                connections=SATURATING,
                token=target.token,
            )


def side_by_side(everybody: Mapping[str, Target], effort: Effort, say: Callable[[list[Row]], None]) -> list[Row]:
    """All sizes, all targets. Beyond 4 KB those that no bar is about are asked once, and not at all in a quick run."""
    rows: list[Row] = []
    for size, (number, _) in SIZES.items():
        connections = SATURATING_AT_1_MB if size == "1 MB" else SATURATING
        told_only = {targets.FASTAPI, targets.PYTHON, targets.FLOOR} if size != "4 KB" else set()
        shots = [
            Shot(size, target, connections, f"/dossiers/{number}", once=name in told_only)
            for name, target in everybody.items()
            if not (effort.quick and name in told_only)
        ]
        measured = rounds(shots, effort)
        say(measured)
        rows += measured
    return rows


def memory(everybody: Iterable[Target]) -> dict[str, float]:
    """MB that each target holds now, pages shared by its processes counted once."""
    return {target.name: resident(target.pid) / 1e6 for target in everybody}


def latency(everybody: Sequence[Target], effort: Effort, folder: Path) -> tuple[list[Row], Durable]:
    """Small and middling dossiers at 1 and 16 connections; `everybody` begins with the backend itself, and of the
    others only the gateway is asked in every round. And what a durable write asks, in the same rounds, in a record of
    its own in `folder`, where the gateway's lies.

    One connection has two rounds more: there are seconds in which one request in a hundred takes a millisecond, most of
    it outside of the gateway, where a sleeping core is to be woken. A quick run has no time for that.
    """
    lone, several = (
        [
            Shot(
                size,
                target,
                connections,
                f"/dossiers/{SIZES[size][0]}",
                once=target.name not in (targets.BACKEND, targets.GATEWAY),
            )
            for size in ("4 KB", "64 KB")
            for target in everybody
        ]
        for connections in (1, CONNECTIONS)
    )
    took: list[float] = []
    with contextlib.closing(open_journal(f"sqlite:///{folder / 'durable.db'}")) as journal:
        for _ in range(_UNTIL_LONGEST):
            journal.write([_row_of_record()] * 64)
        more = effort if effort.quick else effort._replace(rounds=effort.rounds + 2)
        rows = rounds(lone, more, lambda: took.extend(_writes(journal)))
    if not effort.quick:
        rows += rounds(several, effort)
    percentiles = statistics.quantiles(took, n=100)
    return rows, Durable(percentiles[49], percentiles[98])


def slow_backend(folder: Path, www: Path, installed: Installed, effort: Effort) -> list[Row]:
    """A backend that takes 20 ms, 64 connections: the gateway and fastify. Two rounds more than elsewhere, since such a
    backend allows only a few hundredths more than both do."""
    with contextlib.ExitStack() as stack:
        backend = stack.enter_context(targets.backend(folder / "slow", www, delay_ms=SLOW_MS))
        gateway = stack.enter_context(targets.gateway(folder / "slow-gateway", backend.url))
        fastify = stack.enter_context(targets.fastify(folder / "slow-fastify", backend.url, installed))
        path = f"/dossiers/{SIZES['4 KB'][0]}"
        shots = [Shot(f"{SLOW_MS} ms", target, SLOW_CONNECTIONS, path) for target in (gateway, fastify)]
        rounds(shots, Effort(1, 1))
        return rounds(shots, effort._replace(rounds=effort.rounds + 2))


def _writes(journal: Journal) -> list[float]:
    """Milliseconds of each, on the core where the gateway writes."""
    took: list[float] = []
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(MEASURED_CORE)})
    try:
        for _ in range(_WRITES):
            begun = time.perf_counter()
            journal.write([_row_of_record()])
            took.append((time.perf_counter() - begun) * 1000)
    finally:
        os.sched_setaffinity(0, usual)
    return took


def _row_of_record() -> tuple[object, ...]:
    """As long as those that the gateway writes here."""
    entry = Entry(fresh_id(), datetime.now(UTC), "127.0.0.1")
    entry.act, entry.agent, entry.partner, entry.profile, entry.route = "consult", "t6", "Partner", "T6", "dossier"
    entry.dossier, entry.policy, entry.status = "0" * 64, "0" * 64, 200
    entry.facts = Facts("T6", "external", "in_force", "signed", frozenset(), "none", "password", "consult")
    labels = ("brochure 2012, row 14", "convention in force", "engagement signed", "identity proved", "any dossier")
    entry.left = frozenset(("adresse", "cmu_rsa_rmi", "cmuc_ressources", "residence"))
    entry.rules = tuple((slug, *labels) for slug in sorted(entry.left))
    return entry.row()


def _row(shot: Shot, found: Sequence[Measured]) -> Row:
    cpu, rps, middle, late = (
        statistics.median(getattr(measured, name) for measured in found)
        for name in ("cpu_us", "rps", "p50_ms", "p99_ms")
    )
    return Row(shot.case, shot.target.name, shot.connections, cpu, 1e6 / cpu, rps, middle, late)
