"""One stub backend and one gateway before it for most of the story; others where a test needs its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.identity import directory
from tests.story.brochure import PROFILES
from tests.story.running import Backend, Gateway, stub_backend
from upstream_stub.dossiers import VARIANTS

MANDATES = {"T9": "judgment", "T10": "direct_payment"}
"""The profiles that read only what is entrusted to them."""

StartGateway = Callable[..., Gateway]
StartBackend = Callable[..., Backend]


@pytest.fixture(scope="session")
def stub_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The stub backend, a process of its own."""
    with stub_backend(tmp_path_factory.mktemp("stub")) as url:
        yield url


@pytest.fixture(scope="module")
def start_backend() -> Iterator[StartBackend]:
    """Starts backends of the tests' own."""
    with ExitStack() as stack:

        def start(answer: Callable[..., object]) -> Backend:
            backend = Backend(answer)
            stack.callback(backend.close)
            return backend

        yield start


@pytest.fixture(scope="module")
def start_gateway(start_backend: StartBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartGateway]:
    """Starts gateways before a backend, with settings written like `upstream.deadline_seconds`."""
    with ExitStack() as stack:

        def start(upstream: str, policies: Path | None = None, **settings: object) -> Gateway:
            folder = tmp_path_factory.mktemp("gateway")
            named = {name.replace("__", "."): str(value) for name, value in settings.items()}
            gateway = Gateway(folder, upstream=upstream, settings=named, policies=policies)
            stack.callback(gateway.stop)
            return gateway

        yield start


@pytest.fixture(scope="session")
def gateway(stub_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway before the stub, two processes, with one account for each of the 14 profiles, called `t1` to `t16`.

    T9 and T10 hold a mandate on each of the stub's families but 9990002. 9990008 is under objection.
    """
    gateway = Gateway(
        tmp_path_factory.mktemp("gateway"), upstream=stub_url, settings={"server.workers": "2"}, policies=None
    )
    try:
        for profile in PROFILES:
            gateway.enter(profile.lower(), profile)
        for profile, kind in MANDATES.items():
            for dossier in VARIANTS:
                if dossier != "9990002":
                    gateway.entrust(profile.lower(), dossier, kind)
        directory.raise_objection(gateway.store, dossier="9990008", reference="Opposition", now=datetime.now(UTC))
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture(scope="session")
def sessions(gateway: Gateway) -> dict[str, dict[str, str]]:
    """The headers of an open session for each profile."""
    return {profile: gateway.log_in(profile.lower()) for profile in PROFILES}
