"""`/-/session`: log in, who am I and what does my profile open, log out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from flask import Blueprint

from gateway.api.answering import add_address, as_json, hold_refusal, instant
from gateway.api.bodies import read_json
from gateway.errors import HeldElsewhere
from gateway.identity import sessions
from gateway.identity.errands import BEGUN_SECONDS
from gateway.identity.openid_hints import kept_hint
from gateway.identity.openid_log_outs import LogOuts
from gateway.identity.refusals import GuessNotNoted, LogInRefused, ProfileRefused, SessionsFull
from gateway.identity.sealing import Seal
from gateway.policy.matrix import column
from gateway.policy_files.folder import InForce
from gateway.proxy.answers import Answer, Exit
from gateway.proxy.credentials import LOG_OUT, csrf_token
from gateway.proxy.identify import Reception, is_federated
from gateway.proxy.parse import query
from gateway.record.entry import Entry


class LogIn(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /-/session`."""

    identifier: str
    password: str
    profile: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class SessionApi:
    """What the three methods of `/-/session` need. `log_outs` are by the names of those OpenID providers that end their
    sessions, too."""

    reception: Reception
    policies: Callable[[], InForce]
    exit: Exit
    seal: Seal | None = None
    log_outs: Mapping[str, LogOuts] = field(default_factory=dict)

    def blueprint(self) -> Blueprint:
        """The Flask routes."""
        routes = Blueprint("session", __name__)
        for method, work in (("POST", self.log_in), ("GET", self.who), ("DELETE", self.log_out)):
            add_address(routes, self.exit, method, "/-/session", work)
        return routes

    def log_in(self, environ: dict[str, Any], entry: Entry) -> Answer:
        """201 with a fresh token, told once, and the cookie."""
        entry.act = "log_in"
        begun = time.monotonic()
        limits = self.reception.limits
        limits.admit_address(entry.address)
        self.reception.door.check_host(environ)
        self.reception.door.check_origin(environ)
        query(environ)
        asked = read_json(environ, LogIn)
        limits.admit_log_in(address=entry.address, identifier=asked.identifier)
        try:
            opened = sessions.sign_in(
                self.reception.store,
                self.reception.rules,
                identifier=asked.identifier,
                password=asked.password,
                profile=asked.profile,
                code=asked.code,
                seal=self.seal,
                attempt=self.reception.attempt(entry, asked.identifier),
                now=entry.at,
            )
        except LogInRefused as refusal:
            limits.log_in_failed(address=entry.address, identifier=asked.identifier)
            hold_refusal(environ, begun)
            entry.agent = refusal.identifier
            raise
        except GuessNotNoted:
            limits.log_in_failed(address=entry.address, identifier=asked.identifier)
            raise
        except ProfileRefused as refusal:
            entry.agent = refusal.identifier
            raise
        except SessionsFull as refusal:
            limits.log_in_succeeded(address=entry.address, identifier=asked.identifier)
            entry.agent = refusal.identifier
            raise
        limits.log_in_succeeded(address=entry.address, identifier=asked.identifier)
        agent = opened.agent
        entry.known(agent)
        shown = {
            "token": opened.token,
            "expires_at": instant(opened.expires_at),
            "profile": agent.profile or None,
            "profiles": agent.profiles,
            "assurance": agent.assurance,
            "recovery_codes_left": opened.codes_left,
            "csrf_token": csrf_token(opened.token),
        }
        seconds = max(0, opened.expires_at - int(entry.at.timestamp()))
        return as_json(201, shown, self.reception.door.set_cookie(opened.token, seconds))

    def who(self, environ: Mapping[str, Any], entry: Entry) -> Answer:
        """The agent behind the session, and what the table opens to its profile where every condition holds."""
        entry.act = "session"
        agent, credentials, _ = self.reception.identify(environ, entry, with_password_alone=True)
        self.reception.door.check_host(environ)
        query(environ)
        policy = self.policies().policy
        opened = column(policy, agent.profile)
        shown = {
            "identifier": agent.identifier,
            "partner": agent.partner_name,
            "profile": agent.profile or None,
            "profiles": agent.profiles,
            "convention": agent.convention,
            "engagement": agent.engagement,
            "assurance": agent.assurance,
            "rubrics": [{"slug": row.slug, "label": row.label} for row in policy.rows if row.slug in opened],
            "expires_at": instant(agent.expires_at),
            "csrf_token": csrf_token(credentials.token),
        }
        return as_json(200, shown)

    def log_out(self, environ: Mapping[str, Any], entry: Entry) -> Answer:
        """204; the token is worth nothing from now on. 200 where the OpenID provider at which the agent logged in ends
        its own session, too: with the address to which the agent's browser goes next. 409 for a token of an identity
        provider, which stays good."""
        entry.act = "log_out"
        credentials = self.reception.identify(environ, entry, with_password_alone=True).credentials
        self.reception.door.check_host(environ)
        self.reception.door.check_change(environ, credentials)
        query(environ)
        if is_federated(credentials):
            raise HeldElsewhere("a token of an identity provider has no session here")
        hint = kept_hint(self.reception.store, credentials.token) if self.log_outs else None
        # Whatever becomes of the provider's session, ours is over.
        sessions.sign_out(self.reception.store, credentials.token)
        forget = self.reception.door.set_cookie("", 0)
        log_outs = self.log_outs.get(hint.provider) if hint else None
        if hint is None or log_outs is None:
            return Answer(204, b"", (forget,))
        leaving = log_outs.begin(hint.opened(credentials.token), now=entry.at)
        kept = self.reception.door.set_errand(leaving.kept, BEGUN_SECONDS, LOG_OUT)
        return as_json(200, {"end_session_url": leaving.address}, forget, kept)
