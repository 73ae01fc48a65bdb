"""Under duress: clients that are slow, memory over many requests, the largest dossiers."""

from __future__ import annotations

import contextlib
import resource
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import requests

from gateway.policy_files.folder import load_texts, read, shipped
from gateway.server.memory import TRIM_SECONDS
from tests.bench.gateway_served import Served, log_in
from tests.bench.growth_axes import MB, SIZES, Bench, loading, pair, with_agent
from tests.bench.growth_decision import asked_twice, hits, worst_miss
from tests.bench.processes import cpu_of, descendants

CROWD = 1_000
OTHERS = 4
"""Connections that ask as fast as they can while a crowd stands there."""
CROWD_ROUNDS: Final = 5
"""Seconds for each crowd. In one of thirty or so the disk takes 14 to 24 ms over one `fdatasync`, crowd or no crowd;
what wrk could not ask meanwhile is more than one request in a hundred. Of three seconds, two were such at times."""
MEGABYTE, LARGEST = "1300001", "1400001"
LARGEST_WORKER = 80 * MB
WARM = 50_000
"""Requests after which every thread, buffer and cache that there will be is there."""
MOST_ADDED = 2 * MB
MOST_IN_FLIGHT = 3.0
HIT_US, MISS_US = 3.0, 2_500.0


class Check(NamedTuple):
    """Something that must not exceed its bar. `bar` is None where none was set."""

    what: str
    value: float
    unit: str
    bar: float | None

    @property
    def kept(self) -> bool:
        return self.bar is None or self.value <= self.bar


def decision(bench: Bench) -> Iterator[Check]:
    """Hits and misses of the shipped policies, in this process."""
    policy = load_texts(read(shipped())).policy
    slowest, facts = worst_miss(policy)
    kinds = " and ".join(sorted(facts.mandates)) or "no mandate"
    yield Check("decision, cache hit", hits([20])[0].cost_us, "µs", HIT_US)
    yield Check(f"decision, miss with the slowest facts ({facts.profile}, {kinds})", slowest, "µs", MISS_US)
    yield Check("distinct facts that eight threads together decided twice", asked_twice(policy), "facts", 0)


def crowds(bench: Bench) -> Iterator[Check]:
    """The p99 of four busy connections beside a thousand that are slow, against the p99 without them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gateway = bench.gateway(
        lambda folder: (with_agent("t6", "T6")(folder), with_agent("t1", "T1")(folder)), upstream=bench.files
    )
    token, widest = log_in(gateway.url, "t6"), log_in(gateway.url, "t1")
    head = f"GET /dossiers/{MEGABYTE} HTTP/1.1\r\nHost: {gateway.url.removeprefix('http://')}\r\n"
    asked = f"{head}Authorization: Bearer {widest}\r\n\r\n"
    crowds = {"silent": "", "with half a head": head, "that never read their 1 MB": asked}
    without: list[float] = []
    beside: dict[str, list[float]] = {what: [] for what in crowds}
    held: dict[str, int] = {}
    for _ in range(1 if bench.quick else CROWD_ROUNDS):
        without.append(_tail(gateway, token))
        for what, sent in crowds.items():
            with crowd(gateway, sent.encode()):
                _until_idle(gateway.pid)
                beside[what].append(_tail(gateway, token))
                held[what] = _status(worker_of(gateway), "VmRSS")
    usual = statistics.median(without)
    for what, tails in beside.items():
        # The half millisecond is what a shared core takes away at times, crowd or no crowd.
        bar = usual * 1.25 + 0.5
        yield Check(f"p99 beside {CROWD} clients {what} ({usual:.2f} ms without)", statistics.median(tails), "ms", bar)
        yield Check(f"resident bytes of the worker beside {CROWD} clients {what}", held[what] / MB, "MB", None)


def writers(bench: Bench) -> Iterator[Check]:
    """What two workers lose by writing into one record, when few clients wait for each: no bar was set."""
    apart, together = pair(bench)
    alone, beside = ([load(1) for _ in range(bench.rounds)] for load in (apart(OTHERS), together(OTHERS)))
    rate, late = statistics.median(one.rps for one in alone), statistics.median(one.p99_ms for one in alone)
    yield Check(
        f"p99 of two workers with one record, {OTHERS} clients each ({late:.1f} ms with a record each)",
        statistics.median(one.p99_ms for one in beside),
        "ms",
        None,
    )
    yield Check(
        f"their requests each second, of those with a record each ({rate:.0f})",
        statistics.median(one.rps for one in beside) / rate * 100,
        "%",
        None,
    )


def memory(bench: Bench) -> Iterator[Check]:
    """What a worker holds after many requests, each about another dossier."""
    gateway = bench.gateway(with_agent("t6", "T6"))
    token, worker = log_in(gateway.url, "t6"), worker_of(gateway)
    wanted = [1_000, *([] if bench.quick else [WARM, 100_000]), *([1_000_000] if bench.full else [])]
    done, held = 0, [0]
    for count in wanted:
        while done < count:
            # Each load begins with other numbers than the last: no dossier is asked for twice.
            script = f"local n = {done}\nrequest = function() n = n + 1; return wrk.format('GET', "
            script += "string.format('/dossiers/%07d', n % 10000000)) end"
            done += loading(gateway, token, script=script)(1 if count < 10_000 else 2).requests
        held.append(_status(worker, "VmRSS"))
        yield Check(f"resident bytes of a worker after {done} requests", held[-1] / MB, "MB", LARGEST_WORKER / MB)
    if not bench.quick:
        warm = held[1 + wanted.index(WARM)]
        yield Check(f"what was added since {WARM} requests", (held[-1] - warm) / MB, "MB", MOST_ADDED / MB)


def in_flight(bench: Bench) -> Iterator[Check]:
    """What one dossier of 16 MB adds to a worker at the worst moment, as a multiple of its size."""
    workers: dict[str, int] = {}
    for profile in ("T6", "T1"):
        # A worker of its own: memory that was needed once is not given back at once, and would hide the next peak.
        gateway = bench.gateway(with_agent("agent", profile), upstream=bench.files)
        worker = worker_of(gateway)
        bearer = {"Authorization": f"Bearer {log_in(gateway.url, 'agent')}"}
        requests.get(f"{gateway.url}/dossiers/{MEGABYTE}", headers=bearer, timeout=30).raise_for_status()
        Path(f"/proc/{worker}/clear_refs").write_text("5")  # the peak is counted from here
        before = _status(worker, "VmRSS")
        answer = requests.get(f"{gateway.url}/dossiers/{LARGEST}", headers=bearer, timeout=30)
        answer.raise_for_status()
        peak = _status(worker, "VmHWM") - before
        kept = f"{profile}, whose answer has {len(answer.content) / MB:.1f} MB"
        yield Check(f"16 MB in flight, as a multiple of its size ({kept})", peak / SIZES[LARGEST], "x", MOST_IN_FLIGHT)
        workers[profile] = worker
    time.sleep(TRIM_SECONDS + 2)  # what is free goes back to the system that often
    for profile, worker in workers.items():
        held = _status(worker, "VmRSS") / MB
        yield Check(f"resident bytes of that worker afterwards ({profile})", held, "MB", LARGEST_WORKER / MB)


@contextlib.contextmanager
def crowd(gateway: Served, sent: bytes) -> Iterator[None]:
    """A thousand connections that have sent this and do nothing more."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.settimeout(10)
            client.connect((host, int(port)))
            client.sendall(sent)
        yield


def worker_of(gateway: Served) -> int:
    """The process id of a gateway's only worker, as soon as there is one."""
    while not (workers := descendants(gateway.pid)):
        time.sleep(0.05)
    return workers[0]


def _tail(gateway: Served, token: str) -> float:
    return loading(gateway, token, connections=OTHERS)(1).p99_ms


def _until_idle(pid: int) -> None:
    """Returns when the process has used next to no CPU for a moment; after 8 s in any case."""
    until = time.monotonic() + 8
    while time.monotonic() < until:
        before = cpu_of(pid)
        time.sleep(0.2)
        if cpu_of(pid) - before < 0.02:
            return


def _status(pid: int, name: str) -> int:
    """A size of /proc/PID/status, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024


CHECKS: dict[str, Callable[[Bench], Iterator[Check]]] = {
    "decision": decision,
    "crowds": crowds,
    "writers": writers,
    "memory": memory,
    "in-flight": in_flight,
}
