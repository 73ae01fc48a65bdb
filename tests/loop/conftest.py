import os
import time

import pytest

from gateway.loop.loop import Loop

WAIT = 30.0
"""Seconds after which what has not come is believed never to come."""


class Pipe:
    """A pipe of the kernel's, whose ends are closed with it unless somebody has closed them before."""

    def __init__(self) -> None:
        self.end, self.source = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.open = {self.end, self.source}

    def fill(self) -> None:
        os.write(self.source, b"a")

    def drain(self) -> bytes:
        return os.read(self.end, 65536)

    def close(self, descriptor: int) -> None:
        self.open.discard(descriptor)
        os.close(descriptor)


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def turn_until(loop):
    """Turns the loop until a condition is true. A loop that nobody wakes turns too late, and fails."""

    def turn(condition) -> None:
        end = time.monotonic() + WAIT
        while not condition():
            assert time.monotonic() < end, "it never came true"
            loop.turn(WAIT)

    return turn


@pytest.fixture
def make_pipe():
    made = []

    def make() -> Pipe:
        made.append(Pipe())
        return made[-1]

    yield make
    for pipe in made:
        for descriptor in pipe.open:
            os.close(descriptor)


@pytest.fixture
def pipe(make_pipe):
    return make_pipe()
