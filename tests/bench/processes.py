"""What every measurement needs: processes pinned to a core, a load, and what both cost."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

MEASURED_CORE, OTHER_CORE = "0", "1"
"""The measured process has one core; the load and the backend share the other."""
LONGEST = 20
"""Seconds that an answer is waited for."""


class Measured(NamedTuple):
    """One load on one target. Latencies in milliseconds, CPU in microseconds for each request."""

    requests: int
    cpu_us: float
    rps: float
    p50_ms: float
    p99_ms: float


@contextlib.contextmanager
def running(
    *command: str, core: str | None = None, environment: Mapping[str, str] | None = None, output: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, on one core where one is named, ended by its id."""
    pinned = ("taskset", "-c", core, *command) if core else command
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(output.open("ab")) if output else None
        process = subprocess.Popen(pinned, env={**os.environ, **(environment or {})}, stdout=file, stderr=file)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def nginx(
    folder: Path, port: int, location: str, more: str = "", *, core: str, top: str = "", beside: str = ""
) -> Iterator[int]:
    """An nginx of one worker that answers at `port`; its process id.

    `location` is what answers; `beside` stands beside it in its server, `more` around the server, `top` first in the
    file (modules).
    """
    folder.mkdir()
    (folder / "nginx.conf").write_text(
        f"{top}\nworker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log; user root;\n"
        f"events {{ worker_connections 4096; }}\nhttp {{ access_log off; default_type application/json; sendfile on;\n"
        f"keepalive_requests 10000000; proxy_temp_path {folder}; client_body_temp_path {folder};\n"
        f"fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
        f"{more}\nserver {{ listen 127.0.0.1:{port}; {beside} location / {{ {location} }} }} }}\n"
    )
    command = ("nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder))
    with running(*command, core=core, output=folder / "output") as process:
        wait_for(port, process, folder / "output")
        yield process.pid


def load(
    pid: int, url: str, *, seconds: float, connections: int, token: str = "", script: str = "", threads: int = 1
) -> Measured:
    """wrk from the other core. `pid` is the measured process, counted with its descendants.

    `script` is Lua put before ours, such as one that defines `request` to ask for another dossier each time. Any answer
    that is not 2xx ends the measurement with what wrk said. Who answers nothing within so many seconds is given more.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(
            f"{script}\ndone = function(s, l, r) print('OUT', s.requests, s.duration, l:percentile(50),"
            " l:percentile(99), s.errors.status + s.errors.connect + s.errors.read + s.errors.timeout) end\n"
        )
        file.flush()
        # Some take seconds over 1 MB, after two of which wrk would say that there is no answer.
        wrk = ("wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", f"--timeout={LONGEST}s")
        command = ["taskset", "-c", OTHER_CORE, *wrk]
        headers = ["-H", f"Authorization: Bearer {token}"] if token else []
        before = cpu_of(pid)
        said = subprocess.run(
            [*command, "-s", file.name, *headers, url], capture_output=True, text=True, check=True
        ).stdout
        used = cpu_of(pid) - before
    line = next((line for line in said.splitlines() if line.startswith("OUT")), "")
    if not line or line.split()[-1] != "0":
        sys.exit(f"{url} answered something else than what was asked for:\n{said}")
    _, count, duration, middle, late, _ = line.split()
    requests = int(count)
    if not requests:
        if seconds >= LONGEST:
            sys.exit(f"{url} answered nothing within {seconds} s.")
        return load(pid, url, seconds=seconds * 2, connections=connections, token=token, script=script, threads=threads)
    return Measured(
        requests, used / requests * 1e6, requests / int(duration) * 1e6, float(middle) / 1000, float(late) / 1000
    )


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process and its descendants have used."""
    total = 0.0
    for process in [pid, *descendants(pid)]:
        # sum_exec_runtime, in nanoseconds: the ticks of /proc/PID/stat are 10 ms each.
        total += sum(
            int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{process}/task").iterdir()
        )
    return total / 1e9


def memory_of(pid: int) -> int:
    """Bytes of resident memory of a process and its descendants, each counted whole."""
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in [pid, *descendants(pid)])
    return pages * os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    """Bytes of resident memory of a process and its descendants, what they share counted once."""
    total = 0
    for process in [pid, *descendants(pid)]:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total


def descendants(pid: int) -> list[int]:
    """The ids of the processes below this one."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [below for child in children for below in descendants(child)]


def wait_for(port: int, process: subprocess.Popen[bytes] | None = None, output: Path | None = None) -> None:
    """Returns when something listens there; ends the run after 30 s, or when the process that should has ended.

    What the process said in `output` is told then.
    """
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process and process.poll() is not None:
            break
        time.sleep(0.05)
    said = output.read_text("utf-8", "replace")[-4000:] if output and output.exists() else ""
    sys.exit(f"nothing listens on port {port}\n{said}")
