"""Activation links: made by an administrator, used once by an agent, on a file and on a real server."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from gateway.errors import ActivationRefused, Misconfigured, PasswordGuessable, PasswordWeak, SessionEnded
from gateway.identity import directory, passwords
from gateway.identity.activation import activate
from gateway.identity.directory import Signature
from gateway.identity.failures import LOCKED_AFTER
from gateway.identity.links import void_link
from gateway.identity.refusals import (
    LINK_EXPIRED,
    LINK_OVERTAKEN,
    LINK_UNKNOWN,
    PASSWORD_WRONG,
    LinkRefused,
    LogInRefused,
)
from gateway.identity.sessions import identify, sign_in
from gateway.identity.store import open_store
from gateway.identity.tables import account, activation
from gateway.settings import Identity

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
RULES = Identity(caisse="691", engagement_version="2012-07")
PARTNER, AGENT, PASSWORD, OTHER = "CCAS de Lyon", "m.martin", "Correct-horse-26", "Another-horse-27"
HOURS = 72
END = NOON + timedelta(hours=HOURS)


@pytest.fixture
def store(anywhere):
    with contextlib.closing(open_store(anywhere)) as opened:
        directory.add_partner(opened, name=PARTNER, kind="external")
        yield opened


def invited(store, identifier=AGENT):
    made = directory.invite_new(
        store, identifier=identifier, partner_name=PARTNER, profiles=["T9"], hours=HOURS, now=NOON
    )
    return made.token


def again(store, **more):
    return directory.invite(store, identifier=AGENT, hours=HOURS, now=NOON, **more).token


def log_in(store, password=PASSWORD, identifier=AGENT):
    return sign_in(store, RULES, identifier=identifier, password=password, now=NOON)


def refused(store, token, *, now=NOON, password=PASSWORD):
    with pytest.raises(LinkRefused) as refusal:
        activate(store, token=token, password=password, now=now)
    return refusal.value


def links(store):
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(activation)).scalar_one()


def test_the_agent_chooses_a_password_and_logs_in_with_it(store):
    token = invited(store)
    assert activate(store, token=token, password=PASSWORD, now=NOON) == AGENT
    assert log_in(store).agent.identifier == AGENT
    assert links(store) == 0


def test_who_comes_to_the_staff_brings_neither_a_link_nor_a_password_nor_a_session(store):
    """Somebody of the staff may have given both, and would be two persons."""
    directory.add_partner(store, name="Caf", kind="caf")
    made = directory.invite_new(store, identifier="b.lea", partner_name="Caf", profiles=["T1"], hours=HOURS, now=NOON)
    activate(store, token=made.token, password=PASSWORD, now=NOON)
    session = log_in(store, identifier="b.lea")
    link = directory.invite(store, identifier="b.lea", hours=HOURS, now=NOON).token
    assert directory.set_profiles(store, identifier="b.lea", profiles=[])
    refused(store, link)
    with pytest.raises(LogInRefused):
        log_in(store, identifier="b.lea")
    with pytest.raises(SessionEnded):
        identify(store, RULES, session.token, now=NOON)
    assert not directory.set_profiles(store, identifier="b.lea", profiles=["T1"])


def test_nobody_is_logged_in_by_it_and_the_sessions_of_before_end(store):
    activate(store, token=invited(store), password=PASSWORD, now=NOON)
    assert directory.open_sessions(store, now=NOON) == []
    session = log_in(store).token
    activate(store, token=again(store), password=OTHER, now=NOON)
    with pytest.raises(SessionEnded):
        identify(store, RULES, session, now=NOON)
    assert log_in(store, OTHER).agent.identifier == AGENT


def test_the_old_password_is_good_until_the_link_is_used(store):
    activate(store, token=invited(store), password=PASSWORD, now=NOON)
    token = again(store)
    log_in(store)
    activate(store, token=token, password=OTHER, now=NOON)
    with pytest.raises(LogInRefused):
        log_in(store)


def test_an_account_that_is_not_activated_lets_nobody_in_and_looks_like_any_other(store, monkeypatch):
    invited(store)
    directory.add_account(store, identifier="a.durand", password=OTHER, partner_name=PARTNER)
    checked = []
    verify = passwords._verified
    monkeypatch.setattr(passwords, "_verified", lambda *asked: checked.append(asked[0]) or verify(*asked))
    found = []
    for identifier in (AGENT, "a.durand", "nobody"):
        for password in ("", PASSWORD):
            with pytest.raises(LogInRefused) as refusal:
                log_in(store, password, identifier)
            found.append((refusal.value.shown, refusal.value.status, refusal.value.said, refusal.value.headers))
    assert len(set(found)) == 1
    # `nobody` and the one without a password are checked against the same hash that nothing matches, at the same cost.
    hashed = [kept for kept in checked if kept]
    assert (len(hashed), hashed.count(passwords._NOTHING)) == (len(found), 4)


def test_one_that_was_locked_by_guessing_before_it_was_activated_is_unlocked_by_it(store):
    token = invited(store)
    for _ in range(LOCKED_AFTER):
        with pytest.raises(LogInRefused) as refusal:
            log_in(store)
        assert refusal.value.because == PASSWORD_WRONG
    assert [entry.locked_at for entry in directory.accounts(store)] == [NOON]
    activate(store, token=token, password=PASSWORD, now=NOON)
    assert log_in(store).agent.identifier == AGENT


# One answer for whoever has no good link.


def used(store, token):
    activate(store, token=token, password=PASSWORD, now=NOON)


def replaced(store, token):
    assert again(store) != token


def suspended(store, token):
    directory.suspend_account(store, identifier=AGENT)


def suspended_and_resumed(store, token):
    directory.suspend_account(store, identifier=AGENT)
    directory.resume_account(store, identifier=AGENT)


def closed(store, token):
    directory.close_account(store, identifier=AGENT, signed=Signature(why="left"), now=NOON)


def given_a_password(store, token):
    directory.set_password(store, identifier=AGENT, password=OTHER)


@pytest.mark.parametrize(
    "fate", [used, replaced, suspended, suspended_and_resumed, closed, given_a_password], ids=lambda fate: fate.__name__
)
def test_a_link_is_worth_nothing_once_it_was(store, fate):
    token = invited(store)
    fate(store, token)
    assert refused(store, token).because == LINK_UNKNOWN


def test_a_link_works_until_its_end_and_not_in_that_second(store):
    late = invited(store)
    refusal = refused(store, late, now=END)
    assert (refusal.because, refusal.identifier) == (LINK_EXPIRED, AGENT)
    activate(store, token=late, password=PASSWORD, now=END - timedelta(seconds=1))


@pytest.mark.parametrize(
    "token",
    ["", "x", "A" * 43, "A" * 44, "é" * 43, "A" * 42 + "\n", "\ud800" * 43, "A" * 4000],
    ids=["empty", "short", "unknown", "long", "not ASCII", "a newline", "half characters", "very long"],
)
def test_a_token_that_is_none_is_refused_in_one_way(store, token):
    invited(store)
    refusal = refused(store, token)
    assert (refusal.because, refusal.identifier) == (LINK_UNKNOWN, "")


def test_unknown_used_and_expired_look_the_same_outside_and_hash_nothing(store, monkeypatch):
    spent, late = invited(store), invited(store, "a.durand")
    activate(store, token=spent, password=PASSWORD, now=NOON)
    monkeypatch.setattr(passwords, "hash_password", lambda _: pytest.fail("an attempt without a link is cheap"))
    found = [refused(store, token, now=END) for token in ("A" * 43, spent, late)]
    assert {(r.code, r.shown, r.status, r.title, r.said, r.headers) for r in found} == {
        (ActivationRefused.code, "GW114", 403, ActivationRefused.title, ActivationRefused.said, ())
    }


def test_a_weak_password_is_told_only_to_whoever_has_a_good_link_and_leaves_the_link(store):
    token = invited(store)
    assert refused(store, "A" * 43, password="short").because == LINK_UNKNOWN
    with pytest.raises(PasswordWeak):
        activate(store, token=token, password="short", now=NOON)
    activate(store, token=token, password=PASSWORD, now=NOON)


@pytest.mark.parametrize("password", ["Azertyuiop123456!", "Xq-MARTIN-94-Zb", "8$kkq9p-lyon"])
def test_a_password_that_is_guessed_first_is_told_only_to_whoever_has_a_good_link(store, password):
    token = invited(store)
    assert refused(store, "A" * 43, password=password).because == LINK_UNKNOWN
    with pytest.raises(PasswordGuessable):
        activate(store, token=token, password=password, now=NOON)
    activate(store, token=token, password=PASSWORD, now=NOON)


@pytest.mark.parametrize("password", ["Azertyuiop123456!", "Xq-MARTIN-94-Zb", "8$kkq9p-lyon"])
def test_an_administrator_may_give_no_such_password_either(store, password):
    enter = {"identifier": AGENT, "partner_name": PARTNER}
    with pytest.raises(Misconfigured, match=r"[cC]hoose"):
        directory.add_account(store, password=password, **enter)
    directory.add_account(store, password=PASSWORD, **enter)
    with pytest.raises(Misconfigured, match=r"[cC]hoose"):
        directory.set_password(store, identifier=AGENT, password=password)


# Two at once.


def test_of_many_who_use_a_link_at_once_one_succeeds(anywhere, store, monkeypatch):
    token = invited(store)
    at_once = 4
    monkeypatch.setattr(passwords, "CHECKS", passwords.Turns(at_once=at_once, waiting=at_once))
    together = threading.Barrier(at_once)
    hash_password = passwords.hash_password

    def meeting(password):
        """All have found the link before one changes anything."""
        kept = hash_password(password)
        together.wait(30)
        return kept

    monkeypatch.setattr(passwords, "hash_password", meeting)

    def attempt(number):
        with contextlib.closing(open_store(anywhere)) as own:
            try:
                return activate(own, token=token, password=f"{PASSWORD}-{number}", now=NOON)
            except LinkRefused as refusal:
                return refusal.because

    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(attempt, range(at_once)))
    monkeypatch.undo()
    assert sorted(answers) == sorted([AGENT, *[LINK_OVERTAKEN] * (at_once - 1)])
    winner = answers.index(AGENT)
    assert log_in(store, f"{PASSWORD}-{winner}").agent.identifier == AGENT
    assert [row.act for row in directory.changes(store, subject=AGENT)] == ["account add", "account activate"]


@pytest.mark.parametrize("fate", [suspended, closed, replaced], ids=lambda fate: fate.__name__)
def test_what_is_withdrawn_while_the_password_is_hashed_stays_withdrawn(store, monkeypatch, fate):
    token = invited(store)
    hash_password = passwords.hash_password

    def overtaken(password):
        fate(store, token)
        return hash_password(password)

    monkeypatch.setattr(passwords, "hash_password", overtaken)
    assert refused(store, token).because == LINK_OVERTAKEN
    with store.read() as connection:
        assert connection.execute(select(account.c.password_hash)).scalar_one() == ""
    assert links(store) == (1 if fate is replaced else 0)


# For administrators.


def test_a_link_is_made_only_for_an_account_that_is_open(store):
    invited(store)
    directory.suspend_account(store, identifier=AGENT)
    with pytest.raises(Misconfigured, match="is suspended: resume it first"):
        again(store)
    closed(store, "")
    with pytest.raises(Misconfigured, match="is closed"):
        again(store)
    with pytest.raises(Misconfigured, match="There is no account"):
        directory.invite(store, identifier="nobody", hours=HOURS, now=NOON)
    assert links(store) == 0


def test_who_invited_and_who_activated_is_kept_and_the_token_is_not(anywhere, store):
    token = invited(store)
    token = again(store, signed=Signature("c.petit", "forgotten"))
    [listed] = directory.accounts(store)
    assert listed.invited_until == END
    activate(store, token=token, password=PASSWORD, now=NOON)
    [listed] = directory.accounts(store)
    assert listed.invited_until is None
    told = [(row.act, row.by, row.why) for row in directory.changes(store, subject=AGENT)][1:]
    assert told == [("account invite", "c.petit", "forgotten"), ("account activate", AGENT, "")]
    made = directory.invite(store, identifier=AGENT, hours=1, now=NOON)
    assert made.token not in repr(made)
    assert made.link("https://cafpro.example/") == f"https://cafpro.example/-/activation#{made.token}"
    with store.read() as connection:
        [kept] = connection.execute(select(activation)).all()
    assert made.token not in str(tuple(kept))


def test_an_account_without_a_link_has_none_to_make_void(store):
    with store.change() as connection:
        void_link(connection, None)
    assert links(store) == 0
