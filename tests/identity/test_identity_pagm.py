"""The table from PAGM to T-profile, as gateway/README.md gives it for InterOPS: its example is what is tried."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from gateway.errors import SessionEnded
from gateway.identity import directory
from gateway.identity.federated import identify
from gateway.identity.issuers import Issuer, load_vouchers
from gateway.identity.store import open_store
from gateway.identity.tokens import named_in
from gateway.model import Agent
from gateway.settings import Identity
from tests.identity.test_identity_tokens import CLAIMS, NOW

GUIDE = (Path(__file__).resolve().parents[2] / "gateway" / "README.md").read_text("utf-8")
PARTNER = "Département de la Vendée"
ACCOUNT = "m.martin"
NOT_GIVEN = object()


def example() -> tuple[str, dict[str, str]]:
    """The file of the guide, and what it says of each value of the claim."""
    [text] = re.findall(r"```toml\n(\[\[issuer\]\]\n.*?)```", GUIDE, re.DOTALL)
    _, _, after = GUIDE.partition("| `pagm` of its token | agent |\n|---|---|\n")
    rows = after.partition("\n\n")[0].splitlines()
    return text, dict(re.fullmatch(r"\| `(.*)` \| (.*) \|", row).groups() for row in rows)


WRITTEN, TOLD = example()


@pytest.fixture
def comes(anywhere: str, tmp_path: Path) -> Iterator[Callable[[object], Agent]]:
    """The agent of the guide, who comes with this claim: an account with T1 and T4, a convention for T4 and T9."""
    file = tmp_path / "issuers.toml"
    file.write_text(WRITTEN, "utf-8")
    [issuer] = load_vouchers(file).issuers
    with contextlib.closing(open_store(anywhere)) as store:
        directory.add_partner(store, name=PARTNER, kind="external")
        directory.add_convention(
            store,
            partner_name=PARTNER,
            number="C-1",
            caisse="691",
            starts_on=date(2026, 1, 1),
            ends_on=date(2030, 12, 31),
            profiles=["T4", "T9"],
        )
        directory.add_account(
            store, identifier=ACCOUNT, password="Correct-horse-26", partner_name=PARTNER, profiles=["T1", "T4"]
        )

        def come(pagm: object) -> Agent:
            named = named_in(said(issuer, pagm), issuer, NOW.timestamp())
            return identify(store, Identity(caisse="691"), named, now=NOW)[0]

        yield come


def said(issuer: Issuer, pagm: object) -> dict[str, object]:
    claims = {**CLAIMS, "iss": issuer.issuer, "aud": issuer.audience, "sub": ACCOUNT, "pagm": pagm}
    return {name: value for name, value in claims.items() if value is not NOT_GIVEN}


def test_each_list_of_the_guide_makes_the_agent_that_it_says(comes):
    assert len(TOLD) > 10
    for written, outcome in TOLD.items():
        pagm = json.loads(written)
        profile, refused, because = outcome.partition("refused: ")
        if refused:
            with pytest.raises(SessionEnded) as caught:
                comes(pagm)
            assert because in caught.value.because, written
        else:
            agent = comes(pagm)
            assert agent.profile == profile.partition(",")[0], written
            # What the convention opens is decided after that, and no table of an organisation's makes it wider.
            assert agent.convention == ("in_force" if agent.profile == "T4" else "none"), written


def test_an_assertion_without_a_pagm_opens_nothing(comes):
    for pagm in (NOT_GIVEN, "", [""], [[]], [["TUTEUR"]], {"REFERENT-RSA": True}, 4, [None], True):
        with pytest.raises(SessionEnded, match="does not name one profile"):
            comes(pagm)
