"""Client certificates (RFC 5280) that a proxy hands over in `Client-Cert` (RFC 9440): which are believed, and whom they
name.

Possession of the key was the proxy's to check. Here: that one of an authority's own signers signed it, for clients, and
that its dates hold. `cryptography` verifies, with the rules of the web's own certificates but for the alternative name,
which people's need not have.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy

from gateway.errors import CertificateRefused, SessionEnded
from gateway.identity.authorities import CLAIMS, MAIL, Authority, signers
from gateway.identity.tokens import Named, Verified, account_of, partner_of, profile_of
from gateway.networks import Proxies, parsed

UNREADABLE: Final = (
    *(ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension),
    x509.UnsupportedGeneralNameType,
)
"""What the library raises where a certificate is not one, some of it when a part is first looked at."""
NOT_UNDERSTOOD: Final = "a certificate that is not understood"
LARGEST: Final = 8192
"""Characters of a certificate as it is handed over."""
SHORTEST_RSA: Final = 2048
"""Bits of a holder's key."""


def _is_for_clients(_policy: object, _certificate: x509.Certificate, uses: x509.ExtendedKeyUsage) -> None:
    if ExtendedKeyUsageOID.CLIENT_AUTH not in uses:
        raise ValueError("not for clients")


_OF_CLIENTS: Final = (
    ExtensionPolicy.webpki_defaults_ee()
    .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
    .require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _is_for_clients)
)
_OF_SIGNERS: Final = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)


class Certificates:
    """Verifies certificates of some authorities, each from its own proxies alone."""

    def __init__(self, authorities: Sequence[Authority]) -> None:
        """Raises `OSError` or `ValueError` where the file of one is of no use any more."""
        self._trusted = [(Proxies(each.proxies), each, verification.Store(signers(each))) for each in authorities]
        self._verified = Verified()

    def are_taken_from(self, peer: str) -> bool:
        """Whether somebody at this address may hand a certificate over."""
        address = parsed(peer)
        return any(address in proxies for proxies, _, _ in self._trusted)

    def named_by(self, written: str, *, peer: str, now: datetime) -> Named:
        """Whom the certificate names that `peer` handed over. Raises `CertificateRefused`, quoting nothing of it."""
        seconds = now.timestamp()
        key = hashlib.sha256(written.encode("utf-8", "replace")).digest(), peer
        named = self._verified.named_by(key, seconds)
        if named is None:
            named = self._verify(read_certificate(written), peer, now)
            self._verified.keep(key, named, seconds)
        if not named.begins_at <= seconds < named.expires_at:
            raise CertificateRefused("a certificate outside its dates")
        return named

    def _verify(self, certificate: x509.Certificate, peer: str, now: datetime) -> Named:
        address = parsed(peer)
        for proxies, authority, store in self._trusted:
            if address in proxies and _is_signed(certificate, store, now):
                try:
                    return _named_in(certificate, authority)
                except SessionEnded as refusal:
                    raise CertificateRefused(refusal.because) from None
                except UNREADABLE:
                    raise CertificateRefused(NOT_UNDERSTOOD) from None
        raise CertificateRefused("a certificate that no authority signed for this, or outside its dates")


def _named_in(certificate: x509.Certificate, authority: Authority) -> Named:
    """Whom it names. Raises `SessionEnded`."""
    claims = claims_of(certificate)
    return Named(
        account_of(claims, authority),
        partner_of(claims, authority),
        profile_of(claims, authority),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        authority.PROOF,
    )


def _is_signed(certificate: x509.Certificate, store: verification.Store, now: datetime) -> bool:
    """Whether one of the signers themselves signed it for a client, good now."""
    rules = verification.PolicyBuilder().store(store).time(now.astimezone(UTC).replace(tzinfo=None)).max_chain_depth(0)
    verifier = rules.extension_policies(ca_policy=_OF_SIGNERS, ee_policy=_OF_CLIENTS).build_client_verifier()
    try:
        verifier.verify(certificate, [])
        key = certificate.public_key()
    except (verification.VerificationError, *UNREADABLE):
        return False
    # The library measures the signers' keys, not the holder's.
    return not isinstance(key, RSAPublicKey) or key.key_size >= SHORTEST_RSA


def read_certificate(written: str) -> x509.Certificate:
    """The certificate in `:base64 of DER:` or in percent-escaped PEM, one and whole. Raises `CertificateRefused`."""
    try:
        if len(written) > LARGEST:
            raise ValueError
        if written.startswith(":") and written.endswith(":"):
            return x509.load_der_x509_certificate(base64.b64decode(written[1:-1], validate=True))
        [certificate] = x509.load_pem_x509_certificates(unquote_to_bytes(written))
    except UNREADABLE:
        raise CertificateRefused(NOT_UNDERSTOOD) from None
    return certificate


def claims_of(certificate: x509.Certificate) -> Mapping[str, Any]:
    """What it says of its holder, by the names of `authorities.CLAIMS`: a text, or a list where it says several."""
    said: dict[str, list[str]] = {}
    for claim, value in _said(certificate):
        said.setdefault(claim, []).append(value)
    return {claim: values[0] if len(values) == 1 else values for claim, values in said.items()}


def _said(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    for attribute in certificate.subject:
        claim = CLAIMS.get(attribute.oid.dotted_string)
        if claim is not None and isinstance(attribute.value, str):
            yield claim, attribute.value
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for address in names.get_values_for_type(x509.RFC822Name):
        yield MAIL, address
