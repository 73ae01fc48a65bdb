"""A second factor: a code of an application or a recovery code, each once, beside the password, on both databases."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from gateway.cli.main import main
from gateway.errors import Misconfigured, SecondFactorState
from gateway.identity import directory, enrolling
from gateway.identity.failures import LOCKED_AFTER
from gateway.identity.refusals import LogInRefused, ProfileRefused
from gateway.identity.sealing import Seal, load_seal, new_seal_key
from gateway.identity.second_factor import RECOVERY_CODES, STEP_SECONDS
from gateway.identity.sessions import sign_in
from gateway.identity.store import open_store
from gateway.identity.tables import METADATA, failure, second_factor

SEAL = Seal([new_seal_key()])
STEP = timedelta(seconds=STEP_SECONDS)


class Enrolled:
    """The town's agent with a second factor, confirmed at noon."""

    def __init__(self, town):
        self.town = town
        self.agent = town.sign_in().agent
        begun = enrolling.begin_factor(town.store, SEAL, self.agent, password=town.password, now=town.noon)
        self.begun, self.application = begun, pyotp.TOTP(begun.secret)
        self.codes = enrolling.confirm_factor(town.store, SEAL, self.agent, code=self.code(), now=town.noon)

    def code(self, steps=0):
        """What the application shows so many steps after noon."""
        return self.application.at(self.town.noon + steps * STEP)

    def log_in(self, code, *, steps=0, store=None, seal=SEAL, **attempt):
        wanted = {"identifier": self.town.agent, "password": self.town.password, **attempt}
        return sign_in(
            store or self.town.store, self.town.rules, code=code, seal=seal, now=self.town.noon + steps * STEP, **wanted
        )

    def refused(self, code, **attempt):
        with pytest.raises(LogInRefused) as refusal:
            self.log_in(code, **attempt)
        return refusal.value


@pytest.fixture
def enrolled(twin):
    return Enrolled(twin)


def failures(town):
    with town.store.read() as connection:
        return connection.execute(select(failure.c.in_a_row)).scalar() or 0


def changes(town, act="account"):
    return [(one.by, one.act, one.subject, one.detail) for one in directory.changes(town.store, act=act)][1:]


def everything(town):
    """Every value in every table, as text."""
    with town.store.read() as connection:
        return "\n".join(str(row) for table in METADATA.sorted_tables for row in connection.execute(select(table)))


def test_a_secret_is_told_once_for_an_application_and_asks_for_nothing_before_its_first_code(twin):
    agent = twin.sign_in().agent
    begun = enrolling.begin_factor(twin.store, SEAL, agent, password=twin.password, now=twin.noon)
    read = pyotp.parse_uri(begun.uri)
    assert (read.secret, read.name, read.issuer) == (begun.secret, twin.agent, "Cafpro")
    assert begun.secret not in repr(begun)
    assert begun.secret not in everything(twin)
    assert enrolling.factor_of(twin.store, agent) is None
    signed_in = twin.sign_in()
    assert (signed_in.agent.assurance, signed_in.codes_left) == ("password", None)


def test_once_confirmed_every_session_ends_and_a_log_in_needs_a_code(twin):
    open_before = twin.sign_in().token
    enrolled = Enrolled(twin)
    assert directory.open_sessions(twin.store, now=twin.noon) == []
    with pytest.raises(Exception, match="unknown token"):
        twin.identify(open_before)
    assert enrolled.refused(None).because == "no code of the second factor"
    assert enrolled.refused("").because == "no code of the second factor"
    signed_in = enrolled.log_in(enrolled.code(1), steps=1)
    assert (signed_in.agent.assurance, signed_in.codes_left) == ("second_factor", RECOVERY_CODES)
    assert twin.identify(signed_in.token).assurance == "second_factor"
    [listed] = directory.accounts(twin.store)
    assert listed.second_factor == twin.noon


def test_neither_the_secret_nor_a_recovery_code_is_in_the_store(enrolled):
    kept = everything(enrolled.town)
    assert enrolled.begun.secret not in kept
    assert [code for code in enrolled.codes if code in kept or code.replace("-", "") in kept] == []
    assert len(set(enrolled.codes)) == RECOVERY_CODES


@pytest.mark.parametrize("early", [-1, 0, 1])
def test_a_clock_may_be_a_step_early_or_late(enrolled, early):
    assert enrolled.log_in(enrolled.code(5 + early), steps=5)
    assert enrolled.refused(enrolled.code(5 + early), steps=5).because == "wrong code of the second factor"


@pytest.mark.parametrize("early", [-2, 2])
def test_two_steps_are_too_many(enrolled, early):
    assert enrolled.refused(enrolled.code(5 + early), steps=5).because == "wrong code of the second factor"


def test_a_code_is_good_once_and_no_older_one_after_it(enrolled):
    enrolled.refused(enrolled.code())  # it has confirmed the factor
    enrolled.log_in(enrolled.code(3), steps=3)
    for older in (2, 3):
        enrolled.refused(enrolled.code(older), steps=3)
    enrolled.log_in(f" {enrolled.code(4)[:3]} {enrolled.code(4)[3:]} ", steps=4)


def test_one_code_that_comes_to_several_processes_at_once_opens_one_session(enrolled):
    stores = [open_store(enrolled.town.url) for _ in range(4)]

    def attempt(store):
        try:
            return enrolled.log_in(enrolled.code(1), steps=1, store=store)
        except LogInRefused:
            return None

    try:
        with ThreadPoolExecutor(4) as pool:
            opened = list(pool.map(attempt, stores))
    finally:
        for store in stores:
            store.close()
    assert sum(one is not None for one in opened) == 1


def test_each_recovery_code_is_good_once_and_its_use_is_kept_with_what_is_left(enrolled):
    for number, code in enumerate(enrolled.codes[:3]):
        typed = [code, code.upper().replace("-", " "), code.replace("-", "")][number]
        assert enrolled.log_in(typed).codes_left == RECOVERY_CODES - 1 - number
        assert enrolled.refused(code).because == "wrong code of the second factor"
    town = enrolled.town
    assert changes(town) == [
        (town.agent, "account second-factor", town.agent, "on"),
        *((town.agent, "account recovery-code", town.agent, f"{left} recovery codes left") for left in (9, 8, 7)),
    ]


def test_wrong_codes_and_none_count_like_wrong_passwords_and_lock(enrolled):
    town = enrolled.town
    for number in range(1, LOCKED_AFTER + 1):
        enrolled.refused("000000" if number % 2 else None, steps=9)
        assert failures(town) == number
    [listed] = directory.accounts(town.store)
    assert listed.locked_at is not None
    assert enrolled.refused(enrolled.code(9), steps=9).because == "locked account"
    assert enrolled.refused(enrolled.codes[0]).because == "locked account"
    directory.unlock_account(town.store, identifier=town.agent)
    assert enrolled.log_in(enrolled.code(9), steps=9)
    assert failures(town) == 0


def test_nothing_outside_tells_a_right_password_from_a_wrong_one_before_the_code_is_right(enrolled):
    seen = {
        (one.shown, one.status, one.title, one.said, one.headers)
        for one in (
            enrolled.refused(None),
            enrolled.refused("000000"),
            enrolled.refused(None, password="Wrong-horse-2026"),
            enrolled.refused(enrolled.code(1), password="Wrong-horse-2026"),
            enrolled.refused(None, identifier="nobody"),
        )
    }
    assert len(seen) == 1


def test_a_wrong_password_uses_no_code_up_and_neither_does_a_profile_that_is_missing(enrolled):
    town = enrolled.town
    directory.set_profiles(town.store, identifier=town.agent, profiles=["T1", "T9"])
    enrolled.refused(enrolled.codes[0], password="Wrong-horse-2026")
    with pytest.raises(ProfileRefused):
        enrolled.log_in(enrolled.codes[0])
    enrolled.refused(None, profile="T1")
    assert enrolled.log_in(enrolled.codes[0], profile="T1").codes_left == RECOVERY_CODES - 1


def test_whoever_takes_one_up_shows_the_password_once_more(twin):
    agent = twin.sign_in().agent
    for _ in range(LOCKED_AFTER):
        with pytest.raises(LogInRefused):
            enrolling.begin_factor(twin.store, SEAL, agent, password="Wrong-horse-2026", now=twin.noon)
    with pytest.raises(LogInRefused) as refusal:
        enrolling.begin_factor(twin.store, SEAL, agent, password=twin.password, now=twin.noon)
    assert refusal.value.because == "locked account"


def test_the_first_code_comes_within_ten_minutes_is_right_and_guesses_count(twin):
    agent = twin.sign_in().agent

    def confirm(code, minutes=0):
        now = twin.noon + timedelta(minutes=minutes)
        return enrolling.confirm_factor(twin.store, SEAL, agent, code=code, now=now)

    with pytest.raises(SecondFactorState):
        confirm("000000")
    first, second = (
        pyotp.TOTP(enrolling.begin_factor(twin.store, SEAL, agent, password=twin.password, now=twin.noon).secret)
        for _ in range(2)
    )
    with pytest.raises(LogInRefused):
        confirm(first.at(twin.noon))  # whose secret was replaced
    assert failures(twin) == 1
    with pytest.raises(SecondFactorState):
        confirm(second.at(twin.noon + timedelta(minutes=11)), minutes=11)
    assert len(confirm(second.at(twin.noon))) == RECOVERY_CODES
    with pytest.raises(SecondFactorState):
        confirm(second.at(twin.noon))
    with pytest.raises(SecondFactorState):
        enrolling.begin_factor(twin.store, SEAL, agent, password=twin.password, now=twin.noon)


def test_without_a_key_nobody_takes_one_up(twin):
    with pytest.raises(SecondFactorState):
        enrolling.begin_factor(twin.store, None, twin.sign_in().agent, password=twin.password, now=twin.noon)


def test_whoever_gives_it_up_shows_the_password_and_a_code(enrolled):
    town = enrolled.town

    def remove(password, code):
        enrolling.remove_factor(town.store, SEAL, enrolled.agent, password=password, code=code, now=town.noon + STEP)

    for password, code in (("Wrong-horse-2026", enrolled.code(1)), (town.password, "000000"), (town.password, "")):
        with pytest.raises(LogInRefused):
            remove(password, code)
    assert failures(town) == 3
    remove(town.password, enrolled.code(1))
    assert town.sign_in().agent.assurance == "password"
    assert changes(town)[-1] == (town.agent, "account second-factor", town.agent, "off")
    with pytest.raises(SecondFactorState):
        remove(town.password, enrolled.codes[0])


def test_an_administrator_takes_it_from_whoever_lost_the_application(enrolled, tmp_path, monkeypatch):
    town = enrolled.town
    (tmp_path / "record.key").write_text("00" * 32)
    (tmp_path / "gateway.toml").write_text(
        f'[upstream]\nurl = "http://127.0.0.1:9000"\n[record]\nkey_file = "record.key"\n[store]\nurl = "{town.url}"\n'
        '[identity]\ncaisse = "691"\n'
    )
    monkeypatch.chdir(tmp_path)

    def cafpro(*words, status=0):
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        assert done.exit_code == status, done.output
        return done.output

    enrolled.log_in(enrolled.codes[0], steps=10**6)
    [listed] = json.loads(cafpro("account", "list", "--format", "json"))
    assert listed["second_factor"] == "2026-06-15T10:00:00Z"
    assert "--reset" in cafpro("account", "second-factor", town.agent, status=2)
    reset = ("account", "second-factor", town.agent, "--reset", "--by", "p.durand", "--why", "téléphone perdu")
    assert cafpro(*reset) == f"{town.agent} has no second factor any more: 1 sessions ended.\n"
    assert directory.open_sessions(town.store, now=town.noon) == []
    assert changes(town)[-1] == ("p.durand", "account second-factor", town.agent, "reset, 1 sessions ended")
    assert cafpro(*reset, status=2) == f"{town.agent} has no second factor.\n"
    [listed] = json.loads(cafpro("account", "list", "--format", "json"))
    assert listed["second_factor"] is None
    assert town.sign_in().agent.assurance == "password"


def test_a_leavers_secret_goes_with_the_account(enrolled):
    signed = directory.Signature("p.durand", "départ")
    directory.close_account(enrolled.town.store, identifier=enrolled.town.agent, signed=signed, now=enrolled.town.noon)
    with enrolled.town.store.read() as connection:
        assert connection.execute(select(second_factor)).all() == []
    assert enrolled.refused(enrolled.codes[0]).because == "closed account"


@pytest.mark.parametrize("seal", [None, Seal([new_seal_key()])], ids=["no key", "another key"])
def test_without_its_key_codes_of_the_application_are_wrong_and_recovery_codes_still_good(enrolled, seal):
    enrolled.refused(enrolled.code(1), steps=1, seal=seal)
    assert enrolled.log_in(enrolled.codes[0], seal=seal)
    assert enrolled.log_in(enrolled.code(1), steps=1)


def test_a_new_key_stands_before_the_old_one_and_what_is_sealed_is_one_accounts(tmp_path):
    old, new = new_seal_key(), new_seal_key()
    kept = Seal([old]).sealed("JBSWY3DP", account_id=7)
    assert "JBSWY3DP" not in kept
    (tmp_path / "keys").write_text(f"{new}\n{old}\n")
    both = load_seal(tmp_path / "keys")
    assert both.opened(kept, account_id=7) == "JBSWY3DP"
    assert both.opened(kept, account_id=8) is None
    assert both.opened(kept[:-3] + "AA=", account_id=7) is None
    assert Seal([old]).opened(both.sealed("JBSWY3DP", account_id=7), account_id=7) is None
    for text in ("", "00" * 32 + "\n", "é"):
        (tmp_path / "keys").write_text(text)
        with pytest.raises(Misconfigured, match="second_factor_key_file") as caught:
            load_seal(tmp_path / "keys")
        assert "0000" not in str(caught.value)
