"""Whoever asks whether the gateway is ready is answered, whatever becomes of the probes."""

from __future__ import annotations

import json
import threading

import pytest

from gateway.api import health as module
from gateway.api.health import Health
from gateway.loop.waiting import Aside, run
from gateway.policy_files.board import Standing
from tests.story.running import until


@pytest.fixture
def make_health(monkeypatch):
    """Health over these probes, which remembers nothing, and waits a twentieth of a second for them."""
    monkeypatch.setattr(module, "REMEMBERED_SECONDS", -1.0)
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.05)

    def make(**probes):
        return Health(
            policies=lambda: pytest.fail("nobody bears a token"),
            standing=Standing,
            probes=probes,
            bears_token=lambda _: False,
            aside=Aside(1, "probe").do,
            headers=(),
        )

    return make


def asked(health):
    answer = run(lambda: health.ready({}))
    return answer.status, json.loads(answer.body)


def test_probes_that_hang_are_not_waited_for_and_their_return_is_noticed(make_health):
    free = threading.Event()
    health = make_health(store=lambda: None, record=lambda: free.wait(30))
    for _ in range(2):
        assert asked(health) == (503, {"status": "not ready", "failing": ["record"]})
    free.set()
    until(lambda: asked(health) == (200, {"status": "ready"}), "the probes are over, and asked anew")


def test_probes_that_come_too_late_have_failed(make_health, monkeypatch):
    """Else whoever asks twice is told that it is not ready, and then that it was."""
    free = threading.Event()
    health = make_health(store=lambda: free.wait(30), record=lambda: None)
    assert asked(health)[0] == 503
    monkeypatch.setattr(module, "REMEMBERED_SECONDS", 30.0)
    free.set()
    until(lambda: asked(health)[1]["failing"] == ["store", "record"], "the probes are over, and not asked anew")


def test_what_failed_before_the_probe_that_hangs_is_named_too(make_health):
    def fails():
        raise OSError("away")

    free = threading.Event()
    health = make_health(store=fails, record=lambda: free.wait(30))
    assert asked(health) == (503, {"status": "not ready", "failing": ["store", "record"]})
    free.set()
    until(lambda: asked(health)[1].get("failing") == ["store"], "the probes are over, and asked anew")


def test_a_machine_without_a_thread_left_is_not_ready_and_is_asked_again(make_health, monkeypatch):
    health = make_health(store=lambda: None, record=lambda: None)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as scarce:
        scarce.setattr(threading.Thread, "start", refuse)
        assert asked(health) == (503, {"status": "not ready", "failing": ["store", "record"]})
    assert asked(health) == (200, {"status": "ready"})
