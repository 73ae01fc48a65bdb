"""The stub as it is started, over real HTTP."""

from __future__ import annotations

import ast
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

import upstream_stub
from upstream_stub.app import create_app
from upstream_stub.dossiers import VARIANTS, dossier_text, rubric_text

PACKAGE = pathlib.Path(upstream_stub.__file__).parent
JSON = "application/json"


@contextmanager
def started(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running stub on a free port, and the `host:port` that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "upstream_stub", "--port", "0", *options],
        cwd=PACKAGE.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline().split()
            assert said[:3] == ["upstream", "stub", "on"]
            yield process, said[3].removeprefix("http://")
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    with started() as (_, address):
        yield address


def ask(
    address: str, method: str, path: str, body: str | None = None, content_type: str = JSON
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(address, timeout=10)
    headers = {"Content-Type": content_type} if body is not None else {}
    connection.request(method, path, body=body.encode() if body is not None else None, headers=headers)
    answer = connection.getresponse()
    found = (answer.status, answer.headers, answer.read())
    connection.close()
    return found


@pytest.mark.parametrize("numero", [*VARIANTS, "1000123", "1300000"])
def test_a_dossier_is_served_byte_for_byte(backend: str, numero: str) -> None:
    status, headers, body = ask(backend, "GET", f"/dossiers/{numero}")
    assert (status, headers["Content-Type"], body) == (200, JSON, dossier_text(numero))
    assert headers["Content-Length"] == str(len(body))


def test_a_rubric_is_served_byte_for_byte(backend: str) -> None:
    status, headers, body = ask(backend, "GET", "/dossiers/9990001/rubriques/creances")
    assert (status, headers["Content-Type"], body) == (200, JSON, rubric_text("9990001", "creances"))


def test_a_document_is_served_as_a_pdf(backend: str) -> None:
    status, headers, body = ask(backend, "GET", "/dossiers/9990001/attestations/ap-9990001-1.pdf")
    assert (status, headers["Content-Type"], body[:5]) == (200, "application/pdf", b"%PDF-")


def test_the_state_is_ok(backend: str) -> None:
    status, headers, body = ask(backend, "GET", "/etat")
    assert (status, headers["Content-Type"], body) == (200, JSON, b'{"etat":"ok"}')


@pytest.mark.parametrize(
    "path",
    ["/dossiers/9990001", "/dossiers/9990001/courriers/co-9990001-0.pdf", "/etat", "/dossiers/0000000"],
)
def test_head_has_the_headers_of_get_and_no_body(backend: str, path: str) -> None:
    got, head = ask(backend, "GET", path), ask(backend, "HEAD", path)
    assert (head[0], head[2]) == (got[0], b"")
    assert [head[1][name] for name in ("Content-Type", "Content-Length")] == [
        got[1][name] for name in ("Content-Type", "Content-Length")
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/dossiers",
        "/dossiers/",
        "/dossiers/0000000",
        "/dossiers/9990001/",
        "/dossiers/999000",
        "/dossiers/9990001/rubriques/inconnue",
        "/dossiers/9990001/courriers/co-9990001-9.pdf",
        "/dossiers/9990001/courriers/CO-9990001-0.pdf",
        "/dossiers/9990001/factures/co-9990001-0.pdf",
        "/dossiers/0000000/messages",
        "/static/app.py",
    ],
)
def test_unknown_is_404_in_json(backend: str, path: str) -> None:
    status, headers, body = ask(backend, "GET", path)
    assert (status, headers["Content-Type"], json.loads(body)) == (404, JSON, {"erreur": 404})


def test_a_message_is_kept_and_listed_with_its_dossier_only(backend: str) -> None:
    said = {"texte": "Pièce reçue, merci.", "auteur": "t1"}
    status, headers, body = ask(backend, "POST", "/dossiers/9990002/messages", json.dumps(said))
    assert (status, headers["Content-Type"], json.loads(body)) == (201, JSON, {"id": 1, **said})
    listed = json.loads(ask(backend, "GET", "/dossiers/9990002/messages")[2])
    assert listed == {"messages": [{"id": 1, **said}]}
    assert json.loads(ask(backend, "GET", "/dossiers/9990001/messages")[2]) == {"messages": []}


@pytest.mark.parametrize(
    ("path", "body", "content_type", "status"),
    [
        ("/dossiers/9990003/messages", "{", JSON, 400),
        ("/dossiers/9990003/messages", "[]", JSON, 400),
        ("/dossiers/9990003/messages", '{"texte":"a"}', JSON, 400),
        ("/dossiers/9990003/messages", '{"texte":"a","auteur":1}', JSON, 400),
        ("/dossiers/9990003/messages", '{"texte":"","auteur":"t1"}', JSON, 400),
        ("/dossiers/9990003/messages", '{"texte":"a","auteur":"t1","vu":true}', JSON, 400),
        ("/dossiers/9990003/messages", '{"texte":"a","auteur":"t1"}', "text/plain", 415),
        ("/dossiers/9990003/messages", '{"texte":"' + "a" * 70_000 + '","auteur":"t1"}', JSON, 413),
        ("/dossiers/0000000/messages", '{"texte":"a","auteur":"t1"}', JSON, 404),
        ("/etat", "{}", JSON, 405),
    ],
)
def test_a_message_that_is_not_one_is_refused_in_json(path: str, body: str, content_type: str, status: int) -> None:
    # In process: a server may close the connection on a body that it does not want to read.
    answer = create_app().test_client().post(path, data=body.encode(), content_type=content_type)
    assert (answer.status_code, answer.content_type, answer.json) == (status, JSON, {"erreur": status})


def test_dossiers_do_not_mix_when_many_ask_at_once(backend: str) -> None:
    numbers = [*VARIANTS, "1000001", "1000002", "1100001"] * 10
    with ThreadPoolExecutor(16) as askers:
        bodies = askers.map(lambda numero: ask(backend, "GET", f"/dossiers/{numero}")[2], numbers)
    assert [json.loads(body)["numero"] for body in bodies] == numbers


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_and_leaves_the_port(ending: signal.Signals) -> None:
    with started() as (process, address):
        assert ask(address, "GET", "/etat")[0] == 200
        process.send_signal(ending)
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
    host, _, port = address.partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=2)


def test_a_port_that_is_taken_is_said_in_one_sentence(backend: str) -> None:
    port = backend.partition(":")[2]
    command = [sys.executable, "-m", "upstream_stub", "--port", port]
    ended = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr


def test_help_shows_an_example() -> None:
    command = [sys.executable, "-m", "upstream_stub", "--help"]
    said = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=True).stdout
    assert "python -m upstream_stub --port 9000" in said
    assert "curl http://127.0.0.1:9000/dossiers/9990001" in said


def test_the_stub_knows_nothing_of_the_gateway() -> None:
    for source in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text("utf8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "gateway"], source
