"""Where the gateway's time goes: a flame graph of its worker under load, in tests/bench/results/.

py-spy looks at the worker from outside while wrk asks for one dossier at 16 connections. A box's width is its share of
the worker's CPU, told in the microseconds of a request as they are when nobody looks; threads that wait are left out.
C code (libcurl, SQLite, the system's calls) counts as its Python caller's: native stacks are not to be had where tasks
are greenlets.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench import flame, targets
from tests.bench.dossiers import SIZES, write_dossiers
from tests.bench.measuring import CONNECTIONS
from tests.bench.processes import OTHER_CORE, cpu_of, descendants, load

RESULTS: Final = Path(__file__).with_name("results")
_RATE: Final = 250
_WAITING: Final = re.compile(r";Aside\._serve [^;]*$")
"""Threads that wait for work end like this; py-spy takes some of them for busy."""


def main() -> None:
    """Write the flame graph and say what was measured meanwhile."""
    options = parse_options()
    number, _ = SIZES[options.size]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cafpro-bench-")))
        folder.chmod(0o755)
        write_dossiers(folder / "www")
        backend = stack.enter_context(targets.backend(folder / "backend", folder / "www"))
        target = stack.enter_context(targets.gateway(folder / "gateway", backend.url))
        targets.check(target)
        asked = f"{target.url}/dossiers/{number}"
        load(target.pid, asked, seconds=2, connections=CONNECTIONS, token=target.token)
        alone = load(target.pid, asked, seconds=3, connections=CONNECTIONS, token=target.token)
        raw = folder / "stacks"
        worker = max(descendants(target.pid), key=cpu_of, default=target.pid)
        spy = Path(sys.executable).with_name("py-spy")
        command = ["taskset", "-c", OTHER_CORE, str(spy), "record", "--pid", str(worker), "--output", str(raw)]
        command += ["--format", "raw", "--rate", str(_RATE), "--duration", str(options.seconds)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as looking:
            load(target.pid, asked, seconds=options.seconds + 1, connections=CONNECTIONS, token=target.token)
            _, said = looking.communicate()
        if looking.returncode:
            sys.exit(f"py-spy failed:\n{said}")
        root = flame.tree(raw.read_text("utf-8").splitlines(), waiting=_WAITING)
    RESULTS.mkdir(exist_ok=True)
    title = f"{options.size}, {CONNECTIONS} connections: {alone.cpu_us:.0f} us of CPU for each request"
    (RESULTS / f"{options.name}.svg").write_text(flame.drawn(root, title, us=alone.cpu_us), "utf-8")
    print(f"{title}; the functions that spend most themselves:")
    for name, samples in list(flame.by_function(root).items())[: options.lines]:
        print(f"{samples / root.samples * alone.cpu_us:8.1f} us  {name}")
    print(f"written: tests/bench/results/{options.name}.svg")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.profile",
        description=__doc__,
        epilog="Example:\n  .venv/bin/python -m tests.bench.profile --size '64 KB' --name profile-64kb",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=SIZES, default="4 KB", help="of the dossier (default: 4 KB)")
    parser.add_argument("--seconds", type=int, default=10, help="(default: 10)")
    parser.add_argument("--name", default="profile", help="of the file, without .svg (default: profile)")
    parser.add_argument("--lines", type=int, default=40, help="of the list of functions (default: 40)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
