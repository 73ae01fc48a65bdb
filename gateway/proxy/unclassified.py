"""Counts the parts of backend answers that no pointer of the route table names: withheld, and a sign of change."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from gateway.logs import get_logger

PATHS_KEPT: Final = 1_000

_log = get_logger()


class Unclassified:
    """Counts (route, path) pairs, never values. Each is logged the first time it is met."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def __call__(self, route: str, paths: tuple[str, ...]) -> None:
        """Counts these paths of an answer of `route`.

        Once `PATHS_KEPT` are known, new ones are neither kept nor logged: whoever invents names must not fill the log.
        """
        for path in paths:
            with self._lock:
                known = (route, path) in self._counts
                kept = known or len(self._counts) < PATHS_KEPT
                if kept:
                    self._counts[route, path] += 1
            if kept and not known:
                _log.warning("not classified, withheld", route=route, path=path)

    def counts(self) -> dict[tuple[str, str], int]:
        """How many answers held each path."""
        with self._lock:
            return dict(self._counts)
