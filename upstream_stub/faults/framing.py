"""Answers whose bytes on the wire contradict what they announce, or whose headers say too much."""

from __future__ import annotations

from upstream_stub.faults.wire import (
    JSON,
    LAST_CHUNK,
    OTHER_FAMILY,
    Act,
    Fault,
    Wire,
    answering,
    chunk,
    dossier_of,
    head,
)

MEGABYTE = b" " * 1024 * 1024
LARGE_MEGABYTES = 40
CHUNKED = "Transfer-Encoding: chunked"
NAMES = "CANARI-famille-nom_naissance-Garnier"


def announcing(*headers: str) -> Act:
    """The dossier behind headers where `{length}` is its length, `{less}` and `{more}` ten bytes off."""

    def act(wire: Wire) -> None:
        body = dossier_of(wire.numero)
        lengths = {"length": len(body), "less": len(body) - 10, "more": len(body) + 10}
        filled = [header.format(**lengths) for header in headers]
        wire.send(head("200 OK", *filled) + body)
        wire.hang_up()

    return act


def too_large_chunked(wire: Wire) -> None:
    body = dossier_of(wire.numero)
    wire.send(head("200 OK", JSON, CHUNKED) + chunk(body[:-1]))
    for _ in range(LARGE_MEGABYTES):
        wire.send(chunk(MEGABYTE))
    wire.send(chunk(body[-1:]) + LAST_CHUNK)


def too_large_announced(wire: Wire) -> None:
    body = dossier_of(wire.numero)
    length = len(body) + LARGE_MEGABYTES * len(MEGABYTE)
    wire.send(head("200 OK", JSON, f"Content-Length: {length}") + body[:-1])
    for _ in range(LARGE_MEGABYTES):
        wire.send(MEGABYTE)
    wire.send(body[-1:])


def surplus(wire: Wire) -> None:
    other = dossier_of(OTHER_FAMILY)
    body = dossier_of(wire.numero)
    second = head("200 OK", JSON, f"Content-Length: {len(other)}") + other
    # In one piece, so that the surplus is there when the client believes the answer is over.
    wire.send(head("200 OK", JSON, f"Content-Length: {len(body)}") + body + second)


def length_and_chunks(wire: Wire) -> None:
    body = dossier_of(wire.numero)
    wire.send(head("200 OK", JSON, f"Content-Length: {len(body)}", CHUNKED) + chunk(body) + LAST_CHUNK)


def bad_chunk(wire: Wire) -> None:
    body = dossier_of(wire.numero)
    wire.send(head("200 OK", JSON, CHUNKED) + chunk(body) + b"zz\r\nCANARI\r\n" + LAST_CHUNK)
    wire.hang_up()


def unfinished_chunks(wire: Wire) -> None:
    wire.send(head("200 OK", JSON, CHUNKED) + chunk(dossier_of(wire.numero)))
    wire.hang_up()


def trailers(wire: Wire) -> None:
    wire.send(head("200 OK", JSON, CHUNKED, "Trailer: X-Famille") + chunk(dossier_of(wire.numero)))
    wire.send(f"0\r\nX-Famille: {NAMES}\r\nSet-Cookie: famille={NAMES}\r\n\r\n".encode())


def not_http(wire: Wire) -> None:
    wire.send(dossier_of(wire.numero))
    wire.hang_up()


TALKATIVE = (
    JSON,
    f"X-Famille: {NAMES}",
    f"Server: dossiers/{NAMES}",
    f'ETag: "{NAMES}"',
    "Last-Modified: Fri, 01 Jun 2012 08:00:00 GMT",
    f"Set-Cookie: famille={NAMES}; Path=/",
    f'Content-Disposition: attachment; filename="{NAMES}.json"',
    f'Link: </dossiers/{OTHER_FAMILY}>; rel="next"; title="{NAMES}"',
    f"Warning: 199 - {NAMES}",
    f"Content-Location: /dossiers/{NAMES}",
    "Access-Control-Allow-Origin: *",
    "Cache-Control: public, max-age=86400",
)

FAULTS = {
    "truncated": Fault("9980401", "Ten bytes less than announced.", announcing(JSON, "Content-Length: {more}")),
    "surplus": Fault("9980402", "A whole second response behind the first: another family's.", surplus),
    "more_than_announced": Fault(
        "9980403", "Ten bytes more than announced.", announcing(JSON, "Content-Length: {less}")
    ),
    "length_and_chunks": Fault("9980404", "Content-Length with Transfer-Encoding.", length_and_chunks),
    "two_lengths": Fault(
        "9980405",
        "Two Content-Length that differ.",
        announcing(JSON, "Content-Length: {length}", "Content-Length: {less}"),
    ),
    "bad_length": Fault(
        "9980406", "A Content-Length that is no number.", announcing(JSON, "Content-Length: {length}x")
    ),
    "two_types": Fault(
        "9980407",
        "Two Content-Type that differ.",
        announcing(JSON, "Content-Type: text/html", "Content-Length: {length}"),
    ),
    "no_length": Fault("9980408", "No length: the end of the connection ends the body.", announcing(JSON)),
    "bad_chunk": Fault("9980409", "A chunk whose size is no number.", bad_chunk),
    "unfinished_chunks": Fault("9980410", "Chunks without the last one.", unfinished_chunks),
    "trailers": Fault("9980411", "Names in trailers after the body.", trailers),
    "too_large_chunked": Fault("9980412", "40 MB in chunks, no length announced.", too_large_chunked),
    "too_large_announced": Fault("9980413", "40 MB, announced.", too_large_announced),
    "talkative_headers": Fault(
        "9980414", "A good dossier whose headers name the family.", answering(headers=TALKATIVE)
    ),
    "not_http": Fault("9980415", "The dossier alone, without status or headers.", not_http),
}
