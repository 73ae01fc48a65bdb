"""Keys that change at a real OpenID provider, seen over sockets: for bearer tokens that it signs, and for log-ins."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from gateway.identity import partners
from tests.openid.running import PARTNER, SIRET, Browser, Provider
from tests.story.providers import issuers_file
from tests.story.running import is_problem, until

ISSUER = """\
[[issuer]]
issuer = "{url}"
audience = "https://cafpro.example"
jwks_url = "{url}/jwks"
keys_seconds = 1
algorithms = ["ES256"]
partner = "{partner}"
"""


@pytest.fixture
def opened(stub_url, start_gateway, tmp_path):
    """A gateway that believes the provider's keys for a second, bearer tokens and log-ins."""
    with closing(Provider(tmp_path)) as provider:
        provider.ready()
        entries = ISSUER.format(url=provider.url, partner=PARTNER), provider.entry("keys_seconds = 1")
        gateway = start_gateway(stub_url, identity__issuers=issuers_file(tmp_path, *entries))
        gateway.enter("t4", "T4")
        partners.set_siret(gateway.store, name=PARTNER, siret=SIRET)
        provider.serves(gateway)
        provider.knows("t4")
        yield gateway, provider


def test_a_new_key_is_believed_and_a_withdrawn_one_no_longer_within_the_time_that_is_written(opened):
    gateway, provider = opened

    def bearer() -> dict[str, str]:
        now = int(time.time())
        claims = {"iss": provider.url, "aud": "https://cafpro.example", "sub": "t4", "iat": now, "exp": now + 300}
        return {"Authorization": f"Bearer {provider.signs(claims)}"}

    def status(headers: dict[str, str]) -> int:
        return gateway.ask("/dossiers/9990001", headers).status

    leaving = Browser(gateway)
    assert leaving.log_in(provider, "t4").status == 303
    before = bearer()
    assert status(before) == 200
    provider.rotate()
    after = bearer()
    until(lambda: status(after) == 200, "the new key is believed")
    # Though its token was seen, and is good for minutes yet.
    until(lambda: status(before) == 401, "the withdrawn key is believed no longer")
    refused = gateway.ask("/dossiers/9990001", before)
    is_problem(refused, 401, "GW102")
    assert gateway.recorded(refused)["because"] == "a token with a key that its issuer is not known to have"
    assert status(after) == 200
    # And whoever logs in there comes in with the new one.
    assert Browser(gateway).log_in(provider, "t4").status == 303
    # Whoever came in with the one before goes out with it, too: the provider knows its own.
    gone = provider.end_session(leaving.log_out().json()["end_session_url"])
    assert leaving.get(gone.one("Location")).status == 200
    provider.rotate(publish=False)
    until(lambda: Browser(gateway).log_in(provider, "t4").status == 401, "a key that is not published opens nothing")
