"""Waiting: the same words in a task, which lets the loop go on, and in a thread, which blocks."""

import errno
import gc
import os
import threading
import time
import weakref
from functools import partial

import pytest

from gateway.loop.loop import NEVER, READ, Timer, current_task
from gateway.loop.waiting import Aside, Bell, Outcome, own_loop, pause, run, until_quiet
from tests.database.tasks import together
from tests.forking import ended, forked

WAIT = 30.0


class Fault(Exception):
    pass


class End(BaseException):
    pass


def in_thread(work) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def joined(thread) -> None:
    thread.join(WAIT)
    assert not thread.is_alive(), "it never ended"


def told(work):
    """What `work` returns or raises."""
    try:
        return "value", work()
    except BaseException as error:  # noqa: BLE001 - what ends a process is waited for like the rest
        return "error", error


# Until it is quiet, and for a while.


def test_a_lone_task_does_not_wait_for_quiet(loop):
    done = []
    for _ in range(3):
        loop.start(lambda: pause(0))
    while len(loop.idle) < 3:
        loop.turn(WAIT)
    for _ in range(3):  # two others have done their work, and are nobody
        loop.start(lambda: (until_quiet(), done.append(True)))
    assert done == [True] * 3


def test_a_task_lets_others_queue_until_it_is_quiet(loop, pipe, turn_until):
    done = []

    def work(name) -> None:
        until_quiet()
        done.append(name)

    def begin(_) -> None:
        pipe.drain()
        loop.start(lambda: work("third"))

    loop.start(lambda: (pause(0), work("first")))
    loop.start(lambda: work("second"))
    assert done == []
    loop.watch(pipe.end, READ, begin)
    pipe.fill()
    loop.turn(WAIT)
    assert done == [], "something was ready"
    turn_until(lambda: len(done) == 3)
    assert done == ["second", "third", "first"]


def test_a_task_goes_on_though_it_is_never_quiet(loop, pipe, turn_until):
    done = []
    pipe.fill()
    loop.watch(pipe.end, READ, lambda _: None)
    loop.start(lambda: pause(600))
    loop.start(lambda: (until_quiet(), done.append(loop.turns)))
    turn_until(lambda: done)
    assert 1 < done[0] <= 8


def test_a_thread_does_not_wait_for_quiet():
    until_quiet()


def test_a_task_that_pauses_holds_nobody_up(loop, turn_until):
    ended = {}

    def work(seconds) -> None:
        begun = time.monotonic()
        pause(seconds)
        ended[seconds] = time.monotonic() - begun

    loop.start(lambda: work(600))
    loop.start(lambda: work(0.02))
    loop.start(lambda: work(0))
    assert not ended
    turn_until(lambda: len(ended) == 2)
    assert 0 <= ended[0] < WAIT
    assert 0.02 <= ended[0.02] < WAIT


@pytest.mark.parametrize("seconds", [0, 0.01])
def test_a_thread_that_pauses_blocks_for_as_long(seconds):
    begun = time.monotonic()
    pause(seconds)
    assert seconds <= time.monotonic() - begun < WAIT


# Outcomes.

WAYS = {
    "with a value": (lambda outcome: outcome.settle("a value"), "value", "a value"),
    "with nothing": (lambda outcome: outcome.settle(None), "value", None),
    "with an error": (lambda outcome: outcome.fail(Fault("said")), "error", Fault),
    "with an error that ends": (lambda outcome: outcome.fail(End("said")), "error", End),
}


def is_expected(said, kind, what) -> bool:
    return said[0] == kind and (said[1] == what if kind == "value" else type(said[1]) is what)


def by_an_action(loop, deed) -> None:
    loop.soon(deed)


def by_another_task(loop, deed) -> None:
    loop.soon(lambda: loop.start(deed))


def by_a_task_that_has_waited(loop, deed) -> None:
    loop.soon(lambda: loop.start(lambda: (pause(0), deed())))


def by_a_timer(loop, deed) -> None:
    Timer(loop, deed).set(0)


def by_a_thread(loop, deed) -> None:
    in_thread(deed)


BY = [by_an_action, by_another_task, by_a_task_that_has_waited, by_a_timer, by_a_thread]


@pytest.mark.parametrize("before", [True, False], ids=["before it is waited for", "while it is waited for"])
@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(("settle", "kind", "what"), WAYS.values(), ids=WAYS)
def test_a_task_gets_what_its_outcome_is_settled_with(loop, turn_until, settle, kind, what, by, before):
    settled, said = threading.Event(), []

    def work() -> None:
        outcome = Outcome()
        by(loop, lambda: (settle(outcome), settled.set()))
        while before and not settled.is_set():
            pause(0)
        said.append(told(outcome.wait))
        # What has woken it does so once: the next wait is another.
        said.append(told(lambda: pause(0)))

    loop.start(work)
    turn_until(lambda: len(said) == 2)
    assert is_expected(said[0], kind, what)
    assert said[1] == ("value", None)
    turn_until(lambda: loop.tasks == len(loop.idle))


@pytest.mark.parametrize(("settle", "kind", "what"), WAYS.values(), ids=WAYS)
def test_a_task_may_settle_its_own_outcome_and_does_not_wait(loop, settle, kind, what):
    said = []

    def work() -> None:
        outcome = Outcome()
        settle(outcome)
        said.append(told(outcome.wait))

    loop.start(work)
    assert is_expected(said[0], kind, what)
    loop.turn(0)


@pytest.mark.parametrize("by", [by_an_action, by_a_thread])
def test_an_outcome_settled_while_its_task_waits_for_something_else_does_not_wake_it(loop, turn_until, by):
    said = []

    def work() -> None:
        outcome = Outcome()
        by(loop, lambda: outcome.settle("early"))
        begun = time.monotonic()
        pause(0.03)
        said.append(time.monotonic() - begun >= 0.03)
        said.append(outcome.wait())

    loop.start(work)
    turn_until(lambda: len(said) == 2)
    assert said == [True, "early"]


def test_outcomes_of_many_tasks_reach_each_its_own(loop, turn_until):
    outcomes, said = {}, {}

    def work(name) -> None:
        outcomes[name] = outcome = Outcome()
        said[name] = outcome.wait()

    for name in range(100):
        loop.start(lambda name=name: work(name))

    def settle() -> None:
        for name in reversed(range(100)):
            outcomes[name].settle(name)

    joined(in_thread(settle))
    turn_until(lambda: len(said) == 100)
    assert list(said) == list(reversed(range(100)))
    assert all(name == value for name, value in said.items())


@pytest.mark.parametrize("before", [True, False], ids=["before it is waited for", "by another thread"])
@pytest.mark.parametrize(("settle", "kind", "what"), WAYS.values(), ids=WAYS)
def test_a_thread_gets_what_its_outcome_is_settled_with(settle, kind, what, before):
    outcome = Outcome()
    if before:
        settle(outcome)
    else:
        in_thread(lambda: settle(outcome))
    assert is_expected(told(outcome.wait), kind, what)


def test_a_thread_gets_what_a_task_settles(loop):
    ready, said = threading.Event(), []
    outcomes = []

    def wait() -> None:
        outcomes.append(Outcome())
        ready.set()
        said.append(outcomes[0].wait())

    thread = in_thread(wait)
    assert ready.wait(WAIT)
    loop.start(lambda: outcomes[0].settle("by a task"))
    joined(thread)
    assert said == ["by a task"]


def fails_before() -> None:
    outcome = Outcome()
    outcome.fail(Fault("said"))
    outcome.wait()


def fails_while_waited_for() -> None:
    outcome = Outcome()
    if current_task():
        current_task().loop.soon(lambda: outcome.fail(Fault("said")))
    else:
        in_thread(lambda: outcome.fail(Fault("said")))
    outcome.wait()


def fails_where_it_raised() -> None:
    def work() -> None:
        raise Fault("said")

    run(work)


CIRCLES = {
    "a task, before": (fails_before, True),
    "a task, while it waits": (fails_while_waited_for, True),
    "a thread, before": (fails_before, False),
    "a thread, while it waits": (fails_while_waited_for, False),
    "a work that is run": (fails_where_it_raised, False),
}


@pytest.mark.parametrize(("failing", "in_task"), CIRCLES.values(), ids=CIRCLES)
def test_an_error_is_gone_once_it_has_been_handled(loop, turn_until, failing, in_task):
    errors, gone = [], []

    def work() -> None:
        try:
            failing()
        except Fault as error:
            errors.append(weakref.ref(error))
        # In a thread it is let go of by whoever failed it, in its own time; the collector would find a circle.
        end = time.monotonic() + WAIT
        while errors[0]() is not None and time.monotonic() < end and not in_task:
            time.sleep(0)
        gone.append(errors[0]() is None)

    gc.disable()
    try:
        if in_task:
            loop.start(work)
            turn_until(lambda: gone)
        else:
            work()
        assert gone == [True]
    finally:
        gc.enable()


# Threads for what blocks.


def threads_of(name) -> int:
    return sum(thread.name.startswith(f"{name}-") for thread in threading.enumerate())


def test_what_blocks_is_done_in_a_thread_and_the_loop_goes_on(loop, turn_until):
    aside, opened, said = Aside(2, "opened"), threading.Event(), []

    def block():
        assert opened.wait(WAIT), "the loop was held up"
        return threading.get_ident(), current_task()

    loop.start(lambda: said.append(aside.do(block)))
    assert said == []
    loop.soon(opened.set)
    turn_until(lambda: said)
    ident, task = said[0]
    assert ident != threading.get_ident() and task is None


def test_no_more_threads_than_allowed_are_at_work_at_once(loop, turn_until):
    aside, opened, entered = Aside(3, "most"), threading.Event(), threading.Semaphore(0)
    lock, at_work, most, names, said = threading.Lock(), [], [], set(), []

    def block(number) -> int:
        with lock:
            at_work.append(number)
            most.append(len(at_work))
            names.add(threading.current_thread().name)
        entered.release()
        assert opened.wait(WAIT)
        with lock:
            at_work.remove(number)
        return number

    for number in range(20):
        loop.start(lambda number=number: said.append(aside.do(lambda: block(number))))
    for _ in range(3):
        assert entered.acquire(timeout=WAIT), "fewer than allowed"
    assert threads_of("most") == 3
    opened.set()
    turn_until(lambda: len(said) == 20)
    assert sorted(said) == list(range(20))
    assert max(most) == 3 and threads_of("most") == 3
    assert names == {"most-1", "most-2", "most-3"}


def test_no_thread_begins_before_it_is_needed(loop, turn_until):
    aside, said = Aside(8, "needed"), []
    assert threads_of("needed") == 0
    for number in range(5):
        loop.start(lambda: said.append(aside.do(threading.get_ident)))
        turn_until(lambda number=number: len(said) > number)
    assert len(set(said)) == threads_of("needed") == 1
    opened = threading.Event()
    for _ in range(2):
        loop.start(lambda: said.append(aside.do(lambda: opened.wait(WAIT))))
    assert threads_of("needed") == 2
    opened.set()
    turn_until(lambda: len(said) == 7)


def test_what_finds_no_free_thread_waits_in_order(loop, turn_until):
    aside, begun, said = Aside(1, "order"), [], []
    for number in range(50):
        loop.start(lambda number=number: said.append(aside.do(lambda: begun.append(number) or number)))
    turn_until(lambda: len(said) == 50)
    assert begun == list(range(50))
    # Whoever has its answer before it waits for it does not wait for the loop either.
    assert sorted(said) == begun


@pytest.mark.parametrize("kind", [Fault, End, SystemExit, KeyboardInterrupt, StopIteration, GeneratorExit])
def test_what_is_raised_aside_is_raised_where_it_is_waited_for_and_the_thread_goes_on(loop, turn_until, kind):
    aside, said = Aside(1, f"raised by {kind.__name__}"), []

    def work() -> None:
        raise kind("said")

    for number in range(3):
        loop.start(lambda: said.append(told(lambda: aside.do(work))))
        turn_until(lambda number=number: len(said) > number)
    loop.start(lambda: said.append(aside.do(lambda: "served")))
    turn_until(lambda: len(said) == 4)
    assert all(is_expected(one, "error", kind) for one in said[:3])
    assert said[0][1].args == ("said",) and said[3] == "served"
    assert threads_of(f"raised by {kind.__name__}") == 1


def test_what_is_done_aside_is_waited_for_no_longer_than_was_said(loop, turn_until):
    aside, said, free = Aside(1, "slow"), [], threading.Event()
    loop.start(lambda: said.append(told(lambda: aside.do(partial(free.wait, WAIT), 0.01))))
    turn_until(lambda: said)
    assert is_expected(said[0], "error", TimeoutError)
    free.set()
    loop.start(lambda: said.append(aside.do(lambda: "another", WAIT)))
    turn_until(lambda: len(said) == 2)
    assert said[1] == "another", "what came too late woke nobody"
    assert not loop.armed


def test_what_is_done_in_the_moment_when_the_time_is_over_counts(loop, turn_until):
    """The loop was held up: both are there when it looks, the time first."""
    outcomes, said = [], []

    def wait() -> None:
        outcomes.append(Outcome())
        said.append(told(lambda: outcomes[0].wait(0.01)))

    loop.start(wait)
    time.sleep(0.02)
    outcomes[0].settle("done")
    turn_until(lambda: said)
    assert said == [("value", "done")]
    assert not loop.armed


def test_a_thread_that_cannot_begin_fails_what_needed_it_and_nothing_later(loop, turn_until, monkeypatch):
    aside, said = Aside(1, "scarce"), []

    def refuse(self) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as scarce:
        scarce.setattr(threading.Thread, "start", refuse)
        loop.start(lambda: said.append(told(lambda: aside.do(threading.get_ident))))
    assert is_expected(said[0], "error", RuntimeError)
    loop.start(lambda: said.append(aside.do(lambda: "served")))
    assert threads_of("scarce") == 1
    turn_until(lambda: len(said) == 2)
    assert said[1] == "served"


def test_a_thread_that_cannot_begin_leaves_its_work_to_those_that_have(loop, turn_until, monkeypatch):
    aside, said, free = Aside(3, "scarcer"), [], threading.Event()
    loop.start(lambda: said.append(aside.do(partial(free.wait, WAIT))))

    def refuse(self) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as scarce:
        scarce.setattr(threading.Thread, "start", refuse)
        loop.start(lambda: said.append(told(lambda: aside.do(lambda: "waited"))))
    assert said == [], "it waits for the thread there is"
    loop.start(lambda: said.append(aside.do(lambda: "another")))
    assert threads_of("scarcer") == 2
    free.set()
    turn_until(lambda: len(said) == 3)
    assert sorted(map(str, said)) == ["('value', 'waited')", "True", "another"]


def test_the_threads_aside_keep_no_process_from_ending(loop, turn_until):
    said = []
    loop.start(lambda: said.append(Aside(1, "ending").do(threading.current_thread)))
    turn_until(lambda: said)
    assert said[0].daemon


@pytest.mark.parametrize("kind", [None, Fault, End])
def test_outside_of_a_task_it_is_done_at_once_and_here(kind):
    aside = Aside(2, "straight")

    def work():
        if kind:
            raise kind("said")
        return threading.get_ident()

    said = told(lambda: aside.do(work))
    assert is_expected(said, *(("error", kind) if kind else ("value", threading.get_ident())))
    assert threads_of("straight") == 0


# Works that are run as tasks.


@pytest.mark.parametrize("waits", [False, True], ids=["without waiting", "waiting"])
@pytest.mark.parametrize("kind", [None, Fault, End, SystemExit])
def test_a_work_that_is_run_returns_or_raises_as_it_does(waits, kind):
    def work():
        if waits:
            pause(0.001)
        if kind:
            raise kind("said")
        return "a value"

    said = told(lambda: run(work))
    assert is_expected(said, *(("error", kind) if kind else ("value", "a value")))
    assert run(lambda: "the next") == "the next"


def test_a_work_that_is_run_is_a_task_of_the_loop_of_its_thread():
    first, second = run(current_task), run(lambda: (pause(0), current_task())[1])
    assert first is second and first.loop is own_loop()
    assert current_task() is None


def test_a_work_that_is_run_begins_a_turn():
    turns = [run(lambda: own_loop().turns) for _ in range(3)]
    assert len(set(turns)) == 3


def test_what_a_work_leaves_open_in_the_loop_serves_the_next(pipe):
    heard = []
    run(lambda: own_loop().watch(pipe.end, READ, lambda _: heard.append(pipe.drain())))
    pipe.fill()
    assert heard == []

    def work() -> None:
        while not heard:
            pause(0)
        own_loop().unwatch(pipe.end)

    run(work)
    assert heard == [b"a"]


def test_a_work_that_is_run_may_do_things_aside():
    assert run(lambda: Aside(1, "run").do(threading.get_ident)) != threading.get_ident()


def test_each_thread_has_a_loop_of_its_own():
    loops, together = [], threading.Barrier(8)

    def work() -> None:
        together.wait(WAIT)
        loop = own_loop()
        loops.append((loop, run(lambda: (pause(0.001), current_task().loop)[1])))
        together.wait(WAIT)

    threads = [in_thread(work) for _ in range(8)]
    for thread in threads:
        joined(thread)
    assert all(own is used for own, used in loops)
    assert len({own for own, _ in loops} | {own_loop()}) == 9


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_has_a_loop_of_its_own_and_leaves_its_parents_alone(pipe):
    mine, heard = own_loop(), []
    run(lambda: pause(0))
    mine.watch(pipe.end, READ, lambda _: heard.append(pipe.drain()))
    sixty = Timer(mine, partial(heard.append, "late"))
    sixty.set(600)
    child = os.fork()
    if child == 0:
        good = False
        try:
            own = own_loop()
            good = own is not mine and own is own_loop() and not own.armed
            good = good and run(lambda: (pause(0.001), current_task().loop is own)[1])
            good = good and run(lambda: Aside(1, "child").do(os.getpid)) == os.getpid()
            gc.collect()
        finally:
            os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert own_loop() is mine and sixty in mine.armed
    sixty.set(NEVER)
    pipe.fill()
    run(lambda: pause(0.001))
    assert heard == [b"a"]
    mine.unwatch(pipe.end)
    assert run(lambda: Aside(1, "parent").do(os.getpid)) == os.getpid()


# A bell, which processes share.


def ringing_within(seconds, bell) -> int:
    """A child that rings after so long."""
    return forked(lambda: (time.sleep(seconds), bell.ring()))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("by", [run, lambda work: work()], ids=["task", "thread"])
def test_whoever_waits_hears_a_bell_that_another_process_rings(by):
    bell = Bell()
    begun = time.monotonic()
    child = ringing_within(0.2, bell)
    by(lambda: bell.wait(WAIT))
    assert 0.2 <= time.monotonic() - begun < WAIT
    assert ended(child) == 0


@pytest.mark.parametrize("by", [run, lambda work: work()], ids=["task", "thread"])
def test_a_ring_that_nobody_has_heard_is_heard_at_the_next_wait_and_only_then(by):
    bell = Bell()
    for _ in range(3):
        bell.ring()
    by(lambda: bell.wait(WAIT))
    begun = time.monotonic()
    by(lambda: bell.wait(0.1))
    assert time.monotonic() - begun >= 0.1


def test_the_loop_goes_on_while_a_task_waits_for_a_bell():
    bell, told = Bell(), []

    def ring():
        for _ in range(5):
            pause(0.001)
            told.append("turn")
        bell.ring()

    together(lambda: (bell.wait(WAIT), told.append("heard")), ring)
    assert told == ["turn"] * 5 + ["heard"]


def test_what_has_waited_for_a_bell_is_not_woken_by_it_later():
    bell, woken = Bell(), []

    def wait():
        bell.wait(0)
        bell.ring()
        pause(0.05)  # what it rings for itself ends nothing but a wait for it
        woken.append("in time")

    begun = time.monotonic()
    run(wait)
    assert woken and time.monotonic() - begun >= 0.05


@pytest.mark.looks_inside
def test_where_nothing_more_can_be_watched_a_bell_is_waited_for_in_vain_and_no_longer(monkeypatch):
    def watch(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    bell = Bell()
    monkeypatch.setattr(own_loop(), "watch", watch)
    begun = time.monotonic()
    run(lambda: bell.wait(0.05))
    assert 0.05 <= time.monotonic() - begun < WAIT


def test_a_bell_nobody_has_any_more_leaves_no_descriptor():
    gc.collect()  # what earlier tests have left goes now, and not meanwhile
    before = set(os.listdir("/proc/self/fd"))
    bell = Bell()
    bell.wait(0)
    assert len(os.listdir("/proc/self/fd")) > len(before)
    del bell
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) == before
