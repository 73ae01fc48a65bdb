"""A connection to a database that stays open, beyond the question it was opened for."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from gateway.loop.loop import is_readable


class Held:
    """A connection that stays open. `file_id` is the device and inode that it reads, None for a server."""

    def __init__(self, connection: Any, file_id: tuple[int, int] | None) -> None:
        self.connection = connection
        self.file_id = file_id
        self.checked_at = time.monotonic()

    def is_ended(self) -> bool:
        """Of a server: whether it has hung up, or said what nobody asked for, which is that it will. Whatever would be
        asked now is not asked."""
        return bool(self.connection.closed) or is_readable(self.connection.fileno())

    def close(self) -> None:
        with suppress(Exception):
            self.connection.close()

    __del__ = close
