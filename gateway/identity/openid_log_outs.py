"""The end of an agent's session at its provider, after ours: OpenID Connect RP-Initiated Logout 1.0.

The browser is sent there, not we: ours is over by then, whatever the provider does. Where it is sent back to is written
in the configuration and nowhere else, and what comes back is only believed to tell an agent that the log-out is done.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

from gateway.errors import LogOutNotBegun
from gateway.identity.errands import Errand, Errands
from gateway.identity.openid_providers import Provider


class Leaving(NamedTuple):
    """A log-out on its way: what the browser keeps of it, and the address at the provider to which it goes."""

    kept: str
    address: str


class LogOuts:
    """Begins the log-outs at one provider, and knows them again."""

    def __init__(self, provider: Provider, end_session_url: str, secret: str, logged_out: str) -> None:
        """`secret` is the client's, `logged_out` the address that agents come back to."""
        self._client_id = provider.client_id
        self._url = end_session_url
        self._logged_out = logged_out
        key = hmac.digest(secret.encode(), f"cafpro openid log-out {provider.name}".encode(), "sha256")
        self._errands = Errands(key, noun="log-out", refusal=LogOutNotBegun)

    def begin(self, id_token: str | None, *, now: datetime) -> Leaving:
        """A log-out that nobody has begun before. Without the ID token of the log-in, the provider knows us by our name
        and asks the agent."""
        errand = self._errands.begin(now=now)
        asked = {
            **({} if id_token is None else {"id_token_hint": id_token}),
            "client_id": self._client_id,
            "post_logout_redirect_uri": self._logged_out,
            "state": errand.state,
        }
        return Leaving(errand.kept, f"{self._url}?{urlencode(asked)}")

    def again(self, kept: str, state: str, *, now: datetime) -> Errand:
        """The log-out that `kept` was given for, where `state` is its state. Raises `LogOutNotBegun`."""
        return self._errands.again(kept, state, now=now)
