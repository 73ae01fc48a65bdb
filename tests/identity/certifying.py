"""Certificates of agents and of those who sign them, made for a test."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Signer:
    """An authority with its own certificate, which itself or another signed."""

    def __init__(self, name: str, *, by: Signer | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = by or self
        self.certificate = (
            _begun(self.name, signer.name, self.key, (-1, 30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def signed(
        self,
        *subject: tuple[x509.ObjectIdentifier, str],
        uses: tuple[x509.ObjectIdentifier, ...] = CLIENT,
        days: tuple[float, float] = (-1, 30),
        mails: tuple[str, ...] = (),
        key: Key | None = None,
        is_signer: bool = False,
        critical: x509.ObjectIdentifier | None = None,
    ) -> Held:
        """A certificate for this subject; `critical`: with an extension that nobody knows and everybody must."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(*each) for each in subject])
        made = _begun(name, self.name, key, days)
        if uses:
            made = made.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        if mails:
            made = made.add_extension(x509.SubjectAlternativeName(map(x509.RFC822Name, mails)), critical=False)
        if is_signer:
            made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        if critical:
            made = made.add_extension(x509.UnrecognizedExtension(critical, b"\x05\x00"), critical=True)
        return Held(made.sign(self.key, hashes.SHA256()), key)

    def named(self, common_name: str, **more: object) -> Held:
        return self.signed((NameOID.COMMON_NAME, common_name), **more)  # type: ignore[arg-type]


class Held:
    """A certificate with its key."""

    def __init__(self, certificate: x509.Certificate, key: Key) -> None:
        self.certificate = certificate
        self.key = key

    def as_rfc9440(self) -> str:
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return f":{base64.b64encode(der).decode('ascii')}:"

    def as_nginx(self) -> str:
        return quote(self.certificate.public_bytes(serialization.Encoding.PEM), safe="")

    def shown_to(self, context: ssl.SSLContext, folder: Path) -> ssl.SSLContext:
        """The context of a client that holds it."""
        file = folder / f"{self.certificate.serial_number}.pem"
        clear = serialization.NoEncryption()
        private = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, clear)
        file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM) + private)
        context.load_cert_chain(file)
        return context


def _begun(subject: x509.Name, issuer: x509.Name, key: Key, days: tuple[float, float]) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
    )


def authority_entry(name: str, partner: str, *lines: str, proxies: str = "127.0.0.9") -> str:
    """The `[[authority]]` that believes `NAME.pem`, beside the file, about the accounts of `partner`."""
    return "\n".join(
        [
            f'[[authority]]\nname = "{name}"\nca = "{name}.pem"\nproxies = ["{proxies}"]\npartner = "{partner}"',
            *lines,
            "",
        ]
    )
