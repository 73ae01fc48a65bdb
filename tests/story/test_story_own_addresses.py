"""Our own addresses while the directory is held by another writer, and while strangers try to keep them busy."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile

import pytest

from gateway.identity.passwords import CHECKS_AT_ONCE, CHECKS_WAITING
from tests.story.running import Answer, Client, Gateway, is_problem

STRANGERS = 40
"""More than there are threads for our own addresses, and than there are places for log-ins."""


@contextlib.contextmanager
def held(gateway: Gateway) -> Iterator[None]:
    """Another process has begun to write to the directory, and does not end."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "cafpro.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def until_told(enough: threading.Event) -> Iterator[int]:
    """0, 1, 2 … a thousand times at most."""
    return takewhile(lambda _: not enough.is_set(), range(1000))


def on_its_own(gateway: Gateway, path: str, headers: dict[str, str] | None) -> Answer:
    """Asked on a connection of its own."""
    with contextlib.closing(Client(gateway.url)) as client:
        return client.ask(path, headers)


@pytest.fixture
def own(start_gateway, stub_url) -> Gateway:
    gateway = start_gateway(stub_url)
    gateway.enter("t1", "T1")
    return gateway


def test_guesses_while_the_directory_is_held_keep_no_own_address_from_anyone(own):
    """As many wait for the directory as may; whoever asks for something else does not wait with them."""
    session = own.log_in("t1")
    before = own.last_row()
    enough = threading.Event()

    def guess(stranger: int) -> set[str]:
        return {own.sign_in(f"personne-{stranger}-{number}").json()["code"] for number in until_told(enough)}

    rounds = 0
    with held(own), ThreadPoolExecutor(STRANGERS) as pool:
        guesses = [pool.submit(guess, stranger) for stranger in range(STRANGERS)]
        try:
            # Until all places have been taken twice.
            while len(own.record_rows(after=before, code="GW502")) < 2 * (CHECKS_AT_ONCE + CHECKS_WAITING):
                for path, headers in (
                    ("/-/health/live", None),
                    ("/-/openapi.json", None),
                    ("/-/session", session),
                    ("/dossiers/9990001", session),
                ):
                    assert on_its_own(own, path, headers).status == 200, path
                rounds += 1
                assert rounds < 100_000, "nobody was refused"
        finally:
            enough.set()
        codes = set().union(*(one.result() for one in guesses))
    assert codes == {"GW502", "GW209"}
    # Whoever had a place waited for the writer, and who had the next one again. Had others waited with them, two rounds
    # would have been all.
    assert rounds > 10


@pytest.mark.parametrize("identifier", ["t1", "personne"])
def test_a_guess_that_the_directory_could_not_note_was_still_tried(own, identifier):
    with held(own):
        for _ in range(3):
            is_problem(own.sign_in(identifier, password="Une-autre-phrase-2013"), 503, "GW502")
        is_problem(own.sign_in(identifier, password="Une-autre-phrase-2013"), 429, "GW105")


def test_whoever_knows_the_password_does_not_wait_because_the_directory_was_held(own):
    with held(own):
        for _ in range(4):
            is_problem(own.sign_in("t1"), 503, "GW502")
    assert own.sign_in("t1").status == 201


@pytest.mark.parametrize("path", ["/-/health/live", "/-/health/ready", "/-/openapi.json"])
def test_what_machines_ask_for_is_the_same_to_head_and_closed_to_other_methods(own, path):
    answer, head = own.ask(path), own.ask(path, method="HEAD")
    assert (answer.status, answer.one("Content-Type"), head.body) == (200, "application/json", b"")
    assert [header for header in head.headers if header[0] != "Date"] == [
        header for header in answer.headers if header[0] != "Date"
    ]
    refused = own.ask(path, method="POST")
    is_problem(refused, 405, "GW204")
    assert refused.one("Allow").replace(" ", "").split(",") == ["GET", "HEAD"]
