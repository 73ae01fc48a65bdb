"""A clock that tests turn."""

import pytest


class Clock:
    """Nanoseconds, since the machine began some days ago."""

    def __init__(self) -> None:
        self.now = 5 * 86_400 * 10**9

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += round(seconds * 10**9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def new_clock() -> type[Clock]:
    """For properties, which need one for each example."""
    return Clock
