"""OpenID Connect, from the side of the client: what a log-in is sent out with, and what of its return is believed.

Authorization code with PKCE (RFC 7636, S256) and a nonce, as OpenID Connect Core 1.0 and RFC 9700 have it. State, nonce
and verifier are made of what the browser keeps of its errand: nothing of a log-in under way is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from gateway.errors import LogInNotBegun, NotVouchedFor
from gateway.identity.errands import Errand, Errands, written
from gateway.identity.openid_hints import Hint
from gateway.identity.openid_providers import Provider
from gateway.identity.tokens import account_of, check_audience, partner_of, profile_of, times_of, why_not

LONGEST_CODE: Final = 2048
RETURNED: Final = ("code", "state", "iss", "error", "error_description", "error_uri", "session_state")
"""What a provider may send back (RFC 6749, RFC 9207, OpenID Connect Session Management)."""
_CODE: Final = re.compile(r"[ -~]+")
_ERRORS: Final = (
    *("invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope"),
    *("server_error", "temporarily_unavailable", "interaction_required", "login_required", "consent_required"),
    *("account_selection_required", "unmet_authentication_requirements"),
)
"""The words of RFC 6749, OpenID Connect and its unmet authentication requirements: any other is not repeated."""


class Begun(NamedTuple):
    """A log-in on its way. `kept` is what its browser keeps of it, `profile` the one that the agent asked for."""

    kept: str
    expires_at: int
    profile: str | None
    state: str
    nonce: str
    verifier: str


class LogIns:
    """Begins the log-ins at one provider, and knows them again."""

    def __init__(self, provider: Provider, secret: str, callback: str) -> None:
        """`secret` is the client's, `callback` the address that agents come back to."""
        self.provider = provider
        self.callback = callback
        key = hmac.digest(secret.encode(), f"cafpro openid {provider.name}".encode(), "sha256")
        self._errands = Errands(key, noun="log-in", refusal=LogInNotBegun)

    def begin(self, profile: str | None, *, now: datetime) -> Begun:
        """A log-in that nobody has begun before."""
        return self._begun(self._errands.begin(profile, now=now))

    def again(self, kept: str, state: str, *, now: datetime) -> Begun:
        """The log-in that `kept` was given for, where `state` is its state. Raises `LogInNotBegun`."""
        return self._begun(self._errands.again(kept, state, now=now))

    def sent_to(self, begun: Begun) -> str:
        """The address at the provider to which the browser is sent."""
        provider = self.provider
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": self.callback,
            "scope": " ".join(provider.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": written(hashlib.sha256(begun.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        if provider.acr_values:
            asked["acr_values"] = " ".join(provider.acr_values)
        return f"{provider.authorization_url}?{urlencode(asked)}"

    def code_of(self, returned: Mapping[str, str]) -> str:
        """The code that the provider sent back with a state that is good. Raises `NotVouchedFor`."""
        said = returned.get("iss")
        if said != self.provider.issuer and (said is not None or self.provider.announces_issuer):
            raise NotVouchedFor("a code of another provider, or of one that does not say which")
        error, code = returned.get("error"), returned.get("code", "")
        if error is not None:
            raise NotVouchedFor(f"the provider says {error if error in _ERRORS else 'another error'}")
        if not _CODE.fullmatch(code):
            raise NotVouchedFor("no code")
        return code

    def _begun(self, errand: Errand) -> Begun:
        nonce, verifier = (self._errands.secret(what, errand.kept) for what in ("nonce", "verifier"))
        return Begun(*errand, nonce, verifier)


class Vouched(NamedTuple):
    """Whom a provider vouches for. The partner is named by `partner` or by `siret`; `hint` is what the provider is to
    be shown when the agent logs out, None where it is told nothing."""

    identifier: str
    partner: str | None
    siret: str | None
    profile: str | None
    hint: Hint | None


def subject_of(claims: Mapping[str, Any], provider: Provider, *, nonce: str, seconds: float) -> str:
    """The `sub` of an ID token whose signature is good, and which was made for the log-in with this nonce, now.

    OpenID Connect Core, 3.1.3.7. Raises `SessionEnded` or `NotVouchedFor`, whose `because` tells why.
    """
    if claims.get("iss") != provider.issuer:
        raise NotVouchedFor("an ID token of another issuer")
    check_audience(claims, provider.client_id)
    several = isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else provider.client_id) != provider.client_id:
        raise NotVouchedFor("an ID token that was made for another client")
    because = why_not(*times_of(claims, seconds), seconds)
    if because:
        raise NotVouchedFor(because)
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode("utf-8", "replace"), nonce.encode()):
        raise NotVouchedFor("an ID token with another nonce, or none")
    if provider.acr_values and claims.get("acr") not in provider.acr_values:
        raise NotVouchedFor("an ID token with an authentication that does not suffice")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise NotVouchedFor("an ID token about nobody")
    return subject


def check_userinfo(claims: Mapping[str, Any], provider: Provider, *, subject: str, seconds: float) -> None:
    """Raises `NotVouchedFor` unless these claims are about `subject`; what is signed is for us, too, where it says so.

    OpenID Connect Core, 5.3.2 and 5.3.4; ProConnect signs them.
    """
    if claims.get("sub") != subject:
        raise NotVouchedFor("userinfo about somebody else")
    if provider.userinfo == "json":
        return
    if claims.get("iss") != provider.issuer:
        raise NotVouchedFor("userinfo of another issuer")
    check_audience(claims, provider.client_id)
    if "exp" in claims:
        because = why_not(*times_of(claims, seconds), seconds)
        if because:
            raise NotVouchedFor(because)


def vouched_by(claims: Mapping[str, Any], provider: Provider, *, id_token: str) -> Vouched:
    """Whom the claims of this ID token, and of the userinfo, name. Raises `SessionEnded` or `NotVouchedFor`."""
    siret = None
    if provider.siret_claim is not None:
        siret = claims.get(provider.siret_claim)
        if not isinstance(siret, str) or not siret:
            raise NotVouchedFor("no SIRET is said")
    partner = None if provider.siret_claim is not None else partner_of(claims, provider)
    hint = None if provider.end_session_url is None else Hint(provider.name, id_token)
    return Vouched(account_of(claims, provider), partner, siret, profile_of(claims, provider), hint)
