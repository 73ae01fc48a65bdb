"""Any bytes as a request, in any pieces: what is understood is what is written, and nothing is taken for anything else.

An input is what a client sends on one connection, all of it. It is cut into pieces in three ways, drawn from the input.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from gateway.api.bodies import read_body
from gateway.errors import BodyTooLarge, Refusal
from gateway.policy_files.folder import ROUTES, shipped
from gateway.proxy.credentials import Door
from gateway.proxy.parse import LONGEST_VALUE, parse
from gateway.redaction import compile_routes
from gateway.server.connection import LARGEST_BODY, MOST_HEADERS, Connection, Malformed, Patience
from tests.redaction.oracle import SLUGS

LARGEST: Final = 4096
LARGEST_OWN: Final = 512
"""Bytes of a body that the address which reads them accepts here, so that short inputs reach beyond it."""
HOST: Final = "cafpro.example"
DOOR: Final = Door(f"https://{HOST}", [])
DECLARED: Final = ("page", "depuis")

# The shipped routes, and one more that declares parameters.
TABLE: Final = compile_routes(
    (shipped() / ROUTES).read_text("utf-8")
    + f"""
[[route]]
name = "liste"
match = "GET /liste/{{numero}}"
action = "consult"
answer = "json"
query = ["{DECLARED[0]}", "{DECLARED[1]}"]
[route.parts]
"/rsa" = "rsa"
""",
    SLUGS,
)
KNOWN: Final = re.compile(
    rf"/liste/[0-9]{{7}}"
    rf"|/dossiers/[0-9]{{7}}(/rubriques/({'|'.join(SLUGS)})|/(attestations|courriers|declarations)/[0-9a-z-]{{1,32}}\.pdf)?"
)
"""The paths of these routes, read from the sentences of the contract and not from the table."""
REFUSED: Final = ("", "400 ", "413 ", "431 ", "505 ")
"""How the statuses begin that the server gives by itself, nothing being one of them."""


class Pieces:
    """A socket on which these pieces arrive, one at each read."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.left = list(reversed(pieces))
        self.sent = bytearray()

    def fileno(self) -> int:
        return -1

    def recv(self, _: int) -> bytes:
        if not self.left:
            raise BlockingIOError
        return self.left.pop()

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)


class Read(NamedTuple):
    """What a connection made of the pieces: a request, a refusal's status line, or neither yet."""

    environ: Mapping[str, Any] | None
    body: bytes
    status: str
    stays: bool
    taken: int
    """Bytes that had arrived by then."""


def check(data: bytes) -> None:
    """Raises `AssertionError` where a promise about requests is broken by these bytes."""
    whole = read_in([data])
    assert whole.status[:4] in REFUSED
    means_what_is_written(data, whole)
    for pieces in cuts(data):
        again = read_in(pieces)
        assert again.environ == whole.environ, (again.environ, whole.environ)
        assert again.body == whole.body
        assert bool(again.status) == bool(whole.status), (again.status, whole.status)
        if again.environ is not None:
            stays_only_at_the_end(data, again)
    if whole.environ is not None:
        becomes_nouns_or_a_refusal(whole.environ)
        has_the_body_it_announces(whole)


def cuts(data: bytes) -> Iterator[list[bytes]]:
    draw = Random(zlib.crc32(data))
    yield [data[at : at + 1] for at in range(min(len(data), 1500))] + ([data[1500:]] if len(data) > 1500 else [])
    edges = sorted({0, len(data), *(draw.randrange(len(data) + 1) for _ in range(6))})
    yield [data[one:other] for one, other in pairwise(edges)]


def read_in(pieces: Sequence[bytes]) -> Read:
    sock = Pieces([piece for piece in pieces if piece])
    total = sum(map(len, pieces))
    connection = Connection(sock, "::1", patience=Patience(), is_own=lambda path: path.startswith("/-/"))
    while sock.left:
        try:
            assert connection.receive()
        except Malformed as malformed:
            return Read(None, b"", malformed.status, False, 0)
        if connection.ready:
            environ = connection.environment({})
            body = environ.pop("wsgi.input").read()
            connection.answer("200 OK", [], b"x", date="now", stays=True)
            taken = total - sum(map(len, sock.left))
            return Read(environ, body, "", connection.stays, taken)
        connection.tell_to_continue()
        assert bytes(sock.sent) in (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    return Read(None, b"", "", False, total)


# The head, read again by a few lines of our own.


class Head(NamedTuple):
    method: str
    target: bytes
    version: str
    headers: list[tuple[str, str]]
    size: int


LINE: Final = re.compile(rb"([A-Z-]+) ([!-~\x80-\xff]+) HTTP/(1\.[01])")
FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)


def head_of(data: bytes) -> Head | None:
    """The head that stands in the bytes, None where its writing is not the plainest."""
    start = len(data) - len(data.lstrip(b"\r\n"))
    head, end, _ = data[start:].partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    first = LINE.fullmatch(line)
    read = [FIELD.fullmatch(field) for field in fields]
    if not end or first is None or not all(read):
        return None
    headers = [(one[1].decode("latin-1").lower(), one[2].decode("latin-1")) for one in read if one]
    return Head(first[1].decode(), first[2], first[3].decode(), headers, start + len(head) + 4)


def means_what_is_written(data: bytes, read: Read) -> None:
    """A request that was understood is written plainly, and every word of it is where it was written."""
    if read.environ is None:
        return
    head = head_of(data)
    assert head is not None, f"understood, though not plain HTTP: {data!r}"
    environ = read.environ
    path, _, query = head.target.partition(b"?")
    assert environ["REQUEST_METHOD"] == head.method
    assert environ["SERVER_PROTOCOL"] == f"HTTP/{head.version}"
    assert environ["PATH_INFO"].encode("latin-1") == unquote_to_bytes(path)
    assert environ["QUERY_STRING"].encode("latin-1") == query
    assert len(head.headers) <= MOST_HEADERS
    wanted: dict[str, str] = {}
    for name, value in head.headers:
        if "_" not in name:
            key = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}.get(name)
            key = key or "HTTP_" + name.upper().replace("-", "_")
            wanted[key] = f"{wanted[key]}, {value}" if key in wanted else value
    fixed = {"REQUEST_METHOD", "SERVER_PROTOCOL", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR"}
    assert {key: value for key, value in environ.items() if key not in fixed} == wanted
    assert not any(set(value) & set("\r\n\0") for key, value in environ.items() if key != "PATH_INFO")
    stays_only_at_the_end(data, read)


def stays_only_at_the_end(data: bytes, read: Read) -> None:
    """Where the connection stays, the request ends with the last byte that has arrived: nobody disagrees about it."""
    if not read.stays:
        return
    head = head_of(data[: read.taken])
    assert head is not None
    rest = data[head.size : read.taken]
    lengths = [value for name, value in head.headers if name == "content-length"]
    codings = [value for name, value in head.headers if name == "transfer-encoding"]
    if codings:
        assert (codings[0].lower(), lengths, head.version) == ("chunked", [], "1.1"), head
        body = unchunked(rest)
        assert body is not None and body == read.body
    else:
        size = int(lengths[0]) if lengths else 0
        assert len(set(lengths)) <= 1 and len(rest) >= size, (lengths, rest)
        # Empty lines before the next request mean nothing, and are dropped (RFC 9112, 2.2).
        assert (read.body, rest[size:].strip(b"\r\n")) == (rest[:size], b""), (read.body, rest)


CHUNK: Final = re.compile(rb"([0-9A-Fa-f]+)[^\r\n]*\r\n")


def unchunked(rest: bytes) -> bytes | None:
    """The body that these chunks make, where nothing follows them; None where they are not chunks."""
    body, at = b"", 0
    while found := CHUNK.match(rest, at):
        size = int(found[1], 16)
        at = found.end()
        if size == 0:
            _, end, more = (b"\r\n" + rest[at:]).partition(b"\r\n\r\n")
            return body if end and not more.strip(b"\r\n") else None
        if rest[at + size : at + size + 2] != b"\r\n":
            return None
        body += rest[at : at + size]
        at += size + 2
    return None


def has_the_body_it_announces(read: Read) -> None:
    """A body comes whole or is refused; one that nobody declared is not looked at."""
    assert read.environ is not None
    announced = read.environ.get("CONTENT_LENGTH", "")
    try:
        body = read_body({**read.environ, "wsgi.input": _Stream(read.body)}, limit=LARGEST_OWN)
    except Refusal:
        return
    assert len(body) <= LARGEST_OWN < LARGEST_BODY
    assert body == read.body
    if announced:
        assert int(announced) == len(body)


class _Stream:
    def __init__(self, body: bytes) -> None:
        self.body = body

    def read(self, size: int) -> bytes:
        return self.body[:size]


def becomes_nouns_or_a_refusal(environ: Mapping[str, Any]) -> None:
    """The backend is asked for nothing but a declared path, written again; whatever is plain is not refused."""
    for step in (DOOR.check_host, DOOR.credentials, DOOR.check_origin):
        refusal_of(step, environ)
    path, query, method = environ["PATH_INFO"], environ["QUERY_STRING"], environ["REQUEST_METHOD"]
    plain = method in ("GET", "HEAD") and KNOWN.fullmatch(path) is not None
    announces = environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ
    request = None

    def understand(environ: Mapping[str, Any]) -> None:
        nonlocal request
        request = parse(environ, TABLE, "an-id")

    refusal = refusal_of(understand, environ)
    if request is None:
        assert not plain or query or (announces and type(refusal) is BodyTooLarge), refusal
        return
    assert plain and not announces
    asked, _, passed = request.path.partition("?")
    assert asked == path
    assert re.fullmatch(r"[!-~]+", request.path)
    assert request.number in path and re.fullmatch("[0-9]{7}", request.number)
    sent, taken = parse_qsl(query, keep_blank_values=True), parse_qsl(passed, keep_blank_values=True)
    assert sent == taken, (sent, taken)
    assert len({name for name, _ in sent}) == len(sent)
    assert not sent or path.startswith("/liste/")
    assert all(name in DECLARED and len(value) <= LONGEST_VALUE and value.isprintable() for name, value in sent)
    assert set(request.upstream_headers) <= {"Accept", "X-Request-Id", "Accept-Language"}
    assert all(re.fullmatch(r"[ -~]*", value) for value in request.upstream_headers.values())


def refusal_of(work: Callable[[Mapping[str, Any]], object], environ: Mapping[str, Any]) -> Refusal | None:
    """How `work` refuses this request, if it does: as the client's mistake, and in no other way."""
    refusal = None
    try:
        work(environ)
    except Refusal as raised:
        refusal = raised
    assert refusal is None or 400 <= refusal.status < 500
    return refusal


def words() -> list[bytes]:
    """What the fuzzer should know how to write."""
    texts = [
        *("GET ", "HEAD ", "POST ", "TRACE ", "CONNECT ", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", " HTTP/1.1\r\n"),
        *(" HTTP/1.0\r\n", "Host: cafpro.example\r\n", "Content-Length: ", "Transfer-Encoding: chunked\r\n"),
        *("Connection: close\r\n", "Connection: upgrade\r\nUpgrade: h2c\r\n", "Expect: 100-continue\r\n"),
        *("Authorization: Bearer ", "Cookie: ", "__Host-cafpro=", "Origin: https://cafpro.example\r\n", "X_A: 1\r\n"),
        *("/-/session", "/dossiers/9990001", "/rubriques/rsa", "/courriers/a-1.pdf", "/liste/1234567", "?page=1"),
        *("&depuis=", "%2e%2e", "%2F", "%00", "%C3%A9", "//", "/../", ";", "#", "\r\n\r\n", "0\r\n\r\n", "*"),
        *("5\r\nabcde\r\n", "ffffffff", "\r\n ", "\n\n", "Accept-Language: fr\r\n", "http://cafpro.example"),
    ]
    return [text.encode() for text in texts]
