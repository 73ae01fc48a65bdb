"""What is of use in a set of public keys (RFC 7517): which of them may have signed a token, and whether one did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from joserfc.errors import JoseError
from joserfc.jwa import JWS_ALGORITHMS, JWSAlgModel
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.util import base64_to_int

from gateway.identity.jwks import LARGEST_SET, LONGEST_NAME
from gateway.identity.objects import read_object

RSA_BITS: Final = range(2048, 8193)
"""Of a modulus: shorter ones are broken, and longer ones cost what others wait for."""
_MODELS: Final[Mapping[str, JWSAlgModel]] = {model.name: model for model in JWS_ALGORITHMS}
ALGORITHMS: Final[Mapping[str, JWSAlgModel]] = {
    **{name: _MODELS[name] for name in ("ES256", "ES384", "RS256", "PS256", "Ed25519")},
    # The older name of the same (RFC 9864).
    "EdDSA": _MODELS["Ed25519"],
}
"""What a token may be signed with. In none of them is the key that verifies one that signs."""
_CURVES: Final = {"ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "Ed25519": ("OKP", "Ed25519")}
_KINDS: Final[Mapping[str, type[ECKey | OKPKey | RSAKey]]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
_SECRETS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


class PublicKey(NamedTuple):
    """A key, and the names of the algorithms that it may be used with."""

    key: Key
    algorithms: frozenset[str]

    def signed(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether the holder of this key signed `signed`. Never raises."""
        if algorithm not in self.algorithms:
            return False
        try:
            return ALGORITHMS[algorithm].verify(signed, signature, self.key)
        except (JoseError, ValueError, TypeError):
            return False


def key_set(text: bytes, algorithms: Iterable[str]) -> dict[str, PublicKey] | None:
    """The keys of a set that are of use with one of `algorithms`, by their names; None where it is no set.

    Left out: keys without a name, for anything but signatures, of a kind or curve that does not fit, too short, secret
    ones, and those that share a name.
    """
    entries = (read_object(text) or {}).get("keys") if len(text) <= LARGEST_SET else None
    if not isinstance(entries, list):
        return None
    found: dict[str, PublicKey] = {}
    shared: set[str] = set()
    for entry in entries:
        if isinstance(entry, dict) and (key := _public_key(entry, algorithms)):
            name = entry["kid"]
            shared |= {name} & found.keys()
            found[name] = key
    return {name: key for name, key in found.items() if name not in shared}


def _public_key(entry: Mapping[str, Any], algorithms: Iterable[str]) -> PublicKey | None:
    name, uses = entry.get("kid"), entry.get("key_ops", ["verify"])
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not isinstance(uses, list):
        return None
    if entry.get("use", "sig") != "sig" or "verify" not in uses or any(secret in entry for secret in _SECRETS):
        return None
    fitting = frozenset(algorithm for algorithm in algorithms if _fits(entry, algorithm))
    if not fitting:
        return None
    # Only what makes the key: the rest was looked at above, and has no meaning for the library.
    members = {member: entry[member] for member in ("kty", "crv", "x", "y", "n", "e") if member in entry}
    try:
        if entry["kty"] == "RSA" and base64_to_int(entry["n"]).bit_length() not in RSA_BITS:
            return None
        key = _KINDS[entry["kty"]].import_key(members)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    return PublicKey(key, fitting)


def _fits(entry: Mapping[str, Any], algorithm: str) -> bool:
    model = ALGORITHMS[algorithm].name
    meant = entry.get("alg", algorithm)
    if not isinstance(meant, str) or meant not in ALGORITHMS or ALGORITHMS[meant].name != model:
        return False
    if model in _CURVES:
        return (entry.get("kty"), entry.get("crv")) == _CURVES[model]
    return entry.get("kty") == "RSA"
