"""Failed log-ins, and links that nobody made, make an identifier and an address wait at a gateway that was started
since, and at the one beside it, before one PostgreSQL server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from sqlalchemy import select, update

from gateway.identity.tables import guess
from tests.story.running import PASSWORD, Answer, Gateway, is_problem

WRONG = "Une-autre-phrase-2013"
BURST = 4
SERIAL = count(1)


@pytest.fixture(scope="module")
def machines(server, stub_url, tmp_path_factory) -> Iterator[Gateway]:
    """Starts gateways that share a server and the record's key. The machine itself is a proxy of theirs."""
    url = server.empty_database()
    made: list[Gateway] = []

    with ExitStack() as stack:
        stack.callback(server.remove, url)

        def start() -> Gateway:
            shared = {
                **{"store.url": url, "record.url": url, "server.workers": "2", "server.proxies": "127.0.0.1"},
                **{"limits.failures_burst": str(BURST), "limits.failures_per_minute": "1"},
            }
            if made:
                shared["record.key_file"] = str(made[0].folder / "record.key")
            made.append(Gateway(tmp_path_factory.mktemp("machine"), upstream=stub_url, settings=shared, policies=None))
            stack.callback(made[-1].stop)
            return made[-1]

        yield start


def new_address() -> str:
    return f"198.51.100.{next(SERIAL)}"


def attempt(gateway: Gateway, identifier: str, password: str = WRONG, *, address: str = "") -> Answer:
    headers = {"Content-Type": "application/json", "X-Forwarded-For": address or new_address()}
    body = json.dumps({"identifier": identifier, "password": password}).encode()
    return gateway.ask("/-/session", headers, method="POST", body=body)


def link(gateway: Gateway, *, address: str) -> Answer:
    """The answer to an activation link that nobody made."""
    headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
    body = json.dumps({"token": "A" * 43, "password": PASSWORD}).encode()
    return gateway.ask("/-/activation", headers, method="POST", body=body)


@pytest.mark.attack(17)
def test_waits_outlive_a_start_and_hold_on_every_machine(machines):
    first = machines()
    first.enter("lent", "T1")
    first.enter("autre", "T1")
    for identifier in ("lent", "personne"):
        for _ in range(3):
            is_problem(attempt(first, identifier), 401, "GW103")
    guesser = new_address()
    for number in range(BURST):
        is_problem(attempt(first, f"inconnu-{number}", address=guesser), 401, "GW103")
    finder = new_address()
    for _ in range(BURST):
        is_problem(link(first, address=finder), 403, "GW114")
    with first.store.change() as connection:
        assert sorted(connection.execute(select(guess.c.failures)).scalars())[-2:] == [3, 3]
        # As those of a patient guesser, so that no wait is over before it is looked at.
        connection.execute(update(guess).where(guess.c.failures == 3).values(failures=12))
    other = machines()
    for identifier in ("lent", "personne"):
        refused = attempt(other, identifier, PASSWORD)
        is_problem(refused, 429, "GW105")
        assert 1 <= int(refused.one("Retry-After")) <= 120
    is_problem(attempt(other, "autre", PASSWORD, address=guesser), 429, "GW105")
    for refused in (link(other, address=finder), attempt(other, "autre", PASSWORD, address=finder)):
        is_problem(refused, 429, "GW105")
    is_problem(link(other, address=new_address()), 403, "GW114")
    assert attempt(other, "autre", PASSWORD).status == 201
    assert attempt(first, "autre", PASSWORD).status == 201
