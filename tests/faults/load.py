"""Agents that ask all the time, look at every byte of what they get, and remember which requests were answered.

One thread carries them all, each on a connection of its own that stays open. An agent asks again as soon as it is
answered; with `per_second` questions come at their time instead, whoever is free asks them, and a late answer is late
counted from when it should have been asked for.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import re
import selectors
import socket
import threading
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PATIENCE: Final = 30.0
"""Seconds after which a question that is not answered never will be."""
REST: Final = 0.02
"""Seconds until an agent that was not let in knocks again."""
REMEMBERED: Final = 20
"""Wrong answers that are kept to be shown."""

_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_ID: Final = re.compile(rb"\r\nx-request-id: *([0-9a-f]+)\r\n", re.IGNORECASE)
_CODE: Final = re.compile(rb'"code":"(GW\d+)"')


class Question(NamedTuple):
    """A whole request, and the only answer to it: 200 with this body, or this refusal."""

    request: bytes
    expected: bytes = b""
    refusal: str = ""


class _Agent:
    __slots__ = ("asked_at", "question", "received", "socket")

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.question: Question | None = None
        self.asked_at = 0.0
        self.received = bytearray()


class Load:
    """Begins when it is entered as a context, and ends, every question answered or given up, when it is left."""

    def __init__(
        self, url: str, questions: Sequence[Question], *, agents: int, per_second: float | None = None
    ) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._questions = itertools.cycle(questions)
        self._agents = agents
        self._per_second = per_second
        self._selector = selectors.DefaultSelector()
        self._idle: collections.deque[_Agent] = collections.deque(_Agent() for _ in range(agents))
        self._resting: collections.deque[tuple[float, _Agent]] = collections.deque()
        self._asking: set[_Agent] = set()
        self._issued = 0
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="load")
        self.good = 0
        """Answers that were exactly the expected ones, refusals that were expected among them."""
        self.refused: collections.Counter[str] = collections.Counter()
        """Refusals by their code, or by their status where they have none."""
        self.broken = 0
        """Questions whose connection ended before the answer had."""
        self.turned_away = 0
        """Connections that could not be had."""
        self.wrong: list[str] = []
        """What nobody may ever be answered."""
        self.answered: dict[str, int] = {}
        """The status of each answer with a request id that must be in the record."""
        self.good_at = array("d")
        """When good answers came, on the monotonic clock."""
        self.seconds = array("d")
        """How long each of them took."""
        self.bad_at = array("d")
        """When something else came, or nothing."""

    def __enter__(self) -> Load:
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join()

    @property
    def asking(self) -> int:
        """How many questions wait for their answer now."""
        return len(self._asking)

    def steady_since(self, moment: float) -> bool:
        """Whether, since `moment`, everyone was answered well a few times over and nobody otherwise meanwhile."""
        wanted = 4 * self._agents
        if len(self.good_at) < wanted or self.good_at[-wanted] < moment:
            return False
        return not self.bad_at or self.bad_at[-1] < self.good_at[-wanted]

    def recovered_after(self, moment: float) -> float:
        """Seconds from `moment` until a good answer had come, and no bad one came any more."""
        first = next(at for at in self.good_at if at >= moment)
        last = self.bad_at[-1] if self.bad_at else moment
        return max(first, last) - moment

    # The thread's.

    def _run(self) -> None:
        with self._selector:
            while not self._ending or self._asking:
                moment = time.monotonic()
                while self._resting and self._resting[0][0] <= moment:
                    self._idle.append(self._resting.popleft()[1])
                if not self._ending:
                    self._ask_all(moment)
                for key, _ in self._selector.select(self._until_next(time.monotonic())):
                    self._hear(key.data)
                self._give_up()
            for agent in [*self._idle, *(agent for _, agent in self._resting)]:
                self._hang_up(agent)

    def _ask_all(self, moment: float) -> None:
        if self._per_second is None:
            while self._idle:
                self._ask(self._idle.popleft(), moment)
        else:
            due = int((moment - self._begun) * self._per_second)
            while self._idle and self._issued < due:
                self._issued += 1
                self._ask(self._idle.popleft(), self._begun + self._issued / self._per_second)

    def _until_next(self, moment: float) -> float:
        if self._per_second is None or not self._idle:
            return REST
        return min(max(self._begun + (self._issued + 1) / self._per_second - moment, 0.0), REST)

    def _ask(self, agent: _Agent, moment: float) -> None:
        agent.question = next(self._questions)
        agent.asked_at = moment
        agent.received.clear()
        try:
            if agent.socket is None:
                agent.socket = socket.create_connection(self._address, timeout=PATIENCE)
                agent.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                agent.socket.setblocking(False)
                self._selector.register(agent.socket, selectors.EVENT_READ, agent)
            agent.socket.sendall(agent.question.request)
        except OSError:
            self.turned_away += 1
            self._failed(agent)
        else:
            self._asking.add(agent)

    def _failed(self, agent: _Agent) -> None:
        self.bad_at.append(time.monotonic())
        self._hang_up(agent)
        self._resting.append((time.monotonic() + REST, agent))

    def _hear(self, agent: _Agent) -> None:
        assert agent.socket is not None
        try:
            piece = agent.socket.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            if agent in self._asking:
                self._asking.discard(agent)
                self.broken += 1
                self._failed(agent)
            else:
                # Closed between two questions, which the gateway may do at any time.
                self._hang_up(agent)
            return
        agent.received += piece
        head, found, body = bytes(agent.received).partition(b"\r\n\r\n")
        if not found:
            return
        head += b"\r\n"
        length = _LENGTH.search(head)
        if length is None or agent not in self._asking:
            self._say_wrong(f"bytes that are no answer: {head[:300]!r}")
            self._asking.discard(agent)
            self._failed(agent)
        elif len(body) >= int(length[1]):
            self._asking.discard(agent)
            self._judge(agent, head, body)

    def _judge(self, agent: _Agent, head: bytes, body: bytes) -> None:
        assert agent.question is not None
        moment = time.monotonic()
        status = _STATUS.match(head)
        number = int(status[1]) if status else 0
        request_id = _ID.search(head)
        code = _CODE.search(body)
        name = code[1].decode() if code else str(number)
        question = agent.question
        if number == 200 and (body != question.expected or question.refusal or not request_id):
            self._say_wrong(f"not what was asked for: {head!r} {body[:300]!r}")
        elif number != 200 and (b"CANARI" in head + body or number < 400):
            self._say_wrong(f"no refusal: {head!r} {body[:300]!r}")
        if number == 200 or name == question.refusal:
            self.good += 1
            self.good_at.append(moment)
            self.seconds.append(moment - agent.asked_at)
        else:
            self.refused[name] += 1
            self.bad_at.append(moment)
        # Refusals that say that they are not recorded need not be: no record, or no room to begin with.
        if request_id and name not in ("GW503", "GW209"):
            self.answered[request_id[1].decode()] = number
        if b"\r\nconnection: close\r\n" in head.lower():
            self._hang_up(agent)
        self._idle.append(agent)

    def _say_wrong(self, what: str) -> None:
        if len(self.wrong) < REMEMBERED:
            self.wrong.append(what)

    def _give_up(self) -> None:
        moment = time.monotonic()
        for agent in [agent for agent in self._asking if moment - agent.asked_at > PATIENCE]:
            self._asking.discard(agent)
            self._say_wrong(f"never answered: {agent.question}")
            self._failed(agent)

    def _hang_up(self, agent: _Agent) -> None:
        if agent.socket is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(agent.socket)
            agent.socket.close()
            agent.socket = None


def question(host: str, path: str, session: Mapping[str, str], expected: bytes = b"", refusal: str = "") -> Question:
    """A GET in this session, and what answers it."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {text}" for name, text in session.items())]
    return Question("\r\n".join([*lines, "", ""]).encode(), expected, refusal)
