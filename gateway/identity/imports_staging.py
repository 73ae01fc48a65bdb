"""Where the rows of an import wait until all of them are known to be right: not in the directory, whose writers would
wait, and not in memory, where they are many. Of a file without a name, so that nothing of them outlives the process.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_AT_ONCE: Final = 5_000


class Staging:
    """A context. What is in it goes when it is left."""

    def __init__(self, columns: int) -> None:
        names = ", ".join(f"c{number}" for number in range(columns))
        self._table = f"CREATE TABLE entry ({names})"
        self._insert = f"INSERT INTO entry VALUES ({', '.join('?' * columns)})"  # noqa: S608 - our own text

    def __enter__(self) -> Staging:
        # A database without a name is SQLite's own, written to the disk where the memory given to it is full. Nothing
        # here need survive anything.
        self._kept = sqlite3.connect("", isolation_level=None)
        self._kept.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;"
            "CREATE TABLE known (key TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID;"
            f"{self._table}; BEGIN;"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def lines_of(self, keys: Mapping[str, int]) -> dict[str, int]:
        """Of the keys that came before, the line on which each did; the others are known from now on, by theirs."""
        marked = {_mark(key): key for key in keys}
        query = "SELECT key, line FROM known WHERE key IN (SELECT value FROM json_each(?))"
        before = {marked[mark]: line for mark, line in self._kept.execute(query, (json.dumps(list(marked)),))}
        fresh = [(mark, keys[key]) for mark, key in marked.items() if key not in before]
        self._kept.executemany("INSERT INTO known VALUES (?, ?)", fresh)
        return before

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        self._kept.executemany(self._insert, rows)

    def rows(self) -> Iterator[list[tuple[Any, ...]]]:
        """All of them in their order, some thousands at a time."""
        found = self._kept.execute("SELECT * FROM entry ORDER BY rowid")
        while some := found.fetchmany(_AT_ONCE):
            yield some


def _mark(key: str) -> str:
    """Shorter than a key, and as good as unique."""
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
