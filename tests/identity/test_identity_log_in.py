"""Logging in: one answer for whoever is not let in, one fresh token for whoever is."""

import sqlite3
import threading
import time

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import select, update

from gateway.errors import AccountSuspended, Busy, ProfileNotHeld, SessionEnded, WrongPassword
from gateway.identity import directory, passwords
from gateway.identity.refusals import AgentSuspended, LogInRefused, ProfileRefused
from gateway.identity.sessions import sign_in, sign_out
from gateway.identity.tables import account
from tests.identity.conftest import on_a_file


def refused(town, **attempt):
    wanted = {"identifier": town.agent, "password": town.password, **attempt}
    with pytest.raises(LogInRefused) as refusal:
        sign_in(town.store, town.rules, now=town.noon, **wanted)
    return refusal.value


def test_the_right_password_opens_a_session_that_names_the_agent(town):
    signed_in = town.sign_in()
    assert signed_in.agent == town.identify(signed_in.token)
    assert (signed_in.agent.identifier, signed_in.agent.partner_name) == (town.agent, town.partner)
    assert (signed_in.agent.profile, signed_in.agent.profiles, signed_in.agent.assurance) == (
        "T9",
        ("T9",),
        "password",
    )
    assert signed_in.expires_at == signed_in.agent.expires_at == int(town.noon.timestamp()) + 10 * 3600
    assert len(signed_in.token) == 43
    assert signed_in.token not in repr(signed_in)


def test_unknown_wrong_and_suspended_get_one_answer_and_the_record_three_reasons(town):
    wrong = refused(town, password="Wrong-horse-2026")
    unknown = refused(town, identifier="nobody")
    directory.suspend_account(town.store, identifier=town.agent)
    suspended = refused(town)
    assert {(r.code, r.shown, r.status, r.title, r.said, r.headers) for r in (wrong, unknown, suspended)} == {
        (WrongPassword.code, WrongPassword.code, 401, wrong.title, wrong.said, wrong.headers)
    }
    assert [(r.because, r.identifier) for r in (wrong, unknown, suspended)] == [
        ("wrong password", town.agent),
        ("unknown identifier", ""),
        ("suspended account", town.agent),
    ]


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "M.MARTIN",
        "m.martin ",
        " m.martin",
        "m.martin\n",
        "m.martin\x00",
        "ｍ.martin",
        "\ud800",
        "' OR 1=1 --",
        "a" * 65,
    ],
)
def test_what_is_not_an_identifier_is_unknown_and_never_kept(town, identifier):
    refusal = refused(town, identifier=identifier)
    assert (refusal.because, refusal.identifier) == ("unknown identifier", "")
    assert not identifier or identifier not in str(refusal)


@pytest.mark.parametrize(
    "password", ["", "\ud800", "Correct-horse-26\x00", "x" * 129, "x" * 1_000_000, "correct-horse-26"]
)
def test_what_is_not_the_password_is_wrong(town, password):
    assert refused(town, password=password).because == "wrong password"


def test_a_suspended_account_with_a_wrong_password_is_a_wrong_password(town):
    directory.suspend_account(town.store, identifier=town.agent)
    assert refused(town, password="Wrong-horse-2026").because == "wrong password"


class Counting:
    """A hasher that notes what each check costs: the parameters of the hash, once argon2 has gone through it all."""

    def __init__(self, hasher):
        self._hasher, self.costs = hasher, []

    def __getattr__(self, name):
        return getattr(self._hasher, name)

    def verify(self, stored, text):
        with pytest.raises(VerifyMismatchError):
            self._hasher.verify(stored, text)
        self.costs.append(extract_parameters(stored))
        raise VerifyMismatchError


@pytest.mark.usefixtures("hashing_in_earnest")
def test_whoever_is_not_let_in_costs_one_check_of_a_password_known_or_not(town, monkeypatch):
    """A shorter time would tell who has an account."""
    directory.add_account(
        town.store, identifier="invited", password="Une-autre-phrase-26", partner_name=town.partner, profiles=["T9"]
    )
    with town.store.change() as connection:
        unset = update(account).where(account.c.identifier == "invited")
        connection.execute(unset.values(password_hash=passwords.NO_PASSWORD))
    counting = Counting(passwords._HASHER)
    monkeypatch.setattr(passwords, "_HASHER", counting)
    usual = extract_parameters(counting.hash(town.password))
    for identifier in (town.agent, "nobody", "NOT ONE", "\ud800", "invited"):
        for password in ("Wrong-horse-2026", "", "\ud800", "x" * 1_000_000):
            refused(town, identifier=identifier, password=password)
            assert counting.costs == [usual], (identifier, password[:9])
            counting.costs.clear()


def test_an_accent_is_the_same_on_every_keyboard(town):
    directory.set_password(town.store, identifier=town.agent, password="Été-à-la-plage")
    town.password = "E\u0301te\u0301-a\u0300-la-plage"
    assert town.sign_in().agent.identifier == town.agent


def test_several_profiles_must_be_chosen_from_and_only_after_the_password(town):
    directory.set_profiles(town.store, identifier=town.agent, profiles=["T10", "T1"])
    for asked in (None, "", "T9", "t1", "T1 T10", "T1,T10"):
        with pytest.raises(ProfileRefused) as refusal:
            town.sign_in(profile=asked)
        assert isinstance(refusal.value, ProfileNotHeld)
        assert (refusal.value.identifier, refusal.value.profiles) == (town.agent, ("T1", "T10"))
        with pytest.raises(WrongPassword):
            sign_in(
                town.store, town.rules, identifier=town.agent, password="Wrong-horse-2026", profile=asked, now=town.noon
            )
    assert town.sign_in(profile="T10").agent.profile == "T10"


def test_the_one_profile_may_be_named_and_another_not(town):
    assert town.sign_in(profile="T9").agent.profile == "T9"
    with pytest.raises(ProfileNotHeld):
        town.sign_in(profile="T1")


def test_an_account_without_profiles_signs_in_with_none(town):
    directory.set_profiles(town.store, identifier=town.agent, profiles=[])
    town.sign_convention()
    agent = town.sign_in().agent
    assert (agent.profile, agent.profiles, agent.convention) == ("", (), "none")
    with pytest.raises(ProfileNotHeld):
        town.sign_in(profile="T9")


def test_each_log_in_makes_a_fresh_token_and_leaves_the_others_alone(town):
    tokens = [town.sign_in().token for _ in range(3)]
    assert len(set(tokens)) == 3
    assert sign_out(town.store, tokens[0]) is True
    assert sign_out(town.store, tokens[0]) is False
    with pytest.raises(SessionEnded):
        town.identify(tokens[0])
    assert town.identify(tokens[1]) == town.identify(tokens[2])


@on_a_file
def test_no_token_and_no_password_is_in_the_database_in_clear(town, tmp_path):
    signed_in = town.sign_in()
    town.identify(signed_in.token)
    files = list(tmp_path.glob("directory.db*"))
    assert files
    for file in files:
        kept = file.read_bytes()
        assert signed_in.token.encode() not in kept
        assert town.password.encode() not in kept


def test_a_password_kept_with_older_parameters_is_hashed_anew_at_log_in(town):
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(town.password)
    with town.store.change() as connection:
        connection.execute(update(account).values(password_hash=weak))
    town.sign_in()
    with town.store.read() as connection:
        kept = connection.execute(select(account.c.password_hash)).scalar_one()
    assert kept != weak
    assert not passwords.is_outdated(kept)
    assert town.sign_in().agent.identifier == town.agent


def test_a_password_changed_ends_the_sessions_and_the_old_one_opens_none(town):
    before = town.sign_in()
    assert directory.set_password(town.store, identifier=town.agent, password="Another-horse-27") == 1
    with pytest.raises(SessionEnded):
        town.identify(before.token)
    assert refused(town).because == "wrong password"


def test_a_password_changed_while_it_is_checked_opens_no_session(town, monkeypatch):
    checked = passwords.password_matches

    def overtaken(password, *, stored):
        matched = checked(password, stored=stored)
        directory.set_password(town.store, identifier=town.agent, password="Another-horse-27")
        return matched

    monkeypatch.setattr(passwords, "password_matches", overtaken)
    assert refused(town).because == "wrong password"
    assert directory.open_sessions(town.store, now=town.noon) == []


def test_a_suspended_agent_is_named_to_the_record(town):
    signed_in = town.sign_in()
    directory.suspend_account(town.store, identifier=town.agent)
    with pytest.raises(AgentSuspended) as refusal:
        town.identify(signed_in.token)
    assert isinstance(refusal.value, AccountSuspended)
    assert refusal.value.code == AccountSuspended.code
    assert refusal.value.agent == signed_in.agent
    directory.resume_account(town.store, identifier=town.agent)
    assert town.identify(signed_in.token) == signed_in.agent


def test_more_log_ins_than_can_wait_are_told_to_come_back():
    turns = passwords.Turns(at_once=1, waiting=1)
    inside, leave, answers = threading.Event(), threading.Event(), []

    def first():
        with turns.place(), turns.turn():
            inside.set()
            leave.wait(10)

    def second():
        with turns.place(), turns.turn():
            answers.append("served")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    inside.wait(10)
    threads[1].start()
    deadline = time.monotonic() + 10
    while turns._places._value and time.monotonic() < deadline:
        time.sleep(0.001)
    with pytest.raises(Busy), turns.place():
        pass
    leave.set()
    for thread in threads:
        thread.join(10)
    assert answers == ["served"]
    with turns.place():
        pass


@on_a_file
def test_the_database_is_plain_sqlite_that_keeps_hashes_only(town, tmp_path):
    town.sign_in()
    with sqlite3.connect(tmp_path / "directory.db") as connection:
        [(token_hash,)] = connection.execute("SELECT token_hash FROM session")
        [(password_hash,)] = connection.execute("SELECT password_hash FROM account")
    connection.close()
    assert len(token_hash) == 64
    assert password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
