"""Line 14 where JSON web tokens are believed: a gateway that knows an identity provider, and tokens that it did not
sign, or not for this. CVE-2026-39999 and CVE-2024-47616 are tried with the provider's real key at hand."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

import pytest
from joserfc.jwk import ECKey, OctKey

from tests.attacks.sending import BOUNDLESS, DOSSIER, Sender, lines
from tests.attacks.test_attack_identity import Elsewhere
from tests.story.brochure import OPEN, kept_dossier
from tests.story.providers import AUDIENCE, MAKE, Provider, issuers_file, part, public, signed
from tests.story.running import Gateway
from upstream_stub.dossiers import dossier_text

SECRET = b"un-secret-de-trente-deux-octets!"
OTHERS = {"enc": MAKE["RS256"](), "mallory": MAKE["RS256"]()}


class Believer(NamedTuple):
    """A gateway that believes a provider, and how it is attacked."""

    sender: Sender
    provider: Provider
    elsewhere: str
    """An address that a token names, and where nobody must come."""

    def forged(self, key: bytes, **header: object) -> str:
        """Signed with HMAC, whatever the header says."""
        text = f"{part(self.provider.header(**{'alg': 'HS256', **header}))}.{part(self.provider.claims('t2'))}"
        return f"{text}.{part(hmac.new(key, text.encode(), hashlib.sha256).digest())}"

    def headed(self, **header: object) -> str:
        """Signed by the provider itself, under this header."""
        return signed(self.provider.header(**header), self.provider.claims("t2"), self.provider.key, algorithm="RS256")

    def claiming(self, **claims: object) -> str:
        """Signed by the provider itself."""
        return self.provider.token("t2", **claims)

    def by(self, who: str, **header: object) -> str:
        """A good token, but for whose signature it is."""
        said = self.provider.header(**header)
        return signed(said, self.provider.claims("t2"), OTHERS[who], algorithm="RS256")


@pytest.fixture(scope="module")
def trusting(archive, tmp_path_factory) -> Iterator[tuple[Sender, Provider]]:
    """A gateway before `archive` that believes a provider; whose key set holds keys that are of no use, too."""
    with closing(Provider("RS256")) as provider:
        secret = {**OctKey.import_key(SECRET).as_dict(), "kid": "secret", "use": "sig", "alg": "HS256"}
        provider.keys += [secret, public(OTHERS["enc"], "enc", use="enc"), public(ECKey.generate_key("P-256"), "ec")]
        file = issuers_file(tmp_path_factory.mktemp("idp"), provider.entry("Partenaire t2"))
        settings = {"identity.issuers": str(file), **BOUNDLESS}
        gateway = Gateway(tmp_path_factory.mktemp("trusting"), upstream=archive.url, settings=settings, policies=None)
        try:
            gateway.enter("t2", "T2")
            yield Sender(gateway, archive, {"T2": gateway.log_in("t2")}), provider
        finally:
            gateway.stop()


@pytest.fixture
def believer(trusting) -> Iterator[Believer]:
    with closing(Elsewhere()) as elsewhere:
        yield Believer(*trusting, elsewhere.url)
        elsewhere.nobody_came()


def asked_with(believer: Believer, token: str):
    head = lines(f"GET {DOSSIER} HTTP/1.1", believer.sender.host).removesuffix(b"\r\n")
    line = b"Authorization: Bearer " + token.encode("latin-1") + b"\r\n\r\n"
    return believer.sender.send(head + line, profile="T2")


def is_served(believer: Believer, token: str) -> None:
    tried = asked_with(believer, token)
    assert (tried.answer.status, tried.row["agent"]) == (200, "t2")
    assert tried.answer.body == kept_dossier(dossier_text("9990001"), OPEN["T2"])
    assert token not in tried.logged


HEADER = "a token with a header that is not accepted"
ALGORITHM = "a token with an algorithm that its issuer does not use"
KEY = "a token with a key that its issuer is not known to have"
SIGNATURE = "a token with a wrong signature"
NO_KEY = "a token that names no key"
ATTACKS: dict[str, tuple[str, Callable[[Believer], str]]] = {
    **{
        f"CVE-2026-39999: alg {name!r}": (
            ALGORITHM,
            lambda b, name=name: f"{part(b.provider.header(alg=name))}.{part(b.provider.claims('t2'))}.{part(b'x')}",
        )
        for name in ("none", "None", "NONE", "nOnE", "", " none", "RS256 ", "rs256")
    },
    "CVE-2026-39999: alg none without a signature": (
        "a token that is not understood",
        lambda b: f"{part(b.provider.header(alg='none'))}.{part(b.provider.claims('t2'))}.",
    ),
    "a good token without its signature": (
        "a token that is not understood",
        lambda b: b.provider.token("t2").rpartition(".")[0] + ".",
    ),
    "CVE-2026-39999: HMAC with the public key in PEM": (
        ALGORITHM,
        lambda b: b.forged(b.provider.key.as_pem(private=False)),
    ),
    "CVE-2026-39999: HMAC with the public key in DER": (
        ALGORITHM,
        lambda b: b.forged(b.provider.key.as_der(private=False)),
    ),
    "CVE-2026-39999: HMAC with the key set": (
        ALGORITHM,
        lambda b: b.forged(json.dumps(b.provider.keys[0]).encode()),
    ),
    "CVE-2026-39999: HMAC with the public key, said to be RSA": (
        SIGNATURE,
        lambda b: b.forged(b.provider.key.as_pem(private=False), alg="RS256"),
    ),
    "HMAC with a secret of the key set": (ALGORITHM, lambda b: b.forged(SECRET, kid="secret")),
    "HMAC with a secret of the key set, said to be RSA": (KEY, lambda b: b.forged(SECRET, kid="secret", alg="RS256")),
    "another algorithm of the same key": (
        ALGORITHM,
        lambda b: signed(b.provider.header(alg="PS256"), b.provider.claims("t2"), b.provider.key, algorithm="PS256"),
    ),
    "somebody else's signature": (SIGNATURE, lambda b: b.by("mallory")),
    "somebody else's key by its name": (KEY, lambda b: b.by("mallory", kid="mallory")),
    "a key for encryption": (KEY, lambda b: b.by("enc", kid="enc")),
    "a key of another kind": (KEY, lambda b: b.by("mallory", kid="ec")),
    "its own key": (HEADER, lambda b: b.by("mallory", jwk=public(OTHERS["mallory"], "mallory"))),
    "its own key and no name": (HEADER, lambda b: b.by("mallory", kid=None, jwk=public(OTHERS["mallory"], "mallory"))),
    "the address of its key": (HEADER, lambda b: b.by("mallory", jku=b.elsewhere)),
    "the address of its certificate": (HEADER, lambda b: b.by("mallory", x5u=b.elsewhere)),
    "its certificate": (HEADER, lambda b: b.by("mallory", x5c=["MIIB"])),
    "its own key, signed by the provider": (HEADER, lambda b: b.headed(jwk=public(OTHERS["mallory"], "x"))),
    "the address of its key, signed by the provider": (HEADER, lambda b: b.headed(jku=b.elsewhere)),
    "an extension that must be understood": (HEADER, lambda b: b.headed(crit=["b64"], b64=False)),
    "no name of a key": (NO_KEY, lambda b: b.headed(kid=None)),
    "an empty name of a key": (NO_KEY, lambda b: b.headed(kid="")),
    "a name of a key that is a list": (NO_KEY, lambda b: b.headed(kid=[b.provider.name])),
    "a key named by a path to nothing": (ALGORITHM, lambda b: b.forged(b"", kid="../../../../dev/null")),
    "a key named by a path to nothing, said to be RSA": (
        KEY,
        lambda b: b.forged(b"", kid="../../../../dev/null", alg="RS256"),
    ),
    "a key named by the gateway's own key file": (
        KEY,
        lambda b: b.forged(
            (b.sender.gateway.folder / "record.key").read_bytes(),
            kid=str(b.sender.gateway.folder / "record.key"),
            alg="RS256",
        ),
    ),
    "a key named by an address": (KEY, lambda b: b.by("mallory", kid=b.elsewhere)),
    "a key named by a question": (KEY, lambda b: b.by("mallory", kid="x' UNION SELECT 'secret' --")),
    "a key named by a command": (KEY, lambda b: b.by("mallory", kid="|touch CANARI-executed")),
    "a key named with a zero byte": (KEY, lambda b: b.by("mallory", kid=f"{b.provider.name}\x00")),
    "another issuer": ("a token of another issuer", lambda b: b.claiming(iss="https://ailleurs.example")),
    "an issuer that is an address": ("a token of another issuer", lambda b: b.claiming(iss=b.elsewhere)),
    "an issuer with a slash behind": ("a token of another issuer", lambda b: b.claiming(iss=f"{b.provider.url}/")),
    "CVE-2024-47616: for another service": ("a token for another audience", lambda b: b.claiming(aud="databroker")),
    "for several others": ("a token for another audience", lambda b: b.claiming(aud=["a", f"{AUDIENCE}.evil.example"])),
    "expired": ("a token that has expired", lambda b: b.claiming(iat=int(time.time()) - 90, exp=int(time.time()) - 31)),
    "not yet valid": ("a token from the future", lambda b: b.claiming(nbf=int(time.time()) + 120)),
    "good for a day": ("a token that is good for too long", lambda b: b.claiming(exp=int(time.time()) + 86_400)),
    "expires at the end of time": ("a token with a time that is none", lambda b: b.claiming(exp=10**300)),
    "expires never": ("a token that never expires", lambda b: b.claiming(exp=None)),
    "without an issuer": ("a token of another issuer", lambda b: b.claiming(iss=None)),
    "without an audience": ("a token for another audience", lambda b: b.claiming(aud=None)),
    "without a subject": ("a token that names no account", lambda b: b.claiming(sub=None)),
    "a good session as the subject": ("a token that names no account", lambda b: b.claiming(sub=b.sender.token())),
    "an account of another partner": ("a token for an account that does not exist", lambda b: b.claiming(sub="t1")),
    "two subjects": (
        "a token that is not understood",
        lambda b: signed(
            b.provider.header(),
            json.dumps(b.provider.claims("t1"))[:-1].encode() + b', "sub": "t2"}',
            b.provider.key,
            algorithm="RS256",
        ),
    ),
    "more than 8 KB": ("a token that is not understood", lambda b: b.claiming(x="a" * 9_000)),
    "encrypted, five parts": (
        "malformed token",
        lambda b: ".".join((part({"alg": "dir", "enc": "A256GCM"}), "", *["AAAA"] * 3)),
    ),
    "a good one twice": ("malformed token", lambda b: ".".join((b.provider.token("t2"),) * 2)),
    "a good one and another, joined": ("a token", lambda b: f"{b.provider.token('t2')}, Bearer x"),
    "a good one in quotes": ("a token that is not understood", lambda b: f'"{b.provider.token("t2")}"'),
    "a good one with padding": ("a token that is not understood", lambda b: f"{b.provider.token('t2')}="),
}


@pytest.mark.attack(14)
@pytest.mark.parametrize(("because", "token"), ATTACKS.values(), ids=ATTACKS)
def test_a_token_that_the_provider_did_not_sign_for_this_is_refused(believer, because, token):
    is_served(believer, believer.provider.token("t2"))
    written = token(believer)
    tried = asked_with(believer, written)
    tried.refused(401, "GW102")
    assert tried.row["agent"] == ""
    assert tried.row["because"].startswith(because)
    assert written not in tried.logged
    is_served(believer, believer.provider.token("t2"))


@pytest.mark.attack(14)
def test_no_character_of_a_good_token_can_be_another(believer):
    token = believer.provider.token("t2")
    is_served(believer, token)
    for place, letter in enumerate(token):
        other = "A" if letter != "A" else "B"
        tried = asked_with(believer, f"{token[:place]}{other}{token[place + 1 :]}")
        tried.refused(401, "GW102")
    is_served(believer, token)


@pytest.mark.attack(14)
def test_a_good_token_anywhere_else_is_nobodys(believer):
    token = believer.provider.token("t2")
    for header in (f"Cookie: cafpro={token}", f"X-Forwarded-Access-Token: {token}", f"X-Access-Token: {token}"):
        tried = believer.sender.send(lines(f"GET {DOSSIER} HTTP/1.1", believer.sender.host, header), profile=None)
        tried.refused(401, "GW102" if header.startswith("Cookie") else "GW101")
    for scheme in ("DPoP", "JWT", "Token", "Basic"):
        header = f"Authorization: {scheme} {token}"
        tried = believer.sender.send(lines(f"GET {DOSSIER} HTTP/1.1", believer.sender.host, header), profile=None)
        tried.refused(401, "GW102")
    target = f"{DOSSIER}?access_token={token}"
    tried = believer.sender.send(lines(f"GET {target} HTTP/1.1", believer.sender.host), profile=None)
    tried.refused(401, "GW101")
