"""One process: a loop in which every connection is watched and every whole request is a task.

No connection is waited for: what has arrived is read, and only a whole request becomes a task. So ten thousand slow
clients cost their memory and nothing else. The application runs in tasks: what it does that blocks, it does aside
(`gateway.loop.waiting`), or everyone waits.
"""

from __future__ import annotations

import errno
import resource
import select
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol

from gateway.loop.loop import READ, WRITE, Loop, Timer
from gateway.loop.task import tell
from gateway.server.connection import FOREVER, Application, Connection, Malformed, Patience
from gateway.server.lanes import WORDLESS, Lane, Lanes, Refuse, plain_refusal
from gateway.server.shares import Share, Shares

MOST_CONNECTIONS: Final = 16_384
SPARE_DESCRIPTORS: Final = 256
"""Of what the system allows, left for the application, beside one for each request at work that is not its own."""
FEWEST_CONNECTIONS: Final = 16
GIVEN_UP_AT_ONCE: Final = 256
"""Connections that are closed together, so that others find room; never more than a quarter of all."""
SILENT_SECONDS: Final = 1.0
"""A connection that has said nothing, or begun a head, for less is believed to be about to go on; not where one address
holds more than half of all."""
MOST_OUTGOING: Final = 256 * 1024 * 1024
"""Bytes of answers that clients are slow to take, kept in memory. Beyond it the oldest of them are given up."""
MOST_UNFINISHED: Final = 128 * 1024 * 1024
"""Bytes of memory that requests hold which are not whole. Beyond it some are given up."""
LOOKED_AFTER: Final = 16 * 1024 * 1024
"""After so many of them more, it is looked how many there are."""
SWEEP_SECONDS: Final = 0.25
STAND_BACK_SECONDS: Final = 0.0005
"""For so long a worker that has more connections than another leaves new ones to it."""
BEGIN_SECONDS: Final = 1.0
"""Of the time that is left when it is to end, how long whole requests are still begun. What is begun has the rest."""
QUIET_LOOKS: Final = 3
"""How often nothing must be seen at work before it is believed: a client may be about to speak."""

_READ: Final = READ | select.EPOLLRDHUP


class Report(Protocol):
    """Is told how many connections are open, requests are in the application, and wait to be."""

    def __call__(self, *, connections: int, in_flight: int, waiting: int) -> None: ...


class Served(NamedTuple):
    """What a worker serves, whom it tells how busy it is, and how a request is refused for which there is no room."""

    application: Application
    report: Report | None = None
    refuse: Refuse = plain_refusal


class Worker:
    """Serves an application on a bound, listening socket."""

    def __init__(
        self,
        served: Served,
        listener: socket.socket,
        *,
        lanes: Lanes,
        patience: Patience,
        tls: ssl.SSLContext | None = None,
        share: Share | None = None,
    ) -> None:
        """Requests enter the application by `lanes`. One that finds neither a place at work nor one to wait is answered
        by `served.refuse` at once and never enters. `served.report` is told four times a second how busy it is. Where
        others accept from the same listener, `share` says who has how many."""
        self._application, self._report, self._refuse = served
        self._listener = listener
        self._is_own = lanes.is_own
        self._own, self._others = self._lanes = Lane(lanes.own), Lane(lanes.others)
        self._patience = patience
        self._tls = tls
        self._share = share or Shares(1).of(0)
        self._most_connections = _affordable(lanes)
        self._loop: Loop
        self._connections: dict[int, Connection] = {}
        self._taken: list[Connection] = []
        """Whole requests of this turn, which begin together."""
        self._outbox: list[Connection] = []
        """Answered, and not sent yet."""
        self._stopping = False
        self._begins = True
        """Whole requests are begun: always, but for the end of the end."""
        self._unfinished = 0
        """Bytes that have come of requests which were not whole then, since they were last looked at together."""
        self._crowded = False
        """There was nobody to be given up, when one was last looked for."""
        self._date = formatdate(usegmt=True)
        host, port = listener.getsockname()[:2]
        self._shared: dict[str, Any] = {
            "SCRIPT_NAME": "",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if tls else "http",
            "wsgi.errors": _Discard(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }

    def run(self, keep_on: Callable[[], bool], *, grace_seconds: float) -> None:
        """Serve while `keep_on()`; then refuse what is new, finish what runs for at most `grace_seconds`, return.

        What waits then, and what comes on connections that are open, is still begun for a second, and requests that
        have begun to arrive are waited for. After it, and at the end of the time, what waits, what comes and what has
        not sent all of its body is refused as one for which there is no room.
        """
        self._loop = loop = Loop()
        self._listener.setblocking(False)
        self._listen()
        self._share.has(0)
        sweeper = Timer(loop, self._sweep)
        while keep_on():
            sweeper.set(SWEEP_SECONDS)
            while sweeper.due != FOREVER:
                loop.turn(SWEEP_SECONDS)
        until = time.monotonic() + grace_seconds
        self._stop()
        quiet = 0
        while quiet < QUIET_LOOKS and time.monotonic() < until:
            if sweeper.due == FOREVER:
                sweeper.set(SWEEP_SECONDS)
            loop.turn(0.02)
            quiet = 0 if self._works() else quiet + 1
        self._begin_no_more()
        self._send_all()

    def _stop(self) -> None:
        """Take in nobody new; let those go who have nothing to ask."""
        self._stopping = True
        # Once every process has closed it, whoever knocks is refused instead of kept waiting.
        self._accept_no_more()
        self._listener.close()
        for connection in list(self._connections.values()):
            if connection.served and connection.silent_since() is not None and not connection.has_unread():
                self._drop(connection)
        Timer(self._loop, self._begin_no_more).set(BEGIN_SECONDS)

    def _begin_no_more(self) -> None:
        self._begins = False
        for lane in self._lanes:
            for connection in lane.close():
                self._turn_away(connection)
        for connection in self._connections.values():
            if connection.arrives and connection.awaits_body:
                connection.at_work = True
                self._turn_away(connection)

    def _works(self) -> bool:
        return bool(self._outbox or any(lane.at_work or lane.queue for lane in self._lanes)) or any(
            connection.outgoing or (self._begins and connection.arrives) for connection in self._connections.values()
        )

    def _listen(self) -> None:
        # Exclusive: of the processes that wait for a client, one is woken for each, the one that began to wait first.
        self._loop.watch(self._listener.fileno(), READ | select.EPOLLEXCLUSIVE, self._accept)
        self._accepts = True

    def _accept(self, _: int) -> None:
        try:
            sock, address = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as fault:
            if fault.errno in (errno.EMFILE, errno.ENFILE) and self._make_room():
                return
            # Out of descriptors: asked again at the next sweep, not at once and for ever.
            self._accept_no_more()
            tell("not accepted", fault)
            return
        try:
            if len(self._connections) < self._most_connections or self._make_room():
                self._welcome(sock, str(address[0]))
            else:
                sock.close()
        except (OSError, ValueError):
            # Gone already. (TLS refuses what was sent in clear before a reset; ValueError: no descriptor any more.)
            sock.close()
        if self._accepts:
            self._give_way()

    def _give_way(self) -> None:
        """To the other workers where this one has more: for a moment it is not among those that wait for a client, and
        then the last of them. Only after a client was taken in: whom it was woken for, nobody else is woken for."""
        self._share.has(len(self._connections))
        if self._share.is_large():
            self._accept_no_more()
            Timer(self._loop, self._accept_again).set(STAND_BACK_SECONDS)

    def _accept_again(self) -> None:
        if not (self._accepts or self._stopping):
            self._listen()

    def _accept_no_more(self) -> None:
        self._accepts = False
        self._loop.unwatch(self._listener.fileno())

    def _make_room(self) -> bool:
        """Give up those that say nothing, between two requests or since they came; where there is none, those whose
        head does not end; and at last those that have only just come, of an address that holds more than half of all.
        Always those of the addresses that hold most first, the oldest of an address first. Never one whose request is
        answered, whose body was asked for, or that takes its answer. False where there is none; then it is not looked
        for again until the next sweep."""
        if self._crowded:
            return False
        latest, before = time.monotonic() - SILENT_SECONDS, len(self._connections)
        held = Counter(connection.address for connection in self._connections.values())
        found: list[tuple[int, int, float, int]] = []
        for number, connection in self._connections.items():
            silent, holds = connection.silent_since(), held[connection.address]
            since = connection.head_since() if silent is None else silent
            if since is not None and (since < latest or 2 * holds > before):
                found.append((2 if since >= latest else silent is None, -holds, since, number))
        for _, alike in groupby(sorted(found), key=itemgetter(0)):
            for *_, number in islice(alike, min(GIVEN_UP_AT_ONCE, max(1, before // 4))):
                # Whoever has spoken is not silent, though nobody has had time to listen.
                if not self._connections[number].has_unread():
                    self._drop(self._connections[number])
            if len(self._connections) < before:
                return True
        self._crowded = True
        return False

    def _welcome(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        connection = Connection(sock, address, patience=self._patience, is_own=self._is_own)
        self._connections[sock.fileno()] = connection
        try:
            self._watch(connection, _READ)
        except OSError:
            self._drop(connection)

    def _watch(self, connection: Connection, events: int) -> None:
        """What of this connection is looked at from now on; 0 for nothing."""
        if connection.watched != events:
            connection.watched = events
            if events:
                self._loop.watch(connection.descriptor, events, partial(self._on_event, connection))
            else:
                self._loop.unwatch(connection.descriptor)

    def _on_event(self, connection: Connection, _: int) -> None:
        try:
            self._handle(connection)
        except Exception as fault:  # noqa: BLE001 - one connection's failure is nobody else's
            self._drop(connection)
            tell("connection failed", fault)

    def _handle(self, connection: Connection) -> None:
        if connection.at_work:
            # More came, or the client went: seen to once its request is answered.
            return self._watch(connection, 0)
        if connection.expired:
            return self._drop(connection)
        if connection.lingers:
            return None if connection.discard() else self._drop(connection)
        if connection.outgoing:
            return self._after_sending(connection) if connection.send() else self._drop(connection)
        try:
            present = connection.receive()
        except Malformed as malformed:
            connection.answer(malformed.status, [*WORDLESS], b"", date=self._date, stays=False)
            connection.send()
            return self._after_sending(connection)
        if not present:
            return self._drop(connection)
        if connection.ready:
            return self._take(connection)
        connection.tell_to_continue()
        self._watch(connection, _READ)
        return self._count(connection)

    def _count(self, connection: Connection) -> None:
        """Takes notice of what a request holds that is not whole, and looks after all of them where that is due."""
        held = connection.held
        self._unfinished += held - connection.counted
        connection.counted = held
        if self._unfinished > LOOKED_AFTER:
            self._unfinished = 0
            self._give_up_unfinished()

    def _give_up_unfinished(self) -> None:
        """Of requests that together hold too much and are not whole: first those of the address that holds most, the
        largest of an address first, until there is room for a while."""
        arriving = [connection for connection in self._connections.values() if connection.arrives]
        held = sum(connection.held for connection in arriving)
        if held <= MOST_UNFINISHED:
            return
        of_address: Counter[str] = Counter()
        for connection in arriving:
            of_address[connection.address] += connection.held
        for connection in sorted(arriving, key=lambda one: (of_address[one.address], one.held), reverse=True):
            if held <= MOST_UNFINISHED // 2:
                break
            held -= connection.held
            self._drop(connection)

    def _take(self, connection: Connection) -> None:
        connection.at_work = True
        connection.deadline = FOREVER
        self._taken.append(connection)
        if not self._loop.ahead:
            self._begin()
        elif len(self._taken) == 1:
            self._loop.soon(self._begin)

    def _begin(self) -> None:
        """Begins the requests of this turn once all that was ready is read: the end of one may have come after another
        could have begun, and a change of rights between the two."""
        taken, self._taken = self._taken, []
        loop = self._loop
        loop.turns += 1
        for place, connection in enumerate(taken, 1):
            loop.ahead = len(taken) - place
            lane = self._own if connection.own else self._others
            if lane.at_work < lane.most:
                lane.at_work += 1
                loop.start(partial(self._work, connection, lane))
            elif len(lane.queue) < lane.room:
                lane.queue.append(connection)
            else:
                self._turn_away(connection)

    def _work(self, connection: Connection, lane: Lane) -> None:
        """A task: answers this request, and then those that have waited."""
        while True:
            self._answer(connection)
            self._send_soon(connection)
            if not lane.queue:
                break
            connection = lane.queue.popleft()
        lane.at_work -= 1

    def _turn_away(self, connection: Connection) -> None:
        """Answers this request without the application: there is no room for it."""
        try:
            status, headers, body = self._refuse()
            connection.answer(status, headers, body, date=self._date, stays=not self._stopping)
        except Exception as fault:  # noqa: BLE001 - one request's failure is nobody else's
            connection.answer("503 Service Unavailable", [*WORDLESS], b"", date=self._date, stays=False)
            tell("not refused properly", fault)
        self._send_soon(connection)

    def _send_soon(self, connection: Connection) -> None:
        if not self._outbox:
            self._loop.soon(self._send_all)
        self._outbox.append(connection)

    def _send_all(self) -> None:
        """Sends what was answered in this turn, one right after the other: whoever reads wakes once for many."""
        outbox, self._outbox = self._outbox, []
        for connection in outbox:
            connection.at_work = False
            try:
                connection.send()
                self._after_sending(connection)
            except Exception as fault:  # noqa: BLE001 - one connection's failure is nobody else's
                self._drop(connection)
                tell("connection failed", fault)

    def _answer(self, connection: Connection) -> None:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started[:] = [status, headers]

        try:
            answered = self._application(connection.environment(self._shared), start_response)
            try:
                body = b"".join(answered)
            finally:
                if hasattr(answered, "close"):
                    answered.close()
            status, headers = started
            connection.answer(status, headers, body, date=self._date, stays=not self._stopping)
        except BaseException as fault:  # noqa: BLE001 - an application that ends must not end the loop
            connection.answer("500 Internal Server Error", [*WORDLESS], b"", date=self._date, stays=False)
            tell("application failed", fault)

    def _after_sending(self, connection: Connection) -> None:
        if connection.outgoing:
            self._watch(connection, WRITE)
        elif connection.stays and not self._stopping:
            connection.next()
            self._watch(connection, _READ)
        elif connection.linger():
            self._watch(connection, READ)
        else:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if self._connections.get(connection.descriptor) is connection:
            self._watch(connection, 0)
            del self._connections[connection.descriptor]
            connection.close()

    def _sweep(self) -> None:
        """End the connections whose time is over: closed, or answered without their body."""
        self._crowded = False
        self._accept_again()
        self._share.has(len(self._connections))
        self._date = formatdate(usegmt=True)
        now = time.monotonic()
        connections = list(self._connections.values())
        for connection in connections:
            # Whoever has sent something that nobody has had time to read is not the late one, while it is still to be
            # looked at: what a connection sends that takes its answer, or has taken it, gives it no more time.
            answered = connection.outgoing or connection.lingers
            if now >= connection.deadline and (answered or not connection.has_unread()):
                connection.late = connection.awaits_body
                connection.expired = not connection.late
                self._on_event(connection, 0)
        if self._report:
            self._report(
                connections=len(self._connections),
                in_flight=sum(lane.at_work for lane in self._lanes),
                waiting=sum(len(lane.queue) for lane in self._lanes),
            )
        # What was answered in this turn is not sent yet, and nobody has been slow to take it.
        slow = [connection for connection in connections if connection.outgoing and not connection.at_work]
        kept = sum(connection.kept for connection in slow)
        for connection in sorted(slow, key=lambda connection: connection.deadline):
            if kept <= MOST_OUTGOING:
                break
            kept -= connection.kept
            self._drop(connection)


def _affordable(lanes: Lanes) -> int:
    """How many connections may be open, so that descriptors are left for what the application opens."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    spare = SPARE_DESCRIPTORS + lanes.others.at_work
    return min(MOST_CONNECTIONS, max(FEWEST_CONNECTIONS, allowed - spare))


class _Discard:
    """`wsgi.errors`: nobody writes there; what would be written could quote a request."""

    def write(self, text: str) -> int:
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        return None

    def flush(self) -> None:
        return None
