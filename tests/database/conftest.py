"""The board on a SQLite file, and on the PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.database.opening import open_database
from tests.database.board import METADATA, Board
from tests.database.server import url

__all__ = ["url"]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    url = f"sqlite:///{tmp_path / 'board.db'}"
    database = open_database(url, METADATA, setting="store.url")
    yield Board(database, url)
    database.close()


@pytest.fixture
def served(url: str) -> Iterator[Board]:
    """The board on the server."""
    database = open_database(url, METADATA, setting="store.url")
    yield Board(database, url)
    database.close()
