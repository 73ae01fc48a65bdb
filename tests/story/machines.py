"""State machines of hypothesis that drive a running gateway."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.story.running import Client


def run_machine(
    machine: type[RuleBasedStateMachine], *, examples: int, steps: int, clients: Iterable[Client], **parts: Any
) -> None:
    """Run `machine` so many times in so many steps, with these clients, closed afterwards, and these parts as its
    attributes."""
    given = {**parts, "clients": clients, "__doc__": machine.__doc__}
    running: type[RuleBasedStateMachine] = type(f"Running{machine.__name__}", (machine,), given)
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        print_blob=True,
    )
    try:
        run_state_machine_as_test(running, settings=profile)
    finally:
        for client in clients:
            client.close()
