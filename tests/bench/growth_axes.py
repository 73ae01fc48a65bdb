"""The axes: for each, gateways (or dossiers, or loads) that differ in one number, measured in turns.

Gateway, backend and load are those of every measurement (`processes`, `gateway_served`): the whole gateway on one
core, wrk and an nginx that serves files on the other.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import requests

from tests.bench.gateway_served import Served, enter, furnished, log_in, serving, sqlite_store
from tests.bench.growth_decision import written
from tests.bench.growth_seeding import seed_accounts, seed_mandates, seed_records
from tests.bench.growth_verdict import Point
from tests.bench.processes import MEASURED_CORE, OTHER_CORE, Measured, load, nginx
from tests.ports import free_port
from upstream_stub.dossiers import generated

T = TypeVar("T")
KB, MB = 1024, 1024 * 1024
CONNECTIONS = 16
DOSSIER = "1000001"
SIZES = {
    "1500001": KB,
    DOSSIER: 4 * KB,
    "1200001": 64 * KB,
    "1300001": MB,
    "1400001": 16 * MB,
}
OPEN_TO_T6 = {"cmu_rsa_rmi", "cmuc_ressources", "residence", "adresse"}


class Step(NamedTuple):
    """Where on its axis a measurement stands, and how to load what is measured for so many seconds."""

    at: float
    load: Callable[[int], Measured]


class Bench:
    """Backends that end with `stack`, a folder for what is made, and how much to measure.

    Gateways end with `self.stack`, which may be replaced by one that ends sooner.
    """

    def __init__(self, folder: Path, stack: contextlib.ExitStack, *, quick: bool, full: bool, rounds: int) -> None:
        self.folder, self.stack, self.lasting = folder, stack, stack
        self.quick, self.full, self.rounds = quick, full, rounds
        self._folders = itertools.count(1)
        files, numbered = free_port(), free_port()
        (folder / "www" / "dossiers").mkdir(parents=True)
        folder.chmod(0o755)
        for number, size in SIZES.items():
            (folder / "www" / "dossiers" / number).write_bytes(
                small(number, size) if size < 4 * KB else large(size, number)
            )
        stack.enter_context(nginx(folder / "files", files, f"root {folder / 'www'};", core=OTHER_CORE))
        stack.enter_context(
            nginx(folder / "numbered", numbered, *answering_any_number(generated(DOSSIER, 4 * KB)), core=OTHER_CORE)
        )
        self.files, self.numbered = (f"http://127.0.0.1:{port}" for port in (files, numbered))

    def sizes(self, *wanted: int) -> list[int]:
        """The sizes to measure: with `--quick` not the largest."""
        return list(wanted[:-1] if self.quick and len(wanted) > 2 else wanted)

    def gateway(
        self,
        seed: Callable[[Path], object] = lambda folder: None,
        *,
        upstream: str = "",
        policies: Path | None = None,
        workers: int = 1,
        core: str | None = MEASURED_CORE,
        lasts: bool = False,
    ) -> Served:
        """A gateway of its own, serving once `seed` has filled its folder. It `lasts` as long as the backends do."""
        configuration, port = furnished(self.place(), upstream or self.numbered, policies=policies)
        seed(configuration.parent)
        settings = {"server.workers": str(workers)}
        stack = self.lasting if lasts else self.stack
        served = stack.enter_context(serving(configuration, port, settings=settings, core=core))
        # Told to end before the first is waited for, they all end at once.
        stack.callback(os.kill, served.pid, signal.SIGTERM)
        return served

    def place(self) -> Path:
        """The path of a folder that does not exist yet."""
        return self.folder / f"made-{next(self._folders)}"

    def steps(self, steps: Sequence[Step], *, rounds: int = 0) -> list[Point]:
        """Every step measured in turns, to and fro, `rounds` times or as often as usual; of each the cheapest time:
        whoever disturbs can only add."""
        found: dict[float, list[Point]] = {step.at: [] for step in steps}
        for n in range(rounds or self.rounds):
            for step in steps if n % 2 == 0 else reversed(steps):
                _, cost, rate, middle, late = step.load(1)
                found[step.at].append(Point(step.at, cost, middle, late, rate))
        return [min(several, key=lambda point: point.cost_us) for several in found.values()]

    def prepared(self, one: Callable[[Bench, int], T], counts: Sequence[int]) -> list[T]:
        """One for each count, made side by side: one is seeded while another starts."""
        with ThreadPoolExecutor(len(counts)) as threads:
            return list(threads.map(functools.partial(one, self), counts))


def policy_rows(bench: Bench) -> list[Point]:
    """More rubric rows, the same four open. (2 000 take a while to start: two loads of 7 s.)"""
    return bench.steps(bench.prepared(_with_rows, (20, 200, *([2_000] if bench.full else []))))


def _with_rows(bench: Bench, rows: int) -> Step:
    gateway = bench.gateway(with_agent("t6", "T6"), policies=written(bench.place(), rows))
    return Step(rows, loading(gateway, log_in(gateway.url, "t6")))


def accounts(bench: Bench) -> list[Point]:
    """More accounts, partners and sessions; each request with another agent's token."""
    return bench.steps(bench.prepared(_with_accounts, bench.sizes(100, 10_000, 1_000_000)))


def _with_accounts(bench: Bench, count: int) -> Step:
    tokens: list[str] = []
    gateway = bench.gateway(lambda folder: tokens.extend(seed_accounts(folder, count, "T6")))
    check(gateway, tokens[-1], DOSSIER)
    return Step(count, loading(gateway, script=asking([f"/dossiers/{DOSSIER}"], tokens)))


def mandates(bench: Bench) -> list[Point]:
    """More mandates; a guardian reads a thousand entrusted dossiers in turn."""
    return bench.steps(bench.prepared(_with_mandates, bench.sizes(1_000, 30_000, 1_000_000)))


def _with_mandates(bench: Bench, count: int) -> Step:
    seeded: list[tuple[str, list[str]]] = []
    gateway = bench.gateway(lambda folder: seeded.append(seed_mandates(folder, count, "T9")))
    token, dossiers = seeded[0]
    return Step(count, loading(gateway, script=asking([f"/dossiers/{number}" for number in dossiers], [token])))


def records(bench: Bench) -> list[Point]:
    """More lines already in the record."""
    counts = [*bench.sizes(10_000, 100_000, 1_000_000), *([10_000_000] if bench.full else [])]
    return bench.steps(bench.prepared(_with_records, counts))


def _with_records(bench: Bench, count: int) -> Step:
    def seed(folder: Path) -> None:
        with_agent("t6", "T6")(folder)
        seed_records(folder, count)

    gateway = bench.gateway(seed)
    return Step(count, loading(gateway, log_in(gateway.url, "t6")))


def dossier_size(bench: Bench) -> list[Point]:
    """Larger dossiers, the same four rubrics kept."""
    gateway = bench.gateway(with_agent("t6", "T6"), upstream=bench.files)
    token = log_in(gateway.url, "t6")
    for number in SIZES:
        check(gateway, token, number)
    return bench.steps(
        [
            Step(size / KB, loading(gateway, token, number, 4 if size > MB else CONNECTIONS))
            for number, size in SIZES.items()
        ]
    )


def clients(bench: Bench) -> list[Point]:
    """More clients at once, each with its next request as soon as it has an answer."""
    gateway = bench.gateway(with_agent("t6", "T6"))
    token = log_in(gateway.url, "t6")
    return bench.steps([Step(count, loading(gateway, token, connections=count)) for count in (1, 10, 100, 1_000)])


def workers(bench: Bench) -> list[Point]:
    """Two processes instead of one, as many clients for each, all free to use both cores.

    The load on one worker is two gateways of one worker, loaded together: both cores are as busy as with two workers
    of one gateway, which costs everybody a little, and only what the workers of one gateway share can differ.
    """
    apart, together = pair(bench)
    return bench.steps([Step(1, apart(CONNECTIONS)), Step(2, together(CONNECTIONS))], rounds=bench.rounds + 2)


Load = Callable[[int], Measured]


@functools.cache
def pair(bench: Bench) -> tuple[Callable[[int], Load], Callable[[int], Load]]:
    """Loads of so many connections for each worker: on two gateways of one worker, and on one gateway of two."""
    one, other, two = bench.prepared(_with_workers, (1, 1, 2))
    tokens = {gateway.url: log_in(gateway.url, "t6") for gateway in (one, other, two)}

    def apart(connections: int) -> Load:
        loads = [loading(gateway, tokens[gateway.url], connections=connections) for gateway in (one, other)]

        def both(seconds: int) -> Measured:
            with ThreadPoolExecutor(2) as threads:
                found = [running.result() for running in [threads.submit(single, seconds) for single in loads]]
            requests_of_both = sum(single.requests for single in found)
            return Measured(
                requests_of_both,
                sum(single.cpu_us * single.requests for single in found) / requests_of_both,
                sum(single.rps for single in found),
                statistics.mean(single.p50_ms for single in found),
                max(single.p99_ms for single in found),
            )

        return both

    return apart, lambda connections: loading(two, tokens[two.url], connections=2 * connections)


def _with_workers(bench: Bench, count: int) -> Served:
    return bench.gateway(with_agent("t6", "T6"), workers=count, core=None, lasts=True)


def loading(
    gateway: Served, token: str = "", number: str = DOSSIER, connections: int = CONNECTIONS, *, script: str = ""
) -> Callable[[int], Measured]:
    """A load on that gateway, always the same dossier or what `script` asks for."""
    url = f"{gateway.url}/dossiers/{number}"
    return lambda seconds: load(gateway.pid, url, seconds=seconds, connections=connections, token=token, script=script)


def asking(paths: Sequence[str], tokens: Sequence[str]) -> str:
    """Lua that goes through these paths and tokens in turn; the requests are written before the load begins."""
    texts = (f"{{{', '.join(f'{chr(34)}{text}{chr(34)}' for text in some)}}}" for some in (paths, tokens))
    names, bearers = texts
    return (
        f"local paths, tokens, asked, last = {names}, {bearers}, {{}}, 0\n"
        "init = function()\n"
        "  for n = 1, math.max(#paths, #tokens) do\n"
        "    local bearer = {Authorization = 'Bearer ' .. tokens[(n - 1) % #tokens + 1]}\n"
        "    asked[n] = wrk.format('GET', paths[(n - 1) % #paths + 1], bearer)\n"
        "  end\n"
        "end\n"
        "request = function() last = last % #asked + 1; return asked[last] end"
    )


def with_agent(identifier: str, profile: str) -> Callable[[Path], None]:
    """Enters one agent into a furnished folder's directory."""

    def add(folder: Path) -> None:
        with contextlib.closing(sqlite_store(folder / "gateway.toml")) as store:
            enter(store, identifier, profile)

    return add


def check(gateway: Served, token: str, number: str) -> None:
    """The answer is right before anything is timed: T6's rubrics, and no other."""
    answer = requests.get(f"{gateway.url}/dossiers/{number}", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    answer.raise_for_status()
    if set(answer.json()["rubriques"]) != OPEN_TO_T6:
        raise SystemExit(
            f"the dossier {number} arrives with other rubrics than T6's: {sorted(answer.json()['rubriques'])}"
        )


def small(number: str, size: int) -> bytes:
    """A dossier of exactly `size` bytes, smaller than generated ones: the parts looked into, and T6's four."""
    address = ",".join(
        f'"{name}":null'
        for name in (
            *("destinataire", "complement_information", "complement_information_geographique"),
            *("numero_libelle_voie", "lieu_dit", "code_postal_ville", "pays"),
        )
    )
    text = (
        f'{{"numero":"{number}","caisse":"851","rubriques":{{"paiement":{{"versements":[]}},'
        '"famille":{"situation":"MAR","depuis":"2003-09-03","personnes":[]},"droits":{"droits":[]},'
        '"cmu_rsa_rmi":{"droit":false},"cmuc_ressources":{"montant":1.10},"residence":{"resident":true},'
        f'"adresse":{{{address}}},"courrier":{{"objet":"%s"}}}}}}'
    )
    return (text % ("." * (size - len(text) + len("%s")))).encode()


def large(size: int, number: str) -> bytes:
    """A generated dossier."""
    return generated(number, size)


def answering_any_number(document: bytes) -> tuple[str, str]:
    """For nginx: a location that answers with this dossier under any number, from memory, and its map."""
    before, after = document.decode().split(DOSSIER, 1)
    quoted = after.replace("\\", "\\\\").replace("'", "\\'")
    pieces, rest = [], quoted
    while rest:  # one parameter of nginx's configuration is shorter than 4 096 bytes
        end = min(len(rest), 1_000)
        while end < len(rest) and rest[end - 1] == "\\":
            end -= 1
        pieces.append(rest[:end])
        rest = rest[end:]
    sets = "\n".join(f"set $piece{n} '{piece}';" for n, piece in enumerate(pieces))
    location = f"{sets}\nreturn 200 '{before}$numero{''.join(f'$piece{n}' for n in range(len(pieces)))}';"
    return location, "map $uri $numero { ~^/dossiers/(?<asked>[0-9]+)$ $asked; default 0; }"


AXES: dict[str, Callable[[Bench], list[Point]]] = {
    "rows": policy_rows,
    "accounts": accounts,
    "mandates": mandates,
    "records": records,
    "size": dossier_size,
    "clients": clients,
    "workers": workers,
}
