"""The public keys of an identity provider (RFC 7517), and how long they are believed.

A key is asked for by the name that a token gives it (`kid`), which is compared with the names in the set and is nothing
else: no path, no address. Where the provider does not answer, what is known stays good for a day.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.errors import Busy
from gateway.logs import get_logger

if TYPE_CHECKING:
    from gateway.identity.public_keys import PublicKey

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
LONGEST_NAME: Final = 256

_log = get_logger()


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
        from gateway.identity.public_keys import key_set  # megabytes, for those alone who believe tokens

        keys = key_set(self._ask(), self._algorithms)
        if keys is None:
            raise KeysAway("what it answers is not a key set")
        return keys
