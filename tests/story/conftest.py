"""The fixtures of the whole system, for the story's tests."""

from tests.story.fixtures import gateway, sessions, start_backend, start_gateway, stub_url

__all__ = ["gateway", "sessions", "start_backend", "start_gateway", "stub_url"]
