"""The limits as the gateway asks for them: each in one line, which raises the refusal."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final, NamedTuple

from gateway.errors import TooManyAttempts, TooManyRequests
from gateway.limits.buckets import Buckets
from gateway.limits.delays import Delays

_NETWORK: Final = (1 << 128) - (1 << 64)
_NAT64: Final = IPv6Network("64:ff9b::/96")


class Rate(NamedTuple):
    """So many at once, and so many a minute once they are used up."""

    per_minute: int
    burst: int


RECORDED: Final = Rate(per_minute=60, burst=60)
"""Of the refusals of one address for having sent too many requests, those that the record keeps: what its own limit
lets through is recorded whole, and no stranger shall fill the disk faster."""


JOINING: Final = Rate(per_minute=1, burst=10)
"""Requests to join from one address: people write them."""


class Limits:
    """What everyone has asked for lately, over all processes together. Make it before the fork."""

    def __init__(
        self,
        *,
        agent: Rate,
        address: Rate,
        failures: Rate,
        log_ins: Rate,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`failures`: of log-ins from one address. `log_ins`: with one identifier, whatever becomes of them. `now`:
        nanoseconds of the clock that processes share."""
        self._agents = Buckets(per_minute=agent.per_minute, burst=agent.burst, now=now)
        self._addresses = Buckets(per_minute=address.per_minute, burst=address.burst, now=now)
        self._failures = Buckets(per_minute=failures.per_minute, burst=failures.burst, now=now)
        self._log_ins = Buckets(per_minute=log_ins.per_minute, burst=log_ins.burst, now=now)
        self._delays = Delays(now=now)
        self._joining = Buckets(per_minute=JOINING.per_minute, burst=JOINING.burst, now=now)
        self._recorded = Buckets(per_minute=RECORDED.per_minute, burst=RECORDED.burst, now=now)

    def admit_address(self, address: str) -> None:
        """Raises `TooManyRequests` where this address has sent too many, to be recorded where that is none too many.
        Asked before anything else is looked at."""
        line = line_of(address) if ":" in address else address
        seconds = self._addresses.take(line)
        if seconds:
            raise TooManyRequests("too many from this address", seconds=seconds, recorded=not self._recorded.take(line))

    def admit_joining(self, address: str) -> None:
        """Raises `TooManyRequests` where this address has asked to join too often."""
        seconds = self._joining.take(line_of(address))
        if seconds:
            raise TooManyRequests("too many requests to join from this address", seconds=seconds)

    def admit_agent(self, identifier: str) -> None:
        """Raises `TooManyRequests` where this agent has sent too many, with whichever of its sessions."""
        seconds = self._agents.take(identifier)
        if seconds:
            raise TooManyRequests("too many of this agent", seconds=seconds)

    def admit_log_in(self, *, address: str, identifier: str) -> None:
        """Raises `TooManyAttempts` where too many have failed, `TooManyRequests` where too many were tried lately.
        `identifier` is as it was typed, known or not.

        What is being tried at this moment has not failed yet: as many log-ins as are checked at once may come through
        too many, and are waited for afterwards.
        """
        for_address = self._failures.wait(line_of(address))
        for_identifier = self._delays.wait(identifier)
        if for_address or for_identifier:
            whose = "from this address" if for_address >= for_identifier else "for this identifier"
            raise TooManyAttempts(f"too many failures {whose}", seconds=max(for_address, for_identifier))
        seconds = self._log_ins.take(identifier)
        if seconds:
            raise TooManyRequests("too many log-ins with this identifier", seconds=seconds)

    def admit_attempt(self, *, address: str) -> None:
        """Raises `TooManyAttempts` where too much has failed from this address: log-ins, or what is limited with them
        and names no identifier."""
        seconds = self._failures.wait(line_of(address))
        if seconds:
            raise TooManyAttempts("too many failures from this address", seconds=seconds)

    def attempt_failed(self, *, address: str) -> None:
        """Something was tried that counts as a failed log-in of this address, and of no identifier."""
        self._failures.spend(line_of(address))

    def log_in_failed(self, *, address: str, identifier: str) -> None:
        """A log-in was tried and failed."""
        line = line_of(address)
        self._failures.spend(line)
        self._delays.failed(identifier, address=line)

    def log_in_succeeded(self, *, address: str, identifier: str) -> None:
        """A log-in was tried and is good: this identifier's failures from this address are forgotten. Those of others
        stay, and for the address all stay."""
        self._delays.succeeded(identifier, address=line_of(address))


@lru_cache(maxsize=4096)
def line_of(address: str) -> str:
    """What stands for an IPv6 address: its /64, since one subscriber has all of it. IPv4 written as IPv6, or translated
    (RFC 6052), is IPv4: all of it is in one /64."""
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    if parsed in _NAT64:
        return str(IPv4Address(int(parsed) & 0xFFFF_FFFF))
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) & _NETWORK))
