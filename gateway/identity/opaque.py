"""Opaque tokens: 256 random bits, told once, kept only as their SHA-256."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

PUBLIC_DIGITS: Final = 24
"""96 bits: nobody has two sessions that are called alike, and 160 bits of the digest stay unsaid."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_PUBLIC: Final = re.compile(rf"[0-9a-f]{{{PUBLIC_DIGITS}}}")


def new_token() -> str:
    """43 characters that nobody has had and nobody can guess."""
    return secrets.token_urlsafe(32)


def is_opaque(text: str) -> bool:
    """Whether `text` is written as one of them."""
    return _TOKEN.fullmatch(text) is not None


def digest(token: str) -> str:
    """What is kept of a token, and all that it is ever looked for by."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def public_id(kept: str) -> str:
    """What people may call a token by that is kept as `kept`: the beginning of the digest, which opens nothing and
    leads to no token."""
    return kept[:PUBLIC_DIGITS]


def is_public_id(text: str) -> bool:
    """Whether `text` is written as one of these."""
    return _PUBLIC.fullmatch(text) is not None
