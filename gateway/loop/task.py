"""What runs in a loop and may wait: a greenlet, so that it is never compiled (`gateway/deploy/wheel.py`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from greenlet import greenlet

from gateway.logs import get_logger

if TYPE_CHECKING:
    from gateway.loop.loop import Loop

_log = get_logger()


class Task(greenlet):
    """One does many works in turn: making one costs as much as a small work."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(self._serve, loop.hub)
        self.loop = loop
        self.work: Callable[[], object]

    def _serve(self) -> None:
        while True:
            try:
                self.work()
            except Exception as fault:  # noqa: BLE001 - one work's failure must not end the loop
                tell("task failed", fault)
            del self.work
            self.gr_context = None  # context variables are the work's, not the task's
            self.loop.idle.append(self)
            self.loop.hub.switch()


def tell(event: str, fault: BaseException) -> None:
    """Log a failure by its kind. A log that cannot be written must not cost a loop."""
    with suppress(Exception):
        _log.error(event, kind=type(fault).__name__, number=getattr(fault, "errno", None))
