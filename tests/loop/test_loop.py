"""The loop: what is ready is done, in turn, and one failure is nobody else's. Real descriptors, real threads."""

import contextvars
import errno
import gc
import io
import os
import random
import sys
import threading
import time
import weakref
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.loop import loop as loop_module
from gateway.loop.loop import (
    MOST_AT_A_TURN,
    NEVER,
    QUIET_LOOKS,
    READ,
    RESTED_LOOKS,
    RESTED_TURNS,
    SHORT_IN_A_ROW,
    WRITE,
    Loop,
    Timer,
    current_task,
)

WAIT = 30.0
SECRET = "4211 the dossier of somebody"


class Fault(Exception):
    pass


def readable(loop, descriptor) -> int:
    """For a task: waits until there is something to read, as the gateway's own code does."""
    loop.watch(descriptor, READ, current_task().switch)
    events = loop.hub.switch()
    loop.unwatch(descriptor)
    return events


def pass_by(moment) -> None:
    """Until the clock has passed it."""
    while time.monotonic() <= moment:
        pass


# Tasks.


def test_a_task_waits_and_others_go_on(loop, turn_until, make_pipe):
    first, second = make_pipe(), make_pipe()
    said = []

    def work(name, pipe) -> None:
        said.append(f"{name} waits")
        events = readable(loop, pipe.end)
        said.append((name, bool(events & READ), pipe.drain()))

    loop.start(lambda: work("first", first))
    loop.start(lambda: work("second", second))
    loop.soon(lambda: said.append("an action"))
    loop.turn(0)
    assert said == ["first waits", "second waits", "an action"]
    second.fill()
    turn_until(lambda: len(said) == 4)
    first.fill()
    turn_until(lambda: len(said) == 5)
    assert said[3:] == [("second", True, b"a"), ("first", True, b"a")]


def test_a_task_that_waits_goes_on_where_it_was_however_deep(loop, turn_until, pipe):
    said = []

    def deep(depth) -> int:
        return deep(depth - 1) + 1 if depth else readable(loop, pipe.end) & READ

    def work() -> None:
        try:
            said.append(deep(50))
        finally:
            said.append("left")

    loop.start(work)
    assert said == []
    pipe.fill()
    turn_until(lambda: said)
    assert said == [50 + READ, "left"]


def test_the_running_task_is_known_in_it_and_nowhere_else(loop, turn_until, pipe):
    seen = []

    def work() -> None:
        seen.append(current_task())
        readable(loop, pipe.end)
        seen.append(current_task())

    assert current_task() is None
    loop.start(work)
    assert current_task() is None
    loop.soon(lambda: seen.append(current_task()))
    loop.turn(0)
    pipe.fill()
    turn_until(lambda: len(seen) == 3)
    assert seen[0] is not None and seen == [seen[0], None, seen[0]]
    assert seen[0].loop is loop


def ends(held) -> None:
    pass


def raises(held) -> None:
    raise Fault(SECRET, held)


def waits_and_ends(held) -> None:
    loop = current_task().loop
    loop.soon(current_task().switch)
    loop.hub.switch()


def waits_and_raises(held) -> None:
    waits_and_ends(held)
    raise Fault(SECRET, held)


WORKS = [ends, raises, waits_and_ends, waits_and_raises]


@pytest.mark.parametrize("before", WORKS)
def test_a_task_that_has_done_its_work_is_given_the_next(loop, before):
    seen = []
    for _ in range(3):
        loop.start(lambda: (seen.append(current_task()), before(None)))
        loop.turn(0)
    assert len(set(seen)) == 1
    assert loop.tasks == 1 and loop.idle == [seen[0]]


@pytest.mark.parametrize("before", WORKS)
def test_a_work_finds_nothing_of_the_one_before_in_its_task(loop, before):
    mark = contextvars.ContextVar("mark", default="nothing")
    found = []

    def first() -> None:
        mark.set(SECRET)
        before(SECRET)

    def second() -> None:
        found.append((mark.get(), sys.exc_info()))
        try:
            raise Fault
        except Fault as fault:
            found.append((fault.__context__, fault.__cause__))

    loop.start(first)
    loop.turn(0)
    loop.start(second)
    assert loop.tasks == 1
    assert found == [("nothing", (None, None, None)), (None, None)]


@pytest.mark.parametrize("before", WORKS)
def test_a_task_that_has_done_its_work_keeps_nothing_of_it_alive(loop, before):
    class Dossier:
        pass

    kept = []

    def begin() -> None:
        dossier = Dossier()
        kept.append(weakref.ref(dossier))
        mark = contextvars.ContextVar("mark")
        loop.start(lambda: (mark.set(dossier), before(dossier)))

    gc.disable()  # what only the collector finds is kept for a while
    try:
        begin()
        loop.turn(0)
        assert len(loop.idle) == 1
        assert kept[0]() is None
    finally:
        gc.enable()


def test_there_are_as_many_tasks_as_ever_waited_at_once(loop, turn_until, make_pipe):
    pipes = [make_pipe() for _ in range(5)]
    done = []
    for _ in range(3):
        done.clear()
        for pipe in pipes:
            loop.start(lambda pipe=pipe: (readable(loop, pipe.end), pipe.drain(), done.append(pipe)))
        assert loop.idle == []
        for pipe in pipes:
            pipe.fill()
        turn_until(lambda: len(done) == 5)
    assert loop.tasks == len(loop.idle) == 5


def test_a_task_may_be_started_by_whatever_the_loop_calls(loop, turn_until, pipe):
    done = []

    def work() -> None:
        pipe.drain()
        readable(loop, pipe.end)
        done.append(pipe.drain())

    def begin(_) -> None:
        loop.unwatch(pipe.end)
        loop.start(work)

    loop.watch(pipe.end, READ, begin)
    pipe.fill()
    loop.turn(WAIT)
    assert done == []
    pipe.fill()
    turn_until(lambda: done)


# Failures.


def fail(*_) -> None:
    raise Fault(SECRET)


def failing_watcher(loop, pipe) -> None:
    def watcher(_) -> None:
        pipe.drain()
        fail()

    loop.watch(pipe.end, READ, watcher)
    pipe.fill()


def failing_from_a_thread(loop, pipe) -> None:
    thread = threading.Thread(target=loop.call_from_thread, args=(fail,))
    thread.start()
    thread.join()


FAILING = {
    "a watcher": ("loop failed", failing_watcher),
    "a timer": ("loop failed", lambda loop, pipe: Timer(loop, fail).set(0)),
    "an action called soon": ("loop failed", lambda loop, pipe: loop.soon(fail)),
    "an action called when quiet": ("loop failed", lambda loop, pipe: loop.when_quiet(fail)),
    "an action called from a thread": ("loop failed", failing_from_a_thread),
    "a task": ("task failed", lambda loop, pipe: loop.start(fail)),
    "a task that has waited": (
        "task failed",
        lambda loop, pipe: (pipe.fill(), loop.start(lambda: (readable(loop, pipe.end), fail()))),
    ),
}


@pytest.mark.parametrize(("event", "arrange"), FAILING.values(), ids=FAILING)
def test_what_raises_is_told_by_kind_and_the_loop_goes_on(loop, make_pipe, capsys, event, arrange):
    done = []
    arrange(loop, make_pipe())
    pipe = make_pipe()
    pipe.fill()
    loop.watch(pipe.end, READ, lambda _: (loop.unwatch(pipe.end), done.append("watcher")))
    Timer(loop, lambda: done.append("timer")).set(0)
    loop.soon(lambda: done.append("soon"))
    loop.when_quiet(lambda: done.append("quiet"))
    loop.call_from_thread(lambda: done.append("thread"))
    loop.start(lambda: done.append("task"))
    for _ in range(3):
        loop.turn(0)
    assert sorted(done) == ["quiet", "soon", "task", "thread", "timer", "watcher"]
    said = "".join(capsys.readouterr())
    assert said.count("Fault") == said.count(event) == 1
    assert "4211" not in said and "somebody" not in said and "Traceback" not in said


def test_a_fault_of_the_system_is_told_by_its_number_and_not_by_its_path(loop):
    loop.soon(lambda: os.stat(f"/nowhere/{SECRET}"))
    with capture_logs() as told:
        loop.turn(0)
    assert told == [{"event": "loop failed", "kind": "FileNotFoundError", "number": errno.ENOENT, "log_level": "error"}]


def test_a_log_that_cannot_be_written_costs_no_loop(loop, monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    done = []
    loop.start(fail)
    loop.soon(fail)
    loop.soon(lambda: done.append(True))
    loop.turn(0)
    assert done == [True]


def test_what_ends_a_process_is_not_held_back(loop):
    for end in (KeyboardInterrupt, SystemExit):

        def leave(end=end) -> None:
            raise end

        loop.soon(leave)
        with pytest.raises(end):
            loop.turn(0)
        with pytest.raises(end):
            loop.start(leave)


# Times.


def test_a_timer_calls_once_when_its_time_has_come_and_not_before(loop, turn_until):
    called = []
    timer = Timer(loop, lambda: called.append(time.monotonic()))
    begun = time.monotonic()
    timer.set(0.02)
    turn_until(lambda: called)
    loop.turn(0)
    assert len(called) == 1
    assert called[0] >= begun + 0.02
    assert timer.due == loop.soonest == NEVER and not loop.armed


def test_a_timer_that_was_never_set_is_not_called(loop):
    timer = Timer(loop, fail)
    assert timer.due == NEVER
    timer.set(NEVER)
    loop.turn(0)
    assert not loop.armed and loop.soonest == NEVER


@pytest.mark.parametrize(
    ("sets", "called"),
    [
        ([0, NEVER], 0),
        ([0, 600], 0),
        ([0, 600, NEVER], 0),
        ([600, 0], 1),
        ([0, 0], 1),
        ([0, 600, 0], 1),
        ([NEVER, 0], 1),
        ([0, NEVER, 0], 1),
    ],
    ids=str,
)
def test_the_last_time_that_a_timer_was_set_to_counts(loop, sets, called):
    calls = []
    timer = Timer(loop, lambda: calls.append(True))
    for seconds in sets:
        timer.set(seconds)
    for _ in range(3):
        loop.turn(0)
    assert len(calls) == called
    assert loop.soonest == timer.due


def test_a_timer_may_set_itself_again(loop, turn_until):
    turns = []

    def again() -> None:
        turns.append(loop.turns)
        if len(turns) < 3:
            timer.set(0)

    timer = Timer(loop, again)
    timer.set(0)
    turn_until(lambda: len(turns) == 3)
    loop.turn(0)
    assert len(set(turns)) == 3, "a turn has an end"


@pytest.mark.parametrize(("seconds", "called"), [(0, 1), (600, 0), (NEVER, 0)])
def test_a_timer_set_anew_by_one_called_before_it_counts_as_set_anew(loop, seconds, called):
    turns = []
    second = Timer(loop, lambda: turns.append(loop.turns))
    first = Timer(loop, lambda: second.set(seconds))
    first.set(0)
    second.set(0.001)
    pass_by(second.due)
    loop.turn(0)
    changed = loop.turns
    loop.turn(0)
    assert len(turns) == called and changed not in turns
    assert loop.soonest == second.due


def test_a_timer_that_is_set_by_another_for_the_first_time_is_called_in_its_time(loop, turn_until):
    called = []
    second = Timer(loop, lambda: called.append(time.monotonic()))
    Timer(loop, lambda: second.set(0.01)).set(0)
    loop.turn(0)
    due = second.due
    assert loop.soonest == due != NEVER
    turn_until(lambda: called)
    assert called[0] >= due


def test_what_is_due_is_called_in_the_order_of_its_times(loop):
    called = []
    timers = [Timer(loop, lambda place=place: called.append(place)) for place in range(50)]
    shuffled = list(enumerate(timers))
    random.Random(4).shuffle(shuffled)
    begun = time.monotonic()
    for place, timer in shuffled:
        timer.set(begun + place * 1e-4 - time.monotonic())
    pass_by(max(timer.due for timer in timers))
    loop.turn(0)
    assert called == list(range(50))


def test_the_loop_waits_for_the_soonest_and_then_for_the_next(loop):
    called = []
    timers = [Timer(loop, lambda: None) for _ in range(3)]
    for timer, seconds in zip(timers, (600, 300, 900), strict=True):
        timer.set(seconds)
    assert loop.soonest == timers[1].due
    Timer(loop, lambda: called.append(True)).set(0.001)
    begun = time.monotonic()
    while not called:
        loop.turn(WAIT)
    assert time.monotonic() - begun < WAIT
    assert loop.soonest == timers[1].due
    timers[1].set(NEVER)
    Timer(loop, lambda: None).set(0)
    loop.turn(WAIT)
    assert loop.soonest == timers[0].due


def test_a_timer_that_raises_costs_no_other_its_call(loop, capsys):
    called = []
    timers = [Timer(loop, fail), Timer(loop, lambda: called.append(True)), Timer(loop, fail)]
    for timer in timers:
        timer.set(0)
    pass_by(timers[-1].due)
    loop.turn(0)
    assert called == [True] and not loop.armed


def test_a_turn_waits_no_longer_than_it_was_told(loop):
    Timer(loop, fail).set(600)
    begun = time.monotonic()
    loop.turn(0.001)
    loop.turn(0)
    loop.soon(lambda: None)
    loop.turn(WAIT)
    loop.when_quiet(lambda: None)
    loop.turn(WAIT)
    assert time.monotonic() - begun < WAIT


# Descriptors.


def test_a_watcher_is_called_as_long_as_it_is_ready_and_no_longer(loop, pipe):
    called = []
    loop.watch(pipe.end, READ, called.append)
    loop.turn(0)
    assert called == []
    pipe.fill()
    loop.turn(0)
    loop.turn(0)
    assert called == [READ, READ]
    pipe.drain()
    loop.turn(0)
    assert len(called) == 2


def test_whoever_watches_last_is_called(loop, pipe):
    called = []
    loop.watch(pipe.end, READ, fail)
    loop.watch(pipe.end, READ, lambda _: called.append("second"))
    pipe.fill()
    loop.turn(0)
    assert called == ["second"]


def test_other_events_replace_those_watched_before(loop, pipe):
    called = []
    loop.watch(pipe.source, WRITE, called.append)
    loop.watch(pipe.source, READ, called.append)
    loop.turn(0)
    assert called == []
    loop.watch(pipe.source, WRITE, called.append)
    loop.turn(0)
    assert called == [WRITE]


def test_what_is_watched_no_more_is_not_called_and_may_be_watched_again(loop, pipe):
    called = []
    pipe.fill()
    loop.watch(pipe.end, READ, fail)
    loop.unwatch(pipe.end)
    loop.unwatch(pipe.end)
    loop.turn(0)
    loop.watch(pipe.end, READ, called.append)
    loop.turn(0)
    assert called == [READ]


class Reader:
    def __init__(self) -> None:
        self.called = 0

    def read(self, _) -> None:
        self.called += 1


def test_unwatch_with_another_action_does_nothing(loop, pipe):
    mine, other = Reader(), Reader()
    pipe.fill()
    loop.watch(pipe.end, READ, mine.read)
    loop.unwatch(pipe.end, other.read)
    loop.turn(0)
    assert mine.called == 1
    loop.unwatch(pipe.end, mine.read)
    loop.turn(0)
    assert mine.called == 1


@pytest.mark.parametrize("action", [None, fail], ids=["any action", "one action"])
def test_to_watch_no_more_what_nobody_watched_does_nothing(loop, pipe, action):
    loop.unwatch(pipe.end, action)
    loop.unwatch(987_654, action)
    loop.turn(0)


def test_a_descriptor_closed_too_early_may_be_used_and_watched_again(loop, make_pipe):
    old, new = make_pipe(), make_pipe()
    called = []
    loop.watch(old.end, READ, fail)
    os.close(old.end)
    os.dup2(new.end, old.end)
    new.fill()
    loop.turn(0)
    loop.watch(old.end, READ, called.append)
    loop.turn(0)
    assert called == [READ]
    loop.unwatch(old.end, fail)
    loop.turn(0)
    assert called == [READ, READ]
    loop.unwatch(old.end)
    loop.turn(0)
    assert called == [READ, READ]


def test_a_descriptor_closed_too_early_is_called_no_more(loop, pipe, capsys):
    pipe.fill()
    loop.watch(pipe.end, READ, fail)
    pipe.close(pipe.end)
    loop.turn(0)
    loop.unwatch(pipe.end)
    loop.turn(0)
    assert "".join(capsys.readouterr()) == ""


def test_what_cannot_be_watched_is_refused_and_not_kept(loop, tmp_path, pipe):
    called = []
    with (tmp_path / "file").open("wb") as file:
        with pytest.raises(OSError):
            loop.watch(file.fileno(), WRITE, fail)
        os.dup2(pipe.source, file.fileno())
        loop.turn(0)
        loop.watch(file.fileno(), WRITE, called.append)
        loop.turn(0)
        loop.unwatch(file.fileno())
    assert called == [WRITE]
    with pytest.raises(OSError):
        loop.watch(987_654, READ, fail)


@pytest.mark.parametrize("closes", [False, True], ids=["unwatched", "unwatched and closed"])
def test_what_comes_before_may_end_the_watch_of_what_comes_after(loop, make_pipe, capsys, closes):
    first, second = make_pipe(), make_pipe()
    called = []

    def ending(other):
        def action(_) -> None:
            called.append(other)
            loop.unwatch(other.end)
            if closes:
                other.close(other.end)

        return action

    loop.watch(first.end, READ, ending(second))
    loop.watch(second.end, READ, ending(first))
    first.fill()
    second.fill()
    loop.turn(0)
    assert len(called) == 1
    assert "".join(capsys.readouterr()) == ""


def test_a_watcher_may_end_its_own_watch(loop, pipe):
    called = []
    pipe.fill()
    loop.watch(pipe.end, READ, lambda _: (called.append(True), loop.unwatch(pipe.end)))
    loop.turn(0)
    loop.turn(0)
    assert called == [True]


def test_the_other_side_that_goes_is_seen(loop, pipe):
    called = []
    loop.watch(pipe.end, READ, lambda _: called.append(pipe.drain()))
    pipe.close(pipe.source)
    loop.turn(0)
    assert called == [b""]


def test_a_loop_that_nobody_knows_any_more_gives_its_descriptors_back():
    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    loops = [Loop() for _ in range(5)]
    assert descriptors() == before + 10
    loops.clear()
    assert descriptors() == before


# What is called from elsewhere, and what waits for quiet.


def test_what_many_threads_ask_for_is_done_each_once_in_order_in_the_thread_of_the_loop(loop, turn_until):
    threads, times = 16, 500
    done = []
    together = threading.Barrier(threads)

    def ask(name) -> None:
        together.wait(WAIT)
        for number in range(times):
            loop.call_from_thread(lambda number=number: done.append((name, number, threading.get_ident())))

    asking = [threading.Thread(target=ask, args=(name,)) for name in range(threads)]
    for thread in asking:
        thread.start()
    turn_until(lambda: len(done) >= threads * times)
    for thread in asking:
        thread.join()
    loop.turn(0)
    assert len(done) == threads * times
    for name in range(threads):
        assert [number for who, number, _ in done if who == name] == list(range(times))
    assert {ident for _, _, ident in done} == {threading.get_ident()}


def test_a_loop_that_waits_is_woken_by_each_thread_that_asks(loop, turn_until):
    rounds = 500
    woken = []

    def ask() -> None:
        for _ in range(rounds):
            heard = threading.Event()
            loop.call_from_thread(heard.set)
            if not heard.wait(WAIT):
                return
        loop.call_from_thread(lambda: woken.append(True))

    thread = threading.Thread(target=ask)
    begun = time.monotonic()
    thread.start()
    turn_until(lambda: woken)
    thread.join()
    assert time.monotonic() - begun < WAIT


def test_what_is_asked_for_by_what_was_asked_for_is_done_too(loop, turn_until):
    done = []
    loop.call_from_thread(lambda: loop.call_from_thread(lambda: done.append(True)))
    turn_until(lambda: done)


def test_what_is_to_be_done_soon_is_done_in_order_after_what_is_ready(loop, pipe):
    done = []
    pipe.fill()
    loop.watch(pipe.end, READ, lambda _: (done.append("ready"), loop.soon(lambda: done.append("third"))))
    loop.soon(lambda: done.append("first"))
    loop.soon(lambda: done.append("second"))
    loop.turn(WAIT)
    assert done == ["ready", "first", "second", "third"]


@pytest.mark.parametrize("ask", [Loop.soon, Loop.when_quiet])
def test_what_asks_for_itself_again_and_again_holds_nobody_up(loop, pipe, ask):
    turns = []

    def again() -> None:
        turns.append(loop.turns)
        if len(turns) < 10:
            ask(loop, again)

    ask(loop, again)
    loop.turn(0)
    pipe.fill()
    loop.watch(pipe.end, READ, lambda _: (pipe.drain(), turns.append("ready")))
    while len(turns) < 10:
        loop.turn(0)
    assert turns[1] == "ready"
    assert len(set(turns)) == 10, "a turn has an end"


def test_what_waits_for_quiet_is_called_at_once_where_nothing_is_ready(loop, pipe):
    done = []
    loop.watch(pipe.end, READ, fail)
    for number in range(3):
        loop.when_quiet(lambda number=number: done.append(number))
    loop.turn(WAIT)
    assert done == [0, 1, 2]


def test_what_waits_for_quiet_lets_everything_else_go_first(loop, make_pipe):
    pipes = [make_pipe() for _ in range(3)]
    done = []

    def watcher(pipe, following):
        def action(_) -> None:
            done.append(pipe)
            pipe.drain()
            if following:
                following.fill()

        return action

    for pipe, following in zip(pipes, [pipes[1], None, None], strict=True):
        loop.watch(pipe.end, READ, watcher(pipe, following))
    loop.when_quiet(lambda: done.append("quiet"))
    pipes[0].fill()
    while "quiet" not in done:
        loop.turn(WAIT)
    assert done == [pipes[0], pipes[1], "quiet"]


def always_ready(loop, pipe) -> None:
    pipe.fill()
    loop.watch(pipe.end, READ, lambda _: None)


def always_soon(loop, pipe) -> None:
    loop.soon(lambda: always_soon(loop, pipe))


@pytest.mark.parametrize("busy", [always_ready, always_soon])
def test_what_waits_for_quiet_waits_a_few_looks_and_not_for_ever(loop, pipe, busy):
    busy(loop, pipe)
    for _ in range(3):  # each time anew
        begun, called = loop.turns, []
        loop.when_quiet(lambda called=called: called.append(loop.turns))
        for _ in range(20):
            loop.turn(WAIT)
        assert len(called) == 1
        assert 1 < called[0] - begun <= 8


def test_a_loop_that_has_time_to_sleep_does_not_wait_for_many(loop, make_pipe):
    def looks_until_called() -> int:
        begun, called = loop.turns, []
        loop.when_quiet(lambda: called.append(loop.turns))
        for _ in range(QUIET_LOOKS):
            loop.turn(WAIT)
        assert len(called) == 1
        return called[0] - begun

    busy = make_pipe()
    always_ready(loop, busy)
    for _ in range(3):  # whatever it was before
        for _ in range(RESTED_TURNS):
            loop.turn(WAIT)
        assert looks_until_called() == QUIET_LOOKS, "it has not slept for long"
        busy.drain()
        loop.turn(0.001)
        busy.fill()
        assert looks_until_called() == RESTED_LOOKS, "it has just slept"


def test_whoever_waited_for_what_waited_for_quiet_goes_on_before_anything_else_is_looked_at(loop, pipe):
    done = []
    loop.watch(pipe.end, READ, lambda _: (pipe.drain(), done.append("ready")))

    def quiet() -> None:
        done.append("quiet")
        pipe.fill()
        loop.soon(lambda: (done.append("went on"), loop.soon(lambda: done.append("next"))))

    loop.when_quiet(quiet)
    loop.turn(WAIT)
    assert done == ["quiet", "went on"]
    loop.turn(WAIT)
    assert done == ["quiet", "went on", "ready", "next"]


def test_of_many_that_are_ready_the_first_do_not_wait_for_the_last(loop, make_pipe):
    """What is to be done soon, such as sending what was answered, is done between them."""
    seen, between = [], []
    for number in range(MOST_AT_A_TURN + 8):
        pipe = make_pipe()
        pipe.fill()

        def see(_, pipe=pipe, number=number):
            pipe.drain()
            seen.append(number)
            if len(seen) == 1:
                loop.soon(lambda: between.append(len(seen)))

        loop.watch(pipe.end, READ, see)
    loop.turn(1.0)
    assert len(seen) == MOST_AT_A_TURN
    assert between == [MOST_AT_A_TURN]
    loop.turn(1.0)
    assert sorted(seen) == list(range(MOST_AT_A_TURN + 8))


# Short waits.


class Looks:
    """In the place of epoll, on a clock of its own: something is ready `after` so many seconds of waiting."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.after = 0.0
        self.slept: list[float] = []
        self.awake = 0

    def poll(self, seconds, _) -> list[tuple[int, int]]:
        self.now += 0.000_005
        if seconds == 0.0:
            self.awake += 1
            return [(0, READ)] if self.ready_at <= self.now else []
        self.slept.append(seconds)
        self.now = max(self.now, self.ready_at if seconds < 0 else min(self.ready_at, self.now + seconds))
        return [(0, READ)] if self.ready_at <= self.now else []

    def wait(self, loop, after, seconds=1.0) -> list[tuple[int, int]]:
        """What the loop finds that has `seconds`; how often it slept and looked awake is told anew."""
        self.ready_at = self.now + after
        self.slept, self.awake = [], 0
        return loop._look(seconds)


@pytest.fixture
def looks(monkeypatch):
    seen = Looks()
    monkeypatch.setattr(loop_module, "time", SimpleNamespace(monotonic=lambda: seen.now))
    return seen


@pytest.fixture
def looking(looks):
    loop = Loop()
    real, loop._epoll = loop._epoll, looks
    yield loop
    loop._epoll = real


@pytest.mark.looks_inside
def test_after_short_waits_in_a_row_the_next_one_is_spent_awake(looks, looking):
    for _ in range(SHORT_IN_A_ROW):
        assert looks.wait(looking, 0.000_030)
        assert (looks.slept, looks.awake) == ([1.0], 1)
    for _ in range(20):
        assert looks.wait(looking, 0.000_030)
        assert not looks.slept
        assert looks.awake > 1


@pytest.mark.looks_inside
@pytest.mark.parametrize("seconds", [1.0, -1.0], ids=["at most so long", "without end"])
def test_a_long_wait_ends_that_and_is_slept_through(looks, looking, seconds):
    for _ in range(SHORT_IN_A_ROW):
        looks.wait(looking, 0.000_030)
    begun = looks.now
    assert looks.wait(looking, 0.5, seconds)
    assert looks.slept == [seconds]
    assert 1 < looks.awake < 20
    assert looks.now - begun == pytest.approx(0.5, abs=0.001)
    for _ in range(SHORT_IN_A_ROW):
        assert looks.wait(looking, 0.000_030)
        assert (len(looks.slept), looks.awake) == (1, 1)
    assert looks.wait(looking, 0.000_030)
    assert not looks.slept


@pytest.mark.looks_inside
def test_long_waits_between_short_ones_are_never_spent_awake(looks, looking):
    for turn in range(100):
        looks.wait(looking, 0.02 if turn % SHORT_IN_A_ROW == 0 else 0.000_030)
        assert looks.awake == 1


@pytest.mark.looks_inside
def test_what_is_ready_is_not_waited_for_and_no_wait_is_longer_than_it_may_be(looks, looking):
    for _ in range(SHORT_IN_A_ROW):
        looks.wait(looking, 0.000_030)
    assert looks.wait(looking, 0.0)
    assert (looks.slept, looks.awake) == ([], 1)
    assert not looks.wait(looking, 1.0, 0.0)
    assert (looks.slept, looks.awake) == ([], 1)
    begun = looks.now
    assert not looks.wait(looking, 1.0, 0.000_020)
    assert looks.now - begun < 0.000_080
