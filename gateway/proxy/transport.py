"""A transport adapter for requests: one deadline for a whole exchange, a size limit, strict framing.

`requests` cannot bound an exchange (a backend that drips a byte a second defeats a timeout for each read), nor the
size of an answer. Two others carry it here. libcurl opens every connection, and exchanges what has one for itself
(`curl`). On a connection that is kept, llhttp reads the answers (`kept`): it tells where each of them ends and whether
anything follows, which libcurl does not, and costs half. No redirect is followed, and nothing is read from the
environment: no proxy, no netrc.
"""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

import certifi
import pycurl
import requests
from requests.adapters import BaseAdapter

from gateway.loop.loop import Loop, Task, current_task
from gateway.loop.waiting import run
from gateway.proxy.curl import CurlLine
from gateway.proxy.exchange import UpstreamAnswer
from gateway.proxy.kept import Disturbed, HungUp, KeptLine, question
from gateway.proxy.tls import ClientTls

AnyLine = TypeVar("AnyLine", KeptLine, CurlLine)

_NOT_OURS: Final[list[list[Any]]] = []
"""Keeps a parent's connections from being closed by a child's garbage collector."""

_PLAIN: Final = re.compile(
    r"(?P<origin>(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::(?P<port>[0-9]{1,5}))?)"
    r"(?P<target>/[!-\"$-~]*)"
)
"""An address whose connection may be kept; its target is sent as it is. Any other, be it none at all, is libcurl's to
make sense of."""
_PORTS: Final = {"http": "80", "https": "443"}


class TransportAdapter(BaseAdapter):
    """Sends prepared requests, keeping idle connections for the next request of the same thread."""

    def __init__(
        self,
        *,
        deadline_seconds: float,
        connect_seconds: float,
        size_limit: int,
        ca: Path | None = None,
        client_certificate: Path | None = None,
        client_key: Path | None = None,
    ) -> None:
        super().__init__()
        self._limit = size_limit
        self._deadline, self._connect = deadline_seconds, connect_seconds
        self._options: list[tuple[int, Any]] = [
            # To libcurl, zero is for ever.
            (pycurl.TIMEOUT_MS, max(1, int(deadline_seconds * 1000))),
            (pycurl.CONNECTTIMEOUT_MS, max(1, int(connect_seconds * 1000))),
            (pycurl.MAXFILESIZE_LARGE, size_limit),
            (pycurl.CAINFO, str(ca or certifi.where())),
        ]
        if client_certificate and client_key:
            self._options += [
                (pycurl.SSLCERT, str(client_certificate)),
                (pycurl.SSLKEY, str(client_key)),
                # To a key under a passphrase, a wrong one: without any, OpenSSL asks on the terminal, and waits.
                (pycurl.KEYPASSWD, "none"),
            ]
        self._tls = ClientTls(ca or Path(certifi.where()), client_certificate, client_key)
        self._local = threading.local()
        _adapters.add(self)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> UpstreamAnswer:
        """The whole answer to a request. A task waits for it while its loop goes on.

        Only `request.url`, `headers` and `body` (bytes) are read, and `alone` of a `Question`: deadline, size limit,
        certificates and proxies are the adapter's own. Raises `requests.Timeout`, `requests.ConnectionError`
        (`NothingLeft` among them), `MalformedAnswer`, or `InvalidHeader` for one that would be several.
        """
        task = current_task()
        if task is None:
            return run(partial(self.send, request))
        url = str(request.url)
        fields = [f"{name}: {value}" for name, value in request.headers.items()]
        if not "".join(fields).isprintable():
            raise requests.exceptions.InvalidHeader("a header that holds a control character")
        if request.body is None and not getattr(request, "alone", False):
            plain = _PLAIN.fullmatch(url)
            if plain is not None:
                return self._on_kept_line(task, plain, fields)
        return self._on_line_of_its_own(task, url, fields, request.body)

    def _on_kept_line(self, task: Task, plain: re.Match[str], fields: list[str]) -> UpstreamAnswer:
        origin, scheme, host, port, target = plain.groups()
        usual = _PORTS[scheme]
        asked = question(host if port in (None, usual) else f"{host}:{port}", target, fields)
        until = time.monotonic() + self._deadline
        line = self._resting(task, origin)
        while True:
            line = line or self._opened(task, host, port or usual, until, secure=scheme == "https")
            try:
                answer = line.exchange(task, asked, plain[0], until)
            except (Disturbed, HungUp) as ended:
                line.close()
                # What made one hang up may make all of them: no other that rests is asked for it.
                line = self._resting(task, origin) if isinstance(ended, Disturbed) else None
                continue
            except BaseException:
                line.close()
                raise
            if line.stays:
                self._kept.setdefault(origin, []).append(line)
            else:
                line.close()
            return answer

    def _resting(self, task: Task, origin: str) -> KeptLine | None:
        """A connection at rest, None where there is none. Whether anything has come on it shows when it begins."""
        idle = self._kept.get(origin)
        if not idle:
            return None
        now = time.monotonic()
        # In the order in which they began to rest.
        while idle and idle[0].is_stale(now):
            idle.pop(0).close()
        while (line := _taken(idle, task.loop)) is not None and line.is_stale(now):
            line.close()
        return line

    def _opened(self, task: Task, host: str, port: str, until: float, *, secure: bool) -> KeptLine:
        patience = min(until, time.monotonic() + self._connect)
        opener = CurlLine(task.loop, self._options, self._limit)
        try:
            # libcurl knows names, addresses and patience. What is said on the connection it need not know.
            connection = opener.open(task, f"http://{host}:{port}/", patience - time.monotonic())
        finally:
            opener.close()
        connection.setblocking(False)
        if secure:
            connection = self._tls.encrypt(task, connection, host.strip("[]").rstrip("."), patience)
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

    def leave_to_parent(self) -> None:
        """After a fork the idle connections are still the parent's: not used, and not closed either, which would have
        its loop no longer look at them."""
        _NOT_OURS.extend((*self._kept.values(), self._single))
        self._local.kept, self._local.single = {}, []


def _taken(idle: list[AnyLine], loop: Loop) -> AnyLine | None:
    """An idle line of this loop, None where there is none."""
    while idle:
        line = idle.pop()
        if line.loop is loop:
            return line
        line.close()
    return None


def _leave_to_parent() -> None:
    for adapter in list(_adapters):
        adapter.leave_to_parent()


_adapters: Final[weakref.WeakSet[TransportAdapter]] = weakref.WeakSet()
os.register_at_fork(after_in_child=_leave_to_parent)
