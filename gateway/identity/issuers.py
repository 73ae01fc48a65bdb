"""Who is believed, and about whom: the issuers of bearer tokens, the OpenID providers and the authorities of
certificates of one TOML file, complaining all together.

`TEMPLATE` explains every key. The table from a value of a claim to a profile is the one from a PAGM to a T-profile,
where tokens come from InterOPS.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from gateway.errors import Misconfigured
from gateway.identity import authorities, openid_providers
from gateway.identity.authorities import Authority, authority_problems
from gateway.identity.openid_providers import Provider, provider_problems
from gateway.identity.vouchers import Naming, Text, Voucher, partner_problems, voucher_problems
from gateway.settings import read_table

SETTING: Final = "identity.issuers"

TEMPLATE: Final = (
    """\
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
# keys_seconds = 300                           # how long they are believed without asking again: a withdrawn key
                                             # verifies for this long, and a minute more what was seen before
# ca = "idp-ca.pem"                            # whom to trust for jwks_url; otherwise the public authorities
# algorithms = ["ES256"]                       # those it signs with: ES256, ES384, RS256, PS256, Ed25519 (or EdDSA)
# partner = "Département de la Vendée"         # whose accounts it may name, as `cafpro partner add` has it...
# partner_claim = "siret"                      # ...or the claim that says which of [issuer.partners]
# account_claim = "sub"                        # names the account, as `cafpro account add` has it, or as
                                             # [issuer.accounts] says
# profile_claim = "pagm"                       # names the profile; without it the account must have one at most

# Each value of partner_claim and the partner that it means. Any other is refused.
# [issuer.partners]
# "22850001600015" = "Département de la Vendée"

# Where it does not name accounts as we do: each value of account_claim and the account that it means. Any other is
# refused.
# [issuer.accounts]
# "3f9c2a" = "m.martin"

# Each value of profile_claim and the profile that it means. For InterOPS: the PAGM (profil applicatif générique métier)
# of the assertion, and the T-profile of the convention. Any other value is refused, and so are several at once, known
# or not; so is a profile that the account does not hold; one that no convention of its partner's opens sees nothing.
# [issuer.profiles]
# "AGENT-INSTRUCTEUR" = "T4"
"""
    + openid_providers.TEMPLATE
    + authorities.TEMPLATE
)


class Issuer(Voucher, frozen=True, kw_only=True):
    """One `[[issuer]]`: whose tokens agents may bear."""

    audience: Text


class Vouchers(NamedTuple):
    """Whoever vouches for agents: by tokens that they bear, by log-ins, and by certificates."""

    issuers: tuple[Issuer, ...]
    providers: tuple[Provider, ...]
    authorities: tuple[Authority, ...]


N = TypeVar("N", bound=Naming)


def load_vouchers(file: Path) -> Vouchers:
    """The issuers, providers and authorities of `file`.

    Raises `Misconfigured` with every problem found, each with its place: a file that cannot be read or believes nobody,
    an unknown key, a missing or unusable value, values that do not go together, a file beside it that is of no use.
    Nobody is asked.
    """
    try:
        written: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured([f"{SETTING}: {file} cannot be read ({error.strerror})."]) from None
    except (ValueError, RecursionError) as error:
        raise Misconfigured([f"{SETTING}: {file} is not TOML: {error}"]) from None
    problems = [f"{file}: unknown key `{key}`. Write {_EITHER}." for key in written if key not in _TABLES]
    issuers = _entries(Issuer, written, _issuer_problems, file, problems, table="issuer")
    providers = _entries(Provider, written, provider_problems, file, problems, table="provider")
    trusted = _entries(Authority, written, authority_problems, file, problems, table="authority", key="name")
    if not problems and not issuers and not providers and not trusted:
        problems.append(f"{file}: names no issuer. Write {_EITHER}.")
    for number, provider in enumerate(providers, 1):
        place = f"{file}, provider {number}"
        if provider.name in [known.name for known in providers[: number - 1]]:
            problems.append(f"{place}: name: another [[provider]] has the same.")
        # A token that a log-in brought must be of no use to whoever finds it.
        if (provider.issuer, provider.client_id) in [(issuer.issuer, issuer.audience) for issuer in issuers]:
            problems.append(f"{place}: client_id: must not be the audience of the [[issuer]] of the same name.")
    if problems:
        raise Misconfigured(problems)
    return Vouchers(issuers, providers, trusted)


def believed(file: Path) -> Iterator[Path]:
    """The files that decide who is believed: `file`, and those that it names where it can be read."""
    yield file
    try:
        found = load_vouchers(file)
    except Misconfigured:
        return
    for voucher in (*found.issuers, *found.providers):
        yield from (named for named in (voucher.jwks_file, voucher.ca) if named)
    yield from (authority.ca for authority in found.authorities)


def secrets(file: Path) -> Iterator[Path]:
    """The files with secrets that `file` names, where it can be read."""
    try:
        yield from (provider.client_secret_file for provider in load_vouchers(file).providers)
    except Misconfigured:
        return


_TABLES: Final = ("issuer", "provider", "authority")
_EITHER: Final = "[[issuer]], [[provider]] or [[authority]]"


def _entries(
    kind: type[N],
    written: Mapping[str, Any],
    inconsistencies: Callable[[N], Iterator[str]],
    file: Path,
    problems: list[str],
    *,
    table: str,
    key: str = "issuer",
) -> tuple[N, ...]:
    """The entries that can be read; what is wrong with any is added to `problems`. No two have the same `key`."""
    tables = written.get(table, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append(f"{file}: `{table}` must be a table, written [[{table}]].")
        return ()
    entries: list[N] = []
    for number, values in enumerate(tables, 1):
        found: list[str] = []
        read = read_table(kind, values, file.parent, found)
        if not found:
            entry = kind(**read)
            found += inconsistencies(entry)
            if getattr(entry, key) in [getattr(known, key) for known in entries]:
                found.append(f"{key}: another [[{table}]] has the same.")
            entries.append(entry)
        problems += [f"{file}, {table} {number}: {problem}" for problem in found]
    return tuple(entries)


def _issuer_problems(issuer: Issuer) -> Iterator[str]:
    yield from voucher_problems(issuer, table="issuer")
    yield from partner_problems(issuer)
    if issuer.ca is not None and not (issuer.jwks_url or "").startswith("https:"):
        yield "ca: goes with a jwks_url that begins with https."
