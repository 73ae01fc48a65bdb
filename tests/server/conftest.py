"""The workers that this folder's tests share."""

import ssl
import subprocess
from collections.abc import Iterator

import pytest

from tests.server.talking import WAIT, Place, Said, everything, everything_or_reset, get, post, read_one


class Tools:
    """What the test files of this folder share."""

    WAIT = WAIT
    Place = Place
    Said = Said
    everything = staticmethod(everything)
    everything_or_reset = staticmethod(everything_or_reset)
    get = staticmethod(get)
    post = staticmethod(post)
    read_one = staticmethod(read_one)


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    return Tools


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


@pytest.fixture
def place(shared_place) -> Place:
    """The module's worker; what its application saw begins anew."""
    shared_place.town.seen.clear()
    return shared_place


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate of 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def trusting(certificate) -> ssl.SSLContext:
    """What a client needs who trusts that certificate."""
    return ssl.create_default_context(cafile=str(certificate[0]))
