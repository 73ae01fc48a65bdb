"""Who asks, told to the backend: a short-lived signed assertion, so that it can log whom it answered, and trust that.

A JSON Web Token (RFC 7519) signed with ES256 (RFC 7518, 3.4), which backends of any age can verify. It is bound to one
request for one dossier: what a backend logs, or somebody reads on the way, opens no other.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.errors import Misconfigured
from gateway.model import Agent, DossierNumber

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

HEADER: Final = "X-Cafpro-Assertion"
GOOD_SECONDS: Final = 60
"""How long an assertion is good, in seconds: an exchange with the backend, and what two clocks differ."""
CURVE: Final = "P-256"
MAKE_ONE: Final = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out"


class Asserting:
    """Signs assertions with one key, as `issuer` (what agents type) and for `audience` (the backend's address)."""

    def __init__(self, key: ECKey, *, issuer: str, audience: str) -> None:
        from joserfc import jwt  # megabytes, for those alone who assert something

        self._encode = jwt.encode
        self._key = key
        self._head = {"typ": "JWT", "alg": "ES256", "kid": key.thumbprint()}  # RFC 7638
        self._issuer = issuer
        self._audience = audience

    def of(self, agent: Agent, number: DossierNumber, *, request_id: str, at: datetime) -> str:
        """The value of `HEADER` for this agent, who asks at `at` for the dossier `number`.

        `sub` is the account, `jti` the request's id, `iat` and `exp` are whole seconds since 1970, UTC. Ours are
        `partner`, `partner_kind`, `profile`, `assurance` and `dossier`.
        """
        begun = int(at.timestamp())
        claims: dict[str, str | int] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": agent.identifier,
            "iat": begun,
            "exp": begun + GOOD_SECONDS,
            "jti": request_id,
            "partner": agent.partner_name,
            "partner_kind": agent.partner_kind,
            "profile": agent.profile,
            "assurance": agent.assurance,
            "dossier": number,
        }
        return self._encode(self._head, claims, self._key)


def assertion_key(file: Path) -> ECKey:
    """The private key in this file, in PEM. Raises `Misconfigured` where there is none, or one of another kind."""
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey

    try:
        key = ECKey.import_key(file.read_bytes())
        if key.is_private and key.curve_name == CURVE:
            return key
    except (OSError, ValueError, TypeError, JoseError):
        pass
    raise Misconfigured(
        [f"upstream.assertion_key_file: {file} holds no private key of the curve {CURVE}. Write: {MAKE_ONE} {file}"]
    )


def new_key() -> tuple[str, str]:
    """A new key in PEM: its private half, which signs, and its public one, which the backend is given."""
    from joserfc.jwk import ECKey

    key = ECKey.generate_key(CURVE)
    return key.as_pem(private=True).decode(), key.as_pem(private=False).decode()
