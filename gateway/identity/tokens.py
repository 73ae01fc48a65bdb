"""JSON Web Tokens (RFC 7519) of identity providers: which are believed, and whom they name.

Nothing that a token says of itself decides how it is checked (RFC 8725): its issuer must be one that is configured,
with its algorithms; its key is one that this issuer publishes; any other member of its header is refused. Times are
whole or broken seconds since 1970, UTC.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from cachetools import FIFOCache

from gateway.errors import SessionEnded
from gateway.identity.issuers import Issuer
from gateway.identity.jwks import LONGEST_NAME, ProviderKeys
from gateway.identity.objects import read_object
from gateway.identity.sessions import is_identifier

LARGEST: Final = 8192
"""Characters of a token."""
LEEWAY_SECONDS: Final = 30
"""What two clocks may differ."""
LONGEST_LIFE: Final = 3600
"""Seconds for which a token may be made."""
REMEMBERED: Final = 1024
REMEMBERED_SECONDS: Final = 60
"""How long a token that was verified is not verified again. What the directory says is asked each time."""
_LAST_INSTANT: Final = 2**40
_HEADER: Final = {"typ", "alg", "kid"}
_TYPES: Final = ("JWT", "at+jwt")
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")


class Named(NamedTuple):
    """Whom a token names: an account, its partner, and one of its profiles or None where the token says none."""

    identifier: str
    partner: str
    profile: str | None
    begins_at: float
    expires_at: float

    def why_not(self, seconds: float) -> str:
        """Why it is not good at this instant; empty where it is."""
        if seconds >= self.expires_at + LEEWAY_SECONDS:
            return "a token that has expired"
        return "a token from the future" if seconds < self.begins_at - LEEWAY_SECONDS else ""


def is_token(text: str) -> bool:
    """Whether `text` is put together like one: three parts."""
    return text.count(".") == 2


class Tokens:
    """Verifies tokens of some issuers."""

    def __init__(self, issuers: Iterable[Issuer], keys: Callable[[Issuer], ProviderKeys]) -> None:
        self._issuers = {issuer.issuer: (issuer, keys(issuer)) for issuer in issuers}
        self._verified: FIFOCache[bytes, tuple[float, Named]] = FIFOCache(REMEMBERED)
        self._lock = threading.Lock()

    def named_by(self, token: str, *, now: datetime) -> Named:
        """Whom `token` names. Raises `SessionEnded`, whose `because` tells why and quotes nothing of it, or `Busy`."""
        seconds = now.timestamp()
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        with self._lock:
            verified_at, named = self._verified.get(digest, (0.0, None))
        if named is None or not 0 <= seconds - verified_at < REMEMBERED_SECONDS:
            named = self._verify(token, seconds)
            with self._lock:
                self._verified[digest] = seconds, named
        because = named.why_not(seconds)
        if because:
            raise SessionEnded(because)
        return named

    def _verify(self, token: str, seconds: float) -> Named:
        header, claims, signed, signature = _parts(token)
        if not header.keys() <= _HEADER or header.get("typ", "JWT") not in _TYPES:
            raise SessionEnded("a token with a header that is not accepted")
        algorithm, name, said = header.get("alg"), header.get("kid"), claims.get("iss")
        issuer, keys = self._issuers.get(said, (None, None)) if isinstance(said, str) else (None, None)
        if issuer is None or keys is None:
            raise SessionEnded("a token of another issuer")
        if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
            raise SessionEnded("a token with an algorithm that its issuer does not use")
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise SessionEnded("a token that names no key")
        key = keys.named(name)
        if key is None:
            raise SessionEnded("a token with a key that its issuer is not known to have")
        if not key.signed(algorithm, signed, signature):
            raise SessionEnded("a token with a wrong signature")
        return named_in(claims, issuer, seconds)


def named_in(claims: Mapping[str, Any], issuer: Issuer, seconds: float) -> Named:
    """Whom these claims name, which `issuer` signed. Raises `SessionEnded`."""
    audience = claims.get("aud")
    if issuer.audience not in (audience if isinstance(audience, list) else [audience]):
        raise SessionEnded("a token for another audience")
    expires_at, issued_at = _instant(claims, "exp"), _instant(claims, "iat")
    if expires_at is None:
        raise SessionEnded("a token that never expires")
    longest = LONGEST_LIFE if issued_at is not None else LONGEST_LIFE + LEEWAY_SECONDS
    if expires_at - (seconds if issued_at is None else issued_at) > longest:
        raise SessionEnded("a token that is good for too long")
    identifier = claims.get(issuer.account_claim)
    if not isinstance(identifier, str) or not is_identifier(identifier):
        raise SessionEnded("a token that names no account")
    return Named(
        identifier,
        issuer.partner or _mapped(claims, issuer.partner_claim, issuer.partners, "partner"),
        None if issuer.profile_claim is None else _mapped(claims, issuer.profile_claim, issuer.profiles, "profile"),
        max(_instant(claims, "nbf") or 0.0, issued_at or 0.0),
        expires_at,
    )


def _mapped(claims: Mapping[str, Any], claim: str | None, table: Mapping[str, str], what: str) -> str:
    """What the one value of a claim means. Several are refused, whatever each would mean: nothing is chosen."""
    value = claims.get(claim or "")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str) or value not in table:
        raise SessionEnded(f"a token that does not name one {what} that is known")
    return table[value]


def _instant(claims: Mapping[str, Any], claim: str) -> float | None:
    """Raises `SessionEnded` where it is there and is no instant."""
    if claim not in claims:
        return None
    value = claims[claim]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LAST_INSTANT:
        raise SessionEnded("a token with a time that is none")
    return float(value)


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, what was signed, and the signature. Raises `SessionEnded`."""
    if len(token) <= LARGEST and is_token(token):
        header, claims, signature = (_decoded(part) for part in token.split("."))
        if header is not None and claims is not None and signature is not None:
            head, body = read_object(header), read_object(claims)
            if head is not None and body is not None:
                return head, body, token.rpartition(".")[0].encode("ascii"), signature
    raise SessionEnded("a token that is not understood")


def _decoded(part: str) -> bytes | None:
    """Base64url without padding (RFC 7515, 2) in the one way to write these bytes, None where it is anything else."""
    if not _PART.fullmatch(part) or len(part) % 4 == 1:
        return None
    decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return decoded if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii") == part else None
