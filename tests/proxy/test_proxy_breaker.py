"""The breaker: what it lets through and when, whatever happens in whichever order, on a clock of the tests' own."""

import math
import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import UpstreamResting
from gateway.proxy.breaker import Breaker, State

CLOSED, HALF_OPEN, OPEN = State.CLOSED, State.HALF_OPEN, State.OPEN
MAY_FOLLOW = {CLOSED: {OPEN}, OPEN: {HALF_OPEN}, HALF_OPEN: {CLOSED, OPEN}}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def made(kit):
    def make(failures=3, seconds=5.0):
        clock, told = kit.Clock(), []
        return Breaker(failures=failures, seconds=seconds, changed=told.append, clock=clock), clock, told

    return make


def fail(breaker, times=1):
    for _ in range(times):
        breaker.ended(breaker.begin(), alive=False)


def waits(breaker) -> int:
    """The seconds that a request is told to wait."""
    with pytest.raises(UpstreamResting) as refused:
        breaker.begin()
    [(name, value)] = refused.value.headers
    assert name == "Retry-After"
    return int(value)


class AnyOrder(RuleBasedStateMachine):
    """Exchanges begin and end in any order while time passes. The model knows each exchange by itself."""

    @initialize(failures=st.integers(1, 4), seconds=st.sampled_from([0.3, 1.0, 5.0, 7.5]))
    def make(self, failures, seconds):
        self.clock, self.told = Clock(), []
        self.most, self.seconds = failures, seconds
        self.breaker = Breaker(failures=failures, seconds=seconds, changed=self.told.append, clock=self.clock)
        self.state, self.streak, self.opened_at = CLOSED, 0, 0.0
        self.running: list[int] = []
        self.counted: list[bool] = []
        """For each that runs, whether it was begun since the last change."""

    def become(self, state):
        self.state, self.streak = state, 0
        self.counted = [False] * len(self.counted)
        if state is OPEN:
            self.opened_at = self.clock.now

    @rule()
    def ask(self):
        left = self.opened_at + self.seconds - self.clock.now
        if self.state is HALF_OPEN or (self.state is OPEN and left > 0):
            told = waits(self.breaker)
            assert told >= 1
            if self.state is OPEN:
                assert left <= told <= max(1, math.ceil(left)), "it may be asked after so many seconds, and not later"
            return
        token = self.breaker.begin()
        if self.state is OPEN:
            self.become(HALF_OPEN)
        self.running.append(token)
        self.counted.append(True)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), alive=st.sampled_from([True, False, None]))
    def end(self, data, alive):
        which = data.draw(st.integers(0, len(self.running) - 1))
        token, counts = self.running.pop(which), self.counted.pop(which)
        self.breaker.ended(token, alive=alive)
        if not counts or self.state is OPEN:
            return
        if self.state is HALF_OPEN:
            self.become(CLOSED if alive else OPEN)
        elif alive:
            self.streak = 0
        elif alive is False:
            self.streak += 1
            if self.streak == self.most:
                self.become(OPEN)

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.29, 0.9, 1.0, 4.0, 7.5, 1e6]))
    def wait(self, seconds):
        self.clock.now += seconds

    @precondition(lambda self: self.state is OPEN and self.opened_at + self.seconds > self.clock.now)
    @rule()
    def wait_as_told(self):
        self.clock.now += waits(self.breaker)
        self.running.append(self.breaker.begin())
        self.become(HALF_OPEN)
        self.counted.append(True)

    @invariant()
    def is_where_the_model_is(self):
        if hasattr(self, "breaker"):
            assert self.breaker.state is self.state
            assert sum(self.counted) <= 1 or self.state is CLOSED, "more than one tries it"
            assert self.told[-1:] == [self.state] or (self.told == [] and self.state is CLOSED)

    def teardown(self):
        if hasattr(self, "told"):
            for before, after in zip([CLOSED, *self.told], self.told, strict=False):
                assert after in MAY_FOLLOW[before]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_it_opens_at_the_last_of_so_many_failures_in_a_row_and_not_before(made):
    breaker, _, told = made(failures=3)
    fail(breaker, 2)
    breaker.ended(breaker.begin(), alive=True)
    fail(breaker, 2)
    assert breaker.state is CLOSED
    assert told == []
    fail(breaker)
    assert told == [OPEN]
    assert waits(breaker) == 5


def test_what_neither_lived_nor_failed_counts_for_nothing(made):
    breaker, _, _ = made(failures=3)
    fail(breaker, 2)
    for _ in range(10):
        breaker.ended(breaker.begin(), alive=None)
    assert breaker.state is CLOSED
    fail(breaker)
    assert breaker.state is OPEN


@pytest.mark.parametrize(("passed", "told"), [(0.0, 5), (0.001, 5), (1.0, 4), (4.0, 1), (4.999, 1)])
def test_how_long_to_wait_is_told_in_whole_seconds_after_which_it_is_true(made, passed, told):
    breaker, clock, _ = made(failures=1)
    fail(breaker)
    clock.now += passed
    assert waits(breaker) == told
    clock.now += told
    breaker.begin()


def test_exactly_one_tries_and_its_end_decides(made):
    for alive, after in ((True, CLOSED), (False, OPEN), (None, OPEN)):
        breaker, clock, told = made(failures=1)
        fail(breaker)
        clock.now += 5
        trial = breaker.begin()
        for _ in range(3):
            assert waits(breaker) == 1
        breaker.ended(trial, alive=alive)
        assert told == [OPEN, HALF_OPEN, after]
        assert breaker.state is after


def test_a_trial_that_fails_begins_the_whole_rest_anew(made):
    breaker, clock, _ = made(failures=2)
    fail(breaker, 2)
    for _ in range(4):
        clock.now += 5
        fail(breaker)
        assert waits(breaker) == 5


def test_after_it_closed_as_many_failures_as_ever_open_it(made):
    breaker, clock, told = made(failures=3)
    fail(breaker, 3)
    clock.now += 5
    breaker.ended(breaker.begin(), alive=True)
    fail(breaker, 2)
    assert breaker.state is CLOSED
    fail(breaker)
    assert told == [OPEN, HALF_OPEN, CLOSED, OPEN]


@pytest.mark.parametrize("alive", [True, False, None])
def test_what_was_begun_before_it_opened_changes_nothing_when_it_ends(made, alive):
    """Ten ask a backend that hangs; three fail and it opens; the others end while it rests, is tried, has closed."""
    breaker, clock, told = made(failures=3)
    old = [breaker.begin() for _ in range(10)]
    for _ in range(3):
        breaker.ended(old.pop(), alive=False)
    breaker.ended(old.pop(), alive=alive)
    assert breaker.state is OPEN
    assert waits(breaker) == 5
    clock.now += 5
    trial = breaker.begin()
    breaker.ended(old.pop(), alive=alive)
    assert breaker.state is HALF_OPEN
    assert waits(breaker) == 1
    breaker.ended(trial, alive=True)
    for token in old:
        breaker.ended(token, alive=alive)
    assert told == [OPEN, HALF_OPEN, CLOSED]


def test_whoever_counts_and_logs_has_no_say(kit):
    def explode(state):
        raise OSError(28, "no space left")

    clock = kit.Clock()
    breaker = Breaker(failures=1, seconds=5.0, changed=explode, clock=clock)
    fail(breaker)
    assert waits(breaker) == 5
    clock.now += 5
    breaker.ended(breaker.begin(), alive=True)
    assert breaker.state is CLOSED


def test_of_many_threads_one_tries(made):
    breaker, clock, _ = made(failures=1)

    def lingering() -> float:
        time.sleep(0.001)  # all the others come by while one looks at the clock
        return clock.now

    breaker._clock = lingering
    for _ in range(5):
        fail(breaker)
        together, tried, refused = threading.Barrier(8), [], []

        def ask(together=together, tried=tried, refused=refused):
            together.wait(10)
            try:
                tried.append(breaker.begin())
            except UpstreamResting:
                refused.append(1)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        clock.now += 5
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert (len(tried), len(refused)) == (1, 7)
        breaker.ended(tried[0], alive=True)
        assert breaker.state is CLOSED
