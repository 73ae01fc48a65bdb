"""Fetch one answer of the existing backend, whole, or refuse it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import requests

from gateway.errors import NoSuchDossier, UpstreamLate, UpstreamNotUnderstood, UpstreamUnreachable
from gateway.proxy.transport import CurlAdapter, MalformedAnswer, UpstreamAnswer
from gateway.settings import Upstream


@dataclass(frozen=True, slots=True)
class Document:
    """What the backend sent: the value of its Content-Type, None where it has none, and its body."""

    content_type: str | None
    body: bytes


class Backend:
    """The one way to the existing backend."""

    def __init__(self, upstream: Upstream) -> None:
        self._base = upstream.url.rstrip("/")
        self._adapter = CurlAdapter(
            deadline_seconds=upstream.deadline_seconds,
            connect_seconds=upstream.connect_seconds,
            size_limit=upstream.size_limit,
            ca=upstream.ca,
            client_certificate=upstream.client_certificate,
            client_key=upstream.client_key,
        )

    def fetch(self, path: str, headers: Mapping[str, str]) -> Document:
        """The document at `path` (rebuilt by us, with its query).

        Raises `NoSuchDossier` (404), `UpstreamLate`, `UpstreamUnreachable`, or `UpstreamNotUnderstood` for any other
        status than 200, an encoding nobody asked for, or two content types. No refusal holds anything of the answer.
        """
        answer = self._exchange(path, headers)
        if answer.status_code == 404:
            raise NoSuchDossier("the backend answered 404")
        if answer.status_code != 200:
            raise UpstreamNotUnderstood(f"the backend answered {answer.status_code}")
        if any(coding.lower() != "identity" for coding in answer.named("content-encoding")):
            raise UpstreamNotUnderstood("an encoding nobody asked for")
        types = answer.named("content-type")
        if len(types) > 1:
            raise UpstreamNotUnderstood("two content types")
        return Document(types[0] if types else None, answer.content or b"")

    def reachable(self) -> str | None:
        """None when something answers HTTP at the backend's address; otherwise what went wrong, in words."""
        try:
            self._exchange("/", {})
        except (UpstreamLate, UpstreamUnreachable, UpstreamNotUnderstood) as refusal:
            return refusal.because
        return None

    def _exchange(self, path: str, headers: Mapping[str, str]) -> UpstreamAnswer:
        request = requests.PreparedRequest()
        request.method, request.url = "GET", self._base + path
        request.headers = {**headers, "Accept-Encoding": "identity"}  # type: ignore[assignment]  # any mapping does
        try:
            return self._adapter.send(request)
        except requests.Timeout:
            raise UpstreamLate("the deadline passed") from None
        except requests.ConnectionError as error:
            raise UpstreamUnreachable(str(error)) from None
        except MalformedAnswer as error:
            raise UpstreamNotUnderstood(str(error)) from None

    def close(self) -> None:
        """Closes idle connections."""
        self._adapter.close()
