"""Line 16 where agents log in at OpenID providers (OpenID Connect Core 16, RFC 9700): log-ins begun by others,
replayed, mixed up and led elsewhere; ID tokens that it did not make for this; a provider that is away, or lies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.openid.conftest import House
from tests.openid.running import SECRET, Browser, parameters, with_parameters
from tests.story.running import Client, is_problem, until

NOT_BEGUN = "this browser has begun no log-in"
ANOTHERS = "the state is not that of this browser's log-in"
BACK_ALREADY = "a log-in that has come back already"


def refuses_state(house: House, answer, because: str) -> None:
    house.refuses(answer, because, code="GW140")


# Whose log-in it is.


@pytest.mark.attack(16)
def test_an_attackers_log_in_cannot_be_ended_in_another_browser(house, browser):
    attacker = Browser(house.gateway)
    led_to = attacker.back(house.provider, "t4", "?profile=T9")
    refuses_state(house, browser.get(led_to), NOT_BEGUN)
    # Nor in one that has begun a log-in of its own, which is not disturbed.
    mine = browser.back(house.provider, "un")
    refuses_state(house, browser.get(led_to), ANOTHERS)
    refuses_state(house, browser.get(with_parameters(led_to, state=None)), ANOTHERS)
    assert browser.get(mine).status == 303
    assert browser.get("/-/session").json()["identifier"] == "un"


@pytest.mark.attack(16)
def test_a_stolen_code_is_of_no_use_in_a_log_in_of_ones_own(house, browser):
    """Code injection: the provider compares the verifier, which another log-in does not have."""
    victim = Browser(house.gateway)
    stolen = parameters(victim.back(house.provider, "un"))["code"]
    mine = browser.back(house.provider, "t4")
    house.refuses(browser.get(with_parameters(mine, code=stolen)), "no token for a code: invalid_grant")
    for code in ("", "x", stolen.upper(), f"{stolen} ", "é"):
        browser = Browser(house.gateway)
        answer = browser.get(with_parameters(browser.back(house.provider, "un"), code=code))
        house.refuses(answer, "no code" if code in ("", "é") else "no token for a code: invalid_grant")


@pytest.mark.attack(16)
def test_a_log_in_comes_back_once_whatever_the_provider_allows(house, browser):
    with house.provider.bent(codes_are_kept=True, nonces_are_kept=True):
        back = browser.back(house.provider, "un")
        kept = dict(browser.cookies)
        assert browser.get(back).status == 303
        refuses_state(house, browser.get(back), NOT_BEGUN)
        browser.cookies = dict(kept)
        refuses_state(house, browser.get(back), BACK_ALREADY)
        # Another code does not make it another log-in.
        other = parameters(Browser(house.gateway).back(house.provider, "un"))["code"]
        browser.cookies = dict(kept)
        refuses_state(house, browser.get(with_parameters(back, code=other)), BACK_ALREADY)


@pytest.mark.attack(16)
def test_a_log_in_that_comes_back_many_times_at_once_opens_one_session(house):
    before = house.sessions()
    with house.provider.bent(codes_are_kept=True, nonces_are_kept=True):
        browser = Browser(house.gateway)
        back = browser.back(house.provider, "un")
        kept = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        path = back.removeprefix(house.gateway.url)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: house.gateway.ask(path, {"Cookie": kept}), range(8)))
    assert sorted({answer.status for answer in answers}) == [303, 401]
    assert [answer.status for answer in answers].count(303) == 1
    assert house.sessions() == before + 1


@pytest.mark.attack(16)
def test_a_log_in_that_failed_has_come_back_too(house, browser):
    back = browser.back(house.provider, "un")
    kept = dict(browser.cookies)
    with house.provider.bent(token={"status": 500}):
        house.refuses(browser.get(back), "it answers 500", code="GW142", status=503)
    assert browser.cookies == {}
    browser.cookies = kept
    refuses_state(house, browser.get(back), BACK_ALREADY)


@pytest.mark.attack(16)
def test_what_a_browser_keeps_is_ours_or_nothing(house, browser):
    back = browser.back(house.provider, "un")
    kept = browser.cookies["cafpro-openid"]
    seconds, profile, random = kept.split(".")
    for other in (
        *("", "x", f"{kept}x", kept[:-1], f"{kept[:-1]}{'A' if kept[-1] != 'A' else 'B'}", f" {kept}", f'"{kept}"'),
        *(f"{int(seconds) + 1}.{profile}.{random}", f"{seconds}.T9.{random}", f"{seconds}..{random[::-1]}"),
        *(f"{kept}; cafpro-openid={kept}", f"{kept}; cafpro-openid=x"),
    ):
        browser.cookies["cafpro-openid"] = other
        answer = browser.get(back)
        is_problem(answer, 401, "GW140")
    browser.cookies["cafpro-openid"] = kept
    assert browser.get(back).status == 303


@pytest.mark.attack(16)
def test_a_session_that_was_planted_is_not_the_one_that_is_opened(house, browser):
    attacker = Browser(house.gateway)
    attacker.log_in(house.provider, "t4", "?profile=T9")
    browser.cookies = dict(attacker.cookies)
    assert browser.log_in(house.provider, "un").status == 303
    assert browser.cookies["cafpro"] != attacker.cookies["cafpro"]
    assert browser.get("/-/session").json()["identifier"] == "un"
    assert attacker.get("/-/session").json()["identifier"] == "t4"
    browser = Browser(house.gateway)
    browser.cookies["cafpro"] = "A" * 43
    assert browser.log_in(house.provider, "un").status == 303
    assert browser.cookies["cafpro"] != "A" * 43


# Whose answer it is.


@pytest.mark.attack(16)
def test_what_one_provider_sends_is_not_taken_for_anothers(house):
    """Mix-up (RFC 9700, 4.4): each has its own address to come back to, its own state, and says its own name."""
    honest, other = house.provider, house.providers["autre"]
    browser = Browser(house.gateway)
    back = browser.back(honest, "un")
    asked = len(other.asked())
    refuses_state(house, browser.get(back.replace("/idp/", "/autre/")), ANOTHERS)
    assert len(other.asked()) == asked
    for said in (other.url, f"{honest.url}/", "", None):
        browser = Browser(house.gateway)
        answer = browser.get(with_parameters(browser.back(honest, "un"), iss=said))
        house.refuses(answer, "a code of another provider, or of one that does not say which")
    # Where it is not announced, it may be left out, and not be another's.
    browser, provider = Browser(house.gateway), house.providers["bare"]
    back = browser.back(provider, "un")
    assert "iss" not in parameters(back)
    house.refuses(browser.get(with_parameters(back, iss=honest.url)), "a code of another provider")


@pytest.mark.attack(16)
def test_nobody_is_led_elsewhere(house):
    at = f"/-/openid/{house.provider.name}"
    elsewhere = "https://ailleurs.example"
    for name in ("next", "redirect_uri", "return_to", "url", "target_link_uri", "iss", "login_hint"):
        is_problem(house.gateway.ask(f"{at}?{name}={elsewhere}"), 400, "GW202")
    for header in ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Original-URL", "Referer", "Forwarded", "Origin"):
        answer = house.gateway.ask(at, {header: elsewhere})
        assert parameters(answer.one("Location"))["redirect_uri"] == f"{house.gateway.url}{at}/callback"
    is_problem(house.gateway.ask(at, {"Host": "ailleurs.example"}), 400, "GW201")
    browser = Browser(house.gateway)
    back = browser.back(house.provider, "un")
    for name in ("next", "redirect_uri", "url"):
        is_problem(browser.get(f"{back}&{name}={elsewhere}"), 400, "GW202")
    assert browser.get(back).one("Location") == "/-/openid"


# What an ID token must be.

MINUTE = 60
FORGED = {
    "alg none": ({"header": {"alg": "none"}, "signed_by": "nobody"}, "not understood"),
    "alg none with a signature": ({"header": {"alg": "none"}}, "an algorithm that its issuer does not use"),
    "HMAC with the public key": ({"header": {"alg": "HS256"}, "signed_by": "the public key"}, "an algorithm"),
    "HMAC with our secret": ({"header": {"alg": "HS256"}, "signed_by": "the secret"}, "an algorithm"),
    "another algorithm": ({"header": {"alg": "RS256"}}, "an algorithm that its issuer does not use"),
    "another's key": ({"signed_by": "another"}, "a wrong signature"),
    "a key that nobody knows": ({"header": {"kid": "inconnue"}, "signed_by": "another"}, "is not known to have"),
    "no key named": ({"header": {"kid": None}}, "names no key"),
    "a key of its own": ({"header": {"jwk": {"kty": "EC"}}, "signed_by": "another"}, "a header that is not accepted"),
    "another issuer": ({"claims": {"iss": "https://ailleurs.example"}}, "an ID token of another issuer"),
    "another client": ({"claims": {"aud": "autre"}}, "another audience"),
    "no client": ({"claims": {"aud": None}}, "another audience"),
    "several clients": ({"claims": {"aud": ["cafpro", "autre"]}}, "made for another client"),
    "made for another": ({"claims": {"azp": "autre"}}, "made for another client"),
    "expired": ({"claims": {"iat": 1, "exp": MINUTE}}, "expired"),
    "from the future": ({"claims": {"iat": 2**33, "exp": 2**33 + MINUTE}}, "from the future"),
    "never expires": ({"claims": {"exp": None}}, "never expires"),
    "another nonce": ({"claims": {"nonce": "A" * 43}}, "another nonce"),
    "no nonce": ({"claims": {"nonce": None}}, "another nonce"),
    "a nonce that is a list": ({"claims": {"nonce": ["A" * 43]}}, "another nonce"),
    "about nobody": ({"claims": {"sub": None}}, "about nobody"),
    "about somebody else": ({"claims": {"sub": "sub-t4"}}, "userinfo about somebody else"),
}


@pytest.mark.attack(14)
@pytest.mark.parametrize(("how", "because"), FORGED.values(), ids=FORGED)
def test_an_id_token_that_was_not_made_for_this_log_in_opens_nothing(house, browser, how, because):
    before = house.sessions()
    with house.provider.bent(id_token=how):
        answer = browser.log_in(house.provider, "un")
    house.refuses(answer, because)
    assert house.sessions() == before


@pytest.mark.attack(14)
def test_userinfo_is_signed_as_the_id_token_is_and_for_us(house):
    for claims, because in (
        ({"sub": "sub-t4"}, "userinfo about somebody else"),
        ({"sub": None}, "userinfo about somebody else"),
        ({"exp": 60}, "expired"),
        ({"exp": "demain"}, "a time that is none"),
    ):
        with house.provider.bent(userinfo_claims=claims):
            house.refuses(Browser(house.gateway).log_in(house.provider, "un"), because)
    signed_for = {"iss": house.provider.url, "aud": "cafpro", "sub": "sub-un", "uid": "t4"}
    for claims, kind, because in (
        ({**signed_for, "aud": "autre"}, "application/jwt", "another audience"),
        ({**signed_for, "iss": "https://ailleurs.example"}, "application/jwt", "userinfo of another issuer"),
        (signed_for, "application/json", "or in another type"),
    ):
        token = house.provider.signs(claims)
        lie = {"status": 200, "headers": {"Content-Type": kind}, "body": token}
        with house.provider.bent(userinfo=lie):
            answer = Browser(house.gateway).log_in(house.provider, "un")
        code, status = ("GW142", 503) if "type" in because else ("GW141", 401)
        house.refuses(answer, because, code=code, status=status)
    for body in ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJzdWItdW4ifQ.", "", "[]", "é"):
        with house.provider.bent(
            userinfo={"status": 200, "headers": {"Content-Type": "application/jwt"}, "body": body}
        ):
            house.refuses(Browser(house.gateway).log_in(house.provider, "un"), "not understood")


@pytest.mark.attack(14)
def test_an_id_token_is_nobodys_bearer_token(house):
    """CVE-2024-47616: made for a log-in and not for an address; whoever finds one has nothing."""
    claims = {"iss": house.provider.url, "aud": "cafpro", "sub": "sub-un", "uid": "un", "exp": 2**31, "iat": 2**31 - 9}
    answer = house.gateway.ask("/dossiers/9990001", {"Authorization": f"Bearer {house.provider.signs(claims)}"})
    is_problem(answer, 401, "GW102")


# A provider that is away, or lies.

LIES = {
    "an error": ({"status": 500, "body": "{}"}, "it answers 500"),
    "a redirect": ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, "it answers 302"),
    "garbage": ({"status": 200, "body": "\xff\x00"}, "it answers 200"),
    "no object": ({"status": 200, "body": "[]"}, "it answers 200"),
    "a name twice": ({"status": 200, "body": '{"id_token": "a", "id_token": "b"}'}, "it answers 200"),
    "no tokens": ({"status": 200, "body": "{}"}, "no ID token"),
    "a token that is a number": ({"status": 200, "body": '{"id_token": 1, "token_type": "Bearer"}'}, "no ID token"),
    "10 MB": ({"status": 200, "body": " " * 1000, "times": 10_000}, "its answer is not accepted"),
    "compressed": ({"status": 200, "headers": {"Content-Encoding": "gzip"}, "body": "\x1f\x8b"}, "an encoding"),
    "a header in a token": (
        {"status": 200, "body": '{"id_token": "a.b.c", "token_type": "Bearer", "access_token": "a\\r\\nX: y"}'},
        "no access token",
    ),
}


@pytest.mark.parametrize(("lie", "because"), LIES.values(), ids=LIES)
def test_a_provider_that_answers_anything_else_opens_nothing(house, browser, lie, because):
    with house.provider.bent(token=lie):
        house.refuses(browser.log_in(house.provider, "un"), because, code="GW142", status=503)
    assert browser.cookies == {}


def test_a_provider_that_hangs_holds_up_nobody_else(house):
    browsers = [Browser(house.gateway) for _ in range(12)]
    backs = [browser.back(house.provider, "un") for browser in browsers]
    asked = len(house.provider.asked())
    with house.provider.bent(token={"hang": True}), ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(browser.get, back) for browser, back in zip(browsers, backs, strict=True)]
        until(lambda: len(house.provider.asked()) > asked, "the provider is asked")
        # Meanwhile: passwords, sessions, another provider.
        with closing(Client(house.gateway.url)) as client:
            assert client.ask("/dossiers/9990001", house.gateway.log_in("un")).status == 200
        answers = [future.result() for future in waiting]
    assert {answer.json()["code"] for answer in answers} <= {"GW142", "GW209"}
    late = [answer for answer in answers if answer.json()["code"] == "GW142"]
    # Four for each of the two workers.
    assert 1 <= len(late) <= 8
    for answer in late:
        house.refuses(answer, "it does not answer in time", code="GW142", status=503)
    assert Browser(house.gateway).log_in(house.provider, "un").status == 303


# What is kept.


@pytest.mark.attack(31)
def test_nothing_secret_of_a_log_in_is_written_anywhere(house, browser):
    address = browser.begin(house.provider)
    kept = browser.cookies["cafpro-openid"]
    back = house.provider.authenticate(address, "un")
    assert browser.get(back).status == 303
    asked, returned = parameters(address), parameters(back)
    secrets = [SECRET, kept, asked["state"], asked["nonce"], returned["code"], browser.cookies["cafpro"]]
    files = [*house.gateway.folder.glob("record.db*"), *house.gateway.folder.glob("cafpro.db*")]
    written = house.gateway.log().encode() + b"".join(file.read_bytes() for file in files)
    assert [secret for secret in secrets if secret.encode() in written] == []
