"""libcurl: opens connections, and exchanges a question for an answer on one that is made for it and closed after it.

One deadline for the whole, a size limit, a verified certificate. What it accepts and we do not (a length beside
chunked, unasked transfer codings, a status of four digits) is refused here. (Folded header lines it joins before anyone
sees them: they are one field, as they were meant.)
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, Final

import pycurl
import requests

from gateway.loop.loop import NEVER, READ, WRITE, Loop, Timer, current_task
from gateway.loop.task import Task, tell
from gateway.proxy.exchange import RECEIVE_BUFFER, USER_AGENT, UpstreamAnswer
from gateway.proxy.failures import NO_SOCKET, NOT_FOLLOWED, TOO_LARGE, MalformedAnswer, NothingLeft, shortage
from gateway.proxy.reader import framing

_LATE: Final = {pycurl.E_OPERATION_TIMEDOUT}
_UNREACHABLE: Final = {
    pycurl.E_COULDNT_CONNECT,
    pycurl.E_COULDNT_RESOLVE_HOST,
    pycurl.E_GOT_NOTHING,
    pycurl.E_SEND_ERROR,
    pycurl.E_RECV_ERROR,
    pycurl.E_SSL_CONNECT_ERROR,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_BAD_FUNCTION_ARGUMENT,  # a key under a passphrase
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_CIPHER,
}


class CurlLine:
    """A handle of libcurl, which keeps no connection from one exchange to the next, only what makes one under TLS
    quicker; one exchange at a time, all in one loop."""

    def __init__(self, loop: Loop, options: list[tuple[int, Any]], limit: int) -> None:
        """Answers have `limit` bytes at most. Raises `NothingLeft`."""
        self.loop = loop
        self._limit = limit
        self._room = 0
        """How many bytes of a body may still come; below zero when there were more."""
        self._lines: list[bytes] = []
        self._pieces: list[bytes] = []
        self._watched: dict[int, tuple[int, Callable[[int], None]]] = {}
        """What the loop watches for this line: events and what it calls, by descriptor."""
        self._task: Task | None = None
        self._code: int | None = None
        self._opening = False
        """A socket was made for the exchange at work."""
        self._only_opens = False
        self._opened: int | None = None
        """The connection that was to be opened and no more, as a descriptor of ours."""
        self._timer = Timer(loop, partial(self._go_on, pycurl.SOCKET_TIMEOUT, 0))
        try:
            self._multi = pycurl.CurlMulti()
            self._curl = curl = pycurl.Curl()
        except pycurl.error:
            # libcurl opens a descriptor for itself.
            raise NothingLeft(NO_SOCKET) from None
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        for option, value in (
            *options,
            (pycurl.NOSIGNAL, 1),
            (pycurl.BUFFERSIZE, RECEIVE_BUFFER),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.HTTP09_ALLOWED, 0),
            (pycurl.PROXY, ""),
            (pycurl.NETRC, 0),
            (pycurl.PATH_AS_IS, 1),
            (pycurl.USERAGENT, USER_AGENT),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.TCP_NODELAY, 1),
            # What follows an answer goes unseen by libcurl, and under TLS can wait within its last record: a connection
            # is used once, and only a session is resumed.
            (pycurl.FORBID_REUSE, 1),
            (pycurl.SOCKOPTFUNCTION, self._made),
            (pycurl.HEADERFUNCTION, self._lines.append),
            (pycurl.WRITEFUNCTION, self._keep),
        ):
            curl.setopt(option, value)

    def exchange(self, task: Task, url: str, fields: list[str]) -> UpstreamAnswer:
        """For a task of this line's loop. Raises `requests.Timeout`, `requests.ConnectionError` (`NothingLeft` among
        them) or `MalformedAnswer`, after which the line is of no use."""
        self._room = self._limit
        self._lines.clear()
        try:
            self._curl.setopt(pycurl.HTTPHEADER, fields)
            self._perform(task, url)
        except pycurl.error as error:
            raise self._as_requests_does(int(error.args[0])) from None
        status = self._curl.getinfo(pycurl.RESPONSE_CODE)
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        # A line that rests keeps nothing of anybody's dossier.
        pieces.clear()
        return UpstreamAnswer(status, _fields(self._lines), body)

    def open(self, task: Task, url: str, seconds: float) -> socket.socket:
        """A connection to where `url` points, opened within so many seconds, on which nothing has been asked. The line
        is of no more use. Raises as `exchange` does."""
        self._only_opens = True
        try:
            self._curl.setopt(pycurl.CONNECT_ONLY, 1)
            self._curl.setopt(pycurl.FORBID_REUSE, 0)
            self._curl.setopt(pycurl.TIMEOUT_MS, max(1, int(seconds * 1000)))
            self._perform(task, url)
        except pycurl.error as error:
            raise self._as_requests_does(int(error.args[0])) from None
        if self._opened is None:
            raise NothingLeft(NO_SOCKET)
        return socket.socket(fileno=self._opened)

    def _perform(self, task: Task, url: str) -> None:
        """Raises `pycurl.error`."""
        self._curl.setopt(pycurl.URL, url)
        self._code, self._task, self._opening = None, task, False
        try:
            self._multi.add_handle(self._curl)
            # Sent with what else is to be sent: the backend wakes once for many.
            self.loop.soon(self._begin)
            while self._code is None:
                self.loop.hub.switch()
        finally:
            self._task = None
            self._timer.set(NEVER)
        if self._code:
            raise pycurl.error(self._code, "")

    def post(self, body: bytes | str) -> None:
        """What is exchanged from now on posts `body`."""
        self._curl.setopt(pycurl.POST, 1)
        self._curl.setopt(pycurl.COPYPOSTFIELDS, body)

    def _missing(self, code: int) -> NothingLeft | None:
        """What this machine lacked, where that is why the exchange ended with `code`."""
        if code in _OURS:
            return NothingLeft(_OURS[code])
        if code != pycurl.E_COULDNT_CONNECT:
            return None
        return shortage(self._curl.getinfo(pycurl.OS_ERRNO)) if self._opening else NothingLeft(NO_SOCKET)

    def _as_requests_does(self, code: int) -> requests.RequestException:
        missing = self._missing(code)
        if missing:
            return missing
        if self._room < 0 or code == pycurl.E_FILESIZE_EXCEEDED:
            return MalformedAnswer(TOO_LARGE)
        if code in _LATE:
            return requests.Timeout(f"libcurl {code}")
        # Interim answers are something: whoever sent them lives.
        if code in _UNREACHABLE and not self._lines:
            return requests.ConnectionError(f"libcurl {code}")
        return MalformedAnswer(f"libcurl {code}")

    def close(self) -> None:
        self._timer.end()
        self._forget()
        with suppress(pycurl.error):
            self._multi.remove_handle(self._curl)
        self._curl.close()
        self._multi.close()

    def _forget(self) -> None:
        while self._watched:
            descriptor, (_, called) = self._watched.popitem()
            self.loop.unwatch(descriptor, called)

    # What libcurl calls.

    def _keep(self, piece: bytes) -> int | None:
        self._room -= len(piece)
        if self._room < 0:
            return -1
        self._pieces.append(piece)
        return None

    def _watch(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:
        # What is removed here is forgotten at the end of the exchange.
        if what == pycurl.POLL_REMOVE:
            return
        events = _EVENTS[what]
        watched = self._watched.get(descriptor)
        if watched is None or watched[0] != events:
            called = watched[1] if watched else partial(self._on_event, descriptor)
            self.loop.watch(descriptor, events, called)
            self._watched[descriptor] = events, called

    def _made(self, descriptor: int, _purpose: int) -> int:
        # Its number may be that of one that was closed, of which the loop knows nothing more. Others stay: where a name
        # has several addresses, libcurl tries the next while it still waits for the first.
        known = self._watched.pop(descriptor, None)
        if known:
            self.loop.unwatch(descriptor, known[1])
        self._opening = True
        _leave_nothing_behind(descriptor)
        return 0

    # What the loop calls.

    def _on_event(self, descriptor: int, events: int) -> None:
        readable = pycurl.CSELECT_IN if events & ~WRITE else 0
        self._go_on(descriptor, readable | (pycurl.CSELECT_OUT if events & WRITE else 0))

    def _begin(self) -> None:
        if self._task is not None:
            self._go_on(pycurl.SOCKET_TIMEOUT, 0)

    def _go_on(self, descriptor: int, events: int) -> None:
        try:
            ended = self._has_ended(descriptor, events)
        except Exception as fault:  # noqa: BLE001 - whatever it was, a task waits, and nothing else would wake it
            tell("exchange failed", fault)
            self._code, ended = pycurl.E_FAILED_INIT, True
        task = self._task
        if ended and task is not None and task is not current_task():
            task.switch()

    def _has_ended(self, descriptor: int, events: int) -> bool:
        """Whether the exchange has ended with what libcurl does now."""
        _, running = self._multi.socket_action(descriptor, events)
        if running:
            milliseconds = self._multi.timeout()
            self._timer.set(NEVER if milliseconds < 0 else milliseconds / 1000)
            return False
        if self._code is not None:
            return False
        _, done, failed = self._multi.info_read()
        if done or failed:
            if done and self._only_opens:
                # Ours now: libcurl closes its own with the handle.
                self._opened = os.dup(self._curl.getinfo(pycurl.ACTIVESOCKET))
            self._forget()
            self._multi.remove_handle(self._curl)
            self._code = failed[0][1] if failed else 0
        return self._code is not None


def _leave_nothing_behind(descriptor: int) -> None:
    """Have a socket reset its connection when we close it, before or after the backend does.

    Who closes first keeps the port for a minute (TIME_WAIT), and to one address there are some 28 000: at 470 documents
    a second, each with a connection of its own, none is left. We close only what has been answered whole, or is given
    up; the reset takes nothing from anybody. (`Connection: close` would leave the minute to the backend, but has some
    backends end an answer by closing, where a part of it looks whole.)
    """
    same = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=descriptor)  # of whichever family it is
    try:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    finally:
        same.detach()


_AT_ONCE: Final = struct.pack("ii", 1, 0)
_OURS: Final = {
    pycurl.E_OUT_OF_MEMORY: "this machine has no memory left for one more connection",
    pycurl.E_FAILED_INIT: NOT_FOLLOWED,
}
_EVENTS: Final = {pycurl.POLL_IN: READ, pycurl.POLL_OUT: WRITE, pycurl.POLL_INOUT: READ | WRITE, pycurl.POLL_NONE: 0}


def _fields(lines: list[bytes]) -> list[tuple[str, str]]:
    """The header fields of the last answer in `lines` (interim 1xx ones come first), without trailers."""
    fields: list[tuple[str, str]] = []
    ended, interim = False, True
    for line in lines:
        if interim and line.startswith(b"HTTP/"):
            fields, ended = [], False
            interim = _is_interim(line)
        elif line in _BLANK:
            ended = True
        elif not ended:
            fields.append(_field(line))
    if not ended:
        # libcurl takes a head that breaks off for an answer without a body.
        raise MalformedAnswer("an answer that broke off in its head")
    framing(fields)
    return fields


_BLANK: Final = (b"\r\n", b"\n")

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9])[0-9]{2}(?: [^\r\n]*)?\r?\n")


@lru_cache(maxsize=64)
def _is_interim(line: bytes) -> bool:
    """Whether another status line follows this one. libcurl reads the first three of any digits."""
    read = _STATUS_LINE.fullmatch(line)
    if read is None:
        raise MalformedAnswer("a status line that is not one")
    return read[1] == b"1"


@lru_cache(maxsize=1024)
def _field(line: bytes) -> tuple[str, str]:
    # Most lines of an answer are those of the last one.
    name, colon, value = line.partition(b":")
    if not colon or name != name.strip() or not name:
        raise MalformedAnswer("a header line that is not one")
    return name.decode("latin-1").lower(), value.strip(b" \t\r\n").decode("latin-1")
