"""Failures that several connections count at the same time, on a real PostgreSQL server: each of them once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from gateway.identity import directory, passwords
from gateway.identity.failures import LOCKED_AFTER
from gateway.identity.refusals import LogInRefused
from gateway.identity.sessions import sign_in
from gateway.identity.store import open_store
from gateway.identity.tables import failure
from gateway.settings import Identity

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
RULES = Identity(caisse="691", sessions_at_once=1000)
AGENT, PASSWORD = "m.martin", "Correct-horse-26"


@pytest.fixture
def store(url):
    store = open_store(url)
    directory.add_partner(store, name="CCAS de Lyon", kind="external")
    directory.add_account(store, identifier=AGENT, password=PASSWORD, partner_name="CCAS de Lyon", profiles=["T9"])
    yield store
    store.close()


def attempt(store, password="Wrong-horse-2026", identifier=AGENT):
    """Why the log-in was refused; empty where it was not."""
    try:
        sign_in(store, RULES, identifier=identifier, password=password, now=NOON)
    except LogInRefused as refusal:
        return refusal.because
    return ""


def counted(store):
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(select(failure.c.in_a_row, failure.c.locked_at))]


@pytest.fixture
def quick(monkeypatch):
    """Passwords compared in no time: the attempts meet at the database."""
    monkeypatch.setattr(passwords, "password_matches", lambda password, *, stored: password == PASSWORD)


def test_none_is_lost_and_none_counted_twice(store, quick, monkeypatch):
    monkeypatch.setattr("gateway.identity.failures.LOCKED_AFTER", 1_000)
    with ThreadPoolExecutor(8) as threads:
        reasons = list(threads.map(lambda _: attempt(store), range(80)))
    assert set(reasons) == {"wrong password"}
    assert counted(store) == [(80, None)]


def test_the_tenth_locks_and_no_more_are_counted(store, quick):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: attempt(store), range(40)))
    assert counted(store) == [(LOCKED_AFTER, int(NOON.timestamp()))]
    assert attempt(store, PASSWORD) == "locked account"
    assert attempt(store, identifier="nobody") == "unknown identifier"
    directory.unlock_account(store, identifier=AGENT)
    assert attempt(store, PASSWORD) == ""
    assert counted(store) == []


def test_right_and_wrong_ones_at_the_same_time_leave_it_open_or_locked_and_nothing_else(store, quick):
    with ThreadPoolExecutor(8) as threads:
        reasons = list(
            threads.map(lambda number: attempt(store, PASSWORD if number % 3 else "Wrong-horse-2026"), range(60))
        )
    assert set(reasons) <= {"", "wrong password", "locked account"}
    assert len(directory.open_sessions(store, now=NOON)) == reasons.count("")
