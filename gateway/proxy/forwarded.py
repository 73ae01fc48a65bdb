"""Whose request a proxy of ours passes on: the one thing of `X-Forwarded-*` that is ever believed, and of whom.

A proxy appends the address it was asked from. So the last entry that is not itself one of our proxies was written by
the first of them, and what stands before it by whoever asked, who may write what he likes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

HEADER: Final = "HTTP_X_FORWARDED_FOR"
MOST_PROXIES: Final = 16
"""Entries that are looked at: there are never so many proxies in a row."""
REMEMBERED: Final = 4096
"""Peers, with what they said, of which the client is remembered."""
LONGEST_REMEMBERED: Final = 512
"""Characters: whoever writes more does not fill the memory with it."""
Address = IPv4Address | IPv6Address
_WITH_PORT: Final = re.compile(r"([0-9.]+):[0-9]{1,5}|\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\](?::[0-9]{1,5})?")


class Forwarded:
    """Knows our proxies: addresses or networks, such as `10.0.0.5` or `10.0.0.0/8`."""

    def __init__(self, proxies: Sequence[str]) -> None:
        self._networks = [ip_network(proxy) for proxy in proxies]
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._client)

    def client(self, environ: Mapping[str, Any]) -> str:
        """The address of whoever asked the first of our proxies; the peer's own where no proxy of ours is the peer, and
        where what it says is missing or not understood."""
        peer, forwarded = str(environ.get("REMOTE_ADDR", "")), str(environ.get(HEADER, ""))
        if len(forwarded) > LONGEST_REMEMBERED:
            return self._client(peer, forwarded)
        return self._remembered(peer, forwarded)

    def _client(self, peer: str, forwarded: str) -> str:
        if not self._is_ours(_parsed(peer)):
            return peer
        for entry in reversed(forwarded.rsplit(",", MOST_PROXIES)[-MOST_PROXIES:]):
            address = _parsed(_without_port(entry.strip(" \t")))
            if address is None:
                break
            if not self._is_ours(address):
                return str(address)
        return peer

    def _is_ours(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _without_port(entry: str) -> str:
    """The entry without the port that some proxies write behind it, and IPv6 without the brackets that this needs."""
    found = _WITH_PORT.fullmatch(entry)
    return found[1] or found[2] if found else entry


def _parsed(text: str) -> Address | None:
    """The address that `text` is, without a zone. IPv4 written as IPv6 (`::ffff:10.0.0.5`) is IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address
