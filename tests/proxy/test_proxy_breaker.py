"""The breaker: what it lets through and when, whatever happens in whichever order, on a clock of the tests' own."""

import itertools
import math
import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import UpstreamResting
from gateway.proxy.breaker import REMEMBERED, SEVERAL, Breaker, State

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


others = itertools.count()


def end(breaker, alive, about=None):
    """An exchange about something, or about what nothing was about before, that nothing happens beside."""
    about = f"other {next(others)}" if about is None else about
    breaker.ended(breaker.begin(about), about, alive=alive)


def fail(breaker, times=1):
    for _ in range(times):
        end(breaker, False)


def waits(breaker, about="another") -> int:
    """The seconds that a request is told to wait."""
    with pytest.raises(UpstreamResting) as refused:
        breaker.begin(about)
    [(name, value)] = refused.value.headers
    assert name == "Retry-After"
    return int(value)


ABOUT = st.integers(0, 4)


class AnyOrder(RuleBasedStateMachine):
    """Exchanges begin and end in any order while time passes. The model knows each exchange by itself."""

    @initialize(failures=st.integers(1, 5), seconds=st.sampled_from([0.3, 1.0, 5.0, 7.5]))
    def make(self, failures, seconds):
        self.clock, self.told = Clock(), []
        self.most, self.seconds = failures, seconds
        self.breaker = Breaker(failures=failures, seconds=seconds, changed=self.told.append, clock=self.clock)
        self.state, self.opened_at = CLOSED, 0.0
        self.streak: list[int] = []
        """What each failure in a row was about."""
        self.tried_in_vain: list[int] = []
        self.running: list[tuple[int, int]] = []
        self.counted: list[bool] = []
        """For each that runs, whether nothing was heard since it was begun: no answer and no change."""

    def become(self, state):
        self.state = state
        self.heard()
        if state is OPEN:
            self.opened_at = self.clock.now
        if state is CLOSED:
            self.streak, self.tried_in_vain = [], []

    def heard(self):
        self.counted = [False] * len(self.counted)

    def rests_for(self, about) -> float:
        until = self.opened_at + self.seconds
        if about in self.streak + self.tried_in_vain:
            until += self.seconds
        return until - self.clock.now

    @rule(about=ABOUT)
    def ask(self, about):
        left = self.rests_for(about)
        if self.state is HALF_OPEN or (self.state is OPEN and left > 0):
            told = waits(self.breaker, about)
            assert told >= 1
            if self.state is OPEN:
                assert left <= told <= max(1, math.ceil(left)), "it may be asked after so many seconds, and not later"
            return
        token = self.breaker.begin(about)
        if self.state is OPEN:
            self.become(HALF_OPEN)
        self.running.append((token, about))
        self.counted.append(True)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), alive=st.sampled_from([True, False, False, None]))
    def end(self, data, alive):
        which = data.draw(st.integers(0, len(self.running) - 1))
        (token, about), counts = self.running.pop(which), self.counted.pop(which)
        self.breaker.ended(token, about, alive=alive)
        if self.state is HALF_OPEN and counts:
            if not alive:
                self.tried_in_vain.append(about)
            self.become(CLOSED if alive else OPEN)
        elif self.state is CLOSED and alive:
            self.streak = []
            self.heard()
        elif self.state is CLOSED and alive is False and counts:
            self.streak.append(about)
            if len(self.streak) >= self.most and len(set(self.streak)) >= min(self.most, 3):
                self.become(OPEN)

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.29, 0.9, 1.0, 4.0, 7.5, 1e6]))
    def wait(self, seconds):
        self.clock.now += seconds

    @precondition(lambda self: self.state is OPEN)
    @rule(about=ABOUT)
    def wait_as_told(self, about):
        if self.rests_for(about) > 0:
            self.clock.now += waits(self.breaker, about)
        self.running.append((self.breaker.begin(about), about))
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
TestAnyOrder.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_it_opens_at_the_last_of_so_many_failures_in_a_row_and_not_before(made):
    breaker, _, told = made(failures=3)
    fail(breaker, 2)
    end(breaker, True)
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
        end(breaker, None)
    assert breaker.state is CLOSED
    fail(breaker)
    assert breaker.state is OPEN


def test_failures_that_wait_while_others_are_answered_open_nothing_however_many_end_together(made):
    breaker, _, told = made(failures=3)
    for _ in range(5):
        late = [(breaker.begin(about), about) for about in range(10)]
        end(breaker, True)
        for one in late:
            breaker.ended(*one, alive=False)
    assert told == []
    fail(breaker, 3)
    assert told == [OPEN]


def test_an_answer_that_was_asked_for_long_ago_ends_a_row(made):
    breaker, _, told = made(failures=3)
    long_ago = breaker.begin("a slow one")
    fail(breaker, 2)
    breaker.ended(long_ago, "a slow one", alive=True)
    fail(breaker, 2)
    assert told == []


def test_failures_about_too_few_things_open_nothing_and_are_in_the_row_when_there_are_enough(made):
    breaker, _, told = made(failures=10)
    for _ in range(50):
        for about in range(SEVERAL - 1):
            end(breaker, False, about)
    assert told == []
    fail(breaker)
    assert told == [OPEN]


def test_what_failed_alone_is_forgotten_with_the_row(made):
    breaker, _, told = made(failures=3)
    fail(breaker, 2)
    end(breaker, True)
    for _ in range(5):
        end(breaker, False, "one")
    assert told == []


def test_what_failed_tries_it_again_only_where_nothing_else_did(made):
    breaker, clock, _ = made(failures=3, seconds=5.0)
    for about in ("a", "b", "c"):
        end(breaker, False, about)
    assert (waits(breaker, "a"), waits(breaker, "another")) == (10, 5)
    clock.now += 5
    assert waits(breaker, "b") == 5
    end(breaker, False, "another")
    assert breaker.state is OPEN
    clock.now += 5
    assert waits(breaker, "another") == 5, "it tried in vain"
    clock.now += 5
    end(breaker, False, "a")
    assert breaker.state is OPEN
    clock.now += 9.5
    end(breaker, True, "one more")
    assert breaker.state is CLOSED


def test_one_that_fails_for_ever_and_asks_all_the_time_does_not_decide_for_the_others(made):
    """The others ask once in a while, within the time that is theirs."""
    breaker, clock, told = made(failures=3, seconds=5.0)
    fail(breaker, 2)
    end(breaker, False, "stubborn")
    for tenth in range(70):
        clock.now += 0.1
        with pytest.raises(UpstreamResting):
            breaker.begin("stubborn")
        if tenth == 60:
            end(breaker, True)
            assert breaker.state is CLOSED
            break
    assert told == [OPEN, HALF_OPEN, CLOSED]


def test_what_is_remembered_is_little_however_many_fail(made):
    breaker, clock, _ = made(failures=1_000)
    fail(breaker, 1_000)
    assert breaker.state is OPEN
    for _ in range(50):
        clock.now += 5
        fail(breaker)
    assert len(breaker._suspects) == REMEMBERED
    assert all(isinstance(kept, int) for kept in breaker._suspects)


@pytest.mark.parametrize(("passed", "told"), [(0.0, 5), (0.001, 5), (1.0, 4), (4.0, 1), (4.999, 1)])
def test_how_long_to_wait_is_told_in_whole_seconds_after_which_it_is_true(made, passed, told):
    breaker, clock, _ = made(failures=1)
    fail(breaker)
    clock.now += passed
    assert waits(breaker) == told
    clock.now += told
    breaker.begin("another")


def test_exactly_one_tries_and_its_end_decides(made):
    for alive, after in ((True, CLOSED), (False, OPEN), (None, OPEN)):
        breaker, clock, told = made(failures=1)
        fail(breaker)
        clock.now += 5
        trial = breaker.begin("a trial")
        for _ in range(3):
            assert waits(breaker) == 1
        breaker.ended(trial, "a trial", alive=alive)
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
    end(breaker, True)
    fail(breaker, 2)
    assert breaker.state is CLOSED
    fail(breaker)
    assert told == [OPEN, HALF_OPEN, CLOSED, OPEN]


@pytest.mark.parametrize("alive", [True, False, None])
def test_what_was_begun_before_it_opened_changes_nothing_when_it_ends(made, alive):
    """Ten ask a backend that hangs; three fail and it opens; the others end while it rests, is tried, has closed."""
    breaker, clock, told = made(failures=3)
    old = [(breaker.begin(about), about) for about in range(10)]
    for _ in range(3):
        breaker.ended(*old.pop(), alive=False)
    breaker.ended(*old.pop(), alive=alive)
    assert breaker.state is OPEN
    assert waits(breaker) == 5
    clock.now += 5
    trial = breaker.begin("another")
    breaker.ended(*old.pop(), alive=alive)
    assert breaker.state is HALF_OPEN
    assert waits(breaker) == 1
    breaker.ended(trial, "another", alive=True)
    for token in old:
        breaker.ended(*token, alive=alive)
    assert told == [OPEN, HALF_OPEN, CLOSED]


def test_whoever_counts_and_logs_has_no_say(kit):
    def explode(state):
        raise OSError(28, "no space left")

    clock = kit.Clock()
    breaker = Breaker(failures=1, seconds=5.0, changed=explode, clock=clock)
    fail(breaker)
    assert waits(breaker) == 5
    clock.now += 5
    end(breaker, True)
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
                tried.append(breaker.begin("another"))
            except UpstreamResting:
                refused.append(1)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        clock.now += 5
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert (len(tried), len(refused)) == (1, 7)
        breaker.ended(tried[0], "another", alive=True)
        assert breaker.state is CLOSED
