"""The fixtures of the whole system serve the tests of our own addresses too."""

from tests.story.fixtures import gateway, start_backend, start_gateway, stub_url

__all__ = ["gateway", "start_backend", "start_gateway", "stub_url"]
