"""Each fault does on the wire what its sentence says, read from a raw socket so that nothing repairs it."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from upstream_stub import faults
from upstream_stub.dossiers import dossier_text, rubric_text
from upstream_stub.faults import FAULTS, FaultServer

SLOW = 0.5
"""How long "slow" lasts here, in seconds."""


@pytest.fixture(scope="module")
def backend() -> Iterator[FaultServer]:
    with faults.serve(slow_seconds=SLOW) as server:
        yield server


def connect(server: FaultServer) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: backend", *headers, "", ""]).encode()


def receive_all(connection: socket.socket, received: bytearray) -> None:
    while data := connection.recv(1 << 20):
        received += data


def everything(connection: socket.socket) -> bytes:
    received = bytearray()
    receive_all(connection, received)
    return bytes(received)


def on_the_wire(server: FaultServer, name: str) -> bytes:
    """All that the server sends for one request of that fault, until it closes."""
    with connect(server) as connection:
        connection.sendall(request(f"/dossiers/{FAULTS[name].number}", "Connection: close"))
        return everything(connection)


class Answer:
    """What was read, cut where HTTP cuts it; and the dossier that an innocent backend would have sent."""

    def __init__(self, name: str, received: bytes) -> None:
        head, _, self.body = received.partition(b"\r\n\r\n")
        self.status, *self.headers = head.decode("latin-1").split("\r\n")
        self.received = received
        self.dossier = dossier_text(FAULTS[name].number) or b""

    def all(self, name: str) -> list[str]:
        return [v.strip() for h in self.headers for n, _, v in [h.partition(":")] if n.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def pairs(self) -> list[tuple[str, Any]]:
        """Members of the outermost object as they stand, repeated ones included."""
        found: list[tuple[str, Any]] = json.loads(self.body, object_pairs_hook=lambda pairs: pairs)
        return found

    def names(self, *path: str) -> list[str]:
        """The keys of the object at path, repeated ones included."""
        pairs = self.pairs()
        for step in path:
            pairs = [value for name, value in pairs if name == step][-1]
        return [name for name, _ in pairs]

    def rubrics(self) -> Any:
        return json.loads(self.body)["rubriques"]


def plain(answer: Answer) -> bool:
    """The dossier itself, with its length."""
    return answer.body == answer.dossier and answer.one("Content-Length") == str(len(answer.body))


def typed(content_type: str) -> Callable[[Answer], bool]:
    return lambda answer: plain(answer) and answer.all("Content-Type") == [content_type]


def encoded(coding: str, decode: Callable[[bytes], bytes] = bytes) -> Callable[[Answer], bool]:
    return lambda answer: decode(answer.body) == answer.dossier and answer.one("Content-Encoding") == coding


def status(line: str, *headers: str) -> Callable[[Answer], bool]:
    def holds(answer: Answer) -> bool:
        return answer.status == f"HTTP/1.1 {line}" and plain(answer) and set(headers) <= set(answer.headers)

    return holds


def everywhere(value: bytes) -> Callable[[Answer], bool]:
    return lambda answer: answer.body.count(b'"ajout":' + value) == 20


def bomb(answer: Answer) -> bool:
    inflate = zlib.decompressobj(wbits=31)
    start = inflate.decompress(answer.body, 10_000)
    length = len(start)
    while rest := inflate.unconsumed_tail:
        length += len(inflate.decompress(rest, 1 << 24))
    # zlib itself refuses a wrong checksum at the end of the stream.
    whole = len(answer.dossier) + (1 << 30)
    return inflate.eof and length == whole and start.startswith(answer.dossier[:-1]) and len(answer.body) < 1 << 21


def chunks(body: bytes) -> tuple[bytes, bytes]:
    """A chunked body put together, and what follows its last chunk's size line."""
    whole = bytearray()
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return bytes(whole), body
        whole += body[:length]
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]


def large(body: bytes) -> bool:
    return len(body) > 40 * 1024 * 1024 and len(json.loads(body)["rubriques"]) == 20


def surplus(answer: Answer) -> bool:
    length = int(answer.one("Content-Length"))
    second = Answer("surplus", answer.body[length:])
    return (
        answer.body[:length] == answer.dossier
        and second.status == "HTTP/1.1 200 OK"
        and second.body == dossier_text("9990002")
    )


EXPECTED: dict[str, Callable[[Answer], bool]] = {
    "slow": plain,
    "stall": plain,
    "garbage": lambda a: a.one("Content-Type") == "application/json" and b"CANARI" in a.body,
    "html": lambda a: a.one("Content-Type") == "text/html" and a.body.startswith(b"<!doctype html>"),
    "html_as_json": lambda a: a.one("Content-Type") == "application/json" and a.body.startswith(b"<!doctype html>"),
    "text_plain": typed("text/plain"),
    "no_type": lambda a: plain(a) and a.all("Content-Type") == [],
    "vendor_type": typed("application/vnd.caf+json"),
    "latin1": lambda a: (
        a.one("Content-Type") == "application/json; charset=iso-8859-1"
        and a.body.decode("latin-1").encode() == a.dossier != a.body
    ),
    "gzip_unasked": encoded("gzip", gzip.decompress),
    "gzip_twice": encoded("gzip, gzip", lambda body: gzip.decompress(gzip.decompress(body))),
    "gzip_said_only": encoded("gzip"),
    "br_said_only": encoded("br"),
    "deflate_said_only": encoded("deflate"),
    "deflate_unasked": encoded("deflate", zlib.decompress),
    "gzip_unsaid": lambda a: gzip.decompress(a.body) == a.dossier and a.all("Content-Encoding") == [],
    "gzip_bomb": bomb,
    "status_500": status("500 Internal Server Error"),
    "status_503": status("503 Service Unavailable", "Retry-After: 1"),
    "status_403": status("403 Forbidden"),
    "status_404": status("404 Not Found"),
    "status_401": status("401 Unauthorized"),
    "status_301": status("301 Moved Permanently", "Location: /dossiers/9990002"),
    "status_302": status("302 Found", "Location: http://ailleurs.invalid/dossiers/9990002"),
    "status_206": lambda a: (
        a.status == "HTTP/1.1 206 Partial Content"
        and a.dossier.startswith(a.body)
        and 0 < len(a.body) == int(a.one("Content-Length")) < len(a.dossier)
        and a.one("Content-Range") == f"bytes 0-{len(a.body) - 1}/{len(a.dossier)}"
    ),
    "status_204": status("204 No Content"),
    "status_304": status("304 Not Modified", 'ETag: "CANARI-dossier-entier"'),
    "status_203": status("203 Non-Authoritative Information"),
    "status_999": status("999 Inconnu"),
    "early_hints": lambda a: (
        a.status == "HTTP/1.1 103 Early Hints"
        and "CANARI-famille" in a.one("Link")
        and plain(Answer("early_hints", a.body))
    ),
    "switching": lambda a: a.status == "HTTP/1.1 101 Switching Protocols" and a.body == a.dossier,
    "duplicate_top": lambda a: a.names() == ["numero", "caisse", "rubriques", "rubriques"] and b"\\u0065" not in a.body,
    "duplicate_escaped": lambda a: (
        a.names() == ["numero", "caisse", "rubriques", "rubriques"] and b'"rubriqu\\u0065s":' in a.body
    ),
    "duplicate_rubric": lambda a: a.names("rubriques").count("adresse") == 2,
    "duplicate_in_closed_part": lambda a: a.names("rubriques", "adresse").count("pays") == 2,
    "duplicate_in_kept_part": lambda a: a.names("rubriques", "logement").count("loyer") == 2,
    "key_case": lambda a: {"adresse", "Adresse", "ADRESSE"} <= set(a.names("rubriques")),
    "key_normalisation": lambda a: {"adresse", "ａｄｒｅｓｓｅ"} <= set(a.names("rubriques")),
    "byte_order_mark": lambda a: a.body == b"\xef\xbb\xbf" + a.dossier,
    "utf16": lambda a: a.body[:2] == b"\xff\xfe" and a.body.decode("utf-16").encode() == a.dossier,
    "invalid_utf8": everywhere(b'"CANARI-\xff"'),
    "lone_surrogate": everywhere(rb'"CANARI-\ud800"'),
    "nan": everywhere(b"NaN"),
    "huge_number": everywhere(b"1e400"),
    "control_character": everywhere(b'"CANARI\n"'),
    "too_deep": lambda a: a.body.count(b"[" * 100_000 + b"]" * 100_000) == 2,
    "rubrics_as_list": lambda a: len(a.rubrics()) == 20 and isinstance(a.rubrics(), list),
    "paiement_as_list": lambda a: isinstance(a.rubrics()["paiement"], list),
    "versements_as_object": lambda a: isinstance(a.rubrics()["paiement"]["versements"], dict),
    "versement_as_text": lambda a: "iban" in json.loads(a.rubrics()["paiement"]["versements"][0])[0],
    "another_number": lambda a: json.loads(a.body)["numero"] == "9990002" and b"-9980319-" in a.body,
    "empty": lambda a: a.body == b"" and a.one("Content-Length") == "0",
    "two_documents": lambda a: a.body == 2 * a.dossier,
    "truncated": lambda a: int(a.one("Content-Length")) == len(a.body) + 10 and a.body == a.dossier,
    "surplus": surplus,
    "more_than_announced": lambda a: int(a.one("Content-Length")) == len(a.body) - 10,
    "length_and_chunks": lambda a: (
        a.one("Transfer-Encoding") == "chunked"
        and a.one("Content-Length") == str(len(a.dossier))
        and chunks(a.body) == (a.dossier, b"\r\n")
    ),
    "two_lengths": lambda a: a.all("Content-Length") == [str(len(a.dossier)), str(len(a.dossier) - 10)],
    "bad_length": lambda a: a.one("Content-Length") == f"{len(a.dossier)}x",
    "two_types": lambda a: a.all("Content-Type") == ["application/json", "text/html"] and a.body == a.dossier,
    "no_length": lambda a: a.all("Content-Length") + a.all("Transfer-Encoding") == [] and a.body == a.dossier,
    "bad_chunk": lambda a: a.one("Transfer-Encoding") == "chunked" and b"\r\nzz\r\nCANARI" in a.body,
    "unfinished_chunks": lambda a: a.body == b"%x\r\n%s\r\n" % (len(a.dossier), a.dossier),
    "trailers": lambda a: (
        chunks(a.body)[0] == a.dossier and chunks(a.body)[1].startswith(b"X-Famille: CANARI-famille-")
    ),
    "too_large_chunked": lambda a: a.all("Content-Length") == [] and large(chunks(a.body)[0]),
    "too_large_announced": lambda a: a.one("Content-Length") == str(len(a.body)) and large(a.body),
    "talkative_headers": lambda a: (
        plain(a)
        and all(
            "CANARI-famille" in a.one(name)
            for name in ("X-Famille", "ETag", "Set-Cookie", "Content-Disposition", "Link", "Server")
        )
        and bool(a.one("Last-Modified"))
    ),
    "not_http": lambda a: a.received == a.dossier,
    "closed_at_once": lambda a: a.received == b"",
}
"""What is read of each fault that ends soon; those that do not have a test of their own below."""

ON_THEIR_OWN = {"drip", "reset", "endless_header"}


def test_every_fault_has_its_own_number_a_sentence_and_a_test() -> None:
    numbers = [fault.number for fault in FAULTS.values()]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch("998[0-9]{4}", number) for number in numbers)
    assert all(fault.sentence.endswith(".") for fault in FAULTS.values())
    assert EXPECTED.keys() | ON_THEIR_OWN == FAULTS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_fault_does_on_the_wire_what_it_says(backend: FaultServer, name: str) -> None:
    assert EXPECTED[name](Answer(name, on_the_wire(backend, name)))


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - {"empty", "closed_at_once"}))
def test_a_fault_that_sends_a_body_sends_canaries_of_closed_rubrics(backend: FaultServer, name: str) -> None:
    decode: dict[str, Callable[[bytes], bytes]] = {
        "gzip_unasked": gzip.decompress,
        "gzip_unsaid": gzip.decompress,
        "gzip_twice": lambda body: gzip.decompress(gzip.decompress(body)),
        "gzip_bomb": lambda body: zlib.decompressobj(wbits=31).decompress(body, 10_000),
        "deflate_unasked": zlib.decompress,
        "utf16": lambda body: body.decode("utf-16").encode(),
    }
    answer = Answer(name, on_the_wire(backend, name))
    body = decode.get(name, bytes)(answer.body or answer.received)
    closed_to_someone = b"CANARI-paiement-" if name == "status_206" else b"CANARI-declaration_ressources-"
    assert closed_to_someone in body


@pytest.mark.parametrize("name", ["slow", "stall"])
def test_slow_is_as_slow_as_it_was_told(backend: FaultServer, name: str) -> None:
    began = time.monotonic()
    on_the_wire(backend, name)
    assert time.monotonic() - began >= SLOW


def test_slow_lasts_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_STUB_SLOW_SECONDS", "0.01")
    with faults.serve() as server:
        began = time.monotonic()
        on_the_wire(server, "slow")
        assert time.monotonic() - began < 5


def test_drip_sends_one_byte_a_second() -> None:
    with faults.serve() as server, connect(server) as connection:
        connection.sendall(request(f"/dossiers/{FAULTS['drip'].number}"))
        deadline, received = time.monotonic() + 2.5, b""
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            try:
                received += connection.recv(4096)
            except TimeoutError:
                break
        assert 2 <= len(received.partition(b"\r\n\r\n")[2]) <= 3


def test_reset_sends_half_and_resets(backend: FaultServer) -> None:
    received = bytearray()
    with connect(backend) as connection:
        connection.sendall(request(f"/dossiers/{FAULTS['reset'].number}"))
        with pytest.raises(ConnectionResetError):
            receive_all(connection, received)
    body = received.partition(b"\r\n\r\n")[2]
    assert 0 < len(body) < len(dossier_text(FAULTS["reset"].number) or b"")


def test_an_endless_header_never_comes_to_its_end() -> None:
    with faults.serve() as server, connect(server) as connection:
        connection.sendall(request(f"/dossiers/{FAULTS['endless_header'].number}"))
        received = b""
        while len(received) < 1_000_000:
            received += connection.recv(1 << 16)
        assert b"X-Famille: CANARI-famille-" in received
        assert b"\r\n" not in received.partition(b"X-Famille:")[2]


@pytest.mark.parametrize("name", ["slow", "drip", "stall", "endless_header", "too_large_announced"])
def test_a_fault_under_way_ends_when_the_server_closes(name: str) -> None:
    server = faults.serve(slow_seconds=40)
    with connect(server) as connection:
        connection.sendall(request(f"/dossiers/{FAULTS[name].number}"))
        time.sleep(0.2)
        before = time.monotonic()
        server.close()
        assert time.monotonic() - before < 3
    assert not [thread for thread in threading.enumerate() if thread.name == "fault" and thread.is_alive()]
    with pytest.raises(ConnectionRefusedError):
        connect(server)


def test_every_other_address_is_answered_as_the_stub_does(backend: FaultServer) -> None:
    expected = {
        "/dossiers/9990001": dossier_text("9990001"),
        "/dossiers/9990001/rubriques/rsa": rubric_text("9990001", "rsa"),
        "/etat": b'{"etat":"ok"}',
        "/nulle-part": b'{"erreur":404}',
    }
    for path, body in expected.items():
        with connect(backend) as connection:
            connection.sendall(request(path, "Connection: close"))
            answer = Answer("slow", everything(connection))
        assert answer.body == body
        assert answer.one("Content-Length") == str(len(answer.body))
        assert answer.one("Content-Type") == "application/json"


def test_an_address_under_a_faults_number_has_the_fault_too(backend: FaultServer) -> None:
    number = FAULTS["text_plain"].number
    for path in (f"/dossiers/{number}/rubriques/rsa", f"/dossiers/{number}/courriers/co-{number}-0.pdf"):
        with connect(backend) as connection:
            connection.sendall(request(path, "Connection: close"))
            assert Answer("text_plain", everything(connection)).one("Content-Type") == "text/plain"


def test_a_connection_goes_on_after_a_good_answer_and_after_a_surplus(backend: FaultServer) -> None:
    with connect(backend) as connection:
        connection.sendall(request("/etat") + request(f"/dossiers/{FAULTS['surplus'].number}"))
        connection.sendall(request("/etat", "Connection: close"))
        received = everything(connection)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert received.endswith(b'{"etat":"ok"}')


def test_head_of_a_good_address_has_no_body(backend: FaultServer) -> None:
    with connect(backend) as connection:
        connection.sendall(request("/dossiers/9990001", "Connection: close", method="HEAD"))
        answer = Answer("slow", everything(connection))
    assert answer.body == b""
    assert answer.one("Content-Length") == str(len(dossier_text("9990001") or b""))


@pytest.mark.parametrize("words", [b"", b"bonjour", b"GET", b"GET dossiers HTTP/1.1"])
def test_what_is_not_a_request_ends_the_connection(backend: FaultServer, words: bytes) -> None:
    with connect(backend) as connection:
        connection.sendall(words + b"\r\n\r\n")
        assert everything(connection) == b""
