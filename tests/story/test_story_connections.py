"""What a backend sends too late on a connection that is used again: never another family's answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.story.running import Gateway, is_problem
from upstream_stub.dossiers import dossier_text

pytestmark = pytest.mark.attack(25)

OURS, THEIRS = "9990001", "9990003"
LETTER = f"/dossiers/{OURS}/courriers/co-1.pdf"
RUBRIC = f"/dossiers/{OURS}/rubriques/adresse"
WHOLE = f"/dossiers/{OURS}"


class Late:
    """A backend that answers the first request of a connection well. Behind that, once another has been sent on the
    same connection, comes what belongs to another family: a second answer to the first request, in good order."""

    def __init__(self, answers) -> None:
        self.answers = answers
        self.asked: list[tuple[int, str]] = []
        """The connection's number and the path of each request."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._converse, args=(connection, len(self._open)), daemon=True).start()

    def _converse(self, connection: socket.socket, number: int) -> None:
        family = OURS
        with contextlib.suppress(OSError):
            received = b""
            while piece := connection.recv(65536):
                received += piece
                if received.endswith(b"\r\n\r\n"):
                    path = received.split(b" ")[1].decode()
                    self.asked.append((number, path))
                    kind, body = self.answers(path, family)
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind, len(body), body)
                    )
                    received, family = b"", THEIRS

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def of(path: str, family: str) -> tuple[bytes, bytes]:
    if path.endswith(".pdf"):
        return b"application/pdf", b"%PDF-1.4 a letter to " + family.encode()
    if "/rubriques/" in path:
        return b"application/json", b'{"code_postal_ville":"of %b"}' % family.encode()
    whole = dossier_text(family)
    assert whole
    return b"application/json", whole


@pytest.fixture
def late(start_gateway) -> Iterator[tuple[Late, Gateway, dict[str, str]]]:
    backend = Late(of)
    gateway = start_gateway(backend.url)
    gateway.enter("t1", "T1")
    yield backend, gateway, gateway.log_in("t1")
    backend.close()


@pytest.mark.parametrize("path", [LETTER, RUBRIC])
def test_an_answer_that_does_not_say_whose_it_is_is_never_another_familys(late, path):
    backend, gateway, session = late
    for asked in (WHOLE, path, path, WHOLE, path):
        answer = gateway.ask(asked, session)
        if asked == path:
            assert answer.status == 200
            assert answer.body == of(path, OURS)[1]
    connections = [number for number, asked in backend.asked if asked == path]
    others = {number for number, asked in backend.asked if asked != path}
    assert len(set(connections)) == 3
    assert not others & set(connections)


def test_an_answer_that_says_whose_it_is_is_refused_when_it_is_another_familys(late):
    backend, gateway, session = late
    assert gateway.ask(WHOLE, session).status == 200
    is_problem(gateway.ask(WHOLE, session), 502, "GW403")
    assert [number for number, _ in backend.asked] == [1, 1], "the connection was kept: this is what it is about"
