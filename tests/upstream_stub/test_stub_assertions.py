"""A backend that wants to know who asks believes the gateway's signature, and nothing else."""

import base64
import hmac
import time

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from upstream_stub.app import create_app
from upstream_stub.assertions import HEADER, LEEWAY, Asking, Assertions

AUDIENCE = "http://127.0.0.1:9000"
PATH = "/dossiers/9990001"


def claims(**changed) -> dict:
    now = int(time.time())
    good = {
        "iss": "http://127.0.0.1:8080",
        "aud": AUDIENCE,
        "sub": "m.durand",
        "iat": now,
        "exp": now + 60,
        "jti": "r1",
    }
    whole = {**good, "partner": "Udaf", "profile": "T9", "dossier": "9990001", **changed}
    return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture(scope="module")
def key() -> ECKey:
    return ECKey.generate_key("P-256")


@pytest.fixture(scope="module")
def public(key, tmp_path_factory):
    file = tmp_path_factory.mktemp("key") / "assertion.pub"
    file.write_bytes(key.as_pem(private=False))
    return file


@pytest.fixture
def told() -> list[Asking]:
    return []


@pytest.fixture
def client(public, told):
    return create_app(Assertions(public, AUDIENCE), told.append).test_client()


def signed(key, head=None, **changed) -> dict[str, str]:
    return {HEADER: jwt.encode({"alg": "ES256", **(head or {})}, claims(**changed), key)}


def test_whoever_the_gateway_vouches_for_is_answered_and_known(client, key, told):
    answer = client.get(PATH, headers=signed(key))
    assert (answer.status_code, answer.json["numero"]) == (200, "9990001")
    assert told == [Asking("m.durand", "Udaf", "T9", "9990001", "r1")]


def test_one_dossiers_assertion_opens_no_other_and_no_part_of_another(client, key, told):
    for path in ("/dossiers/9990003", "/dossiers/9990003/rubriques/adresse", "/dossiers/9990003/courriers/co-1.pdf"):
        assert client.get(path, headers=signed(key)).status_code == 403
    assert not told


NOT_BELIEVED = {
    "of 1970": {"exp": 1},
    "old": {"exp": int(time.time()) - LEEWAY - 60},
    "of tomorrow": {"iat": int(time.time()) + 3600},
    "for another": {"aud": "http://another:9000"},
    **{f"without {name}": {name: None} for name in ("aud", "sub", "iat", "exp", "jti", "dossier")},
}


@pytest.mark.parametrize("changed", NOT_BELIEVED.values(), ids=NOT_BELIEVED)
def test_an_assertion_that_is_old_of_tomorrow_for_another_or_incomplete_is_not_believed(client, key, told, changed):
    assert client.get(PATH, headers=signed(key, **changed)).status_code == 401
    assert not told


def written(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def forged(key: ECKey, public_pem: bytes) -> dict[str, str]:
    good = signed(key)[HEADER]
    head, body, signature = good.split(".")
    other = signed(ECKey.generate_key("P-256"))[HEADER]
    unsigned, symmetric = written(b'{"alg":"none"}'), written(b'{"alg":"HS256"}')
    of_secret = written(hmac.digest(public_pem, f"{symmetric}.{body}".encode(), "sha256"))
    return {
        "none": "",
        "nothing": "x",
        "two": f"{good}, {good}",
        "signed by another": other,
        "another's signature": f"{head}.{body}.{other.split('.')[2]}",
        "another's body": f"{head}.{other.split('.')[1]}x.{signature}",
        "algorithm none": f"{unsigned}.{body}.",
        "algorithm none, signed": f"{unsigned}.{body}.{signature}",
        "the public key as a secret": f"{symmetric}.{body}.{of_secret}",
        "another algorithm": jwt.encode({"alg": "RS256"}, claims(), RSAKey.generate_key(2048)),
        "not ASCII": good + "\xe9",
    }


@pytest.mark.parametrize("name", list(forged(ECKey.generate_key("P-256"), b"x" * 64)))
def test_a_forged_assertion_is_not_believed(client, key, public, told, name):
    assert client.get(PATH, headers={HEADER: forged(key, public.read_bytes())[name]}).status_code == 401
    assert not told


def test_without_an_assertion_there_is_no_dossier_but_the_backend_says_that_it_lives(client, told):
    assert client.get(PATH).status_code == 401
    assert client.get("/etat").json == {"etat": "ok"}
    assert not told
