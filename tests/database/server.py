"""A PostgreSQL server of the tests' own: in a folder of its own, on 127.0.0.1 and a free port."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.debian import found_or_installed
from tests.ports import free_port

ACCOUNT = "postgres"
"""PostgreSQL refuses to run as root."""
PATIENCE = 60.0
"""Seconds that it may take to start, or to stop."""
_SETTINGS = "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{above}'\n"
_SMALL = "max_connections = 100\nshared_buffers = '32MB'\n"


class Server:
    """A cluster in a folder of its own, started and stopped at will. It does not outlive whoever started it."""

    def __init__(self, above: Path, settings: str = _SMALL, *, pinned: Sequence[str] = ()) -> None:
        """`settings`: lines of postgresql.conf. `pinned`: what goes before the server's command, such as taskset."""
        if os.geteuid() == 0:
            shutil.chown(above, ACCOUNT)
        self._above = above
        self._cluster = above / "cluster"
        self._pinned = pinned
        self._counted = itertools.count()
        self._port = free_port()
        self._make()
        with (self._cluster / "postgresql.conf").open("a") as written:
            written.write(settings + _SETTINGS.format(port=self._port, above=above))

    def _make(self) -> None:
        options = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D", str(self._cluster))
        command = [*_as_account(), _found("initdb"), *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/")
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        """To be called from a thread that lasts: the server ends with it, too."""
        command = [*self._pinned, *_as_account("--pdeathsig=QUIT"), _found("postgres"), "-D", str(self._cluster)]
        with (self._above / "log").open("a") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        end = time.monotonic() + PATIENCE
        while not self._answers():
            alive = self._process.poll() is None and time.monotonic() < end
            assert alive, (self._above / "log").read_text()[-4000:]
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, mode: str) -> None:
        """`fast`, or `immediate`: as if the power failed."""
        self._process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        self._process.wait(PATIENCE)

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
        url = self.database(f"cafpro{next(self._counted)}")
        with self.connect() as connection:
            # A test that holds a lock itself and would wait for it must fail, not hang.
            connection.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET lock_timeout = '10s'")
        return url

    def database(self, name: str) -> str:
        """The URL of an empty database that is made under this name."""
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/{name}"

    def remove(self, url: str) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")


@contextlib.contextmanager
def serving(*given: str, pinned: Sequence[str] = ()) -> Iterator[Server]:
    """A server while the block lasts, of which nothing is left afterwards. Takes what `Server` takes."""
    with tempfile.TemporaryDirectory(prefix="cafpro-postgres-") as above:
        made = Server(Path(above), *given, pinned=pinned)
        made.start()
        try:
            yield made
        finally:
            made.stop("immediate")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    found_or_installed(partial(_program, "initdb"), "postgresql")
    with serving() as made:
        yield made


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


def _found(name: str) -> str:
    program = _program(name)
    assert program, f"PostgreSQL's {name} is missing"
    return program


def _as_account(*options: str) -> tuple[str, ...]:
    """What goes before a program of PostgreSQL's, with more `options` of setpriv: its own account where we are root."""
    account = (f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--init-groups") if os.geteuid() == 0 else ()
    return ("setpriv", *account, *options) if account or options else ()
