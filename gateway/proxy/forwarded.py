"""Whose request a proxy of ours passes on: the one thing of `X-Forwarded-*` that is ever believed, and of whom.

A proxy appends the address it was asked from. So the last entry that is not itself one of our proxies was written by
the first of them, and what stands before it by whoever asked, who may write what he likes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

HEADER: Final = "HTTP_X_FORWARDED_FOR"
MOST_PROXIES: Final = 16
"""Entries that are looked at: there are never so many proxies in a row."""


class Forwarded:
    """Knows our proxies: addresses or networks, such as `10.0.0.5` or `10.0.0.0/8`."""

    def __init__(self, proxies: Sequence[str]) -> None:
        networks = [ip_network(proxy) for proxy in proxies]

        def is_ours(address: IPv4Address | IPv6Address) -> bool:
            return any(address in network for network in networks)

        @lru_cache(maxsize=4096)
        def is_our_peer(peer: str) -> bool:
            parsed = _parsed(peer)
            return parsed is not None and is_ours(parsed)

        self._is_ours = is_ours
        self._is_our_peer = is_our_peer

    def client(self, environ: Mapping[str, Any]) -> str:
        """The address of whoever asked the first of our proxies; the peer's own where no proxy of ours is the peer, and
        where what it says is missing or not understood."""
        peer = str(environ.get("REMOTE_ADDR", ""))
        if not self._is_our_peer(peer):
            return peer
        for entry in reversed(str(environ.get(HEADER, "")).rsplit(",", MOST_PROXIES)[-MOST_PROXIES:]):
            address = _parsed(entry.strip(" \t"))
            if address is None:
                break
            if not self._is_ours(address):
                return str(address)
        return peer


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address that `text` is, without a zone. IPv4 written as IPv6 (`::ffff:10.0.0.5`) is IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address
