"""What the store must not hold in clear, sealed under a key that is not in the store (Fernet: AES and an HMAC)."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.errors import Misconfigured

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEY_BYTES: Final = 32


class Seal:
    """Seals under the first of its keys, and opens what any of them has sealed."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises `ValueError` where one is no key, or there is none."""
        if not keys:
            raise ValueError("no key")
        for key in keys:
            if len(urlsafe_b64decode(key)) != KEY_BYTES:
                raise ValueError("not a key")
        self._texts = keys

    @cached_property
    def _keys(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet  # megabytes, not before something is sealed

        return MultiFernet([Fernet(key) for key in self._texts])

    def prepare(self) -> None:
        """Load now what the first use would."""
        self._keys  # noqa: B018 - it is kept

    def sealed(self, text: str, *, account_id: int) -> str:
        """`text`, to be kept with this account and opened with no other."""
        return self._keys.encrypt(f"{account_id} {text}".encode()).decode("ascii")

    def opened(self, kept: str, *, account_id: int) -> str | None:
        """What was sealed; None where it was altered, is another account's, or was sealed under a key that is gone."""
        from cryptography.fernet import InvalidToken

        try:
            owner, _, text = self._keys.decrypt(kept).decode().partition(" ")
        except InvalidToken:
            return None
        return text if owner == str(account_id) else None


def load_seal(file: Path) -> Seal:
    """The seal of this file: one key a line, the newest first. Raises `Misconfigured`."""
    try:
        return Seal(file.read_text("ascii").split())
    except (OSError, ValueError):
        raise Misconfigured(
            [f"identity.second_factor_key_file: {file} must hold keys as `cafpro init` makes them, one a line."]
        ) from None


def new_seal_key() -> str:
    """A key, 256 random bits."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode("ascii")
