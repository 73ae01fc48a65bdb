"""How an exchange with a backend brings no answer, in the words of `requests`, whose errors these are."""

from __future__ import annotations

import errno
from typing import Final

import requests

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
