"""Who asks, as a backend learns it: the gateway's signed assertion (`X-Cafpro-Assertion`), checked before anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

HEADER = "X-Cafpro-Assertion"
LEEWAY = 30
"""Seconds by which this machine's clock and the gateway's may differ."""


@dataclass(frozen=True)
class Asking:
    """An agent who asks for a dossier."""

    identifier: str
    partner: str
    profile: str
    dossier: str
    request_id: str


class Assertions:
    """Believes what is signed with the key whose public half is in `file` (PEM), for `audience`: our own address."""

    def __init__(self, file: Path, audience: str) -> None:
        self._key = ECKey.import_key(file.read_bytes())
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY,
            aud={"essential": True, "value": audience},
            iat={"essential": True},
            exp={"essential": True},
            sub={"essential": True},
            jti={"essential": True},
            dossier={"essential": True},
        )

    def asking(self, header: str | None) -> Asking | None:
        """Who asks, and for which dossier; None where nothing good says so."""
        if header is None:
            return None
        try:
            claims = jwt.decode(header, self._key, algorithms=["ES256"]).claims
            self._claims.validate(claims)
        except (JoseError, ValueError):
            return None
        return Asking(*(str(claims.get(name, "")) for name in ("sub", "partner", "profile", "dossier", "jti")))
