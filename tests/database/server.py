"""A PostgreSQL server of the tests' own: in a folder of its own, on 127.0.0.1 and a free port."""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.debian import found_or_installed

ACCOUNT = "postgres"
"""PostgreSQL refuses to run as root."""
_SETTINGS = "listen_addresses = '127.0.0.1'\nmax_connections = 60\nshared_buffers = '32MB'\n"


class Server:
    """A cluster under `above`, started and stopped at will."""

    def __init__(self, above: Path) -> None:
        self._above = above
        self._cluster = above / "cluster"
        self._counted = itertools.count()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        _run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D", self._cluster)
        with (self._cluster / "postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}port = {self._port}\nunix_socket_directories = '{above}'\n")

    def start(self) -> None:
        _run("pg_ctl", "start", "--wait", "--silent", "-D", self._cluster, "-l", self._above / "log")

    def stop(self, mode: str) -> None:
        """`fast`, or `immediate`: as if the power failed."""
        _run("pg_ctl", "stop", "--wait", "--silent", f"--mode={mode}", "-D", self._cluster)

    @contextlib.contextmanager
    def stopped(self, mode: str = "fast") -> Iterator[None]:
        self.stop(mode)
        try:
            yield
        finally:
            self.start()

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection of an administrator's, by no code of ours. Each statement is kept at once."""
        return psycopg.connect(
            host="127.0.0.1", port=self._port, user="postgres", dbname=database, autocommit=True, connect_timeout=10
        )

    @contextlib.contextmanager
    def role(self, name: str, *, options: str = "LOGIN") -> Iterator[str]:
        """A role of the cluster's while the block lasts, which owns nothing afterwards either."""
        with self.connect() as connection:
            connection.execute(f"CREATE ROLE {name} {options}")
        try:
            yield name
        finally:
            with self.connect() as connection:
                connection.execute(f"DROP ROLE {name}")

    def empty_database(self) -> str:
        """The URL of one, as the gateway's settings take it."""
        name = f"cafpro{next(self._counted)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
            # A test that holds a lock itself and would wait for it must fail, not hang.
            connection.execute(f"ALTER DATABASE {name} SET lock_timeout = '10s'")
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/{name}"

    def remove(self, url: str) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    found_or_installed(partial(_program, "initdb"), "postgresql")
    with tempfile.TemporaryDirectory(prefix="cafpro-postgres-") as above:
        if os.geteuid() == 0:
            shutil.chown(above, ACCOUNT)
        made = Server(Path(above))
        made.start()
        try:
            yield made
        finally:
            made.stop("immediate")


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """Of an empty database on the server."""
    made = server.empty_database()
    yield made
    server.remove(made)


def _program(name: str) -> str | None:
    # Debian keeps them out of the way, the newest version has the highest number.
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda file: float(file.parts[4]))
    return str(found[-1]) if found else shutil.which(name)


def _run(name: str, *options: str | Path) -> None:
    program = _program(name)
    assert program
    account = ("runuser", "-u", ACCOUNT, "--") if os.geteuid() == 0 else ()
    # Into a file, not a pipe: a server that was started keeps the pipe open.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run([*account, program, *map(str, options)], stdout=said, stderr=said, cwd="/")
        said.seek(0)
        assert done.returncode == 0, f"{name}: {said.read()}"
