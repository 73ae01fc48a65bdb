"""After failures in a row an identifier waits, longer each time, whether anybody has that name or not."""

import os
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits.delays import FORGOTTEN_SECONDS, LONGEST_SECONDS, Delays, delay_seconds

HERE, ELSEWHERE = "203.0.113.9", "198.51.100.7"


def test_the_delay_grows_with_each_failure_up_to_two_minutes():
    assert [delay_seconds(failures) for failures in range(13)] == [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 120, 120, 120]
    assert delay_seconds(255) == LONGEST_SECONDS


def test_the_tenth_failure_cannot_come_before_two_minutes_have_passed(clock):
    delays, begun = Delays(now=clock), clock.now
    for _ in range(10):
        clock.forward(delays.wait("t1"))
        assert delays.wait("t1") == 0
        delays.failed("t1", address=HERE)
    assert (clock.now - begun) // 10**9 == 1 + 2 + 4 + 8 + 16 + 32 + 64
    assert delays.wait("t1") == 120


def test_a_success_ends_the_row(clock):
    delays = Delays(now=clock)
    for _ in range(5):
        delays.failed("t1", address=HERE)
    assert delays.wait("t1") == 4
    delays.succeeded("t1", address=HERE)
    assert delays.wait("t1") == 0
    delays.failed("t1", address=HERE)
    delays.failed("t1", address=HERE)
    assert delays.wait("t1") == 0


def test_a_success_is_forgiven_what_failed_where_it_came_from_and_changes_nothing_for_others(clock):
    delays = Delays(now=clock)
    for address in (HERE, ELSEWHERE, ELSEWHERE, ELSEWHERE, HERE):
        delays.failed("t1", address=address)
    assert delays.wait("t1") == 4
    delays.succeeded("t1", address="192.0.2.1")
    assert delays.wait("t1") == 4
    delays.succeeded("t1", address=HERE)
    assert delays.wait("t1") == 1
    # What was forgiven is not forgiven twice.
    delays.succeeded("t1", address=HERE)
    assert delays.wait("t1") == 1
    delays.failed("t1", address=ELSEWHERE)
    assert delays.wait("t1") == 2


def test_an_identifier_is_not_taken_for_another_with_an_address_in_it(clock):
    delays = Delays(now=clock)
    for _ in range(3):
        delays.failed("t1", address=HERE)
    assert [delays.wait(odd) for odd in (f"t1{HERE}", f"t1 {HERE}", str(("t1", HERE)), HERE)] == [0] * 4


def test_failures_are_forgotten_an_hour_after_the_last(clock):
    delays = Delays(now=clock)
    for _ in range(9):
        delays.failed("t1", address=HERE)
    clock.forward(FORGOTTEN_SECONDS - 1)
    delays.failed("t1", address=HERE)
    assert delays.wait("t1") == 120
    clock.forward(FORGOTTEN_SECONDS)
    delays.failed("t1", address=HERE)
    assert delays.wait("t1") == 0


def test_a_name_that_fails_for_ever_is_counted_no_further_than_its_cell(clock):
    delays = Delays(now=clock)
    for _ in range(1000):
        delays.failed("t1", address=HERE)
    assert delays.wait("t1") == LONGEST_SECONDS
    assert delays.wait("t2") == 0


class Known:
    """What is known of failures, counted as the docstring says: the oracle."""

    def __init__(self):
        self.times, self.last = 0, 0

    def look(self, now):
        if now - self.last >= 1000 * FORGOTTEN_SECONDS:
            self.times = 0

    def fail(self, now):
        self.look(now)
        self.times, self.last = self.times + 1, now


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["t1", "nobody", "\ud800"]),
            st.sampled_from([HERE, ELSEWHERE]),
            st.sampled_from(["fail", "fail", "pass"]),
            st.one_of(st.integers(0, 200_000), st.just(1000 * FORGOTTEN_SECONDS - 1)),
        ),
        max_size=60,
    )
)
def test_each_identifier_waits_for_its_own_failures_alone(new_clock, acts):
    clock = new_clock()
    delays = Delays(now=clock)
    everywhere, from_there = defaultdict(Known), defaultdict(Known)
    for name, address, act, milliseconds in acts:
        clock.now += milliseconds * 10**6
        now = clock.now // 10**6
        whole, part = everywhere[name], from_there[name, address]
        if act == "fail":
            delays.failed(name, address=address)
            whole.fail(now)
            part.fail(now)
        else:
            delays.succeeded(name, address=address)
            part.look(now)
            whole.times, part.times = max(0, whole.times - part.times), 0
        for known, one in everywhere.items():
            one.look(now)
            left = one.last + 1000 * delay_seconds(one.times) - now
            assert delays.wait(known) == max(0, -(-left // 1000))
        assert delays.wait("someone else") == 0


def test_another_process_fails_and_succeeds_for_all():
    delays = Delays()

    def elsewhere(work):
        child = os.fork()
        if not child:
            try:
                work()
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    for _ in range(8):
        elsewhere(lambda: delays.failed("t1", address=HERE))
    assert 0 < delays.wait("t1") <= 32
    elsewhere(lambda: delays.succeeded("t1", address=HERE))
    assert delays.wait("t1") == 0
