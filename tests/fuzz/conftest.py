"""The fixtures of the whole system serve the fuzz tests too."""

from tests.story.fixtures import gateway, sessions, start_backend, start_gateway, stub_url

__all__ = ["gateway", "sessions", "start_backend", "start_gateway", "stub_url"]
