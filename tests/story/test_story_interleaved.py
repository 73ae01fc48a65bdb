"""Several agents behind one connection, as behind a partner's proxy or in one browser after each other: each answer is
that of whoever asked for it, whatever was asked before it, beside it and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import combinations
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.story.running import Client, Gateway, connect, read_answer

AGENTS = ("t1", "t2", "t4", "t9", "t10", "nobody")
FAMILIES = ("9990001", "9990003", "9990002", "9990008", "0000000")
"""Two that all may consult, one that is entrusted to nobody, one under objection, and none."""
PATHS = (
    *(f"/dossiers/{numero}" for numero in FAMILIES),
    *(f"/dossiers/{numero}/rubriques/{slug}" for numero in FAMILIES[:3] for slug in ("adresse", "enfants", "creances")),
    *(f"/dossiers/{numero}/courriers/co-{numero}-0.pdf" for numero in FAMILIES[:2]),
    "/-/session",
)
CONNECTIONS = 3


class Asked(NamedTuple):
    """One request: whose, how its token is sent, for what."""

    agent: str
    by_cookie: bool
    path: str


class Alone:
    """What each agent is answered when nobody else asks, and by what it is known. Without a representation: hypothesis
    would write all of it."""

    def __init__(self, tokens: Mapping[str, str], answers: Mapping[Asked, object]) -> None:
        self.tokens = tokens
        self.answers = answers


def headers(tokens: Mapping[str, str], asked: Asked) -> dict[str, str]:
    token = tokens[asked.agent]
    return {"Cookie": f"cafpro={token}"} if asked.by_cookie else {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def alone(gateway: Gateway) -> Alone:
    tokens = {
        agent: gateway.log_in(agent)["Authorization"].removeprefix("Bearer ") if agent != "nobody" else "x" * 43
        for agent in AGENTS
    }
    answers = {}
    for asked in (Asked(agent, by_cookie, path) for agent in AGENTS for by_cookie in (False, True) for path in PATHS):
        client = Client(gateway.url)
        answers[asked] = client.ask(asked.path, headers(tokens, asked)).lasting()
        client.close()
    told = {agent: [answers[Asked(agent, False, path)][::2] for path in PATHS] for agent in AGENTS}
    # Otherwise nothing would tell one from another.
    assert all(told[one] != told[other] for one, other in combinations(AGENTS, 2))
    return Alone(tokens, answers)


REQUEST = st.none() | st.builds(Asked, st.sampled_from(AGENTS), st.booleans(), st.sampled_from(PATHS))
ROUNDS = st.lists(st.tuples(*[REQUEST] * CONNECTIONS), min_size=1, max_size=12)


@pytest.mark.attack(18)
@settings(max_examples=120)
@given(ROUNDS)
def test_no_answer_is_ever_another_agents(gateway: Gateway, alone: Alone, rounds):
    """CVE-2021-32701, CVE-2026-33729. Three connections that stay open; in each round a request is written on each
    before any answer is read."""
    with ExitStack() as stack:
        opened = [stack.enter_context(connect(gateway.url)) for _ in range(CONNECTIONS)]
        for round_ in rounds:
            asking = [(connection, asked) for connection, asked in zip(opened, round_, strict=True) if asked]
            for connection, asked in asking:
                connection.sendall(written(alone.tokens, asked, gateway.host))
            for connection, asked in asking:
                answer = read_answer(connection)
                assert answer.lasting() == alone.answers[asked], asked
                row = gateway.recorded(answer)
                known = asked.agent if asked.agent != "nobody" else ""
                assert (row["agent"], row["status"]) == (known, answer.status)


def written(tokens: Mapping[str, str], asked: Asked, host: str) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers(tokens, asked).items()]
    return "\r\n".join([f"GET {asked.path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()
