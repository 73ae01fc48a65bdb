"""Ten wrong passwords in a row lock an account, whoever counts them, until an administrator unlocks it."""

import json
import os
import sqlite3
from functools import partial

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from gateway.cli.main import main
from gateway.errors import StoreUnavailable, WrongPassword
from gateway.identity import directory, passwords
from gateway.identity.failures import LOCKED_AFTER
from gateway.identity.refusals import LogInRefused, ProfileRefused
from gateway.identity.sessions import sign_in
from gateway.identity.store import open_store
from gateway.identity.tables import failure
from gateway.loop.waiting import run
from tests.identity.conftest import on_a_file

WRONG = "Wrong-horse-2026"


def refused(town, password=WRONG, store=None, **attempt):
    wanted = {"identifier": town.agent, "password": password, "now": town.noon, **attempt}
    with pytest.raises(LogInRefused) as refusal:
        sign_in(store or town.store, town.rules, **wanted)
    return refusal.value


def failures(town):
    with town.store.read() as connection:
        return [tuple(row) for row in connection.execute(select(failure.c.in_a_row, failure.c.locked_at))]


def locked_at(town):
    [agent] = directory.accounts(town.store)
    return agent.locked_at


def test_the_tenth_failure_in_a_row_locks_and_the_right_password_is_refused_as_a_wrong_one(town):
    for _ in range(LOCKED_AFTER - 1):
        refused(town)
    assert locked_at(town) is None
    wrong = refused(town)
    assert locked_at(town) == town.noon
    right = refused(town, town.password)
    assert (right.because, right.identifier) == ("locked account", town.agent)
    assert (wrong.because, wrong.identifier) == ("wrong password", town.agent)
    assert {(r.code, r.shown, r.status, r.title, r.said, r.headers) for r in (wrong, right)} == {
        (WrongPassword.code, WrongPassword.code, 401, wrong.title, wrong.said, wrong.headers)
    }


def test_nine_failures_and_a_success_are_no_failures(town):
    for _ in range(2):
        for _ in range(LOCKED_AFTER - 1):
            refused(town)
        assert failures(town) == [(LOCKED_AFTER - 1, None)]
        town.sign_in()
        assert failures(town) == []


@on_a_file
def test_a_locked_account_is_not_written_to_any_more(town):
    for _ in range(LOCKED_AFTER):
        refused(town)
    elsewhere = open_store(town.url)
    try:
        [before] = elsewhere.ask(select(failure.c.in_a_row, failure.c.locked_at))

        def remembered():
            return run(lambda: elsewhere.reading()._memory)

        memory = remembered()
        for password in (WRONG, town.password):
            refused(town, password)
        refused(town, identifier="nobody")
        assert remembered() is memory, "what this process remembers of the directory was emptied"
        assert elsewhere.ask(select(failure.c.in_a_row, failure.c.locked_at)) == [before]
        directory.unlock_account(town.store, identifier=town.agent)
        assert remembered() is not memory
    finally:
        elsewhere.close()


def test_an_unknown_identifier_leaves_no_trace_in_the_directory(town):
    for _ in range(LOCKED_AFTER + 1):
        refused(town, identifier="nobody")
        refused(town, identifier="NOT ONE")
    assert failures(town) == []


@pytest.mark.parametrize("act", ["unlock", "password"])
def test_an_administrator_unlocks(town, act):
    for _ in range(LOCKED_AFTER):
        refused(town)
    if act == "unlock":
        directory.unlock_account(town.store, identifier=town.agent)
    else:
        directory.set_password(town.store, identifier=town.agent, password="Another-horse-27")
        town.password = "Another-horse-27"
    assert (failures(town), locked_at(town)) == ([], None)
    assert town.sign_in().agent.identifier == town.agent


def test_resuming_an_account_does_not_unlock_it_nor_the_reverse(town):
    for _ in range(LOCKED_AFTER):
        refused(town)
    directory.suspend_account(town.store, identifier=town.agent)
    directory.resume_account(town.store, identifier=town.agent)
    assert refused(town, town.password).because == "locked account"
    directory.suspend_account(town.store, identifier=town.agent)
    directory.unlock_account(town.store, identifier=town.agent)
    assert refused(town, town.password).because == "suspended account"


def test_a_lock_does_not_end_the_sessions_that_are_open(town):
    """Or anybody could throw an agent out by guessing."""
    token = town.sign_in().token
    for _ in range(LOCKED_AFTER):
        refused(town)
    assert town.identify(token).identifier == town.agent


def test_the_right_password_of_a_suspended_account_is_neither_failure_nor_success(town):
    for _ in range(3):
        refused(town)
    directory.suspend_account(town.store, identifier=town.agent)
    for _ in range(LOCKED_AFTER):
        assert refused(town, town.password).because == "suspended account"
    assert failures(town) == [(3, None)]


def test_a_locked_account_with_several_profiles_does_not_say_that_the_password_is_right(town):
    directory.set_profiles(town.store, identifier=town.agent, profiles=["T1", "T9"])
    with pytest.raises(ProfileRefused):
        town.sign_in()
    for _ in range(LOCKED_AFTER):
        refused(town)
    assert refused(town, town.password).because == "locked account"


def test_an_account_that_is_locked_while_the_right_password_is_checked_stays_shut(town, monkeypatch):
    def overtaken(password, *, stored):
        if password != town.password:
            return False
        for _ in range(LOCKED_AFTER):
            refused(town)
        return True

    monkeypatch.setattr(passwords, "password_matches", overtaken)
    assert refused(town, town.password).because == "locked account"
    assert directory.open_sessions(town.store, now=town.noon) == []


def test_failures_that_two_processes_count_at_the_same_time_are_all_counted(town, monkeypatch):
    monkeypatch.setattr("gateway.identity.failures.LOCKED_AFTER", 1_000)
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            code = 1
            try:
                store = open_store(town.url)
                for _ in range(20):
                    refused(town, store=store)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert failures(town) == [(40, None)]


@pytest.mark.looks_inside
@on_a_file
def test_whoever_guesses_while_nothing_can_be_counted_is_told_nothing(town, monkeypatch):
    """Neither whether there is such an account nor whether the password was right."""
    monkeypatch.setattr(town.store, "change", partial(town.store.change, wait_ms=1))
    other = sqlite3.connect(town.store.file, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        for identifier, password in ((town.agent, WRONG), (town.agent, town.password), ("nobody", WRONG)):
            with pytest.raises(StoreUnavailable):
                sign_in(town.store, town.rules, identifier=identifier, password=password, now=town.noon)
    finally:
        other.close()


def test_the_list_shows_the_lock_and_a_command_lifts_it(town, tmp_path, monkeypatch):
    (tmp_path / "record.key").write_text("00" * 32)
    (tmp_path / "gateway.toml").write_text(
        f'[upstream]\nurl = "http://127.0.0.1:9000"\n[record]\nkey_file = "record.key"\n[store]\nurl = "{town.url}"\n'
        '[identity]\ncaisse = "691"\n'
    )
    monkeypatch.chdir(tmp_path)

    def cafpro(*words, status=0):
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        assert done.exit_code == status, done.output
        return done.stdout if status == 0 else done.stderr

    for _ in range(LOCKED_AFTER):
        refused(town)
    [listed] = json.loads(cafpro("account", "list", "--format", "json"))
    assert listed["locked_at"] == "2026-06-15T10:00:00Z"
    said = cafpro("account", "unlock", town.agent)
    assert said.startswith(f"{town.agent} is let in again.")
    assert said.endswith(", 2 minutes at most.\n")
    [listed] = json.loads(cafpro("account", "list", "--format", "json"))
    assert listed["locked_at"] is None
    assert cafpro("account", "unlock", "nobody", status=2) == "There is no account called 'nobody'.\n"
