"""What is too much is refused with the seconds to wait, and what nobody did is not counted."""

import pytest

from gateway.errors import TooManyAttempts, TooManyRequests
from gateway.limits.limits import RECORDED, Limits, Rate


@pytest.fixture
def limits(clock):
    return Limits(agent=Rate(60, 2), address=Rate(120, 5), failures=Rate(6, 3), log_ins=Rate(60, 6), now=clock)


def seconds(kind, ask):
    """The Retry-After of the refusal."""
    with pytest.raises(kind) as refusal:
        ask()
    [(name, value)] = refusal.value.headers
    assert name == "Retry-After"
    return int(value)


def test_an_agent_and_its_colleague_have_each_their_own(limits, clock):
    for identifier in ("t1", "t2"):
        limits.admit_agent(identifier)
        limits.admit_agent(identifier)
    assert seconds(TooManyRequests, lambda: limits.admit_agent("t1")) == 1
    clock.forward(1)
    limits.admit_agent("t1")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.8", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.9", "203.0.113.9", True),
        ("::ffff:203.0.113.9", "::ffff:203.0.113.8", False),
        ("64:ff9b::203.0.113.9", "203.0.113.9", True),
        ("64:ff9b::203.0.113.9", "64:ff9b::cb00:7108", False),
        ("64:ff9b:1::203.0.113.9", "203.0.113.9", False),
        ("", "", True),
        ("not:an:address", "not:another", False),
    ],
)
def test_an_address_is_itself_or_the_network_of_one_subscriber(limits, first, second, same):
    for _ in range(5):
        limits.admit_address(first)
    if same:
        assert seconds(TooManyRequests, lambda: limits.admit_address(second)) == 1
    else:
        limits.admit_address(second)


def test_of_one_address_some_refusals_are_recorded_and_of_an_agent_all(limits, clock):
    def recorded(ask):
        with pytest.raises(TooManyRequests) as refusal:
            ask()
        return refusal.value.recorded

    for _ in range(5):
        limits.admit_address("203.0.113.9")
        limits.admit_address("203.0.113.8")
    for _ in range(2):
        limits.admit_agent("t1")
    told = [recorded(lambda: limits.admit_address("203.0.113.9")) for _ in range(3 * RECORDED.burst)]
    assert told == [True] * RECORDED.burst + [False] * 2 * RECORDED.burst
    assert recorded(lambda: limits.admit_address("203.0.113.8"))
    assert all(recorded(lambda: limits.admit_agent("t1")) for _ in range(3 * RECORDED.burst))


def test_failures_make_the_identifier_wait_from_every_address(limits, clock):
    for number in range(4):
        limits.admit_log_in(address=f"203.0.113.{number}", identifier="t1")
        limits.log_in_failed(address=f"203.0.113.{number}", identifier="t1")
        clock.forward(1 if number == 2 else 0)
    assert seconds(TooManyAttempts, lambda: limits.admit_log_in(address="192.0.2.1", identifier="t1")) == 2
    limits.admit_log_in(address="203.0.113.1", identifier="t2")


def test_log_ins_with_one_identifier_have_a_limit_whatever_becomes_of_them(limits, clock):
    for number in range(6):
        limits.admit_log_in(address=f"203.0.113.{number}", identifier="t1")
        limits.log_in_succeeded(address=f"203.0.113.{number}", identifier="t1")
    assert seconds(TooManyRequests, lambda: limits.admit_log_in(address="192.0.2.1", identifier="t1")) == 1
    limits.admit_log_in(address="203.0.113.1", identifier="t2")
    clock.forward(1)
    limits.admit_log_in(address="203.0.113.1", identifier="t1")


def test_failures_make_the_address_wait_for_every_identifier(limits, clock):
    for number in range(3):
        limits.admit_log_in(address="203.0.113.9", identifier=f"t{number}")
        limits.log_in_failed(address="203.0.113.9", identifier=f"t{number}")
    assert seconds(TooManyAttempts, lambda: limits.admit_log_in(address="203.0.113.9", identifier="t9")) == 10
    limits.admit_log_in(address="203.0.113.8", identifier="t0")
    clock.forward(10)
    limits.admit_log_in(address="203.0.113.9", identifier="t9")


def test_a_success_is_forgiven_the_identifier_and_not_the_address(limits):
    for _ in range(2):
        limits.log_in_failed(address="203.0.113.9", identifier="t1")
    limits.log_in_succeeded(address="203.0.113.9", identifier="t1")
    limits.log_in_failed(address="203.0.113.9", identifier="t1")
    limits.admit_log_in(address="203.0.113.8", identifier="t1")
    assert seconds(TooManyAttempts, lambda: limits.admit_log_in(address="203.0.113.9", identifier="t1")) == 10


def test_what_was_not_tried_is_no_failure(limits, clock):
    for _ in range(3):
        limits.log_in_failed(address="203.0.113.9", identifier="t1")
    for _ in range(100):
        assert seconds(TooManyAttempts, lambda: limits.admit_log_in(address="203.0.113.9", identifier="t1")) == 10
    clock.forward(10)
    limits.admit_log_in(address="203.0.113.9", identifier="t1")
