"""A transport adapter for requests: one deadline for a whole exchange, a size limit, strict framing.

`requests` cannot bound an exchange (a backend that drips a byte a second defeats a timeout for each read), nor the
size of an answer. Two others carry it here. libcurl opens every connection, and exchanges what has one for itself
(`curl`). On a connection that is kept, llhttp reads the answers (`kept`): it tells where each of them ends and whether
anything follows, which libcurl does not, and costs half. No redirect is followed, and nothing is read from the
environment: no proxy, no netrc.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import certifi
import pycurl
import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from gateway.loop.loop import current_task
from gateway.loop.waiting import run
from gateway.proxy.exchange import Question, UpstreamAnswer
from gateway.proxy.lines import Lines
from gateway.proxy.tls import ClientTls

_NOT_OURS: Final[list[list[Any]]] = []
"""Keeps a parent's connections from being closed by a child's garbage collector."""


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
        options: list[tuple[int, Any]] = [
            # To libcurl, zero is for ever.
            (pycurl.TIMEOUT_MS, max(1, int(deadline_seconds * 1000))),
            (pycurl.CONNECTTIMEOUT_MS, max(1, int(connect_seconds * 1000))),
            (pycurl.MAXFILESIZE_LARGE, size_limit),
            (pycurl.CAINFO, str(ca or certifi.where())),
        ]
        if client_certificate and client_key:
            options += [
                (pycurl.SSLCERT, str(client_certificate)),
                (pycurl.SSLKEY, str(client_key)),
                # To a key under a passphrase, a wrong one: without any, OpenSSL asks on the terminal, and waits.
                (pycurl.KEYPASSWD, "none"),
            ]
        tls = ClientTls(ca or Path(certifi.where()), client_certificate, client_key)
        self._lines = Lines(options, tls, deadline=deadline_seconds, connect=connect_seconds, limit=size_limit)
        _adapters.add(self)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """`exchange`, as requests has it: only the URL, the headers and the body of a request are read, and a body is
        posted. Of repeated fields, the answer's `headers` have the last."""
        given = {name: str(value) for name, value in request.headers.items()}
        answer = self.exchange(Question(str(request.url), given, body=request.body))
        response = requests.Response()
        response.status_code, response.url, response.request = answer.status_code, str(request.url), request
        response.headers = CaseInsensitiveDict(answer.fields)
        response._content = answer.content
        return response

    def exchange(self, question: Question) -> UpstreamAnswer:
        """The whole answer to a question. A task waits for it while its loop goes on.

        Deadline, size limit, certificates and proxies are the adapter's own. Raises `requests.Timeout`,
        `requests.ConnectionError` (`NothingLeft` among them), `MalformedAnswer`, or `InvalidHeader` for a header that
        would be several.
        """
        task = current_task()
        if task is None:
            return run(partial(self.exchange, question))
        return self._lines.exchange(task, question)

    def close(self) -> None:
        """Closes the idle connections of this thread."""
        self._lines.close()

    def leave_to_parent(self) -> None:
        """After a fork the idle connections are still the parent's: not used, and not closed either, which would have
        its loop no longer look at them."""
        _NOT_OURS.extend(self._lines.forget())


def _leave_to_parent() -> None:
    for adapter in list(_adapters):
        adapter.leave_to_parent()


_adapters: Final[weakref.WeakSet[TransportAdapter]] = weakref.WeakSet()
os.register_at_fork(after_in_child=_leave_to_parent)
