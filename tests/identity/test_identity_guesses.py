"""What makes log-ins wait is in the store: after a start, for every process, for names that nobody has, in bounds."""

import io
import json
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from gateway.api.activation import ActivationApi
from gateway.errors import StoreUnavailable, TooManyAttempts
from gateway.identity import directory, guesses
from gateway.identity.guesses import PLACES, Guesses
from gateway.identity.refusals import GuessNotNoted, LinkRefused, LogInRefused
from gateway.identity.sessions import sign_in
from gateway.identity.store import open_store
from gateway.identity.tables import guess
from gateway.limits.limits import Limits, Rate
from gateway.proxy.credentials import Door as FrontDoor
from gateway.proxy.identify import Reception
from gateway.record.entry import Entry

KEY = bytes(32)
HERE, THERE = "198.51.100.1", "198.51.100.2"
BURST = 5
WRONG = "Wrong-horse-2026"


class Door:
    """Log-ins at one gateway that shares the town's store with others."""

    def __init__(self, town, *, store=None, key=KEY):
        self.town, self.store = town, store or town.store
        self.guesses = Guesses(key, per_minute=10, burst=BURST)

    def knock(self, password=WRONG, *, identifier=None, address=HERE, after=0.0):
        """Whether it was let in, or for how many seconds nothing is tried."""
        identifier = identifier or self.town.agent
        attempt = self.guesses.attempt(identifier=identifier, address=address)
        now = self.town.noon + timedelta(seconds=after)
        wanted = {"identifier": identifier, "password": password, "attempt": attempt, "now": now}
        try:
            sign_in(self.store, self.town.rules, **wanted)
        except LogInRefused:
            return False
        except TooManyAttempts as refusal:
            return int(dict(refusal.headers)["Retry-After"])
        return True


@pytest.fixture
def door(twin):
    return Door(twin)


class Links:
    """Activation links at one gateway that was just started: what it has in memory is its own."""

    def __init__(self, town, *, store=None):
        self.town = town
        plenty = Rate(60_000, 60_000)
        limits = Limits(agent=plenty, address=plenty, failures=Rate(10, BURST), log_ins=plenty)
        door = FrontDoor("http://cafpro.example", [])
        guesses = Guesses(KEY, per_minute=10, burst=BURST)
        reception = Reception(door, store or town.store, town.rules, limits, guesses=guesses)
        self.reception = reception
        self.api = ActivationApi(reception, exit=None)

    def try_one(self, token="A" * 43, *, address=HERE, after=0.0):
        """The answer's status, the refusal, or for how many seconds nothing is tried."""
        body = json.dumps({"token": token, "password": "Chemin-vert-1998"}).encode()
        environ = {
            **{"HTTP_HOST": "cafpro.example", "QUERY_STRING": "", "CONTENT_TYPE": "application/json"},
            **{"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)},
        }
        entry = Entry("0" * 24, self.town.noon + timedelta(seconds=after), address)
        try:
            return self.api.activate(environ, entry).status
        except TooManyAttempts as refusal:
            return int(dict(refusal.headers)["Retry-After"])
        except (LinkRefused, StoreUnavailable) as refusal:
            return type(refusal)


def rows(town):
    with town.store.read() as connection:
        return connection.execute(select(guess).order_by(guess.c.place)).all()


@pytest.mark.parametrize("known", [True, False], ids=["an account", "nobody"])
def test_an_identifier_waits_longer_each_time_whoever_is_asked(twin, known):
    identifier = twin.agent if known else "personne"
    other = open_store(twin.url)
    try:
        doors = [Door(twin), Door(twin, store=other)]
        moment, waits = 0.0, []
        for number in range(6):
            address = f"203.0.113.{number}"
            assert doors[number % 2].knock(identifier=identifier, address=address, after=moment) is False
            if number > 1:
                waits.append(doors[(number + 1) % 2].knock(twin.password, identifier=identifier, after=moment))
                moment += waits[-1]
        assert waits == [1, 2, 4, 8]
        assert doors[0].knock(twin.password, identifier=identifier, after=moment) is known
    finally:
        other.close()


def test_an_address_waits_for_whomever_it_asks_and_others_do_not(twin, door):
    for number in range(BURST):
        assert door.knock(identifier=f"inconnu-{number}") is False
    assert 1 <= door.knock(twin.password) <= 6
    assert door.knock(twin.password, address=THERE) is True
    assert door.knock(twin.password, after=6.1) is True


def test_a_success_is_forgiven_what_failed_at_its_address_and_no_more(door, twin):
    for address in (HERE, HERE, THERE):
        assert door.knock(address=address) is False
    assert door.knock(twin.password, after=1.1) is True
    assert door.knock(address=THERE, after=1.1) is False  # a second one of theirs
    assert door.knock(twin.password, after=1.1) is True
    assert door.knock(address=THERE, after=1.1) is False
    assert door.knock(twin.password, after=1.1) == 1


def test_links_that_are_tried_make_an_address_wait_after_a_start_and_at_every_gateway(twin, door):
    link = directory.invite(twin.store, identifier=twin.agent, hours=1, now=twin.noon).token
    first = Links(twin)
    assert [first.try_one() for _ in range(BURST)] == [LinkRefused] * BURST
    beside = open_store(twin.url)
    try:
        for other in (first, Links(twin), Links(twin, store=beside)):
            assert 1 <= other.try_one(link) <= 6
    finally:
        beside.close()
    # As a log-in there does; and nobody else, and no name.
    assert 1 <= door.knock(twin.password) <= 6
    assert door.knock(twin.password, address=THERE) is True
    assert [row.failures for row in rows(twin)] == [0]
    # What was not tried has used nothing up.
    assert Links(twin).try_one(link, address=THERE) == 204
    assert Links(twin).try_one(link, after=6.1) == LinkRefused


def test_log_ins_that_failed_are_counted_with_links_that_did(twin, door):
    for number in range(BURST - 1):
        assert door.knock(identifier=f"inconnu-{number}") is False
    assert Links(twin).try_one() == LinkRefused
    assert 1 <= Links(twin).try_one() <= 6
    assert 1 <= door.knock(identifier="encore") <= 6


def test_a_link_that_is_good_writes_no_failure(twin):
    link = directory.invite(twin.store, identifier=twin.agent, hours=1, now=twin.noon).token
    assert Links(twin).try_one(link) == 204
    assert rows(twin) == []


@pytest.mark.looks_inside
def test_whose_wrong_link_cannot_be_noted_is_told_nothing(twin, monkeypatch):
    links = Links(twin)

    def away(**_):
        raise StoreUnavailable("away")

    monkeypatch.setattr(twin.store, "change", away)
    assert links.try_one() == GuessNotNoted
    # In memory it counts all the same.
    for _ in range(BURST - 1):
        links.try_one()
    assert 1 <= links.try_one() <= 6


def test_an_hour_without_failures_forgets_and_the_rows_go(door, twin):
    for _ in range(3):
        door.knock()
    assert len(rows(twin)) == 3
    assert door.knock(twin.password) == 1
    assert door.knock(twin.password, after=3601) is True
    assert door.knock(identifier="autre", address=THERE, after=3700) is False
    assert len(rows(twin)) == 3, "the other's alone"


def test_a_clock_that_steps_back_makes_nobody_wait_longer_than_a_failure_does(door, twin):
    for number in range(BURST + 2):
        door.knock(identifier=twin.agent if number < 3 else f"autre-{number}", after=100)
    assert door.knock(twin.password, address=THERE, after=10) == 1
    assert 1 <= door.knock(twin.password, after=10) <= 120
    assert door.knock(twin.password, after=-100_000) is True
    assert [door.knock(after=-100_000) for _ in range(3)] == [False] * 3
    assert door.knock(twin.password, after=-100_000) == 1, "and counts as ever"


def test_nobody_is_named_and_another_key_knows_nobody(door, twin):
    for _ in range(3):
        door.knock(identifier="mon mot de passe")
    kept = repr(rows(twin))
    assert "mot de passe" not in kept and HERE not in kept
    assert Door(twin, key=bytes(31) + b"1").knock(identifier="mon mot de passe") is False


def test_only_failures_write(door, twin):
    assert door.knock(twin.password) is True
    assert rows(twin) == []


def test_a_flood_of_names_and_addresses_stays_within_its_places_and_takes_nobodys_wait(twin, monkeypatch):
    monkeypatch.setattr(guesses, "PLACES", 8)
    door = Door(twin)
    for _ in range(3):
        assert door.knock() is False
    for number in range(120):
        door.knock(identifier=f"inondation-{number}", address=f"203.0.{number}.1")
    assert len(rows(twin)) <= 3 * 8
    assert door.knock(twin.password) == 1
    # Whose place is held by somebody who waits is not taken for them.
    waited = [door.knock(identifier=f"innocent-{number}", address=f"192.0.2.{number}") for number in range(40)]
    assert waited == [False] * 40


def test_a_full_table_costs_a_log_in_no_more_than_an_empty_one(door, twin):
    """A row is found by its key: the database says so itself."""
    moment = int(twin.noon.timestamp() * 1000)
    with twin.store.change() as connection:
        full = [{"place": place, "tag": -1, "failures": 1, "at": moment} for place in range(0, 3 * PLACES, 16)]
        connection.execute(insert(guess), full)
    with twin.store.read() as connection:
        explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE guess")
        plan = "\n".join(
            str(row)
            for asked in ("place = 1 OR place = 2", "at <= 1 LIMIT 100")
            for row in connection.exec_driver_sql(f"{explain} SELECT place FROM guess WHERE {asked}")
        )
    assert "SCAN guess" not in plan and "Seq Scan" not in plan, plan
    assert door.knock() is False


@pytest.mark.looks_inside
def test_who_guesses_while_the_store_is_away_is_told_nothing(twin, door, monkeypatch):
    def away(*_, **__):
        raise StoreUnavailable("away")

    monkeypatch.setattr(twin.store, "ask", away)
    for password in (WRONG, twin.password):
        with pytest.raises(StoreUnavailable):
            door.knock(password)
