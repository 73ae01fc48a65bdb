"""How a running gateway is told to look at its policies now, and tells what became of it.

A Unix socket without a file, named after the configuration: it is there as long as the gateway is, nothing is left
behind, and nobody has to find out which process to signal. Each side asks the system who the other is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
from collections.abc import Set
from pathlib import Path
from typing import Final

import msgspec

from gateway.structs import prepared

PATIENCE_SECONDS: Final = 300.0
"""How long whoever asks waits for the outcome: a check, and every worker."""
_LARGEST: Final = 1024 * 1024
_ROOT: Final = 0


class Outcome(msgspec.Struct, frozen=True):
    """What became of it."""

    result: str
    """`in_force`; `unchanged`, where it was already; or one of `watching.REASONS`."""
    policy: str
    """The fingerprint of what is in force now."""
    workers: int = 0
    """How many decide by it."""
    because: tuple[str, ...] = ()


class NotRunning(Exception):
    """No gateway of this configuration runs here."""


class Foreign(Exception):
    """Whoever answers is not trusted: a process of another user."""

    def __init__(self, process: int, user: int) -> None:
        super().__init__(process, user)
        self.process, self.user = process, user


class Control:
    """The gateway's side. One process's."""

    def __init__(self, configuration: Path) -> None:
        self._address = _address(configuration)
        self._listener: socket.socket | None = None

    def open(self) -> bool:
        """Be there. False where another gateway of the same configuration is."""
        if self._listener is None:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.bind(self._address)
            except OSError:
                listener.close()
                return False
            listener.listen(8)
            listener.setblocking(False)
            self._listener = listener
        return True

    def fileno(self) -> int:
        """Readable when somebody asks; -1 while it is not open."""
        return self._listener.fileno() if self._listener else -1

    def close(self) -> None:
        """Be there no more."""
        if self._listener:
            self._listener.close()
            self._listener = None

    def asked(self) -> list[socket.socket]:
        """Those who ask now: root's and this user's own."""
        asking = []
        while self._listener:
            try:
                one, _ = self._listener.accept()
            except OSError:
                break
            if _who(one)[1] in (_ROOT, os.geteuid()):
                asking.append(one)
            else:
                one.close()
        return asking


def tell(asking: socket.socket, outcome: Outcome) -> None:
    """The outcome, to one who asked. One who has gone, or does not listen, is not waited for."""
    with asking, contextlib.suppress(OSError):
        asking.settimeout(1.0)
        asking.sendall(msgspec.json.encode(outcome))


def ask(configuration: Path, trusted: Set[int], *, seconds: float = PATIENCE_SECONDS) -> Outcome:
    """Have the gateway of this configuration look at its policies now, and wait for what becomes of it.

    `trusted` are the users, by number, as whom it may run, root besides. Raises `NotRunning`, `Foreign`, or
    `TimeoutError`.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(_address(configuration))
        except OSError:
            raise NotRunning from None
        process, user = _who(asking)
        if user not in {_ROOT, *trusted}:
            raise Foreign(process, user)
        asking.settimeout(seconds)
        received = b""
        try:
            while (piece := asking.recv(65_536)) and len(received) < _LARGEST:
                received += piece
            return msgspec.json.decode(received, type=prepared(Outcome))
        except TimeoutError:
            raise
        except (OSError, msgspec.DecodeError):
            # It ended meanwhile, or we are not of those whom it listens to.
            raise NotRunning from None


def _address(configuration: Path) -> bytes:
    name = hashlib.sha256(os.fsencode(configuration.resolve())).hexdigest()
    return b"\0cafpro-policies-" + name[:32].encode()


def _who(connected: socket.socket) -> tuple[int, int]:
    """The process and the user at the other end, as the system knows them."""
    size = struct.calcsize("3i")
    process, user, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return process, user
