"""Connections to PostgreSQL that do not wait for ever.

A server that ends is noticed at once, for it hangs up. One that falls silent, as when the power fails or a firewall
forgets a connection, says nothing: TCP asks again for a quarter of an hour, and behind something that goes on
acknowledging, nobody would ever notice.
"""

from __future__ import annotations

import time
from typing import Any, Final

import psycopg

OPTIONS: Final = {
    "connect_timeout": 3,
    "tcp_user_timeout": 5000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""libpq's, where the URL does not say otherwise: seconds, `tcp_user_timeout` milliseconds."""
LONGEST_SECONDS: Final = 30.0
"""For an answer to any statement. Changes of tables are waited for as long as they take."""


class Patient(psycopg.Connection[Any]):
    """What is not answered within `patience` seconds fails, and the connection is closed. None waits for ever."""

    patience: float | None = LONGEST_SECONDS

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        bound = self.patience if timeout is None else timeout
        began = time.monotonic()
        try:
            return super().wait(gen, interval, bound)
        except psycopg.OperationalError:
            if bound is not None and time.monotonic() - began >= bound:
                # The answer may come yet, and would be taken for that of another question.
                self.pgconn.finish()
            raise
