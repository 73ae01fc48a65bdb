"""Who asks: the session, the token or the certificate behind a request, and its account as the store knows it now, so
that a change of rights acts at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.database.connections import Reading
from gateway.errors import (
    CertificateRefused,
    NotSignedIn,
    Refusal,
    SecondFactorMissing,
    SessionEnded,
    TooManyRequests,
    TwoProofs,
)
from gateway.identity import facts, federated, sessions
from gateway.identity.failures import NOBODY
from gateway.identity.guesses import Attempt, Guesses
from gateway.identity.proving import note_guess
from gateway.identity.refusals import AgentSuspended
from gateway.identity.store import Store
from gateway.identity.tokens import Named, Tokens, is_token
from gateway.limits.limits import Limits
from gateway.model import Agent, DossierNumber
from gateway.proxy.credentials import CERTIFICATE_HEADER, PEER, Credentials, Door
from gateway.record.entry import Entry
from gateway.settings import Identity

if TYPE_CHECKING:
    from gateway.identity.certificates import Certificates


class Caller(NamedTuple):
    """Who asks, what proved it, and the reading of the store that said so, to be asked for the rest."""

    agent: Agent
    credentials: Credentials
    reading: Reading


@dataclass(frozen=True, slots=True)
class Reception:
    """Knows the agents that come with a good session, a good token of an identity provider, or a good certificate. The
    same for the backend's addresses and for our own."""

    door: Door
    store: Store
    rules: Identity
    limits: Limits
    tokens: Tokens | None = None
    """Of identity providers, where there are any."""
    certificates: Certificates | None = None
    """Of clients, where proxies hand them over."""
    guesses: Guesses | None = None
    """Failed log-ins, as the store keeps them."""

    def attempt(self, entry: Entry, identifier: str | None) -> Attempt | None:
        """A log-in with this identifier, as it was typed."""
        return self.guesses.attempt(identifier=identifier, address=entry.address) if self.guesses else None

    def admit_attempt(self, entry: Entry) -> None:
        """Raises `TooManyAttempts` where too much has failed from this address, here or as the store keeps it:
        log-ins, or what counts as one and names no identifier; `StoreUnavailable`."""
        self.limits.admit_attempt(address=entry.address)
        attempt = self.attempt(entry, None)
        if attempt is not None:
            attempt.admit(self.store, now=entry.at)

    def attempt_failed(self, entry: Entry) -> None:
        """Something was tried that counts as a failed log-in of this address. Raises `GuessNotNoted`."""
        self.limits.attempt_failed(address=entry.address)
        attempt = self.attempt(entry, None)
        if attempt is not None:
            note_guess(self.store, NOBODY, now=entry.at, attempt=attempt)

    def identify(self, environ: Mapping[str, Any], entry: Entry, *, with_password_alone: bool = False) -> Caller:
        """The agent, noted in the record's entry, and what proved it.

        Raises a 401, `AccountSuspended`, `Busy`, or `TooManyRequests`: of an address before anything that it sent is
        looked at, of an agent as soon as it is known. And `SecondFactorMissing`, where agents of its kind must have one
        and this is not an address for those `with_password_alone`.
        """
        self.limits.admit_address(entry.address)
        certificate = self._certificate(environ)
        try:
            credentials = self.door.credentials(environ)
        except NotSignedIn:
            if not certificate:
                raise
            credentials = Credentials(certificate, "certificate")
        try:
            agent, reading = self._identify(credentials, certificate, environ, entry)
        except AgentSuspended as refusal:
            entry.known(refusal.agent)
            raise
        entry.known(agent)
        self.limits.admit_agent(agent.identifier)
        required = self.rules.second_factor_required
        if required and not with_password_alone and agent.assurance == "password" and agent.partner_kind in required:
            raise SecondFactorMissing("a password alone")
        return Caller(agent, credentials, reading)

    def _certificate(self, environ: Mapping[str, Any]) -> str:
        """What a proxy that may do so handed over, as it is written; empty where nothing is."""
        written = environ.get(CERTIFICATE_HEADER)
        if not written or self.certificates is None or not self.certificates.are_taken_from(_peer(environ)):
            return ""
        return str(written)

    def _identify(
        self, credentials: Credentials, certificate: str, environ: Mapping[str, Any], entry: Entry
    ) -> tuple[Agent, Reading]:
        """A certificate alone is a proof. Beside a session or a token, which a browser may have kept of whoever sat
        there before, it must name the same agent."""
        named = None
        if certificate and self.certificates is not None:
            named = self.certificates.named_by(certificate, peer=_peer(environ), now=entry.at)
            if credentials.by == "certificate":
                return self._vouched(named, entry)
        if self.tokens is not None and is_federated(credentials):
            agent, reading = federated.identify(
                self.store, self.rules, self.tokens.named_by(credentials.token, now=entry.at), now=entry.at
            )
        else:
            agent, reading = sessions.identify(self.store, self.rules, credentials.token, now=entry.at)
        if named is not None and (agent.identifier, agent.partner_name) != (named.identifier, named.partner):
            raise TwoProofs("the certificate and the session or token are of two agents")
        return agent, reading

    def _vouched(self, named: Named, entry: Entry) -> tuple[Agent, Reading]:
        try:
            return federated.identify(self.store, self.rules, named, now=entry.at)
        except SessionEnded as refusal:
            raise CertificateRefused(refusal.because) from None

    def note(self, environ: Mapping[str, Any], entry: Entry) -> None:
        """Names the agent in the record's entry of a request that is refused in any case. One that may not ask any more
        is told so: raises `TooManyRequests`, and nothing where nobody is known."""
        try:
            self.identify(environ, entry)
        except TooManyRequests:
            raise
        except Refusal:
            return

    def dossier_facts(self, caller: Caller, number: DossierNumber, entry: Entry) -> tuple[frozenset[str], str]:
        """The kinds of mandate that entrust this dossier to the agent, and whether an objection is raised."""
        return facts.dossier_facts(caller.reading, self.rules, caller.agent, number, now=entry.at)


def is_federated(credentials: Credentials) -> bool:
    """Whether an organisation vouches for the agent, without a session of ours: by a certificate, or by what is written
    like a token of an identity provider, which no session's token is. Never those of a cookie."""
    return credentials.by == "certificate" or (credentials.by == "bearer" and is_token(credentials.token))


def _peer(environ: Mapping[str, Any]) -> str:
    return str(environ.get(PEER) or environ.get("REMOTE_ADDR", ""))
