"""Who signed an approval: Ed25519 keys in PEM, one file for each person."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from msgspec import structs

from gateway.errors import Misconfigured
from gateway.policy_files.approval_text import KEY_SUFFIX, MOST_SIGNATURES, NAME, Approval, Signature
from gateway.policy_files.folder import why

LARGEST_KEY: Final = 4_096
"""Bytes of a file."""


def public_keys(folder: Path) -> dict[str, Ed25519PublicKey]:
    """Who may approve: the name of each `NAME.pem` in the folder, and its key.

    Raises `Misconfigured` with a sentence for each file that is none, and for a key that two names have.
    """
    problems: list[str] = []
    keys: dict[str, Ed25519PublicKey] = {}
    owners: dict[bytes, str] = {}
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise Misconfigured([f"{folder}: {why(error)}"]) from None
    for file in files:
        if file.suffix != KEY_SUFFIX:
            continue
        if not NAME.fullmatch(file.stem):
            problems.append(
                f"{folder}: a key is named NAME{KEY_SUFFIX}: small letters without accents, digits, . _ - only."
            )
            continue
        try:
            key = load_pem_public_key(_content(file))
            if not isinstance(key, Ed25519PublicKey):
                raise ValueError("not Ed25519")
        except OSError as error:
            problems.append(f"{file}: {why(error)}")
        except (ValueError, UnsupportedAlgorithm):
            problems.append(f"{file}: is not a public key as `cafpro policy key` makes it.")
        else:
            owner = owners.setdefault(key.public_bytes_raw(), file.stem)
            if owner != file.stem:
                problems.append(f"{file}: is the key of {owner} too. Each person has a key of their own.")
            keys[file.stem] = key
    if problems:
        raise Misconfigured(problems)
    return keys


def private_key(file: Path) -> Ed25519PrivateKey:
    """The key in this file. Raises `Misconfigured` where it is none, or where others than its owner may read it."""
    try:
        if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise Misconfigured([f"{file}: may be read by others than its owner. Write: chmod 600 {file}"])
        key = load_pem_private_key(_content(file), password=None)
    except OSError as error:
        raise Misconfigured([f"{file}: {why(error)}"]) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured([f"{file}: is not a private key as `cafpro policy key` makes it."])
    return key


def make_pair(private: Path, public: Path) -> None:
    """A new key in two files: `private`, which only its owner may read, and `public`. Raises `OSError`, and
    `FileExistsError` where either is there already: nothing is ever overwritten."""
    key = Ed25519PrivateKey.generate()
    for file in (private, public):
        if file.exists() or file.is_symlink():
            raise FileExistsError(f"{file}")
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    open_one = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for file, content, mode in ((private, secret, 0o600), (public, open_one, 0o644)):
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
            opened.write(content)


def name_of(key: Ed25519PrivateKey, keys: Mapping[str, Ed25519PublicKey]) -> str | None:
    """Whose key this is among those who may approve."""
    raw = key.public_key().public_bytes_raw()
    return next((name for name, other in keys.items() if other.public_bytes_raw() == raw), None)


def signed(approval: Approval, name: str, key: Ed25519PrivateKey) -> Approval:
    """With the signature of `name` in the place of any other by that name. Raises `Misconfigured` where there are too
    many."""
    others = [one for one in approval.signatures if one.by != name]
    if len(others) >= MOST_SIGNATURES:
        raise Misconfigured([f"An approval has at most {MOST_SIGNATURES} signatures."])
    signature = Signature(name, key.sign(approval.content()).hex())
    return structs.replace(approval, signatures=(*others, signature))


def signers(approval: Approval, keys: Mapping[str, Ed25519PublicKey]) -> list[str]:
    """Those who may approve and have signed it; others who signed do not count.

    Raises `ValueError` with the end of a sentence where a signature in one of these names is not of their key: the
    approval was changed since.
    """
    found = []
    for one in approval.signatures:
        key = keys.get(one.by)
        if key is None:
            continue
        try:
            key.verify(bytes.fromhex(one.signature), approval.content())
        except InvalidSignature:
            raise ValueError(f"is not what {one.by} signed, or not with the key of that name") from None
        found.append(one.by)
    return found


def _content(file: Path) -> bytes:
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise ValueError("not a file")
        return opened.read(LARGEST_KEY)
