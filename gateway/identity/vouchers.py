"""Whoever vouches for agents: what an `[[issuer]]` of bearer tokens, a `[[provider]]` of log-ins and an `[[authority]]`
of certificates have in common, and what can be wrong with it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, ClassVar, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from gateway.identity.entries import PROFILES
from gateway.identity.jwks import CACHED_SECONDS, LARGEST_SET

CHECKED: Final = ("iss", "aud", "exp", "nbf", "iat", "jti", "nonce", "azp", "acr", "at_hash", "auth_time")
"""Claims that say nothing of a person."""

Text = Annotated[str, Meta(min_length=1, max_length=400)]


class Naming(Struct, frozen=True, kw_only=True):
    """Whom it may name: the account, its partner and its profile, out of the claims of what it signs."""

    PROOF: ClassVar[str] = "token"
    """What it signs, in the words of a refusal."""

    partner: Text | None = None
    partner_claim: Text | None = None
    account_claim: Text = "sub"
    profile_claim: Text | None = None
    partners: dict[Text, Text] = {}
    accounts: dict[Text, Text] = {}
    profiles: dict[Text, Text] = {}


class Voucher(Naming, frozen=True, kw_only=True):
    """What what it signs must look like, where that is a token."""

    issuer: Text
    jwks_url: Text | None = None
    jwks_file: Path | None = None
    keys_seconds: Annotated[int, Meta(ge=1, le=3600)] = CACHED_SECONDS
    ca: Path | None = None
    algorithms: Annotated[list[str], Meta(min_length=1)]

    def keys_at(self) -> str:
        """Where its keys are, in words."""
        return self.jwks_url or str(self.jwks_file)


def voucher_problems(voucher: Voucher, *, table: str) -> Iterator[str]:
    """What is wrong between values that are each of the right type. `table` is the name of the voucher's."""
    from gateway.identity.public_keys import ALGORITHMS  # as in `jwks`

    for name in voucher.algorithms:
        if name not in ALGORITHMS:
            yield f"algorithms: must be among {', '.join(ALGORITHMS)}: only those have a key that need not be secret."
    if (voucher.jwks_url is None) == (voucher.jwks_file is None):
        yield "give jwks_url or jwks_file, one of them."
    if voucher.jwks_url is not None:
        yield from address_problems("jwks_url", voucher.jwks_url, fear="could put a key of their own there")
    if voucher.jwks_file is not None:
        yield from _key_file_problems(voucher, voucher.jwks_file)
    if voucher.ca is not None:
        try:
            ssl.create_default_context(cafile=str(voucher.ca))
        except OSError:
            yield f"ca: {voucher.ca} does not hold certificates in PEM."
    yield from naming_problems(voucher, table=table)
    for key in ("partner_claim", "account_claim", "profile_claim"):
        if getattr(voucher, key) in CHECKED:
            yield f"{key}: {getattr(voucher, key)} names nobody."


def naming_problems(naming: Naming, *, table: str) -> Iterator[str]:
    """What is wrong with whom it may name."""
    for claim, means in (("partner", naming.partners), ("profile", naming.profiles)):
        if (getattr(naming, f"{claim}_claim") is None) != (not means):
            yield f"{claim}_claim and [{table}.{claim}s] go together: give both or neither."
    for value, profile in naming.profiles.items():
        if profile not in PROFILES:
            yield f"profiles: {value!r} must mean a profile, written {PROFILES[0]} to {PROFILES[-1]}."


def partner_problems(naming: Naming) -> Iterator[str]:
    """What is wrong where it is one partner's, or says in a claim whose it is."""
    if (naming.partner is None) == (naming.partner_claim is None):
        yield "give partner or partner_claim, one of them."


def address_problems(key: str, url: str, *, fear: str) -> Iterator[str]:
    """What is wrong with an address that is asked, or sent to. `fear` is what whoever stands between could do."""
    try:
        parts = urlsplit(url)
        understood = bool(parts.hostname) and (parts.port is None or parts.port > 0) and url.isascii()
    except ValueError:
        understood = False
    if not understood or not url.isprintable() or " " in url:
        yield f"{key}: must look like https://host/path."
    elif parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(str(parts.hostname))):
        yield f"{key}: must begin with https: whoever stands between {fear}."
    elif parts.username is not None or parts.password is not None or parts.fragment:
        yield f"{key}: must not contain a user, a password or a fragment."


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key_file_problems(voucher: Voucher, file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as opened:
            text = opened.read(LARGEST_SET + 1)
    except OSError as error:
        yield f"jwks_file: {file} cannot be read ({error.strerror})."
        return
    from gateway.identity.public_keys import key_set

    keys = key_set(text, voucher.algorithms)
    if keys is None:
        yield f"jwks_file: {file} is not a JSON Web Key Set of at most {LARGEST_SET // 1024} KB."
    elif not keys:
        yield f"jwks_file: {file} holds no key with a name (kid) for {', '.join(voucher.algorithms)}."
