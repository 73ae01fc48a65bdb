"""A worker on a real socket, in this process, before an application of the tests' own."""

import json
import socket
import threading
import time
from functools import partial
from typing import Any

from gateway.loop.waiting import Aside
from gateway.server.connection import Patience
from gateway.server.lanes import Lanes, Places
from gateway.server.supervisor import listen
from gateway.server.worker import Served, Worker

WAIT = 20.0
"""Seconds after which a test gives up."""


class Town:
    """The application: shows the request it was given, or misbehaves where its path says so."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.open = threading.Event()
        self.inside = threading.Semaphore(0)
        self.aside = Aside(64, "town")

    def __call__(self, environ, start_response):
        self.seen.append(environ)
        kind = environ["PATH_INFO"].partition("?")[0].strip("/").partition("/")
        return getattr(self, f"do_{kind[0]}", self.show)(environ, start_response, kind[2])

    def show(self, environ, start_response, _):
        try:
            body = environ["wsgi.input"].read().decode("latin-1")
        except TimeoutError:
            body = "late"
        shown = {key: value for key, value in environ.items() if isinstance(value, str)}
        return self.send(start_response, json.dumps({**shown, "body": body}).encode())

    def send(self, start_response, body, *, status="200 OK", headers=()):
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
        return [body]

    def do_large(self, environ, start_response, size):
        return self.send(start_response, bytes(range(256)) * (int(size) // 256))

    def do_wait(self, environ, start_response, _):
        self.inside.release()
        assert self.aside.do(partial(self.open.wait, WAIT))
        return self.send(start_response, b"waited")

    def do_raise(self, environ, start_response, _):
        raise LookupError("CANARI-famille")

    def do_exit(self, environ, start_response, _):
        raise SystemExit(3)

    def do_silent(self, environ, start_response, _):
        return [b"CANARI-famille"]

    def do_header(self, environ, start_response, _):
        value = environ["wsgi.input"].read().decode("latin-1")
        return self.send(start_response, b"body", headers=[("X-Said", value)])

    def do_name(self, environ, start_response, _):
        return self.send(start_response, b"body", headers=[("X-A: b\r\nX-Said", "c")])

    def do_foreign(self, environ, start_response, _):
        return self.send(start_response, b"body", headers=[("X-Said", "\N{SNOWMAN}")])

    def do_unmeasured(self, environ, start_response, _):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"un", b"measured"]

    def do_short(self, environ, start_response, _):
        start_response("200 OK", [("Content-Length", "3")])
        return [b"more than three"]

    def do_empty(self, environ, start_response, status):
        start_response(f"{status} Empty", [])
        return [b"not to be sent"]


class Place:
    """A running worker and how to talk to it."""

    def __init__(
        self,
        *,
        concurrency=4,
        waiting=100,
        own_at_work=4,
        own_waiting=100,
        patience=None,
        tls=None,
        before=None,
        grace_seconds=5.0,
        share=None,
    ) -> None:
        self.town = Town()
        self.listener = listen("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        if before:
            before(self)
        self.concurrency = concurrency
        self.busy = []
        self.refused = 0
        self.worker = Worker(
            Served(self.town, lambda **busy: self.busy.append(busy), self.refuse),
            self.listener,
            lanes=Lanes(
                lambda path: path.startswith(("/body", "/header", "/large", "/own")),
                own=Places(own_at_work, own_waiting),
                others=Places(concurrency, waiting),
            ),
            patience=patience or Patience(),
            tls=tls,
            share=share,
        )
        self._going = threading.Event()
        self._going.set()
        self.thread = threading.Thread(
            target=self.worker.run, args=(self._going.is_set,), kwargs={"grace_seconds": grace_seconds}, daemon=True
        )
        self.thread.start()

    def refuse(self):
        self.refused += 1
        return "503 Service Unavailable", [("Retry-After", "2"), ("Content-Length", "7")], b"no room"

    def connect(self, address="127.0.0.1") -> socket.socket:
        """A client that has this address, one of the machine's own (127.0.0.0/8)."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT, source_address=(address, 0))

    def exchange(self, request: bytes) -> bytes:
        """Everything the server says to these bytes, until it closes."""
        with self.connect() as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            return everything(client)

    def stop(self) -> None:
        self._going.clear()

    def close(self) -> None:
        self.stop()
        self.town.open.set()
        self.thread.join(WAIT)
        assert not self.thread.is_alive()
        for connection in list(self.worker._connections.values()):
            connection.close()


def everything(client: socket.socket) -> bytes:
    received = bytearray()
    while piece := client.recv(1 << 20):
        received += piece
    return bytes(received)


def everything_or_reset(client: socket.socket) -> bytes:
    """What could be read until the connection ended, in whichever way."""
    received = bytearray()
    try:
        while piece := client.recv(1 << 20):
            received += piece
    except ConnectionError:
        pass
    return bytes(received)


def get(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: cafpro.example", *headers, "", ""]).encode("latin-1")


def post(path: str, body: bytes, *headers: str) -> bytes:
    return get(path, f"Content-Length: {len(body)}", *headers, method="POST") + body


class Said:
    """One answer, cut where HTTP cuts it."""

    def __init__(self, received: bytes, *, has_body: bool = True) -> None:
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, received[:200]
        self.line, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(self.line.split(" ")[1])
        self.headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
        length = int(dict(self.headers).get("content-length", "0")) if has_body else 0
        self.body, self.rest = rest[:length], rest[length:]
        assert len(self.body) == length

    def __getitem__(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]

    @property
    def shown(self) -> dict[str, str]:
        return json.loads(self.body)


def read_one(client: socket.socket) -> Said:
    """One answer with a length, on a connection that stays."""
    received = bytearray()
    while b"\r\n\r\n" not in received:
        piece = client.recv(65536)
        assert piece, "the server closed"
        received += piece
    head = bytes(received).partition(b"\r\n\r\n")[0]
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(received) < len(head) + 4 + length:
        piece = client.recv(65536)
        assert piece, "the server closed"
        received += piece
    return Said(bytes(received))


def until(condition, seconds=WAIT):
    """Returns once it is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)
