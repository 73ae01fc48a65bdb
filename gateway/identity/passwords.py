"""Passwords: how strong, how kept, how checked.

Strength is the CNIL's rule (deliberation 2022-100): 50 bits at least, because access is restricted otherwise; and no
password that is guessed early all the same (`guessable.py`).
They are kept as argon2id with OWASP's parameters, and compared in Unicode's NFC form (RFC 8265), so that an accent
typed on another keyboard is the same accent. One check holds a core for about 20 ms and 19 MiB of memory: few run
at once and few wait.
"""

from __future__ import annotations

import ctypes
import math
import secrets
import threading
import unicodedata
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import Busy
from gateway.identity.guessable import holds_name, is_guessable
from gateway.identity.wrong import unacceptable

BITS_ASKED: Final = 50
LONGEST: Final = 128
"""Characters, after normalisation."""
NO_PASSWORD: Final = ""
"""What is kept of the password of an account that has none: no argon2id text, so that nothing matches it, and it takes
as long."""
CHECKS_AT_ONCE: Final = 2
CHECKS_WAITING: Final = 16
"""For each process. Beyond them a log-in is told to come back, also while those inside wait for the store."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MAPPED_FROM: Final = 16 * 1024 * 1024

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, hash_len=32, salt_len=16)
_READABLE: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def _give_memory_back() -> None:
    """Makes the memory of a check come from the system and go back to it at once. By itself, glibc takes the first such
    block that is freed for a reason to keep the next ones, 19 MiB for each thread that ever checked a password."""
    with suppress(OSError, AttributeError):  # another libc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
        # What glibc would have come to by itself: smaller blocks are kept.
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _MAPPED_FROM)


_give_memory_back()


def _hash_of_nothing() -> str:
    """A hash as costly to check as a real one, which no password matches."""
    salt, digest = (b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (16, 32))
    return f"$argon2id$v=19$m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}${salt}${digest}"


_NOTHING: Final = _hash_of_nothing()


class Turns:
    """Has places for `at_once` callers and `waiting` more, and lets `at_once` of those inside do what is costly at a
    time."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._turns = threading.BoundedSemaphore(at_once)

    @contextmanager
    def place(self) -> Iterator[None]:
        """For as long as the caller holds a thread. Raises `Busy` where all are taken."""
        if not self._places.acquire(blocking=False):
            raise Busy("too many passwords are being checked")
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """For whoever has a place."""
        with self._turns:
            yield


CHECKS: Final = Turns(at_once=CHECKS_AT_ONCE, waiting=CHECKS_WAITING)
"""The places and turns of this process."""


def password_problem(password: str, *, names: Sequence[str] = ()) -> str | None:
    """Why `password` may not be chosen for an account with these `names` (its identifier, its partner's name), as one
    sentence, or None.
    """
    weak = weakness(password)
    if weak is not None:
        return weak
    text = unicodedata.normalize("NFC", password)
    if holds_name(text, names=names):
        return unacceptable(
            "The password holds the identifier or the partner's name: choose one without.",
            "Le mot de passe contient l'identifiant ou le nom du partenaire.",
        )
    if is_guessable(text, names=names):
        return unacceptable(
            "The password is among the first that are tried: common words, a row of keys, a date, a sequence. "
            "Choose one of your own, such as four words that have nothing to do with each other.",
            "Le mot de passe est de ceux qui sont essayés d'abord : choisissez-en un autre.",
        )
    return None


def weakness(password: str) -> str | None:
    """Why `password` is none for the CNIL, whoever chooses it, as one sentence, or None.

    Its entropy is its length × log2 of the alphabets it draws from: 26 small letters, 26 capitals, 10 digits and
    37 for everything else.
    """
    text = unicodedata.normalize("NFC", password)
    if len(text) > LONGEST:
        return unacceptable(
            f"The password is longer than {LONGEST} characters.",
            f"Le mot de passe dépasse {LONGEST} caractères.",
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        return unacceptable(
            "The password holds a character that a keyboard cannot type.",
            "Le mot de passe contient un caractère qu'aucun clavier ne donne.",
        )
    if _entropy(text) < BITS_ASKED:
        return unacceptable(
            f"The password is too easy to guess: {_entropy(text):.0f} bits, {BITS_ASKED} are asked. "
            "Make it longer, or mix small letters, capitals, digits and signs.",
            "Le mot de passe est trop facile à deviner : allongez-le, ou mêlez minuscules, majuscules, chiffres et "
            "signes.",
        )
    return None


def _entropy(text: str) -> float:
    drawn_from = {_alphabet(character) for character in text}
    return len(text) * math.log2(sum(size for _, size in drawn_from)) if drawn_from else 0.0


def _alphabet(character: str) -> tuple[str, int]:
    if "a" <= character <= "z":
        return "small letters", 26
    if "A" <= character <= "Z":
        return "capitals", 26
    if "0" <= character <= "9":
        return "digits", 10
    return "others", 37


def hash_password(password: str) -> str:
    """What is kept of `password`: an argon2id text."""
    with CHECKS.turn():
        return _HASHER.hash(unicodedata.normalize("NFC", password))


def password_matches(password: str, *, stored: str | None) -> bool:
    """Whether `password` is the one kept as `stored`.

    None, or a text that is no hash, takes as long as a real one and never matches.
    """
    text = _comparable(password)
    with CHECKS.turn():
        if text is None or stored is None:
            return _verified(_NOTHING, text or b"")
        try:
            return _verified(stored, text)
        except InvalidHashError:
            return _verified(_NOTHING, text)


def _verified(stored: str, text: bytes) -> bool:
    try:
        return _HASHER.verify(stored, text)
    except VerificationError:
        return False


def _comparable(password: str) -> bytes | None:
    """What is hashed, or None for what nobody's password can be: JSON can smuggle half characters, or megabytes."""
    if len(password) > 4 * LONGEST:
        return None
    try:
        return unicodedata.normalize("NFC", password).encode("utf-8")
    except UnicodeEncodeError:
        return None


def is_outdated(stored: str) -> bool:
    """Whether `stored` was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def new_password() -> str:
    """A random password of four groups of five readable characters, about 115 bits."""
    groups = ("".join(secrets.choice(_READABLE) for _ in range(5)) for _ in range(4))
    return "-".join(groups)
