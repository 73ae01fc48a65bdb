# ruff: noqa: E501 -- one certificate, one line: tables are read across
"""Certificates that a proxy hands over: which are believed, from whom, and whom they name."""

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import CertificateRefused
from gateway.identity.certificates import LARGEST, NOT_UNDERSTOOD, Certificates, read_certificate
from gateway.identity.issuers import load_vouchers
from gateway.identity.tokens import Named
from tests.identity.certifying import Held, Signer, authority_entry

NOW = datetime.now(UTC)
PROXY = "127.0.0.9"
SIGNER, OTHER = Signer("IGC"), Signer("IGC")
"""Two of one name: the name proves nothing."""
BELOW = Signer("IGC des agents", by=SIGNER)
MARTIN = SIGNER.named("m.martin")
UNSIGNED = "a certificate that no authority signed for this, or outside its dates"


def believing(folder: Path, *lines: str, signer: Signer = SIGNER) -> Certificates:
    (folder / "igc.pem").write_bytes(signer.pem())
    file = folder / "issuers.toml"
    file.write_text(authority_entry("igc", "Udaf", *lines), "utf-8")
    return Certificates(load_vouchers(file).authorities)


@pytest.fixture
def certificates(tmp_path) -> Certificates:
    return believing(tmp_path)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory) -> Certificates:
    return believing(tmp_path_factory.mktemp("lasting"))


def because(certificates: Certificates, written: str, *, peer: str = PROXY, now: datetime = NOW) -> str:
    with pytest.raises(CertificateRefused) as refused:
        certificates.named_by(written, peer=peer, now=now)
    return refused.value.because


@pytest.mark.parametrize("write", [Held.as_rfc9440, Held.as_nginx], ids=["as RFC 9440 has it", "as nginx escapes it"])
def test_a_certificate_names_its_account_until_it_expires(certificates, write):
    named = certificates.named_by(write(MARTIN), peer=PROXY, now=NOW)
    assert named[:3] == ("m.martin", "Udaf", None)
    assert named.expires_at == MARTIN.certificate.not_valid_after_utc.timestamp()
    assert because(certificates, write(MARTIN), now=NOW + timedelta(days=31)) == UNSIGNED


def test_what_is_remembered_ends_with_its_dates_and_stays_with_its_proxy(certificates):
    brief = SIGNER.named("m.martin", days=(-1, 1))
    end = brief.certificate.not_valid_after_utc
    assert (
        certificates.named_by(brief.as_rfc9440(), peer=PROXY, now=end - timedelta(seconds=1)).identifier == "m.martin"
    )
    assert because(certificates, brief.as_rfc9440(), now=end) == "a certificate outside its dates"
    assert because(certificates, brief.as_rfc9440(), peer="127.0.0.1", now=end - timedelta(seconds=1)) == UNSIGNED


REFUSED: dict[str, tuple[str, Callable[[], str]]] = {
    "another authority of the same name": (UNSIGNED, lambda: OTHER.named("m.martin").as_rfc9440()),
    "an authority beneath the one that is named": (UNSIGNED, lambda: BELOW.named("m.martin").as_rfc9440()),
    "the authority's own": (UNSIGNED, lambda: f":{Held(SIGNER.certificate, SIGNER.key).as_rfc9440().strip(':')}:"),
    "one that may sign others": (UNSIGNED, lambda: SIGNER.named("m.martin", is_signer=True).as_rfc9440()),
    "a server's": (UNSIGNED, lambda: SIGNER.named("m.martin", uses=(ExtendedKeyUsageOID.SERVER_AUTH,)).as_rfc9440()),
    "one for no use that is said": (UNSIGNED, lambda: SIGNER.named("m.martin", uses=()).as_rfc9440()),
    "one of yesterday": (UNSIGNED, lambda: SIGNER.named("m.martin", days=(-3, -1)).as_rfc9440()),
    "one of tomorrow": (UNSIGNED, lambda: SIGNER.named("m.martin", days=(1, 3)).as_rfc9440()),
    "a key that can be broken": (UNSIGNED, lambda: SIGNER.named("m.martin", key=rsa.generate_private_key(65537, 1024)).as_rfc9440()),
    "a condition that nobody knows": (UNSIGNED, lambda: SIGNER.named("m.martin", critical=x509.ObjectIdentifier("1.2.3.4")).as_rfc9440()),
    "a broken signature": (UNSIGNED, lambda: broken(MARTIN)),
    "no account": ("a certificate that names no account", lambda: SIGNER.signed((NameOID.SERIAL_NUMBER, "42")).as_rfc9440()),
    "two accounts": ("a certificate that names no account", lambda: SIGNER.signed((NameOID.COMMON_NAME, "m.martin"), (NameOID.COMMON_NAME, "t1")).as_rfc9440()),
    "an account that cannot be": ("a certificate that names no account", lambda: SIGNER.named("m martin\n").as_rfc9440()),
    "nothing": (NOT_UNDERSTOOD, lambda: "::"),
    "two, joined as repeated headers are": (NOT_UNDERSTOOD, lambda: f"{MARTIN.as_rfc9440()}, {MARTIN.as_rfc9440()}"),
    "two in PEM": (NOT_UNDERSTOOD, lambda: MARTIN.as_nginx() * 2),
    "DER with a tail": (NOT_UNDERSTOOD, lambda: Held.as_rfc9440(MARTIN)[:-1] + "AAAA:"),
    "base64 with a blank": (NOT_UNDERSTOOD, lambda: MARTIN.as_rfc9440().replace("A", " A", 1)),
    "a parameter behind it": (NOT_UNDERSTOOD, lambda: MARTIN.as_rfc9440() + ";a=1"),
    "a version that is none": (NOT_UNDERSTOOD, lambda: of_version(0x34)),
    "more than a certificate has": (NOT_UNDERSTOOD, lambda: ":" + "A" * LARGEST + ":"),
    "a subject in words": (NOT_UNDERSTOOD, lambda: "CN=m.martin"),
}  # fmt: skip


def of_version(number: int) -> str:
    der = base64.b64decode(MARTIN.as_rfc9440().strip(":"))
    changed = der.replace(b"\xa0\x03\x02\x01\x02", bytes([0xA0, 3, 2, 1, number]), 1)
    assert changed != der
    return f":{base64.b64encode(changed).decode('ascii')}:"


def broken(held: Held) -> str:
    """The same with another letter in its signature."""
    written = held.as_rfc9440()
    at = len(written) - 20
    return written[:at] + ("B" if written[at] == "A" else "A") + written[at + 1 :]


@pytest.mark.parametrize(("why", "write"), REFUSED.values(), ids=REFUSED)
def test_anything_else_names_nobody(certificates, why, write):
    assert because(certificates, write()) == why


def test_a_certificate_counts_from_its_own_proxies_alone(tmp_path):
    (tmp_path / "igc.pem").write_bytes(SIGNER.pem())
    (tmp_path / "other.pem").write_bytes(OTHER.pem())
    file = tmp_path / "issuers.toml"
    file.write_text(
        authority_entry("igc", "Udaf") + authority_entry("other", "Département", proxies="127.0.1.0/24"), "utf-8"
    )
    certificates = Certificates(load_vouchers(file).authorities)
    other = OTHER.named("m.martin").as_rfc9440()
    assert certificates.named_by(other, peer="127.0.1.7", now=NOW).partner == "Département"
    assert because(certificates, other) == UNSIGNED
    assert because(certificates, MARTIN.as_rfc9440(), peer="::ffff:127.0.1.7") == UNSIGNED
    taken = [peer for peer in (PROXY, f"::ffff:{PROXY}", "127.0.1.7", "127.0.0.1", "", "x") if certificates.are_taken_from(peer)]  # fmt: skip
    assert taken == [PROXY, f"::ffff:{PROXY}", "127.0.1.7"]


def test_the_subject_says_account_partner_and_profile_by_tables(tmp_path):
    lines = (
        'account_claim = "serialNumber"\nprofile_claim = "organizationalUnitName"',
        '[authority.accounts]\n"2-1-c3a9" = "m.martin"\n[authority.profiles]\n"AGENT-INSTRUCTEUR" = "T4"',
    )
    certificates = believing(tmp_path, *lines)
    said = [(NameOID.COMMON_NAME, "Marie Martin"), (NameOID.SERIAL_NUMBER, "2-1-c3a9")]
    unit = (NameOID.ORGANIZATIONAL_UNIT_NAME, "AGENT-INSTRUCTEUR")
    named = certificates.named_by(SIGNER.signed(*said, unit).as_rfc9440(), peer=PROXY, now=NOW)
    assert named[:3] == ("m.martin", "Udaf", "T4")
    for units in ((), (unit, unit), ((NameOID.ORGANIZATIONAL_UNIT_NAME, "T4"),)):
        held = SIGNER.signed(*said, *units)
        assert because(certificates, held.as_rfc9440()) == "a certificate that does not name one profile that is known"
    stranger = SIGNER.signed((NameOID.SERIAL_NUMBER, "m.martin"), unit)
    assert because(certificates, stranger.as_rfc9440()) == "a certificate that does not name one account that is known"


def test_a_mail_address_can_name_the_account(tmp_path):
    certificates = believing(tmp_path, 'account_claim = "mail"\n[authority.accounts]\n"m@udaf.example" = "m.martin"')
    assert named(certificates, SIGNER.named("x", mails=("m@udaf.example",))).identifier == "m.martin"
    assert because(certificates, SIGNER.named("x", mails=("m@udaf.example", "c@d.example")).as_rfc9440())


def named(certificates: Certificates, held: Held) -> Named:
    return certificates.named_by(held.as_rfc9440(), peer=PROXY, now=NOW)


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(max_size=300),
        st.binary(max_size=300).map(lambda raw: f":{raw.hex()}:"),
        st.tuples(st.integers(0, 10_000), st.characters(max_codepoint=255)).map(lambda change: changed(*change)),
    )
)
def test_no_header_whatever_makes_a_fault_or_names_somebody(lasting, written):
    try:
        named = lasting.named_by(written, peer=PROXY, now=NOW)
    except CertificateRefused:
        return
    # PEM, its escapes and the count of a signature's bits have more than one spelling: what was signed is the same.
    assert named.identifier == "m.martin"
    assert read_certificate(written).tbs_certificate_bytes == MARTIN.certificate.tbs_certificate_bytes


def changed(at: int, letter: str) -> str:
    """The good certificate with one character of another kind, in one of its two forms."""
    good = MARTIN.as_rfc9440() if hashlib.sha256(f"{at}{letter}".encode()).digest()[0] % 2 else MARTIN.as_nginx()
    at %= len(good)
    return good[:at] + letter + good[at + 1 :]
