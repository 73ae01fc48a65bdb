"""The authorities of client certificates: one `[[authority]]` each in the file of issuers. `TEMPLATE` explains every
key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from msgspec import Meta

from gateway.identity.vouchers import Naming, Text, naming_problems, partner_problems
from gateway.networks import problem

if TYPE_CHECKING:
    from cryptography import x509

TEMPLATE: Final = """\

# Client certificates: a proxy of yours ends TLS, asks agents for a certificate (a card, a key in the browser), checks
# that they hold its key, and hands the certificate over in the header Client-Cert: as RFC 9440 writes it (`:base64 of
# DER:`), or in PEM, escaped (nginx: proxy_set_header Client-Cert $ssl_client_escaped_cert). It must set this header on
# EVERY request, to nothing where there is no certificate: certificates are public, and one that a client may send
# itself proves nothing. We check again who signed it, what for (clientAuth), and its dates; revoked ones are the
# proxy's to refuse (nginx: ssl_crl), or suspend the account. From any other address the header is as if not sent.

# [[authority]]
# name = "igc-vendee"                          # for messages
# ca = "igc-vendee.pem"                        # the certificates, in PEM, of those who sign the agents' themselves
# proxies = ["10.0.0.5"]                       # who may hand them over: the addresses that connections come from
# partner = "Département de la Vendée"         # whose accounts they may name, or partner_claim and [authority.partners]
# account_claim = "commonName"                 # names the account, or as [authority.accounts] says. Of the subject:
                                               # commonName, serialNumber, userId, emailAddress, organizationName,
                                               # organizationIdentifier, organizationalUnitName, title; or mail, of the
                                               # alternative names
# profile_claim = "organizationalUnitName"     # names the profile, as [authority.profiles] says; without it the account
                                               # must have one at most

# [authority.accounts]
# "2-1-c3a9" = "m.martin"

# [authority.profiles]
# "AGENT-INSTRUCTEUR" = "T4"
"""

CLAIMS: Final = {
    "2.5.4.3": "commonName",
    "2.5.4.5": "serialNumber",
    "0.9.2342.19200300.100.1.1": "userId",
    "1.2.840.113549.1.9.1": "emailAddress",
    "2.5.4.10": "organizationName",
    "2.5.4.97": "organizationIdentifier",
    "2.5.4.11": "organizationalUnitName",
    "2.5.4.12": "title",
}
"""What a subject says of somebody, by the identifiers and names of X.520, RFC 4519 (userId) and PKCS #9."""
MAIL: Final = "mail"
"""The addresses among its alternative names (RFC 5280, rfc822Name)."""
LARGEST_FILE: Final = 256 * 1024


class Authority(Naming, frozen=True, kw_only=True):
    """One `[[authority]]`: whose certificates are believed, of which proxies."""

    PROOF: ClassVar[str] = "certificate"

    name: Text
    ca: Path
    proxies: Annotated[list[Text], Meta(min_length=1)]
    account_claim: Text = "commonName"


def authority_problems(authority: Authority) -> Iterator[str]:
    """What is wrong between values that are each of the right type, and with the file of certificates."""
    yield from naming_problems(authority, table="authority")
    yield from partner_problems(authority)
    for key in ("account_claim", "partner_claim", "profile_claim"):
        claim = getattr(authority, key)
        if claim is not None and claim not in (known := (*CLAIMS.values(), MAIL)):
            yield f"{key}: must be one of {', '.join(known)}."
    wrong = problem(authority.proxies, fear="could hand over anyone's certificate")
    if wrong:
        yield f"proxies: {wrong}"
    try:
        signers(authority)
    except OSError as error:
        yield f"ca: {authority.ca} cannot be read ({error.strerror})."
    except ValueError:
        yield f"ca: {authority.ca} does not hold certificates in PEM."


def signers(authority: Authority) -> list[x509.Certificate]:
    """The certificates of those who sign for it. Raises `OSError`, or `ValueError` where the file holds none."""
    from cryptography import x509  # megabytes, for those alone who believe certificates

    with authority.ca.open("rb") as opened:
        return x509.load_pem_x509_certificates(opened.read(LARGEST_FILE))
