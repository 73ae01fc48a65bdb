"""Any bytes as the backend's answer: what leaves is, byte for byte, what the independent reading lets out.

An input is two bytes that choose the place and the grant, then the answer's body.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from functools import cache
from typing import Final

from gateway.errors import NotOpen, UpstreamNotUnderstood
from gateway.policy_files.folder import ROUTES, shipped
from gateway.redaction import RouteTable, compile_routes, redact
from gateway.redaction.levels import MOST_UNCLASSIFIED
from tests.redaction.oracle import SLUGS, Refused, expected
from tests.redaction.test_any_document import one_table
from tests.story.brochure import OPEN, PROFILES

LARGEST: Final = 8192
DEEPEST: Final = 300
"""Beyond this many brackets within brackets the readers may give up at different depths: only that nothing but
granted parts leaves is asked then, and the independent reading cannot say which these are."""
NUMBER: Final = "9990001"
PLAIN: Final = re.compile(r"\?|[a-z][a-z_]{0,40}[0-9]{0,2}", re.ASCII)
"""How a key of the backend's may stand in a log: as itself, or as a question mark."""

TEXT: Final = (shipped() / ROUTES).read_text("utf-8")
TABLE: Final = compile_routes(TEXT, SLUGS)
DECLARED: Final = tomllib.loads(TEXT)["route"][0]
RUBRIC_GRANTS: Final = [OPEN[profile] for profile in PROFILES]


def check(data: bytes) -> None:
    """Raises `AssertionError` where the gateway's answer to this document is not the promised one."""
    if len(data) < 2:
        return
    place, grant, body = data[0], data[1], data[2:]
    if place <= len(SLUGS):
        slug = SLUGS[place - 1] if place else ""
        parts, fields = DECLARED["parts"], DECLARED["fields"]
        table, route, root = TABLE, TABLE.routes[1 if slug else 0], ("rubriques", slug) if slug else ()
        nouns = {"numero": NUMBER, "rubric": slug} if slug else {"numero": NUMBER}
        granted = RUBRIC_GRANTS[grant % len(RUBRIC_GRANTS)]
    else:
        parts, fields, table = some_table(place)
        route, nouns, root = table.routes[0], {"numero": NUMBER}, ()
        granted = frozenset(label for bit, label in enumerate(("famille", "adresse", "rsa")) if grant >> bit & 1)
    leaves_as_promised(body, table, route, nouns, granted, parts, fields, root)


def leaves_as_promised(body, table: RouteTable, route, nouns, granted, parts, fields, root) -> None:
    try:
        plan = table.plan(route, nouns, granted)
    except NotOpen:
        assert not route.rubrics(nouns) & granted, "a granted part was refused"
        return
    try:
        got = redact(body, plan, NUMBER)
    except UpstreamNotUnderstood as refusal:
        got, because = None, refusal.because
    if depth(body) > DEEPEST:
        return
    reason = ""
    try:
        wanted, left = expected(body, parts, fields, granted, root)
        is_ours(body, parts, root)
    except Refused as refusal:
        reason = str(refusal)
    if reason:
        assert got is None, f"let out, though {reason}: {body!r}"
        return
    assert got is not None, f"refused without reason ({because}): {body!r}"
    assert got.body == wanted, (got.body, wanted)
    assert got.left == left
    assert got.left <= granted
    assert len(got.unclassified) <= MOST_UNCLASSIFIED
    # The steps before the last one are the table's own.
    assert all(PLAIN.fullmatch(pointer.rpartition("/")[2]) for pointer in got.unclassified), got.unclassified


def is_ours(body: bytes, parts, root) -> None:
    """Raises `Refused` where the document does not say that it is the dossier which was asked for."""
    if root or "number" not in parts.values():
        return
    top = json.loads(body, parse_int=str, parse_float=str)
    # Compared as it is written: an escaped digit is not the number.
    if not isinstance(top, dict) or top.get("numero") != NUMBER or f'"{NUMBER}"'.encode() not in body:
        raise Refused("another dossier")


def depth(body: bytes) -> int:
    """How deep brackets nest, those in strings counted too."""
    deepest = now = 0
    for byte in body:
        now += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, now)
    return deepest


@cache
def some_table(seed: int):
    """A route table drawn by lot, always the same for a seed: its parts, its fields, what the gateway made of it."""
    return one_table(random.Random(seed))


def words() -> list[bytes]:
    """What the fuzzer should know how to write."""
    tables = [json.dumps(name, ensure_ascii=False) for name in ["numero", "caisse", "rubriques", *SLUGS]]
    fields = [json.dumps(name) for names in DECLARED["fields"].values() for name in names]
    odd = [
        "null",
        "NaN",
        "1e400",
        "\\u0000",
        "\\ud800",
        "\ufeff",
        '"a":1,"a":2',
        "[]",
        "{}",
        "[[",
        "}}",
        "-0",
        '"iban":',
    ]
    return [word.encode() for word in (*tables, *fields, *odd)]
