"""How our own addresses answer: each by one function, through the one exit, as Flask sends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
from flask import Blueprint, Response, request

from gateway.proxy.answers import Answer, Exit, new_entry

REFUSED_EVERY: Final = 0.25
"""Seconds. A log-in or an activation that is refused is answered at the end of such a piece of time since it came, so
that nobody sees how long each reason took: to note the failure of an account that exists takes a write."""
_REFUSED_SINCE: Final = "cafpro.refused_since"


def add_address(
    routes: Blueprint, exit: Exit, method: str, address: str, work: Callable[..., Answer], *, name: str = ""
) -> None:
    """Have `work` answer this method of this address, which Flask calls `name`: it gets the request's environment, its
    entry in the record, and what `address` names between `<` and `>`."""

    def view(**named: str) -> Response:
        return as_flask(exit.leave(new_entry(request.environ), partial(work, request.environ, **named)))

    routes.add_url_rule(
        address, name or getattr(work, "__name__", None), view, methods=[method], provide_automatic_options=False
    )


def as_flask(answer: Answer) -> Response:
    """The answer as Flask sends it: with the content type that it has, or none."""
    response = Response(answer.body, answer.status, list(answer.headers))
    if not any(name.lower() == "content-type" for name, _ in answer.headers):
        response.headers.pop("Content-Type", None)
    return response


def as_json(status: int, shown: object, *headers: tuple[str, str]) -> Answer:
    """An answer in JSON."""
    return Answer(status, msgspec.json.encode(shown), (("Content-Type", "application/json"), *headers))


def instant(seconds: int) -> str:
    """An instant (seconds since 1970, UTC) as it is told."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hold_refusal(environ: dict[str, Any], begun: float) -> None:
    """Have the answer to this request, which came at `begun` on the monotonic clock, held back (`REFUSED_EVERY`)."""
    environ[_REFUSED_SINCE] = begun


def seconds_to_hold(environ: Mapping[str, Any]) -> float:
    """How long the answer to this request is to be held back: 0 for all but what `hold_refusal` was asked for."""
    since = environ.get(_REFUSED_SINCE)
    return 0.0 if since is None else (since - time.monotonic()) % REFUSED_EVERY
