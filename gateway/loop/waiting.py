"""Waiting: a task lets the loop go on meanwhile, a thread blocks. The same words serve both."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from gateway.loop.loop import NEVER, READ, Loop, Timer, current_task, is_readable
from gateway.loop.task import Task

T = TypeVar("T")


class Outcome(Generic[T]):
    """What whoever made it waits for, and another settles, once, from wherever it likes."""

    __slots__ = ("_error", "_lock", "_parked", "_settled", "_task", "_value")

    def __init__(self) -> None:
        self._task: Task | None = current_task()
        self._settled = self._parked = False
        self._value: T
        self._error: BaseException | None = None
        self._lock: threading.Lock | None = None
        if self._task is None:
            self._lock = threading.Lock()
            self._lock.acquire()

    def wait(self, seconds: float = NEVER) -> T:
        """The value it is settled with. Raises the error it failed with; in a task, `TimeoutError` after so many
        `seconds`, whatever it is settled with then.
        """
        if self._lock is not None:
            self._lock.acquire()
        elif not self._settled and self._task is not None:
            self._parked = True
            if seconds == NEVER:
                self._task.loop.hub.switch()
            else:
                bound = Timer(self._task.loop, self._expire)
                bound.set(seconds)
                self._task.loop.hub.switch()
                bound.set(NEVER)
        if self._error is not None:
            # Not kept here: the error knows this frame, and the circle would keep all that its frames hold.
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        return self._value

    def settle(self, value: T) -> None:
        self._value = value
        self._wake()

    def fail(self, error: BaseException) -> None:
        self._error = error
        self._wake()

    def _wake(self) -> None:
        self._settled = True
        if self._lock is not None:
            self._lock.release()
        elif self._task is not None:
            if threading.get_ident() == self._task.loop.thread:
                self._task.loop.soon(self._resume)
            else:
                self._task.loop.call_from_thread(self._resume)

    def _expire(self) -> None:
        if not self._settled:
            self._error = TimeoutError("not settled in time")
            self._resume()

    def _resume(self) -> None:
        # Not parked: it was settled before anyone waited, and the task is somewhere else by now.
        if self._parked and self._task is not None:
            self._parked = False
            self._task.switch()


def until_quiet() -> None:
    """In a task: until nothing else is ready, or nearly. Not at all in a thread, nor where nobody else is at work or
    about to be."""
    task = current_task()
    if task is not None and (task.loop.ahead or task.loop.tasks - len(task.loop.idle) > 1):
        task.loop.when_quiet(task.switch)
        task.loop.hub.switch()


def pause(seconds: float) -> None:
    """For about so long, and no less."""
    task = current_task()
    if task is None:
        time.sleep(seconds)
    else:
        Timer(task.loop, task.switch).set(seconds)
        task.loop.hub.switch()


class Bell:
    """Rung by whoever has done with what others may wait for, in any of the processes that share it: made before the
    fork that they come from.

    It says that it is worth another try, not whose turn it is: another may have heard it first, or nobody.
    """

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ring(self) -> None:
        os.eventfd_write(self._descriptor, 1)

    def wait(self, seconds: float) -> None:
        """Until it rings, or at once where it has rung and nobody has heard it; `seconds` at most. For one task of a
        process at a time, or for threads."""
        task = current_task()
        if task is None:
            is_readable(self._descriptor, within=seconds)
        else:
            self._wait_in(task, seconds)
        with suppress(BlockingIOError):  # another process was quicker
            os.eventfd_read(self._descriptor)

    def _wait_in(self, task: Task, seconds: float) -> None:
        loop = task.loop
        bound = Timer(loop, task.switch)
        bound.set(seconds)
        try:
            with suppress(OSError):  # where no more can be watched, the time ends it
                loop.watch(self._descriptor, READ, lambda _: task.switch())
            loop.hub.switch()
        finally:
            loop.unwatch(self._descriptor)
            bound.end()

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            os.close(self._descriptor)


class Aside:
    """Threads for what blocks, so that a loop need not. They begin when they are needed, and end with the process.

    Where the system refuses another one, those that have begun serve, and another is tried at the next need.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._most = threads
        self._name = name
        self._begun = self._unfinished = 0
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def do(self, work: Callable[[], T], seconds: float = NEVER) -> T:
        """`work()`: in one of these threads where the caller is a task, at once and here otherwise. Raises as it does,
        `RuntimeError` where there is no thread and none can begin, and `TimeoutError` in a task that has waited so many
        `seconds`, while the work goes on.

        For the tasks of one loop. What finds no free thread waits for one, in order. What goes on after its `seconds`
        is not counted as keeping its thread busy: where there are several, another does not begin for it.
        """
        if current_task() is None:
            return work()
        outcome: Outcome[T] = Outcome()
        self._unfinished += 1
        try:
            if self._begun < min(self._most, self._unfinished):
                self._begin()
            self._work.put(partial(_settle, outcome, work))
            return outcome.wait(seconds)
        finally:
            self._unfinished -= 1

    def _begin(self) -> None:
        try:
            threading.Thread(target=self._serve, name=f"{self._name}-{self._begun + 1}", daemon=True).start()
        except RuntimeError:
            if not self._begun:
                raise
        else:
            # Counted once it has begun: a system short of threads refuses some, and may not later.
            self._begun += 1

    def _serve(self) -> None:
        while True:
            self._work.get()()


def _settle(outcome: Outcome[Any], work: Callable[[], Any]) -> None:
    try:
        value = work()
    except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
        outcome.fail(error)
    else:
        outcome.settle(value)


def run(work: Callable[[], T]) -> T:
    """`work()` as a task of the thread's own loop, for whoever is outside of any task. Raises as it does."""
    loop, outcome, going = own_loop(), Outcome[T](), True

    def work_and_tell() -> None:
        nonlocal going
        _settle(outcome, work)
        going = False

    loop.turns += 1
    loop.start(work_and_tell)
    while going:
        loop.turn(NEVER)
    return outcome.wait()


_own = threading.local()


def own_loop() -> Loop:
    """The loop of a thread that has none going: what a work leaves open in it serves the next."""
    if getattr(_own, "process", None) != os.getpid():
        # A child's: what its parent watches is the parent's.
        _own.loop, _own.process = Loop(), os.getpid()
    loop: Loop = _own.loop
    return loop
