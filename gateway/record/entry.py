"""One line of the record, filled in as the request goes its way.

CNIL 2021-122: who, partner, profile, which dossier, rubrics that left, outcome, time, address, request id. Never a
payload; the dossier number only as a keyed HMAC, since seven digits hashed without a key are ten million guesses.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from gateway.errors import Refusal
from gateway.model import Agent, DossierNumber, Facts, Grant
from gateway.structs import prepared

MARKS_KEPT: Final = 4096

_encode: Final = msgspec.json.Encoder(order="sorted").encode


class Entry:
    """What will be recorded of one request. Texts are empty where nothing is known."""

    act: str = "request"
    """`log_in`, `log_in_begun` (on the way to an OpenID provider), `log_out`, `logged_out` (back from there),
    `session`, `sessions` (read), `session_end` (one of the agent's own), `activate`, `join`, `engagement` (read),
    `engage`, `second_factor`, `admin` (`route` says what), an action of the vocabulary, or `request` where it was
    refused before one; `read` where the record itself was read, by whom `agent` says (`command line: ` and a user of
    the machine)."""
    agent: str = ""
    partner: str = ""
    profile: str = ""
    route: str = ""
    dossier: str = ""
    """HMAC-SHA-256 of the dossier number, hexadecimal."""
    facts: Facts | None = None
    left: frozenset[str] = frozenset()
    """The rubrics of which something is in the answer."""
    rules: tuple[tuple[str, ...], ...] = ()
    policy: str = ""
    status: int = 0
    code: str = ""
    because: str = ""

    def __init__(self, request_id: str, at: datetime, address: str) -> None:
        """`at` is in UTC."""
        self.request_id, self.at, self.address = request_id, at, address

    def known(self, agent: Agent) -> None:
        """The caller is this agent."""
        self.agent, self.partner, self.profile = agent.identifier, agent.partner_name, agent.profile

    def decided(self, facts: Facts, grant: Grant, policy: str) -> None:
        """The policies named `policy` answered `grant` to `facts`."""
        self.facts, self.rules, self.policy = facts, grant.rules, policy

    def refused(self, refusal: Refusal) -> None:
        """The answer is this refusal, and nothing of a dossier."""
        self.status, self.code, self.because, self.left = refusal.status, refusal.code, refusal.because, frozenset()

    def row(self) -> tuple[object, ...]:
        """The values of `COLUMNS`."""
        return (
            instant_text(self.at),
            self.request_id,
            self.act,
            self.agent,
            self.partner,
            self.profile,
            self.route,
            self.dossier,
            facts_text(self.facts) if self.facts else "",
            *_left_texts(self.left, self.rules),
            self.policy,
            self.status,
            self.code,
            self.because,
            self.address,
        )


def instant_text(at: datetime) -> str:
    """An instant, in UTC, as the record has it: the order of the texts is that of time."""
    # Those of one second differ in their microseconds alone: half as long as `isoformat`.
    return f"{_second_text(int(at.timestamp() // 1))}.{str(1_000_000 + at.microsecond)[1:]}+00:00"


@lru_cache(maxsize=64)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


@lru_cache(maxsize=4096)
def _left_texts(left: frozenset[str], rules: tuple[tuple[str, ...], ...]) -> tuple[str, str]:
    """The rubrics and the labels of the rules that opened them, as JSON."""
    labels = sorted({label for rule in rules if rule[0] in left for label in rule[1:]})
    return _encode(sorted(left)).decode(), _encode(labels).decode()


COLUMNS: Final = (
    "at",
    "request_id",
    "act",
    "agent",
    "partner",
    "profile",
    "route",
    "dossier",
    "facts",
    "rubrics",
    "rules",
    "policy",
    "status",
    "code",
    "because",
    "address",
)


@lru_cache(maxsize=4096)
def facts_text(facts: Facts) -> str:
    """The facts as JSON, enough to decide again: states and kinds only."""
    return _encode(facts).decode()


def read_facts(text: str) -> Facts:
    """The facts that `facts_text` wrote. Raises `msgspec.ValidationError` on anything else."""
    return msgspec.json.decode(text, type=prepared(Facts))


class DossierMark:
    """Turns a dossier number into the only form in which the record knows it."""

    def __init__(self, key: bytes, caisse: str) -> None:
        begun = hmac.new(key, caisse.encode() + b":", hashlib.sha256)

        @lru_cache(maxsize=MARKS_KEPT)
        def mark(number: DossierNumber) -> str:
            whole = begun.copy()
            whole.update(number.encode())
            return whole.hexdigest()

        self._mark = mark

    def __call__(self, number: DossierNumber) -> str:
        """HMAC-SHA-256 over `caisse:number`, 64 hexadecimal digits."""
        return self._mark(number)
