"""Ports for whoever must know one before it listens, or comes back to it after a while."""

import contextlib
import itertools
import os
import socket
from typing import Final

_SIDE_BY_SIDE: Final = 4
_TURN: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SIDE_BY_SIDE
_PORTS: Final = itertools.cycle(range(20_000 + _TURN + _SIDE_BY_SIDE * (os.getpid() % 1_000), 32_000, _SIDE_BY_SIDE))
"""Below those that Linux gives to clients."""


def free_port() -> int:
    """A port on which nobody listens, and that the system gives to no client meanwhile, nor a test beside this one."""
    for port in _PORTS:
        with socket.socket() as candidate, contextlib.suppress(OSError):
            candidate.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no end of ports")
