# ruff: noqa: E501 -- one case, one line: tables are read across
"""Any document, any route table, any grant: exactly what the independent reading lets out, or a refusal it agrees to."""

from __future__ import annotations

import json
import os
import random

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.errors import Misconfigured, NotOpen, UpstreamNotUnderstood
from gateway.redaction import compile_routes, redact
from gateway.redaction.plans import Container
from tests.redaction.oracle import SLUGS, Refused, expected, written

EXAMPLES = int(os.environ.get("REDACTION_EXAMPLES", "600"))
LABELS = ("famille", "adresse", "rsa", "always", "never")
KEYS = ("a", "b", "nom", "é", "m~n", "ﬀ", "A", "famille", "-", "0", "😀", "e\u0301", "\u007f", "{", "[1]", ":")
LEAVES = (
    "1.10", "1e400", "12345678901234567890123", "-0", "null", "true", '"x"', '"\\u00e9\\/"', '"é ☃"', '" { [ , "', "[]",
    "{}", '{"a":1,"a":2}', '[1, [2 ,{"b" :3}]]', '"\\ud83d\\ude00"', '""', "0.0E+1",
)  # fmt: skip
BROKEN = (
    "NaN",
    "Infinity",
    "-",
    "01",
    '"\\ud800"',
    '"\\udc00x"',
    "[1,]",
    '{"a":1,}',
    '"\t"',
    "tru",
    "\ufeff1",
    "'a'",
    "",
)


def pointer(steps):
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def some_table(rng):
    """A random tree of parts as `[route.parts]` and `[route.fields]`, nearly always acceptable."""
    parts, fields = {}, {}

    def grow(steps, inherited, depth):
        label = rng.choice(LABELS) if rng.random() < (0.35 if depth else 0.15) else None
        if label:
            parts[pointer(steps)] = label
        effective = label or inherited
        kind = rng.choice(("leaf", "object", "object", "list")) if depth < 4 else "leaf"
        if depth == 0 and kind == "leaf":
            kind = "object"
        if kind == "list":
            grow((*steps, "*"), effective, depth + 1)
        elif kind == "object":
            names = rng.sample(KEYS, rng.randint(1, 4))
            if effective:
                fields[pointer(steps)] = names
            for name in names:
                if rng.random() < 0.75 or not effective:
                    grow((*steps, name), effective, depth + 1)
        elif not effective:
            parts[pointer(steps)] = rng.choice(LABELS)

    grow((), None, 0)
    return parts, fields


def some_document(rng, parts, fields, *, tidy):
    """A text shaped like the table, with surprises: other shapes, nulls, unknown and repeated keys, odd spellings."""
    places = {tuple(s.replace("~1", "/").replace("~0", "~") for s in p.split("/")[1:]) for p in (*parts, *fields)}
    places |= {
        (*tuple(s.replace("~1", "/").replace("~0", "~") for s in p.split("/")[1:]), name)
        for p, names in fields.items()
        for name in names
    }
    surprise = 0.0 if tidy else rng.choice((0.0, 0.03, 0.15))
    spaces = rng.choice((0.0, 0.0, 0.3))

    def gap():
        return rng.choice((" ", "\n", "\t\r", "  ")) if rng.random() < spaces else ""

    def key(name):
        if rng.random() < surprise:
            return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in name) + '"'
        return json.dumps(name, ensure_ascii=rng.random() < surprise)

    def grow(steps):
        if rng.random() < surprise:
            return rng.choice(LEAVES + ("null",) * 6 + (BROKEN if rng.random() < 0.2 else ()))
        inside = {place[len(steps)] for place in places if place[: len(steps)] == steps and len(place) > len(steps)}
        if inside == {"*"}:
            texts = [grow((*steps, "*")) for _ in range(rng.randint(0, 3))]
            return "[" + gap() + f"{gap()},{gap()}".join(texts) + gap() + "]"
        if not inside:
            return rng.choice(LEAVES)
        names = [name for name in inside if rng.random() < 0.85]
        if rng.random() < surprise:
            names.append(rng.choice(KEYS))
        if names and rng.random() < surprise:
            names.append(rng.choice(names))
        rng.shuffle(names)
        members = [key(name) + gap() + ":" + gap() + grow((*steps, name)) for name in names]
        return "{" + gap() + f"{gap()},{gap()}".join(members) + gap() + "}"

    return (gap() + grow(()) + gap() + rng.choice(("", "", "\n"))).encode("utf-8", "surrogatepass")


def toml(parts, fields):
    lines = ['[[route]]\nname = "one"\nmatch = "GET /d/{numero}"\naction = "consult"\nanswer = "json"\n[route.parts]']
    lines += [f"{spelled(at)} = {spelled(label)}" for at, label in parts.items()]
    lines += ["[route.fields]"]
    lines += [f"{spelled(at)} = [{', '.join(map(spelled, names))}]" for at, names in fields.items()]
    return "\n".join(lines)


def spelled(text):
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def outcome(body, plan):
    try:
        redacted = redact(body, plan, "1234567")
    except UpstreamNotUnderstood as refusal:
        return str(refusal.because)
    return redacted


def agrees(body, table, route, nouns, granted, parts, fields, root=()):
    """Compares the engine with the oracle, and gives back what left."""
    try:
        plan = table.plan(route, nouns, granted)
    except NotOpen:
        assert not route.rubrics(nouns) & granted
        return None
    got = outcome(body, plan)
    try:
        wanted, left = expected(body, parts, fields, granted, root)
    except Refused as refusal:
        reason = str(refusal)
    else:
        reason = ""
    if reason:
        assert isinstance(got, str), f"let out, though {reason}: {body!r}"
        return None
    assert not isinstance(got, str), f"refused without reason ({got}): {body!r}"
    assert got.body == wanted
    assert got.left == left
    return got


def one_table(rng):
    while True:
        parts, fields = some_table(rng)
        try:
            return parts, fields, compile_routes(toml(parts, fields), SLUGS)
        except Misconfigured:
            continue


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64))
def test_any_document_lets_out_what_the_oracle_lets_out_and_nothing_else(seed):
    rng = random.Random(seed)
    parts, fields, table = one_table(rng)
    for _ in range(6):
        granted = frozenset(rng.sample(("famille", "adresse", "rsa"), rng.randint(1, 3)))
        body = some_document(rng, parts, fields, tidy=False)
        agrees(body, table, table.routes[0], {"numero": "1234567"}, granted, parts, fields)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64))
def test_what_was_read_is_as_long_as_it_is_counted(seed):
    """By that length alone is known that nothing else was in the document."""
    rng = random.Random(seed)
    parts, fields, table = one_table(rng)
    granted = frozenset(rng.sample(("famille", "adresse", "rsa"), rng.randint(1, 3)))
    body = some_document(rng, parts, fields, tidy=rng.random() < 0.8)
    try:
        root = table.plan(table.routes[0], {}, granted).root
        value = msgspec.json.decode(body, type=root.type)
    except (NotOpen, msgspec.DecodeError):
        assume(False)
    assume(isinstance(root, Container))  # of what leaves whole nothing is looked into
    assert root.shortest(value, len(body)) == len(msgspec.json.encode(value))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64))
def test_any_damaged_byte_is_refused_or_harmless(seed):
    rng = random.Random(seed)
    parts, fields, table = one_table(rng)
    body = bytearray(some_document(rng, parts, fields, tidy=True))
    for _ in range(8):
        damaged = bytearray(body)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(damaged) + 1)
            damaged[place : place + rng.randint(0, 2)] = rng.choice(
                (b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\xff", b"\xc3", b"\x00", b"1", b"e", b"a")
            )
        agrees(bytes(damaged), table, table.routes[0], {}, frozenset({"famille", "rsa"}), parts, fields)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64))
def test_white_space_around_the_levels_changes_nothing(seed):
    rng = random.Random(seed)
    parts, fields, table = one_table(rng)
    granted = frozenset(("famille", "adresse"))
    body = some_document(rng, parts, fields, tidy=True)
    try:
        plan = table.plan(table.routes[0], {}, granted)
    except NotOpen:
        return
    value = json.loads(body, parse_float=str, parse_int=str, object_pairs_hook=list)
    compact, spaced = respell(body, ("", "")), respell(body, (" ", "\n"))
    assert value is not None or body.strip() == b"null"
    tight, loose = outcome(compact, plan), outcome(spaced, plan)
    if isinstance(tight, str):
        assert tight == loose
    else:
        assert [tight.left, tight.unclassified] == [loose.left, loose.unclassified]
        assert respell(tight.body, ("", "")) == respell(loose.body, ("", ""))


def respell(body, gaps):
    """The same tokens with these gaps between them: strings and numbers stay as they are written."""
    out, at, text = [], 0, body.decode()
    while at < len(text):
        if text[at] == '"':
            end = at + 1
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            out.append(text[at : end + 1])
            at = end + 1
        elif text[at] in "{}[],:":
            out.append(gaps[0] + text[at] + gaps[1])
            at += 1
        else:
            out.append(text[at].strip(" \t\n\r"))
            at += 1
    return "".join(out).encode()


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from((*SLUGS, "numero", "rubriques", "personnes", "nir")) | st.text(max_size=4), inner
            )
        ),
        max_leaves=30,
    ),
    st.sets(st.sampled_from(SLUGS), min_size=1),
    st.booleans(),
)
def test_a_document_of_no_particular_shape_never_crashes_the_engine(document, granted, ascii_only):
    parts = {"/numero": "always", "/rubriques/{rubric}": "{rubric}", "/rubriques/famille/personnes/*/nir": "never"}
    fields = {"/rubriques/famille": ["personnes"], "/rubriques/famille/personnes/*": ["nom"]}
    table = compile_routes(toml(parts, fields), SLUGS)
    for wrapped in (document, {"rubriques": document}, {"rubriques": {"famille": document, "rsa": document}}):
        body = json.dumps(wrapped, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        agrees(body, table, table.routes[0], {}, frozenset(granted), parts, fields)


def test_the_oracle_itself_refuses_and_keeps():
    assert expected(b'{"a":1.10,"b":2}', {"/a": "rsa"}, {}, {"rsa"}) == (b'{"a":1.10}', {"rsa"})
    assert written("é") == '"é"'
    with pytest.raises(Refused):
        expected(b'{"a":1,"\\u0061":2}', {"/a": "rsa"}, {}, {"rsa"})
