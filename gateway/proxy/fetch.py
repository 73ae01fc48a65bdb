"""Fetch one answer of the existing backend, whole, or refuse it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import requests

from gateway.errors import NoSuchDossier, Refusal, UpstreamLate, UpstreamNotUnderstood, UpstreamUnreachable
from gateway.logs import get_logger
from gateway.metrics.counts import Row
from gateway.metrics.layout import Outcome
from gateway.proxy.breaker import Breaker, State
from gateway.proxy.exchange import Question, UpstreamAnswer
from gateway.proxy.failures import MalformedAnswer, NothingLeft
from gateway.proxy.transport import TransportAdapter
from gateway.settings import Upstream

NOBODY_BEHIND: Final = (502, 503, 504)
"""What a balancer in front of a backend answers when there is none behind it, and a backend that has too much to do.
Any other status, 500 and 404 among them, is the answer of a backend that lives."""

SAID: Final = {
    State.OPEN: "the backend is left alone: it failed too often in a row",
    State.HALF_OPEN: "the backend is tried again",
    State.CLOSED: "the backend answers again",
}

_log = get_logger()


class Document(NamedTuple):
    """What the backend sent: the value of its Content-Type, None where it has none, and its body."""

    content_type: str | None
    body: bytes


class Backend:
    """The one way to the existing backend."""

    def __init__(self, upstream: Upstream, row: Row | None = None) -> None:
        """Exchanges are counted in `row`, where there is one."""
        self._row = row
        self.breaker = Breaker(
            failures=upstream.breaker_failures, seconds=upstream.breaker_seconds, changed=self._tell_breaker
        )
        self._base = upstream.url.rstrip("/")
        self._adapter = TransportAdapter(
            deadline_seconds=upstream.deadline_seconds,
            connect_seconds=upstream.connect_seconds,
            size_limit=upstream.size_limit,
            ca=upstream.ca,
            client_certificate=upstream.client_certificate,
            client_key=upstream.client_key,
        )

    def fetch(
        self, path: str, headers: Mapping[str, str], *, alone: bool = False, about: str | None = None
    ) -> Document:
        """The document at `path` (rebuilt by us, with its query), asked for on a connection of its own where `alone`.

        `about` is what a failure may be the fault of: the dossier; the path, where nothing is said. Raises
        `NoSuchDossier` (404), `UpstreamLate`, `UpstreamUnreachable`, `UpstreamResting` where it failed so often that it
        is not asked now, or `UpstreamNotUnderstood` for any other status than 200, an encoding nobody asked for, or two
        content types. No refusal holds anything of the answer.
        """
        answer = self._ask(path, headers, alone=alone, about=about or path)
        if answer.status_code == 404:
            raise NoSuchDossier("the backend answered 404")
        if answer.status_code != 200:
            raise UpstreamNotUnderstood(f"the backend answered {answer.status_code}")
        types: list[str] = []
        for name, value in answer.fields:
            if name == "content-type":
                types.append(value)
            elif name == "content-encoding" and value.lower() != "identity":
                raise UpstreamNotUnderstood("an encoding nobody asked for")
        if len(types) > 1:
            raise UpstreamNotUnderstood("two content types")
        return Document(types[0] if types else None, answer.content)

    def _ask(self, path: str, headers: Mapping[str, str], *, alone: bool, about: str) -> UpstreamAnswer:
        """The exchange, where the breaker lets it begin; how it ends is told to the breaker, whatever happens."""
        moment = self.breaker.begin(about)
        alive: bool | None = None
        try:
            answer = self._exchange(path, headers, alone=alone)
            alive = answer.status_code not in NOBODY_BEHIND
            return answer
        except _FAILURES as error:
            # What this machine lacked says nothing about the backend.
            alive = None if isinstance(error, NothingLeft) else isinstance(error, MalformedAnswer)
            raise _refusal_of(error) from None
        finally:
            self.breaker.ended(moment, about, alive=alive)

    def _tell_breaker(self, state: State) -> None:
        if self._row is not None:
            self._row.breaker(state.value)
        _log.warning(SAID[state])

    def reachable(self) -> str | None:
        """None when something answers HTTP at the backend's address; otherwise what went wrong, in words. The breaker
        is not asked, and learns nothing."""
        try:
            self._exchange("/", {})
        except _FAILURES as error:
            return _refusal_of(error).because
        return None

    def _exchange(self, path: str, headers: Mapping[str, str], *, alone: bool = False) -> UpstreamAnswer:
        """Whatever the backend answered. Raises one of `_FAILURES`."""
        question = Question(self._base + path, {**headers, "Accept-Encoding": "identity"}, alone=alone)
        begun = time.perf_counter()
        outcome: Outcome = "not_understood"
        try:
            answer = self._adapter.exchange(question)
            outcome = "answered"
            return answer
        except requests.Timeout:
            outcome = "late"
            raise
        except requests.ConnectionError:
            outcome = "unreachable"
            raise
        finally:
            if self._row is not None:
                self._row.fetched(outcome, time.perf_counter() - begun)

    def close(self) -> None:
        """Closes idle connections."""
        self._adapter.close()


_FAILURES: Final = (requests.Timeout, requests.ConnectionError, MalformedAnswer)
"""How an exchange ends that brings no answer."""


def _refusal_of(error: requests.RequestException) -> Refusal:
    if isinstance(error, requests.Timeout):
        return UpstreamLate("the deadline passed")
    if isinstance(error, MalformedAnswer):
        return UpstreamNotUnderstood(str(error))
    return UpstreamUnreachable(str(error))
