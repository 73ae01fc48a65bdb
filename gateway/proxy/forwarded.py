"""Whose request a proxy of ours passes on: the one thing of `X-Forwarded-*` that is ever believed, and of whom.

A proxy appends the address it was asked from. So the last entry that is not itself one of our proxies was written by
the first of them, and what stands before it by whoever asked, who may write what he likes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from gateway.networks import Proxies, parsed

HEADER: Final = "HTTP_X_FORWARDED_FOR"
MOST_PROXIES: Final = 16
"""Entries that are looked at: there are never so many proxies in a row."""
REMEMBERED: Final = 4096
"""Peers, with what they said, of which the client is remembered."""
LONGEST_REMEMBERED: Final = 512
"""Characters: whoever writes more does not fill the memory with it."""
_WITH_PORT: Final = re.compile(r"([0-9.]+):[0-9]{1,5}|\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\](?::[0-9]{1,5})?")


class Forwarded:
    """Knows our proxies, written as `Proxies` are."""

    def __init__(self, proxies: Sequence[str]) -> None:
        self._ours = Proxies(proxies)
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._client)

    def client(self, environ: Mapping[str, Any]) -> str:
        """The address of whoever asked the first of our proxies; the peer's own where no proxy of ours is the peer, and
        where what it says is missing or not understood."""
        peer, forwarded = str(environ.get("REMOTE_ADDR", "")), str(environ.get(HEADER, ""))
        if len(forwarded) > LONGEST_REMEMBERED:
            return self._client(peer, forwarded)
        return self._remembered(peer, forwarded)

    def _client(self, peer: str, forwarded: str) -> str:
        if parsed(peer) not in self._ours:
            return peer
        for entry in reversed(forwarded.rsplit(",", MOST_PROXIES)[-MOST_PROXIES:]):
            address = parsed(_without_port(entry.strip(" \t")))
            if address is None:
                break
            if address not in self._ours:
                return str(address)
        return peer


def _without_port(entry: str) -> str:
    """The entry without the port that some proxies write behind it, and IPv6 without the brackets that this needs."""
    found = _WITH_PORT.fullmatch(entry)
    return found[1] or found[2] if found else entry
