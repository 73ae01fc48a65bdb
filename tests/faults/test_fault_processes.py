"""Processes that are killed, at any instruction, while 16 agents ask."""

from __future__ import annotations

import time

import pytest

from tests.faults.breaking import LONG, alive, ended, moments
from tests.story.running import until

pytestmark = pytest.mark.attack(33)

ROUNDS = 40 if LONG else 3
FEW = 10 if LONG else 1


def test_a_worker_killed_at_any_moment_breaks_off_what_it_did_and_nothing_else(loaded):
    gateway = loaded.gateway
    with loaded.trial("one of two workers killed (SIGKILL)", breaks_off=True) as trial:
        for number, moment in enumerate(moments(ROUNDS, most=0.2)):
            trial.bad_for(moment)
            victim, *others = gateway.workers()[:: 1 if number % 2 else -1]
            with trial.round():
                victim.kill()
                ended([victim])
                until(gateway.is_whole, "the worker is replaced")
            assert all(alive(other) for other in others)
    assert "Traceback" not in gateway.log()


def test_all_workers_killed_at_once_are_replaced_and_nobody_is_sent_away(loaded):
    gateway = loaded.gateway
    with loaded.trial("all workers killed (SIGKILL)", breaks_off=True) as trial:
        for moment in moments(FEW, most=0.2):
            trial.bad_for(moment)
            victims = gateway.workers()
            with trial.round():
                for victim in victims:
                    victim.kill()
                ended(victims)
                until(gateway.is_whole, "the workers are replaced")
        # The supervisor holds the address: whoever comes meanwhile waits and is served.
        assert trial.load.turned_away == 0


def test_a_killed_supervisor_takes_its_workers_with_it_and_what_was_recorded_stays(loaded):
    gateway = loaded.gateway
    with loaded.trial("supervisor killed (SIGKILL), started again by its manager", breaks_off=True) as trial:
        for moment in moments(FEW, most=0.2):
            trial.bad_for(moment)
            workers = gateway.workers()
            with trial.round():
                gateway.kill()
                ended(workers)
                gateway.start_again()


def test_workers_that_are_stopped_for_seconds_go_on_where_they_were(loaded):
    """As when a machine is suspended or moved.

    Halted for longer than the record waits for another writer, some find that time over when they go on.
    """
    gateway = loaded.gateway
    refusals = ["GW404", "GW503"] if LONG else []
    with loaded.trial("all processes halted for seconds (SIGSTOP)", refusals=refusals) as trial:
        for _ in range(FEW):
            halted = gateway.workers()
            with trial.round():
                for worker in halted:
                    worker.suspend()
                begun = time.monotonic()
                trial.bad_for(5 if LONG else 1)
                assert time.monotonic() > begun
                for worker in halted:
                    worker.resume()
