"""Which connection carries an exchange: one that rests, a new one, or one of its own."""

from __future__ import annotations

import re
import threading
import time
from functools import lru_cache
from itertools import chain
from typing import Any, Final, TypeVar

import requests

from gateway.loop.loop import Loop
from gateway.loop.task import Task
from gateway.proxy.curl import CurlLine
from gateway.proxy.exchange import Question, UpstreamAnswer
from gateway.proxy.kept import Disturbed, HungUp, KeptLine, asked_of
from gateway.proxy.tls import ClientTls

AnyLine = TypeVar("AnyLine", KeptLine, CurlLine)

_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::([0-9]{1,5}))?")
_TARGET: Final = re.compile(r"/[!-\"$-~]*")
"""Of an address whose connection may be kept; its target is sent as it is. Any other, be it none at all, is libcurl's
to make sense of."""
_PORTS: Final = {"http": "80", "https": "443"}


class Origin:
    """Where kept connections lead to. `named` is what a question there says in its Host."""

    def __init__(self, scheme: str, host: str, port: str | None) -> None:
        usual = _PORTS[scheme]
        self.secure = scheme == "https"
        self.host, self.port = host, port or usual
        self.named = host if port in (None, usual) else f"{host}:{port}"


@lru_cache(maxsize=64)
def _origin(text: str) -> Origin | None:
    found = _ORIGIN.fullmatch(text)
    return Origin(found[1], found[2], found[3]) if found else None


class Lines:
    """The connections of a transport adapter, each of the thread whose loop watches it."""

    def __init__(
        self, options: list[tuple[int, Any]], tls: ClientTls, *, deadline: float, connect: float, limit: int
    ) -> None:
        """`options` are libcurl's; `deadline` and `connect` seconds, `limit` bytes of a body."""
        self._options = options
        self._tls = tls
        self._deadline, self._connect, self._limit = deadline, connect, limit
        self._local = threading.local()

    def exchange(self, task: Task, question: Question) -> UpstreamAnswer:
        """See `TransportAdapter.exchange`."""
        url = question.url
        fields = [f"{name}: {value}" for name, value in question.headers.items()]
        if not "".join(fields).isprintable():
            raise requests.exceptions.InvalidHeader("a header that holds a control character")
        if question.body is None and not question.alone:
            path = url.find("/", url.find("//") + 2)
            if path > 0 and _TARGET.fullmatch(url, path):
                there = url[:path]
                origin = _origin(there)
                if origin is not None:
                    return self._on_kept_line(task, origin, there, asked_of(origin.named, url[path:], fields))
        return self._on_line_of_its_own(task, url, fields, question.body)

    def _on_kept_line(self, task: Task, origin: Origin, there: str, asked: bytes) -> UpstreamAnswer:
        until = time.monotonic() + self._deadline
        line = self._resting(task, there)
        while True:
            line = line or self._opened(task, origin, until)
            try:
                answer = line.exchange(task, asked, until)
            except (Disturbed, HungUp) as ended:
                line.close()
                # What made one hang up may make all of them: no other that rests is asked for it.
                line = self._resting(task, there) if isinstance(ended, Disturbed) else None
                continue
            except BaseException:
                line.close()
                raise
            if line.stays:
                self._kept.setdefault(there, []).append(line)
            else:
                line.close()
            return answer

    def _resting(self, task: Task, there: str) -> KeptLine | None:
        """A connection at rest, None where there is none. Whether anything has come on it shows when it begins."""
        idle = self._kept.get(there)
        if not idle:
            return None
        now = time.monotonic()
        # In the order in which they began to rest.
        while idle and idle[0].is_stale(now):
            idle.pop(0).close()
        while (line := _taken(idle, task.loop)) is not None and line.is_stale(now):
            line.close()
        return line

    def _opened(self, task: Task, origin: Origin, until: float) -> KeptLine:
        patience = min(until, time.monotonic() + self._connect)
        opener = CurlLine(task.loop, self._options, self._limit)
        try:
            # libcurl knows names, addresses and patience. What is said on the connection it need not know.
            connection = opener.open(task, f"http://{origin.host}:{origin.port}/", patience - time.monotonic())
        finally:
            opener.close()
        connection.setblocking(False)
        if origin.secure:
            connection = self._tls.encrypt(task, connection, origin.host.strip("[]").rstrip("."), patience)
        return KeptLine(task.loop, connection, self._limit)

    def _on_line_of_its_own(self, task: Task, url: str, fields: list[str], body: bytes | str | None) -> UpstreamAnswer:
        # A line that posted would go on posting: it is never used again.
        idle = self._single if body is None else []
        line = _taken(idle, task.loop) or CurlLine(task.loop, self._options, self._limit)
        try:
            if body is not None:
                line.post(body)
            answer = line.exchange(task, url, fields)
        except BaseException:
            line.close()
            raise
        if body is None:
            idle.append(line)
        else:
            line.close()
        return answer

    def close(self) -> None:
        """Closes the idle connections of this thread."""
        for kept in chain.from_iterable(self._kept.values()):
            kept.close()
        for single in self._single:
            single.close()
        self._kept.clear()
        self._single.clear()

    @property
    def _kept(self) -> dict[str, list[KeptLine]]:
        """The idle connections of this thread, which is the thread of their loop, by their origin."""
        try:
            kept: dict[str, list[KeptLine]] = self._local.kept
        except AttributeError:
            kept = self._local.kept = {}
        return kept

    @property
    def _single(self) -> list[CurlLine]:
        """Lines at rest whose connection is a new one for each exchange: nothing of them is open, and they cost less to
        use again than to make."""
        try:
            single: list[CurlLine] = self._local.single
        except AttributeError:
            single = self._local.single = []
        return single

    def forget(self) -> list[list[Any]]:
        """What rests in this thread, which is no longer known here, and is still open."""
        forgotten: list[list[Any]] = [*self._kept.values(), self._single]
        self._local.kept, self._local.single = {}, []
        return forgotten


def _taken(idle: list[AnyLine], loop: Loop) -> AnyLine | None:
    """An idle line of this loop, None where there is none."""
    while idle:
        line = idle.pop()
        if line.loop is loop:
            return line
        line.close()
    return None
