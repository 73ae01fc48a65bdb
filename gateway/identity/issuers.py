"""The organisations whose identity providers are believed, and about whom: one TOML file, complaining all together.

`TEMPLATE` explains every key. The table from a value of a claim to a profile is the one from a PAGM to a T-profile,
where tokens come from InterOPS.
"""

from __future__ import annotations

import ssl
import tomllib
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from gateway.errors import Misconfigured
from gateway.identity.entries import PROFILES
from gateway.identity.jwks import ALGORITHMS, LARGEST_SET, key_set
from gateway.settings import read_table

SETTING: Final = "identity.issuers"
CHECKED: Final = ("iss", "aud", "exp", "nbf", "iat", "jti")
"""Claims that say nothing of a person."""

Text = Annotated[str, Meta(min_length=1, max_length=400)]

TEMPLATE: Final = """\
# Organisations whose own identity provider says who their agents are: in force where gateway.toml has
# [identity] issuers = "issuers.toml". Agents send `Authorization: Bearer` and a JSON Web Token (RFC 7519) of at most
# 8 KB, signed by a key of the provider's, good for an hour at most, for one of the accounts of the directory. What that
# account may see is decided at each request, as for one that logged in here: its suspension, its partner's conventions,
# mandates, objections. Relative paths start from this folder. What is changed here is in force after a restart.

# [[issuer]]
# issuer = "https://idp.vendee.example"        # must be the token's `iss`
# audience = "https://cafpro.example"          # must be its `aud`, or in it
# jwks_url = "https://idp.vendee.example/jwks" # its public keys (RFC 7517), asked for at most every 30 seconds and kept
                                             # for 24 hours where it does not answer; https, or http on this machine.
                                             # Or jwks_file, a file that holds them
# ca = "idp-ca.pem"                            # whom to trust for jwks_url; otherwise the public authorities
# algorithms = ["ES256"]                       # those it signs with: ES256, ES384, RS256, PS256, Ed25519 (or EdDSA)
# partner = "Département de la Vendée"         # whose accounts it may name, as `cafpro partner add` has it...
# partner_claim = "siret"                      # ...or the claim that says which of [issuer.partners]
# account_claim = "sub"                        # names the account, as `cafpro account add` has it
# profile_claim = "pagm"                       # names the profile; without it the account must have one at most

# Each value of partner_claim and the partner that it means. Any other is refused.
# [issuer.partners]
# "22850001600015" = "Département de la Vendée"

# Each value of profile_claim and the profile that it means. For InterOPS: the PAGM (profil applicatif générique métier)
# of the assertion, and the T-profile of the convention. Any other value is refused, and so are several at once; so is a
# profile that the account does not hold, and one that no convention of its partner's opens sees nothing.
# [issuer.profiles]
# "AGENT-INSTRUCTEUR" = "T4"
"""


class Issuer(Struct, frozen=True, kw_only=True):
    """One `[[issuer]]`: whom it may name, and what its tokens must look like."""

    issuer: Text
    audience: Text
    jwks_url: Text | None = None
    jwks_file: Path | None = None
    ca: Path | None = None
    algorithms: Annotated[list[str], Meta(min_length=1)]
    partner: Text | None = None
    partner_claim: Text | None = None
    account_claim: Text = "sub"
    profile_claim: Text | None = None
    partners: dict[Text, Text] = {}
    profiles: dict[Text, Text] = {}

    def keys_at(self) -> str:
        """Where its keys are, in words."""
        return self.jwks_url or str(self.jwks_file)


def load_issuers(file: Path) -> tuple[Issuer, ...]:
    """The issuers of `file`, at least one.

    Raises `Misconfigured` with every problem found, each with its place: a file that cannot be read, an unknown key, a
    missing or unusable value, values that do not go together, a file beside it that is of no use. Nobody is asked.
    """
    try:
        written: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured([f"{SETTING}: {file} cannot be read ({error.strerror})."]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured([f"{SETTING}: {file} is not TOML: {error}"]) from None
    problems = [f"{file}: unknown key `{key}`. Write [[issuer]]." for key in written if key != "issuer"]
    tables = written.get("issuer", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise Misconfigured([*problems, f"{file}: names no issuer. Write [[issuer]]."])
    issuers: list[Issuer] = []
    for number, table in enumerate(tables, 1):
        found: list[str] = []
        values = read_table(Issuer, table, file.parent, found)
        if not found:
            issuer = Issuer(**values)
            found += _inconsistencies(issuer)
            if issuer.issuer in [known.issuer for known in issuers]:
                found.append("issuer: another [[issuer]] has the same.")
            issuers.append(issuer)
        problems += [f"{file}, issuer {number}: {problem}" for problem in found]
    if problems:
        raise Misconfigured(problems)
    return tuple(issuers)


def believed(file: Path) -> Iterator[Path]:
    """The files that decide who is believed: `file`, and those that it names where it can be read."""
    yield file
    try:
        issuers = load_issuers(file)
    except Misconfigured:
        return
    for issuer in issuers:
        yield from (named for named in (issuer.jwks_file, issuer.ca) if named)


def _inconsistencies(issuer: Issuer) -> Iterator[str]:
    """What is wrong between values that are each of the right type."""
    for name in issuer.algorithms:
        if name not in ALGORITHMS:
            yield f"algorithms: must be among {', '.join(ALGORITHMS)}: only those have a key that need not be secret."
    if (issuer.jwks_url is None) == (issuer.jwks_file is None):
        yield "give jwks_url or jwks_file, one of them."
    if issuer.jwks_url is not None:
        yield from _address_problems(issuer.jwks_url)
    if issuer.jwks_file is not None:
        yield from _key_file_problems(issuer, issuer.jwks_file)
    if issuer.ca is not None:
        if not (issuer.jwks_url or "").startswith("https:"):
            yield "ca: goes with a jwks_url that begins with https."
        try:
            ssl.create_default_context(cafile=str(issuer.ca))
        except OSError:
            yield f"ca: {issuer.ca} does not hold certificates in PEM."
    if (issuer.partner is None) == (issuer.partner_claim is None):
        yield "give partner or partner_claim, one of them."
    for claim, table in (("partner", issuer.partners), ("profile", issuer.profiles)):
        if (getattr(issuer, f"{claim}_claim") is None) != (not table):
            yield f"{claim}_claim and [issuer.{claim}s] go together: give both or neither."
    for key in ("partner_claim", "account_claim", "profile_claim"):
        if getattr(issuer, key) in CHECKED:
            yield f"{key}: {getattr(issuer, key)} names nobody."
    for value, profile in issuer.profiles.items():
        if profile not in PROFILES:
            yield f"profiles: {value!r} must mean a profile, written {PROFILES[0]} to {PROFILES[-1]}."


def _address_problems(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        understood = bool(parts.hostname) and (parts.port is None or parts.port > 0) and url.isascii()
    except ValueError:
        understood = False
    if not understood or not url.isprintable() or " " in url:
        yield "jwks_url: must look like https://host/path."
    elif parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(str(parts.hostname))):
        yield "jwks_url: must begin with https: whoever stands between could put a key of their own there."
    elif parts.username is not None or parts.password is not None or parts.fragment:
        yield "jwks_url: must not contain a user, a password or a fragment."


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key_file_problems(issuer: Issuer, file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as opened:
            text = opened.read(LARGEST_SET + 1)
    except OSError as error:
        yield f"jwks_file: {file} cannot be read ({error.strerror})."
        return
    keys = key_set(text, issuer.algorithms)
    if keys is None:
        yield f"jwks_file: {file} is not a JSON Web Key Set of at most {LARGEST_SET // 1024} KB."
    elif not keys:
        yield f"jwks_file: {file} holds no key with a name (kid) for {', '.join(issuer.algorithms)}."
