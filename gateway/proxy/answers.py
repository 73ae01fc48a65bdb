"""What goes out, and the one exit through which it goes: refusals and faults become problems, and nothing leaves
without its record.
"""

from __future__ import annotations

import os
import secrets
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from gateway.errors import Fault, RecordUnavailable, Refusal
from gateway.logs import get_logger
from gateway.metrics.counts import Row
from gateway.record.entry import Entry
from gateway.record.recorder import Recorder

Headers = tuple[tuple[str, str], ...]

ALWAYS_SENT: Final[Headers] = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
HSTS: Final = ("Strict-Transport-Security", "max-age=31536000")

STATUS_LINES: Final[Mapping[int, str]] = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

_log = get_logger()


class Answer(NamedTuple):
    """A whole answer but for the headers that every answer has."""

    status: int
    body: bytes
    headers: Headers = ()


def new_entry(environ: Mapping[str, Any]) -> Entry:
    """The record's line of a request that has just reached the application."""
    return Entry(_ids.fresh(), datetime.now(UTC), environ.get("REMOTE_ADDR", ""))


class _Ids:
    """Request ids: 96 random bits each, drawn for many at once. Not shared with a child process."""

    def __init__(self) -> None:
        self._drawn: list[str] = []
        os.register_at_fork(after_in_child=self._drawn.clear)

    def fresh(self) -> str:
        try:
            return self._drawn.pop()
        except IndexError:
            digits = secrets.token_hex(12 * 256)
            self._drawn += [digits[at : at + 24] for at in range(0, len(digits), 24)]
            return self._drawn.pop()


_ids: Final = _Ids()


def fresh_id() -> str:
    """A request id that nobody has had."""
    return _ids.fresh()


def always_sent(*, secure: bool) -> Headers:
    """The headers of every answer, from a public address that is https where `secure`."""
    return (*ALWAYS_SENT, HSTS) if secure else ALWAYS_SENT


def problem(refusal: Refusal, request_id: str) -> Answer:
    """A refusal as RFC 9457 problem+json, named in Proxy-Status (RFC 9209) too."""
    body = msgspec.json.encode(
        {
            "type": f"urn:cafpro:problem:{refusal.shown}",
            "title": refusal.title,
            "status": refusal.status,
            "detail": refusal.said,
            "code": refusal.shown,
            "request_id": request_id,
            **refusal.more,
        }
    )
    headers = (
        ("Content-Type", "application/problem+json"),
        ("Proxy-Status", f"cafpro; error={refusal.proxy_error}; details={refusal.shown}"),
        *refusal.headers,
    )
    return Answer(refusal.status, body, headers)


class Exit:
    """The one way out."""

    def __init__(self, recorder: Recorder, row: Row, *, secure: bool) -> None:
        self._recorder = recorder
        self._row = row
        self._headers = always_sent(secure=secure)

    def leave(self, entry: Entry, work: Callable[[Entry], Answer]) -> Answer:
        """The answer of `work`, or the problem that says why there is none, once the record of it is durable. A refusal
        that is not recorded says nothing of anyone, and is counted with what was turned away."""
        begun = time.perf_counter()
        try:
            answer = work(entry)
            entry.status = answer.status
        except Refusal as refusal:
            answer = self._refused(entry, refusal)
            if not refusal.recorded:
                self._row.turned_away()
                return self._whole(answer, entry)
        except Exception as fault:  # noqa: BLE001 - a fault is a refusal too; this is the one place
            _log.error("fault", request_id=entry.request_id, kind=type(fault).__name__, at=_places(fault))
            answer = self._refused(entry, Fault(type(fault).__name__))
        try:
            self._recorder.append(entry)
        except Exception as fault:  # noqa: BLE001 - whatever kept the record from being written keeps the answer in
            unrecorded = fault if isinstance(fault, RecordUnavailable) else RecordUnavailable(type(fault).__name__)
            answer = self._refused(entry, unrecorded)
        self._row.answered(answer.status, entry.code, time.perf_counter() - begun)
        return self._whole(answer, entry)

    def _whole(self, answer: Answer, entry: Entry) -> Answer:
        return Answer(answer.status, answer.body, (*answer.headers, ("X-Request-Id", entry.request_id), *self._headers))

    def _refused(self, entry: Entry, refusal: Refusal) -> Answer:
        entry.refused(refusal)
        if refusal.status >= 500:
            _log.warning("refused", request_id=entry.request_id, code=refusal.code, because=refusal.because)
        return problem(refusal, entry.request_id)


def _places(fault: Exception) -> list[str]:
    """Where a fault came from. Not its text: it may quote a dossier, a number or a password."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(fault.__traceback__)[-8:]]
