"""An agent logs out here and then at the OpenID provider: what the provider is shown, what of its return is believed,
and what is kept for it until then."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from gateway.identity.tables import id_token
from gateway.proxy.credentials import csrf_token
from tests.openid.conftest import House
from tests.openid.running import Browser, Provider, parameters, with_parameters
from tests.story.running import Answer, is_problem

ELSEWHERE = "https://ailleurs.example/"


def log_out(browser: Browser) -> str:
    """The address at the provider to which a log-out leads."""
    answer = browser.log_out()
    assert (answer.status, list(answer.json())) == (200, ["end_session_url"]), answer
    return answer.json()["end_session_url"]


def back(provider: Provider, address: str) -> str:
    """Where the provider sends a browser that came to log out."""
    answer = provider.end_session(address)
    assert answer.status == 302, answer
    return answer.one("Location")


def not_told(house: House, answer: Answer, because: str) -> None:
    """Nobody is told to be logged out."""
    is_problem(answer, 400, "GW143")
    row = house.gateway.recorded(answer)
    assert (row["act"], row["code"], row["because"]) == ("logged_out", "GW143", because)


def test_a_log_out_ends_our_session_and_then_the_providers(house, browser):
    browser.log_in(house.provider, "un")
    token = browser.cookies["cafpro"]
    asked, ended = house.provider.asked(), house.provider.ended()
    answer = browser.log_out()
    # Ours, before anybody goes there; and nobody but the browser does.
    is_problem(house.gateway.ask("/-/session", {"Authorization": f"Bearer {token}"}), 401, "GW102")
    assert (house.provider.asked(), house.provider.ended()) == (asked, ended)
    assert set(browser.cookies) == {"cafpro-openid-log-out"}
    address = answer.json()["end_session_url"]
    shown = parameters(address)
    assert address.startswith(f"{house.provider.url}/session/end?")
    assert list(shown) == ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"]
    assert (shown["client_id"], len(shown["state"])) == ("cafpro", 43)
    assert shown["post_logout_redirect_uri"] == f"{house.gateway.url}/-/openid/idp/logged-out"
    returned = browser.get(back(house.provider, address))
    assert house.provider.ended() == [*ended, "sub-un"]
    assert returned.status == 200
    assert "votre organisme vous a déconnecté" in returned.body.decode()
    assert browser.cookies == {}
    rows = [house.gateway.recorded(one) for one in (answer, returned)]
    assert [(row["act"], row["agent"], row["code"]) for row in rows] == [("log_out", "un", ""), ("logged_out", "", "")]


def test_whatever_the_provider_does_our_session_is_over(house, browser):
    before = house.rows("id_token")
    for how in ({"status": 500}, {"status": 302, "headers": {"Location": ELSEWHERE}}, {"status": 200, "body": "?"}):
        browser.log_in(house.provider, "un")
        with house.provider.bent(end=how):
            house.provider.end_session(log_out(browser))
        is_problem(browser.get("/dossiers/9990001"), 401, "GW101")
    assert house.rows("id_token") == before


def test_whatever_became_of_the_id_token_our_session_is_over(house, browser):
    browser.log_in(house.provider, "un")
    with house.gateway.store.change() as connection:
        connection.execute(update(id_token).values(sealed="é"))
    address = browser.log_out().json()["end_session_url"]
    assert ("id_token_hint" in parameters(address), parameters(address)["client_id"]) == (False, "cafpro")
    is_problem(browser.get("/dossiers/9990001"), 401, "GW101")


def test_a_session_of_a_password_or_of_a_provider_that_ends_none_is_ended_here_alone(house, browser):
    provider = house.providers["bare"]
    provider.knows("dupont", email="dupont@vendee.example")
    before = house.rows("id_token")
    browser.log_in(provider, "dupont", "?profile=T4")
    assert house.rows("id_token") == before
    answer = browser.log_out()
    assert (answer.status, answer.body, browser.cookies) == (204, b"", {})
    is_problem(browser.get("/-/openid/bare/logged-out?state=x"), 404, "GW203")
    assert house.gateway.ask("/-/session", house.gateway.log_in("un"), method="DELETE").status == 204


def test_another_worker_takes_up_the_log_out_that_one_began(house):
    for _ in range(6):
        browser = Browser(house.gateway)
        browser.log_in(house.provider, "un")
        assert browser.get(back(house.provider, log_out(browser))).status == 200


@pytest.mark.attack(16)
def test_a_forged_return_tells_nobody_that_they_are_logged_out(house, browser):
    other = Browser(house.gateway)
    other.log_in(house.provider, "t4", "?profile=T4")
    others = back(house.provider, log_out(other))
    # In a browser that logs out of nothing, and in one that does.
    not_told(house, browser.get(others), "this browser has begun no log-out")
    browser.log_in(house.provider, "un")
    mine = back(house.provider, log_out(browser))
    foreign = "the state is not that of this browser's log-out"
    for state in (parameters(others)["state"], "", None, parameters(mine)["state"][:-1], "é"):
        not_told(house, browser.get(with_parameters(mine, state=state)), foreign)
    # Where another provider's agents come back to.
    not_told(house, browser.get(mine.replace("/idp/", "/autre/")), foreign)
    # What a log-in left in the browser is none of a log-out.
    begun = parameters(browser.begin(house.provider))["state"]
    kept = browser.cookies["cafpro-openid-log-out"]
    browser.cookies["cafpro-openid-log-out"] = browser.cookies["cafpro-openid"]
    not_told(house, browser.get(with_parameters(mine, state=begun)), foreign)
    browser.cookies["cafpro-openid-log-out"] = kept
    # Nothing of all that has used the true one up.
    assert browser.get(mine).status == 200


@pytest.mark.attack(16)
def test_a_log_out_comes_back_once(house, browser):
    browser.log_in(house.provider, "un")
    mine = back(house.provider, log_out(browser))
    kept = dict(browser.cookies)
    assert browser.get(mine).status == 200
    not_told(house, browser.get(mine), "this browser has begun no log-out")
    for _ in range(4):
        browser.cookies = dict(kept)
        not_told(house, browser.get(mine), "a log-out that has come back already")


@pytest.mark.attack(16)
def test_nobody_but_the_configuration_says_where_a_log_out_leads(house, browser):
    browser.log_in(house.provider, "un")
    token = browser.cookies["cafpro"]
    bearer = {"Authorization": f"Bearer {token}"}
    proof = {"Cookie": f"cafpro={token}", "X-CSRF-Token": csrf_token(token)}
    for query, headers, status, code in (
        (f"?post_logout_redirect_uri={ELSEWHERE}", bearer, 400, "GW202"),
        (f"?next={ELSEWHERE}", bearer, 400, "GW202"),
        ("", {**bearer, "Host": "ailleurs.example"}, 400, "GW201"),
        ("", {**proof, "Origin": ELSEWHERE.rstrip("/")}, 403, "GW111"),
        ("", proof, 403, "GW111"),
    ):
        is_problem(house.gateway.ask(f"/-/session{query}", headers, method="DELETE"), status, code)
    # The session is still open, and whatever else a client says, it leads where it always does.
    lies = {"Referer": ELSEWHERE, "X-Forwarded-Host": "ailleurs.example", "Forwarded": "host=ailleurs.example"}
    answer = house.gateway.ask("/-/session", {**bearer, **lies}, method="DELETE")
    address = answer.json()["end_session_url"]
    assert "ailleurs" not in address
    for query in (f"state=x&post_logout_redirect_uri={ELSEWHERE}", f"state=x&next={ELSEWHERE}", "state=x&iss=y"):
        is_problem(house.gateway.ask(f"/-/openid/idp/logged-out?{query}"), 400, "GW202")
    is_problem(house.gateway.ask("/-/openid/idp/logged-out?state=x&state=y"), 400, "GW201")
    is_problem(house.gateway.ask("/-/openid/inconnu/logged-out?state=x"), 404, "GW203")
    is_problem(house.gateway.ask("/-/openid/idp/logged-out", method="POST"), 405, "GW204")
    # And the provider sends nobody to an address that it was not told.
    led = house.provider.end_session(with_parameters(address, post_logout_redirect_uri=ELSEWHERE))
    assert (led.status, led.all("Location")) == (200, [])


@pytest.mark.attack(31)
def test_the_id_token_is_read_by_nobody_and_goes_with_its_session(house, browser):
    before = house.rows("id_token")
    browser.log_in(house.provider, "un")
    assert house.rows("id_token") == before + 1
    token = browser.cookies["cafpro"]
    files = [*house.gateway.folder.glob("record.db*"), *house.gateway.folder.glob("cafpro.db*")]
    written = b"".join(file.read_bytes() for file in files)
    address = log_out(browser)
    assert house.rows("id_token") == before
    browser.get(back(house.provider, address))
    written += house.gateway.log().encode() + b"".join(file.read_bytes() for file in files)
    shown = parameters(address)
    secrets = [*shown["id_token_hint"].split(".")[1:], shown["state"], token]
    assert [secret for secret in secrets if secret.encode() in written] == []
    # However else it ends.
    house.enter("fini", "T4")
    house.provider.knows("fini")
    Browser(house.gateway).log_in(house.provider, "fini")
    assert house.rows("id_token") == before + 1
    house.gateway.cafpro("session", "end", "fini")
    assert house.rows("id_token") == before
