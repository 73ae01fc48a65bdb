"""`/-/openid/{provider}`: an agent is sent to an OpenID provider, and comes back to `…/callback` with a session; to
`…/logged-out` from the end of the provider's.

Each provider has an address of its own to come back to, so that what one of them sends is never taken for another's
(RFC 9700, 4.4), beside `iss` where it is announced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint

from gateway.api.answering import add_address
from gateway.errors import (
    LogInNotBegun,
    LogOutNotBegun,
    NoSuchRoute,
    NotVouchedFor,
    ProfileNotHeld,
    ProviderAway,
    Refusal,
)
from gateway.identity.entries import PROFILES
from gateway.identity.errands import BEGUN_SECONDS
from gateway.identity.openid import LONGEST_CODE, RETURNED
from gateway.identity.openid_sessions import open_vouched, spend
from gateway.identity.refusals import GuessNotNoted, ProfileRefused, SessionsFull, VouchingRefused
from gateway.proxy.answers import Answer, Exit
from gateway.proxy.credentials import LOG_OUT
from gateway.proxy.identify import Reception
from gateway.proxy.openid import Client
from gateway.proxy.parse import parameters
from gateway.record.entry import Entry

ADDRESS: Final = "/-/openid/{provider}"
CALLBACK: Final = f"{ADDRESS}/callback"
LOGGED_OUT: Final = f"{ADDRESS}/logged-out"
ARRIVED: Final = "/-/openid"
"""Where an agent is sent at the end, whatever anyone asks for. A browser that another site has sent sends no `Strict`
cookie along, redirects or not: only what a page of ours leads to has the session, and so this one leads on."""


def _page(title: str, said: str, *, head: str = "") -> str:
    return f"""\
<!doctype html>
<html lang="fr">
<head>
<meta charset="utf-8">
{head}<title>{title}</title>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{said}</p>
</main>
</body>
</html>
"""


PAGE: Final = _page(
    "Connexion à Cafpro",
    'Votre organisme a confirmé votre identité. <a href="/-/session">Continuer</a>',
    head='<meta http-equiv="refresh" content="0; url=/-/session">\n',
)
LOGGED_OUT_PAGE: Final = _page(
    "Déconnexion de Cafpro", "Votre session Cafpro est terminée, et votre organisme vous a déconnecté."
)
_HTML: Final = ("Content-Type", "text/html; charset=utf-8")


@dataclass(frozen=True, slots=True)
class OpenIdApi:
    """What the addresses need. `clients` are by the provider's name."""

    reception: Reception
    clients: Mapping[str, Client]
    exit: Exit

    def blueprint(self) -> Blueprint:
        """The Flask routes."""
        routes = Blueprint("openid", __name__)
        for address, work in (
            (ADDRESS, self.begin),
            (CALLBACK, self.come_back),
            (ARRIVED, self.arrived),
            (LOGGED_OUT, self.logged_out),
        ):
            add_address(routes, self.exit, "GET", address.replace("{provider}", "<provider>"), work)
        return routes

    def begin(self, environ: Mapping[str, Any], entry: Entry, *, provider: str) -> Answer:
        """303 to the provider, and what the browser keeps meanwhile. Nothing is stored."""
        entry.act = "log_in_begun"
        self.reception.limits.admit_address(entry.address)
        self.reception.door.check_host(environ)
        client = self._client(provider)
        profile = parameters(environ, ("profile",)).get("profile")
        if profile is not None and profile not in PROFILES:
            raise ProfileNotHeld("no profile is called so")
        begun = client.log_ins.begin(profile, now=entry.at)
        kept = self.reception.door.set_errand(begun.kept, BEGUN_SECONDS)
        return Answer(303, b"", (("Location", client.log_ins.sent_to(begun)), kept))

    def come_back(self, environ: Mapping[str, Any], entry: Entry, *, provider: str) -> Answer:
        """303 to a fixed address of ours, with the session's cookie."""
        entry.act = "log_in"
        self.reception.limits.admit_address(entry.address)
        door = self.reception.door
        door.check_host(environ)
        client = self._client(provider)
        returned = parameters(environ, RETURNED, longest=LONGEST_CODE)
        self.reception.admit_attempt(entry)
        forget = door.set_errand("", 0)
        try:
            begun = client.log_ins.again(door.errand(environ), returned.get("state", ""), now=entry.at)
            if not spend(self.reception.store, begun.state, expires_at=begun.expires_at, now=entry.at):
                raise LogInNotBegun("a log-in that has come back already")
            vouched = client.vouched(begun, client.log_ins.code_of(returned), now=entry.at)
            opened = open_vouched(
                self.reception.store, self.reception.rules, vouched, profile=begun.profile, now=entry.at
            )
        except (VouchingRefused, ProfileRefused, SessionsFull) as refusal:
            entry.agent = refusal.identifier
            raise self._over(refusal, entry, forget) from None
        except (NotVouchedFor, ProviderAway) as refusal:
            raise self._over(refusal, entry, forget) from None
        # A `LogInNotBegun` counts for nobody and ends nothing: any page can send a browser here, which may have another
        # log-in on its way, and there is nothing to guess.
        entry.known(opened.agent)
        seconds = max(0, opened.expires_at - int(entry.at.timestamp()))
        return Answer(303, b"", (("Location", ARRIVED), door.set_cookie(opened.token, seconds), forget))

    def _over(self, refusal: Refusal, entry: Entry, forget: tuple[str, str]) -> Refusal:
        """The refusal of a log-in that this browser had begun, which is over. It counts as a failure of the address,
        unless a provider is away or no place is left."""
        if not isinstance(refusal, (SessionsFull, ProviderAway)):
            try:
                self.reception.attempt_failed(entry)
            except GuessNotNoted as error:
                refusal = error
        refusal.headers = (*refusal.headers, forget)
        return refusal

    def arrived(self, environ: Mapping[str, Any], entry: Entry) -> Answer:
        """200 with a page that leads on by itself; the same for everyone."""
        self.reception.limits.admit_address(entry.address)
        self.reception.door.check_host(environ)
        parameters(environ, ())
        return Answer(200, PAGE.encode(), (_HTML,))

    def logged_out(self, environ: Mapping[str, Any], entry: Entry, *, provider: str) -> Answer:
        """200 with a page that says so, once and to whoever logged out in this browser."""
        entry.act = "logged_out"
        self.reception.limits.admit_address(entry.address)
        door = self.reception.door
        door.check_host(environ)
        log_outs = self._client(provider).log_outs
        if log_outs is None:
            raise NoSuchRoute("agents are not logged out at this OpenID provider")
        state = parameters(environ, ("state",)).get("state", "")
        errand = log_outs.again(door.errand(environ, LOG_OUT), state, now=entry.at)
        if not spend(self.reception.store, errand.state, expires_at=errand.expires_at, now=entry.at):
            raise LogOutNotBegun("a log-out that has come back already")
        return Answer(200, LOGGED_OUT_PAGE.encode(), (_HTML, door.set_errand("", 0, LOG_OUT)))

    def _client(self, name: str) -> Client:
        client = self.clients.get(name)
        if client is None:
            raise NoSuchRoute("no OpenID provider is called so")
        return client
