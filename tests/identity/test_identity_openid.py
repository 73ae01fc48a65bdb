"""A log-in at an OpenID provider on its way: known again only whole, in time, and by whoever began it."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import LogInNotBegun, LogOutNotBegun
from gateway.identity.errands import BEGUN_SECONDS, CLOCKS_APART
from gateway.identity.openid import LogIns
from gateway.identity.openid_log_outs import LogOuts
from gateway.identity.openid_providers import Provider
from gateway.proxy.credentials import Door

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
SECRET = "un-secret-de-quarante-caracteres-au-moins"


def provider(name: str = "idp") -> Provider:
    return Provider(
        name=name,
        issuer="https://idp.example",
        client_id="cafpro",
        client_secret_file=Path("none"),
        authorization_url="https://idp.example/authorize",
        token_url="https://idp.example/token",
        jwks_url="https://idp.example/jwks",
        algorithms=["ES256"],
        siret_claim="siret",
    )


LOG_INS = LogIns(provider(), SECRET, "https://cafpro.example/-/openid/idp/callback")


@pytest.mark.parametrize("profile", [None, "T4", "T16"])
def test_a_log_in_is_taken_up_by_whoever_has_the_same_secret(profile):
    begun = LOG_INS.begin(profile, now=NOON)
    elsewhere = LogIns(provider(), SECRET, "https://cafpro.example/-/openid/idp/callback")
    assert elsewhere.again(begun.kept, begun.state, now=NOON) == begun


def test_the_challenge_is_the_verifiers_and_nothing_secret_is_sent_or_kept():
    begun = LOG_INS.begin(None, now=NOON)
    asked = parse_qs(urlsplit(LOG_INS.sent_to(begun)).query)
    digest = hashlib.sha256(begun.verifier.encode()).digest()
    assert asked["code_challenge"] == [base64.urlsafe_b64encode(digest).rstrip(b"=").decode()]
    assert begun.verifier not in LOG_INS.sent_to(begun)
    assert not [secret for secret in (begun.state, begun.nonce, begun.verifier) if secret in begun.kept]
    assert len({begun.state, begun.nonce, begun.verifier}) == 3


@pytest.mark.attack(16)
def test_a_log_in_is_good_for_ten_minutes_whatever_clock_looks():
    begun = LOG_INS.begin(None, now=NOON)
    for seconds, good in (
        (-CLOCKS_APART, True),
        (-CLOCKS_APART - 1, False),
        (BEGUN_SECONDS - 1, True),
        (BEGUN_SECONDS, False),
        (86_400, False),
    ):
        now = NOON + timedelta(seconds=seconds)
        if good:
            assert LOG_INS.again(begun.kept, begun.state, now=now) == begun
        else:
            with pytest.raises(LogInNotBegun):
                LOG_INS.again(begun.kept, begun.state, now=now)


@pytest.mark.attack(16)
def test_another_provider_or_secret_does_not_know_it():
    begun = LOG_INS.begin(None, now=NOON)
    for other in (LogIns(provider("autre"), SECRET, ""), LogIns(provider(), f"{SECRET}x", "")):
        with pytest.raises(LogInNotBegun):
            other.again(begun.kept, begun.state, now=NOON)


BEGUN = LOG_INS.begin("T4", now=NOON)


@given(st.integers(0, len(BEGUN.kept)), st.integers(0, 3), st.text(max_size=4))
def test_no_character_of_what_a_browser_keeps_can_be_another(at, length, text):
    mangled = BEGUN.kept[:at] + text + BEGUN.kept[at + length :]
    if mangled != BEGUN.kept:
        with pytest.raises(LogInNotBegun):
            LOG_INS.again(mangled, BEGUN.state, now=NOON)


@given(st.text(max_size=60))
def test_whatever_is_sent_for_a_state_is_refused(state):
    with pytest.raises(LogInNotBegun):
        LOG_INS.again(BEGUN.kept, state, now=NOON)


LOG_OUTS = LogOuts(provider(), "https://idp.example/end", SECRET, "https://cafpro.example/-/openid/idp/logged-out")


@pytest.mark.attack(16)
def test_a_log_out_is_known_again_in_time_by_whoever_has_the_same_secret_and_is_no_log_in():
    leaving = LOG_OUTS.begin("a.b.c", now=NOON)
    state = parse_qs(urlsplit(leaving.address).query)["state"][0]
    elsewhere = LogOuts(provider(), "https://idp.example/end", SECRET, "")
    assert elsewhere.again(leaving.kept, state, now=NOON).state == state
    with pytest.raises(LogOutNotBegun, match="too long ago"):
        LOG_OUTS.again(leaving.kept, state, now=NOON + timedelta(seconds=BEGUN_SECONDS))
    for other in (
        LogOuts(provider("autre"), "https://idp.example/end", SECRET, ""),
        LogOuts(provider(), "https://idp.example/end", f"{SECRET}x", ""),
    ):
        with pytest.raises(LogOutNotBegun):
            other.again(leaving.kept, state, now=NOON)
    with pytest.raises(LogInNotBegun):
        LOG_INS.again(leaving.kept, state, now=NOON)
    with pytest.raises(LogOutNotBegun):
        LOG_OUTS.again(BEGUN.kept, BEGUN.state, now=NOON)


def test_without_an_id_token_the_provider_knows_us_by_our_name():
    asked = parse_qs(urlsplit(LOG_OUTS.begin(None, now=NOON).address).query)
    assert "id_token_hint" not in asked
    assert asked["client_id"] == ["cafpro"]


def test_over_https_what_a_browser_keeps_is_this_hosts_alone():
    """`__Host-`: no neighbour under the same domain can plant it."""
    door = Door("https://cafpro.example", [])
    name, line = door.set_errand("x", 600)
    assert name == "Set-Cookie"
    assert line == "__Host-cafpro-openid=x; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
    assert door.errand({"HTTP_COOKIE": "cafpro-openid=y; __Host-cafpro-openid=x; __Host-cafpro=z"}) == "x"
    assert door.errand({"HTTP_COOKIE": "__Host-cafpro-openid=x; __Host-cafpro-openid=x"}) == ""
    assert door.errand({}) == ""
