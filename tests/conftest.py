"""Every test, whatever it is about: no example is wrong because the machine was slow, and files that wait run beside
files that work."""

from zlib import crc32

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files by lot, the same each time. Neighbours in a folder are alike: in their order, those that ask for the
    whole processor would wait for each other, and then those that wait would leave it idle."""
    items.sort(key=lambda item: crc32(item.path.name.encode()))
