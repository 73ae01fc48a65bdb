"""What a request claims: the token of its bearer header or of its cookie, or the certificate that a proxy of ours hands
over, believed about nothing else.

The server may have folded or joined headers (`X_A` over `X-A`, two `Authorization` with a comma): a session's token has
one exact shape, and one of an identity provider three parts of one alphabet, so that anything joined or decorated is
refused.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from gateway.errors import BadRequest, ForeignOrigin, NotSignedIn, SessionEnded, TwoProofs
from gateway.logs import get_logger

_log = get_logger()

CSRF_HEADER: Final = "HTTP_X_CSRF_TOKEN"
CERTIFICATE_HEADER: Final = "HTTP_CLIENT_CERT"
"""RFC 9440."""
PEER: Final = "cafpro.peer"
"""Where the doorway keeps the address that a connection came from, whatever proxies said of the client's."""


TOLD_EVERY: Final = 60.0
"""Seconds after which a process tells again that another host was named."""

Errand = Literal["openid", "openid-log-out"]
LOG_IN: Final = "openid"
LOG_OUT: Final = "openid-log-out"
"""What a browser that is sent to an OpenID provider goes there for: each is kept beside the other."""


class Credentials(NamedTuple):
    """A claimed token, or a certificate as it was handed over, and how it came."""

    token: str
    by: Literal["cookie", "bearer", "certificate"]

    def sent_by_itself(self) -> bool:
        """Whether a browser sends it whoever wrote the page that asks."""
        return self.by != "bearer"


class Door:
    """What `public_url` says of the requests that may come in: the hosts, the origin, the cookie's name and flags."""

    def __init__(self, public_url: str, hosts: list[str]) -> None:
        parts = urlsplit(public_url)
        self.secure = parts.scheme == "https"
        # As browsers write it: in small letters, without the scheme's own port.
        netloc = parts.netloc.lower().removesuffix(":443" if self.secure else ":80")
        self.origin = f"{parts.scheme}://{netloc}"
        self.cookie_name = "__Host-cafpro" if self.secure else "cafpro"
        self._hosts = frozenset(host.lower() for host in (netloc, parts.netloc, *hosts))
        self._told_at = -TOLD_EVERY

    def check_host(self, environ: Mapping[str, Any]) -> None:
        """Raises `BadRequest` unless the request names one of our hosts, once."""
        host = environ.get("HTTP_HOST", "")
        if host not in self._hosts and str(host).lower() not in self._hosts:
            self._tell()
            raise BadRequest("another host is named")

    def _tell(self) -> None:
        """Whoever puts a proxy in front and forgets the Host looks for a word of it. Strangers neither fill the log nor
        write in it: what was named is not told."""
        now = time.monotonic()
        if now >= self._told_at + TOLD_EVERY:
            self._told_at = now
            _log.warning("another host is named", ours=sorted(self._hosts))

    def credentials(self, environ: Mapping[str, Any]) -> Credentials:
        """The claimed session. Raises `NotSignedIn`, `SessionEnded` (malformed) or `TwoProofs`."""
        bearer = self._bearer(environ)
        cookie = self._cookie(environ)
        if bearer is None and cookie is None:
            raise NotSignedIn("no token")
        if bearer is not None and cookie is not None and bearer != cookie:
            raise TwoProofs("the cookie and the bearer token differ")
        if bearer is not None:
            return Credentials(bearer, "bearer")
        return Credentials(str(cookie), "cookie")

    def _bearer(self, environ: Mapping[str, Any]) -> str | None:
        header = environ.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        scheme, _, token = str(header).partition(" ")
        if scheme != "Bearer" and scheme.lower() != "bearer":
            raise SessionEnded("an authorization that is not a bearer token")
        return token

    def _cookie(self, environ: Mapping[str, Any]) -> str | None:
        header = environ.get("HTTP_COOKIE")
        if header is None:
            return None
        values = _cookies(str(header), self.cookie_name)
        if len(values) > 1:
            raise TwoProofs("two session cookies")
        return values[0] if values else None

    def errand(self, environ: Mapping[str, Any], name: Errand = LOG_IN) -> str:
        """What the browser keeps of an errand under way; empty where it keeps nothing, or several."""
        values = _cookies(str(environ.get("HTTP_COOKIE", "")), f"{self.cookie_name}-{name}")
        return values[0] if len(values) == 1 else ""

    def check_change(self, environ: Mapping[str, Any], credentials: Credentials) -> None:
        """Raises `ForeignOrigin` when a browser may have been made to send this change by another site."""
        if not credentials.sent_by_itself():
            return
        self.check_origin(environ, required=True)
        given = str(environ.get(CSRF_HEADER, "")).encode("latin-1", "replace")
        if not hmac.compare_digest(given, csrf_token(credentials.token).encode()):
            raise ForeignOrigin("the change token is missing or wrong")

    def check_origin(self, environ: Mapping[str, Any], *, required: bool = False) -> None:
        """Raises `ForeignOrigin` when the request says it comes from another site, or does not say where `required`."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is None and not required:
            return
        if origin != self.origin:
            raise ForeignOrigin("another origin, or none")

    def set_cookie(self, token: str, seconds: int) -> tuple[str, str]:
        """The header that gives a browser its session, or ends it when `seconds` is 0."""
        return self._set(self.cookie_name, token, seconds, "Strict")

    def set_errand(self, kept: str, seconds: int, name: Errand = LOG_IN) -> tuple[str, str]:
        """The header that has a browser keep an errand under way, or forget it when `seconds` is 0. It is sent along
        when another site sends the browser back to us (`Lax`), and proves nothing by itself."""
        return self._set(f"{self.cookie_name}-{name}", kept, seconds, "Lax")

    def _set(self, name: str, value: str, seconds: int, same_site: str) -> tuple[str, str]:
        flags = "; Secure" if self.secure else ""
        return ("Set-Cookie", f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={same_site}{flags}")


def _cookies(header: str, wanted: str) -> list[str]:
    pairs = [pair.strip().partition("=") for pair in header.split(";")]
    return [value for name, _, value in pairs if name == wanted]


def csrf_token(token: str) -> str:
    """What a page must send back in `X-CSRF-Token`: derived from the session, useless without it."""
    return hashlib.sha256(b"cafpro-csrf:" + token.encode("utf-8", "replace")).hexdigest()
