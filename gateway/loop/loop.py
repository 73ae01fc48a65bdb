"""The loop: watches descriptors, keeps times, runs tasks."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from typing import Final

from greenlet import getcurrent

from gateway.loop.task import Task, tell

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
NEVER: Final = float("inf")
MOST_AT_A_TURN: Final = 16
"""Descriptors that are seen to before it is looked again. Of many that are ready at once, as when a backend answers all
that were asked together, the first are not to wait for the last: they would be asked for together again."""
SHORT_SECONDS: Final = 0.00006
"""A wait that is over by then costs more to fall asleep for, and to be woken from, than to look again and again."""
SHORT_IN_A_ROW: Final = 8
"""So many waits were that short: then the next one is believed to be, and is looked for that long before any sleep."""
QUIET_LOOKS: Final = 8
"""How often the descriptors are looked at before what waits for quiet is done in any case."""
RESTED_LOOKS: Final = 2
"""How often in a loop that has time to sleep: what it does for few it can do again for those who come after them."""
RESTED_TURNS: Final = 64
"""So many turns after it slept, a loop has no time to sleep."""

_due: Final = attrgetter("due")


class Timer:
    """Calls `action` once, when the time set has come; the earlier before the later.

    Belongs to one loop, whose thread alone touches it.
    """

    __slots__ = ("_loop", "action", "due")

    def __init__(self, loop: Loop, action: Callable[[], object]) -> None:
        self._loop = loop
        self.action = action
        self.due = NEVER
        """On the monotonic clock, in seconds."""

    def set(self, seconds: float) -> None:
        """In so many seconds; `NEVER` to have it not called."""
        loop = self._loop
        if seconds == NEVER:
            self.due = NEVER
            loop.armed.discard(self)
        else:
            self.due = due = time.monotonic() + seconds
            loop.armed.add(self)
            if due < loop.soonest:
                loop.soonest = due

    def end(self) -> None:
        """Never again: what it would call is forgotten, which may know this timer."""
        self.set(NEVER)
        self.action = _nothing


def _nothing() -> None:
    return None


class Loop:
    """One thread's. Everything but `call_from_thread` is for that thread."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watchers: dict[int, Callable[[int], object]] = {}
        self.armed: set[Timer] = set()
        self.soonest = NEVER
        """No armed timer is due before this."""
        self.tasks = 0
        self.idle: list[Task] = []
        """Of those tasks, the ones that have done their work and may be given another."""
        self._soon: deque[Callable[[], object]] = deque()
        self._when_quiet: deque[Callable[[], object]] = deque()
        self._looks = 0
        self._turns_awake = 0
        self._short_waits = 0
        """In a row, the last of them."""
        self.turns = 0
        """How often it has looked at what is ready: what is done in one turn was ready before it began."""
        self.ahead = 0
        """How many descriptors of this turn are ready and have not been seen to."""
        self._from_threads: deque[Callable[[], object]] = deque()
        self._rung = False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, READ)
        self._watchers[self._bell] = self._answer_bell
        self.hub = getcurrent()
        self.thread = threading.get_ident()

    # Descriptors and times.

    def watch(self, descriptor: int, events: int, action: Callable[[int], object]) -> None:
        """Call `action` with what is ready whenever one of `events` (of epoll; level-triggered) is. Replaces the last
        call for the same descriptor. Raises `OSError` where it cannot be watched."""
        if descriptor in self._watchers:
            with suppress(FileNotFoundError):  # closed, and its number used again
                self._epoll.modify(descriptor, events)
                self._watchers[descriptor] = action
                return
        self._epoll.register(descriptor, events)
        self._watchers[descriptor] = action

    def unwatch(self, descriptor: int, action: Callable[[int], object] | None = None) -> None:
        """Stop watching; nothing happens where nobody watched, or where another than `action` is called. To be called
        before the descriptor is closed."""
        if action is not None and self._watchers.get(descriptor) != action:
            return
        if self._watchers.pop(descriptor, None):
            with suppress(OSError, ValueError):
                self._epoll.unregister(descriptor)

    # What to do next.

    def start(self, work: Callable[[], object]) -> None:
        """Run `work` as a task, now, until it waits for the first time. Called from outside any task."""
        if self.idle:
            task = self.idle.pop()
        else:
            task = Task(self)
            self.tasks += 1
        task.work = work
        task.switch()

    def soon(self, action: Callable[[], object]) -> None:
        """Call `action` after what is being done now. Not for an action that waits."""
        self._soon.append(action)

    def when_quiet(self, action: Callable[[], object]) -> None:
        """Call `action` once nothing else is ready, or after a few more looks: so that it can do for many at once."""
        self._when_quiet.append(action)

    def call_from_thread(self, action: Callable[[], object]) -> None:
        """Call `action` in the loop's thread. For any thread."""
        self._from_threads.append(action)
        if not self._rung:
            self._rung = True
            os.eventfd_write(self._bell, 1)

    def _answer_bell(self, _: int) -> None:
        os.eventfd_read(self._bell)
        self._rung = False
        while self._from_threads:
            self._call(self._from_threads.popleft())

    # The turns.

    def turn(self, most_seconds: float) -> None:
        """Wait until something is ready, `most_seconds` at most, and do it."""
        if self._soon or self._when_quiet:
            seconds = 0.0
        else:
            seconds = min(most_seconds, self.soonest - time.monotonic())
            if seconds == NEVER:
                seconds = -1.0
            elif seconds < 0:
                seconds = 0.0
        ready = self._look(seconds)
        self.turns += 1
        self._turns_awake += 1
        watchers = self._watchers
        self.ahead = len(ready)
        for descriptor, events in ready:
            self.ahead -= 1
            watcher = watchers.get(descriptor)  # gone, where what came before in `ready` ended it
            if watcher is not None:
                try:
                    watcher(events)
                except Exception as fault:  # noqa: BLE001 - one descriptor's failure must not end the loop
                    tell("loop failed", fault)
        if self.soonest != NEVER and time.monotonic() >= self.soonest:
            self._ring_timers()
        self._do_next()
        if self._when_quiet:
            self._looks += 1
            most_looks = RESTED_LOOKS if self._turns_awake < RESTED_TURNS else QUIET_LOOKS
            if not (ready or self._soon) or self._looks >= most_looks:
                self._looks = 0
                for _ in range(len(self._when_quiet)):
                    self._call(self._when_quiet.popleft())
                # Whoever waited for them has waited longest: before anything else is looked at.
                self._do_next()

    def _do_next(self) -> None:
        for _ in range(len(self._soon)):
            self._call(self._soon.popleft())

    def _look(self, seconds: float) -> list[tuple[int, int]]:
        """What is ready within so many seconds; without end where they are negative.

        Where nothing is, and a short wait is to be expected, it is waited for awake at first: of a request that is
        alone with a quick backend, a sleep takes a tenth of its time. The first wait that is not short ends that.
        """
        ready = self._epoll.poll(0.0, MOST_AT_A_TURN)
        if ready or seconds == 0.0:
            return ready
        begun = time.monotonic()
        if self._short_waits >= SHORT_IN_A_ROW:
            until = begun + (SHORT_SECONDS if seconds < 0.0 else min(seconds, SHORT_SECONDS))
            while time.monotonic() < until:
                ready = self._epoll.poll(0.0, MOST_AT_A_TURN)
                if ready:
                    return ready
        ready = self._epoll.poll(seconds, MOST_AT_A_TURN)
        self._turns_awake = 0
        self._short_waits = self._short_waits + 1 if time.monotonic() - begun < SHORT_SECONDS else 0
        return ready

    def _ring_timers(self) -> None:
        now = time.monotonic()
        for timer in sorted((timer for timer in self.armed if timer.due <= now), key=_due):
            if timer.due <= now:  # what came before it may have set it anew
                timer.set(NEVER)
                self._call(timer.action)
        self.soonest = min((timer.due for timer in self.armed), default=NEVER)

    def _call(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as fault:  # noqa: BLE001 - one action's failure must not end the loop
            tell("loop failed", fault)

    def __del__(self) -> None:
        # The other descriptor closes itself.
        with suppress(OSError, AttributeError):
            os.close(self._bell)


def current_task() -> Task | None:
    """The task that is running, None outside of any."""
    running = getcurrent()
    return running if isinstance(running, Task) else None


def is_readable(descriptor: int, *, within: float = 0.0) -> bool:
    """Whether something has arrived on it, or its end: by now, or `within` so many seconds, for which it waits."""
    looking = select.poll()
    looking.register(descriptor, select.POLLIN)
    return bool(looking.poll(within * 1000))
