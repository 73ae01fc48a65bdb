"""Browsers that are sent to a provider and come back, known again without anything stored.

Everything that is secret of an errand is made of one random text that its browser keeps, under a key of ours: strangers
who begin errands fill nothing, and any worker of any machine takes one up again.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from datetime import datetime
from typing import Final, NamedTuple

from gateway.errors import Refusal

BEGUN_SECONDS: Final = 600
"""How long an agent may stay at the provider."""
CLOCKS_APART: Final = 300
"""Seconds that two machines' clocks may differ: one begins an errand, another takes it up."""
_KEPT: Final = re.compile(r"([0-9]{10,12})\.(T[0-9]{1,2})?\.([A-Za-z0-9_-]{43})")


class Errand(NamedTuple):
    """A browser on its way. `kept` is what it keeps meanwhile, `profile` the one that its agent asked for, if any."""

    kept: str
    expires_at: int
    profile: str | None
    state: str


class Errands:
    """Begins the errands of one kind to one provider, and knows them again."""

    def __init__(self, key: bytes, *, noun: str, refusal: type[Refusal]) -> None:
        """`key` is of this kind and provider alone; `refusal` is raised for one that is not known, which `noun` calls
        by its name."""
        self._key = key
        self._noun = noun
        self._refusal = refusal

    def begin(self, profile: str | None = None, *, now: datetime) -> Errand:
        """One that nobody has begun before."""
        expires_at = int(now.timestamp()) + BEGUN_SECONDS
        return self._made(f"{expires_at}.{profile or ''}.{secrets.token_urlsafe(32)}", expires_at, profile)

    def again(self, kept: str, state: str, *, now: datetime) -> Errand:
        """The one that `kept` was given for, where `state` is its state. Raises the refusal."""
        found = _KEPT.fullmatch(kept)
        if found is None:
            raise self._refusal(f"this browser has begun no {self._noun}")
        errand = self._made(kept, int(found[1]), found[2])
        # The key stands behind the time, too: first whether it is ours at all.
        if not hmac.compare_digest(errand.state.encode(), state.encode("utf-8", "replace")):
            raise self._refusal(f"the state is not that of this browser's {self._noun}")
        seconds = now.timestamp()
        if not errand.expires_at - BEGUN_SECONDS - CLOCKS_APART <= seconds < errand.expires_at:
            raise self._refusal(f"the {self._noun} was begun too long ago")
        return errand

    def secret(self, what: str, kept: str) -> str:
        """43 characters that only whoever has the key can make of what a browser keeps."""
        return written(hmac.digest(self._key, f"{what}:{kept}".encode(), "sha256"))

    def _made(self, kept: str, expires_at: int, profile: str | None) -> Errand:
        return Errand(kept, expires_at, profile, self.secret("state", kept))


def written(digest: bytes) -> str:
    """Base64url without padding, as in an address."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
