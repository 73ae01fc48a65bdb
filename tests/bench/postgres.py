"""A PostgreSQL of our own, on the core of what is not measured. It commits durably."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from tests.bench.processes import OTHER_CORE
from tests.database.server import serving

_SETTINGS: Final = "max_connections = 200\nshared_buffers = '256MB'\n"


@contextlib.contextmanager
def postgresql(*databases: str) -> Iterator[list[str]]:
    """The URLs of empty databases of these names, as the gateway's settings take them."""
    with serving(_SETTINGS, pinned=("taskset", "-c", OTHER_CORE)) as server:
        yield [server.database(name) for name in databases]
