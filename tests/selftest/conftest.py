"""The whole system, to be looked at from outside, and a front that lies."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.ports import free_port
from tests.selftest.fronts import Front
from tests.server.conftest import certificate
from tests.story.running import Gateway

__all__ = ["certificate"]

READ, OTHER, CLOSED, OBJECTED = "9990001", "9990003", "9990002", "9990008"
UNLIMITED = {
    f"limits__{name}": 1_000_000
    for name in (
        *("agent_per_minute", "agent_burst", "address_per_minute", "address_burst"),
        *("failures_per_minute", "failures_burst", "log_ins_per_minute", "log_ins_burst"),
    )
}


def populated(made: Gateway) -> Gateway:
    """With an agent of profile T9 who reads two dossiers, and not a third one."""
    made.enter("t9", "T9")
    for number in (READ, OTHER):
        made.entrust("t9", number, "judgment")
    return made


class Behind(NamedTuple):
    """A front and its URL, the gateway behind it, and the backend behind that."""

    front: Front
    url: str
    gateway: Gateway
    backend: str


def place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    return parts.hostname, parts.port


@pytest.fixture(scope="module")
def lying(stub_url: str, start_gateway) -> Iterator[Behind]:
    """A front in clear, whose `tell` makes it lie."""
    front = Front()
    url = f"http://127.0.0.1:{front.port}"
    made = populated(start_gateway(stub_url, server__public_url=url, **UNLIMITED))
    front.behind, front.backend = place(made.url), place(stub_url)
    yield Behind(front, url, made, stub_url)
    front.close()


@pytest.fixture(scope="module")
def lying_over_tls(stub_url: str, start_gateway, certificate) -> Iterator[Behind]:
    """The same over TLS."""
    front = Front()
    front.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    front.tls.load_cert_chain(*certificate)
    url = f"https://127.0.0.1:{front.port}"
    made = populated(start_gateway(stub_url, server__public_url=url, **UNLIMITED))
    front.behind, front.backend = place(made.url), place(stub_url)
    yield Behind(front, url, made, stub_url)
    front.close()


class Served(NamedTuple):
    """A gateway whose public address is a free port of this machine, over TLS."""

    port: int
    gateway: Gateway

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def served(stub_url: str, start_gateway) -> Served:
    """To be put behind nginx: Host comes without the port there, as it does on port 443."""
    port = free_port()
    public = f"https://127.0.0.1:{port}"
    return Served(
        port, populated(start_gateway(stub_url, server__public_url=public, server__hosts="127.0.0.1", **UNLIMITED))
    )
