"""A PostgreSQL of our own: made in a folder of its own, on 127.0.0.1 and a free port, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.processes import OTHER_CORE, free_port

_ACCOUNT: Final = "postgres"
_SETTINGS: Final = "max_connections = 200\nlisten_addresses = '127.0.0.1'\nshared_buffers = '256MB'\n"


@contextlib.contextmanager
def postgresql(*databases: str) -> Iterator[list[str]]:
    """The URLs of empty databases of these names, as the gateway's settings take them. It commits durably."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="cafpro-bench-postgres-") as above:
        if os.geteuid() == 0:
            shutil.chown(above, _ACCOUNT)
        folder = Path(above) / "cluster"
        _run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D", str(folder))
        with (folder / "postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}port = {port}\nunix_socket_directories = '{above}'\n")
        _run("pg_ctl", "start", "--wait", "--silent", "-D", str(folder), "-l", f"{above}/log", core=OTHER_CORE)
        try:
            for name in databases:
                _run("createdb", "--host=127.0.0.1", f"--port={port}", "--username=postgres", name)
            yield [f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name}" for name in databases]
        finally:
            _run("pg_ctl", "stop", "--wait", "--silent", "--mode=fast", "-D", str(folder))


def _run(program: str, *options: str, core: str | None = None) -> None:
    """A program of PostgreSQL's, as its own account where we are root: the server refuses root."""
    found = max(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda file: int(file.parts[4]))
    pinned = ("taskset", "-c", core) if core else ()
    account = ("runuser", "-u", _ACCOUNT, "--") if os.geteuid() == 0 else ()
    # Into a file, not a pipe: a server that was started keeps the pipe open.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run([*pinned, *account, str(found), *options], stdout=said, stderr=said, cwd="/")
        if done.returncode:
            said.seek(0)
            sys.exit(f"PostgreSQL's {program} failed:\n{said.read()}")
