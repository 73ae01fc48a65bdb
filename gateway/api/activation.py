"""`POST /-/activation`: an agent chooses a password with the link that an administrator made."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import Blueprint

from gateway.api.answering import add_address, hold_refusal
from gateway.api.bodies import read_json
from gateway.identity import activation, links
from gateway.identity.refusals import LinkRefused
from gateway.proxy.answers import Answer, Exit
from gateway.proxy.identify import Reception
from gateway.proxy.parse import query
from gateway.record.entry import Entry


class Activate(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /-/activation`. `token` is what stands behind the `#` of the link."""

    token: str
    password: str


@dataclass(frozen=True, slots=True)
class ActivationApi:
    """What `/-/activation` needs."""

    reception: Reception
    exit: Exit

    def blueprint(self) -> Blueprint:
        """The Flask route."""
        routes = Blueprint("activation", __name__)
        add_address(routes, self.exit, "POST", links.ADDRESS, self.activate)
        return routes

    def activate(self, environ: dict[str, Any], entry: Entry) -> Answer:
        """204; the agent logs in with the new password. A link that is refused counts as a failed log-in of this
        address, and is answered when a refused log-in would be."""
        entry.act = "activate"
        begun = time.monotonic()
        self.reception.limits.admit_address(entry.address)
        self.reception.door.check_host(environ)
        self.reception.door.check_origin(environ)
        query(environ)
        asked = read_json(environ, Activate)
        self.reception.admit_attempt(entry)
        try:
            entry.agent = activation.activate(
                self.reception.store, token=asked.token, password=asked.password, now=entry.at
            )
        except LinkRefused as refusal:
            entry.agent = refusal.identifier
            self.reception.attempt_failed(entry)
            hold_refusal(environ, begun)
            raise
        return Answer(204, b"")
