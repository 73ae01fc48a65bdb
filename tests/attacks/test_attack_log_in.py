"""Passwords are guessed: of many identifiers from one address, of one identifier from many addresses, and to find out
which identifiers there are. The machine itself is a proxy, so that a header gives each attempt an address."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import pytest
from sqlalchemy import insert, select

from gateway.api.answering import REFUSED_EVERY
from gateway.identity import directory
from gateway.identity.failures import LOCKED_AFTER
from gateway.identity.refusals import LogInRefused
from gateway.identity.sessions import sign_in
from gateway.identity.tables import account, failure
from gateway.settings import Identity
from tests.story.running import CAISSE, PASSWORD, Answer, Gateway, is_problem, until

WRONG = "Une-autre-phrase-2013"
BURST = 6
"""Failures from one address before it waits."""
RULES = Identity(caisse=CAISSE)
SERIAL = count(1)


@pytest.fixture(scope="module")
def guarded(start_gateway, stub_url) -> Iterator[Gateway]:
    """Two workers. `agent-1` to `agent-100` have accounts."""
    gateway = start_gateway(
        stub_url,
        server__workers=2,
        server__proxies="127.0.0.1",
        limits__failures_per_minute=6,
        limits__failures_burst=BURST,
    )
    gateway.enter("agent-0", "T1")
    with gateway.store.change() as connection:
        [pattern] = connection.execute(select(account)).mappings()
        values = {name: value for name, value in pattern.items() if name != "id"}
        numbered = [{**values, "identifier": f"agent-{number}"} for number in range(1, 101)]
        connection.execute(insert(account), numbered)
    return gateway


@pytest.fixture
def fresh() -> Iterator[str]:
    """Accounts that no test has used."""
    return (f"agent-{number}" for number in SERIAL)


SERIAL_ADDRESS = count(1)


def new_address() -> str:
    return f"198.51.{next(SERIAL_ADDRESS)}.1"


def attempt(gateway: Gateway, identifier: str, password: str = WRONG, *, address: str = "", **more: str) -> Answer:
    """A log-in from this address, or from one that nobody has heard of."""
    headers = {"Content-Type": "application/json", "X-Forwarded-For": address or new_address()}
    body = json.dumps({"identifier": identifier, "password": password, **more}).encode()
    return gateway.ask("/-/session", headers, method="POST", body=body)


def is_too_many(answer: Answer) -> int:
    """The answer is the refusal to try; the seconds that it tells to wait."""
    is_problem(answer, 429, "GW105")
    assert answer.all("WWW-Authenticate") == []
    return int(answer.one("Retry-After"))


def lock(gateway: Gateway, *identifiers: str) -> None:
    """As failures of another day have left them."""
    with gateway.store.change() as connection:
        found = connection.execute(select(account.c.id).where(account.c.identifier.in_(identifiers))).scalars().all()
        assert len(found) == len(identifiers)
        rows = [{"account_id": one, "in_a_row": LOCKED_AFTER, "locked_at": 1_750_000_000} for one in found]
        connection.execute(insert(failure), rows)


def fail_elsewhere(gateway: Gateway, identifier: str, times: int) -> None:
    """Wrong passwords, counted by another process that shares the directory: another machine, or another day."""
    for _ in range(times):
        with pytest.raises(LogInRefused):
            sign_in(gateway.store, RULES, identifier=identifier, password=WRONG, now=datetime.now(UTC))


def listed(gateway: Gateway, identifier: str) -> directory.Account:
    [one] = [one for one in directory.accounts(gateway.store) if one.identifier == identifier]
    return one


@pytest.mark.attack(17)
def test_many_identifiers_from_one_address_are_not_tried_for_long(guarded, fresh):
    address = new_address()
    identifiers = [name for number in range(15) for name in (next(fresh), f"inconnu-{number}")]
    answers = [attempt(guarded, identifier, address=address) for identifier in identifiers]
    for answer in answers[:BURST]:
        is_problem(answer, 401, "GW103")
    # One more comes back every ten seconds: on a slow machine a few were tried later.
    tried = [answer for answer in answers if answer.status == 401]
    assert BURST <= len(tried) <= BURST + 3
    for answer in answers:
        if answer.status != 401:
            assert is_too_many(answer) <= 10
    rows = [guarded.recorded(answer) for answer in answers]
    assert [row["code"] for row in rows] == ["GW103" if answer.status == 401 else "GW105" for answer in answers]
    assert {(row["act"], row["address"]) for row in rows} == {("log_in", address)}
    for identifier, row in zip(identifiers, rows, strict=True):
        # What was not looked up is not named, and what nobody is called is never kept: it may be a password.
        known = row["code"] == "GW103" and identifier.startswith("agent-")
        assert row["agent"] == (identifier if known else "")
        if row["code"] == "GW105":
            assert row["because"] == "too many failures from this address"
    assert "inconnu-" not in json.dumps(rows)
    assert listed(guarded, identifiers[0]).locked_at is None
    # Whoever knows a password waits too behind this address, and from another one does not.
    is_too_many(attempt(guarded, identifiers[-2], PASSWORD, address=address))
    assert attempt(guarded, identifiers[-2], PASSWORD).status == 201


@pytest.mark.attack(17)
@pytest.mark.parametrize("known", [True, False], ids=["an account", "nobody"])
def test_one_identifier_from_many_addresses_waits_longer_each_time(guarded, fresh, known):
    identifier = next(fresh) if known else "personne"
    failures = waits = 0
    while failures < 5:
        answer = attempt(guarded, identifier)
        if answer.status == 401:
            # On a slow machine a second may be over before one asks again.
            is_problem(answer, 401, "GW103")
            failures += 1
            continue
        told_at, seconds = time.monotonic(), is_too_many(answer)
        assert failures >= 3
        assert seconds <= 2 ** (failures - 3)
        waits += 1
        row = guarded.recorded(answer)
        assert (row["agent"], row["because"]) == ("", "too many failures for this identifier")
        until(lambda at=told_at + seconds: time.monotonic() >= at, "the time is over")
    assert waits
    refused = attempt(guarded, identifier, PASSWORD)
    seconds = is_too_many(refused)
    assert 2 < seconds <= 4
    time.sleep(seconds)
    if known:
        assert attempt(guarded, identifier, PASSWORD).status == 201
    # From another address than theirs: their failures stay, and the next one is a sixth.
    is_problem(attempt(guarded, identifier), 401, "GW103")
    assert 4 < is_too_many(attempt(guarded, identifier)) <= 8


@pytest.mark.attack(17)
def test_a_stranger_does_not_see_that_the_holder_of_an_identifier_has_just_logged_in(guarded, fresh):
    holders, nobodys = next(fresh), "personne-qui-se-connecte"
    strangers = {holders: new_address(), nobodys: new_address()}
    for identifier, stranger in strangers.items():
        for _ in range(2):
            is_problem(attempt(guarded, identifier, address=stranger), 401, "GW103")
    assert attempt(guarded, holders, PASSWORD).status == 201
    seen = []
    for identifier, stranger in strangers.items():
        third, fourth = (attempt(guarded, identifier, address=stranger) for _ in range(2))
        is_problem(third, 401, "GW103")
        seen.append((third.status, is_too_many(fourth)))
    assert seen == [(401, 1), (401, 1)]


@pytest.mark.attack(17)
def test_whoever_mistypes_and_logs_in_begins_anew(guarded, fresh):
    identifier, address = next(fresh), new_address()
    for _ in range(2):
        for _ in range(2):
            is_problem(attempt(guarded, identifier, address=address), 401, "GW103")
        assert attempt(guarded, identifier, PASSWORD, address=address).status == 201


@pytest.mark.attack(17)
def test_what_was_not_tried_is_no_failure(guarded, fresh):
    identifier = next(fresh)
    for _ in range(3):
        is_problem(attempt(guarded, identifier), 401, "GW103")
    refusals = [attempt(guarded, identifier) for _ in range(LOCKED_AFTER)]
    tried = [answer for answer in refusals if answer.status == 401]
    assert len(tried) <= 2, "all of them within a second or two"
    assert listed(guarded, identifier).locked_at is None
    with guarded.store.read() as connection:
        counted = connection.execute(
            select(failure.c.in_a_row).join(account).where(account.c.identifier == identifier)
        ).scalar_one()
    assert counted == 3 + len(tried)


@pytest.mark.attack(17)
def test_unknown_wrong_suspended_and_locked_cannot_be_told_apart(guarded, fresh):
    wrong, suspended, locked, other_locked = (next(fresh) for _ in range(4))
    directory.suspend_account(guarded.store, identifier=suspended)
    lock(guarded, locked, other_locked)
    cases = {
        (wrong, WRONG): (wrong, "wrong password"),
        ("personne-de-ce-nom", WRONG): ("", "unknown identifier"),
        ("AGENT 1", WRONG): ("", "unknown identifier"),
        (suspended, PASSWORD): (suspended, "suspended account"),
        (locked, PASSWORD): (locked, "locked account"),
        (other_locked, WRONG): (other_locked, "wrong password"),
    }
    seen = []
    for (identifier, password), (agent, because) in cases.items():
        tried = [attempt(guarded, identifier, password) for _ in range(3)]
        is_too_many(attempt(guarded, identifier, password))
        for answer in tried:
            is_problem(answer, 401, "GW103")
            seen.append(answer.lasting())
            row = guarded.recorded(answer)
            assert (row["agent"], row["because"], row["code"]) == (agent, because, "GW103")
    assert all(answer == seen[0] for answer in seen)


@pytest.mark.attack(17)
def test_unknown_wrong_and_locked_take_the_same_time(guarded, fresh):
    """Twelve of each, in turns, and never twice the same name, so that nobody waits.

    Of two kinds that take the same time, each attempt of one is as likely to be slower than an attempt of the other as
    to be faster: of the 144 pairs about 72. Fewer than 3, or more than 141, happen by chance once in 300 000 runs; a
    kind that takes longer than the other's scatter makes it always. What is smaller than the scatter of a busy machine,
    such as a write, nobody sees: none is answered before the end of the piece of time that hides its reason.
    """
    times = 12
    locked = [next(fresh) for _ in range(times)]
    lock(guarded, *locked)
    spent: dict[str, list[float]] = {"unknown": [], "wrong": [], "locked": []}
    for number in range(times):
        for kind, identifier in (
            ("unknown", f"personne-{number}"),
            ("wrong", next(fresh)),
            ("locked", locked[number]),
        ):
            begun = time.perf_counter()
            answer = attempt(guarded, identifier, PASSWORD if kind == "locked" else WRONG)
            spent[kind].append(time.perf_counter() - begun)
            assert answer.status == 401
    assert min(map(min, spent.values())) >= REFUSED_EVERY
    for first, second in (("unknown", "wrong"), ("unknown", "locked"), ("wrong", "locked")):
        slower = sum(one > other for one in spent[first] for other in spent[second])
        assert 3 <= slower <= times * times - 3, (first, second, spent)


@pytest.mark.attack(17)
def test_the_tenth_failure_locks_for_whoever_knows_the_password_too_until_an_administrator_unlocks(guarded, fresh):
    identifier = next(fresh)
    fail_elsewhere(guarded, identifier, LOCKED_AFTER - 2)
    ninth = attempt(guarded, identifier)
    assert listed(guarded, identifier).locked_at is None
    tenth = attempt(guarded, identifier)
    assert listed(guarded, identifier).locked_at is not None
    right = attempt(guarded, identifier, PASSWORD)
    is_problem(right, 401, "GW103")
    assert ninth.lasting() == tenth.lasting() == right.lasting()
    rows = [guarded.recorded(answer) for answer in (ninth, tenth, right)]
    assert {(row["agent"], row["code"]) for row in rows} == {(identifier, "GW103")}
    assert [row["because"] for row in rows] == ["wrong password", "wrong password", "locked account"]
    # These three make the identifier wait for a second, whatever an administrator does.
    is_too_many(attempt(guarded, identifier, PASSWORD))
    guarded.cafpro("account", "unlock", identifier)
    until(lambda: attempt(guarded, identifier, PASSWORD).status == 201, "the agent is let in again")
    assert listed(guarded, identifier).locked_at is None


@pytest.mark.attack(17)
def test_another_password_unlocks(guarded, fresh):
    identifier = next(fresh)
    fail_elsewhere(guarded, identifier, LOCKED_AFTER)
    is_problem(attempt(guarded, identifier, PASSWORD), 401, "GW103")
    guarded.cafpro("account", "password", identifier, "--password-stdin", typed="Encore-une-phrase-2014\n")
    assert attempt(guarded, identifier, "Encore-une-phrase-2014").status == 201


@pytest.mark.attack(17)
def test_a_locked_account_does_not_say_that_only_the_profile_is_missing(guarded, fresh):
    identifier, other = next(fresh), next(fresh)
    for one in (identifier, other):
        directory.set_profiles(guarded.store, identifier=one, profiles=["T1", "T2"])
    lock(guarded, identifier)
    is_problem(attempt(guarded, other, PASSWORD), 422, "GW112")
    for more in ({}, {"profile": "T9"}, {"profile": "T1"}):
        is_problem(attempt(guarded, identifier, PASSWORD, **more), 401, "GW103")


@pytest.mark.attack(17)
def test_a_flood_of_guesses_leaves_one_line_each_while_consultations_go_on(guarded, fresh):
    session = {"Authorization": f"Bearer {attempt(guarded, next(fresh), PASSWORD).json()['token']}"}
    before = len(guarded.record_rows(act="log_in"))
    address = new_address()
    for number in range(40):
        assert attempt(guarded, f"inondation-{number}", address=address).status in (401, 429)
        assert guarded.ask("/dossiers/9990001", session).status == 200
    assert len(guarded.record_rows(act="log_in")) == before + 40
