"""The deployment as one agent meets it: requests with its session, and what a proper answer looks like."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.selftest.wire import EXCHANGE_SECONDS, Answer, Limited, OutOfTime, Stream, Wire

SESSION: Final = "/-/session"
ABSENT: Final = "0000000"
"""A dossier number that nobody has."""
FOREIGN: Final = "selftest.invalid"
"""A host that cannot exist (RFC 6761)."""
LARGEST_JSON: Final = 1_048_576
"""Bytes of an answer that are read as JSON: more than any dossier has; read, they take twenty times as much memory."""
PASSING: Final = frozenset({"date", "x-request-id", "connection", "keep-alive", "server-timing"})
"""Headers that differ from one answer to the next."""


class NotUsable(Exception):
    """The kit cannot begin: the log-in is refused, or this is not the gateway. Its text is a whole sentence."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who logs in. The password is in no text of this object."""

    identifier: str
    password: str = field(repr=False)
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that a log-in opened, and the answer that told its token."""

    token: str = field(repr=False)
    csrf: str = field(repr=False)
    answer: Answer = field(repr=False)

    @property
    def bearer(self) -> str:
        """The header line of a client that is not a browser."""
        return f"Authorization: Bearer {self.token}"

    @property
    def cookie(self) -> str:
        """The cookie as a browser sends it back, `name=value`; empty where none was set."""
        return next((pair for pair in map(_pair, self.answer.all("Set-Cookie")) if pair.endswith(self.token)), "")


def _pair(cookie: str) -> str:
    return cookie.partition(";")[0].strip()


class Site:
    """What every check needs."""

    def __init__(
        self,
        wire: Wire,
        account: Account,
        *,
        dossiers: Sequence[str] = (),
        closed: Sequence[str] = (),
        limits: bool = False,
    ) -> None:
        self.wire = wire
        self.place = wire.place
        self.account = account
        self.dossiers = tuple(dossiers)
        self.closed = tuple(closed)
        self.limits = limits
        self.session = Opened("", "", Answer(0))
        self.who: dict[str, Any] = {}
        """What `GET /-/session` says of the agent."""
        self.rubrics: frozenset[str] = frozenset()
        """The slugs that the profile opens."""
        self._came: Counter[str] = Counter()
        self._plain: dict[str, Answer] = {}
        wire.answered = self._count

    def begin(self) -> None:
        """Log in. Raises `NotUsable`."""
        answer = self.ask_to_log_in(self.account.identifier, self.account.password, profile=self.account.profile)
        opened = _opened(answer)
        if opened is None:
            raise NotUsable(_why_not(answer))
        self.session = opened
        shown = self.ask(SESSION)
        who = as_object(shown)
        rubrics = who.get("rubrics")
        if shown.status != 200 or not isinstance(rubrics, list):
            raise NotUsable(
                f"The log-in was accepted, but {SESSION} does not say who is logged in ({describe(shown)})."
            )
        self.who = who
        self.rubrics = frozenset(str(rubric.get("slug")) for rubric in rubrics if isinstance(rubric, dict))

    def end(self) -> None:
        """Log out, as far as that is possible."""
        if self.session.token:
            with suppress(Limited, OutOfTime):
                self.ask(SESSION, method="DELETE")

    # Asking.

    def ask(
        self,
        target: str,
        *lines: str,
        method: str = "GET",
        signed: bool = True,
        host: str | None = None,
        body: bytes = b"",
        seconds: float = EXCHANGE_SECONDS,
    ) -> Answer:
        """The answer to this request. `host` stands for the right one; empty, there is none."""
        request = self.written(target, *lines, method=method, signed=signed, host=host)
        return self.wire.exchange(request + body, method=method, seconds=seconds)

    def written(
        self, target: str, *lines: str, method: str = "GET", signed: bool = True, host: str | None = None
    ) -> bytes:
        """The head of a request, its target and lines byte for byte (they are latin-1)."""
        named = self.place.authority if host is None else host
        head = [f"{method} {target} HTTP/1.1", *([f"Host: {named}"] if named else [])]
        head += [*([self.session.bearer] if signed else []), *lines, "Connection: close", "", ""]
        return "\r\n".join(head).encode("latin-1")

    def ask_to_log_in(
        self, identifier: str, password: str, *lines: str, profile: str | None = None, kind: str = "application/json"
    ) -> Answer:
        """The answer to this log-in."""
        asked = {"identifier": identifier, "password": password, **({"profile": profile} if profile else {})}
        body = json.dumps(asked).encode()
        lines = (*lines, f"Content-Length: {len(body)}", *([f"Content-Type: {kind}"] if kind else []))
        return self.ask(SESSION, *lines, method="POST", signed=False, body=body)

    def log_in(self, *lines: str) -> Opened | None:
        """Another session of the same agent."""
        account = self.account
        return _opened(self.ask_to_log_in(account.identifier, account.password, *lines, profile=account.profile))

    def stranger(self) -> str:
        """An identifier that does not exist, and was not tried before."""
        return f"selftest-{secrets.token_hex(8)}"

    def open(self) -> Stream:
        """A connection of one's own."""
        return self.wire.open()

    # Judging.

    @property
    def targets(self) -> tuple[str, ...]:
        """Addresses that the agent may read: its session, and a dossier where one is known."""
        return (SESSION, *(f"/dossiers/{number}" for number in self.dossiers[:1]))

    @property
    def a_dossier(self) -> str:
        """A dossier's address: one that may be read, or one that does not exist."""
        return f"/dossiers/{self.dossiers[0] if self.dossiers else ABSENT}"

    def plain(self, target: str) -> Answer:
        """What a proper request for `target` gets."""
        if target not in self._plain:
            self._plain[target] = self.ask(target)
        return self._plain[target]

    def alike(self, answer: Answer, target: str) -> bool:
        """Whether this answer is, in status and content, the one that a proper request for `target` gets."""
        plain = self.plain(target)
        if target == SESSION:
            return answer.status == plain.status and _who(answer) == _who(plain)
        return answer.status == plain.status and answer.body == plain.body

    def fault(self) -> str:
        """What is wrong with the answer to a proper request of the agent; nothing when it is as at the beginning."""
        answer = self.ask(SESSION)
        if answer.status == 200 and _who(answer) == {key: self.who.get(key) for key in _LASTING}:
            return ""
        return describe(answer)

    def came(self) -> str:
        """What came back since this was asked last: `401 x3, 404 x10`."""
        said = ", ".join(f"{what} ×{count}" for what, count in sorted(self._came.items()))
        self._came.clear()
        return said

    def _count(self, answer: Answer) -> None:
        self._came[str(answer.status) if answer.status else answer.fate] += 1


_LASTING: Final = ("identifier", "partner", "profile", "profiles", "rubrics")


def _who(answer: Answer) -> dict[str, Any]:
    shown = as_object(answer)
    return {key: shown.get(key) for key in _LASTING}


def _opened(answer: Answer) -> Opened | None:
    shown = as_object(answer)
    token, csrf = shown.get("token"), shown.get("csrf_token")
    if answer.status != 201 or not isinstance(token, str) or not token:
        return None
    return Opened(token, str(csrf), answer)


def _why_not(answer: Answer) -> str:
    code = as_object(answer).get("code")
    if code == "GW103":
        return "The identifier or the password is wrong."
    if code == "GW112":
        return "The account holds several profiles, or not this one: name one of its own with --profile."
    if answer.status == 201:
        return "The log-in was accepted, but no token came with it."
    return f"The log-in is not answered as the gateway answers it ({describe(answer)})."


def as_object(answer: Answer) -> dict[str, Any]:
    """The JSON object that an answer holds; empty where it holds none, or one that is too large to be looked at."""
    try:
        found = json.loads(answer.body) if len(answer.body) <= LARGEST_JSON else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def describe(answer: Answer) -> str:
    """An answer in a few words: never anything of its content but a refusal's code."""
    if not answer.status:
        return answer.fate
    code = as_object(answer).get("code")
    if answer.kind == "application/problem+json" and isinstance(code, str) and code.isalnum() and len(code) < 10:
        return f"{answer.status} {code}"
    return f"{answer.status}, {plainly(answer.kind) or 'no content type'}, {len(answer.body)} bytes"


def plainly(text: str) -> str:
    """What a deployment wrote, short and without anything that a terminal would obey."""
    return "".join(letter for letter in text if letter.isascii() and letter.isprintable())[:60]


def lasting(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """All of an answer but what differs from one to the next."""
    headers = [(name.lower(), value) for name, value in answer.headers if name.lower() not in PASSING]
    request_id = answer.first("X-Request-Id").encode("latin-1")
    return answer.status, headers, answer.body.replace(request_id, b"") if request_id else answer.body
