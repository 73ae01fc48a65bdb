"""Which keys are of use, how often a provider is asked, and which tokens are believed: with real keys and a clock that
the tests turn."""

from __future__ import annotations

import base64
import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey

from gateway.errors import Busy, SessionEnded
from gateway.identity.issuers import Issuer
from gateway.identity.jwks import (
    CACHED_SECONDS,
    GOOD_SECONDS,
    LARGEST_SET,
    MOST_WAITING,
    PAUSE_SECONDS,
    KeysAway,
    ProviderKeys,
)
from gateway.identity.objects import read_object
from gateway.identity.public_keys import ALGORITHMS, key_set
from gateway.identity.tokens import LARGEST, REMEMBERED_SECONDS, Named, Tokens
from tests.story.providers import AUDIENCE, MAKE, public, signed

KEYS = {algorithm: make() for algorithm, make in MAKE.items()}
OURS = public(KEYS["ES256"], "ours")
AT = 1_800_000_000
NOW = datetime.fromtimestamp(AT, UTC)
HEADER = {"typ": "JWT", "alg": "ES256", "kid": "ours"}
CLAIMS = {"iss": "https://idp.example", "aud": AUDIENCE, "sub": "m.durand", "iat": AT, "exp": AT + 300, "pagm": "A"}
ISSUER = Issuer(
    issuer="https://idp.example",
    audience=AUDIENCE,
    jwks_url="https://idp.example/jwks",
    algorithms=["ES256"],
    partner="Udaf",
    profile_claim="pagm",
    profiles={"A": "T1", "B": "T2"},
)


def here(work: Any) -> Any:
    return work()


def encoded(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


class Source:
    """Brings a key set that tests change, fails where there is none, and counts."""

    def __init__(self, *entries: object) -> None:
        self.text: bytes | None = encoded(*entries)
        self.asked = 0

    def __call__(self) -> bytes:
        self.asked += 1
        if self.text is None:
            raise KeysAway("it cannot be reached")
        return self.text


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


# Keys.


@pytest.mark.parametrize("algorithm", MAKE)
def test_a_key_of_each_kind_verifies_what_it_signed_and_nothing_else(algorithm):
    other = public(MAKE[algorithm](), "other")
    keys = key_set(encoded(public(KEYS[algorithm], "a", alg=algorithm), other), [algorithm])
    signature = ALGORITHMS[algorithm].sign(b"text", KEYS[algorithm])
    assert keys["a"].signed(algorithm, b"text", signature)
    assert not keys["a"].signed(algorithm, b"texT", signature)
    assert not keys["other"].signed(algorithm, b"text", signature)
    for wrong in (b"", signature[:-1], signature + b"\0", b"\0" * len(signature), b"\xff" * len(signature)):
        assert not keys["a"].signed(algorithm, b"text", wrong)
    for unpinned in {*MAKE, "none", "HS256"} - {algorithm}:
        assert not keys["a"].signed(unpinned, b"text", signature)


UNUSABLE = {
    "without a name": {name: value for name, value in OURS.items() if name != "kid"},
    "an empty name": {**OURS, "kid": ""},
    "a name that is none": {**OURS, "kid": 1},
    "a name without end": {**OURS, "kid": "k" * 257},
    "for encryption": {**OURS, "use": "enc"},
    "for an unknown use": {**OURS, "use": None},
    "to sign with": {**OURS, "key_ops": ["sign"]},
    "for operations that are no list": {**OURS, "key_ops": "verify"},
    "for another algorithm": {**OURS, "alg": "ES384"},
    "for a shared secret": {**OURS, "alg": "HS256"},
    "for no algorithm": {**OURS, "alg": "none"},
    "for an algorithm that is no text": {**OURS, "alg": ["ES256"]},
    "of another curve": public(ECKey.generate_key("P-384"), "ours"),
    "of a third curve": public(ECKey.generate_key("secp256k1"), "ours"),
    "of another kind": public(KEYS["Ed25519"], "ours"),
    "said to be of another kind": {**OURS, "kty": "RSA"},
    "said to be of another curve": {**OURS, "crv": "P-384"},
    "a secret": {**OctKey.generate_key(256).as_dict(), "kid": "ours"},
    "a private key": {**KEYS["ES256"].as_dict(private=True), "kid": "ours", "use": "sig"},
    "not on the curve": {**OURS, "y": OURS["x"]},
    "without a half": {name: value for name, value in OURS.items() if name != "y"},
    "not encoded": {**OURS, "x": "é"},
    "a number": {**OURS, "x": 1},
    "no object": ["ours"],
    "nothing": None,
}


@pytest.mark.parametrize("entry", UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_is_of_no_use_is_left_out_and_the_others_stay(entry):
    good = public(MAKE["ES256"](), "good")
    assert set(key_set(encoded(entry, good), ["ES256"])) == {"good"}


def modulus(bits: int) -> str:
    return base64.urlsafe_b64encode((2 ** (bits - 1) + 1).to_bytes(bits // 8, "big")).rstrip(b"=").decode()


@pytest.mark.parametrize("n", [modulus(1024), modulus(2040), modulus(8200), "", "é", 1, None, [], {}])
def test_an_rsa_key_that_is_short_endless_or_none_is_of_no_use(n):
    entry = {**public(KEYS["RS256"], "ours"), "n": n}
    assert key_set(encoded(entry), ["RS256", "PS256"]) == {}


def test_a_name_that_keys_share_names_none():
    text = encoded(OURS, public(MAKE["ES256"](), "ours"), public(MAKE["ES256"](), "ours"))
    assert key_set(text, ["ES256"]) == {}
    # One that is of no use does not take the name away.
    assert set(key_set(encoded(OURS, {**OURS, "use": "enc"}), ["ES256"])) == {"ours"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [], "keys": []}',
        b'{"keys": [NaN]}',
        b"\xff",
        encoded() + b" " * LARGEST_SET,
    ],
)
def test_what_is_no_key_set_is_none(text):
    assert key_set(text, ["ES256"]) is None


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_reading_an_object_never_raises(text):
    found = read_object(text)
    assert found is None or isinstance(found, dict)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": [{"b": 1, "b": 2}]}',
        b'{"a": Infinity}',
        b"{" * 100_000,
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' + b"1" * 5_000 + b"}",
        b"1",
        b"null",
    ],
)
def test_an_object_that_can_be_read_in_two_ways_is_not_read(text):
    assert read_object(text) is None


# How often the provider is asked.


def provider(source: Source, clock: Clock) -> ProviderKeys:
    return ProviderKeys("https://idp.example", ["ES256"], source, aside=here, clock=clock)


def test_keys_are_kept_and_asked_for_again_after_five_minutes():
    source, clock = Source(OURS), Clock()
    keys = provider(source, clock)
    for _ in range(3):
        assert keys.named("ours")
    clock.now += CACHED_SECONDS - 1
    assert keys.named("ours")
    assert source.asked == 1
    clock.now += 1
    source.text = encoded(public(MAKE["ES256"](), "next"))
    assert keys.named("ours") is None
    assert keys.named("next")
    assert source.asked == 2


def test_names_that_nobody_knows_cost_one_question_in_half_a_minute():
    source, clock = Source(OURS), Clock()
    keys = provider(source, clock)
    for number in range(50):
        assert keys.named(f"made-up-{number}") is None
    assert source.asked == 1
    clock.now += PAUSE_SECONDS
    source.text = encoded(public(MAKE["ES256"](), "next"))
    assert keys.named("next")
    for number in range(50):
        assert keys.named(f"made-up-{number}") is None
    assert source.asked == 2


def test_a_provider_that_is_away_leaves_its_keys_for_a_day():
    source, clock = Source(OURS), Clock()
    keys = provider(source, clock)
    assert keys.named("ours")
    source.text = None
    clock.now += GOOD_SECONDS - 1
    for _ in range(3):
        assert keys.named("ours")
    assert source.asked == 2
    clock.now += 1
    assert keys.named("ours") is None
    source.text = encoded(OURS)
    clock.now += PAUSE_SECONDS
    assert keys.named("ours")


def test_keys_that_were_withdrawn_are_gone_though_none_are_left():
    source, clock = Source(OURS), Clock()
    keys = provider(source, clock)
    assert keys.named("ours")
    source.text = encoded()
    clock.now += CACHED_SECONDS
    assert keys.named("ours") is None


def test_one_question_serves_all_that_wait_and_beyond_them_others_are_told_to_come_back():
    begun, released = threading.Event(), threading.Event()
    places = threading.Semaphore(0)

    def slow() -> bytes:
        begun.set()
        assert released.wait(30)
        return encoded(OURS)

    def aside(work: Any) -> Any:
        places.release()
        return work()

    keys = ProviderKeys("https://idp.example", ["ES256"], slow, aside=aside)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(keys.named("ours"))) for _ in range(1 + MOST_WAITING)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    for _ in threads:
        assert places.acquire(timeout=30)
    with pytest.raises(Busy):
        keys.named("ours")
    released.set()
    for thread in threads:
        thread.join(30)
    assert len(found) == len(threads)
    assert None not in found


def test_a_question_that_could_not_be_put_keeps_nobody_waiting():
    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    source, clock = Source(OURS), Clock()
    keys = ProviderKeys("https://idp.example", ["ES256"], source, aside=no_thread, clock=clock)
    with pytest.raises(RuntimeError):
        keys.named("ours")
    assert keys.named("ours") is None
    keys._aside = here
    clock.now += PAUSE_SECONDS
    assert keys.named("ours")


# Tokens.


def tokens(source: Source | None = None) -> Tokens:
    source = source or Source(OURS)
    return Tokens([ISSUER], lambda issuer: ProviderKeys(issuer.issuer, issuer.algorithms, source, aside=here))


def good(header: object = HEADER, claims: object = CLAIMS) -> str:
    return signed(header, claims, KEYS["ES256"], algorithm="ES256")


def refused(token: str, *, now: datetime = NOW) -> str:
    with pytest.raises(SessionEnded) as caught:
        tokens().named_by(token, now=now)
    return caught.value.because


def test_a_good_token_names_an_account_its_partner_and_a_profile():
    assert tokens().named_by(good(), now=NOW) == Named("m.durand", "Udaf", "T1", AT, AT + 300)


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"alg": "ES256", "kid": "ours"}, CLAIMS),
        ({**HEADER, "typ": "at+jwt"}, CLAIMS),
        (HEADER, {**CLAIMS, "aud": ["elsewhere", AUDIENCE]}),
        (HEADER, {**CLAIMS, "pagm": ["A"]}),
        (HEADER, {**CLAIMS, "nbf": AT + 29}),
        (HEADER, {**CLAIMS, "iat": AT + 29}),
        (HEADER, {**CLAIMS, "exp": AT - 29, "iat": AT - 100}),
        (HEADER, {**CLAIMS, "exp": AT + 3600}),
        (HEADER, {**CLAIMS, "exp": AT + 299.5, "iat": AT - 0.5}),
        (HEADER, {name: value for name, value in CLAIMS.items() if name != "iat"}),
        (HEADER, {**CLAIMS, "jti": "x", "scope": "openid", "realm_access": {"roles": ["a"]}}),
    ],
)
def test_what_a_good_token_may_look_like(header, claims):
    assert tokens().named_by(good(header, claims), now=NOW).identifier == "m.durand"


NOT_UNDERSTOOD = "a token that is not understood"
HEADERS = {
    "no object": ([], NOT_UNDERSTOOD),
    "a name twice": (b'{"alg":"ES256","kid":"ours","kid":"ours"}', NOT_UNDERSTOOD),
    "not UTF-8": (b'{"alg":"ES256","kid":"\xff"}', NOT_UNDERSTOOD),
    "another type": ({**HEADER, "typ": "JWE"}, "a header"),
    "a type that is no text": ({**HEADER, "typ": ["JWT"]}, "a header"),
    **{
        name: ({**HEADER, name: value}, "a header")
        for name, value in {
            "jwk": OURS,
            "jku": "https://idp.example/jwks",
            "x5u": "https://idp.example/x",
            "x5c": ["x"],
            "x5t": "x",
            "crit": ["exp"],
            "b64": False,
            "cty": "JWT",
            "zip": "DEF",
            "enc": "A256GCM",
            "KID": "ours",
        }.items()
    },
    **{
        f"alg {algorithm!r}": ({**HEADER, "alg": algorithm}, "an algorithm")
        for algorithm in ("none", "None", "", "HS256", "RS256", "ES384", "es256", "Ed25519", 1, None, ["ES256"])
    },
    "no alg": ({"kid": "ours"}, "an algorithm"),
    "no kid": ({"alg": "ES256"}, "names no key"),
    **{
        f"kid {str(name)[:12]!r}": ({**HEADER, "kid": name}, because)
        for name, because in (
            ("", "names no key"),
            (1, "names no key"),
            (None, "names no key"),
            ({"a": 1}, "names no key"),
            ("o" * 257, "names no key"),
            ("OURS", "a key that its issuer is not known to have"),
            ("../../../../dev/null", "a key that its issuer is not known to have"),
            ("ours\x00", "a key that its issuer is not known to have"),
            ("x' UNION SELECT 'a", "a key that its issuer is not known to have"),
        )
    },
}


@pytest.mark.parametrize(("header", "because"), HEADERS.values(), ids=HEADERS)
def test_a_token_whose_header_is_anything_else_is_refused(header, because):
    assert because in refused(good(header))


TIME = "a time that is none"
WRONG_CLAIMS = {
    "no object": ([], NOT_UNDERSTOOD),
    "a name twice": (json.dumps(CLAIMS)[:-1].encode() + b',"sub":"m.durand"}', NOT_UNDERSTOOD),
    "no number": (json.dumps(CLAIMS)[:-1].encode() + b',"x":NaN}', NOT_UNDERSTOOD),
    "nothing": ({}, "another issuer"),
    "another issuer": ({**CLAIMS, "iss": "https://idp.example/"}, "another issuer"),
    "an issuer that is no text": ({**CLAIMS, "iss": ["https://idp.example"]}, "another issuer"),
    "an issuer that is an object": ({**CLAIMS, "iss": {}}, "another issuer"),
    "another audience": ({**CLAIMS, "aud": "https://cafpro.example/"}, "another audience"),
    "other audiences": ({**CLAIMS, "aud": ["a", "b"]}, "another audience"),
    "no audiences": ({**CLAIMS, "aud": []}, "another audience"),
    "a part of the audience": ({**CLAIMS, "aud": AUDIENCE[:-1]}, "another audience"),
    "more than the audience": ({**CLAIMS, "aud": f"{AUDIENCE} x"}, "another audience"),
    "an audience that is an object": ({**CLAIMS, "aud": {AUDIENCE: 1}}, "another audience"),
    "expired": ({**CLAIMS, "exp": AT - 30, "iat": AT - 60}, "expired"),
    "ended before it began": ({**CLAIMS, "exp": AT - 60}, "expired"),
    "not yet valid": ({**CLAIMS, "nbf": AT + 31}, "from the future"),
    "issued tomorrow": ({**CLAIMS, "iat": AT + 86_400, "exp": AT + 86_700}, "from the future"),
    "good for more than an hour": ({**CLAIMS, "exp": AT + 3601}, "too long"),
    "good for ever": ({**CLAIMS, "exp": 2**40 - 1}, "too long"),
    "good for more than an hour, from when it does not say": (
        {name: value for name, value in {**CLAIMS, "exp": AT + 3631}.items() if name != "iat"},
        "too long",
    ),
    **{
        f"{claim} {value!r}": ({**CLAIMS, claim: value}, TIME)
        for claim in ("exp", "nbf", "iat")
        for value in ("1800000300", True, None, [], {}, -1, 2**40, 10**400, 1e300)
    },
    **{
        f"sub {value!r}": ({**CLAIMS, "sub": value}, "names no account")
        for value in ("", "M.Durand", " m.durand", "m.durand\n", "é", "a" * 65, 1, None, ["m.durand"], {"a": 1})
    },
    **{
        f"pagm {value!r}": ({**CLAIMS, "pagm": value}, "does not name one profile")
        for value in ("", "T1", "a", "C", 1, None, [], ["A", "B"], ["A", "A"], [["A"]], {"A": 1}, True)
    },
    **{
        f"without {claim}": ({name: value for name, value in CLAIMS.items() if name != claim}, because)
        for claim, because in {
            "iss": "another issuer",
            "aud": "another audience",
            "exp": "never expires",
            "sub": "names no account",
            "pagm": "does not name one profile",
        }.items()
    },
}


@pytest.mark.parametrize(("claims", "because"), WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_a_token_that_claims_anything_else_is_refused(claims, because):
    assert because in refused(good(claims=claims))


GOOD = good()


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="latin-1"))
def test_no_character_of_a_good_token_can_be_another(place, other):
    changed = GOOD[:place] + other + GOOD[place + 1 :]
    if changed != GOOD:
        assert refused(changed)


def test_the_same_signature_is_written_in_one_way_only():
    """Of its last character four bits are nobody's: sixteen characters stand for the same bytes."""
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=":
        assert GOOD.endswith(last) or refused(GOOD[:-1] + last)


@given(st.data())
def test_a_token_cut_doubled_or_put_together_otherwise_is_refused(data):
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(GOOD))] * 2)))
    for changed in (GOOD[:first] + GOOD[last:], GOOD[:last] + GOOD[first:], GOOD[first:last], GOOD + GOOD[first:last]):
        if changed != GOOD:
            assert refused(changed)
    parts = data.draw(st.permutations(GOOD.split(".")))
    if parts != GOOD.split("."):
        assert refused(".".join(parts))


@given(st.text(max_size=300) | st.lists(st.text("abcAZ09-_", max_size=40), min_size=3, max_size=3).map(".".join))
def test_whatever_else_is_sent_is_refused(text):
    assert refused(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([*CLAIMS, "nbf"]),
)
def test_a_signed_claim_of_any_shape_is_decided_without_a_fault(value, claim):
    token = good(claims=json.dumps({**CLAIMS, claim: value}).encode())
    try:
        named = tokens().named_by(token, now=NOW)
    except SessionEnded:
        return
    assert named.identifier == "m.durand" or claim == "sub"
    assert named.expires_at - AT <= 3630


def test_a_token_is_8_kb_at_most():
    token = good(claims={**CLAIMS, "x": "a" * 5_700})
    assert len(token) < LARGEST
    assert tokens().named_by(token, now=NOW)
    assert refused(good(claims={**CLAIMS, "x": "a" * 6_000})) == NOT_UNDERSTOOD


def test_a_verified_token_is_remembered_for_a_minute_and_never_beyond_its_end():
    source = Source(OURS)
    known = tokens(source)
    token, short = good(), good(claims={**CLAIMS, "exp": AT + 5})
    for each in (token, short):
        known.named_by(each, now=NOW)
    source.text = encoded()
    known._issuers[ISSUER.issuer][1]._held = None
    for seconds in (0, 30, REMEMBERED_SECONDS - 1):
        assert known.named_by(token, now=datetime.fromtimestamp(AT + seconds, UTC))
    for at in (AT + REMEMBERED_SECONDS, AT - 1):
        with pytest.raises(SessionEnded, match="a key that its issuer is not known to have"):
            known.named_by(token, now=datetime.fromtimestamp(at, UTC))
    with pytest.raises(SessionEnded, match="expired"):
        known.named_by(short, now=datetime.fromtimestamp(AT + 35, UTC))
