"""What is asked of an OpenID provider when an agent comes back from it: a code becomes an ID token, and claims.

By the same adapter as the backend and the keys: one deadline for each exchange, a size limit, a verified certificate,
no redirect, nothing of the environment. A library's client would bring sessions, retries and discovery of its own, and
leave the checks to us all the same; what is left to ask is one form and one address. Signatures are joserfc's
(`identity.jwks`).
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from gateway.errors import Busy, NotVouchedFor, ProviderAway, SessionEnded
from gateway.identity.jwks import LARGEST_SET, KeysAway
from gateway.identity.objects import read_object
from gateway.identity.openid import Begun, LogIns, Vouched, check_userinfo, subject_of, vouched_by
from gateway.identity.openid_log_outs import LogOuts
from gateway.identity.openid_providers import Provider, client_secret
from gateway.identity.tokens import check_signature, read_token
from gateway.proxy.exchange import UpstreamAnswer
from gateway.proxy.providers import answered, keys_of
from gateway.proxy.transport import TransportAdapter

DEADLINE_SECONDS: Final = 5.0
"""For one exchange; there are two, and the keys': an agent waits for them, and a code is good for half a minute."""
CONNECT_SECONDS: Final = 2.0
AT_ONCE: Final = 4
"""Log-ins of a process that ask a provider at this moment, each in a thread of our own addresses'. Fewer than are left
beside the log-ins with passwords: a provider that hangs keeps nobody else out."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{1,8192}=*")
_REFUSED: Final = ("invalid_grant", "invalid_request", "invalid_client", "unauthorized_client")
_FORM: Final = "application/x-www-form-urlencoded"


def clients_of(providers: Iterable[Provider], *, callback: str, logged_out: str) -> dict[str, Client]:
    """We, as each of these providers knows us, by its name: for one process. `callback` is where agents come back to
    from a log-in, `logged_out` from a log-out, with `{provider}` for the name. Raises `Misconfigured` where a secret
    cannot be read."""
    places = threading.BoundedSemaphore(AT_ONCE)
    clients = {}
    for provider in providers:
        back, out = (address.format(provider=provider.name) for address in (callback, logged_out))
        clients[provider.name] = Client(provider, callback=back, logged_out=out, places=places)
    return clients


class Client:
    """We, as one provider knows us."""

    def __init__(
        self, provider: Provider, *, callback: str, logged_out: str, places: threading.BoundedSemaphore
    ) -> None:
        """Raises `Misconfigured` where there is no secret. `places` are shared by all providers of a process."""
        self._secret = client_secret(provider)
        self._provider = provider
        self.log_ins = LogIns(provider, self._secret, callback)
        ends = provider.end_session_url
        self.log_outs = None if ends is None else LogOuts(provider, ends, self._secret, logged_out)
        # Whoever asks for them is in a thread already.
        self._keys = keys_of(provider, lambda work: work())
        self._adapter = TransportAdapter(
            deadline_seconds=DEADLINE_SECONDS, connect_seconds=CONNECT_SECONDS, size_limit=LARGEST_SET, ca=provider.ca
        )
        self._places = places

    def vouched(self, begun: Begun, code: str, *, now: datetime) -> Vouched:
        """Whom the provider vouches for with this code of this log-in. It blocks.

        Raises `NotVouchedFor`, `ProviderAway`, and `Busy` where as many wait for providers as may.
        """
        if not self._places.acquire(blocking=False):
            raise Busy("too many wait for an OpenID provider")
        try:
            return self._vouched(begun, code, now.timestamp())
        except SessionEnded as refusal:
            raise NotVouchedFor(refusal.because) from None
        finally:
            self._places.release()

    def _vouched(self, begun: Begun, code: str, seconds: float) -> Vouched:
        id_token, access_token = self._exchanged(code, begun.verifier)
        claims = self._signed(id_token)
        subject = subject_of(claims, self._provider, nonce=begun.nonce, seconds=seconds)
        if self._provider.userinfo_url is not None:
            told = self._userinfo(self._provider.userinfo_url, access_token)
            check_userinfo(told, self._provider, subject=subject, seconds=seconds)
            # What is signed for this log-in counts before what is told of the person.
            claims = {**told, **claims}
        return vouched_by(claims, self._provider, id_token=id_token)

    def _exchanged(self, code: str, verifier: str) -> tuple[str, str]:
        """The ID token and the access token for a code (RFC 6749, 4.1.3; RFC 7636, 4.5)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.log_ins.callback,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": _FORM}
        if self._provider.client_auth == "basic":
            both = f"{quote_plus(self._provider.client_id)}:{quote_plus(self._secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode('ascii')}"
        else:
            form |= {"client_id": self._provider.client_id, "client_secret": self._secret}
        answer = self._asked(self._provider.token_url, headers, "application/json", urlencode(form).encode())
        told = read_object(answer.content)
        if answer.status_code in (400, 401) and told is not None:
            error = told.get("error")
            raise NotVouchedFor(f"no token for a code: {error if error in _REFUSED else 'another error'}")
        if answer.status_code != 200 or told is None:
            raise ProviderAway(f"it answers {answer.status_code} where a token is asked for")
        id_token, access_token = told.get("id_token"), told.get("access_token")
        kind = told.get("token_type")
        if not isinstance(id_token, str) or not isinstance(kind, str) or kind.lower() != "bearer":
            raise ProviderAway("what it answers is no ID token")
        if not isinstance(access_token, str) or not _TOKEN.fullmatch(access_token):
            raise ProviderAway("what it answers is no access token")
        return id_token, access_token

    def _userinfo(self, url: str, access_token: str) -> Mapping[str, Any]:
        signed = self._provider.userinfo == "jwt"
        accept = "application/jwt" if signed else "application/json"
        answer = self._asked(url, {"Authorization": f"Bearer {access_token}"}, accept)
        types = [value.partition(";")[0].strip().lower() for value in answer.named("content-type")]
        if answer.status_code != 200 or types != [accept]:
            raise ProviderAway(f"it answers {answer.status_code} where userinfo is asked for, or in another type")
        body = answer.content
        if signed:
            return self._signed(body.decode("ascii", "replace").strip())
        told = read_object(body)
        if told is None:
            raise ProviderAway("what it answers is no userinfo")
        return told

    def _signed(self, token: str) -> Mapping[str, Any]:
        """The claims of a token that the provider signed. Raises `SessionEnded`."""
        written = read_token(token)
        check_signature(written, self._provider, self._keys)
        return written.claims

    def _asked(self, url: str, headers: dict[str, str], accept: str, body: bytes | None = None) -> UpstreamAnswer:
        try:
            return answered(self._adapter, url, {"Accept": accept, **headers}, body)
        except KeysAway as away:
            raise ProviderAway(str(away)) from None
