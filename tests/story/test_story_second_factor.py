"""A second factor over HTTP: taken up, asked for, used up once whoever is asked, demanded by policies and by settings,
and given up; and nothing of it is said, logged or kept in clear."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import update

from gateway.identity.tables import second_factor
from gateway.policy_files.folder import shipped
from tests.story.running import PASSWORD, Answer, Gateway, is_problem

ADDRESS = "/-/session/second-factor"
DOSSIER = "/dossiers/9990001"
SERIAL = count(1)


@pytest.fixture(scope="module")
def strict(tmp_path_factory) -> Path:
    """The shipped policies, but that a password alone opens nothing."""
    folder = tmp_path_factory.mktemp("strict") / "policies"
    shutil.copytree(shipped(), folder)
    file = folder / "conditions.polar"
    text = file.read_text()
    assert text.count('["password", "second_factor", "federated"]') == 1
    file.write_text(text.replace('["password", "second_factor", "federated"]', '["second_factor", "federated"]'))
    shutil.rmtree(folder / "tests")
    return folder


@pytest.fixture(scope="module")
def gateway(start_gateway, stub_url, strict) -> Gateway:
    """Two workers, policies that ask for a second factor, and settings that ask it of Caf staff."""
    return start_gateway(stub_url, strict, server__workers=2, identity__second_factor_required="caf")


@pytest.fixture
def identifier(gateway) -> str:
    name = f"facteur-{next(SERIAL)}"
    gateway.enter(name, "T1")
    return name


def post(gateway: Gateway, address: str, session: dict[str, str], **body: object) -> Answer:
    headers = {"Content-Type": "application/json", **session}
    return gateway.ask(address, headers, method="POST", body=json.dumps(body).encode())


class Application:
    """What the agent has on the telephone, and the recovery codes in the drawer."""

    def __init__(self, gateway: Gateway, identifier: str) -> None:
        self.gateway, self.identifier = gateway, identifier
        self.session = gateway.log_in(identifier)
        begun = post(gateway, ADDRESS, self.session, password=PASSWORD)
        assert begun.status == 201, begun
        self.secret = begun.json()["secret"]
        assert pyotp.parse_uri(begun.json()["uri"]).secret == self.secret
        self.confirmed = post(gateway, f"{ADDRESS}/confirmation", self.session, code=self.code())
        assert self.confirmed.status == 201, self.confirmed
        self.codes = self.confirmed.json()["recovery_codes"]

    def code(self) -> str:
        """A code that has not been used: those of this half minute may be used again, as if it were another one."""
        with self.gateway.store.change() as connection:
            connection.execute(update(second_factor).values(last_step=0))
        return pyotp.TOTP(self.secret).at(int(time.time()))

    def log_in(self, code: str | None = None) -> Answer:
        return self.gateway.sign_in(self.identifier, code=code or self.code())


def test_it_is_taken_up_asked_for_and_opens_what_a_password_does_not(gateway, identifier):
    session = gateway.log_in(identifier)
    is_problem(gateway.ask(DOSSIER, session), 403, "GW316")
    assert gateway.ask(ADDRESS, session).json() == {"since": None, "recovery_codes_left": None}
    application = Application(gateway, identifier)
    assert "Max-Age=0" in application.confirmed.one("Set-Cookie")
    is_problem(gateway.ask(DOSSIER, session), 401, "GW102")
    opened = application.log_in()
    assert (opened.status, opened.json()["assurance"], opened.json()["recovery_codes_left"]) == (
        201,
        "second_factor",
        10,
    )
    session = {"Authorization": f"Bearer {opened.json()['token']}"}
    answer = gateway.ask(DOSSIER, session)
    assert answer.status == 200
    assert '"assurance":"second_factor"' in gateway.recorded(answer)["facts"]
    assert gateway.ask("/-/session", session).json()["assurance"] == "second_factor"
    shown = gateway.ask(ADDRESS, session).json()
    assert shown["recovery_codes_left"] == 10
    assert shown["since"].endswith("Z")


def test_without_its_code_the_right_password_is_a_wrong_one(gateway, identifier):
    application = Application(gateway, identifier)
    refusals = [
        gateway.sign_in(identifier, password=password, code=code)
        for password, code in ((PASSWORD, None), (PASSWORD, "000000"), ("Une-autre-phrase-2013", application.code()))
    ]
    for refusal in refusals:
        is_problem(refusal, 401, "GW103")
    assert len({repr(refusal.lasting()) for refusal in refusals}) == 1
    rows = [gateway.recorded(refusal) for refusal in refusals]
    assert [row["because"] for row in rows] == [
        "no code of the second factor",
        "wrong code of the second factor",
        "wrong password",
    ]
    assert {row["agent"] for row in rows} == {identifier}


def test_one_code_opens_one_session_whichever_worker_is_asked(gateway, identifier):
    application = Application(gateway, identifier)
    code = application.code()
    assert len(gateway.workers()) == 2
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: gateway.sign_in(identifier, code=code), range(6)))
    statuses = [answer.status for answer in answers]
    assert statuses.count(201) == 1
    # 429: too many failures, not tried. 503: a second was not enough for the store, and nothing was told.
    assert set(statuses) - {201} <= {401, 429, 503}


def test_a_recovery_code_does_once_and_the_agent_is_told_how_many_are_left(gateway, identifier):
    application = Application(gateway, identifier)
    assert application.log_in(application.codes[0]).json()["recovery_codes_left"] == 9
    is_problem(application.log_in(application.codes[0]), 401, "GW103")


def test_it_is_given_up_with_the_password_and_a_code(gateway, identifier):
    application = Application(gateway, identifier)
    session = {"Authorization": f"Bearer {application.log_in().json()['token']}"}
    for password, code in ((PASSWORD, "000000"), ("Une-autre-phrase-2013", application.codes[0])):
        refused = post(gateway, f"{ADDRESS}/removal", session, password=password, code=code)
        is_problem(refused, 422, "GW133")
        assert gateway.recorded(refused)["act"] == "second_factor"
    assert post(gateway, f"{ADDRESS}/removal", session, password=PASSWORD, code=application.codes[0]).status == 204
    assert gateway.sign_in(identifier).json()["assurance"] == "password"
    again = post(gateway, f"{ADDRESS}/removal", session, password=PASSWORD, code=application.codes[1])
    is_problem(again, 409, "GW132")


def test_the_staff_takes_one_away_that_was_lost_for_others_than_themselves(gateway, identifier):
    staff = f"agent-de-la-caf-{next(SERIAL)}"
    gateway.enter(staff, kind="caf")
    desk = {"Authorization": f"Bearer {Application(gateway, staff).log_in().json()['token']}"}
    application = Application(gateway, identifier)
    session = {"Authorization": f"Bearer {application.log_in().json()['token']}"}
    path = "/-/admin/accounts/reset-second-factor"
    answer = post(gateway, path, desk, identifier=identifier, why="a perdu le téléphone")
    assert (answer.status, answer.json()) == (200, {"sessions": 1})
    is_problem(gateway.ask(DOSSIER, session), 401, "GW102")
    again = gateway.log_in(identifier)
    assert gateway.ask("/-/session", again).json()["assurance"] == "password"
    refused = post(gateway, path, desk, identifier=identifier)
    assert (refused.status, refused.json()["detail"]) == (409, "Ce compte n'a pas de second facteur.")
    is_problem(post(gateway, path, desk, identifier=staff), 403, "GW121")
    is_problem(post(gateway, path, session, identifier=staff), 401, "GW102")
    is_problem(post(gateway, path, again, identifier=staff), 403, "GW120")


def test_guesses_with_a_session_wait_like_those_at_the_door(gateway, identifier):
    session = gateway.log_in(identifier)
    for _ in range(3):
        is_problem(post(gateway, ADDRESS, session, password="Une-autre-phrase-2013"), 422, "GW133")
    is_problem(post(gateway, ADDRESS, session, password=PASSWORD), 429, "GW105")
    is_problem(gateway.sign_in(identifier), 429, "GW105")


def test_a_browser_changes_nothing_without_our_origin_and_its_token(gateway, identifier):
    opened = gateway.sign_in(identifier)
    cookie = {"Cookie": opened.one("Set-Cookie").partition(";")[0]}
    change = {**cookie, "Origin": gateway.url, "X-CSRF-Token": opened.json()["csrf_token"]}
    for without in ("Origin", "X-CSRF-Token"):
        some = {name: value for name, value in change.items() if name != without}
        for address, body in (("", {"password": PASSWORD}), ("/confirmation", {"code": "1"})):
            is_problem(post(gateway, ADDRESS + address, some, **body), 403, "GW111")
    assert post(gateway, ADDRESS, change, password=PASSWORD).status == 201


def test_whoever_must_have_one_does_nothing_with_a_password_but_take_one_up(gateway):
    staff = f"agent-de-la-caf-{next(SERIAL)}"
    gateway.enter(staff, "T1", kind="caf")
    session = gateway.log_in(staff)
    refused = gateway.ask(DOSSIER, session)
    is_problem(refused, 403, "GW131")
    assert gateway.recorded(refused)["agent"] == staff
    assert gateway.ask("/-/session", session).status == 200
    application = Application(gateway, staff)
    session = {"Authorization": f"Bearer {application.log_in().json()['token']}"}
    assert gateway.ask(DOSSIER, session).status == 200


def test_nothing_of_it_is_logged_recorded_or_kept_in_clear(gateway, identifier):
    application = Application(gateway, identifier)
    code = application.code()
    assert application.log_in(code).status == application.log_in(application.codes[0]).status == 201
    kept = b"".join(file.read_bytes() for file in gateway.folder.rglob("*") if file.is_file())
    for secret in (application.secret, *application.codes):
        assert secret.encode() not in kept
        assert secret.replace("-", "").encode() not in kept
    assert (gateway.folder / "second-factor.key").stat().st_mode & 0o777 == 0o600
