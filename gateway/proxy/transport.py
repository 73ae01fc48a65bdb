"""libcurl under requests: a transport adapter with one deadline for a whole exchange, and strict framing.

`requests` cannot bound an exchange (a backend that drips a byte a second defeats a timeout for each read), nor the
size of an answer. libcurl does both; what it accepts and we do not (a length beside chunked, unasked transfer
codings, folded header lines) is refused here. No redirect is followed, and nothing is read from the environment:
no proxy, no netrc.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import certifi
import pycurl
import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

USER_AGENT: Final = "cafpro-gateway"
RECEIVE_BUFFER: Final = 256 * 1024

_LATE: Final = {pycurl.E_OPERATION_TIMEDOUT}
_UNREACHABLE: Final = {
    pycurl.E_COULDNT_CONNECT,
    pycurl.E_COULDNT_RESOLVE_HOST,
    pycurl.E_GOT_NOTHING,
    pycurl.E_SEND_ERROR,
    pycurl.E_SSL_CONNECT_ERROR,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_CIPHER,
}


_NOT_OURS: Final[list[deque[pycurl.Curl]]] = []
"""Keeps a parent's connections from being closed by a child's garbage collector."""


class MalformedAnswer(requests.RequestException):
    """The backend's answer broke off, is too large, or is not HTTP as we accept it. Never quotes the answer."""


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
    """Sends prepared requests through libcurl, keeping idle connections for the next request of any thread."""

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
        # To libcurl, zero is for ever.
        self._deadline = max(1, int(deadline_seconds * 1000))
        self._connect = max(1, int(connect_seconds * 1000))
        self._limit = size_limit
        self._ca = str(ca or certifi.where())
        self._client = (str(client_certificate), str(client_key)) if client_certificate and client_key else None
        self._idle: deque[pycurl.Curl] = deque()
        self._process = os.getpid()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> UpstreamAnswer:
        """The whole answer to a request without a body.

        Only `request.method` (GET), `url` and `headers` are read: deadline, size limit, certificates and proxies are
        the adapter's own. Raises `requests.Timeout`, `requests.ConnectionError`, `MalformedAnswer`, or `InvalidHeader`
        for one that would be several.
        """
        url = str(request.url)
        fields = [f"{name}: {value}" for name, value in request.headers.items()]
        if not all(map(str.isprintable, fields)):
            raise requests.exceptions.InvalidHeader("a header that holds a control character")
        if self._process != os.getpid():
            self._leave_to_parent()
        curl = self._silent() or self._handle(urlsplit(url).scheme)
        lines: list[bytes] = []
        pieces: list[bytes] = []
        room = self._limit

        def keep(piece: bytes) -> int | None:
            nonlocal room
            room -= len(piece)
            if room < 0:
                return -1
            pieces.append(piece)
            return None

        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.HTTPHEADER, fields)
        curl.setopt(pycurl.HEADERFUNCTION, lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, keep)
        try:
            curl.perform()
            answer = UpstreamAnswer(curl.getinfo(pycurl.RESPONSE_CODE), _fields(lines), b"".join(pieces), url)
        except pycurl.error as error:
            curl.close()
            raise _as_requests_does(int(error.args[0]), too_large=room < 0) from None
        except BaseException:
            curl.close()
            raise
        self._idle.append(curl)
        return answer

    def close(self) -> None:
        """Closes the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _silent(self) -> pycurl.Curl | None:
        """An idle connection on which nothing has arrived, None where there is none.

        What arrives before it is asked for (a second answer behind the first) would be taken for the next answer,
        somebody else's: libcurl does not look. (Under TLS there is no looking, and no connection is used twice.)
        """
        while True:
            try:
                curl = self._idle.pop()
            except IndexError:
                return None
            descriptor = curl.getinfo(pycurl.ACTIVESOCKET)
            if descriptor == -1:
                return curl
            arrivals = select.poll()
            arrivals.register(descriptor, select.POLLIN)
            if not arrivals.poll(0):
                return curl
            curl.close()

    def _leave_to_parent(self) -> None:
        """After a fork the idle connections are still the parent's: not used, and not closed either, which would end
        their encryption."""
        _NOT_OURS.append(self._idle)
        self._idle = deque()
        self._process = os.getpid()

    def _handle(self, scheme: str) -> pycurl.Curl:
        curl = pycurl.Curl()
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.TIMEOUT_MS, self._deadline),
            (pycurl.CONNECTTIMEOUT_MS, self._connect),
            (pycurl.MAXFILESIZE_LARGE, self._limit),
            (pycurl.BUFFERSIZE, RECEIVE_BUFFER),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTPS if scheme == "https" else pycurl.PROTO_HTTP),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.HTTP09_ALLOWED, 0),
            (pycurl.PROXY, ""),
            (pycurl.NETRC, 0),
            (pycurl.PATH_AS_IS, 1),
            (pycurl.USERAGENT, USER_AGENT),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
            (pycurl.CAINFO, self._ca),
            (pycurl.TCP_NODELAY, 1),
            # Under TLS what follows an answer can wait unseen within its last record: only a session is resumed.
            (pycurl.FORBID_REUSE, int(scheme == "https")),
        ):
            curl.setopt(option, value)
        if self._client:
            curl.setopt(pycurl.SSLCERT, self._client[0])
            curl.setopt(pycurl.SSLKEY, self._client[1])
        return curl


def _fields(lines: list[bytes]) -> list[tuple[str, str]]:
    """The header fields of the last answer in `lines` (interim 1xx ones come first), without trailers."""
    fields: list[tuple[str, str]] = []
    ended, interim = False, True
    for line in lines:
        if interim and line.startswith(b"HTTP/"):
            fields, ended = [], False
            interim = line.partition(b" ")[2].startswith(b"1")
        elif line in (b"\r\n", b"\n"):
            ended = True
        elif not ended:
            name, colon, value = line.partition(b":")
            if not colon or name != name.strip() or not name:
                raise MalformedAnswer("a header line that is not one")
            fields.append((name.decode("latin-1").lower(), value.strip(b" \t\r\n").decode("latin-1")))
    codings = [value.lower() for name, value in fields if name == "transfer-encoding"]
    if codings and (codings != ["chunked"] or any(name == "content-length" for name, _ in fields)):
        raise MalformedAnswer("an answer framed in two ways")
    return fields


def _as_requests_does(code: int, *, too_large: bool) -> requests.RequestException:
    if too_large or code == pycurl.E_FILESIZE_EXCEEDED:
        return MalformedAnswer("an answer larger than the limit")
    if code in _LATE:
        return requests.Timeout(f"libcurl {code}")
    if code in _UNREACHABLE:
        return requests.ConnectionError(f"libcurl {code}")
    return MalformedAnswer(f"libcurl {code}")
