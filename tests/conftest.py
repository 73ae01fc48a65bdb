"""Every test, whatever it is about: no example is wrong because the machine was slow, files that wait run beside files
that work, and of what takes long to begin (the gateway, PostgreSQL, Chromium) each process of the tests has one."""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings

from gateway.identity import passwords
from gateway.loop import loop
from tests.browser.chromium import chromium, obstacles
from tests.database.server import server
from tests.hashing import Remembering
from tests.story.fixtures import gateway, sessions, start_backend, start_gateway, stub_url

__all__ = [
    "chromium",
    "gateway",
    "obstacles",
    "server",
    "sessions",
    "start_backend",
    "start_gateway",
    "stub_url",
]

HERE = Path(__file__).resolve().parent
IS_COMPILED = not str(loop.__file__).endswith(".py")
"""The gateway is installed from the wheel, as `make test-compiled` has it."""

settings.register_profile("house", deadline=None)
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """Each of the processes side by side collects everything, and begins elsewhere: what one of them has compiled, the
    others need not."""
    told = getattr(config, "workerinput", None)
    if told and [Path(argument).resolve() for argument in config.args] == [HERE]:
        places = sorted(str(place) for place in HERE.glob("*") if place.name.startswith("test_") or _holds_tests(place))
        first = len(places) * int(told["workerid"].removeprefix("gw")) // told["workercount"]
        config.args[:] = places[first:] + places[:first]


def _holds_tests(place: Path) -> bool:
    return next(place.rglob("test_*.py"), None) is not None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The files by lot, the same each time. Neighbours in a folder are alike: in their order, those that ask for the
    whole processor would wait for each other, and then those that wait would leave it idle."""
    if IS_COMPILED:
        left = [item for item in items if item.get_closest_marker("looks_inside")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not item.get_closest_marker("looks_inside")]
    items.sort(key=lambda item: (crc32(item.path.name.encode()), item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI everything that can be missing is installed: what is skipped all the same is a failure."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
    return report


def pytest_collection_finish() -> None:
    """What eleven thousand tests are made of stays to the end: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def hashing_once() -> Iterator[None]:
    """Tests in which a hash must be another each time, or take its time, use `hashing_in_earnest`."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(passwords, "_HASHER", Remembering(passwords._HASHER))
        yield


@pytest.fixture
def hashing_in_earnest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_HASHER", passwords._HASHER._hasher)
