"""The directory's database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from gateway.database.connections import BUSY_MS, Database
from gateway.database.history import DIRECTORY
from gateway.database.opening import open_database
from gateway.identity.tables import METADATA

Store = Database
"""One process's access to the directory, shared by its threads."""


class Changing(Protocol):
    """What a function needs that makes one change of the directory, in one transaction: the store itself, or one that
    looks first at who may."""

    def change(self, *, wait_ms: int = ...) -> AbstractContextManager[Connection]:
        """See `Database.change`."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """The directory, each change of which begins with `admit`, in its transaction: that raises where it may not be."""

    store: Store
    admit: Callable[[Connection], None]

    @contextmanager
    def change(self, *, wait_ms: int = BUSY_MS) -> Iterator[Connection]:
        with self.store.change(wait_ms=wait_ms) as connection:
            self.admit(connection)
            yield connection

    def read(self) -> AbstractContextManager[Connection]:
        """See `Database.read`."""
        return self.store.read()


def open_store(url: str, *, make: bool = True) -> Store:
    """The directory at `url`, made where there is none unless `make` forbids it, and refused at another revision than
    this version's: see `open_database`. Whoever serves it has it already: there, a file that is gone is being restored
    or a disk is not mounted, and an empty directory in its place would know nobody.
    """
    return open_database(url, METADATA, setting="store.url", history=DIRECTORY, make=make)
