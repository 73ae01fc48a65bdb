"""The assertion: what it says, for how long, and with which key."""

import subprocess
from datetime import UTC, datetime

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.errors import Misconfigured
from gateway.model import Agent, dossier_number
from gateway.proxy.assertion import GOOD_SECONDS, Asserting, assertion_key, new_key

AT = datetime(2026, 11, 27, 9, 30, 15, 999_999, tzinfo=UTC)
AGENT = Agent(
    account_id=7,
    identifier="m.durand",
    partner_id=3,
    partner_name="Udaf de la Vendée",
    partner_kind="external",
    profile="T9",
    profiles=("T9", "T1"),
    convention="in_force",
    engagement="signed",
    assurance="password",
    expires_at=0,
)


@pytest.fixture(scope="module")
def key() -> ECKey:
    return ECKey.generate_key("P-256")


def test_it_says_who_asks_for_what_until_when_and_nothing_else(key):
    asserting = Asserting(key, issuer="https://cafpro.example", audience="http://10.0.0.5:9000")
    token = jwt.decode(asserting.of(AGENT, dossier_number("0990001"), request_id="r-1", at=AT), key, ["ES256"])
    assert token.header == {"typ": "JWT", "alg": "ES256", "kid": key.thumbprint()}
    begun = int(datetime(2026, 11, 27, 9, 30, 15, tzinfo=UTC).timestamp())
    assert token.claims == {
        "iss": "https://cafpro.example",
        "aud": "http://10.0.0.5:9000",
        "sub": "m.durand",
        "iat": begun,
        "exp": begun + GOOD_SECONDS,
        "jti": "r-1",
        "partner": "Udaf de la Vendée",
        "partner_kind": "external",
        "profile": "T9",
        "assurance": "password",
        "dossier": "0990001",
    }


def test_a_key_is_what_init_makes_or_what_openssl_does(tmp_path):
    private, public = new_key()
    (tmp_path / "ours.key").write_text(private)
    assert assertion_key(tmp_path / "ours.key").as_pem(private=False).decode() == public
    theirs = tmp_path / "theirs.key"
    with pytest.raises(Misconfigured) as refused:
        assertion_key(theirs)
    [said] = refused.value.problems
    subprocess.run(said.partition("Write: ")[2].split(), check=True, capture_output=True)
    assert assertion_key(theirs).is_private


OTHERS = {
    "nothing": b"",
    "no key": b"not a key",
    "bytes": b"\xff\xfe\x00",
    "a public key": ECKey.generate_key("P-256").as_pem(private=False),
    "another curve": ECKey.generate_key("P-384").as_pem(private=True),
    "Ed25519": OKPKey.generate_key("Ed25519").as_pem(private=True),
    "RSA": RSAKey.generate_key(2048).as_pem(private=True),
    "a locked key": ECKey.generate_key("P-256").as_pem(private=True, password="secret"),
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_another_key_is_refused_in_one_sentence_without_its_content(tmp_path, content):
    file = tmp_path / "assertion.key"
    file.write_bytes(content)
    with pytest.raises(Misconfigured) as refused:
        assertion_key(file)
    [said] = refused.value.problems
    assert said.startswith(f"upstream.assertion_key_file: {file} holds no private key of the curve P-256.")
    assert "PRIVATE" not in said
