"""`/-/sessions`: the agent's own open sessions, shown, and ended one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint

from gateway.api.answering import add_address, as_json, instant
from gateway.errors import HeldElsewhere
from gateway.identity import own_sessions
from gateway.proxy.answers import Answer, Exit
from gateway.proxy.credentials import csrf_token
from gateway.proxy.identify import Caller, Reception, is_federated
from gateway.proxy.parse import query
from gateway.record.entry import Entry

ADDRESS: Final = "/-/sessions"
ONE: Final = f"{ADDRESS}/{{session}}"


@dataclass(frozen=True, slots=True)
class OwnSessionsApi:
    """What the two addresses need."""

    reception: Reception
    exit: Exit

    def blueprint(self) -> Blueprint:
        """The Flask routes."""
        routes = Blueprint("own_sessions", __name__)
        add_address(routes, self.exit, "GET", ADDRESS, self.show)
        add_address(routes, self.exit, "DELETE", ONE.replace("{session}", "<session>"), self.end)
        return routes

    def show(self, environ: Mapping[str, Any], entry: Entry) -> Answer:
        """The sessions that are open now, the last used first, and which of them asks."""
        entry.act = "sessions"
        agent, credentials, _ = self._identify(environ, entry)
        found = own_sessions.own_sessions(
            self.reception.store, self.reception.rules, agent, credentials.token, now=entry.at
        )
        shown = {
            "sessions": [
                {
                    "id": one.id,
                    "opened_at": instant(one.opened_at),
                    "seen_at": instant(one.seen_at),
                    "expires_at": instant(one.expires_at),
                    "profile": one.profile or None,
                    "assurance": one.assurance,
                    "current": one.current,
                }
                for one in found
            ],
            "csrf_token": csrf_token(credentials.token),
        }
        return as_json(200, shown)

    def end(self, environ: Mapping[str, Any], entry: Entry, *, session: str) -> Answer:
        """204; the token of that session is worth nothing from now on, on whatever machine it is kept."""
        entry.act = "session_end"
        agent, credentials, _ = self._identify(environ, entry, changing=True)
        current = own_sessions.end_own(self.reception.store, agent, credentials.token, session, now=entry.at)
        return Answer(204, b"", (self.reception.door.set_cookie("", 0),) if current else ())

    def _identify(self, environ: Mapping[str, Any], entry: Entry, *, changing: bool = False) -> Caller:
        caller = self.reception.identify(environ, entry)
        self.reception.door.check_host(environ)
        if changing:
            self.reception.door.check_change(environ, caller.credentials)
        query(environ)
        if is_federated(caller.credentials):
            raise HeldElsewhere("a token of an identity provider has no session here")
        return caller
