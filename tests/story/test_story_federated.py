"""Agents whom their organisation's identity provider vouches for: a real provider on loopback, the running gateway, and
everything that the directory says of the account at each request."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from gateway.cli.main import main
from gateway.identity import directory
from gateway.identity.failures import count_failure
from gateway.identity.jwks import PAUSE_SECONDS
from gateway.identity.tables import account
from tests.story.brochure import OPEN, kept_dossier
from tests.story.providers import MAKE, Provider, issuers_file, public
from tests.story.running import ENGAGEMENT, PASSWORD, Answer, Gateway, certify, is_problem, until
from upstream_stub.dossiers import dossier_text

DOSSIER = "9990001"
PARTNER = "Partenaire t4"
PROFILES = {"PAGM-T4": "T4", "PAGM-T9": "T9", "PAGM-T1": "T1"}
SERIAL = count(1)


@pytest.fixture(scope="module")
def start_provider() -> Iterator[Callable[..., Provider]]:
    with ExitStack() as stack:

        def start(*arguments: object, **options: object) -> Provider:
            provider = Provider(*arguments, **options)
            stack.callback(provider.close)
            return provider

        yield start


class House(NamedTuple):
    """A gateway and the provider that it believes."""

    gateway: Gateway
    provider: Provider

    def ask(self, subject: str = "t4", *, dossier: str = DOSSIER, **claims: object) -> Answer:
        return self.gateway.ask(f"/dossiers/{dossier}", self.provider.bearer(subject, **claims))

    def reads(self, profile: str, *arguments: str, **claims: object) -> dict[str, object]:
        answer = self.ask(*arguments, **claims)
        whole = dossier_text(DOSSIER)
        assert whole
        assert (answer.status, answer.body) == (200, kept_dossier(whole, OPEN[profile])), answer
        return self.gateway.recorded(answer)

    def refuses(self, status: int, code: str, because: str, *arguments: str, kept: str = "", **claims: object) -> None:
        answer = self.ask(*arguments, **claims)
        is_problem(answer, status, code)
        row = self.gateway.recorded(answer)
        assert (row["code"], row["rubrics"], because in row["because"]) == (kept or code, "[]", True), row


@pytest.fixture(scope="module")
def open_house(stub_url, start_gateway, start_provider, tmp_path_factory) -> Callable[..., House]:
    """Opens a house whose provider names agents of `Partenaire t4`: `t4`, with the profiles T4 and T9."""

    def open_it(algorithm: str = "ES256", *lines: str, **settings: object) -> House:
        provider = start_provider(algorithm)
        file = issuers_file(tmp_path_factory.mktemp("idp"), provider.entry(PARTNER, *lines, profiles=PROFILES))
        gateway = start_gateway(stub_url, identity__issuers=file, **settings)
        gateway.enter("t4", "T4", "T9")
        return House(gateway, provider)

    return open_it


@pytest.fixture(scope="module")
def house(open_house) -> House:
    """The house of most of the tests, two workers."""
    return open_house(server__workers=2)


def test_an_agent_reads_with_a_token_of_the_organisations_provider(stub_url, start_gateway, start_provider, tmp_path):
    """One organisation for each algorithm, and one account for each of their agents."""
    providers = {algorithm: start_provider(algorithm) for algorithm in MAKE}
    entries = [provider.entry(PARTNER, profiles=PROFILES) for provider in providers.values()]
    gateway = start_gateway(stub_url, identity__issuers=issuers_file(tmp_path, *entries))
    gateway.enter("t4", "T4")
    for algorithm, provider in providers.items():
        house = House(gateway, provider)
        row = house.reads("T4")
        assert (row["agent"], row["partner"], row["profile"]) == ("t4", PARTNER, "T4"), algorithm
        assert json.loads(row["facts"])["assurance"] == "federated"
        house.reads("T4")
        assert provider.asked == 1
        for other, theirs in providers.items():
            if other != algorithm:
                house.refuses(401, "GW102", "a token with an algorithm", iss=theirs.url)


def test_the_profile_is_the_one_that_the_claim_means(house):
    house.gateway.entrust("t4", DOSSIER, "judgment")
    house.reads("T4", pagm="PAGM-T4")
    house.reads("T9", pagm=["PAGM-T9"])
    for pagm in ("T4", "PAGM-T3", "pagm-t4", "", ["PAGM-T4", "PAGM-T9"], ["PAGM-T4", "PAGM-T4"], [], None, 4, True):
        house.refuses(401, "GW102", "does not name one profile", pagm=pagm)
    # It means a profile that the account does not hold.
    house.refuses(401, "GW102", "a profile that the account does not hold", pagm="PAGM-T1")


def test_nothing_is_open_beyond_the_convention(house):
    identifier = f"agent-{next(SERIAL)}"
    directory.add_account(
        house.gateway.store, identifier=identifier, password=PASSWORD, partner_name=PARTNER, profiles=["T1"]
    )
    directory.sign_engagement(house.gateway.store, identifier=identifier, version=ENGAGEMENT, now=datetime.now(UTC))
    # The account holds T1, and the provider says so; the convention opens T4 and T9.
    house.refuses(403, "GW311", "convention", identifier, pagm="PAGM-T1")


def test_accounts_that_the_provider_may_not_name_stay_closed(house):
    house.gateway.enter("ailleurs", "T4")
    house.refuses(401, "GW102", "an account of another partner", "ailleurs")
    house.refuses(401, "GW102", "an account that does not exist", "personne")
    for subject in ("T4", "t4 ", " t4", "t4\n", "t4\x00", "", "t" * 65, "%", "t_", "t4' --"):
        house.refuses(401, "GW102", "a token", subject)
    for subject in (4, True, ["t4"], {"t4": 1}, None):
        house.refuses(401, "GW102", "names no account", sub=subject)


def test_who_am_i_and_a_log_out_that_ends_nothing(house):
    bearer = house.provider.bearer()
    answer = house.gateway.ask("/-/session", bearer)
    assert answer.status == 200
    shown = answer.json()
    assert (shown["identifier"], shown["partner"], shown["profile"]) == ("t4", PARTNER, "T4")
    assert (shown["profiles"], shown["convention"], shown["engagement"]) == (["T4", "T9"], "in_force", "signed")
    assert {rubric["slug"] for rubric in shown["rubrics"]} == set(OPEN["T4"])
    left = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(seconds=300)
    answer = house.gateway.ask("/-/session", bearer, method="DELETE")
    is_problem(answer, 409, "GW113")
    assert house.gateway.recorded(answer)["agent"] == "t4"
    for path, method in (("/-/sessions", "GET"), (f"/-/sessions/{'0' * 24}", "DELETE")):
        is_problem(house.gateway.ask(path, bearer, method=method), 409, "GW113")
    assert house.gateway.ask(f"/dossiers/{DOSSIER}", bearer).status == 200


def test_a_cookie_holds_sessions_only(house):
    token = house.provider.token()
    answer = house.gateway.ask(f"/dossiers/{DOSSIER}", {"Cookie": f"cafpro={token}"})
    is_problem(answer, 401, "GW102")
    assert house.gateway.recorded(answer)["because"] == "malformed token"
    session = house.gateway.log_in("t4", profile="T4")
    both = {**house.provider.bearer(), "Cookie": f"cafpro={session['Authorization'].removeprefix('Bearer ')}"}
    is_problem(house.gateway.ask(f"/dossiers/{DOSSIER}", both), 401, "GW104")
    assert house.gateway.ask(f"/dossiers/{DOSSIER}", session).status == 200


def test_an_agent_has_one_limit_however_it_proves_who_it_is(open_house):
    house = open_house(limits__agent_burst=4, limits__agent_per_minute=1)
    for _ in range(2):
        assert house.ask().status == 200
    session = house.gateway.log_in("t4", profile="T4")
    for _ in range(2):
        assert house.gateway.ask(f"/dossiers/{DOSSIER}", session).status == 200
    answer = house.ask()
    is_problem(answer, 429, "GW210")
    assert house.gateway.recorded(answer)["agent"] == "t4"


# What the directory says acts at the next request, though the token is the same, and was verified a moment ago.


@pytest.fixture
def agent(house) -> tuple[str, Callable[[], Answer]]:
    """An agent with T9, entrusted with the dossier, in a token that is sent again and again."""
    identifier = f"agent-{next(SERIAL)}"
    directory.add_account(
        house.gateway.store, identifier=identifier, password=PASSWORD, partner_name=PARTNER, profiles=["T9"]
    )
    directory.sign_engagement(house.gateway.store, identifier=identifier, version=ENGAGEMENT, now=datetime.now(UTC))
    bearer = house.provider.bearer(identifier, pagm="PAGM-T9")
    return identifier, lambda: house.gateway.ask("/dossiers/9990003", bearer)


@pytest.mark.attack(15)
def test_a_suspended_account_is_refused_at_once_and_named(house, agent):
    identifier, ask = agent
    mandate = house.gateway.entrust("t4", "9990003", "judgment")
    assert ask().status == 200
    house.gateway.cafpro("account", "suspend", identifier)
    refused = ask()
    is_problem(refused, 403, "GW110")
    assert house.gateway.recorded(refused)["agent"] == identifier
    house.gateway.cafpro("account", "resume", identifier)
    assert ask().status == 200
    house.gateway.cafpro("mandate", "release", str(mandate))
    is_problem(ask(), 403, "GW320")


@pytest.mark.attack(15)
def test_a_convention_that_is_suspended_closes_at_once(house, agent):
    _, ask = agent
    house.gateway.entrust("t4", "9990003", "judgment")
    assert ask().status == 200
    house.gateway.cafpro("convention", "suspend", "C-t4")
    is_problem(ask(), 403, "GW312")
    house.gateway.cafpro("convention", "resume", "C-t4")
    assert ask().status == 200


@pytest.mark.attack(15)
def test_a_profile_that_is_taken_away_is_gone_at_once(house, agent):
    identifier, ask = agent
    house.gateway.entrust("t4", "9990003", "judgment")
    assert ask().status == 200
    house.gateway.cafpro("account", "profiles", identifier, "--profile", "T4")
    is_problem(ask(), 401, "GW102")


def test_wrong_passwords_lock_passwords_and_not_the_organisations_agents(house, agent):
    identifier, ask = agent
    house.gateway.entrust("t4", "9990003", "judgment")
    with house.gateway.store.read() as connection:
        number = connection.execute(select(account.c.id).where(account.c.identifier == identifier)).scalar_one()
    for _ in range(20):
        count_failure(house.gateway.store, number, now=datetime.now(UTC), wait_ms=5000)
    is_problem(house.gateway.sign_in(identifier), 401, "GW103")
    assert ask().status == 200


# The provider's keys.


def questions(begun: float) -> int:
    """How often a provider may have been asked since then."""
    return 1 + int((time.monotonic() - begun) // PAUSE_SECONDS)


def test_names_of_keys_that_nobody_knows_cost_the_provider_no_more_questions(open_house):
    begun = time.monotonic()
    house = open_house()
    house.reads("T4")
    name = house.provider.name
    for number in range(20):
        house.provider.name = f"made-up-{number}"
        house.refuses(401, "GW102", "a key that its issuer is not known to have")
    house.provider.name = name
    house.reads("T4")
    assert 1 <= house.provider.asked <= questions(begun)


def test_many_that_come_first_ask_the_provider_once(open_house):
    begun = time.monotonic()
    house = open_house()
    bearer = house.provider.bearer()
    with house.provider.hanging(), ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(house.gateway.ask, f"/dossiers/{DOSSIER}", bearer) for _ in range(8)]
        asked += [pool.submit(house.gateway.ask, "/-/session", bearer) for _ in range(4)]
        assert house.provider.came.wait(30)
        # While all of them wait, the worker serves others.
        assert house.gateway.ask("/-/health/live").status == 200
        assert house.gateway.ask(f"/dossiers/{DOSSIER}", house.gateway.log_in("t4", profile="T4")).status == 200
    # Refused, where it took longer than anyone waits.
    assert {future.result().status for future in asked} <= {200, 401}
    assert 1 <= house.provider.asked <= questions(begun)
    until(lambda: house.gateway.ask(f"/dossiers/{DOSSIER}", bearer).status == 200, "the same token is good")


FAULTS = {
    "a redirect": (302, {"Location": "http://127.0.0.1:1/jwks"}, b""),
    "a redirect to a file": (301, {"Location": "file:///etc/hostname"}, b""),
    "not found": (404, {}, b"{}"),
    "an error with keys in it": (500, {}, b'{"keys": []}'),
    "garbage": (200, {}, b"\xff\x00garbage"),
    "HTML": (200, {"Content-Type": "text/html"}, b"<html></html>"),
    "no object": (200, {}, b"[]"),
    "no keys": (200, {}, b"{}"),
    "keys that are no list": (200, {}, b'{"keys": {}}'),
    "a name twice": (200, {}, b'{"keys": [], "keys": []}'),
    "10 MB": (200, {}, b'{"keys": [' + b" " * 10_000_000 + b"]}"),
    "depth": (200, {}, b'{"keys": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    "compressed": (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08"),
    "broken off": (200, {"Content-Length": "100", "Connection": "close"}, b'{"keys": ['),
}


def test_a_provider_that_answers_anything_else_vouches_for_nobody(stub_url, start_gateway, start_provider, tmp_path):
    """One organisation for each fault."""
    providers = {fault: start_provider() for fault in FAULTS}
    entries = [provider.entry(PARTNER, profiles=PROFILES) for provider in providers.values()]
    gateway = start_gateway(stub_url, identity__issuers=issuers_file(tmp_path, *entries))
    gateway.enter("t4", "T4")
    for fault, provider in providers.items():
        provider.answers = lambda fault=fault: FAULTS[fault]
        House(gateway, provider).refuses(401, "GW102", "a key that its issuer is not known to have")
        assert provider.asked == 1, fault
        said = f'"issuer": "{provider.url}"'
        until(lambda said=said: said in gateway.log(), f"the log says that of {fault}")
    assert gateway.ask(f"/dossiers/{DOSSIER}", gateway.log_in("t4")).status == 200


def test_a_provider_that_is_not_there_vouches_for_nobody(open_house):
    house = open_house("ES256", 'jwks_url = "http://127.0.0.1:1/jwks"')
    house.refuses(401, "GW102", "a key that its issuer is not known to have")
    assert house.gateway.ask(f"/dossiers/{DOSSIER}", house.gateway.log_in("t4", profile="T4")).status == 200


def test_a_key_set_in_a_file_needs_nobody(open_house, tmp_path):
    key = MAKE["ES256"]()
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [public(key, "of-the-file")]}))
    house = open_house("ES256", f'jwks_file = "{file}"')
    house.provider.key, house.provider.name = key, "of-the-file"
    house.reads("T4")
    assert house.provider.asked == 0


def test_keys_come_over_tls_from_whom_its_certificate_names(stub_url, start_gateway, start_provider, tmp_path):
    for name, subject, good in (("idp", "IP:127.0.0.1", True), ("other", "DNS:ailleurs.example", False)):
        certificate = certify(tmp_path, name, subject=subject)
        provider = start_provider("ES256", certificate=certificate)
        folder = tmp_path / f"of-{name}"
        folder.mkdir()
        lines = (f'jwks_url = "{provider.url}/jwks"', f'ca = "{certificate.file}"')
        file = issuers_file(folder, provider.entry(PARTNER, *lines, profiles=PROFILES))
        gateway = start_gateway(stub_url, identity__issuers=file)
        gateway.enter("t4", "T4")
        house = House(gateway, provider)
        if good:
            house.reads("T4")
        else:
            house.refuses(401, "GW102", "a key that its issuer is not known to have")
            assert provider.asked == 0


def test_each_provider_vouches_with_its_own_keys_for_its_own_partner(stub_url, start_gateway, start_provider, tmp_path):
    first, second = start_provider(), start_provider("RS256")
    of_second = second.entry("Partenaire t4").replace(
        'partner = "Partenaire t4"', 'account_claim = "login"\npartner_claim = "siret"'
    )
    partners = '[issuer.partners]\n"1" = "Partenaire t9"\n"2" = "Partenaire t10"\n'
    file = issuers_file(tmp_path, first.entry(PARTNER, profiles=PROFILES), of_second + partners)
    gateway = start_gateway(stub_url, identity__issuers=file)
    gateway.enter("t4", "T4")
    gateway.enter("t9", "T9")
    gateway.enter("t2", "T2")
    gateway.entrust("t9", DOSSIER, "judgment")
    House(gateway, first).reads("T4")
    house = House(gateway, second)
    # Without a claim for it, the profile is the one that the account has.
    house.reads("T9", "x", login="t9", siret="1")
    house.refuses(401, "GW102", "another partner", login="t9", siret="2")
    house.refuses(401, "GW102", "does not name one partner", login="t9", siret="3")
    house.refuses(401, "GW102", "does not name one partner", login="t9")
    house.refuses(401, "GW102", "names no account", siret="1")
    # The other's name over one's own signature.
    house.refuses(401, "GW102", "an algorithm that its issuer does not use", iss=first.url, login="t9", siret="1")
    House(gateway, first).refuses(401, "GW102", "an algorithm", iss=second.url, login="t9", siret="1")
    directory.add_account(
        gateway.store, identifier="deux", password=PASSWORD, partner_name="Partenaire t9", profiles=["T9", "T10"]
    )
    house.refuses(401, "GW102", "none of the account's profiles", login="deux", siret="1")


def test_check_says_whose_keys_cannot_be_had_and_what_is_wrong_with_the_file(stub_url, house, tmp_path):
    runner = CliRunner()

    def check(file: object) -> tuple[int, str]:
        environment = {"CAFPRO_IDENTITY__ISSUERS": str(file), "CAFPRO_SERVER__BIND": "127.0.0.1:1"}
        done = runner.invoke(main, ["check", "--config", str(house.gateway.configuration)], env=environment)
        return done.exit_code, done.stderr

    provider = house.provider
    file = issuers_file(tmp_path, provider.entry(PARTNER, profiles=PROFILES))
    assert check(file) == (0, "")
    provider.answers = lambda: (302, {"Location": "/elsewhere"}, b"")
    expected = f"identity.issuers: no keys of {provider.url} at {provider.url}/jwks (it answers 302).\n"
    assert check(file) == (1, expected)
    provider.answers = lambda: (200, {}, b'{"keys": []}')
    assert check(file)[1].endswith("(no key with a name (kid) for ES256).\n")
    provider.answers = None
    file.write_text(file.read_text().replace('"ES256"', '"HS256"').replace("audience", "audiance"))
    code, said = check(file)
    assert code == 1
    assert f"{file}, issuer 1: unknown key `audiance`. Did you mean `audience`?\n" in said
    assert f"{file}, issuer 1: audience is missing.\n" in said
