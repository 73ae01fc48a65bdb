"""Bytes of a connection become answers, by llhttp: Node's parser, which our server reads requests with too.

It tells where an answer ends and whether anything follows, but for blank lines, which are nothing. What it accepts and
we do not is refused here: another coding than chunked, another version, a control character within a header, a blank
behind a header's name. It joins folded header lines, takes a line feed for the end of one, and blanks behind the size
of a chunk, as old backends write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import httptools

from gateway.proxy.exchange import UpstreamAnswer
from gateway.proxy.failures import TOO_LARGE, MalformedAnswer

LARGEST_HEAD: Final = 256 * 1024
"""Bytes of status line and headers of an answer, and of the interim ones before it."""
LEFT_UNPARSED: Final = 96 * 1024
"""So much of a body, or more, that is still to come after its length was announced, llhttp need not look at."""

CHUNKED: Final = -1
_FIRST_WORD: Final = b"HTTP/"
_LONGEST_START: Final = len(_FIRST_WORD)
_VERSIONS: Final = ("1.1", "1.0")
_NOT_HTTP: Final = "an answer that is not HTTP as we accept it"


class AnswerReader:
    """One connection's, for one answer after the other."""

    __slots__ = (
        "_announced",
        "_head",
        "_headed",
        "_interim",
        "_limit",
        "_parser",
        "_pieces",
        "_room",
        "_start",
        "_status",
        "_whole",
        "complete",
        "failure",
        "fields",
        "stays",
        "unparsed",
    )

    def __init__(self, limit: int) -> None:
        """Bodies have `limit` bytes at most."""
        self._limit = limit
        self._pieces: list[bytes] = []
        self._whole = BytesIO()
        self._parser: Any = self._parse()
        self.begin()

    def _parse(self) -> Any:
        parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        return parser

    def begin(self) -> None:
        """Another answer is to come."""
        self._start = b""
        """The first bytes of it, as many as its first word has, or more."""
        self._head = 0
        """How many bytes had come when its head was not whole yet."""
        self._headed = self._interim = False
        self._announced: int | None = None
        """See `framing`."""
        self._room = self._limit
        self._status = 0
        self.fields: list[tuple[str, str]] = []
        self.unparsed = 0
        """So many bytes of its body are for `fill`, and not for `feed`."""
        self.complete = False
        self.stays = False
        """It is complete, nothing followed it, and the connection serves for another."""
        self.failure: MalformedAnswer | None = None
        """Why it is none: nothing more of this connection is to be read."""

    @property
    def begun(self) -> bool:
        """Something of it has come."""
        return bool(self._start)

    def answer(self) -> UpstreamAnswer:
        """The answer that is complete, of which nothing is kept here any more."""
        pieces, self._pieces = self._pieces, []
        return UpstreamAnswer(self._status, self.fields, pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def feed(self, piece: memoryview) -> None:
        """The next bytes of the connection."""
        if not self._headed and not self._is_http(piece):
            return self._refuse(_NOT_HTTP)
        try:
            self._parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.complete:
                return self._refuse(_NOT_HTTP)
            self.stays = False
        if self._headed:
            self._look_ahead()
        elif self._head > LARGEST_HEAD:
            return self._refuse(TOO_LARGE)
        return None

    def _is_http(self, piece: memoryview) -> bool:
        """So far. llhttp reads RTSP, too, and passes over blank lines."""
        self._head += len(piece)
        if len(self._start) < len(_FIRST_WORD):
            self._start += bytes(piece[:_LONGEST_START])
        size = len(self._start)
        return self._start.startswith(_FIRST_WORD[:size])

    def _look_ahead(self) -> None:
        if self._announced is not None and self._announced >= LEFT_UNPARSED and not self.complete:
            left = self._announced - (self._limit - self._room)
            if left >= LEFT_UNPARSED and self.failure is None:
                self.unparsed = left
                self.stays = self._parser.should_keep_alive()
                self._make_room(self._announced)

    def _make_room(self, size: int) -> None:
        """One place for the whole body: in pieces, and then joined, it would be there twice. (`BytesIO` gives away what
        it holds, without copying it.)"""
        self._whole = BytesIO()
        self._whole.seek(size - 1)
        self._whole.write(b"\0")
        self._whole.seek(0)
        self._whole.writelines(self._pieces)
        self._pieces.clear()

    def fill(self, receive: Callable[[memoryview], int]) -> int:
        """Have the next bytes of a body that are `unparsed` received into where they belong. What `receive` says: how
        many they are. Raises as it does."""
        with self._whole.getbuffer() as whole:
            begins = len(whole) - self.unparsed
            with whole[begins:] as rest:
                size = receive(rest)
        self.unparsed -= size
        if not self.unparsed:
            self.complete = True
            self._pieces.append(self._whole.getvalue())
            self._whole = BytesIO()
            self._parser = self._parse()  # the last one waits for what it has not seen
        return size

    def end(self, *, in_order: bool) -> None:
        """The connection has ended. So does, where it was closed `in_order`, an answer whose head does not say where it
        ends; any other has broken off."""
        if in_order and self._headed and self._announced is None:
            self.complete = True
        else:
            self._refuse("an answer that broke off")

    def close(self) -> None:
        """Nothing is read any more."""
        # It knows what it calls: as a circle, both would stay until the collector comes by.
        self._parser = None
        self.failure = None
        self._whole = BytesIO()
        self._pieces, self.fields = [], []  # others: an answer may have the fields

    def _refuse(self, because: str) -> None:
        if self.failure is None:
            self.failure = MalformedAnswer(because)

    # What llhttp calls.

    def on_message_begin(self) -> None:
        # Another answer behind the one that was asked for.
        if self.complete:
            self.stays = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head come trailers: whoever looks at the head alone has not seen them, so nobody does.
        if not self._headed:
            field = _field(name, value)
            if field is None:
                self._refuse("a header line that is not one")
            else:
                self.fields.append(field)

    def on_headers_complete(self) -> None:
        if self._headed:
            return
        status = self._parser.get_status_code()
        if status < 100 or self._parser.get_http_version() not in _VERSIONS:
            self._refuse("a status line that is not one")
        elif status < 200 and status != 101:
            self._interim = True
        else:
            self._status, self._headed = status, True
            self._look_at_framing()

    def _look_at_framing(self) -> None:
        try:
            self._announced = framing(self.fields)
        except MalformedAnswer as malformed:
            self._refuse(str(malformed))
        else:
            if self._announced is not None and self._announced > self._limit:
                self._refuse(TOO_LARGE)

    def on_body(self, piece: bytes) -> None:
        if not self.complete:
            self._room -= len(piece)
            if self._room < 0:
                self._refuse(TOO_LARGE)
            else:
                self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            self.fields.clear()
        elif not self.complete:
            self.complete = True
            self.stays = self._parser.should_keep_alive()


@lru_cache(maxsize=1024)
def _field(name: bytes, value: bytes) -> tuple[str, str] | None:
    # Most lines of an answer are those of the last one. (A blank behind the name would hide the framing from us, which
    # llhttp goes by.)
    text = value.strip(b" \t").decode("latin-1")
    if name != name.strip() or any(character < " " and character != "\t" for character in text):
        return None
    return name.decode("latin-1").lower(), text


def framing(fields: list[tuple[str, str]]) -> int | None:
    """How long the body is that these header fields announce: bytes, `CHUNKED`, or None where it ends with the
    connection. Raises `MalformedAnswer` where they say it in two ways, or in none that we know."""
    said = [field for field in fields if field[0] in _FRAMING]
    if not said:
        return None
    (name, value), *more = said
    if more:
        raise MalformedAnswer("an answer framed in two ways")
    if name == "transfer-encoding":
        if value.lower() != "chunked":
            raise MalformedAnswer("a transfer coding that nobody asked for")
        return CHUNKED
    if not _LENGTH.fullmatch(value):
        raise MalformedAnswer("a length that is not one")
    return int(value)


_FRAMING: Final = frozenset({"transfer-encoding", "content-length"})
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
