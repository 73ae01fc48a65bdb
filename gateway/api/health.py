"""`/-/health/live` and `/-/health/ready`, for machines. They say nothing about anyone and are not recorded.

Whoever bears the scrape token is told the fingerprint of the policies in force too, so that an operator sees which ones
they are. A stranger is not: when it changes, rights have changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from flask import Blueprint, Response, request

from gateway.policy_files.folder import InForce
from gateway.proxy.answers import ALWAYS_SENT

REMEMBERED_SECONDS: Final = 0.5
"""Being asked often must not keep the store busy."""


class Health:
    """Ready means: policies loaded, store writable, record writable."""

    def __init__(
        self,
        *,
        policies: Callable[[], InForce],
        probes: Mapping[str, Callable[[], None]],
        bears_token: Callable[[Mapping[str, Any]], bool],
    ) -> None:
        """`bears_token` tells of a request (PEP 3333) whether it may know which policies are in force."""
        self._policies = policies
        self._probes = probes
        self._bears_token = bears_token
        self._probing = threading.Lock()
        self._asked = float("-inf")
        self._failing = list(probes)

    def blueprint(self) -> Blueprint:
        """The Flask routes."""
        routes = Blueprint("health", __name__)
        for name, view in (("live", self.live), ("ready", self.ready)):
            routes.add_url_rule(f"/-/health/{name}", name, view, provide_automatic_options=False)
        return routes

    def live(self) -> Response:
        """The process answers."""
        return _json(200, {"status": "live"})

    def ready(self) -> Response:
        """200 when requests can be answered, else 503 with the names of what fails."""
        # One caller probes at a time, the others are told the last result: waiting here must not hold threads.
        if time.monotonic() - self._asked > REMEMBERED_SECONDS and self._probing.acquire(blocking=False):
            try:
                self._failing = [name for name, probe in self._probes.items() if _fails(probe)]
                self._asked = time.monotonic()
            finally:
                self._probing.release()
        failing = self._failing
        state: dict[str, Any] = {"status": "not ready" if failing else "ready"}
        if self._bears_token(request.environ):
            state["policy"] = self._policies().fingerprint
        return _json(503 if failing else 200, {**state, "failing": failing} if failing else state)


def _fails(probe: Callable[[], None]) -> bool:
    try:
        probe()
    except Exception:  # noqa: BLE001 - any failure at all means not ready
        return True
    return False


def _json(status: int, shown: object) -> Response:
    return Response(msgspec.json.encode(shown), status, [("Content-Type", "application/json"), *ALWAYS_SENT])
