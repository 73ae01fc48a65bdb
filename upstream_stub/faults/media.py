"""Answers whose type or encoding is not what a client can rely on."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from functools import lru_cache, reduce
from operator import xor

from upstream_stub.faults.wire import JSON, Fault, answering, dossier_of

BLANK_MEGABYTE = b" " * 1024 * 1024
BOMB_MEGABYTES = 1024


def garbage(numero: str) -> bytes:
    return random.Random(numero).randbytes(2048) + dossier_of(numero)[-512:]  # noqa: S311 - repeatable, not secret


def page(numero: str) -> bytes:
    text = dossier_of(numero).decode()
    return f"<!doctype html><html><body><pre>{text}</pre></body></html>".encode()


def latin1(numero: str) -> bytes:
    return dossier_of(numero).decode().encode("latin-1")


def gzipped(numero: str) -> bytes:
    return gzip.compress(dossier_of(numero), mtime=0)


def gzipped_twice(numero: str) -> bytes:
    return gzip.compress(gzipped(numero), mtime=0)


def deflated(numero: str) -> bytes:
    return zlib.compress(dossier_of(numero))


@lru_cache(maxsize=1)
def gzip_bomb(numero: str) -> bytes:
    """A megabyte of gzip that opens into a valid dossier, a gigabyte of blanks before its last brace."""
    # After a full flush the compressor has forgotten everything and stands on a byte, so that the same
    # compressed megabyte can be repeated without compressing a gigabyte.
    deflate = zlib.compressobj(wbits=-15)
    text = dossier_of(numero)
    start = deflate.compress(text[:-1]) + deflate.flush(zlib.Z_FULL_FLUSH)
    blanks = deflate.compress(BLANK_MEGABYTE) + deflate.flush(zlib.Z_FULL_FLUSH)
    end = deflate.compress(text[-1:]) + deflate.flush()
    checksum = zlib.crc32(text[-1:], _after_blanks(zlib.crc32(text[:-1])))
    length = len(text) + BOMB_MEGABYTES * len(BLANK_MEGABYTE)
    opening = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    return opening + start + blanks * BOMB_MEGABYTES + end + struct.pack("<II", checksum, length & 0xFFFFFFFF)


def _after_blanks(checksum: int) -> int:
    """The CRC-32 of what had this one and a gigabyte of blanks. What a megabyte does to it is linear in its bits, but
    for a constant: looked at once for each bit, instead of a thousand times for each megabyte."""
    constant = zlib.crc32(BLANK_MEGABYTE, 0)
    by_bit = [zlib.crc32(BLANK_MEGABYTE, 1 << bit) ^ constant for bit in range(32)]
    for _ in range(BOMB_MEGABYTES):
        checksum = reduce(xor, (column for bit, column in enumerate(by_bit) if checksum >> bit & 1), constant)
    return checksum


def typed(content_type: str) -> tuple[str, ...]:
    return (f"Content-Type: {content_type}",)


def encoded(coding: str) -> tuple[str, ...]:
    return (JSON, f"Content-Encoding: {coding}")


FAULTS = {
    "garbage": Fault("9980101", "Bytes that are not JSON, called JSON.", answering(garbage)),
    "html": Fault("9980102", "A page of HTML with status 200.", answering(page, headers=typed("text/html"))),
    "html_as_json": Fault("9980103", "A page of HTML, called JSON.", answering(page)),
    "text_plain": Fault("9980104", "A dossier, called text/plain.", answering(headers=typed("text/plain"))),
    "no_type": Fault("9980105", "A dossier without a Content-Type.", answering(headers=())),
    "vendor_type": Fault(
        "9980106",
        "A dossier, called application/vnd.caf+json.",
        answering(headers=typed("application/vnd.caf+json")),
    ),
    "latin1": Fault(
        "9980107",
        "A dossier in Latin-1 that says so.",
        answering(latin1, headers=typed("application/json; charset=iso-8859-1")),
    ),
    "gzip_unasked": Fault(
        "9980108", "A dossier in gzip, asked for or not.", answering(gzipped, headers=encoded("gzip"))
    ),
    "gzip_twice": Fault(
        "9980109", "A dossier in gzip in gzip.", answering(gzipped_twice, headers=encoded("gzip, gzip"))
    ),
    "gzip_said_only": Fault("9980110", "A plain dossier, called gzip.", answering(headers=encoded("gzip"))),
    "br_said_only": Fault("9980111", "A plain dossier, called br.", answering(headers=encoded("br"))),
    "deflate_said_only": Fault("9980112", "A plain dossier, called deflate.", answering(headers=encoded("deflate"))),
    "deflate_unasked": Fault(
        "9980113", "A dossier in deflate, asked for or not.", answering(deflated, headers=encoded("deflate"))
    ),
    "gzip_unsaid": Fault("9980114", "A dossier in gzip, called plain JSON.", answering(gzipped)),
    "gzip_bomb": Fault(
        "9980115",
        "A megabyte of gzip that opens into a gigabyte.",
        answering(gzip_bomb, headers=encoded("gzip")),
    ),
}
