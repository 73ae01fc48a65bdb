"""Addresses of proxies: written as `10.0.0.5` or as a network, such as `10.0.0.0/8`."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

WIDEST: Final = {4: 8, 6: 32}
"""The shortest prefix of a network of proxies, by the version of IP."""

Address = IPv4Address | IPv6Address


class Proxies:
    """Those whose word is taken for something."""

    def __init__(self, written: Sequence[str]) -> None:
        self._networks = [ip_network(proxy) for proxy in written]

    def __contains__(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def parsed(text: str) -> Address | None:
    """The address that `text` is, without a zone. IPv4 written as IPv6 (`::ffff:10.0.0.5`) is IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address


def problem(written: Sequence[str], *, fear: str) -> str | None:
    """What is wrong with them as `Proxies`, None where nothing is. `fear` is what a client among them could do."""
    if not all(_is_network(proxy) for proxy in written):
        return "each must be an IP address, or a network such as 10.0.0.0/8."
    if any(network.prefixlen < WIDEST[network.version] for network in map(ip_network, written)):
        widest = f"/{WIDEST[4]} (IPv6: /{WIDEST[6]})"
        return f"a network wider than {widest} holds clients too, who {fear}. Name the proxies' own addresses."
    return None


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return "%" not in text
