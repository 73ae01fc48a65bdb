"""The public keys of an identity provider (RFC 7517): which of them are of use, and how long they are believed.

A key is asked for by the name that a token gives it (`kid`), which is compared with the names in the set and is nothing
else: no path, no address. Where the provider does not answer, what is known stays good for a day.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from joserfc.errors import JoseError
from joserfc.jwa import JWS_ALGORITHMS, JWSAlgModel
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.util import base64_to_int

from gateway.errors import Busy
from gateway.identity.objects import read_object

LARGEST_SET: Final = 64 * 1024
"""Bytes of a key set."""
CACHED_SECONDS: Final = 300
"""How long a set is believed without asking for it again, unless another time is written: a key that was withdrawn is
good for so long at most."""
GOOD_SECONDS: Final = 24 * 3600
"""How long, where the provider does not answer."""
PAUSE_SECONDS: Final = 30
"""The provider is asked so often at most, by a process, whatever names tokens give; or as often as its keys are asked
for again, where that is more often."""
MOST_WAITING: Final = 16
"""Requests of a process that wait for an answer of the provider's; others with a key that is not known are told to come
back. Fewer than the threads of our own addresses."""
RSA_BITS: Final = range(2048, 8193)
"""Of a modulus: shorter ones are broken, and longer ones cost what others wait for."""
LONGEST_NAME: Final = 256

_MODELS: Final[Mapping[str, JWSAlgModel]] = {model.name: model for model in JWS_ALGORITHMS}
ALGORITHMS: Final[Mapping[str, JWSAlgModel]] = {
    **{name: _MODELS[name] for name in ("ES256", "ES384", "RS256", "PS256", "Ed25519")},
    # The older name of the same (RFC 9864).
    "EdDSA": _MODELS["Ed25519"],
}
"""What a token may be signed with. In none of them is the key that verifies one that signs."""
_CURVES: Final = {"ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "Ed25519": ("OKP", "Ed25519")}
_KINDS: Final[Mapping[str, type[ECKey | OKPKey | RSAKey]]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
_SECRETS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")

T = TypeVar("T")
_log = structlog.get_logger()


class PublicKey(NamedTuple):
    """A key, and the names of the algorithms that it may be used with."""

    key: Key
    algorithms: frozenset[str]

    def signed(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether the holder of this key signed `signed`. Never raises."""
        if algorithm not in self.algorithms:
            return False
        try:
            return ALGORITHMS[algorithm].verify(signed, signature, self.key)
        except (JoseError, ValueError, TypeError):
            return False


def key_set(text: bytes, algorithms: Iterable[str]) -> dict[str, PublicKey] | None:
    """The keys of a set that are of use with one of `algorithms`, by their names; None where it is no set.

    Left out: keys without a name, for anything but signatures, of a kind or curve that does not fit, too short, secret
    ones, and those that share a name.
    """
    entries = (read_object(text) or {}).get("keys") if len(text) <= LARGEST_SET else None
    if not isinstance(entries, list):
        return None
    found: dict[str, PublicKey] = {}
    shared: set[str] = set()
    for entry in entries:
        if isinstance(entry, dict) and (key := _public_key(entry, algorithms)):
            name = entry["kid"]
            shared |= {name} & found.keys()
            found[name] = key
    return {name: key for name, key in found.items() if name not in shared}


def _public_key(entry: Mapping[str, Any], algorithms: Iterable[str]) -> PublicKey | None:
    name, uses = entry.get("kid"), entry.get("key_ops", ["verify"])
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not isinstance(uses, list):
        return None
    if entry.get("use", "sig") != "sig" or "verify" not in uses or any(secret in entry for secret in _SECRETS):
        return None
    fitting = frozenset(algorithm for algorithm in algorithms if _fits(entry, algorithm))
    if not fitting:
        return None
    # Only what makes the key: the rest was looked at above, and has no meaning for the library.
    members = {member: entry[member] for member in ("kty", "crv", "x", "y", "n", "e") if member in entry}
    try:
        if entry["kty"] == "RSA" and base64_to_int(entry["n"]).bit_length() not in RSA_BITS:
            return None
        key = _KINDS[entry["kty"]].import_key(members)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    return PublicKey(key, fitting)


def _fits(entry: Mapping[str, Any], algorithm: str) -> bool:
    model = ALGORITHMS[algorithm].name
    meant = entry.get("alg", algorithm)
    if not isinstance(meant, str) or meant not in ALGORITHMS or ALGORITHMS[meant].name != model:
        return False
    if model in _CURVES:
        return (entry.get("kty"), entry.get("crv")) == _CURVES[model]
    return entry.get("kty") == "RSA"


class KeysAway(Exception):
    """The provider's keys cannot be had now. Its text says why, in a few words of ours."""


class _Held(NamedTuple):
    keys: Mapping[str, PublicKey]
    at: float


class ProviderKeys:
    """The keys of one issuer, for all requests of a process: asked for when they are needed, kept meanwhile."""

    def __init__(
        self,
        issuer: str,
        algorithms: Iterable[str],
        ask: Callable[[], bytes],
        *,
        aside: Callable[[Callable[[], Any]], Any],
        clock: Callable[[], float] = time.monotonic,
        cached_seconds: int = CACHED_SECONDS,
    ) -> None:
        """`ask` brings the set and raises `KeysAway`; it may block, and so it is called through `aside`, which does a
        work and returns when it is done."""
        self._issuer = issuer
        self._algorithms = tuple(algorithms)
        self._ask = ask
        self._aside = aside
        self._clock = clock
        self._cached_seconds = cached_seconds
        self._pause_seconds = min(PAUSE_SECONDS, cached_seconds)
        self._held: _Held | None = None
        self._lock = threading.Lock()
        self._asked_at = -float("inf")
        self._answered: threading.Event | None = None
        """Of the question that is under way: set when it has ended."""
        self._places = threading.BoundedSemaphore(MOST_WAITING)

    def named(self, name: str) -> PublicKey | None:
        """The key of this name. Where it is not known, or the set is old, the provider is asked first, unless that was
        done a moment ago.

        Whoever knows the key does not wait for an answer that another is waiting for. Raises `Busy` where too many wait
        already.
        """
        key, is_old = self._known(name)
        if key is None or is_old:
            with self._lock:
                waiting = self._answered
                mine = waiting is None and self._clock() - self._asked_at >= self._pause_seconds
                if mine:
                    self._asked_at, self._answered = self._clock(), threading.Event()
            if mine:
                try:
                    self._aside(self._renew)
                finally:
                    self._tell()
                key, _ = self._known(name)
            elif waiting is not None and key is None:
                if not self._places.acquire(blocking=False):
                    raise Busy("too many wait for the keys of an identity provider")
                try:
                    self._aside(waiting.wait)
                finally:
                    self._places.release()
                key, _ = self._known(name)
        return key

    def trouble(self) -> str | None:
        """None where the provider gives keys that are of use; otherwise what went wrong, in words."""
        try:
            return None if self._fetched() else f"no key with a name (kid) for {', '.join(self._algorithms)}"
        except KeysAway as error:
            return str(error)

    def _known(self, name: str) -> tuple[PublicKey | None, bool]:
        """The key, and whether the set should be asked for again."""
        held = self._held
        age = self._clock() - held.at if held else GOOD_SECONDS
        return (held.keys.get(name) if held and age < GOOD_SECONDS else None), age >= self._cached_seconds

    def _renew(self) -> None:
        begun = self._clock()
        try:
            self._held = _Held(self._fetched(), begun)
        except KeysAway as error:
            _log.warning("identity provider gives no keys", issuer=self._issuer, because=str(error))

    def _tell(self) -> None:
        """The question that was under way has ended, whatever came of it."""
        with self._lock:
            answered, self._answered = self._answered, None
        if answered is not None:
            answered.set()

    def _fetched(self) -> dict[str, PublicKey]:
        keys = key_set(self._ask(), self._algorithms)
        if keys is None:
            raise KeysAway("what it answers is not a key set")
        return keys
