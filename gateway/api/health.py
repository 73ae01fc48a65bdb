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
PROBE_SECONDS: Final = 3.0
"""Probes that take longer fail, whatever they come to."""
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
        aside: Callable[[Callable[[], None], float], None],
        headers: Headers,
    ) -> None:
        """`standing` tells how the folder stands to the policies in force; `bears_token`, of a request (PEP 3333),
        whether it may know which these are. `aside` does in a thread what blocks, and is waited for for so many
        seconds (`Aside.do`). `headers` are those of every answer."""
        self._policies = policies
        self._standing = standing
        self._probes = probes
        self._bears_token = bears_token
        self._headers = (_JSON, *headers)
        self._live = Answer(200, msgspec.json.encode({"status": "live"}), self._headers)
        self._aside = aside
        self._probing = ""
        """The name of the probe under way, or nothing."""
        self._began = 0.0
        self._found: list[str] = []
        """What has failed so far."""
        self._asked = float("-inf")
        self._failing = list(probes)

    def live(self, _: Mapping[str, Any]) -> Answer:
        """The process answers."""
        return self._live

    def ready(self, environ: Mapping[str, Any]) -> Answer:
        """200 when requests can be answered, else 503 with the names of what fails. For the tasks of one loop."""
        # One caller probes at a time, the others are told the last result: nobody else waits here.
        moment = time.monotonic()
        if moment - self._asked > REMEMBERED_SECONDS and not self._probing:
            self._began, self._found, self._probing = moment, [], next(iter(self._probes))
            late = False
            try:
                self._aside(self._probe, PROBE_SECONDS)
            except TimeoutError:
                late = True
            except RuntimeError:
                # A machine that has no thread left answers nobody else either.
                self._failing, self._probing = list(self._probes), ""
        else:
            late = moment - self._began > PROBE_SECONDS
        probing = self._probing
        if probing and late:
            self._failing = [*self._found, probing]
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

    def _probe(self) -> None:
        # What follows is this thread's to say: whoever asked may have gone.
        try:
            for name, probe in self._probes.items():
                self._probing = name
                if _fails(probe) or time.monotonic() - self._began > PROBE_SECONDS:
                    self._found.append(name)
            self._failing, self._asked = self._found, time.monotonic()
        finally:
            self._probing = ""


def _fails(probe: Callable[[], None]) -> bool:
    try:
        probe()
    except Exception:  # noqa: BLE001 - any failure at all means not ready
        return True
    return False
