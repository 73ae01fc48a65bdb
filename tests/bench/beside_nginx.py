"""The whole gateway beside a plain `proxy_pass` of nginx, in one run: CPU and requests per second of one core.

    .venv/bin/python tests/bench/beside_nginx.py [--rounds 3] [--seconds 3] [--connections 16]

Needs nginx, wrk and taskset (Debian: `apt-get install nginx-light wrk util-linux`). The backend (another nginx, the
dossiers as files) and the load share one core, the measured process has the other. The gateway runs whole: session
looked up in the store, mandates and objection looked up, decision, redaction (T6: 4 rubrics of 20), durable record.
Figures of different runs cannot be compared; the ratio within one can.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from gateway.cli.init import furnish
from gateway.identity import directory
from gateway.identity.store import open_store
from gateway.policy_files.folder import shipped
from upstream_stub.dossiers import generated

SIZES = {"4 KB": ("1000001", 4 * 1024), "64 KB": ("1200001", 64 * 1024), "1 MB": ("1300001", 1024 * 1024)}
PASSWORD = "Bench-Mouette-2026-Vendee"  # of an account that exists for seconds
MEASURED_CORE, OTHER_CORE = "0", "1"


def main() -> None:
    """Measure, print a table, and write nothing outside a temporary folder."""
    options = parse_options()
    missing = [tool for tool in ("nginx", "wrk", "taskset") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} missing: apt-get install nginx-light wrk util-linux")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cafpro-bench-")))
        backend, proxy, gateway = free_port(), free_port(), free_port()
        write_dossiers(folder / "www")
        stack.enter_context(nginx(folder / "backend", backend, f"root {folder / 'www'};", core=OTHER_CORE))
        plain = "proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection '';"
        upstream = f"upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; }}"
        passing = stack.enter_context(nginx(folder / "proxy", proxy, plain, upstream, core=MEASURED_CORE))
        serving = stack.enter_context(served(folder / "gateway", gateway, backend))
        token = log_in(f"http://127.0.0.1:{gateway}")
        targets = {"nginx proxy_pass": (passing, proxy), "gateway": (serving, gateway)}
        check(gateway, backend, token)
        print(f"{'':18}{'size':>8}{'CPU us/request':>16}{'requests/s/core':>17}{'requests/s':>12}{'p99 ms':>9}")
        report = []
        for size, (number, _) in SIZES.items():
            rounds: dict[str, list[tuple[float, float, float]]] = {name: [] for name in targets}
            for _ in range(options.rounds):
                for name, (process, port) in targets.items():
                    url = f"http://127.0.0.1:{port}/dossiers/{number}"
                    rounds[name].append(load(process, url, token, options.seconds, options.connections))
            for name, found in rounds.items():
                cpu, rate, late = (statistics.median(column) for column in zip(*found, strict=True))
                print(f"{name:18}{size:>8}{cpu:>16.1f}{1e6 / cpu:>17.0f}{rate:>12.0f}{late:>9.2f}", flush=True)
                report.append({"target": name, "size": size, "cpu_us": cpu, "rps": rate, "p99_ms": late})
        print(json.dumps({"connections": options.connections, "results": report}))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    return parser.parse_args()


def write_dossiers(folder: Path) -> None:
    (folder / "dossiers").mkdir(parents=True)
    folder.chmod(0o755)
    for number, size in SIZES.values():
        (folder / "dossiers" / number).write_bytes(generated(number, size))


@contextlib.contextmanager
def nginx(folder: Path, port: int, location: str, more: str = "", *, core: str) -> Iterator[subprocess.Popen[bytes]]:
    """An nginx of one worker in the foreground."""
    folder.mkdir()
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log; user root;\n"
        f"events {{ worker_connections 2048; }}\nhttp {{ access_log off; default_type application/json; sendfile on;\n"
        f"keepalive_requests 10000000; proxy_temp_path {folder}; client_body_temp_path {folder};\n"
        f"fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
        f"{more}\nserver {{ listen 127.0.0.1:{port}; location / {{ {location} }} }} }}\n"
    )
    with running("taskset", "-c", core, "nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)) as process:
        wait_for(port)
        yield process


@contextlib.contextmanager
def served(folder: Path, port: int, backend: int) -> Iterator[subprocess.Popen[bytes]]:
    """The gateway with one worker process and one T6 account."""
    url = f"http://127.0.0.1:{port}"
    config = furnish(
        folder,
        bind=f"127.0.0.1:{port}",
        public_url=url,
        upstream=f"http://127.0.0.1:{backend}",
        caisse="851",
        policies=shipped(),
    )
    store, now = open_store(f"sqlite:///{folder / 'cafpro.db'}"), datetime.now(UTC)
    directory.add_partner(store, name="Cpam", kind="external")
    directory.add_convention(
        store,
        partner_name="Cpam",
        number="B-1",
        caisse="851",
        starts_on=now.date(),
        ends_on=now.date() + timedelta(days=9),
        profiles=["T6"],
    )
    directory.add_account(store, identifier="t6", password=PASSWORD, partner_name="Cpam", profiles=["T6"])
    directory.sign_engagement(store, identifier="t6", version="2012-07", now=now)
    store.close()
    command = (sys.executable, "-m", "gateway.cli", "serve", "--config", str(config))
    with running("taskset", "-c", MEASURED_CORE, *command) as process:
        wait_for(port)
        yield process


@contextlib.contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def log_in(url: str) -> str:
    opened = requests.post(f"{url}/-/session", json={"identifier": "t6", "password": PASSWORD}, timeout=10)
    token: str = opened.json()["token"]
    return token


def check(gateway: int, backend: int, token: str) -> None:
    """The bodies are right before anything is timed."""
    opened = {"cmu_rsa_rmi", "cmuc_ressources", "residence", "adresse"}
    for number, _ in SIZES.values():
        whole = requests.get(f"http://127.0.0.1:{backend}/dossiers/{number}", timeout=10).json()
        bearer = {"Authorization": f"Bearer {token}"}
        answer = requests.get(f"http://127.0.0.1:{gateway}/dossiers/{number}", headers=bearer, timeout=10).json()
        assert answer["rubriques"] == {slug: part for slug, part in whole["rubriques"].items() if slug in opened}


def load(
    process: subprocess.Popen[bytes], url: str, token: str, seconds: int, connections: int
) -> tuple[float, float, float]:
    """CPU µs of the process's whole tree for each request, requests a second, and the 99th percentile in ms."""
    script = Path(tempfile.gettempdir()) / f"cafpro-bench-{os.getpid()}.lua"
    script.write_text(
        "done = function(s, l, r) print('OUT', s.requests, s.duration, l:percentile(99),"
        " s.errors.status + s.errors.connect + s.errors.read + s.errors.timeout) end"
    )
    before = cpu_of(process.pid)
    said = subprocess.run(
        [
            *("taskset", "-c", OTHER_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script)),
            *("-H", f"Authorization: Bearer {token}", url),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    script.unlink()
    _, count, duration, late, errors = next(line for line in said.splitlines() if line.startswith("OUT")).split()
    assert errors == "0", said
    used = cpu_of(process.pid) - before
    return used / int(count) * 1e6, int(count) / int(duration) * 1e6, float(late) / 1000


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process and its descendants have used."""
    total = 0.0
    for task in [pid, *descendants(pid)]:
        fields = Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [below for child in children for below in descendants(child)]


def wait_for(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
