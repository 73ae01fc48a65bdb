"""The real processes, driven from outside: the gateway, its backend, a client that sends exactly what it is given."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import re
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil
from click.testing import CliRunner

from gateway.cli.init import furnish
from gateway.cli.main import main
from gateway.identity import directory
from gateway.identity.store import Store, open_store
from gateway.policy_files.folder import load_folder, shipped
from gateway.policy_files.history import take_as_approved
from gateway.policy_files.keeping import NAME as KEEPER
from gateway.settings import Limits
from tests.ports import free_port
from tests.story.warm import WarmProcess

PASSWORD = "Une-phrase-de-passe-2012"
CAISSE = "851"
ENGAGEMENT = "2012-07"
PATIENCE = 30.0
"""Seconds that anything may take before the test gives up."""
REUSE = 20.0
"""Seconds after which an idle connection is not used again: the gateway closes it sooner or later."""

GOLDEN = Path(__file__).parent / "golden"
WRITING = bool(os.environ.get("WRITE_GOLDEN"))
"""`WRITE_GOLDEN=1 python -m pytest tests/story` writes the golden files anew, to be read before they are kept."""


class Answer(NamedTuple):
    """A whole HTTP answer, its headers in order."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.headers if field.lower() == name.lower()]

    def one(self, name: str) -> str:
        [value] = self.all(name)
        return value

    def json(self) -> Any:
        return json.loads(self.body)

    def text(self) -> str:
        """Everything in it that a reader could see."""
        return "\n".join([*(f"{name}: {value}" for name, value in self.headers), self.body.decode("latin-1")])

    def lasting(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """All of it but what differs from one answer to the next: the date, the request's id, the connection's fate."""
        passing = ("Date", "X-Request-Id", "Connection")
        headers = [(name, value) for name, value in self.headers if name not in passing]
        return self.status, headers, self.body.replace(self.one("X-Request-Id").encode(), b"(request id)")


def until(holds: Callable[[], Any], what: str, *, seconds: float = PATIENCE) -> Any:
    """What `holds` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def connect(url: str, *, timeout: float = PATIENCE) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=timeout)


def read_answer(connection: socket.socket, *, method: str = "GET") -> Answer:
    """The next answer on a socket."""
    with contextlib.closing(http.client.HTTPResponse(connection, method=method)) as answer:
        answer.begin()
        return Answer(answer.status, answer.getheaders(), answer.read())


def exchange(url: str, request: bytes, *, method: str = "GET") -> Answer:
    """The answer to exactly these bytes."""
    with connect(url) as connection:
        connection.sendall(request)
        return read_answer(connection, method=method)


@contextlib.contextmanager
def crowd(url: str, request: str, clients: int) -> Iterator[list[socket.socket]]:
    """So many clients that send this, and then do nothing."""
    with contextlib.ExitStack() as stack:
        idle = []
        for _ in range(clients):
            client = stack.enter_context(socket.socket())
            client.settimeout(PATIENCE)
            # Small, so that an answer that is not read stays with the gateway.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((urlsplit(url).hostname, urlsplit(url).port))
            client.sendall(request.encode())
            idle.append(client)
        yield idle


class Client:
    """Keeps a connection open for each thread that asks."""

    def __init__(self, url: str, *, trusting: ssl.SSLContext | None = None) -> None:
        """Over TLS where there is a context to trust with."""
        self.url = url
        self.host = urlsplit(url).netloc
        self._trusting = trusting
        self._local = threading.local()
        self._open: list[http.client.HTTPConnection] = []

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", body: bytes | None = None
    ) -> Answer:
        connection = self._connection()
        try:
            connection.request(method, path, body, dict(headers or {}))
            with connection.getresponse() as answer:
                found = Answer(answer.status, answer.getheaders(), answer.read())
        except BaseException:
            connection.close()
            raise
        self._local.used = time.monotonic()
        return found

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            if self._trusting:
                connection = http.client.HTTPSConnection(self.host, timeout=PATIENCE, context=self._trusting)
            else:
                connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
            self._local.connection = connection
            self._open.append(connection)
        elif time.monotonic() - self._local.used > REUSE:
            connection.close()
        self._local.used = time.monotonic()
        return connection

    def port(self) -> int:
        """The local port of this thread's connection, which is open."""
        return int(self._connection().sock.getsockname()[1])

    def close(self) -> None:
        for connection in self._open:
            connection.close()


class Process:
    """A process of ours, its output in a file, ended by its id."""

    def __init__(
        self,
        arguments: Sequence[str],
        output: Path,
        *,
        settings: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """`variables` are those of the environment that it has besides. With them, be it none, it begins cold, as a
        child of whoever asks for it: what the interpreter and the system look at when a process begins is then so."""
        self.output = output
        if variables is not None or options or "PYTHONPATH" in os.environ:
            with output.open("ab") as file:
                self.popen: subprocess.Popen[bytes] | WarmProcess = subprocess.Popen(
                    [sys.executable, "-m", *arguments],
                    stdout=file,
                    stderr=file,
                    env={**environment(settings), **(variables or {})},
                    **options,
                )
        else:
            self.popen = WarmProcess(arguments, output, environment(settings))

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def answers(self, url: str, *, trusting: ssl.SSLContext | None = None) -> None:
        """Returns when `url` answers 200."""

        def ready() -> bool:
            assert self.popen.poll() is None, self.said()
            try:
                with contextlib.closing(Client(url, trusting=trusting)) as client:
                    return client.ask(urlsplit(url).path).status == 200
            except (OSError, http.client.HTTPException):
                return False

        until(ready, f"{url} answers 200")

    def end(self) -> int:
        self.popen.terminate()
        try:
            return self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without proxies and without settings of another gateway; `section.key` overrides a setting."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CAFPRO_") and not name.lower().endswith("_proxy")
    }
    return {**kept, **overriding(settings or {})}


def overriding(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables that override settings written like `section.key`."""
    return {f"CAFPRO_{name.replace('.', '__').upper()}": value for name, value in settings.items()}


OUT_OF_REACH = {
    **{f"limits.{name}": "1000000000" for name in Limits.__struct_fields__},
    "identity.sessions_at_once": "1000000000",
}
"""Limits that no test meets by the way: all of them come from one address."""


class Certificate(NamedTuple):
    """A certificate and its key, in PEM files."""

    file: Path
    key: Path

    def trusting(self) -> ssl.SSLContext:
        """What a client needs who trusts it."""
        return ssl.create_default_context(cafile=str(self.file))

    def serving(self) -> ssl.SSLContext:
        """What a server needs that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


def certify(folder: Path, name: str, *, subject: str = "IP:127.0.0.1", expired: bool = False) -> Certificate:
    """A self-signed certificate of `subject` (an alternative name as OpenSSL writes it), good for two days or until
    yesterday."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    request = folder / f"{name}.csr"
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(made.key))
    extension = folder / f"{name}.ext"
    extension.write_text(f"subjectAltName = {subject}\nbasicConstraints = critical, CA:TRUE\n")
    days = "-1" if expired else "2"
    signing = ("x509", "-req", "-in", str(request), "-signkey", str(made.key), "-out", str(made.file))
    for arguments in (
        ("req", "-new", *key, "-subj", f"/CN={name}", "-out", str(request)),
        (*signing, "-days", days, "-extfile", str(extension)),
    ):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    made.key.chmod(0o600)
    return made


CRASHED = re.compile("|".join(rf'"exit": -{int(one)}\b' for one in (SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV)))
"""How the log says that a worker ended by a fault of its own; tests end some by other signals."""


class Gateway(Client):
    """A gateway process with its folder: settings, directory, record, log."""

    def __init__(
        self,
        folder: Path,
        *,
        upstream: str,
        settings: Mapping[str, str],
        policies: Path | None,
        certificate: Certificate | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Speaks TLS itself where it has a certificate. Takes the `policies` that it is given as approved."""
        port = free_port()
        if certificate:
            tls = {"server.tls_certificate": str(certificate.file), "server.tls_key": str(certificate.key)}
            super().__init__(f"https://127.0.0.1:{port}", trusting=certificate.trusting())
            settings = {**tls, **settings}
        else:
            super().__init__(f"http://127.0.0.1:{port}")
        self.folder = folder
        self.configuration = furnish(
            folder,
            bind=f"127.0.0.1:{port}",
            public_url=self.url,
            upstream=upstream,
            caisse=CAISSE,
            policies=policies or shipped(),
        )
        if policies:
            take_as_approved(folder / "policies")
        self.record_file = folder / "record.db"
        self._told = dict(settings)
        self.store: Store = open_store(settings.get("store.url", f"sqlite:///{folder / 'cafpro.db'}"))
        """The directory, changed from this process while the gateway runs."""
        self._process = Process(
            ["gateway.cli", "serve", "--config", str(self.configuration)],
            folder / "gateway.log",
            settings={**OUT_OF_REACH, **settings},
            variables=variables,
        )
        try:
            self._process.answers(f"{self.url}/-/health/ready", trusting=self._trusting)
        except BaseException:
            self.store.close()
            self._process.end()
            raise

    def log(self) -> str:
        return self._process.said()

    def workers(self) -> list[psutil.Process]:
        """The processes that serve and live. Beside them there is one that keeps the policies."""
        return [child for child in psutil.Process(self._process.popen.pid).children() if serves(child)]

    def policy(self) -> str:
        """The fingerprint of the policies in its folder."""
        return load_folder(self.folder / "policies").fingerprint

    def stop(self) -> None:
        self.close()
        self.store.close()
        assert self._process.end() == 0, self.log()
        assert not CRASHED.search(self.log()), "a worker crashed, and another took its place"

    def enter(
        self,
        identifier: str,
        *profiles: str,
        kind: str = "external",
        caisse: str = CAISSE,
        days: tuple[int, int] = (-30, 365),
        signed: bool = True,
    ) -> None:
        """An account with a partner and a convention of its own, called after it: `Partenaire …` and `C-…`.

        The convention opens its profiles (and T1 where it has none) from `days[0]` to `days[1]`, counted from today.
        """
        today = datetime.now(UTC).date()
        directory.add_partner(self.store, name=f"Partenaire {identifier}", kind=kind)
        directory.add_convention(
            self.store,
            partner_name=f"Partenaire {identifier}",
            number=f"C-{identifier}",
            caisse=caisse,
            starts_on=today + timedelta(days=days[0]),
            ends_on=today + timedelta(days=days[1]),
            profiles=profiles or ["T1"],
        )
        directory.add_account(
            self.store,
            identifier=identifier,
            password=PASSWORD,
            partner_name=f"Partenaire {identifier}",
            profiles=profiles,
        )
        if signed:
            directory.sign_engagement(self.store, identifier=identifier, version=ENGAGEMENT, now=datetime.now(UTC))

    def entrust(
        self, identifier: str, dossier: str, kind: str, /, *, days: tuple[int, int | None] = (-7, None), **entry: Any
    ) -> int:
        """A mandate for the partner of an account; its id."""
        today = datetime.now(UTC).date()
        return directory.add_mandate(
            self.store,
            dossier=dossier,
            kind=kind,
            partner_name=f"Partenaire {identifier}",
            starts_on=today + timedelta(days=days[0]),
            ends_on=None if days[1] is None else today + timedelta(days=days[1]),
            reference=f"Mandat {identifier}",
            **entry,
        )

    def unended_head(self) -> str:
        """What a client sends that never ends its head."""
        return f"GET /dossiers/9990001 HTTP/1.1\r\nHost: {self.host}\r\nX-"

    def log_in_without_body(self) -> str:
        """What a client sends whose body never comes."""
        head = f"POST /-/session HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        return f'{head}Content-Length: 100\r\n\r\n{{"'

    def whole_request(self, identifier: str, dossier: str) -> str:
        """A consultation by this agent, in a fresh session, as bytes are written."""
        token = self.log_in(identifier)["Authorization"]
        return f"GET /dossiers/{dossier} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: {token}\r\n\r\n"

    def sign_in(self, identifier: str, *, password: str = PASSWORD, **more: Any) -> Answer:
        body = json.dumps({"identifier": identifier, "password": password, **more}).encode()
        return self.ask("/-/session", {"Content-Type": "application/json"}, method="POST", body=body)

    def log_in(self, identifier: str, **more: Any) -> dict[str, str]:
        """The headers of a fresh session."""
        opened = self.sign_in(identifier, **more)
        assert opened.status == 201, opened
        return {"Authorization": f"Bearer {opened.json()['token']}"}

    def record_rows(self, *, after: int = 0, **wanted: object) -> list[dict[str, Any]]:
        """The rows of the record with these values, as another process reads them, in order; those behind a row."""
        with contextlib.closing(sqlite3.connect(f"file:{self.record_file}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            where = " AND ".join([f"id > {after:d}", *(f"{name} = :{name}" for name in wanted)])
            found = connection.execute(f"SELECT * FROM record WHERE {where} ORDER BY id", wanted)
            return [dict(row) for row in found]

    def last_row(self) -> int:
        """The id of the newest row of the record; 0 where there is none."""
        with contextlib.closing(sqlite3.connect(f"file:{self.record_file}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT coalesce(max(id), 0) FROM record").fetchone()[0])

    def recorded(self, answer: Answer) -> dict[str, Any]:
        """The one row of the request that was answered so."""
        [row] = self.record_rows(request_id=answer.one("X-Request-Id"))
        return row

    def cafpro(self, *arguments: str, typed: str = "") -> None:
        """A command, as an administrator runs it beside the gateway; in this process, which is sooner done."""
        others = {name: None for name in os.environ if name.startswith("CAFPRO_")}
        settings = {**others, **overriding(self._told)}
        done = CliRunner(env=settings).invoke(main, [*arguments, "--config", str(self.configuration)], input=typed)
        assert done.exit_code == 0, done.output


class Circle:
    """Connections to a gateway that stay open, some in each of its workers, and ask for the same together."""

    def __init__(self, gateway: Gateway, path: str, session: Mapping[str, str]) -> None:
        head = [
            f"GET {path} HTTP/1.1",
            f"Host: {gateway.host}",
            *(f"{name}: {value}" for name, value in session.items()),
        ]
        self._gateway, self._request = gateway, "\r\n".join((*head, "", "")).encode()
        self._open: list[socket.socket] = []
        until(self._reaches_every_worker, "connections in every worker")

    def _reaches_every_worker(self) -> bool:
        self._open += [connect(self._gateway.url) for _ in range(8)]
        self.ask()
        mine = {connection.getsockname()[1] for connection in self._open}
        workers = self._gateway.workers()
        return len(workers) > 1 and all(mine & clients_of(worker) for worker in workers)

    def ask(self) -> list[Answer]:
        """The answer on each connection: all of them ask, and then all are read."""
        for connection in self._open:
            connection.sendall(self._request)
        return [read_answer(connection) for connection in self._open]

    def close(self) -> None:
        for connection in self._open:
            connection.close()


@contextlib.contextmanager
def circle(gateway: Gateway, path: str, session: Mapping[str, str]) -> Iterator[Circle]:
    """A `Circle` that asks for `path`."""
    with contextlib.closing(Circle(gateway, path, session)) as found:
        yield found


def clients_of(worker: psutil.Process) -> set[int]:
    """The ports of the clients whose connections are in this worker."""
    return {known.raddr.port for known in worker.net_connections("tcp") if known.raddr}


def serves(child: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # it ended while it was looked at
        return child.name() != KEEPER and child.status() != psutil.STATUS_ZOMBIE
    return False


class Backend:
    """A small backend of the tests' own. `answer(path)` gives status, headers and body; remembers what it was asked."""

    def __init__(self, answer: Callable[[str], tuple[int, Mapping[str, str], bytes]]) -> None:
        asked: list[tuple[str, str, list[tuple[str, str]]]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                # As it was sent: `self.path` is tidied.
                asked.append((self.command, self.requestline.split(" ")[1], list(self.headers.items())))
                status, headers, body = answer(self.path)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_GET

            def log_message(self, *_: Any) -> None:
                return None

        self.asked = asked
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._serving = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._serving.start()

    def close(self) -> None:
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()


@contextlib.contextmanager
def stub_backend(folder: Path, *options: str) -> Iterator[str]:
    """The stub backend's address while its process runs, with these options; what it says is in `stub.log`."""
    port = free_port()
    process = Process(["upstream_stub", "--port", str(port), *options], folder / "stub.log")
    try:
        process.answers(f"http://127.0.0.1:{port}/etat")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.end()


def golden(name: str, found: bytes) -> None:
    """`found` is, byte for byte, what the golden file holds."""
    file = GOLDEN / name
    if WRITING:
        file.write_bytes(found)
    assert found == file.read_bytes(), f"{name} holds something else"


def is_problem(answer: Answer, status: int, code: str) -> None:
    """The answer is the refusal `code`, compared whole, and tells nothing of a dossier."""
    assert answer.status == status, answer
    shown = answer.json()
    assert shown.pop("request_id") == answer.one("X-Request-Id")
    assert shown["code"] == code
    golden(f"problem-{code}.json", (json.dumps(shown, ensure_ascii=False, indent=2) + "\n").encode())
    assert answer.one("Content-Type") == "application/problem+json"
    assert answer.one("Cache-Control") == "no-store"
    assert answer.one("Proxy-Status").startswith("cafpro; error=")
    assert answer.one("Proxy-Status").endswith(f"; details={code}")
    assert "CANARI" not in answer.text()
