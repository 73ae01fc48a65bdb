"""The whole way in a real Chromium, whose idea of cookies and of sites is the one that counts."""

from __future__ import annotations

from contextlib import closing

import pytest

from gateway.identity import partners
from tests.openid.running import PARTNER, SIRET, Provider
from tests.story.providers import issuers_file


@pytest.fixture
def gateway(stub_url, start_gateway, tmp_path):
    """`localhost` and `127.0.0.1` are two sites: the provider is another's, as it is in life."""
    with closing(Provider(tmp_path, host="localhost")) as provider:
        gateway = start_gateway(stub_url, identity__issuers=issuers_file(tmp_path, provider.entry()))
        gateway.enter("t4", "T4")
        partners.set_siret(gateway.store, name=PARTNER, siret=SIRET)
        provider.ready()
        provider.serves(gateway)
        provider.knows("t4")
        yield gateway


def test_a_browser_is_sent_out_comes_back_and_stays_logged_in(gateway, chromium, obstacles):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{gateway.url}/-/openid/idp")
    assert page.url.startswith("http://localhost:")
    page.fill("input[name=login]", "t4")
    page.fill("input[name=password]", "mot-de-passe")
    page.click("button")
    # Led on by the page in between: the session's cookie is `Strict`, and what the provider led to would not have it.
    page.wait_for_url(f"{gateway.url}/-/session")
    assert '"identifier":"t4"' in page.content()
    [cookie] = context.cookies()
    assert (cookie["name"], cookie["sameSite"], cookie["httpOnly"]) == ("cafpro", "Strict", True)
    page.goto(f"{gateway.url}/dossiers/9990001")
    assert "CANARI" in page.content()
    # The page in between, as one reads it whose browser does not follow.
    text = page.request.get(f"{gateway.url}/-/openid").text().replace('http-equiv="refresh"', "")
    page.goto("about:blank")
    page.set_content(text)
    assert obstacles(page) == []
    # And out again, as a page of ours does it, by way of the provider.
    proof = page.request.get(f"{gateway.url}/-/session").json()["csrf_token"]
    headers = {"X-CSRF-Token": proof, "Origin": gateway.url}
    page.goto(page.request.delete(f"{gateway.url}/-/session", headers=headers).json()["end_session_url"])
    assert page.url.startswith(f"{gateway.url}/-/openid/idp/logged-out?state=")
    assert page.inner_text("h1") == "Déconnexion de Cafpro"
    assert obstacles(page) == []
    assert context.cookies() == []
    context.close()
