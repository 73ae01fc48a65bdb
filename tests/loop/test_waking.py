"""A process that waits is woken by signals, by what it may read, and by nothing that woke it before."""

import os
import signal
import socket
import threading
import time

import pytest

from gateway.loop.waking import Wakeful, noticed
from tests.forking import ended, forked


@pytest.fixture
def wakeful():
    before = signal.signal(signal.SIGUSR1, noticed)
    made = Wakeful()
    yield made
    made.forget()
    signal.signal(signal.SIGUSR1, before)


def waited(wakeful, seconds, *sources):
    begun = time.monotonic()
    wakeful.wait(seconds, sources)
    return time.monotonic() - begun


def test_a_signal_ends_the_wait_and_its_handler_has_run(wakeful):
    ran = []
    signal.signal(signal.SIGUSR1, lambda *_: ran.append(True))
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    timer.start()
    assert 0.05 < waited(wakeful, None) < 30
    assert ran == [True]
    timer.join()


def test_a_signal_that_came_before_is_not_waited_for_and_wakes_once(wakeful):
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert waited(wakeful, 30) < 15
    assert waited(wakeful, 0.2) >= 0.2


def test_what_may_be_read_ends_the_wait_until_it_was_read(wakeful):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert waited(wakeful, 0.1, ours) >= 0.1
        theirs.send(b"x")
        assert waited(wakeful, 30, ours) < 15
        assert waited(wakeful, 30, ours) < 15
        ours.recv(1)
        assert waited(wakeful, 0.1, ours) >= 0.1


def test_a_child_that_forgets_is_not_woken_by_what_wakes_its_parent(wakeful):

    def be_signalled():
        wakeful.forget()
        # Without the handler's pipe a signal is a signal: this one is not even noticed.
        os.kill(os.getpid(), signal.SIGUSR1)

    assert ended(forked(be_signalled)) == 0
    assert waited(wakeful, 0.2) >= 0.2, "what woke the child did not wake us"
