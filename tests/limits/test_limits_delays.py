"""After failures in a row an identifier waits, longer each time, whether anybody has that name or not."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits.delays import FORGOTTEN_SECONDS, LONGEST_SECONDS, Delays, delay_seconds


def test_the_delay_grows_with_each_failure_up_to_two_minutes():
    assert [delay_seconds(failures) for failures in range(13)] == [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 120, 120, 120]
    assert delay_seconds(255) == LONGEST_SECONDS


def test_the_tenth_failure_cannot_come_before_two_minutes_have_passed(clock):
    delays, begun = Delays(now=clock), clock.now
    for _ in range(10):
        clock.forward(delays.wait("t1"))
        assert delays.wait("t1") == 0
        delays.failed("t1")
    assert (clock.now - begun) // 10**9 == 1 + 2 + 4 + 8 + 16 + 32 + 64
    assert delays.wait("t1") == 120


def test_a_success_ends_the_row(clock):
    delays = Delays(now=clock)
    for _ in range(5):
        delays.failed("t1")
    assert delays.wait("t1") == 4
    delays.succeeded("t1")
    assert delays.wait("t1") == 0
    delays.failed("t1")
    delays.failed("t1")
    assert delays.wait("t1") == 0


def test_failures_are_forgotten_an_hour_after_the_last(clock):
    delays = Delays(now=clock)
    for _ in range(9):
        delays.failed("t1")
    clock.forward(FORGOTTEN_SECONDS - 1)
    delays.failed("t1")
    assert delays.wait("t1") == 120
    clock.forward(FORGOTTEN_SECONDS)
    delays.failed("t1")
    assert delays.wait("t1") == 0


def test_a_name_that_fails_for_ever_is_counted_no_further_than_its_cell(clock):
    delays = Delays(now=clock)
    for _ in range(1000):
        delays.failed("t1")
    assert delays.wait("t1") == LONGEST_SECONDS
    assert delays.wait("t2") == 0


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["t1", "nobody", "\ud800"]), st.sampled_from(["fail", "pass"]), st.integers(0, 200_000)
        ),
        max_size=60,
    )
)
def test_each_identifier_waits_for_its_own_failures_alone(new_clock, acts):
    clock = new_clock()
    delays = Delays(now=clock)
    truth = {}
    for name, act, milliseconds in acts:
        clock.now += milliseconds * 10**6
        if act == "fail":
            failures, _ = truth.get(name, (0, 0))
            delays.failed(name)
            truth[name] = failures + 1, clock.now
        else:
            delays.succeeded(name)
            truth.pop(name, None)
        for known, (failures, at) in truth.items():
            left = at // 10**6 + 1000 * delay_seconds(failures) - clock.now // 10**6
            forgotten = clock.now - at >= FORGOTTEN_SECONDS * 10**9
            assert delays.wait(known) == (0 if forgotten else max(0, -(-left // 1000)))
            if forgotten:
                truth[known] = 0, clock.now
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
        elsewhere(lambda: delays.failed("t1"))
    assert 0 < delays.wait("t1") <= 32
    elsewhere(lambda: delays.succeeded("t1"))
    assert delays.wait("t1") == 0
