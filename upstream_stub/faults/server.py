"""A server of raw sockets: what it writes is exactly what a fault says, nobody in between to repair it."""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

from flask import Flask

from upstream_stub.app import create_app
from upstream_stub.faults.wire import Fault, ServerClosedError, Wire, head

DOSSIER_PATH = re.compile(r"/dossiers/([0-9]{7})(?:[/?].*)?")
LONGEST_REQUEST = 64 * 1024
PATIENCE = 60.0
"""Seconds a connection may stay idle, or an answer unread."""


class FaultServer:
    """A backend that misbehaves on demand, from construction to `close()`; also a context manager.

    Everything under `/dossiers/{fault's number}` is answered with the fault, every other address as the stub
    does. Connections stay open between requests unless the client or the fault ends them.
    """

    def __init__(self, faults: dict[str, Fault], *, host: str, port: int, slow_seconds: float) -> None:
        self._faults = {fault.number: fault for fault in faults.values()}
        self._slow_seconds = slow_seconds
        self._backend: Flask = create_app()
        self._closing = Event()
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[Thread] = []
        """Those that serve a connection, and some that have ended."""
        self._listener = socket.create_server((host, port), backlog=128)
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"
        self._accepting = Thread(target=self._accept, name="fault-server", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """End every fault under way, every connection, and the port. Returns when all is over."""
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(PATIENCE)
        with self._lock:
            remaining = list(self._open)
        for connection in remaining:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        # All of them: one that has just given its connection back may not have ended.
        for thread in self._threads:
            thread.join(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = Thread(target=self._converse, args=(connection,), name="fault", daemon=True)
            with self._lock:
                self._open.add(connection)
            thread.start()
            self._threads = [*(each for each in self._threads if each.is_alive()), thread]

    def _converse(self, connection: socket.socket) -> None:
        """Answer one request after the other until somebody has had enough."""
        connection.settimeout(PATIENCE)
        try:
            with suppress(OSError, ServerClosedError):
                rest = b""
                while not self._closing.is_set():
                    request, rest = read_request(connection, rest)
                    if not request or not self._answer(connection, request):
                        break
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _answer(self, connection: socket.socket, request: bytes) -> bool:
        """Answer, and tell whether the connection goes on."""
        method, path, headers = parse_request(request)
        if not path.startswith("/"):
            return False
        asked = DOSSIER_PATH.fullmatch(path)
        fault = self._faults.get(asked[1]) if asked else None
        if fault is None:
            connection.sendall(self._ordinary(method, path))
            return headers.get("connection", "").lower() != "close"
        wire = Wire(connection, fault.number, self._closing, self._slow_seconds)
        fault.act(wire)
        return not wire.hung_up and headers.get("connection", "").lower() != "close"

    def _ordinary(self, method: str, path: str) -> bytes:
        with self._backend.test_client() as client:
            answer = client.open(path, method=method)
            lines = [f"{name}: {value}" for name, value in answer.headers]
            return head(answer.status, *lines) + bytes(answer.data)


def read_request(connection: socket.socket, received: bytes) -> tuple[bytes, bytes]:
    """One request's head, and what came after it. Empty when the client left or sends no request."""
    while b"\r\n\r\n" not in received:
        more = connection.recv(8192)
        if not more or len(received) > LONGEST_REQUEST:
            return b"", b""
        received += more
    request, _, rest = received.partition(b"\r\n\r\n")
    return request, rest


def parse_request(request: bytes) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers (names in lower case). Requests with a body are not for this server."""
    first, *lines = request.decode("latin-1").split("\r\n")
    method, _, target = first.partition(" ")
    named = (line.partition(":") for line in lines)
    return method, target.split(" ")[0], {name.strip().lower(): value.strip() for name, _, value in named}


def seconds_from_environment() -> float:
    """How long "slow" is: `UPSTREAM_STUB_SLOW_SECONDS`, 30 where it is not set."""
    return float(os.environ.get("UPSTREAM_STUB_SLOW_SECONDS", "30"))
