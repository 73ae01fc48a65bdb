"""The shipped policies, read and loaded once for the whole room."""

from collections.abc import Callable, Mapping

import pytest

from gateway.policy.canaries import MOST
from gateway.policy.engine import Policy
from gateway.policy_files.folder import ROUTES, InForce, load_texts, read, shipped


@pytest.fixture(scope="session")
def every_text() -> Mapping[str, str]:
    """Every file that decides, the route table included."""
    return read(shipped())


@pytest.fixture(scope="session")
def texts(every_text) -> Mapping[str, str]:
    """The Polar files."""
    return {name: text for name, text in every_text.items() if name != ROUTES}


@pytest.fixture(scope="session")
def in_force(every_text) -> InForce:
    return load_texts(every_text)


@pytest.fixture(scope="session")
def policy(in_force) -> Policy:
    return in_force.policy


@pytest.fixture(scope="session")
def changed(texts) -> Callable[..., dict[str, str]]:
    """The shipped Polar files with `old` replaced by `new` in one of them; `old` must stand there exactly once."""

    def change(file: str, old: str, new: str) -> dict[str, str]:
        assert texts[file].count(old) == 1, f"{old!r} stands {texts[file].count(old)} times in {file}"
        return {**texts, file: texts[file].replace(old, new)}

    return change


@pytest.fixture(scope="session")
def everything_in_order():
    """The facts with which a profile sees the most."""
    return MOST
