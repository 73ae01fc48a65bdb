"""libcurl under requests: a transport adapter with one deadline for a whole exchange, and strict framing.

`requests` cannot bound an exchange (a backend that drips a byte a second defeats a timeout for each read), nor the
size of an answer. libcurl does both; what it accepts and we do not (a length beside chunked, unasked transfer
codings, a status of four digits) is refused here. (Folded header lines it joins before anyone sees them: they are one
field, as they were meant.) No redirect is followed, and nothing is read from the environment: no proxy, no netrc.
"""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import struct
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import certifi
import pycurl
import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from gateway.loop.loop import NEVER, READ, WRITE, Loop, Task, Timer, current_task, tell
from gateway.loop.waiting import run

USER_AGENT: Final = "cafpro-gateway"
RECEIVE_BUFFER: Final = 96 * 1024

_LATE: Final = {pycurl.E_OPERATION_TIMEDOUT}
_UNREACHABLE: Final = {
    pycurl.E_COULDNT_CONNECT,
    pycurl.E_COULDNT_RESOLVE_HOST,
    pycurl.E_GOT_NOTHING,
    pycurl.E_SEND_ERROR,
    pycurl.E_SSL_CONNECT_ERROR,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_BAD_FUNCTION_ARGUMENT,  # a key under a passphrase
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_CIPHER,
}


_NOT_OURS: Final[list[list[_Line]]] = []
"""Keeps a parent's connections from being closed by a child's garbage collector."""


class MalformedAnswer(requests.RequestException):
    """The backend's answer broke off, is too large, or is not HTTP as we accept it. Never quotes the answer."""


class NothingLeft(requests.ConnectionError):
    """This machine had no port, descriptor or memory for one more connection: nothing was asked, and nothing is known
    of the backend."""


class _Disturbed(Exception):
    """Something arrived on a line before it was asked anything: nothing was sent, and another line is to be taken."""


class Question(requests.PreparedRequest):
    """A GET, prepared, or a POST where there is a `body`. `url` is whole; `headers` are sent as they are. `alone` has a
    connection for itself, made for it and closed after it: nothing of what was answered to others can be taken for its
    answer. So has a POST."""

    def __init__(self, url: str, headers: dict[str, str], *, alone: bool = False, body: bytes | None = None) -> None:
        # Not calling `requests.PreparedRequest.__init__`: nothing of what it makes room for is asked for.
        self.method, self.url = "GET" if body is None else "POST", url
        self.headers = headers  # type: ignore[assignment]  # any mapping does
        self.body = body
        self.alone = alone


class UpstreamAnswer(requests.Response):
    """A whole answer. `fields` are its header fields in order, names in lower case; trailers are dropped."""

    def __init__(self, status: int, fields: list[tuple[str, str]], content: bytes, url: str) -> None:
        # Not calling `requests.Response.__init__`: it makes a cookie jar for each answer, which costs more than curl.
        self.status_code = status
        self.fields = fields
        self._content = content
        self._content_consumed = True
        self.url = url
        self.history = []

    @property
    def headers(self) -> CaseInsensitiveDict[str]:  # type: ignore[override]  # an attribute in requests
        """The same fields as requests gives them; of repeated ones, the last."""
        return CaseInsensitiveDict(self.fields)

    def named(self, name: str) -> list[str]:
        """The values of every field of this (lower-case) name."""
        return [value for field, value in self.fields if field == name]


class CurlAdapter(BaseAdapter):
    """Sends prepared requests through libcurl, keeping idle connections for the next request of the same thread."""

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
        secure, alone = url.startswith("https:"), getattr(request, "alone", False)
        idle = self._alone if alone else self._idle
        posted = request.body
        if posted is not None:
            # A line of its own, which is never used again: libcurl would go on posting.
            idle, alone = [], True
        while True:
            line = self._resting(idle, task.loop) or self._made(task.loop, secure=secure, once=secure or alone)
            try:
                if posted is not None:
                    line.post(posted)
                answer = line.exchange(task, url, fields)
            except _Disturbed:
                line.close()
                continue
            except pycurl.error as error:
                missing = line.missing(int(error.args[0]))
                line.close()
                if missing:
                    raise NothingLeft(missing) from None
                raise _as_requests_does(int(error.args[0]), too_large=line.room < 0) from None
            except BaseException:
                line.close()
                raise
            if posted is None:
                idle.append(line)
            else:
                line.close()
            return answer

    def close(self) -> None:
        """Closes the idle connections of this thread."""
        for idle in (self._idle, self._alone):
            while idle:
                idle.pop().close()

    @property
    def _idle(self) -> list[_Line]:
        """The idle lines of this thread, which is the thread of their loop."""
        try:
            idle: list[_Line] = self._local.idle
        except AttributeError:
            idle = self._local.idle = []
        return idle

    @property
    def _alone(self) -> list[_Line]:
        """Those whose connection is a new one for each exchange: nothing of them is open, and they cost less to use
        again than to make."""
        try:
            idle: list[_Line] = self._local.alone
        except AttributeError:
            idle = self._local.alone = []
        return idle

    def _made(self, loop: Loop, *, secure: bool, once: bool) -> _Line:
        try:
            return _Line(loop, self._options, self._limit, secure=secure, once=once)
        except pycurl.error:
            # libcurl opens a descriptor for itself.
            raise NothingLeft(NO_SOCKET) from None

    def _resting(self, idle: list[_Line], loop: Loop) -> _Line | None:
        """An idle line of this loop, None where there is none. Whether anything has come on it shows when it begins."""
        while idle:
            line = idle.pop()
            if line.loop is loop:
                return line
            line.close()
        return None

    def leave_to_parent(self) -> None:
        """After a fork the idle connections are still the parent's: not used, and not closed either, which would end
        their encryption."""
        _NOT_OURS.extend((self._idle, self._alone))
        self._local.idle, self._local.alone = [], []


def _leave_to_parent() -> None:
    for adapter in list(_adapters):
        adapter.leave_to_parent()


_adapters: Final[weakref.WeakSet[CurlAdapter]] = weakref.WeakSet()
os.register_at_fork(after_in_child=_leave_to_parent)


class _Line:
    """One connection to the backend, made at the first exchange, or one for each exchange where it is used `once`; one
    exchange at a time, all in one loop."""

    def __init__(self, loop: Loop, options: list[tuple[int, Any]], limit: int, *, secure: bool, once: bool) -> None:
        self.loop = loop
        self.room = self._limit = limit
        """How many bytes of a body may still come; below zero when there were more."""
        self._lines: list[bytes] = []
        self._pieces: list[bytes] = []
        self._watched: dict[int, tuple[int, Callable[[int], None]]] = {}
        """What the loop watches for this line: events and what it calls, by descriptor."""
        self._looking, self._kept = select.poll(), _NONE
        """What looks at the connection that was kept after the last exchange, and its descriptor."""
        self._task: Task | None = None
        self._code: int | None = None
        self._opening = False
        """A socket was made for the exchange at work."""
        self._begun = False
        """The exchange at work has been given to libcurl: what arrives from now on is its answer."""
        self._timer = Timer(loop, partial(self._go_on, pycurl.SOCKET_TIMEOUT, 0))
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._curl = curl = pycurl.Curl()
        for option, value in (
            *options,
            (pycurl.NOSIGNAL, 1),
            (pycurl.BUFFERSIZE, RECEIVE_BUFFER),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTPS if secure else pycurl.PROTO_HTTP),
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
            # Under TLS what follows an answer can wait unseen within its last record: used once, and only a session is
            # resumed.
            (pycurl.FORBID_REUSE, int(once)),
            (pycurl.SOCKOPTFUNCTION, self._opened),
            (pycurl.HEADERFUNCTION, self._lines.append),
            (pycurl.WRITEFUNCTION, self._keep),
        ):
            curl.setopt(option, value)

    def exchange(self, task: Task, url: str, fields: list[str]) -> UpstreamAnswer:
        """For a task of this line's loop. Raises `_Disturbed`, `pycurl.error` or `MalformedAnswer`, after which the
        line is of no use."""
        self.room = self._limit
        self._lines.clear()
        self._curl.setopt(pycurl.URL, url)
        self._curl.setopt(pycurl.HTTPHEADER, fields)
        self._code, self._task, self._begun, self._opening = None, task, False, False
        try:
            self._multi.add_handle(self._curl)
            # Sent with what else is to be sent: the backend wakes once for many.
            self.loop.soon(self._begin)
            while self._code is None:
                self.loop.hub.switch()
        finally:
            self._task = None
            self._timer.set(NEVER)
        if self._code == _NOT_SILENT:
            raise _Disturbed
        if self._code:
            raise pycurl.error(self._code, "")
        status = self._curl.getinfo(pycurl.RESPONSE_CODE)
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        # A line that rests keeps nothing of anybody's dossier.
        pieces.clear()
        return UpstreamAnswer(status, _fields(self._lines), body, url)

    def post(self, body: bytes | str) -> None:
        """What is exchanged from now on posts `body`."""
        self._curl.setopt(pycurl.POST, 1)
        self._curl.setopt(pycurl.COPYPOSTFIELDS, body)

    def is_silent(self) -> bool:
        """Whether nothing has arrived since the last answer.

        What arrives before it is asked for (a second answer behind the first) would be taken for the next answer,
        somebody else's: libcurl does not look. (Under TLS there is no looking, and no connection is used twice.)
        """
        return not self._looking.poll(0)

    def missing(self, code: int) -> str | None:
        """What this machine lacked, in words, where that is why the exchange ended with `code`. Not after `close`."""
        if code in _OURS:
            return _OURS[code]
        if code != pycurl.E_COULDNT_CONNECT:
            return None
        if not self._opening:
            return NO_SOCKET
        number = self._curl.getinfo(pycurl.OS_ERRNO)
        if number not in _SHORTAGES:
            return None
        return f"this machine has {_SHORTAGES[number]} left for one more connection ({errno.errorcode[number]})"

    def close(self) -> None:
        self._timer.set(NEVER)
        self._forget()
        with suppress(pycurl.error):
            self._multi.remove_handle(self._curl)
        self._curl.close()
        self._multi.close()

    def _forget(self, *, but: int | None = None) -> None:
        for descriptor in [known for known in self._watched if known != but]:
            self.loop.unwatch(descriptor, self._watched.pop(descriptor)[1])

    def _rest(self) -> None:
        """An exchange that made a connection has ended: of its descriptors only the kept connection's is known from now
        on.

        Where libcurl closes it later, its number may be another's by then: a line is lost too soon, no more.
        """
        self._kept, self._looking = self._curl.getinfo(pycurl.ACTIVESOCKET), select.poll()
        self._forget(but=self._kept)
        if self._kept != _NONE:
            self._looking.register(self._kept, select.POLLIN)

    # What libcurl calls.

    def _keep(self, piece: bytes) -> int | None:
        self.room -= len(piece)
        if self.room < 0:
            return -1
        self._pieces.append(piece)
        return None

    def _watch(self, what: int, descriptor: int, _multi: Any, _data: Any) -> None:
        # A line that rests goes on being watched: its next exchange asks for the same again, and most often in vain.
        if what == pycurl.POLL_REMOVE:
            return
        events = _EVENTS[what]
        watched = self._watched.get(descriptor)
        if watched is None or watched[0] != events:
            called = watched[1] if watched else partial(self._on_event, descriptor)
            self.loop.watch(descriptor, events, called)
            self._watched[descriptor] = events, called

    def _opened(self, descriptor: int, _purpose: int) -> int:
        # Its number may be that of the last connection, of which the loop knows nothing more. Others stay: where a name
        # has several addresses, libcurl tries the next while it still waits for the first.
        known = self._watched.pop(descriptor, None)
        if known:
            self.loop.unwatch(descriptor, known[1])
        self._kept = _NONE
        self._opening = True
        _leave_nothing_behind(descriptor)
        return 0

    # What the loop calls.

    def _on_event(self, descriptor: int, events: int) -> None:
        if self._task is None or not self._begun:
            # Something arrived, or the backend left, before anything was asked: `is_silent` will see it too.
            self._forget()
            return
        readable = pycurl.CSELECT_IN if events & ~WRITE else 0
        self._go_on(descriptor, readable | (pycurl.CSELECT_OUT if events & WRITE else 0))

    def _begin(self) -> None:
        task = self._task
        if task is None:
            return
        # Looked at now and not when it was taken: the loop has done whatever else was ready in between.
        if self.is_silent():
            self._begun = True
            self._go_on(pycurl.SOCKET_TIMEOUT, 0)
        else:
            self._code = _NOT_SILENT
            task.switch()

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
            if self._kept == _NONE:
                self._rest()
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
NO_SOCKET: Final = "this machine could not open one more socket"
_OURS: Final = {
    pycurl.E_OUT_OF_MEMORY: "this machine has no memory left for one more connection",
    pycurl.E_FAILED_INIT: "this machine could not follow one more connection",
}
_SHORTAGES: Final = {
    errno.EADDRNOTAVAIL: "no port",
    errno.EMFILE: "no descriptor",
    errno.ENFILE: "no descriptor",
    errno.ENOBUFS: "no memory",
    errno.ENOMEM: "no memory",
}
_NONE: Final = -1
"""No descriptor, as libcurl says it."""
_NOT_SILENT: Final = -1
"""Among libcurl's codes, which begin at 0: the exchange was not begun."""
_EVENTS: Final = {pycurl.POLL_IN: READ, pycurl.POLL_OUT: WRITE, pycurl.POLL_INOUT: READ | WRITE, pycurl.POLL_NONE: 0}


def _fields(lines: list[bytes]) -> list[tuple[str, str]]:
    """The header fields of the last answer in `lines` (interim 1xx ones come first), without trailers."""
    fields: list[tuple[str, str]] = []
    ended, interim = False, True
    framings: set[str] = set()
    for line in lines:
        if interim and line.startswith(b"HTTP/"):
            fields, ended, framings = [], False, set()
            interim = _is_interim(line)
        elif line in _BLANK:
            ended = True
        elif not ended:
            field = _field(line)
            fields.append(field)
            if field[0] in _FRAMING:
                framings.add(field[0])
    if not ended:
        # libcurl takes a head that breaks off for an answer without a body.
        raise MalformedAnswer("an answer that broke off in its head")
    if "transfer-encoding" in framings:
        codings = [value.lower() for name, value in fields if name == "transfer-encoding"]
        if codings != ["chunked"] or len(framings) > 1:
            raise MalformedAnswer("an answer framed in two ways")
    return fields


_BLANK: Final = (b"\r\n", b"\n")
_FRAMING: Final = ("transfer-encoding", "content-length")


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


def _as_requests_does(code: int, *, too_large: bool) -> requests.RequestException:
    if too_large or code == pycurl.E_FILESIZE_EXCEEDED:
        return MalformedAnswer("an answer larger than the limit")
    if code in _LATE:
        return requests.Timeout(f"libcurl {code}")
    if code in _UNREACHABLE:
        return requests.ConnectionError(f"libcurl {code}")
    return MalformedAnswer(f"libcurl {code}")
