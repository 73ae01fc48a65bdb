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
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from cachetools import FIFOCache

from gateway.errors import SessionEnded
from gateway.identity.issuers import Issuer
from gateway.identity.jwks import LONGEST_NAME, ProviderKeys
from gateway.identity.objects import read_object
from gateway.identity.proving import is_identifier
from gateway.identity.vouchers import Naming, Voucher

LARGEST: Final = 8192
"""Characters of a token."""
LEEWAY_SECONDS: Final = 30
"""What two clocks may differ."""
LONGEST_LIFE: Final = 3600
"""Seconds for which a token may be made."""
REMEMBERED: Final = 1024
REMEMBERED_SECONDS: Final = 60
"""How long a token that was verified is not verified again, and no longer than its issuer's keys are believed. What the
directory says is asked each time."""
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
    proof: str = "token"
    """What names them, in the words of a refusal."""

    def why_not(self, seconds: float) -> str:
        """Why it is not good at this instant; empty where it is."""
        return why_not(self.begins_at, self.expires_at, seconds)


def is_token(text: str) -> bool:
    """Whether `text` is put together like one: three parts."""
    return text.count(".") == 2


class Verified:
    """Whom the proofs name that were verified a moment ago, for several threads: `REMEMBERED` of them."""

    def __init__(self) -> None:
        self._kept: FIFOCache[Hashable, tuple[float, int, Named]] = FIFOCache(REMEMBERED)
        self._lock = threading.Lock()

    def named_by(self, proof: Hashable, seconds: float) -> Named | None:
        """Whom it names, None where it must be verified at this instant."""
        with self._lock:
            verified_at, lasting, named = self._kept.get(proof, (0.0, 0, None))
        return named if 0 <= seconds - verified_at < lasting else None

    def keep(self, proof: Hashable, named: Named, seconds: float, lasting: int = REMEMBERED_SECONDS) -> None:
        """It was verified at this instant; that is believed for so many seconds."""
        with self._lock:
            self._kept[proof] = seconds, lasting, named


class Tokens:
    """Verifies tokens of some issuers."""

    def __init__(self, issuers: Iterable[Issuer], keys: Callable[[Issuer], ProviderKeys]) -> None:
        self._issuers = {issuer.issuer: (issuer, keys(issuer)) for issuer in issuers}
        self._verified = Verified()

    def named_by(self, token: str, *, now: datetime) -> Named:
        """Whom `token` names. Raises `SessionEnded`, whose `because` tells why and quotes nothing of it, or `Busy`."""
        seconds = now.timestamp()
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        named = self._verified.named_by(digest, seconds)
        if named is None:
            named, keys_seconds = self._verify(token, seconds)
            self._verified.keep(digest, named, seconds, min(REMEMBERED_SECONDS, keys_seconds))
        because = named.why_not(seconds)
        if because:
            raise SessionEnded(because)
        return named

    def _verify(self, token: str, seconds: float) -> tuple[Named, int]:
        """Whom it names, and for how many seconds its issuer's keys are believed."""
        written = read_token(token)
        said = written.claims.get("iss")
        issuer, keys = self._issuers.get(said, (None, None)) if isinstance(said, str) else (None, None)
        if issuer is None or keys is None:
            raise SessionEnded("a token of another issuer")
        check_signature(written, issuer, keys)
        return named_in(written.claims, issuer, seconds), issuer.keys_seconds


class Written(NamedTuple):
    """A token as it is written: nothing of it is believed yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def read_token(token: str) -> Written:
    """The parts of a token. Raises `SessionEnded` where it cannot be understood, or its header says more than we do."""
    written = _parts(token)
    if not written.header.keys() <= _HEADER or written.header.get("typ", "JWT") not in _TYPES:
        raise SessionEnded("a token with a header that is not accepted")
    return written


def check_signature(written: Written, voucher: Voucher, keys: ProviderKeys) -> None:
    """Raises `SessionEnded` unless one of the voucher's keys signed it, by one of its algorithms; or `Busy`."""
    algorithm, name = written.header.get("alg"), written.header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in voucher.algorithms:
        raise SessionEnded("a token with an algorithm that its issuer does not use")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise SessionEnded("a token that names no key")
    key = keys.named(name)
    if key is None:
        raise SessionEnded("a token with a key that its issuer is not known to have")
    if not key.signed(algorithm, written.signed, written.signature):
        raise SessionEnded("a token with a wrong signature")


def named_in(claims: Mapping[str, Any], issuer: Issuer, seconds: float) -> Named:
    """Whom these claims name, which `issuer` signed. Raises `SessionEnded`."""
    check_audience(claims, issuer.audience)
    begins_at, expires_at = times_of(claims, seconds)
    return Named(
        account_of(claims, issuer),
        partner_of(claims, issuer),
        profile_of(claims, issuer),
        begins_at,
        expires_at,
    )


def check_audience(claims: Mapping[str, Any], audience: str) -> None:
    """Raises `SessionEnded` unless the claims are for `audience`, alone or among others."""
    said = claims.get("aud")
    if audience not in (said if isinstance(said, list) else [said]):
        raise SessionEnded("a token for another audience")


def times_of(claims: Mapping[str, Any], seconds: float) -> tuple[float, float]:
    """From when until when the claims are good. Raises `SessionEnded` where that is too long, or for ever."""
    expires_at, issued_at = _instant(claims, "exp"), _instant(claims, "iat")
    if expires_at is None:
        raise SessionEnded("a token that never expires")
    longest = LONGEST_LIFE if issued_at is not None else LONGEST_LIFE + LEEWAY_SECONDS
    if expires_at - (seconds if issued_at is None else issued_at) > longest:
        raise SessionEnded("a token that is good for too long")
    return max(_instant(claims, "nbf") or 0.0, issued_at or 0.0), expires_at


def why_not(begins_at: float, expires_at: float, seconds: float) -> str:
    """Why it is not good at this instant; empty where it is."""
    if seconds >= expires_at + LEEWAY_SECONDS:
        return "a token that has expired"
    return "a token from the future" if seconds < begins_at - LEEWAY_SECONDS else ""


def account_of(claims: Mapping[str, Any], naming: Naming) -> str:
    """The account that the claims name. Raises `SessionEnded`."""
    if naming.accounts:
        return _mapped(claims, naming, naming.account_claim, naming.accounts, "account")
    identifier = claims.get(naming.account_claim)
    if not isinstance(identifier, str) or not is_identifier(identifier):
        raise SessionEnded(f"a {naming.PROOF} that names no account")
    return identifier


def partner_of(claims: Mapping[str, Any], naming: Naming) -> str:
    """The partner whose accounts the claims may name. Raises `SessionEnded`."""
    return naming.partner or _mapped(claims, naming, naming.partner_claim, naming.partners, "partner")


def profile_of(claims: Mapping[str, Any], naming: Naming) -> str | None:
    """The profile that the claims name, None where theirs name none. Raises `SessionEnded`."""
    if naming.profile_claim is None:
        return None
    return _mapped(claims, naming, naming.profile_claim, naming.profiles, "profile")


def _mapped(claims: Mapping[str, Any], naming: Naming, claim: str | None, table: Mapping[str, str], what: str) -> str:
    """What the one value of a claim means. Several are refused, whatever each would mean: nothing is chosen."""
    value = claims.get(claim or "")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str) or value not in table:
        raise SessionEnded(f"a {naming.PROOF} that does not name one {what} that is known")
    return table[value]


def _instant(claims: Mapping[str, Any], claim: str) -> float | None:
    """Raises `SessionEnded` where it is there and is no instant."""
    if claim not in claims:
        return None
    value = claims[claim]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LAST_INSTANT:
        raise SessionEnded("a token with a time that is none")
    return float(value)


def _parts(token: str) -> Written:
    """Raises `SessionEnded`."""
    if len(token) <= LARGEST and is_token(token):
        header, claims, signature = (_decoded(part) for part in token.split("."))
        if header is not None and claims is not None and signature is not None:
            head, body = read_object(header), read_object(claims)
            if head is not None and body is not None:
                return Written(head, body, token.rpartition(".")[0].encode("ascii"), signature)
    raise SessionEnded("a token that is not understood")


def _decoded(part: str) -> bytes | None:
    """Base64url without padding (RFC 7515, 2) in the one way to write these bytes, None where it is anything else."""
    if not _PART.fullmatch(part) or len(part) % 4 == 1:
        return None
    decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return decoded if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii") == part else None
