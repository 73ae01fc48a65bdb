"""Exactly these bytes to the running gateway, and everything that came of them: on the wire, in the record, in the log,
at the backend.

`Sender.send` itself asserts what holds for every attack: no canary of a rubric that is closed to the agent, and one row
of the record for each answer of the application, none for an answer of the server.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.story.brochure import OPEN, bank_and_national_numbers, kept_dossier, told
from tests.story.running import PATIENCE, Answer, Backend, Gateway, connect, is_problem
from upstream_stub.dossiers import dossier_text

PROFILE = "T2"
"""Whose session an attack carries unless it says otherwise: three rubrics are open, seventeen are not."""
DOSSIER = "/dossiers/9990001"

BOUNDLESS = {
    f"limits.{name}": "1000000"
    for name in (
        *("agent_per_minute", "agent_burst", "address_per_minute", "address_burst"),
        *("failures_per_minute", "failures_burst", "log_ins_per_minute", "log_ins_burst"),
    )
}
"""Settings for a gateway that is attacked from one address all the time."""


@dataclass(frozen=True)
class Tried:
    """What was sent and what came of it."""

    sent: bytes
    received: bytes
    """All that came until the connection closed."""
    answers: list[Answer]
    """The answers in it, interim ones too."""
    rest: bytes
    """What came and is no answer."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """What the record gained."""
    logged: str = ""
    """What the log gained."""
    asked: list[tuple[str, str, list[tuple[str, str]]]] = field(default_factory=list)
    """What the backend was asked: method, target as it was sent, headers."""

    @property
    def answer(self) -> Answer:
        """The one answer."""
        assert not self.rest, self.rest[:200]
        [answer] = self.answers
        return answer

    @property
    def row(self) -> dict[str, Any]:
        """The one row."""
        [row] = self.rows
        return row

    def refused(self, status: int, code: str) -> None:
        """One refusal of the application: whole, recorded once, and the backend was asked nothing."""
        is_problem(self.answer, status, code)
        assert (self.row["status"], self.row["code"], self.row["rubrics"]) == (status, code, "[]")
        self.unheard()

    def refused_by_the_server(self, *statuses: int) -> None:
        """One answer without a word that never reached the application; the connection is closed behind it."""
        assert self.answer.status in statuses, self.answer
        assert (self.answer.body, self.answer.all("Connection")) == (b"", ["close"])
        assert self.answer.all("X-Request-Id") == []
        assert self.rows == []
        self.unheard()

    def cut_off(self) -> None:
        """Not answered at all: the connection was closed without a word, and nothing heard of it."""
        assert (self.received, self.rows) == (b"", [])
        self.unheard()

    def served(self, profile: str = PROFILE, *, path: str = DOSSIER) -> None:
        """The whole dossier as `profile` reads it; the backend was asked for the rebuilt `path`, once."""
        whole = dossier_text(path.rpartition("/")[2])
        assert whole
        assert (self.answer.status, self.answer.body) == (200, kept_dossier(whole, OPEN[profile]))
        assert (self.row["status"], self.row["profile"]) == (200, profile)
        self.asked_for(path)

    def asked_for(self, *paths: str) -> None:
        """The backend was asked for these and nothing else."""
        assert [(method, target) for method, target, _ in self.asked] == [("GET", path) for path in paths]

    def unheard(self) -> None:
        assert self.asked == []


class Sender:
    """Sends bytes to a gateway as an agent of `PROFILE`, who may read almost nothing."""

    def __init__(self, gateway: Gateway, backend: Backend, sessions: dict[str, dict[str, str]]) -> None:
        """`sessions`: the headers of an open session by profile."""
        self.gateway, self.backend, self.sessions = gateway, backend, sessions

    @property
    def host(self) -> str:
        return f"Host: {self.gateway.host}"

    def bearer(self, profile: str = PROFILE) -> str:
        return f"Authorization: {self.sessions[profile]['Authorization']}"

    def token(self, profile: str = PROFILE) -> str:
        return self.sessions[profile]["Authorization"].removeprefix("Bearer ")

    def head(self, line: str = f"GET {DOSSIER} HTTP/1.1", *headers: str, profile: str = PROFILE) -> bytes:
        """A request line, our host, the session of `profile`, and more headers, with the empty line behind."""
        return lines(line, self.host, self.bearer(profile), *headers)

    def get(self, target: str, *headers: str, profile: str = PROFILE) -> Tried:
        """A GET of exactly this target, as it stands."""
        return self.send(self.head(f"GET {target} HTTP/1.1", *headers, profile=profile), profile=profile)

    def send(
        self,
        request: bytes | Sequence[bytes],
        *,
        profile: str | Sequence[str] | None = PROFILE,
        ends: bool = True,
        method: str = "GET",
        seconds: float = PATIENCE,
    ) -> Tried:
        """Send it (in pieces, if it is several), and read until the gateway closes.

        `ends`: our side is shut behind it, so that an unfinished request is one; without it the gateway must close by
        itself within `seconds`. `method` tells how the answers are framed. `profile`: whose rubrics may be in the
        answers, one or several; None for nobody's.
        """
        pieces = [request] if isinstance(request, bytes) else list(request)
        last, log, asked = self.gateway.last_row(), self.gateway.log(), len(self.backend.asked)
        received = bytearray()
        with connect(self.gateway.url, timeout=seconds) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for piece in pieces:
                    connection.sendall(piece)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(1 << 20):
                    received += piece
            except ConnectionError:
                pass  # refused before all of it was sent
        answers, rest = read_answers(bytes(received), method=method)
        tried = Tried(
            b"".join(pieces),
            bytes(received),
            answers,
            rest,
            self.gateway.record_rows(after=last),
            self.gateway.log()[len(log) :],
            self.backend.asked[asked:],
        )
        whose = [profile] if isinstance(profile, str) else profile or ()
        self._nothing_leaked(tried, frozenset().union(*(OPEN[name] for name in whose)))
        return tried

    def _nothing_leaked(self, tried: Tried, opened: frozenset[str]) -> None:
        shown = tried.received.decode("latin-1")
        assert told(shown) <= opened
        assert not bank_and_national_numbers(shown) or "paiement" in opened
        kept = json.dumps(tried.rows, ensure_ascii=False) + tried.logged
        assert not told(kept)
        assert not bank_and_national_numbers(kept)
        assert not [token for token in map(self.token, self.sessions) if token in kept]
        recorded = [(row["request_id"], row["status"]) for row in tried.rows]
        assert sorted(recorded) == sorted(
            (answer.one("X-Request-Id"), answer.status) for answer in tried.answers if answer.all("X-Request-Id")
        )


def lines(*written: str) -> bytes:
    """Lines of a head, with the empty line behind."""
    return "\r\n".join([*written, "", ""]).encode("latin-1")


def read_answers(received: bytes, *, method: str = "GET") -> tuple[list[Answer], bytes]:
    """The answers that stand one behind the other, and what is left that is not a whole one."""
    answers = []
    while received.startswith(b"HTTP/1.") and b"\r\n\r\n" in received:
        head, _, rest = received.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (text.partition(":") for text in fields)]
        answer = Answer(int(line.split(" ")[1]), headers, b"")
        empty = method == "HEAD" or answer.status in (204, 304) or answer.status < 200
        length = 0 if empty else int(answer.one("Content-Length"))
        if len(rest) < length:
            break
        answers.append(answer._replace(body=rest[:length]))
        received = rest[length:]
    return answers, received
