"""Proxies in front of a gateway: a small one that lies as it is told, and nginx."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.selftest.wire import Place as Deployment
from tests.debian import found_or_installed
from tests.story.running import PATIENCE, until

Place = tuple[str, int]


def find_or_install_nginx() -> str:
    """nginx; where nobody can install it, a skip that says so, and in CI a failure."""
    return found_or_installed(_nginx, "nginx-light")


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols {protocols};
    upstream gateway {{ server {gateway}; keepalive 4; }}
    upstream backend {{ server {backend}; }}
    {http}
    {stranger}
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name {name};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host {host};
        {server}
        location / {{
            {location}
        }}
    }}
}}
"""
STRANGER = "server {{ listen 127.0.0.1:{port} ssl default_server; return 421; }}"


@contextlib.contextmanager
def nginx(
    folder: Path,
    *,
    port: int,
    gateway: str,
    backend: str,
    certificate: tuple[Path, Path],
    http: str = "",
    server: str = "",
    location: str = "proxy_pass http://gateway;",
    host: str = "$host",
    protocols: str = "TLSv1.2 TLSv1.3",
    strangers: bool = False,
) -> Iterator[None]:
    """nginx before a gateway, over TLS, well configured but for what is given. `strangers`: any Host is welcome."""
    program = find_or_install_nginx()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        NGINX.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            certificate=certificate[0],
            key=certificate[1],
            protocols=protocols,
            gateway=gateway,
            backend=backend,
            http=http.replace("FOLDER", str(folder)),
            stranger="" if strangers else STRANGER.format(port=port),
            port=port,
            name="_" if strangers else "127.0.0.1",
            host=host,
            server=server,
            location=location,
        )
    )
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [program, "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )

    def listens() -> bool:
        assert process.poll() is None, (folder / "said").read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
            return True
        return False

    try:
        until(listens, "nginx listens")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


class Other:
    """Says these bytes to whoever connects, remembers what it heard, and hangs up, or does not."""

    def __init__(self, said: bytes, *, hangs_up: bool = True) -> None:
        self.said, self.hangs_up = said, hangs_up
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = Deployment("http", *self._listener.getsockname()[:2])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client:
                    self.heard = client.recv(65_536)
                    client.sendall(self.said)
                    if not self.hangs_up:
                        client.recv(1)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Other:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Exchange:
    """One request that a front has got, to be answered: by the gateway, by another, or by a lie."""

    def __init__(self, head: bytes, rest: bytes, client: socket.socket, front: Front, kept: dict[str, bytes]) -> None:
        self.head = head
        self.rest = rest
        """What came with the head."""
        self.front = front
        self.kept = kept
        """What the lie remembers."""
        self._client = client
        line = head.split(b"\r\n", 1)[0].split(b" ")
        self.method, self.target = line[0].decode("latin-1"), line[1].decode("latin-1") if len(line) > 1 else ""

    def header(self, name: str) -> str:
        found = re.search(rb"(?im)^" + name.encode() + rb": *([^\r\n]*)", self.head)
        return found[1].decode("latin-1") if found else ""

    def forward(self, head: bytes | None = None, *, to: Place | None = None) -> bytes:
        """What the gateway (or another) answers to this request, its head replaced; all of it."""
        with socket.create_connection(to or self.front.behind, timeout=PATIENCE) as behind:
            behind.sendall((head if head is not None else self.head) + self.rest)
            # OpenSSL lets no two threads read and write one connection: over TLS all of the request is read before.
            if not isinstance(self._client, ssl.SSLSocket):
                threading.Thread(target=_pump, args=(self._client, behind), daemon=True).start()
            pieces = []
            with contextlib.suppress(OSError):
                while piece := behind.recv(65_536):
                    pieces.append(piece)
        return b"".join(pieces)

    def read_body(self) -> None:
        """All that the head announces."""
        announced = int(self.header("Content-Length") or 0)
        while len(self.rest) < announced and (piece := self._client.recv(65_536)):
            self.rest += piece

    def wait(self) -> None:
        """Until the client is gone."""
        with contextlib.suppress(OSError):
            while self._client.recv(65_536):
                pass

    def to_target(self, target: str) -> bytes:
        """The same request with another target."""
        _, _, rest = self.head.partition(b"\r\n")
        return self.forward(f"{self.method} {target} HTTP/1.1\r\n".encode("latin-1") + rest)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


Lie = Callable[[Exchange], bytes | None]
"""Answers an exchange; None hangs up."""


def honest(exchange: Exchange) -> bytes:
    return exchange.forward()


class Front:
    """A proxy that passes everything on unchanged, until it is told a `lie`."""

    def __init__(self) -> None:
        self.behind: Place = ("127.0.0.1", 0)
        self.backend: Place = ("127.0.0.1", 0)
        self.lie: Lie = honest
        self.tls: ssl.SSLContext | None = None
        self.in_clear_too = False
        self.one_at_a_time = False
        self._kept: dict[str, bytes] = {}
        self._turn = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def tell(self, lie: Lie = honest, *, one_at_a_time: bool = False, in_clear_too: bool = False) -> None:
        self.lie, self.one_at_a_time, self.in_clear_too = lie, one_at_a_time, in_clear_too
        self._kept = {}

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client, self.lie, self._kept), daemon=True).start()

    def _serve(self, client: socket.socket, lie: Lie, kept: dict[str, bytes]) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            stack.callback(client.close)
            if self.one_at_a_time:
                stack.enter_context(self._turn)
            client.settimeout(PATIENCE)
            if self.tls and not (self.in_clear_too and client.recv(1, socket.MSG_PEEK) != b"\x16"):
                client = stack.enter_context(self.tls.wrap_socket(client, server_side=True))
            read = b""
            while b"\r\n\r\n" not in read:
                piece = client.recv(65_536)
                if not piece:
                    return
                read += piece
            head, _, rest = read.partition(b"\r\n\r\n")
            exchange = Exchange(head + b"\r\n\r\n", rest, client, self, kept)
            if isinstance(client, ssl.SSLSocket):
                exchange.read_body()
            said = lie(exchange)
            if said:
                client.sendall(said)


# What lies are made of.


def answer(status: str, body: bytes = b"", *lines: str, kind: str = "text/plain") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def status_of(found: bytes) -> int:
    return int(found.split(b" ", 2)[1]) if found.startswith(b"HTTP/1.1 ") else 0


def with_header(found: bytes, line: str) -> bytes:
    first, _, rest = found.partition(b"\r\n")
    return first + b"\r\n" + line.encode("latin-1") + b"\r\n" + rest


def without_header(found: bytes, name: str) -> bytes:
    head, blank, body = found.partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(name.lower().encode() + b":")]
    return b"\r\n".join(kept) + blank + body


def with_body(found: bytes, body: bytes) -> bytes:
    head = without_header(found.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", "Content-Length")
    return with_header(head, f"Content-Length: {len(body)}") + body


def body_of(found: bytes) -> bytes:
    return found.partition(b"\r\n\r\n")[2]
