"""The whole system under attack: real processes, raw sockets. Tests name the line of the list that they are about:
`@pytest.mark.attack(3)`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.sending import BOUNDLESS, Sender
from tests.story.brochure import PROFILES
from tests.story.running import Backend, Gateway
from upstream_stub.dossiers import VARIANTS, dossier_text, rubric_text


@pytest.fixture(scope="session")
def archive() -> Iterator[Backend]:
    """A backend that answers the stub's rubrics, and a dossier at any path whose last segment is its number. It
    remembers what it was asked."""

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        segments = path.partition("?")[0].split("/")
        body = dossier_text(segments[-1])
        if segments[3:4] == ["rubriques"]:
            body = rubric_text(segments[2], segments[-1])
        return (200, {"Content-Type": "application/json"}, body) if body else (404, {}, b"")

    backend = Backend(answer)
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def attacked(archive: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before `archive`, with one account for each profile, called `t1` to `t16`."""
    gateway = Gateway(
        tmp_path_factory.mktemp("attacked"),
        upstream=archive.url,
        settings={"server.workers": "2", **BOUNDLESS},
        policies=None,
    )
    try:
        for profile in PROFILES:
            gateway.enter(profile.lower(), profile)
        for profile, kind in {"T9": "judgment", "T10": "direct_payment"}.items():
            for dossier in VARIANTS:
                gateway.entrust(profile.lower(), dossier, kind)
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture(scope="session")
def attackers(attacked: Gateway) -> dict[str, dict[str, str]]:
    """The headers of an open session at `attacked` for each profile."""
    return {profile: attacked.log_in(profile.lower()) for profile in PROFILES}


@pytest.fixture
def sender(attacked: Gateway, archive: Backend, attackers: dict[str, dict[str, str]]) -> Sender:
    """Sends bytes to `attacked`, and tells what came of them."""
    return Sender(attacked, archive, attackers)
