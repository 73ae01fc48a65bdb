"""A connection to the backend that is kept from one answer to the next, in clear or under TLS.

Under TLS what follows an answer can wait within its last record, where no descriptor tells of it: it is looked for
there, too, before the next question.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from typing import Final

import requests

from gateway.loop.loop import READ, WRITE, Loop, Timer
from gateway.loop.task import Task
from gateway.proxy.exchange import RECEIVE_BUFFER, USER_AGENT, UpstreamAnswer
from gateway.proxy.failures import NOT_FOLLOWED, NothingLeft
from gateway.proxy.reader import AnswerReader

MOST_IDLE: Final = 60.0
"""Seconds that a connection may rest: of one that has for longer, whatever lies between may have forgotten."""
MOST_AGED: Final = 600.0
"""Seconds after which one is made anew, to where the backend's name leads by then, with the certificates of then."""


class Disturbed(Exception):
    """Something arrived on a line while it rested, or it ended then. Nothing was asked: another is to be taken."""


class HungUp(Exception):
    """The backend ended a connection that had rested without a word to what was asked: so ends what it has not heard of
    for a while. What is only read may be asked for again, once, on a new one (RFC 9110, 9.2.2; RFC 9112, 9.3.1)."""


def asked_of(host: str, target: str, fields: list[str]) -> bytes:
    """A GET as it is sent. Raises `InvalidHeader` for a header that is not ASCII."""
    lines = "\r\n".join(("", *fields))
    head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}{lines}\r\n\r\n"
    try:
        return head.encode("ascii")
    except UnicodeEncodeError:
        raise requests.exceptions.InvalidHeader("a header that is not ASCII") from None


class KeptLine:
    """One exchange at a time, all in one loop."""

    __slots__ = (
        "_asked",
        "_asks",
        "_born",
        "_disturbed",
        "_failure",
        "_in_records",
        "_looking",
        "_reader",
        "_rested",
        "_socket",
        "_task",
        "_timer",
        "_used",
        "loop",
    )

    def __init__(self, loop: Loop, connection: socket.socket, limit: int) -> None:
        """Takes over the `connection`, which does not block and has not been asked anything. Bodies have `limit` bytes
        at most. Raises `NothingLeft` where it cannot be watched."""
        self.loop = loop
        self._socket = connection
        self._in_records = isinstance(connection, ssl.SSLSocket)
        """It is read record by record: there may be more, however little one of them holds."""
        self._looking = select.poll()
        self._looking.register(connection, select.POLLIN)
        self._reader = AnswerReader(limit)
        self._timer = Timer(loop, self._expire)
        self._task: Task | None = None
        self._asks = self._used = False
        """The exchange at work has begun; one ended well before it."""
        self._disturbed = False
        """Something was found on it that nobody had asked for."""
        self._asked = b""
        """What is not sent yet of what is asked."""
        self._failure: Exception | None = None
        self._born = self._rested = time.monotonic()
        try:
            loop.watch(connection.fileno(), READ, self._on_event)
        except OSError:
            connection.close()
            raise NothingLeft(NOT_FOLLOWED) from None

    def exchange(self, task: Task, asked: bytes, until: float) -> UpstreamAnswer:
        """What the backend answers when it is `asked`, before `until` on the monotonic clock. For a task of this line's
        loop. Raises `Disturbed`, `HungUp`, `requests.Timeout`, `requests.ConnectionError` or `MalformedAnswer`, after
        which the line is of no use."""
        reader = self._reader
        reader.begin()
        self._asked, self._asks, self._task = asked, False, task
        self._timer.set(until - time.monotonic())
        try:
            # Sent with what else is to be sent: the backend wakes once for many.
            self.loop.soon(self._begin)
            while not reader.complete and self._failure is None:
                self.loop.hub.switch()
        finally:
            self._task = None
        if self._failure is not None:
            # Not kept here: the error knows this frame, and the circle would keep all that its frames hold.
            failure, self._failure = self._failure, None
            try:
                raise failure
            finally:
                del failure
        self._used = True
        self._rested = time.monotonic()
        return reader.answer()

    @property
    def stays(self) -> bool:
        """The last exchange has left it so that another can follow: the question was sent whole, too."""
        return self._reader.stays and not self._asked

    def is_stale(self, now: float) -> bool:
        """Whether it has rested for too long, or been there, on the monotonic clock."""
        return now > self._rested + MOST_IDLE or now > self._born + MOST_AGED

    def is_silent(self) -> bool:
        """Whether nothing has arrived since the last answer.

        What arrives before it is asked for (a second answer behind the first) would be taken for the next answer,
        somebody else's.
        """
        if not self._disturbed:
            self._disturbed = self._says_something() if self._in_records else bool(self._looking.poll(0))
        return not self._disturbed

    def _says_something(self) -> bool:
        """Under TLS, beside what TLS has to say itself, such as the tickets of a session. It ends that, too."""
        try:
            self._socket.recv(1)
        except _NOT_NOW:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        self._timer.end()
        self._reader.close()
        self._let_go()

    def _let_go(self) -> None:
        self.loop.unwatch(self._socket.fileno(), self._on_event)
        self._socket.close()

    # What the loop calls.

    def _begin(self) -> None:
        if self._task is None:
            return
        # Looked at now and not when it was taken: the loop has done whatever else was ready in between.
        if self.is_silent():
            self._asks = True
            self._send()
        elif self._used:
            self._end(Disturbed())
        else:
            self._end(requests.ConnectionError("the backend spoke or hung up before it was asked"))

    def _on_event(self, events: int) -> None:
        if not self._asks or self._task is None:
            # Something arrived, or the backend left, before anything was asked.
            if not self.is_silent():
                self._let_go()
        elif events & WRITE and self._asked:
            self._send()
            if not self._asked:
                self._watch(READ)
        else:
            self._receive()

    def _watch(self, events: int) -> None:
        try:
            self.loop.watch(self._socket.fileno(), events, self._on_event)
        except OSError:
            self._end(NothingLeft(NOT_FOLLOWED))

    def _send(self) -> None:
        try:
            sent = self._socket.send(self._asked)
            self._asked = self._asked[sent:]
        except _NOT_NOW:
            pass
        except OSError:
            return self._receive()  # an answer may have come before all was asked
        if self._asked:
            self._watch(READ | WRITE)
        return None

    def _receive(self) -> None:
        """Takes in what has arrived, until nothing of it is left or the answer is whole."""
        reader = self._reader
        try:
            while not reader.complete and reader.failure is None:
                size = self._take_in()
                if not size:
                    self._ended(in_order=True)
                    return
                if size < RECEIVE_BUFFER and not self._in_records:
                    break  # that was all
        except _NOT_NOW:
            pass
        except OSError:
            self._ended(in_order=False)
            return
        if reader.complete or reader.failure is not None:
            self._end(reader.failure)

    def _take_in(self) -> int:
        """Bytes of what was there to be read; 0 at the end of the connection."""
        reader = self._reader
        if reader.unparsed:
            return reader.fill(self._socket.recv_into)
        buffer = _buffer()
        size = self._socket.recv_into(buffer)
        if size:
            reader.feed(buffer[:size])
        return size

    def _ended(self, *, in_order: bool) -> None:
        """There will be nothing more of the connection, which the backend closed, or which broke."""
        reader = self._reader
        if reader.begun:
            reader.end(in_order=in_order)
            self._end(reader.failure)
        elif self._used:
            self._end(HungUp())
        else:
            self._end(requests.ConnectionError("the backend closed the connection without an answer"))

    def _expire(self) -> None:
        # Of an exchange that has ended it is not taken back: the next one sets it anew, as most often happens first.
        if self._task is not None:
            self._end(requests.Timeout("the deadline passed"))

    def _end(self, failure: Exception | None) -> None:
        self._failure = failure
        if self._task is not None:
            self._task.switch()


_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_local: Final = threading.local()


def _buffer() -> memoryview:
    """What this thread receives into, which is read before anybody else of it receives."""
    try:
        buffer: memoryview = _local.buffer
    except AttributeError:
        buffer = _local.buffer = memoryview(bytearray(RECEIVE_BUFFER))
    return buffer
