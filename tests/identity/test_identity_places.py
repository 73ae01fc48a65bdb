"""The newcomer who is refused where an account has no place left, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from gateway.identity import directory
from gateway.identity.failures import count_failure
from gateway.identity.openid import Vouched
from gateway.identity.openid_sessions import open_vouched
from gateway.identity.refusals import LogInRefused, ProfileRefused, SessionsFull
from gateway.identity.sessions import sign_in, sign_out
from gateway.identity.store import open_store
from gateway.identity.tables import account, failure, session
from gateway.settings import Identity
from tests.identity.test_identity_own_sessions import MINUTE, OTHER, called, end, seen_by
from tests.identity.test_identity_second_factor import Enrolled


@pytest.fixture
def full(twin):
    """A town whose agents have two sessions at most, and one who has both."""
    twin.rules = Identity(caisse="691", sessions_at_once=2, sessions_full="refuse_newcomer")
    twin.held = [twin.sign_in() for _ in range(2)]
    return twin


def refused(town, now=None, **attempt):
    wanted = {"identifier": town.agent, "password": town.password, "now": now or town.noon, **attempt}
    with pytest.raises((SessionsFull, LogInRefused, ProfileRefused)) as refusal:
        sign_in(town.store, town.rules, **wanted)
    return refusal.value


def kept(town):
    with town.store.read() as connection:
        return connection.execute(select(func.count()).select_from(session)).scalar_one()


def test_where_there_is_no_place_left_the_newcomer_is_refused_and_named(full):
    refusal = refused(full)
    assert (type(refusal), refusal.identifier) == (SessionsFull, full.agent)
    for one in full.held:
        full.identify(one.token)
    end(full, full.held[0], called(full.held[1]))
    newcomer = full.sign_in()
    assert type(refused(full)) is SessionsFull
    assert sign_out(full.store, newcomer.token)
    full.sign_in()


def test_one_agents_places_are_not_anothers(full):
    directory.add_account(
        full.store, identifier=OTHER, password=full.password, partner_name=full.partner, profiles=["T9"]
    )
    sign_in(full.store, full.rules, identifier=OTHER, password=full.password, now=full.noon)


def test_nothing_is_said_of_places_before_everything_is_proved(full):
    assert type(refused(full, password="Another-horse-27")) is LogInRefused
    assert type(refused(full, identifier="nobody")) is LogInRefused
    assert type(refused(full, profile="T1")) is ProfileRefused
    directory.suspend_account(full.store, identifier=full.agent)
    assert refused(full).because == "suspended account"
    directory.resume_account(full.store, identifier=full.agent)
    with full.store.read() as connection:
        number = connection.execute(select(account.c.id)).scalar_one()
    for _ in range(10):
        count_failure(full.store, number, now=full.noon)
    assert refused(full).because == "locked account"


def test_the_second_factor_is_proved_first_and_its_code_is_used_up(twin):
    enrolled = Enrolled(twin)
    twin.rules = Identity(caisse="691", sessions_at_once=1, sessions_full="refuse_newcomer")
    enrolled.log_in(enrolled.code(1), steps=1)
    assert enrolled.refused("000000", steps=2).because == "wrong code of the second factor"
    assert enrolled.refused(None, steps=2).because == "no code of the second factor"
    with pytest.raises(SessionsFull):
        enrolled.log_in(enrolled.code(2), steps=2)
    directory.end_sessions(twin.store, identifier=twin.agent)
    enrolled.refused(enrolled.code(2), steps=2)
    enrolled.log_in(enrolled.code(3), steps=3)


def test_a_right_password_forgets_the_wrong_ones_before_it(full):
    for _ in range(3):
        refused(full, password="Another-horse-27")
    assert type(refused(full)) is SessionsFull
    with full.store.read() as connection:
        assert connection.execute(select(func.count()).select_from(failure)).scalar_one() == 0


def test_a_refused_newcomer_has_not_used_the_account(full):
    with full.store.change() as connection:
        connection.execute(account.update().values(last_used_on=None))
    refused(full)
    with full.store.read() as connection:
        assert connection.execute(select(account.c.last_used_on)).scalar_one() is None


@pytest.mark.parametrize("why", ["idle", "expired", "the profile is gone", "the clock stepped back"])
def test_sessions_that_would_be_refused_keep_nobody_out(full, why):
    now = full.noon
    if why == "the profile is gone":
        directory.set_profiles(full.store, identifier=full.agent, profiles=["T1"])
    else:
        steps = {"idle": 30 * MINUTE, "expired": timedelta(hours=10), "the clock stepped back": -6 * MINUTE}
        now += steps[why]
    newcomers = [full.sign_in(now=now) for _ in range(2)]
    assert type(refused(full, now=now)) is SessionsFull
    assert sorted(seen_by(full, newcomers[0], now)[0]) == sorted(called(one) for one in newcomers)
    assert kept(full) == 2


def test_a_session_in_use_is_not_taken_for_an_idle_one(full):
    full.identify(full.held[0].token, now=full.noon + 20 * MINUTE)
    later = full.noon + 35 * MINUTE
    full.sign_in(now=later)
    assert type(refused(full, now=later)) is SessionsFull
    full.identify(full.held[0].token, now=later)


def test_fewer_places_than_sessions_end_none_of_them(full):
    full.rules = Identity(caisse="691", sessions_at_once=1, sessions_full="refuse_newcomer")
    assert type(refused(full)) is SessionsFull
    assert kept(full) == 2


def test_of_many_newcomers_at_once_one_takes_the_last_place_on_whichever_machine(full):
    other = open_store(full.url)

    def come(number):
        store = (full.store, other)[number % 2]
        try:
            return sign_in(store, full.rules, identifier=full.agent, password=full.password, now=full.noon)
        except SessionsFull:
            return None

    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in range(5):
                sign_out(full.store, full.held.pop().token)
                came = [one for one in pool.map(come, range(4)) if one]
                assert (len(came), kept(full)) == (1, 2)
                full.held += came
    finally:
        other.close()


def test_whoever_a_provider_vouches_for_finds_no_other_place(full):
    vouched = Vouched(identifier=full.agent, partner=full.partner, siret=None, profile=None, hint=None)
    with pytest.raises(SessionsFull) as refusal:
        open_vouched(full.store, full.rules, vouched, profile=None, now=full.noon)
    assert refusal.value.identifier == full.agent
    sign_out(full.store, full.held[0].token)
    opened = open_vouched(full.store, full.rules, vouched, profile=None, now=full.noon)
    assert sorted(seen_by(full, opened, full.noon)[0]) == sorted([called(opened), called(full.held[1])])
