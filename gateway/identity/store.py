"""The directory's database."""

from __future__ import annotations

from gateway.database.connections import Database
from gateway.database.history import DIRECTORY
from gateway.database.opening import open_database
from gateway.identity.tables import METADATA

Store = Database
"""One process's access to the directory, shared by its threads."""


def open_store(url: str) -> Store:
    """The directory at `url`, made where there is none, and refused at another revision than this version's: see
    `open_database`.
    """
    return open_database(url, METADATA, setting="store.url", history=DIRECTORY)
