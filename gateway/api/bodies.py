"""Read a request's body, bounded. The server has buffered it, so that no slow client holds a thread here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from gateway.errors import BadRequest, BodyLate, BodyTooLarge, UnsupportedBody
from gateway.structs import prepared

LARGEST: Final = 4096
"""Bytes of what is sent to one of our own addresses."""
LARGEST_ENTRY: Final = 16_384
"""Of what is to be entered into the directory: texts of 200 characters, were all of them written as escapes, have room
in it."""

LARGEST_FILE: Final = 65_536
"""Of a file of entries: as much as the server keeps of a body while it arrives (`LARGEST_BODY`)."""

T = TypeVar("T", bound=msgspec.Struct)


def read_json(environ: Mapping[str, Any], kind: type[T], *, limit: int = LARGEST) -> T:
    """What a request's body says, as the `kind` that its address takes.

    Raises `UnsupportedBody` where it is not announced as JSON, `BadRequest` where it is not a `kind`, and what
    `read_body` raises.
    """
    if _announced_type(environ)[0] != "application/json":
        raise UnsupportedBody("a body that is not JSON")
    try:
        return msgspec.json.decode(read_body(environ, limit=limit), type=prepared(kind))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("a body that is not understood") from None


def read_csv(environ: Mapping[str, Any]) -> bytes:
    """A file of entries, as it was sent.

    Raises `UnsupportedBody` where it is not announced as CSV, or in another alphabet than UTF-8, and what `read_body`
    raises.
    """
    kind, more = _announced_type(environ)
    if kind != "text/csv" or more.get("charset", "utf-8") != "utf-8":
        raise UnsupportedBody("a body that is not CSV in UTF-8")
    return read_body(environ, limit=LARGEST_FILE)


def read_body(environ: Mapping[str, Any], *, limit: int) -> bytes:
    """The whole body of a request.

    Raises `BodyTooLarge` beyond `limit` bytes, `BodyLate` where it did not arrive in time, or `BadRequest`.
    """
    announced = _announced(environ)
    if announced is not None and announced > limit:
        raise BodyTooLarge(f"more than {limit} bytes announced")
    try:
        body: bytes = environ["wsgi.input"].read(limit + 1)
    except TimeoutError:
        raise BodyLate("the announced body did not arrive in time") from None
    except OSError:
        raise BadRequest("the connection broke off") from None
    if len(body) > limit:
        raise BodyTooLarge(f"more than {limit} bytes")
    if announced is not None and len(body) != announced:
        raise BadRequest("the body broke off")
    return body


def _announced_type(environ: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The media type, and what follows it (RFC 9110, 8.3.1)."""
    kind, *more = str(environ.get("CONTENT_TYPE", "")).lower().split(";")
    pairs = (each.partition("=") for each in more)
    return kind.strip(), {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _announced(environ: Mapping[str, Any]) -> int | None:
    text = str(environ.get("CONTENT_LENGTH", ""))
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadRequest("a length that is not a number")
    return int(text)
