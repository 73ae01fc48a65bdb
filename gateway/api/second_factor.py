"""`/-/session/second-factor`: the agent's own second factor, taken up in two steps, and given up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from flask import Blueprint

from gateway.api.answering import add_address, as_json, hold_refusal, instant
from gateway.api.bodies import read_json
from gateway.errors import HeldElsewhere, WrongProof
from gateway.identity import enrolling
from gateway.identity.refusals import GuessNotNoted, LogInRefused
from gateway.identity.sealing import Seal
from gateway.model import Agent
from gateway.proxy.answers import Answer, Exit
from gateway.proxy.identify import Reception
from gateway.proxy.parse import query
from gateway.record.entry import Entry

ADDRESS: Final = "/-/session/second-factor"


class Begin(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /-/session/second-factor`."""

    password: str


class Confirm(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /-/session/second-factor/confirmation`."""

    code: str


class Remove(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /-/session/second-factor/removal`."""

    password: str
    code: str


@dataclass(frozen=True, slots=True)
class SecondFactorApi:
    """What the addresses of the second factor need. Without a seal nobody can take one up."""

    reception: Reception
    exit: Exit
    seal: Seal | None

    def blueprint(self) -> Blueprint:
        """The Flask routes."""
        routes = Blueprint("second_factor", __name__)
        for method, address, work in (
            ("GET", ADDRESS, self.show),
            ("POST", ADDRESS, self.begin),
            ("POST", f"{ADDRESS}/confirmation", self.confirm),
            ("POST", f"{ADDRESS}/removal", self.remove),
        ):
            add_address(routes, self.exit, method, address, work)
        return routes

    def show(self, environ: dict[str, Any], entry: Entry) -> Answer:
        """Since when there is one, and how many recovery codes are left."""
        agent = self._identify(environ, entry)
        query(environ)
        factor = enrolling.factor_of(self.reception.store, agent)
        shown = {
            "since": instant(factor.since) if factor else None,
            "recovery_codes_left": factor.codes_left if factor else None,
        }
        return as_json(200, shown)

    def begin(self, environ: dict[str, Any], entry: Entry) -> Answer:
        """201 with a secret, told once, which waits for its first code."""
        agent = self._identify(environ, entry, changing=True)
        asked = read_json(environ, Begin)
        begun = self._proved(environ, entry, agent, enrolling.begin_factor, password=asked.password)
        return as_json(201, {"secret": begun.secret, "uri": begun.uri})

    def confirm(self, environ: dict[str, Any], entry: Entry) -> Answer:
        """201 with the recovery codes, told once. Every session is over, this one too."""
        agent = self._identify(environ, entry, changing=True)
        asked = read_json(environ, Confirm)
        codes = self._proved(environ, entry, agent, enrolling.confirm_factor, code=asked.code)
        return as_json(201, {"recovery_codes": codes}, self.reception.door.set_cookie("", 0))

    def remove(self, environ: dict[str, Any], entry: Entry) -> Answer:
        """204; the password is enough from now on."""
        agent = self._identify(environ, entry, changing=True)
        asked = read_json(environ, Remove)
        self._proved(environ, entry, agent, enrolling.remove_factor, password=asked.password, code=asked.code)
        return Answer(204, b"")

    def _identify(self, environ: dict[str, Any], entry: Entry, *, changing: bool = False) -> Agent:
        entry.act = "second_factor"
        agent, credentials, _ = self.reception.identify(environ, entry, with_password_alone=True)
        self.reception.door.check_host(environ)
        if changing:
            self.reception.door.check_change(environ, credentials)
            query(environ)
        if agent.assurance == "federated":
            raise HeldElsewhere("an agent whom an identity provider vouches for")
        return agent

    def _proved(
        self, environ: dict[str, Any], entry: Entry, agent: Agent, act: Callable[..., Any], **shown: str
    ) -> Any:
        """What `act` returns to whoever shows this, held to the limits of log-ins: a session is no way to guess more
        often."""
        since, reception = time.monotonic(), self.reception
        limits = reception.limits
        limits.admit_log_in(address=entry.address, identifier=agent.identifier)
        attempt = reception.attempt(entry, agent.identifier)
        try:
            return act(reception.store, self.seal, agent, now=entry.at, attempt=attempt, **shown)
        except LogInRefused as refusal:
            limits.log_in_failed(address=entry.address, identifier=agent.identifier)
            hold_refusal(environ, since)
            raise WrongProof(refusal.because) from None
        except GuessNotNoted:
            limits.log_in_failed(address=entry.address, identifier=agent.identifier)
            raise
