"""Ten minutes at 80 % of what the gateway can do: does its memory grow, do answers get slower, is each of them right?

    python -m tests.faults.soak [--minutes 10]

Two workers, 14 profiles, every family of the stub, a refusal among each few answers, agents that log in and out, and
clients that never finish what they began. Exit 1 when memory grew by more than 5 % between a fifth of the time
(minute 2 of 10) and its end, when an answer was anything but the expected one, or when one is not in the record.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.faults.breaking import Breakable
from tests.faults.curves import curves
from tests.faults.load import Load, Question, question
from tests.faults.report import RESULTS
from tests.story.brochure import OPEN, PROFILES, kept_dossier
from tests.story.fixtures import MANDATES
from tests.story.running import connect, stub_backend
from upstream_stub.dossiers import VARIANTS, dossier_text

SHARE: Final = 0.8
AGENTS: Final = 64
SLOW: Final = 20
"""Clients of each kind that never finish."""
MOST_GROWTH: Final = 0.05
LOOK_SECONDS: Final = 2.0
LOG_IN_SECONDS: Final = 1.0
CAPACITY_SECONDS: Final = 15.0


class Look(NamedTuple):
    """What the workers hold at one moment, in bytes: each one's resident memory, its share of it (PSS)."""

    at: float
    resident: list[int]
    share: list[int]


def questions(gateway: Breakable) -> list[Question]:
    """Every profile asks for every family, and for what is refused to it."""
    sessions = {profile: gateway.log_in(profile.lower()) for profile in PROFILES}
    found = []
    for number in VARIANTS:
        whole = dossier_text(number) or b""
        for profile, session in sessions.items():
            path = f"/dossiers/{number}"
            closed = profile in MANDATES and number == "9990002"
            expected = b"" if closed else kept_dossier(whole, OPEN[profile])
            found.append(question(gateway.host, path, session, expected, "GW320" if closed else ""))
    host = gateway.host
    for profile, session in sessions.items():
        if profile not in MANDATES:
            found.append(question(host, "/dossiers/0000000", session, refusal="GW401"))
        found.append(question(host, "/dossiers/9990001?depuis=1", session, refusal="GW202"))
        closed_rubric = "creances" if "creances" not in OPEN[profile] else "enfants"
        found.append(question(host, f"/dossiers/9990001/rubriques/{closed_rubric}", session, refusal="GW301"))
    found.append(question(host, "/dossiers/9990001", {}, refusal="GW101"))
    # 7919 shares no divisor with their count: neighbours differ in profile and dossier.
    assert len(found) % 7919
    return [found[place * 7919 % len(found)] for place in range(len(found))]


def looked_at(gateway: Breakable, since: float) -> Look:
    """The workers' memory now."""
    resident, share = [], []
    for worker in gateway.workers():
        lines = Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
        resident.append(sizes["Rss"])
        share.append(sizes["Pss"])
    return Look(time.monotonic() - since, resident, share)


@contextlib.contextmanager
def coming_and_going(gateway: Breakable) -> Iterator[list[str]]:
    """An agent logs in and out all the time; what was answered otherwise than well."""
    wrong: list[str] = []
    ending = threading.Event()

    def go() -> None:
        while not ending.wait(LOG_IN_SECONDS):
            opened = gateway.sign_in("guest")
            if opened.status != 201:
                wrong.append(f"log-in: {opened.status}")
                continue
            session = {"Authorization": f"Bearer {opened.json()['token']}"}
            for method, path, status in (
                ("GET", "/-/session", 200),
                ("DELETE", "/-/session", 204),
                ("GET", "/dossiers/9990001", 401),
            ):
                answer = gateway.ask(path, session, method=method)
                if answer.status != status:
                    wrong.append(f"{method} {path}: {answer.status}")

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield wrong
    finally:
        ending.set()
        thread.join()


@contextlib.contextmanager
def slow_clients(gateway: Breakable) -> Iterator[None]:
    """Heads that never end and bodies that never come, begun again as soon as the gateway gives them up."""
    head = f"GET /dossiers/9990001 HTTP/1.1\r\nHost: {gateway.host}\r\nX-"
    body = f"POST /-/session HTTP/1.1\r\nHost: {gateway.host}\r\nContent-Type: application/json\r\n"
    kinds = (head.encode(), f'{body}Content-Length: 100\r\n\r\n{{"'.encode())
    ending = threading.Event()

    def linger(sent: bytes) -> None:
        while not ending.is_set():
            with contextlib.suppress(OSError), connect(gateway.url, timeout=0.5) as client:
                client.sendall(sent)
                while not ending.is_set():
                    with contextlib.suppress(TimeoutError):
                        if not client.recv(65_536):
                            break

    threads = [threading.Thread(target=linger, args=(kind,)) for kind in kinds for _ in range(SLOW)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def capacity(gateway: Breakable, asked: Sequence[Question], seconds: float) -> float:
    """Answers each second when all agents ask as fast as they can."""
    with Load(gateway.url, asked, agents=AGENTS) as load:
        time.sleep(seconds / 3)
        before, begun = load.good, time.monotonic()
        time.sleep(seconds * 2 / 3)
        rate = (load.good - before) / (time.monotonic() - begun)
    if load.wrong:
        sys.exit(f"wrong answers while the capacity was measured: {load.wrong[:3]}")
    return rate


def soak(gateway: Breakable, minutes: float) -> dict[str, Any]:
    """What was found. `problems` is empty where all is well."""
    asked = questions(gateway)
    most = capacity(gateway, asked, min(CAPACITY_SECONDS, minutes * 10))
    rate = most * SHARE
    print(f"capacity {most:.0f} answers a second; now {rate:.0f} for {minutes:g} minutes", flush=True)
    looks: list[Look] = []
    with Load(gateway.url, asked, agents=2 * AGENTS, per_second=rate) as load:
        begun = time.monotonic()
        with coming_and_going(gateway) as wrong, slow_clients(gateway):
            while time.monotonic() < begun + minutes * 60:
                time.sleep(LOOK_SECONDS)
                looks.append(looked_at(gateway, begun))
    seconds = minutes * 60
    early, late = (around(looks, at, seconds) for at in (0.2 * seconds, seconds))
    p99 = {
        name: round(percentile(load, begun + at - seconds / 10, begun + at) * 1000, 2)
        for name, at in (("at a fifth", 0.2 * seconds), ("at the end", seconds))
    }
    recorded = {row["request_id"]: row["status"] for row in gateway.record_rows()}
    unrecorded = sum(recorded.get(name) != status for name, status in load.answered.items())
    growth = [after / before - 1 for before, after in zip(early, late, strict=True)]
    problems = [f"worker {n} grew by {grown:.1%}" for n, grown in enumerate(growth, 1) if grown > MOST_GROWTH]
    problems += [f"{count} unexpected refusals {code}" for code, count in load.refused.items()]
    problems += load.wrong + wrong
    for count, what in ((load.broken, "answers broken off"), (unrecorded, "answers not recorded")):
        problems += [f"{count} {what}"] if count else []
    return {
        "minutes": minutes,
        "processors": os.cpu_count(),
        "capacity_per_second": round(most, 1),
        "asked_per_second": round(rate, 1),
        "answered": load.good,
        "wrong": len(load.wrong) + len(wrong),
        "refused_unexpectedly": dict(load.refused),
        "broken_off": load.broken,
        "turned_away": load.turned_away,
        "unrecorded": unrecorded,
        "p99_ms": p99,
        "resident_mb_at_a_fifth": [round(size / 1e6, 2) for size in early],
        "resident_mb_at_the_end": [round(size / 1e6, 2) for size in late],
        "growth": [round(grown, 4) for grown in growth],
        "problems": problems,
        "memory": [[round(look.at, 1), look.resident, look.share] for look in looks],
        "p99_each_part": parts(load, begun, seconds),
    }


def around(looks: Sequence[Look], at: float, seconds: float) -> list[float]:
    """What each worker held in the tenth of the time that ends at `at`: the middle of it, not a moment's peak."""
    inside = [look for look in looks if at - seconds / 10 <= look.at <= at + LOOK_SECONDS]
    return [statistics.median(sizes) for sizes in zip(*(look.resident for look in inside), strict=True)]


def percentile(load: Load, begins: float, ends: float) -> float:
    """Seconds within which 99 of 100 were answered that were answered between two moments."""
    took = sorted(took for at, took in zip(load.good_at, load.seconds, strict=True) if begins <= at <= ends)
    return took[int(len(took) * 0.99)] if took else 0.0


def parts(load: Load, begun: float, seconds: float) -> list[tuple[float, float]]:
    """Minutes, and the p99 in milliseconds of the fortieth of the time that ends there."""
    found = []
    for part in range(1, 41):
        at = begun + seconds * part / 40
        found.append((round(seconds * part / 2400, 3), round(percentile(load, at - seconds / 40, at) * 1000, 2)))
    return found


def chart(found: dict[str, Any]) -> str:
    memory = found["memory"]
    workers = range(len(memory[0][1]))
    resident = {f"worker {n + 1}": [(at / 60, sizes[n] / 1e6) for at, sizes, _ in memory] for n in workers}
    share = {f"worker {n + 1}": [(at / 60, sizes[n] / 1e6) for at, _, sizes in memory] for n in workers}
    return curves(
        f"{found['minutes']:g} minutes at {SHARE:.0%} of capacity",
        f"{found['asked_per_second']:.0f} requests a second, {found['answered']} answered as expected, "
        f"{len(found['problems'])} problems",
        {
            "resident memory, MB": resident,
            "resident memory, shared pages divided (PSS), MB": share,
            "p99, ms": {"p99": found["p99_each_part"]},
        },
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--to", type=Path, default=RESULTS, help="the folder of the results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cafpro-soak-") as folder, contextlib.ExitStack() as stack:
        url = stack.enter_context(stub_backend(Path(folder)))
        gateway = Breakable(Path(folder) / "gateway", upstream=url, settings={})
        stack.callback(gateway.stop)
        for profile in PROFILES:
            gateway.enter(profile.lower(), profile)
        for profile, kind in MANDATES.items():
            for dossier in VARIANTS:
                if dossier != "9990002":
                    gateway.entrust(profile.lower(), dossier, kind)
        gateway.enter("guest", "T2")
        found = soak(gateway, options.minutes)
    options.to.mkdir(exist_ok=True)
    (options.to / "soak.json").write_text(json.dumps(found, ensure_ascii=False) + "\n")
    (options.to / "soak.svg").write_text(chart(found))
    print(
        json.dumps({name: value for name, value in found.items() if name not in ("memory", "p99_each_part")}, indent=1)
    )
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
