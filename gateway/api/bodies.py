"""Read a request's body without letting a client that never sends it hold the threads that consult.

The server's read has no time limit. It runs in a thread of its own; the request waits for it a few seconds and then
answers 408. Few requests may wait for a body at a time, so that however many clients announce one and stay silent,
most threads go on serving those who announce none.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import BadRequest, BodyLate, BodyTooLarge, Busy

ABANDONED_AT_MOST: Final = 256
"""Threads left reading from clients that hold their connection open without sending. Each costs only its stack."""


class Bodies:
    """Reads bodies for a process of `threads` request threads: a quarter of them may wait for one at a time."""

    def __init__(self, *, threads: int, seconds: float) -> None:
        self._waiting = threading.BoundedSemaphore(max(1, threads // 4))
        self._readers = threading.BoundedSemaphore(ABANDONED_AT_MOST)
        self._seconds = seconds

    def read(self, environ: Mapping[str, Any], *, limit: int) -> bytes:
        """The whole body. Raises `BodyTooLarge` beyond `limit` bytes, `BodyLate`, `Busy`, or `BadRequest`."""
        announced = _announced(environ)
        if announced is not None and announced > limit:
            raise BodyTooLarge(f"more than {limit} bytes announced")
        if not self._waiting.acquire(blocking=False):
            raise Busy("too many bodies are awaited")
        try:
            body = self._arrived(environ["wsgi.input"], limit)
        finally:
            self._waiting.release()
        if len(body) > limit:
            raise BodyTooLarge(f"more than {limit} bytes")
        if announced is not None and len(body) != announced:
            raise BadRequest("the body broke off")
        return body

    def _arrived(self, stream: Any, limit: int) -> bytes:
        if not self._readers.acquire(blocking=False):
            raise Busy("too many bodies never came")
        done = threading.Event()
        outcome: list[bytes] = []

        def read() -> None:
            try:
                outcome.append(stream.read(limit + 1))
            except Exception:  # noqa: BLE001 - however the connection ended, the body did not arrive
                outcome.clear()
            finally:
                self._readers.release()
                done.set()

        threading.Thread(target=read, name="body", daemon=True).start()
        if not done.wait(self._seconds):
            raise BodyLate("the announced body did not arrive")
        if not outcome:
            raise BadRequest("the connection broke off")
        return outcome[0]


def _announced(environ: Mapping[str, Any]) -> int | None:
    text = str(environ.get("CONTENT_LENGTH", ""))
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadRequest("a length that is not a number")
    return int(text)
