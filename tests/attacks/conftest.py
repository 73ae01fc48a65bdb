"""The whole system under attack: real processes, raw sockets. Tests name the line of the list that they are about:
`@pytest.mark.attack(3)`."""

from tests.story.fixtures import gateway, sessions, start_backend, start_gateway, stub_url

__all__ = ["gateway", "sessions", "start_backend", "start_gateway", "stub_url"]
