"""What is exchanged with a backend, whoever carries it: a question, its whole answer, and how there comes none.

In the words of `requests`, whose classes these are; nothing of `requests` that costs and is not asked for is done.
"""

from __future__ import annotations

import errno
from typing import Final

import requests
from requests.structures import CaseInsensitiveDict

USER_AGENT: Final = "cafpro-gateway"
NO_SOCKET: Final = "this machine could not open one more socket"
NOT_FOLLOWED: Final = "this machine could not follow one more connection"
TOO_LARGE: Final = "an answer larger than the limit"
_SHORTAGES: Final = {
    errno.EADDRNOTAVAIL: "no port",
    errno.EMFILE: "no descriptor",
    errno.ENFILE: "no descriptor",
    errno.ENOBUFS: "no memory",
    errno.ENOMEM: "no memory",
    errno.ENOSPC: "no watch",
}
RECEIVE_BUFFER: Final = 96 * 1024
"""Bytes that are taken in at once."""


class MalformedAnswer(requests.RequestException):
    """The backend's answer broke off, is too large, or is not HTTP as we accept it. Never quotes the answer."""


class NothingLeft(requests.ConnectionError):
    """This machine had no port, descriptor or memory for one more connection: nothing was asked, and nothing is known
    of the backend."""


def shortage(number: int | None) -> NothingLeft | None:
    """What this machine lacked for one more connection, where that is what the error of this number says."""
    if number not in _SHORTAGES:
        return None
    lacks = f"{_SHORTAGES[number]} left for one more connection ({errno.errorcode[number]})"
    return NothingLeft(f"this machine has {lacks}")


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
    def content(self) -> bytes:
        """The body."""
        return self._content or b""

    @property
    def headers(self) -> CaseInsensitiveDict[str]:  # type: ignore[override]  # an attribute in requests
        """The same fields as requests gives them; of repeated ones, the last."""
        return CaseInsensitiveDict(self.fields)

    def named(self, name: str) -> list[str]:
        """The values of every field of this (lower-case) name."""
        return [value for field, value in self.fields if field == name]
