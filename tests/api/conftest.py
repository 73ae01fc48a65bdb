"""The fixtures of the whole system serve the tests of our own addresses too."""

from tests.story.fixtures import gateway, stub_url

__all__ = ["gateway", "stub_url"]
