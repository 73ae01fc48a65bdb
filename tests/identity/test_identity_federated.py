"""Whom a verified token names is asked of the directory each time: on a file, and on a server."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime

import pytest

from gateway.errors import SessionEnded
from gateway.identity import directory
from gateway.identity.federated import identify
from gateway.identity.issuers import Issuer
from gateway.identity.jwks import ProviderKeys
from gateway.identity.refusals import AgentSuspended
from gateway.identity.store import open_store
from gateway.identity.tokens import Tokens
from gateway.settings import Identity
from tests.identity.test_identity_tokens import CLAIMS, ISSUER, NOW, OURS, Source, good, here

PASSWORD = "Correct-horse-26"
RULES = Identity(caisse="691")
ANY = Issuer(
    issuer=ISSUER.issuer, audience=ISSUER.audience, jwks_url=ISSUER.jwks_url, algorithms=["ES256"], partner="Udaf"
)
"""Says no profile."""


@pytest.fixture
def store(anywhere):
    """The partner Udaf with a convention for T1 and T2, and its agent `m.durand`, who holds T1."""
    with contextlib.closing(open_store(anywhere)) as opened:
        directory.add_partner(opened, name="Udaf", kind="external")
        directory.add_partner(opened, name="Ailleurs", kind="external")
        directory.add_convention(
            opened,
            partner_name="Udaf",
            number="C-1",
            caisse="691",
            starts_on=date(2026, 1, 1),
            ends_on=date(2030, 12, 31),
            profiles=["T1", "T2"],
        )
        for identifier, partner, profiles in (
            ("m.durand", "Udaf", ["T1"]),
            ("deux", "Udaf", ["T1", "T2"]),
            ("personne", "Udaf", []),
            ("ailleurs", "Ailleurs", ["T1"]),
        ):
            directory.add_account(
                opened, identifier=identifier, password=PASSWORD, partner_name=partner, profiles=profiles
            )
        yield opened


def asked(store, issuer=ISSUER, **claims):
    tokens = Tokens([issuer], lambda one: ProviderKeys(one.issuer, one.algorithms, Source(OURS), aside=here))
    return identify(store, RULES, tokens.named_by(good(claims={**CLAIMS, **claims}), now=NOW), now=NOW)[0]


def refused(store, issuer=ISSUER, **claims):
    with pytest.raises(SessionEnded) as caught:
        asked(store, issuer, **claims)
    return caught.value.because


def test_the_account_is_an_agent_as_one_that_logged_in(store):
    agent = asked(store)
    assert (agent.identifier, agent.partner_name, agent.profile) == ("m.durand", "Udaf", "T1")
    assert (agent.convention, agent.engagement, agent.assurance) == ("in_force", "missing", "federated")
    assert agent.expires_at == CLAIMS["exp"]
    version = RULES.engagement_version
    directory.sign_engagement(store, identifier="m.durand", version=version, now=datetime.now(UTC))
    assert asked(store).engagement == "signed"


def test_where_the_token_says_no_profile_it_is_the_one_that_the_account_has(store):
    assert asked(store, ANY).profile == "T1"
    assert asked(store, ANY, sub="personne").profile == ""
    assert refused(store, ANY, sub="deux") == "a token that says none of the account's profiles"
    assert refused(store, ANY, sub="inconnu") == "a token for an account that does not exist"
    assert refused(store, ANY, sub="ailleurs") == "a token for an account of another partner"


def test_a_token_opens_no_account_and_no_profile_beyond_the_directory(store):
    assert asked(store, sub="deux", pagm="B").profile == "T2"
    for subject, pagm, because in (
        ("m.durand", "B", "a profile that the account does not hold"),
        ("personne", "A", "a profile that the account does not hold"),
        ("ailleurs", "A", "an account of another partner"),
        ("inconnu", "A", "an account that does not exist"),
    ):
        assert because in refused(store, sub=subject, pagm=pagm)


def test_a_suspended_account_is_known_and_refused_until_it_is_resumed(store):
    directory.suspend_account(store, identifier="m.durand")
    with pytest.raises(AgentSuspended) as caught:
        asked(store)
    assert caught.value.agent.identifier == "m.durand"
    directory.resume_account(store, identifier="m.durand")
    assert asked(store).profile == "T1"


def test_a_token_for_a_closed_account_is_one_for_nobody(store):
    signed = directory.Signature("c.petit", "left")
    directory.close_account(store, identifier="m.durand", signed=signed, now=datetime.now(UTC))
    assert refused(store) == "a token for an account that does not exist"
    assert refused(store, ANY) == "a token for an account that does not exist"
