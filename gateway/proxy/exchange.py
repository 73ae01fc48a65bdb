"""What is exchanged with a backend, whoever carries it: a question, and its whole answer."""

from __future__ import annotations

from typing import Final

USER_AGENT: Final = "cafpro-gateway"
RECEIVE_BUFFER: Final = 96 * 1024
"""Bytes that are taken in at once."""


class Question:
    """A GET, or a POST where there is a `body`. `url` is whole; `headers` are sent as they are. `alone` has a
    connection for itself, made for it and closed after it: nothing of what was answered to others can be taken for its
    answer. So has a POST."""

    def __init__(
        self, url: str, headers: dict[str, str], *, alone: bool = False, body: bytes | str | None = None
    ) -> None:
        self.url, self.headers, self.alone, self.body = url, headers, alone, body


class UpstreamAnswer:
    """A whole answer. `fields` are its header fields in order, names in lower case; trailers are dropped."""

    def __init__(self, status_code: int, fields: list[tuple[str, str]], content: bytes) -> None:
        self.status_code, self.fields, self.content = status_code, fields, content

    def named(self, name: str) -> list[str]:
        """The values of every field of this (lower-case) name."""
        return [value for field, value in self.fields if field == name]
