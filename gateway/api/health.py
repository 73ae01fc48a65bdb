"""`/-/health/live` and `/-/health/ready`, for machines. They say nothing about anyone and are not recorded.

Whoever bears the scrape token is told the fingerprint of the policies in force too, so that an operator sees which ones
they are. A stranger is not: when it changes, rights have changed. That a changed folder is not in force, and of what
kind the reason is, everyone is told, since a probe bears no token; the sentences, only who bears it.

Nobody limits them, so they cost next to nothing: no thread, but for the one that probes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from gateway.policy_files.board import Standing
from gateway.policy_files.folder import InForce
from gateway.proxy.answers import Answer, Headers

REMEMBERED_SECONDS: Final = 0.5
"""Being asked often must not keep the store busy."""
_JSON: Final = ("Content-Type", "application/json")


class Health:
    """Ready means: policies loaded, store writable, record writable."""

    def __init__(
        self,
        *,
        policies: Callable[[], InForce],
        standing: Callable[[], Standing],
        probes: Mapping[str, Callable[[], None]],
        bears_token: Callable[[Mapping[str, Any]], bool],
        aside: Callable[[Callable[[], list[str]]], list[str]],
        headers: Headers,
    ) -> None:
        """`standing` tells how the folder stands to the policies in force; `bears_token`, of a request (PEP 3333),
        whether it may know which these are. `aside` does in a thread what blocks. `headers` are those of every
        answer."""
        self._policies = policies
        self._standing = standing
        self._probes = probes
        self._bears_token = bears_token
        self._headers = (_JSON, *headers)
        self._live = Answer(200, msgspec.json.encode({"status": "live"}), self._headers)
        self._aside = aside
        self._probing = False
        self._asked = float("-inf")
        self._failing = list(probes)

    def live(self, _: Mapping[str, Any]) -> Answer:
        """The process answers."""
        return self._live

    def ready(self, environ: Mapping[str, Any]) -> Answer:
        """200 when requests can be answered, else 503 with the names of what fails. For the tasks of one loop."""
        # One caller probes at a time, the others are told the last result: nobody else waits here.
        if time.monotonic() - self._asked > REMEMBERED_SECONDS and not self._probing:
            self._probing = True
            try:
                self._failing = self._aside(self._probed)
                self._asked = time.monotonic()
            finally:
                self._probing = False
        failing = self._failing
        state: dict[str, Any] = {"status": "not ready" if failing else "ready"}
        standing = self._standing()
        if standing.stale:
            state["stale"] = standing.stale
        if self._bears_token(environ):
            state["policy"] = self._policies().fingerprint
            if standing.stale:
                state["stale_since"] = int(standing.since)
                state["because"] = standing.because
        shown = {**state, "failing": failing} if failing else state
        return Answer(503 if failing else 200, msgspec.json.encode(shown), self._headers)

    def _probed(self) -> list[str]:
        return [name for name, probe in self._probes.items() if _fails(probe)]


def _fails(probe: Callable[[], None]) -> bool:
    try:
        probe()
    except Exception:  # noqa: BLE001 - any failure at all means not ready
        return True
    return False
