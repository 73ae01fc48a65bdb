"""A backend that hangs, drips, breaks off, talks nonsense, lies or is started again, while 16 agents ask."""

from __future__ import annotations

import pytest

from tests.faults.breaking import LONG

pytestmark = pytest.mark.attack(33)

ROUNDS = 8 if LONG else 1
SECONDS = 6.0 if LONG else 0.5
NEVER = 1_000_000
"""Failures in a row after which the backend is left alone, where every request is to meet it."""
RESTS = 1.0

MOODS = {"hangs": "GW404", "drips": "GW404", "resets": "GW403", "garbage": "GW403", "lies": "GW403"}
NAMES = {
    "hangs": "backend hangs",
    "drips": "backend drips a byte a second",
    "resets": "backend resets in the middle of a body",
    "garbage": "backend answers something that is not HTTP",
    "lies": "backend answers another family's dossier",
}


@pytest.fixture(scope="module")
def loaded(moody, start_loaded):
    return start_loaded(moody.url, {"upstream.deadline_seconds": 1, "upstream.breaker_failures": NEVER})


@pytest.fixture(scope="module")
def guarded(moody, start_loaded):
    """One that leaves a backend alone that failed ten times in a row."""
    settings = {"upstream.deadline_seconds": 1, "upstream.breaker_failures": 10, "upstream.breaker_seconds": RESTS}
    return start_loaded(moody.url, settings)


@pytest.mark.parametrize("mood", MOODS)
def test_nothing_of_a_backend_that_fails_comes_out_and_the_next_answer_is_right(loaded, moody, mood):
    # What was asked before the mood changed is still answered well.
    with loaded.trial(NAMES[mood], refusals=[MOODS[mood]]) as trial:
        for _ in range(ROUNDS):
            with trial.round():
                moody.mood = mood
                trial.refuses(MOODS[mood])
                trial.bad_for(SECONDS)
                moody.mood = "well"


def test_a_backend_that_hangs_is_left_alone_and_asked_again_by_itself(guarded, moody):
    fault = f"{NAMES['hangs']}, left alone after 10 failures"
    with guarded.trial(fault, refusals=["GW404", "GW405"]) as trial:
        for _ in range(ROUNDS):
            with trial.round():
                moody.mood = "hangs"
                trial.refuses("GW404", "GW405")
                trial.bad_for(SECONDS)
                moody.mood = "well"


def test_a_backend_that_is_started_again_is_found_again(loaded, moody):
    with loaded.trial("backend stopped and started", refusals=["GW402", "GW403"]) as trial:
        for _ in range(ROUNDS):
            with trial.round():
                moody.stop()
                trial.refuses("GW402")
                trial.bad_for(SECONDS)
                moody.start()
