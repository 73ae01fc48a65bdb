"""The OpenID providers at which agents log in: one `[[provider]]` each in the file of issuers.

Their addresses are written there and not discovered: what a log-in is sent to does not change by itself. `TEMPLATE`
explains every key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, field

from gateway.errors import Misconfigured
from gateway.identity.vouchers import CHECKED, Text, Voucher, address_problems, voucher_problems

SHORTEST_SECRET: Final = 32
"""Characters. What a browser keeps of a log-in is sealed with it, so that nobody must be able to guess it."""
LONGEST_SECRET: Final = 512

TEMPLATE: Final = """\

# OpenID Connect: agents log in at GET /-/openid/NAME, are sent to the provider, and come back with a session of ours,
# whose `assurance` is `federated`. Tell the provider the address they come back to: PUBLIC_URL/-/openid/NAME/callback.
# The values are ProConnect's, where the addresses are in its discovery document (.well-known/openid-configuration).

# [[provider]]
# name = "proconnect"                          # a-z, 0-9 and -
# issuer = "https://auth.agentconnect.gouv.fr/api/v2"   # must be the ID token's `iss`
# client_id = "0123abcd"                       # must be its `aud`
# client_secret_file = "proconnect.secret"     # one line of at least 32 characters, for nobody else to read
# client_auth = "post"                         # how the secret is sent: in the body ("post"), or "basic"
# authorization_url = "https://auth.agentconnect.gouv.fr/api/v2/authorize"
# token_url = "https://auth.agentconnect.gouv.fr/api/v2/token"
# userinfo_url = "https://auth.agentconnect.gouv.fr/api/v2/userinfo"   # without it, the ID token must say everything
# userinfo = "jwt"                             # signed as the ID token is; or "json"
# jwks_url = "https://auth.agentconnect.gouv.fr/api/v2/jwks"           # or jwks_file, as above
# end_session_url = "https://auth.agentconnect.gouv.fr/api/v2/session/end"   # its end_session_endpoint: who logs out
                                               # here is sent there, too, and comes back to an address that it must be
                                               # told: PUBLIC_URL/-/openid/NAME/logged-out. Without it, it goes on
# keys_seconds = 300                           # as above
# ca = "proconnect-ca.pem"                     # whom to trust for all of these; otherwise the public authorities
# algorithms = ["ES256"]                       # as above
# scopes = ["openid", "uid", "siret"]
# acr_values = ["eidas2"]                      # asked for; the ID token's `acr` must be one of them
# announces_issuer = true                      # it sends `iss` with the code (RFC 9207): without it, refused
# siret_claim = "siret"                        # must be the SIRET of the partner whose account it is, or, instead,
                                               # partner, or partner_claim and [provider.partners], as above
# account_claim = "uid"                        # names the account, or as [provider.accounts] says
# profile_claim = "role"                       # names the profile; without it, the agent asks for one of several, as
                                               # in /-/openid/NAME?profile=T4

# [provider.accounts]
# "3f9c2a" = "m.martin"

# [provider.profiles]
# "referent-rsa" = "T4"
"""


class Provider(Voucher, frozen=True, kw_only=True):
    """One `[[provider]]`: an OpenID provider whose client we are."""

    name: Annotated[
        str,
        Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="small letters, digits and hyphens, 32 at most"),
    ]
    client_id: Text
    client_secret_file: Path
    client_auth: Literal["post", "basic"] = "post"
    authorization_url: Text
    token_url: Text
    userinfo_url: Text | None = None
    end_session_url: Text | None = None
    userinfo: Literal["jwt", "json"] = "jwt"
    scopes: Annotated[list[Annotated[str, Meta(pattern=r"^[!#-\[\]-~]+$")]], Meta(min_length=1)] = field(
        default_factory=lambda: ["openid"]
    )
    acr_values: list[Annotated[str, Meta(pattern=r"^[!-~]+$")]] = field(default_factory=list)
    announces_issuer: bool = False
    siret_claim: Text | None = None


def provider_problems(provider: Provider) -> Iterator[str]:
    """What is wrong between values that are each of the right type, and with the file of the secret."""
    yield from voucher_problems(provider, table="provider")
    if [provider.partner, provider.partner_claim, provider.siret_claim].count(None) != 2:
        yield "give partner, partner_claim or siret_claim, one of them."
    yield from address_problems("authorization_url", provider.authorization_url, fear="could log in as anyone")
    if "?" in provider.authorization_url:
        yield "authorization_url: must not contain a query."
    yield from address_problems("token_url", provider.token_url, fear="would read client_secret_file")
    if provider.userinfo_url is not None:
        yield from address_problems("userinfo_url", provider.userinfo_url, fear="could answer for it")
    if provider.end_session_url is not None:
        yield from address_problems("end_session_url", provider.end_session_url, fear="would read who logs out")
        if "?" in provider.end_session_url:
            yield "end_session_url: must not contain a query."
    if provider.ca is not None and not any(
        (url or "").startswith("https:") for url in (provider.jwks_url, provider.token_url, provider.userinfo_url)
    ):
        yield "ca: goes with an address that begins with https."
    if "openid" not in provider.scopes:
        yield "scopes: openid must be among them."
    if provider.siret_claim in CHECKED:
        yield f"siret_claim: {provider.siret_claim} names nobody."
    try:
        client_secret(provider)
    except Misconfigured as error:
        yield from error.problems


def client_secret(provider: Provider) -> str:
    """The secret that the provider knows us by. Raises `Misconfigured`, which does not quote it."""
    file = provider.client_secret_file
    try:
        with file.open("rb") as opened:
            text = opened.read(LONGEST_SECRET + 3).decode("ascii").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise Misconfigured([f"client_secret_file: {file} cannot be read ({error.strerror})."]) from None
    except UnicodeDecodeError:
        text = ""
    if not SHORTEST_SECRET <= len(text) <= LONGEST_SECRET or not text.isprintable() or " " in text:
        raise Misconfigured(
            [
                f"client_secret_file: {file} must hold one line of {SHORTEST_SECRET} to {LONGEST_SECRET} printable "
                "ASCII characters without blanks."
            ]
        )
    return text
