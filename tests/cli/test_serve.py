"""What the settings say of the server is what the server is told."""

import pytest

from gateway import settings
from gateway.cli import serve
from tests.furnishing import furnished

TOLD = {
    "HEAD_SECONDS": ("1.5", lambda told: told["patience"].head, 1.5),
    "BODY_SECONDS": ("2.5", lambda told: told["patience"].body, 2.5),
    "IDLE_SECONDS": ("3.5", lambda told: told["patience"].idle, 3.5),
    "ANSWER_SECONDS": ("4.5", lambda told: told["patience"].answer, 4.5),
    "CONCURRENCY": ("7", lambda told: told["lanes"].others.at_work, 7),
    "WAITING": ("0", lambda told: told["lanes"].others.waiting, 0),
    "WORKERS": ("3", lambda told: told["workers"], 3),
}


@pytest.fixture
def told(tmp_path, monkeypatch):
    """What the server is told, where the environment says this beside a new installation's settings."""
    terms = {}

    def supervise(make, listener, **more):
        listener.close()
        terms.update(more)
        return 0

    def served(variable, text):
        file = furnished(tmp_path / "caf")
        assert serve.run(settings.load(file, {variable: text}), file) == 0
        return terms

    monkeypatch.setattr(serve, "supervise", supervise)
    return served


@pytest.mark.parametrize(("name", "text", "found", "expected"), [(name, *row) for name, row in TOLD.items()])
def test_the_server_is_told_what_the_settings_say(told, name, text, found, expected):
    assert found(told(f"CAFPRO_SERVER__{name}", text)) == expected


@pytest.mark.parametrize(("deadline", "grace"), [("1.0", 12.0), ("10.0", 12.0), ("60.0", 62.0)])
def test_what_is_asked_of_the_backend_has_its_deadline_when_the_gateway_is_told_to_end(told, deadline, grace):
    assert told("CAFPRO_UPSTREAM__DEADLINE_SECONDS", deadline)["grace_seconds"] == grace


@pytest.mark.parametrize(
    ("path", "own"),
    [("/-/session", True), ("/-/", True), ("/-", False), ("/dossiers/-/", False), ("//-/session", False), ("", False)],
)
def test_what_is_under_our_own_prefix_has_places_of_its_own(path, own):
    assert serve.is_own(path) is own
