"""Opaque tokens: 256 random bits, told once, kept only as their SHA-256."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """43 characters that nobody has had and nobody can guess."""
    return secrets.token_urlsafe(32)


def is_opaque(text: str) -> bool:
    """Whether `text` is written as one of them."""
    return _TOKEN.fullmatch(text) is not None


def digest(token: str) -> str:
    """What is kept of a token, and all that it is ever looked for by."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()
