"""A gateway that knows real OpenID providers, each in a process of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from gateway.identity import directory, partners
from tests.openid.running import PARTNER, SIRET, Browser, Provider
from tests.story.brochure import OPEN, kept_dossier
from tests.story.providers import issuers_file
from tests.story.running import ENGAGEMENT, PASSWORD, Answer, Gateway, is_problem
from upstream_stub.dossiers import dossier_text


class House(NamedTuple):
    """A gateway and the OpenID providers at which its agents log in, by their names."""

    gateway: Gateway
    providers: dict[str, Provider]

    @property
    def provider(self) -> Provider:
        """The one of most of the tests."""
        return self.providers["idp"]

    def reads(self, browser: Browser, profile: str) -> dict[str, object]:
        """The browser reads the dossier as this profile does; its row in the record."""
        answer = browser.get("/dossiers/9990001")
        whole = dossier_text("9990001")
        assert whole
        assert (answer.status, answer.body) == (200, kept_dossier(whole, OPEN[profile])), answer
        return self.gateway.recorded(answer)

    def refuses(self, answer: Answer, because: str, *, code: str = "GW141", status: int = 401, agent: str = "") -> None:
        """No session, no cookie of one, one row that says why."""
        is_problem(answer, status, code)
        assert not [line for line in answer.all("Set-Cookie") if line.startswith("cafpro=")]
        row = self.gateway.recorded(answer)
        assert (row["act"], row["code"], row["agent"]) == ("log_in", code, agent), row
        assert because in row["because"], row

    def enter(self, identifier: str, *profiles: str) -> None:
        """An account of the partner that the provider's agents belong to."""
        directory.add_account(
            self.gateway.store, identifier=identifier, password=PASSWORD, partner_name=PARTNER, profiles=profiles
        )
        directory.sign_engagement(self.gateway.store, identifier=identifier, version=ENGAGEMENT, now=datetime.now(UTC))

    def sessions(self) -> int:
        return self.rows("session")

    def rows(self, table: str) -> int:
        with closing(sqlite3.connect(self.gateway.folder / "cafpro.db")) as connection:
            return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


HABITS: dict[str, tuple[dict[str, object], list[str], dict[str, str]]] = {
    # As ProConnect: signed userinfo, the secret in the body, `iss` beside the code.
    "idp": ({}, [], {}),
    "autre": ({}, [], {}),
    "pagm": ({}, ['profile_claim = "pagm"', "[provider.profiles]", '"PAGM-T9" = "T9"', '"PAGM-T1" = "T1"'], {}),
    "eidas": ({}, ['acr_values = ["eidas2", "eidas3"]'], {}),
    **{
        name: (
            {"userinfo": userinfo, "algorithm": algorithm, "auth": auth, "announce": False, "ends": userinfo != ""},
            ["[provider.accounts]", '"dupont@vendee.example" = "t4"'],
            {"account_claim": "email"},
        )
        for name, userinfo, algorithm, auth in (("json", "json", "RS256", "basic"), ("bare", "", "ES256", "post"))
    },
}
"""How each of the providers is started, and more lines and other values of its entry."""


@pytest.fixture(scope="session")
def house(stub_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two workers; agents `t4` (T4 and T9) and `un` (T4) of a partner with a SIRET, whom all providers know."""
    folder = tmp_path_factory.mktemp("openid")
    with ExitStack() as stack:
        providers, entries = {}, []
        for name, (options, lines, changed) in HABITS.items():
            providers[name] = Provider(folder, name=name, **options)
            stack.callback(providers[name].close)
            entries.append(providers[name].entry(*lines, **changed))
        # Before the gateway starts: seven processes that import at once would take more than anyone waits for one.
        for provider in providers.values():
            provider.ready()
        settings = {"identity.issuers": str(issuers_file(folder, *entries)), "server.workers": "2"}
        gateway = Gateway(folder / "gateway", upstream=stub_url, settings=settings, policies=None)
        stack.callback(gateway.stop)
        house = House(gateway, providers)
        gateway.enter("t4", "T4", "T9")
        partners.set_siret(gateway.store, name=PARTNER, siret=SIRET)
        house.enter("un", "T4")
        for provider in providers.values():
            provider.serves(gateway)
            provider.knows("t4")
            provider.knows("un")
        yield house


@pytest.fixture
def browser(house: House) -> Browser:
    return Browser(house.gateway)
