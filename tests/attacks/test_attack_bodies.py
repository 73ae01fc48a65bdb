# ruff: noqa: E501 -- one malice, one line: tables are read across
"""Lines 23 to 28: a backend that says something else than it should, faults half-way, and what a refusal tells.

The backend is one of raw sockets: what it writes is exactly what a malice says. Each malice is met at all kinds of
addresses: the dossier, one rubric, a document. Nothing of what is not understood is passed on, and the next answers are
whole.
"""

from __future__ import annotations

import gzip
import json
import random
import socket
import sqlite3
import statistics
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from typing import NamedTuple

import pytest

from tests.attacks.sending import Sender, Tried
from tests.story.brochure import OPEN, kept_dossier, kept_rubric, members, told
from tests.story.fixtures import StartGateway
from tests.story.running import Answer, Gateway, is_problem
from upstream_stub.dossiers import dossier_text, rubric_text
from upstream_stub.faults.media import gzip_bomb
from upstream_stub.faults.server import FaultServer, parse_request
from upstream_stub.faults.wire import Fault, Wire

AGENT = "T13"
"""Reads the address, field by field, and letters; neither `enfants` nor `rsa` nor twelve rubrics more."""
STATUS = {"GW401": 404, "GW402": 502, "GW403": 502, "GW404": 504}
LIMIT = 4_000_000
DEADLINE = 2.0
ORDINARY = "9990001"
SECRET = "CANARI-enfants-nom-9990001-Garnier"
"""Of a rubric that is closed to `AGENT`."""

Bytes = Callable[[str], bytes]


class Kind(NamedTuple):
    """An address of a dossier, and what the backend answers there when nothing is wrong with it."""

    path: str
    type: str
    good: Bytes


KINDS = {
    "dossier": Kind("", "application/json", lambda numero: dossier_text(numero) or b""),
    "rubric": Kind("/rubriques/adresse", "application/json", lambda numero: rubric_text(numero, "adresse") or b""),
    "document": Kind(
        "/courriers/co-1.pdf", "application/pdf", lambda numero: b"%PDF-1.4\n" + b"CANARI-courrier-" + numero.encode()
    ),
}


def leaves(kind: str, whole: bytes) -> bytes:
    """What may leave of an answer in good order, by the second, slower reading."""
    if kind == "document":
        return whole
    return kept_dossier(whole, OPEN[AGENT]) if kind == "dossier" else kept_rubric("adresse", whole.decode()).encode()


class Lying(FaultServer):
    """Answers each number with what was asked of it, every other as the stub does; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, list[tuple[str, str]]]] = []
        super().__init__({}, host="127.0.0.1", port=0, slow_seconds=DEADLINE * 4)

    def lie(self, numero: str, act: Callable[[Wire], None]) -> None:
        self._faults[numero] = Fault(numero, "", act)

    def _answer(self, connection: socket.socket, request: bytes) -> bool:
        method, path, headers = parse_request(request)
        self.asked.append((method, path, list(headers.items())))
        return super()._answer(connection, request)


@pytest.fixture(scope="module")
def lying() -> Iterator[Lying]:
    with closing(Lying()) as server:
        yield server


@pytest.fixture(scope="module")
def before(lying: Lying, start_gateway: StartGateway) -> Gateway:
    gateway = start_gateway(
        lying.url,
        upstream__deadline_seconds=DEADLINE,
        upstream__size_limit=LIMIT,
        upstream__breaker_failures=1_000_000,
        server__workers=2,
    )
    for profile in (AGENT, "T2"):
        gateway.enter(profile.lower(), profile)
    return gateway


@pytest.fixture(scope="module")
def opened(before: Gateway) -> dict[str, dict[str, str]]:
    return {profile: before.log_in(profile.lower()) for profile in (AGENT, "T2")}


NUMBERS = count(9_981_001)
"""Families of twenty rubrics, a new one for each malice."""


class Answered(NamedTuple):
    """A malice that was tried: under which number, and what came of it."""

    kind: str
    numero: str
    tried: Tried

    def not_passed_on(self, code: str) -> None:
        """A refusal, whole; its row; one request to the backend, and no other for a second try or a redirect."""
        is_problem(self.tried.answer, STATUS[code], code)
        row = self.tried.row
        assert (row["status"], row["code"], row["rubrics"], row["rules"]) == (STATUS[code], code, "[]", "[]")
        assert self.numero not in json.dumps(row["because"]) + self.tried.logged.replace(row["request_id"], "")
        self.asked_once()

    def left(self, body: bytes) -> None:
        """Exactly these bytes, with our headers and none of the backend's."""
        answer = self.tried.answer
        assert (answer.status, answer.body) == (200, body)
        assert answer.all("Content-Type") == [KINDS[self.kind].type]
        assert {name for name, _ in answer.headers} - {"Connection"} <= OURS
        assert told("\n".join(f"{name}: {value}" for name, value in answer.headers)) == set()
        assert self.tried.row["status"] == 200
        self.asked_once()

    def asked_once(self) -> None:
        [(method, target, _)] = self.tried.asked
        assert (method, target) == ("GET", f"/dossiers/{self.numero}{KINDS[self.kind].path}")


OURS = {
    *("Date", "Content-Type", "Content-Length", "X-Policy", "X-Request-Id", "Cache-Control", "X-Content-Type-Options"),
    *("Referrer-Policy", "Content-Security-Policy", "Cross-Origin-Resource-Policy", "Strict-Transport-Security"),
}


@pytest.fixture
def ask(before: Gateway, lying: Lying, opened: dict[str, dict[str, str]]) -> Iterator[Callable[..., Answered]]:
    """Lets the backend lie at one address, once, and asks. Afterwards two agents are answered as ever."""
    sender = Sender(before, lying, opened)  # type: ignore[arg-type]  # asked what it was asked, as the other

    def tell(kind: str, act: Callable[[Wire, str], None]) -> Answered:
        numero = str(next(NUMBERS))
        lying.lie(numero, lambda wire: act(wire, numero))
        return Answered(kind, numero, sender.get(f"/dossiers/{numero}{KINDS[kind].path}", profile=AGENT))

    yield tell
    for profile in opened:
        for _ in range(2):  # both workers, now and then
            answer = before.ask(f"/dossiers/{ORDINARY}", opened[profile])
            assert (answer.status, answer.body) == (200, kept_dossier(KINDS["dossier"].good(ORDINARY), OPEN[profile]))


def head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    return head(status, *headers, f"Content-Length: {len(body)}") + body


JSON = "Content-Type: application/json"

# ------------------------------------------------------------------------------------------- 23: what JSON can be


def text(numero: str) -> str:
    return KINDS["dossier"].good(numero).decode()


def swap(old: str, new: str, *, every: bool = False) -> Bytes:
    """The dossier with `old` replaced: where it stands first, or everywhere. `@` in either is the number."""

    def body(numero: str) -> bytes:
        here, there = old.replace("@", numero), new.replace("@", numero)
        written = text(numero)
        assert here in written, here
        return written.replace(here, there, -1 if every else 1).encode("utf-8", "surrogatepass")

    return body


def around(before: bytes, behind: bytes = b"") -> Bytes:
    return lambda numero: before + KINDS["dossier"].good(numero) + behind


def coded(encoding: str) -> Bytes:
    return lambda numero: text(numero).encode(encoding)


def kept(value: str) -> Bytes:
    """The dossier with a value more in `logement`, which is kept whole."""
    return lambda numero: (
        text(numero).replace('"logement":{', f'"logement":{{"ajout":{value},', 1).encode("utf-8", "surrogatepass")
    )


def hidden(value: str) -> Bytes:
    """The dossier with a value more in `enfants`, which is closed."""
    return lambda numero: (
        text(numero).replace('"enfants":{', f'"enfants":{{"ajout":{value},', 1).encode("utf-8", "surrogatepass")
    )


OTHERS = '{"x":"CANARI-enfants-nom-1"}'
TWICE = {
    "RFC 8259, 4: numero": swap('{"numero":"@"', '{"numero":"9990002","numero":"@"'),
    "RFC 8259, 4: numero, the right one first": swap('{"numero":"@"', '{"numero":"@","numero":"9990002"'),
    "RFC 8259, 4: numero, with an escape": swap('{"numero":"@"', r'{"num\u0065ro":"9990002","numero":"@"'),
    "RFC 7493: caisse": swap('"caisse":', '"caisse":"999","caisse":'),
    "RFC 7493: rubriques": swap('"rubriques":{', f'"rubriques":{{"adresse":{OTHERS}}},"rubriques":{{'),
    "RFC 7493: rubriques, the good ones first": lambda numero: text(numero)[:-1].encode() + f',"rubriques":{{"adresse":{OTHERS}}}}}'.encode(),
    "RFC 7493: a rubric": swap('"adresse":{', f'"adresse":{OTHERS},"adresse":{{'),
    "RFC 7493: a rubric that is kept whole": swap('"logement":{', f'"logement":{OTHERS},"logement":{{'),
    "RFC 7493: a rubric that is closed": swap('"enfants":{', f'"enfants":{OTHERS},"enfants":{{'),
    "RFC 7493: a rubric, with an escape": swap('"adresse":{', f'"adress\\u0065":{OTHERS},"adresse":{{'),
    "RFC 7493: a field": swap('"adresse":{', '"adresse":{"pays":"CANARI-enfants-nom-1",'),
    "RFC 7493: a field, with a surrogate pair's escape": swap('"adresse":{', '"adresse":{"\\u0070ays":"CANARI-enfants-nom-1",'),
    "RFC 7493: a field of an item of a list": swap('"versements":[{', '"versements":[{"mois":"CANARI-enfants-nom-1",'),
    "RFC 7493: a field that never leaves": swap('"personnes":[{', '"personnes":[{"nir":"1","nir":"CANARI-enfants-nom-1",'),
    "RFC 7493: an unknown rubric": swap('"rubriques":{', f'"rubriques":{{"inconnue":{OTHERS},"inconnue":{OTHERS},'),
    "RFC 7493: an unknown part": swap('"caisse":', f'"inconnu":{OTHERS},"inconnu":{OTHERS},"caisse":'),
    "RFC 7493: an empty key": swap('"caisse":', f'"":{OTHERS},"":{OTHERS},"caisse":'),
    "RFC 7493: a hundred times": swap('"caisse":', '"caisse":"851",' * 100 + '"caisse":'),
}  # fmt: skip

SHAPES = {
    "a list for the whole": lambda numero: b"[" + text(numero).encode() + b"]",
    "a text for the whole": lambda numero: json.dumps(text(numero)).encode(),
    "a number for the whole": lambda numero: numero.encode(),
    "null": lambda _: b"null",
    "true": lambda _: b"true",
    "nothing": lambda _: b"",
    "blanks": lambda _: b" \r\n\t ",
    "rubriques is a list": lambda numero: text(numero).replace('"rubriques":{', '"rubriques":[{').encode()[:-1] + b"]}",
    "rubriques is a text": lambda numero: json.dumps({"numero": numero, "caisse": "851", "rubriques": text(numero)}).encode(),
    "a rubric is a list": swap('"adresse":{', '"adresse":["CANARI-enfants-nom-1"],"autre":{'),
    "a rubric is a text": swap('"adresse":{', '"adresse":"CANARI-enfants-nom-1","autre":{'),
    "a rubric is a number": swap('"adresse":{', '"adresse":1,"autre":{'),
    "a list is an object": swap('"versements":[', '"versements":{"a":["CANARI-enfants-nom-1"]},"autre":['),
    "an item of a list is a list": swap('"versements":[', '"versements":[["CANARI-enfants-nom-1"],'),
    "an item of a list is a text": swap('"personnes":[', '"personnes":["CANARI-enfants-nom-1",'),
    "the number is a number": swap('"numero":"@"', '"numero":@'),
    "the number is a list": swap('"numero":"@"', '"numero":["@"]'),
    "the number is null": swap('"numero":"@"', '"numero":null'),
    "the number is another's": swap('"numero":"@"', '"numero":"9990002"'),
    "the number has a blank": swap('"numero":"@"', '"numero":"@ "'),
    "the number is missing": swap('"numero":"@",', ""),
    "the number is renamed": swap('"numero":"@"', '"numéro":"@"'),
    "the number has capitals": swap('"numero":"@"', '"NUMERO":"@"'),
    "the number is in a part": swap('"numero":"@",', '"entete":{"numero":"@"},'),
    "the number is in full-width digits": lambda numero: text(numero).replace(numero, "".join(chr(ord(c) + 0xFEE0) for c in numero), 1).encode(),
}  # fmt: skip

NOT_JSON = {
    "a byte-order mark": around(b"\xef\xbb\xbf"),
    "a byte-order mark behind": around(b"", b"\xef\xbb\xbf"),
    "UTF-16 with its mark": coded("utf-16"),
    "UTF-16, little end first": coded("utf-16-le"),
    "UTF-16, big end first": coded("utf-16-be"),
    "UTF-32": coded("utf-32-be"),
    "UTF-7": lambda numero: text(numero).replace('"', "+ACI-").encode(),
    "Latin-1": coded("latin-1"),
    "a byte that is no UTF-8": lambda numero: text(numero).encode().replace(b'"logement":{', b'"logement":{"a":"\xff",', 1),
    "an overlong slash": lambda numero: text(numero).encode().replace(b'"logement":{', b'"logement":{"a":"\xc0\xaf",', 1),
    "half a surrogate pair, as bytes": kept('"\ud800"'),
    "half a surrogate pair, as bytes, in what is closed": hidden('"\udfff"'),
    "half a surrogate pair, escaped": kept(r'"\ud800"'),
    "the other half, escaped": kept(r'"\udfff"'),
    "a pair the wrong way round": kept(r'"\udc00\ud800"'),
    "half a pair in a key": kept(r'{"\ud800":1}'),
    "half a pair in what is closed": hidden(r'"\ud800"'),
    "NaN": kept("NaN"),
    "NaN in what is closed": hidden("NaN"),
    "Infinity": kept("Infinity"),
    "less than nothing at all": kept("-Infinity"),
    "a sign": kept("+1"),
    "a zero before": kept("007"),
    "a point before": kept(".5"),
    "a point behind": kept("5."),
    "hexadecimal": kept("0x10"),
    "a thousands' mark": kept("1_000"),
    "an exponent without digits": kept("1e"),
    "single quotes": kept("'a'"),
    "undefined": kept("undefined"),
    "True": kept("True"),
    "a comment": swap('"caisse":', '/* CANARI-enfants-nom-1 */"caisse":'),
    "a comment to the end of the line": swap('"caisse":', '// a\n"caisse":'),
    "a comma too many": swap('"caisse":', ',"caisse":'),
    "a comma too many at the end": lambda numero: text(numero).encode()[:-1] + b",}",
    "a key without quotes": swap('"caisse":', "caisse:"),
    "a raw line feed in a text": kept('"a\nb"'),
    "a raw null in a text": kept('"a\0b"'),
    "an escape that is none": kept(r'"\x41"'),
    "an escape cut short": kept(r'"\u00"'),
    "a null behind": around(b"", b"\0"),
    "two dossiers": around(b"", KINDS["dossier"].good(ORDINARY)),
    "two dossiers, a line each": around(b"", b"\n" + KINDS["dossier"].good(ORDINARY)),
    "a sequence of texts": around(b"\x1e"),
    "a guard before": around(b")]}',\n"),
    "a script": around(b"rappel(", b");"),
    "a blank that JSON has not": around("\u00a0".encode()),
    "a form feed": around(b"\x0c"),
    "half of it": lambda numero: KINDS["dossier"].good(numero)[: len(text(numero)) // 2],
    "its last brace missing": lambda numero: KINDS["dossier"].good(numero)[:-1],
    "100 000 lists in what is kept": kept("[" * 100_000 + "]" * 100_000),
    "100 000 objects in what is kept": kept('{"a":' * 100_000 + "1" + "}" * 100_000),
    "100 000 lists in what is closed": hidden("[" * 100_000 + "]" * 100_000),
    "a million brackets": lambda _: b"[" * 1_000_000,
    "100 000 lists in what is unknown": swap('"caisse":', '"inconnu":' + "[" * 100_000 + "]" * 100_000 + ',"caisse":'),
}  # fmt: skip

UNKNOWN = {
    "in capitals": swap('"adresse":{', f'"ADRESSE":{OTHERS},"Adresse":{OTHERS},"adresse":{{'),
    "in full-width letters": swap('"adresse":{', f'"ａｄｒｅｓｓｅ":{OTHERS},"adresse":{{'),
    "with a long s, which folds into s": swap('"adresse":{', f'"adreſſe":{OTHERS},"adresse":{{'),
    "with a Cyrillic letter": swap('"adresse":{', f'"аdresse":{OTHERS},"adresse":{{'),
    "with an accent in two characters": swap('"adresse":{', f'"adresse\u0301":{OTHERS},"adress\u00e9":{OTHERS},"adresse":{{'),
    "with a zero-width space": swap('"adresse":{', f'"adresse\u200b":{OTHERS},"adresse":{{'),
    "with a blank": swap('"adresse":{', f'"adresse ":{OTHERS}," adresse":{OTHERS},"adresse":{{'),
    "with a null, escaped": swap('"adresse":{', f'"adresse\\u0000":{OTHERS},"adresse":{{'),
    "a pointer's spelling": swap('"adresse":{', f'"/rubriques/adresse":{OTHERS},"~1":{OTHERS},"*":{OTHERS},"{{rubric}}":{OTHERS},"adresse":{{'),
    "a word of the route table": swap('"caisse":', f'"always":{OTHERS},"never":{OTHERS},"number":{OTHERS},"caisse":'),
    "a field in capitals": swap('"adresse":{', '"adresse":{"PAYS":"CANARI-enfants-nom-1","Destinataire":"CANARI-enfants-nom-1",'),
    "a new field of a closed part": swap('"adresse":{', '"adresse":{"telephone":"CANARI-enfants-nom-1",'),
    "a new field of an item": swap('"versements":[{', '"versements":[{"compte":"CANARI-enfants-nom-1","IBAN":"CANARI-enfants-nom-1",'),
    "a new part beside the rubrics": swap('"caisse":', f'"historique":{OTHERS},"caisse":'),
    "a rubric beside the rubrics": swap('"caisse":', f'"adresse":{OTHERS},"enfants":{OTHERS},"caisse":'),
    "rubrics within a closed rubric": swap('"enfants":{', f'"enfants":{{"adresse":{OTHERS},'),
    "keys of Python's and JavaScript's": swap('"caisse":', f'"__class__":{OTHERS},"__proto__":{OTHERS},"constructor":{OTHERS},"caisse":'),
    "20 000 unknown keys": swap('"caisse":', "".join(f'"cle{n}":{n},' for n in range(20_000)) + '"caisse":'),
}  # fmt: skip

AS_SENT = {
    "1e400": "1e400",
    "an integer of 23 digits": "12345678901234567890123",
    "an integer of 5 000 digits": "9" * 5_000,
    "an amount with its zeros": "1.10",
    "minus zero": "-0",
    "an exponent": "1E+2",
    "a small number": "1e-400",
    "escapes": r'"\u00e9\/\ud83d\ude00\u0000"',
    "an accent in two characters": '"e\u0301"',
    "a key twice within": '{"a":1,"a":2}',
    "keys that differ by case within": '{"a":1,"A":2}',
    "900 lists": "[" * 900 + "]" * 900,
    "a text of a megabyte": '"' + "é" * 500_000 + '"',
    "a separator of lines": '"\u2028\u2029"',
    "white space": "[ 1 ,\t2\r\n]",
}  # fmt: skip


@pytest.mark.attack(23)
@pytest.mark.parametrize("body", {**TWICE, **SHAPES, **NOT_JSON}.values(), ids={**TWICE, **SHAPES, **NOT_JSON})
def test_json_that_is_not_the_declared_dossier_is_not_passed_on(ask, body):
    ask("dossier", lambda wire, numero: wire.send(whole(body(numero), JSON))).not_passed_on("GW403")


@pytest.mark.attack(23)
@pytest.mark.parametrize("body", UNKNOWN.values(), ids=UNKNOWN)
def test_a_key_that_is_not_exactly_a_known_one_is_withheld(ask, body):
    """Copied is what is granted, by its exact name: the rest leaves as if none of this had been there."""
    answered = ask("dossier", lambda wire, numero: wire.send(whole(body(numero), JSON)))
    answered.left(leaves("dossier", KINDS["dossier"].good(answered.numero)))
    assert "CANARI" not in answered.tried.logged


@pytest.mark.attack(23)
@pytest.mark.parametrize("value", AS_SENT.values(), ids=AS_SENT)
def test_what_is_odd_and_granted_leaves_byte_for_byte_and_what_is_closed_does_not(ask, value):
    """RFC 7493 warns of what readers make of such values: nobody reads them here."""
    answered = ask("dossier", lambda wire, numero: wire.send(whole(kept(value)(numero), JSON)))
    ordinary = leaves("dossier", KINDS["dossier"].good(answered.numero))
    expected = ordinary.replace(b'"logement":{', b'"logement":{"ajout":' + value.encode() + b",", 1)
    answered.left(expected)
    answered = ask("dossier", lambda wire, numero: wire.send(whole(hidden(value)(numero), JSON)))
    answered.left(leaves("dossier", KINDS["dossier"].good(answered.numero)))


RUBRIC = {
    "a field twice": lambda rubric: b'{"pays":"CANARI-enfants-nom-1",' + rubric[1:],
    "a field twice, escaped": lambda rubric: b'{"p\\u0061ys":"CANARI-enfants-nom-1",' + rubric[1:],
    "a list": lambda rubric: b"[" + rubric + b"]",
    "a text": lambda rubric: json.dumps(rubric.decode()).encode(),
    "a byte-order mark": lambda rubric: b"\xef\xbb\xbf" + rubric,
    "UTF-16": lambda rubric: rubric.decode().encode("utf-16"),
    "NaN": lambda rubric: b'{"telephone":NaN,' + rubric[1:],
    "half a surrogate pair": lambda rubric: b'{"telephone":"\\ud800",' + rubric[1:],
    "100 000 lists": lambda rubric: b'{"telephone":' + b"[" * 100_000 + b"]" * 100_000 + b"," + rubric[1:],
    "two": lambda rubric: rubric * 2,
    "nothing": lambda _: b"",
    "the whole dossier twice": lambda _: KINDS["dossier"].good(ORDINARY) * 2,
}


@pytest.mark.attack(23)
@pytest.mark.parametrize("change", RUBRIC.values(), ids=RUBRIC)
def test_json_that_is_not_the_declared_rubric_is_not_passed_on(ask, change):
    body = lambda numero: change(KINDS["rubric"].good(numero))  # noqa: E731
    ask("rubric", lambda wire, numero: wire.send(whole(body(numero), JSON))).not_passed_on("GW403")


@pytest.mark.attack(23)
def test_a_whole_dossier_in_the_place_of_a_rubric_is_nothing_but_unknown_keys(ask):
    answered = ask("rubric", lambda wire, numero: wire.send(whole(KINDS["dossier"].good(numero), JSON)))
    answered.left(b"{}")


def workers_memory(gateway: Gateway) -> int:
    """Bytes that the processes of a gateway hold, together."""
    return sum(one.memory_info().rss for one in gateway.workers())


MEGABYTES = 100
BLANK = b" " * 1_000_000


def a_hundred_megabytes(kind: str, *, chunked: bool, compressed: bool = False) -> Callable[[Wire, str], None]:
    def act(wire: Wire, numero: str) -> None:
        body = KINDS[kind].good(numero)
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body) + MEGABYTES * len(BLANK)}"
        encoding = ("Content-Encoding: gzip",) if compressed else ()
        wire.send(head("200 OK", f"Content-Type: {KINDS[kind].type}", length, *encoding))
        for piece in (body[:-1], *[BLANK] * MEGABYTES, body[-1:]):
            wire.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)

    return act


@pytest.mark.attack(23)
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "in chunks"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_megabytes_are_refused_and_not_kept(ask, before, kind, chunked):
    held = workers_memory(before)
    for _ in range(3):
        ask(kind, a_hundred_megabytes(kind, chunked=chunked)).not_passed_on("GW403")
    assert workers_memory(before) - held < 50_000_000


# ----------------------------------------------------------------------------------- 24: types and encodings

TYPES = {
    "none": (),
    "empty": ("Content-Type:",),
    "nonsense": ("Content-Type: x",),
    "another charset": ("Content-Type: {type}; charset=utf-16",),
    "UTF-7": ("Content-Type: {type}; charset=utf-7",),
    "Latin-1": ("Content-Type: {type};charset=iso-8859-1",),
    "two charsets": ("Content-Type: {type}; charset=utf-8; charset=utf-16",),
    "a charset in a parameter": ('Content-Type: {type}; x="; charset=utf-8"',),
    "a profile": ("Content-Type: {type}; profile=x",),
    "two in one line": ("Content-Type: {type}, text/html",),
    "two lines": ("Content-Type: {type}", "Content-Type: text/html"),
    "twice the same": ("Content-Type: {type}", "Content-Type: {type}"),
    "folded over two lines": ("Content-Type: {type};\r\n charset=utf-16",),
    "another vendor's": ("Content-Type: application/vnd.x+json",),
    "a problem's": ("Content-Type: application/problem+json",),
    "text/json": ("Content-Type: text/json",),
    "text": ("Content-Type: text/plain",),
    "a page": ("Content-Type: text/html; charset=utf-8",),
    "a picture with scripts": ("Content-Type: image/svg+xml",),
    "a script": ("Content-Type: application/javascript",),
    "bytes": ("Content-Type: application/octet-stream",),
    "several parts": ("Content-Type: multipart/mixed; boundary=a",),
    "the other kind's": ("Content-Type: {other}",),
    "any": ("Content-Type: */*",),
    "a null in it": ("Content-Type: {type}\0",),
}

ENCODINGS: dict[str, tuple[tuple[str, ...], Callable[[bytes], bytes]]] = {
    "gzip": (("Content-Encoding: gzip",), gzip.compress),
    "x-gzip": (("Content-Encoding: x-gzip",), gzip.compress),
    "deflate": (("Content-Encoding: deflate",), zlib.compress),
    "raw deflate": (("Content-Encoding: deflate",), lambda body: zlib.compress(body, wbits=-15)),
    "br": (("Content-Encoding: br",), bytes),
    "zstd": (("Content-Encoding: zstd",), bytes),
    "gzip twice": (("Content-Encoding: gzip, gzip",), lambda body: gzip.compress(gzip.compress(body))),
    "gzip on two lines": (("Content-Encoding: gzip", "Content-Encoding: gzip"), lambda body: gzip.compress(gzip.compress(body))),
    "identity and gzip": (("Content-Encoding: identity", "Content-Encoding: gzip"), gzip.compress),
    "identity, gzip": (("Content-Encoding: identity, gzip",), gzip.compress),
    "said and not done": (("Content-Encoding: gzip",), bytes),
    "an encoding that nobody knows": (("Content-Encoding: inconnu",), bytes),
    "aws-chunked": (("Content-Encoding: aws-chunked",), bytes),
    "an empty encoding": (("Content-Encoding:",), bytes),
    "a transfer coding": (("Transfer-Encoding: gzip, chunked",), lambda body: b"%x\r\n%s\r\n0\r\n\r\n" % (len(gzip.compress(body)), gzip.compress(body))),
    "a transfer coding alone": (("Transfer-Encoding: gzip",), gzip.compress),
}  # fmt: skip


@pytest.mark.attack(24)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("headers", TYPES.values(), ids=TYPES)
def test_a_type_that_the_route_does_not_declare_is_not_passed_on(ask, kind, headers):
    other = "application/pdf" if kind != "document" else "application/json"
    typed = [header.replace("{type}", KINDS[kind].type).replace("{other}", other) for header in headers]
    ask(kind, lambda wire, numero: wire.send(whole(KINDS[kind].good(numero), *typed))).not_passed_on("GW403")


@pytest.mark.attack(24)
@pytest.mark.parametrize("written", ["application/json;charset=utf-8", 'APPLICATION/JSON ; charset="UTF-8"'])
def test_the_declared_type_however_it_is_written_goes_out_clean(ask, written):
    answered = ask("dossier", lambda wire, n: wire.send(whole(KINDS["dossier"].good(n), f"Content-Type: {written}")))
    answered.left(leaves("dossier", KINDS["dossier"].good(answered.numero)))


@pytest.mark.attack(24)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("headers", "encode"), ENCODINGS.values(), ids=ENCODINGS)
def test_an_encoding_that_nobody_asked_for_is_not_undone_and_not_passed_on(ask, kind, headers, encode):
    def act(wire: Wire, numero: str) -> None:
        body = encode(KINDS[kind].good(numero))
        length = () if headers[0].startswith("Transfer") else (f"Content-Length: {len(body)}",)
        wire.send(head("200 OK", f"Content-Type: {KINDS[kind].type}", *headers, *length) + body)
        wire.hang_up()

    answered = ask(kind, act)
    answered.not_passed_on("GW403")
    [(_, _, sent)] = answered.tried.asked
    assert dict(sent)["accept-encoding"] == "identity"


@pytest.mark.attack(24)
@pytest.mark.parametrize(
    "said", [("Content-Encoding: gzip",), ("Content-Encoding: gzip, gzip",), ()], ids=["said", "twice", "unsaid"]
)
def test_a_bomb_does_not_go_off(ask, before, said):
    """CWE-409: nothing is decompressed here, and so nothing grows."""
    sent, held = gzip_bomb(ORDINARY), workers_memory(before)
    for _ in range(2):
        ask("dossier", lambda wire, _: wire.send(whole(sent, JSON, *said))).not_passed_on("GW403")
    assert workers_memory(before) - held < 50_000_000


# --------------------------------------------------------------------------- 25: statuses, headers, framing

SPEAKING = (
    f"X-Famille: {SECRET}",
    f"Server: {SECRET}",
    f'ETag: "{SECRET}"',
    "Last-Modified: Fri, 01 Jun 2012 08:00:00 GMT",
    f"Set-Cookie: famille={SECRET}",
    f'Content-Disposition: attachment; filename="{SECRET}"',
    f"Warning: 199 - {SECRET}",
    f"Content-Location: /dossiers/{SECRET}",
    "Cache-Control: public, max-age=86400",
    "Access-Control-Allow-Origin: *",
    f"Proxy-Status: {SECRET}",
    f"X-Request-Id: {SECRET}",
    f"X-Policy: {SECRET}",
)
OTHER_STATUSES = (
    *("199 X", "201 Created", "202 Accepted", "203 X", "204 No Content", "205 Reset", "206 Partial Content", "207 X", "226 X", "299 X"),
    *("300 X", "301 X", "302 X", "303 X", "304 Not Modified", "305 X", "307 X", "308 X"),
    *("400 X", "401 X", "402 X", "403 X", "405 X", "406 X", "407 X", "409 X", "410 Gone", "416 X", "418 X", "429 X", "451 X"),
    *("500 X", "501 X", "502 X", "503 X", "504 X", "507 X", "511 X", "599 X", "600 X", "999 X"),
)  # fmt: skip


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[socket.socket]:
    """An address that a Location names, and where nobody must come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.mark.attack(25)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", OTHER_STATUSES)
def test_a_status_that_is_not_200_brings_nothing_of_its_body_or_headers(ask, elsewhere, kind, status):
    """RFC 9110, 13: nothing conditional is ever asked, so that 206 and 304 are no answers; and no Location is
    followed."""
    there = f"Location: http://127.0.0.1:{elsewhere.getsockname()[1]}/dossiers/9990002"

    def act(wire: Wire, numero: str) -> None:
        body = KINDS[kind].good(numero)
        ranged = f"Content-Range: bytes 0-{len(body) - 1}/{len(body)}"
        wire.send(whole(body, f"Content-Type: {KINDS[kind].type}", there, ranged, *SPEAKING, status=status))
        wire.hang_up()

    ask(kind, act).not_passed_on("GW403")
    with pytest.raises(BlockingIOError):
        elsewhere.accept()


@pytest.mark.attack(25)
@pytest.mark.parametrize("kind", KINDS)
def test_a_404_with_a_dossier_in_it_is_our_404(ask, kind):
    answered = ask(kind, lambda wire, n: wire.send(whole(KINDS[kind].good(n), JSON, *SPEAKING, status="404 X")))
    answered.not_passed_on("GW401")


@pytest.mark.attack(25)
@pytest.mark.parametrize("kind", KINDS)
def test_no_header_of_a_good_answer_is_passed_on(ask, kind):
    """An ETag or a date of the whole body would tell when a hidden part changes."""
    typed = f"Content-Type: {KINDS[kind].type}"
    answered = ask(kind, lambda wire, n: wire.send(whole(KINDS[kind].good(n), typed, *SPEAKING)))
    answered.left(leaves(kind, KINDS[kind].good(answered.numero)))
    assert answered.tried.answer.one("Cache-Control") == "no-store"


def chunks(*pieces: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + last


Framed = Callable[[str, bytes], bytes]
"""From a type and a body to all that is on the wire before the connection ends."""
CHUNKED = "Transfer-Encoding: chunked"
BROKEN: dict[str, Framed] = {
    "RFC 9112, 8: ten bytes too few": lambda kind, body: head("200 OK", kind, f"Content-Length: {len(body) + 10}") + body,
    "RFC 9112, 8: half of it": lambda kind, body: head("200 OK", kind, f"Content-Length: {len(body)}") + body[: len(body) // 2],
    "RFC 9112, 8: none of it": lambda kind, body: head("200 OK", kind, f"Content-Length: {len(body)}"),
    "RFC 9112, 8: no last chunk": lambda kind, body: head("200 OK", kind, CHUNKED) + chunks(body, last=b""),
    "RFC 9112, 8: half a last chunk": lambda kind, body: head("200 OK", kind, CHUNKED) + chunks(body, last=b"0\r\n"),
    "a chunk shorter than it says": lambda kind, body: head("200 OK", kind, CHUNKED) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body) + 5, body),
    "a chunk longer than it says": lambda kind, body: head("200 OK", kind, CHUNKED) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body) - 5, body),
    "a chunk whose length is no number": lambda kind, body: head("200 OK", kind, CHUNKED) + b"zz\r\n" + body + b"\r\n0\r\n\r\n",
    "a chunk of minus one": lambda kind, body: head("200 OK", kind, CHUNKED) + b"-1\r\n" + body + b"\r\n0\r\n\r\n",
    "a chunk of more than 2^64": lambda kind, body: head("200 OK", kind, CHUNKED) + b"10000000000000001\r\n" + body + b"\r\n0\r\n\r\n",
    "a length and chunks": lambda kind, body: head("200 OK", kind, CHUNKED, f"Content-Length: {len(body)}") + chunks(body),
    "two lengths": lambda kind, body: head("200 OK", kind, f"Content-Length: {len(body)}", f"Content-Length: {len(body) - 3}") + body,
    "two lengths in one line": lambda kind, body: head("200 OK", kind, f"Content-Length: {len(body)}, {len(body) - 3}") + body,
    "a length below nothing": lambda kind, body: head("200 OK", kind, "Content-Length: -1") + body,
    "a length that is no number": lambda kind, body: head("200 OK", kind, "Content-Length: beaucoup") + body,
    "a length of more than 2^64": lambda kind, body: head("200 OK", kind, "Content-Length: 99999999999999999999") + body,
    "chunked twice": lambda kind, body: head("200 OK", kind, CHUNKED, CHUNKED) + chunks(body),
    "an unknown coding": lambda kind, body: head("200 OK", kind, "Transfer-Encoding: inconnu") + body,
    "another version": lambda kind, body: b"HTTP/9.9 200 OK\r\n" + kind.encode() + b"\r\n\r\n" + body,
    "no version": lambda kind, body: body,
    "HTTP/2": lambda kind, body: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + body,
    "a status that is no number": lambda kind, body: b"HTTP/1.1 2OO OK\r\n" + kind.encode() + b"\r\n\r\n" + body,
    "a status of two digits": lambda kind, body: b"HTTP/1.1 20 OK\r\n" + kind.encode() + b"\r\n\r\n" + body,
    "another protocol": lambda kind, body: head("101 Switching Protocols", "Connection: Upgrade", "Upgrade: dossier") + body,
    "interim answers without an end": lambda kind, body: head("103 Early Hints", f"Link: <{SECRET}>") * 3,
    "a head that breaks off": lambda kind, body: b"HTTP/1.1 200 OK\r\n" + kind.encode() + b"\r\nX-Famille: " + SECRET.encode(),
    "a header of a megabyte": lambda kind, body: head("200 OK", kind, f"X: {SECRET * 30_000}", f"Content-Length: {len(body)}") + body,
    "a line that is no header": lambda kind, body: head("200 OK", kind, SECRET, f"Content-Length: {len(body)}") + body,
}  # fmt: skip

WHOLE: dict[str, Framed] = {
    "RFC 9110, 13: another's answer behind the first": lambda kind, body: whole(body, kind) + whole(KINDS["dossier"].good("9990002"), kind),
    "trailers": lambda kind, body: head("200 OK", kind, CHUNKED, "Trailer: X-Famille") + chunks(body, last=f"0\r\nX-Famille: {SECRET}\r\nSet-Cookie: a={SECRET}\r\nContent-Type: text/html\r\n\r\n".encode()),
    "one interim answer": lambda kind, body: head("103 Early Hints", f"Link: <{SECRET}>", "Content-Type: text/html") + whole(body, kind),
    "several interim answers": lambda kind, body: head("100 Continue") + head("102 X", f"X-A: {SECRET}") + head("103 X") + whole(body, kind),
    "chunks of one byte": lambda kind, body: head("200 OK", kind, CHUNKED) + chunks(*(bytes([byte]) for byte in body)),
    "remarks in chunks": lambda kind, body: head("200 OK", kind, CHUNKED) + b"%x;%s\r\n%s\r\n0\r\n\r\n" % (len(body), SECRET.encode(), body),
    "the end of the connection as its end": lambda kind, body: head("200 OK", kind) + body,
    "a range that nobody asked for": lambda kind, body: whole(body, kind, f"Content-Range: bytes 0-{len(body)}/{len(body) * 2}"),
    "a folded line": lambda kind, body: head("200 OK", kind, f"X-A: a\r\n {SECRET}", f"Content-Length: {len(body)}") + body,
    "headers of the connection": lambda kind, body: whole(body, kind, "Connection: close, X-Policy, X-Request-Id", "Keep-Alive: timeout=1", "Upgrade: h2c"),
}  # fmt: skip


@pytest.mark.attack(25)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framed", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_is_not_framed_as_it_says_is_not_passed_on(ask, kind, framed):
    def act(wire: Wire, numero: str) -> None:
        wire.send(framed(f"Content-Type: {KINDS[kind].type}", KINDS[kind].good(numero)))
        wire.hang_up()

    ask(kind, act).not_passed_on("GW403")


@pytest.mark.attack(25)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sent_beyond_the_announced_length_is_not_the_answer(ask, kind):
    """JSON that breaks off is refused. Of a document the announced bytes are the whole, and the rest is dropped."""

    def act(wire: Wire, numero: str) -> None:
        body = KINDS[kind].good(numero)
        wire.send(head("200 OK", f"Content-Type: {KINDS[kind].type}", f"Content-Length: {len(body) - 10}") + body)

    answered = ask(kind, act)
    if kind == "document":
        answered.left(KINDS[kind].good(answered.numero)[:-10])
    else:
        answered.not_passed_on("GW403")


@pytest.mark.attack(25)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framed", WHOLE.values(), ids=WHOLE)
def test_what_stands_around_a_good_answer_is_neither_it_nor_the_next(ask, kind, framed):
    def act(wire: Wire, numero: str) -> None:
        wire.send(framed(f"Content-Type: {KINDS[kind].type}", KINDS[kind].good(numero)))
        wire.hang_up()

    answered = ask(kind, act)
    answered.left(leaves(kind, KINDS[kind].good(answered.numero)))


# ------------------------------------------------------------------------------------------- 26: half-way

HALF_WAY: dict[str, tuple[str, Callable[[Wire, bytes, bytes], None]]] = {
    "a backend that falls silent": ("GW404", lambda wire, start, rest: (wire.send(start), wire.wait(DEADLINE * 4), wire.send(rest))),  # type: ignore[dict-item]
    "a backend that drips": ("GW404", lambda wire, start, rest: (wire.send(start), [(wire.send(rest[n : n + 1]), wire.wait(0.2)) for n in range(60)])),  # type: ignore[dict-item]
    "a backend that is reset": ("GW403", lambda wire, start, rest: (wire.send(start), wire.wait(0.1), wire.reset())),  # type: ignore[dict-item]
    "a backend that leaves": ("GW403", lambda wire, start, rest: (wire.send(start), wire.hang_up())),  # type: ignore[dict-item]
    "a document that goes wrong at its last byte": ("GW403", lambda wire, start, rest: (wire.send(start), wire.send(rest[:-1] + b"\xff"))),  # type: ignore[dict-item]
}  # fmt: skip


@pytest.mark.attack(26)
@pytest.mark.parametrize(("code", "act"), HALF_WAY.values(), ids=HALF_WAY)
def test_a_backend_that_fails_half_way_has_sent_nothing(ask, code, act):
    """CWE-209: the open half of a dossier has arrived by then, and stays here."""

    def half(wire: Wire, numero: str) -> None:
        body = KINDS["dossier"].good(numero)
        start, rest = body[: len(body) // 2], body[len(body) // 2 :]
        act(wire, head("200 OK", JSON, f"Content-Length: {len(body)}") + start, rest)
        wire.hang_up()

    ask("dossier", half).not_passed_on(code)


# -------------------------------------------------------------------------------------------- 28: existence


POISON = """
import gateway.redaction.answers as answers

ordinary = answers.redact


def redact(body, plan, number):
    redacted = ordinary(body, plan, number)
    if number == "9990005":
        raise RuntimeError(f"{number}: {body.decode()} {redacted}")
    if number == "9990006":
        raise MemoryError(body)
    if number == "9990007":
        raise KeyboardInterrupt(body)
    return redacted


answers.redact = redact
"""
"""A defect of our own: the parser, or whatever stands behind it, fails with the dossier in its words."""


@pytest.mark.looks_inside
@pytest.mark.attack(26)
@pytest.mark.parametrize("numero", ["9990005", "9990006", "9990007"], ids=["an error", "no memory", "an interruption"])
def test_a_redaction_that_fails_passes_nothing_on(start_gateway, lying, tmp_path, monkeypatch, numero):
    """CWE-209, and the proxy that streams the raw body when its redaction throws. The fault is put into the real
    process before it starts."""
    (tmp_path / "sitecustomize.py").write_text(POISON)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    gateway = start_gateway(lying.url)
    gateway.enter("t13", AGENT)
    sessions = {AGENT: gateway.log_in("t13")}
    sender = Sender(gateway, lying, sessions)  # type: ignore[arg-type]
    assert sender.get(f"/dossiers/{ORDINARY}", profile=AGENT).answer.status == 200
    for _ in range(3):
        tried = sender.get(f"/dossiers/{numero}", profile=AGENT)
        assert tried.answer.status == 500
        assert "CANARI" not in tried.answer.text() + tried.logged
        if tried.answer.body:
            is_problem(tried.answer, 500, "GW500")
            assert (tried.row["status"], tried.row["code"], tried.row["rubrics"]) == (500, "GW500", "[]")
        assert sender.get(f"/dossiers/{ORDINARY}", profile=AGENT).answer.status == 200


@pytest.mark.attack(26)
def test_a_policy_that_fails_on_the_facts_opens_nothing_and_nothing_is_fetched(before, lying, opened):
    """A fact outside its vocabulary is a fault of the policy, not an answer of it."""
    before.enter("martien", AGENT)
    session = before.log_in("martien")
    with before.store.change() as connection:
        connection.exec_driver_sql("UPDATE partner SET kind = 'martien' WHERE name = 'Partenaire martien'")
    sender = Sender(before, lying, {AGENT: session})  # type: ignore[arg-type]
    for path in (
        f"/dossiers/{ORDINARY}",
        f"/dossiers/{ORDINARY}/rubriques/adresse",
        f"/dossiers/{ORDINARY}/courriers/co-1.pdf",
    ):
        tried = sender.get(path, profile=AGENT)
        is_problem(tried.answer, 503, "GW501")
        assert (tried.row["status"], tried.row["code"], tried.row["rubrics"]) == (503, "GW501", "[]")
        tried.unheard()


@pytest.mark.attack(26)
def test_a_record_that_cannot_be_written_keeps_the_answer_in(start_gateway, lying):
    """The document is here, redacted, ready: without its row it does not leave."""
    gateway = start_gateway(lying.url)
    gateway.enter("t13", AGENT)
    session = gateway.log_in("t13")
    path = f"/dossiers/{ORDINARY}"
    assert gateway.ask(path, session).status == 200
    with closing(sqlite3.connect(gateway.record_file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        asked, rows = len(lying.asked), len(gateway.record_rows())
        for each in (path, f"{path}/rubriques/adresse", f"{path}/courriers/co-{ORDINARY}-0.pdf"):
            is_problem(gateway.ask(each, session), 503, "GW503")
        assert len(lying.asked) - asked == 3
        assert len(gateway.record_rows()) == rows
        holder.execute("ROLLBACK")
    answer = gateway.ask(path, session)
    assert (answer.status, answer.body) == (200, leaves("dossier", KINDS["dossier"].good(ORDINARY)))
    assert "CANARI" not in gateway.log()


# ------------------------------------------------------------------------------------------------ 27: lists


def in_another_order(numero: str) -> bytes:
    top = members(text(numero))
    rubrics = list(members(top["rubriques"]).items())
    random.Random(27).shuffle(rubrics)
    inside = ",".join(f'"{slug}":{rubric}' for slug, rubric in rubrics)
    return f'{{"rubriques":{{{inside}}},"caisse":{top["caisse"]},"numero":{top["numero"]}}}'.encode()


TOTALS = '"total":20,"page":1,"suivant":"/dossiers/9990002","rubriques_presentes":["enfants","rsa"],'
REVEALING = {
    "totals beside the number": swap('"caisse":', f'{TOTALS}"caisse":'),
    "totals beside the rubrics": swap('"rubriques":{', f'"rubriques":{{{TOTALS}'),
    "totals in a part that lists its fields": swap('"adresse":{', f'"adresse":{{{TOTALS}'),
    "totals in a list's items": swap('"versements":[{', f'"versements":[{{{TOTALS}'),
    "links in the style of HAL": swap('"caisse":', '"_links":{"next":{"href":"CANARI-enfants-nom-1"}},"_embedded":{},"caisse":'),
    "rubrics in another order": in_another_order,
}  # fmt: skip
PAGED = (
    "X-Total-Count: 20",
    'Link: </dossiers/9990002>; rel="next"',
    "Content-Range: items 0-9/20",
    "Accept-Ranges: items",
)


@pytest.mark.attack(27)
@pytest.mark.parametrize("body", REVEALING.values(), ids=REVEALING)
def test_totals_links_and_order_of_the_backend_tell_nothing_of_what_is_hidden(ask, body):
    """CWE-203: exactly the ordinary dossier leaves, in the order of the route table."""
    answered = ask("dossier", lambda wire, numero: wire.send(whole(body(numero), JSON, *PAGED)))
    answered.left(leaves("dossier", KINDS["dossier"].good(answered.numero)))


@pytest.mark.attack(27)
def test_lists_of_documents_are_whole_or_absent_and_never_counted(ask, before, opened):
    """T13 reads letters, T2 does not: an empty list, a missing one and a closed one are told apart by nobody."""
    answered = ask("dossier", lambda wire, n: wire.send(whole(KINDS["dossier"].good(n), JSON)))
    rubrics = answered.tried.answer.json()["rubriques"]
    assert rubrics["courrier"] == json.loads(text(answered.numero))["rubriques"]["courrier"]
    assert {"attestation_paiement", "declaration_ressources"}.isdisjoint(rubrics)
    lists = ('"documents":[]', '"documents":[{"reference":"CANARI-courrier-x"}]', '"documents":null')
    seen = set()
    for documents in lists:

        def act(wire: Wire, numero: str, documents: str = documents) -> None:
            listed = json.loads(text(numero))
            listed["rubriques"]["courrier"] = json.loads(f"{{{documents}}}")
            wire.send(whole(json.dumps(listed).encode(), JSON))

        answered = ask("dossier", act)
        answer = before.ask(f"/dossiers/{answered.numero}", opened["T2"])
        assert "courrier" not in answer.text()
        seen.add(answer.body.replace(answered.numero.encode(), b""))
        is_problem(before.ask(f"/dossiers/{answered.numero}/rubriques/courrier", opened["T2"]), 403, "GW301")
    assert len({len(body) for body in seen}) == 1


# -------------------------------------------------------------------------------------------- 28: existence

LATENCY = 0.15
"""Seconds that the backend takes here: whoever asks it shows."""
EACH = 250


class Slow(Lying):
    """Takes its time, and has no dossier whose number ends in an odd digit."""

    def _answer(self, connection: socket.socket, request: bytes) -> bool:
        _, path, _ = parse_request(request)
        if path.startswith("/dossiers/"):
            time.sleep(LATENCY)
            if int(path.split("/")[2]) % 2:
                self.asked.append(("GET", path, []))
                connection.sendall(whole(b"{}", JSON, status="404 Not Found"))
                return True
        return super()._answer(connection, request)


@pytest.fixture(scope="module")
def slow() -> Iterator[Slow]:
    with closing(Slow()) as server:
        yield server


@pytest.fixture(scope="module")
def hiding(slow: Slow, start_gateway: StartGateway) -> Gateway:
    gateway = start_gateway(slow.url)
    for profile in ("T1", "T9", "T10"):
        gateway.enter(profile.lower(), profile)
    return gateway


def object_to(gateway: Gateway, numbers: list[str]) -> None:
    with gateway.store.change() as connection:
        for numero in numbers:
            connection.exec_driver_sql(
                "INSERT INTO objection (dossier, raised_at, reference) VALUES (?, ?, 'Lettre')", (numero, 1)
            )


PATHS = ("", "/rubriques/adresse", "/rubriques/paiement", "/rubriques/droits")


@pytest.mark.attack(28)
@pytest.mark.parametrize(("profile", "kind"), [("T9", "judgment"), ("T10", "direct_payment"), ("T1", "")], ids=str)
def test_what_is_not_yours_and_what_does_not_exist_are_refused_alike(hiding: Gateway, slow: Slow, profile, kind):
    """CWE-203: byte for byte, but for the request's id; decided before anything is fetched; the record alone knows."""
    session = hiding.log_in(profile.lower())
    numbers = iter(range(9_988_000 + 20 * int(profile[1:]), 9_990_000))
    named = [str(next(numbers)) for _ in range(8)]
    there, nowhere = named[0:4:2], named[1:4:2]
    objected = named[4:8]
    object_to(hiding, objected)
    if kind:
        for numero in objected[:2]:
            hiding.entrust(profile.lower(), numero, kind)
    asked = len(slow.asked)
    closed = {f"objection, {place}": numero for place, numero in enumerate(objected)}
    if kind:
        closed |= {f"there, {n}": numero for n, numero in enumerate(there)}
        closed |= {f"nowhere, {n}": numero for n, numero in enumerate(nowhere)}
    for method in ("GET", "HEAD"):
        for path in PATHS:
            answers = {why: hiding.ask(f"/dossiers/{n}{path}", session, method=method) for why, n in closed.items()}
            shapes = {why: lasting(answer) for why, answer in answers.items()}
            assert len(set(map(repr, shapes.values()))) == 1, shapes
            assert {answer.status for answer in answers.values()} == {403}
            kept = {why: hiding.recorded(answer)["code"] for why, answer in answers.items()}
            assert {code for why, code in kept.items() if why.startswith("objection")} <= {"GW320", "GW321"}
    assert slow.asked[asked:] == [], "nothing was fetched"
    if not kind:
        # Whoever may read any dossier may know that there is none.
        is_problem(hiding.ask(f"/dossiers/{nowhere[0]}", session), 404, "GW401")
        assert hiding.ask(f"/dossiers/{there[0]}", session).status == 200


def lasting(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    return answer.lasting()


@pytest.mark.attack(28)
def test_refusals_take_their_time_whatever_they_hide(hiding: Gateway, slow: Slow):
    """CWE-208: three kinds of dossiers are asked for in a shuffle, each number once, on one connection, so that what
    else the machine does falls on all of them alike.

    Two things are asserted. The medians lie much closer together than the backend takes, so that it cannot have been
    asked for one kind only. And of two answers of different kinds either is as likely to have been the quicker one: the
    chance that one kind is quicker (Mann and Whitney's U, divided by the number of pairs) is a half for times that tell
    nothing; with 250 of each its standard deviation is 0.026 then, whatever the times' own distribution is, and 0.15
    from a half is six of them.
    """
    numbers = iter(range(1_600_000, 1_700_000))
    session = hiding.log_in("t9")
    drawn = [str(next(numbers)) for _ in range(4 * EACH)]
    kinds = {"there": drawn[: 2 * EACH : 2], "nowhere": drawn[1 : 2 * EACH : 2], "objected": drawn[2 * EACH :: 2]}
    object_to(hiding, kinds["objected"])
    errands = [(kind, numero) for kind, numbers in kinds.items() for numero in numbers]
    random.Random(28).shuffle(errands)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    asked = len(slow.asked)
    for kind, numero in [*errands[:50], *errands]:
        begun = time.perf_counter()
        answer = hiding.ask(f"/dossiers/{numero}", session)
        times[kind].append(time.perf_counter() - begun)
        assert answer.status == 403
    assert slow.asked[asked:] == []
    for one, other in (("there", "nowhere"), ("there", "objected"), ("nowhere", "objected")):
        first, second = times[one][-EACH:], times[other][-EACH:]
        assert abs(statistics.median(first) - statistics.median(second)) < LATENCY / 10
        quicker = sum((a < b) + (a == b) / 2 for a in first for b in second) / (EACH * EACH)
        assert 0.35 < quicker < 0.65, (one, other, quicker)
