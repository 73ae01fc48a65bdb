"""An agent logs in at a real OpenID provider and comes back with a session: what opens it, and what does not."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import select

from gateway.identity import partners
from gateway.identity.tables import guess
from tests.openid.conftest import House
from tests.openid.running import OTHER_SIRET, PARTNER, SIRET, Browser, Provider, parameters, with_parameters
from tests.story.providers import issuers_file
from tests.story.running import is_problem


def test_an_agent_logs_in_at_the_provider_and_reads(house, browser):
    answer = browser.log_in(house.provider, "un")
    assert (answer.status, answer.one("Location"), answer.body) == (303, "/-/openid", b"")
    assert set(browser.cookies) == {"cafpro"}
    row = house.gateway.recorded(answer)
    assert (row["act"], row["agent"], row["partner"], row["profile"]) == ("log_in", "un", PARTNER, "T4")
    assert b'<meta http-equiv="refresh" content="0; url=/-/session">' in browser.get("/-/openid").body
    shown = browser.get("/-/session")
    assert (shown.status, shown.json()["identifier"], shown.json()["profile"]) == (200, "un", "T4")
    row = house.reads(browser, "T4")
    assert (row["agent"], json.loads(row["facts"])["assurance"]) == ("un", "federated")


def test_the_session_is_one_like_a_passwords(house, browser):
    browser.log_in(house.provider, "un")
    token = browser.cookies["cafpro"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert house.gateway.ask("/dossiers/9990001", bearer).status == 200
    assert house.gateway.ask("/-/session", bearer, method="DELETE").status == 200
    is_problem(browser.get("/dossiers/9990001"), 401, "GW102")


def test_the_browser_is_sent_out_with_everything_that_the_norms_ask_for(house, browser):
    answer = browser.get(f"/-/openid/{house.provider.name}")
    address = answer.one("Location")
    asked = parameters(address)
    assert address.startswith(f"{house.provider.url}/authorize?")
    assert (asked["response_type"], asked["client_id"], asked["scope"]) == ("code", "cafpro", "openid")
    assert asked["redirect_uri"] == f"{house.gateway.url}/-/openid/idp/callback"
    assert asked["code_challenge_method"] == "S256"
    secrets = [asked["state"], asked["nonce"], asked["code_challenge"]]
    assert {len(secret) for secret in secrets} == {43}
    again = parameters(Browser(house.gateway).begin(house.provider))
    assert not {again["state"], again["nonce"], again["code_challenge"]} & set(secrets)
    [kept] = answer.all("Set-Cookie")
    assert kept.startswith("cafpro-openid=")
    assert kept.endswith("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax")
    assert not any(secret in kept for secret in secrets)
    assert house.gateway.recorded(answer)["act"] == "log_in_begun"


def test_another_worker_takes_up_what_one_began(house):
    for _ in range(8):
        assert Browser(house.gateway).log_in(house.provider, "un").status == 303


def test_beginning_log_ins_stores_nothing(house):
    with closing(sqlite3.connect(house.gateway.folder / "cafpro.db")) as connection:
        before = connection.execute("PRAGMA data_version").fetchone()
        for _ in range(20):
            Browser(house.gateway).begin(house.provider)
        assert connection.execute("PRAGMA data_version").fetchone() == before


# Several profiles.


def test_an_agent_with_several_profiles_says_which_and_is_told_so_otherwise(house, browser):
    house.refuses(browser.log_in(house.provider, "t4"), "several profiles", code="GW112", status=422, agent="t4")
    for profile in ("T4", "T9"):
        browser = Browser(house.gateway)
        assert browser.log_in(house.provider, "t4", f"?profile={profile}").status == 303
        assert browser.get("/-/session").json()["profile"] == profile
    answer = Browser(house.gateway).log_in(house.provider, "t4", "?profile=T1")
    house.refuses(answer, "a profile that is not held", code="GW112", status=422, agent="t4")
    for query in ("?profile=T17", "?profile=", "?profile=t4"):
        is_problem(Browser(house.gateway).get(f"/-/openid/idp{query}"), 422, "GW112")
    is_problem(browser.get("/-/openid/idp?next=https://ailleurs.example"), 400, "GW202")


def test_the_profile_that_a_claim_means_is_the_only_one(house):
    provider = house.providers["pagm"]
    for claims, query, outcome in (
        ({"pagm": "PAGM-T9"}, "", "T9"),
        ({"pagm": ["PAGM-T9"]}, "?profile=T9", "T9"),
        ({"pagm": "PAGM-T9"}, "?profile=T4", "a profile that the provider does not name"),
        ({"pagm": "PAGM-T1"}, "", "a profile that is not held"),
        ({"pagm": "PAGM-T4"}, "", "does not name one profile"),
        ({"pagm": ["PAGM-T9", "PAGM-T1"]}, "", "does not name one profile"),
        ({}, "", "does not name one profile"),
    ):
        provider.knows("t4", **claims)
        browser = Browser(house.gateway)
        answer = browser.log_in(provider, "t4", query)
        if outcome == "T9":
            assert (answer.status, browser.get("/-/session").json()["profile"]) == (303, outcome)
        else:
            named = "" if "name one" in outcome else "t4"
            code, status = ("GW112", 422) if "not held" in outcome else ("GW141", 401)
            house.refuses(answer, outcome, code=code, status=status, agent=named)


# Who it is.


def test_the_siret_must_be_the_accounts_partners(house):
    house.enter("siret", "T4")
    for siret in (OTHER_SIRET, "", None, int(SIRET), [SIRET], f"{SIRET} ", SIRET[:9]):
        house.provider.knows("siret", siret=siret)
        answer = Browser(house.gateway).log_in(house.provider, "siret")
        said = isinstance(siret, str) and siret
        because = "a SIRET that is not the account's partner's" if said else "no SIRET is said"
        house.refuses(answer, because, agent="siret" if said else "")
    house.provider.knows("siret")
    assert Browser(house.gateway).log_in(house.provider, "siret").status == 303


def test_a_partner_without_a_siret_has_no_agents_there(house):
    house.gateway.enter("sans", "T4")
    house.provider.knows("sans")
    house.refuses(Browser(house.gateway).log_in(house.provider, "sans"), "a SIRET that is not", agent="sans")


def test_suspended_closed_and_unknown_accounts_look_alike(house):
    shown = set()
    for identifier, command in (("suspendu", "suspend"), ("parti", "close"), ("personne", "")):
        house.provider.knows(identifier)
        if command:
            house.enter(identifier, "T4")
            house.gateway.cafpro("account", command, identifier, *(["--why", "Départ"] if command == "close" else []))
        answer = Browser(house.gateway).log_in(house.provider, identifier)
        because = {"suspend": "suspended account", "close": "closed account", "": "unknown identifier"}[command]
        house.refuses(answer, because, agent=identifier if command else "")
        shown.add(json.dumps({**answer.json(), "request_id": ""}))
    assert len(shown) == 1


@pytest.mark.attack(15)
def test_what_the_directory_says_acts_on_the_open_session(house, browser):
    house.enter("revoque", "T4")
    house.provider.knows("revoque")
    assert browser.log_in(house.provider, "revoque").status == 303
    house.reads(browser, "T4")
    house.gateway.cafpro("account", "suspend", "revoque")
    is_problem(browser.get("/dossiers/9990001"), 403, "GW110")
    house.gateway.cafpro("account", "resume", "revoque")
    house.gateway.cafpro("account", "close", "revoque", "--why", "Départ")
    is_problem(browser.get("/dossiers/9990001"), 401, "GW102")


def test_claims_that_name_no_account_open_nothing(house):
    for uid in ("T4", "un ", "", "t4' --", 4, ["un"], None):
        house.provider.knows("bizarre", uid=uid)
        house.refuses(Browser(house.gateway).log_in(house.provider, "bizarre"), "names no account")


@pytest.mark.parametrize("name", ["json", "bare"])
def test_providers_of_other_habits_are_understood(house, name):
    """Userinfo that is not signed, or none; RSA; the secret in a header; no `iss` beside the code; a table of names."""
    provider = house.providers[name]
    provider.knows("dupont", email="dupont@vendee.example")
    provider.knows("durand", email="durand@vendee.example")
    browser = Browser(house.gateway)
    assert browser.log_in(provider, "dupont", "?profile=T4").status == 303
    house.reads(browser, "T4")
    house.refuses(Browser(house.gateway).log_in(provider, "durand"), "does not name one account")


def test_an_authentication_that_does_not_suffice_opens_nothing(house):
    provider = house.providers["eidas"]
    browser = Browser(house.gateway)
    assert parameters(browser.begin(provider))["acr_values"] == "eidas2 eidas3"
    assert browser.log_in(provider, "t4", "?profile=T4").status == 303
    for acr in ("eidas1", "", None, "eidas2 eidas3"):
        with provider.bent(acr=acr):
            answer = Browser(house.gateway).log_in(provider, "t4", "?profile=T4")
        house.refuses(answer, "an authentication that does not suffice")


# What the provider says back.


def test_whoever_refuses_at_the_provider_gets_no_session(house, browser):
    house.refuses(browser.log_in(house.provider, "un", refuse="1"), "the provider says access_denied")
    assert browser.cookies == {}
    back = browser.back(house.provider, "un")
    said = with_parameters(back, code=None, error="<script>", error_description="x" * 2000)
    house.refuses(browser.get(said), "the provider says another error")


def test_parameters_that_nobody_declared_are_refused(house, browser):
    back = browser.back(house.provider, "un")
    for answer, status, code in (
        (browser.get(f"{back}&next=https://ailleurs.example"), 400, "GW202"),
        (browser.get(f"{back}&state=x"), 400, "GW201"),
        (browser.get(f"{back}&error_description={'x' * 2049}"), 400, "GW201"),
    ):
        is_problem(answer, status, code)
    # What was not understood has used nothing up.
    assert browser.get(f"{back}&session_state=abc").status == 303


def test_other_names_and_methods_are_refused(house):
    for path in ("/-/openid/inconnu", "/-/openid/inconnu/callback", "/-/openid/idp/", "/-/openid/", "/-/openid/IDP"):
        is_problem(house.gateway.ask(path), 404, "GW203")
    for path in ("/-/openid/idp", "/-/openid/idp/callback"):
        is_problem(house.gateway.ask(path, method="POST"), 405, "GW204")
        is_problem(house.gateway.ask(path, {"Host": "ailleurs.example"}), 400, "GW201")


def test_where_there_is_no_place_left_the_provider_vouches_for_nobody_else(stub_url, start_gateway, tmp_path):
    provider = Provider(tmp_path, name="idp")
    try:
        provider.ready()
        file = issuers_file(tmp_path, provider.entry())
        places = {"identity__sessions_at_once": 1, "identity__sessions_full": "refuse_newcomer"}
        house = House(start_gateway(stub_url, identity__issuers=file, **places), {"idp": provider})
        house.gateway.enter("t4", "T4")
        partners.set_siret(house.gateway.store, name=PARTNER, siret=SIRET)
        provider.serves(house.gateway)
        provider.knows("t4")
        first, second = Browser(house.gateway), Browser(house.gateway)
        assert first.log_in(provider, "t4").status == 303
        answer = second.log_in(provider, "t4")
        house.refuses(answer, "as many sessions as may be open", code="GW118", status=409, agent="t4")
        assert second.cookies == {}
        [mine] = first.get("/-/sessions").json()["sessions"]
        assert (mine["current"], mine["assurance"]) == (True, "federated")
    finally:
        provider.close()


def test_failures_of_an_address_are_counted_with_those_of_passwords(stub_url, start_gateway, house, tmp_path):
    file = issuers_file(tmp_path, house.provider.entry())
    limits = {"limits__failures_burst": 3, "limits__failures_per_minute": 1}
    gateway = start_gateway(stub_url, identity__issuers=file, **limits)
    house.provider.serves(gateway)
    browsers = [Browser(gateway) for _ in range(5)]
    begun = [parameters(browser.begin(house.provider))["state"] for browser in browsers]
    # Any page can send a browser here: a return that belongs to no log-in counts for nobody.
    for _ in range(5):
        is_problem(gateway.ask("/-/openid/idp/callback?code=x&state=y"), 401, "GW140")
        is_problem(browsers[4].get("/-/openid/idp/callback?code=x&state=y"), 401, "GW140")
    # Nor do log-ins whose provider is away.
    named = f"&iss={house.provider.url}"
    with house.provider.bent(token={"status": 500}):
        is_problem(browsers[3].get(f"/-/openid/idp/callback?code=x&state={begun[3]}{named}"), 503, "GW142")
    for browser, state in zip(browsers[:3], begun[:3], strict=True):
        is_problem(browser.get(f"/-/openid/idp/callback?code=x&state={state}"), 401, "GW141")
    answer = browsers[4].get(f"/-/openid/idp/callback?code=x&state={begun[4]}")
    is_problem(answer, 429, "GW105")
    assert int(answer.one("Retry-After")) > 0
    is_problem(gateway.sign_in("t4"), 429, "GW105")
    # In the store, too, for after a start and for the machine beside it: one row, of the address, that names nobody.
    with gateway.store.read() as connection:
        assert list(connection.execute(select(guess.c.failures)).scalars()) == [0]
