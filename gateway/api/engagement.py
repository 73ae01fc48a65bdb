"""`/-/engagement`: the personal engagement, to be read and accepted before the first dossier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from flask import Blueprint
from msgspec import Meta

from gateway.api.answering import add_address, as_json
from gateway.api.bodies import read_json
from gateway.identity import engagement
from gateway.identity.engagement import Wording
from gateway.proxy.answers import Answer, Exit
from gateway.proxy.credentials import csrf_token
from gateway.proxy.identify import Reception
from gateway.proxy.parse import query
from gateway.record.entry import Entry

ADDRESS: Final = "/-/engagement"


class Accept(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /-/engagement`: the version that the agent has read."""

    version: Annotated[str, Meta(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class EngagementApi:
    """What `/-/engagement` needs."""

    reception: Reception
    wording: Wording
    exit: Exit

    def blueprint(self) -> Blueprint:
        """The Flask routes."""
        routes = Blueprint("engagement", __name__)
        for method, work in (("GET", self.read), ("POST", self.accept)):
            add_address(routes, self.exit, method, ADDRESS, work)
        return routes

    def read(self, environ: Mapping[str, Any], entry: Entry) -> Answer:
        """The text in force, its version, and whether this agent has accepted it."""
        entry.act = "engagement"
        agent, credentials, _ = self.reception.identify(environ, entry)
        self.reception.door.check_host(environ)
        query(environ)
        shown = {
            "version": self.wording.version,
            "text": self.wording.text,
            "state": agent.engagement,
            "csrf_token": csrf_token(credentials.token),
        }
        return as_json(200, shown)

    def accept(self, environ: Mapping[str, Any], entry: Entry) -> Answer:
        """204; from now on the agent's engagement is signed."""
        entry.act = "engage"
        agent, credentials, _ = self.reception.identify(environ, entry)
        self.reception.door.check_host(environ)
        self.reception.door.check_change(environ, credentials)
        query(environ)
        asked = read_json(environ, Accept)
        engagement.accept(self.reception.store, self.wording, agent, version=asked.version, now=entry.at)
        return Answer(204, b"")
