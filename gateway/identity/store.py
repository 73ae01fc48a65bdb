"""The directory's database."""

from __future__ import annotations

from gateway.database.connections import Database
from gateway.database.opening import open_database
from gateway.identity.tables import METADATA

Store = Database
"""One process's access to the directory, shared by its threads."""


def open_store(url: str) -> Store:
    """The directory at `url`, its tables made where there are none: see `open_database`."""
    return open_database(url, METADATA, setting="store.url")
