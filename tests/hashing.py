"""argon2id as it is, asked each distinct question once in a process of the tests: who enters a hundred agents, all with
one password, waits for one hash. Processes of the gateway hash every time."""

from __future__ import annotations

from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError


class Remembering:
    """In the place of a hasher: what it said of a password, it says again. Two accounts with one password have one
    salt, and a check takes no time."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self.hash = cache(hasher.hash)
        self._asked = cache(self._ask)
        self._hasher = hasher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hasher, name)

    def verify(self, stored: str, password: bytes) -> bool:
        error = self._asked(stored, password)
        if error:
            raise error
        return True

    def _ask(self, stored: str, password: bytes) -> VerificationError | None:
        try:
            self._hasher.verify(stored, password)
        except VerificationError as error:
            return error
        return None
