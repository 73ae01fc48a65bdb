"""An approval as the file `approved.json` holds it. Read as what anyone may have written there."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from gateway.errors import Misconfigured
from gateway.policy.approval import Condition, openings_of
from gateway.policy.enumeration import Openings
from gateway.policy.lint import FILES, named_rubrics
from gateway.policy.loading import fingerprint
from gateway.policy_files.folder import ROUTES
from gateway.redaction.routes import compile_routes
from gateway.redaction.table import RouteTable
from gateway.structs import prepared

VERSION: Final = 1
LARGEST: Final = 4 * 1024 * 1024
WIDTH: Final = 120
LONGEST_TEXT: Final = 500
"""Characters of a name or a reason."""
MOST_NUMBER: Final = 9_999
MOST_SIGNATURES: Final = 16
NAME: Final = re.compile(r"[a-z][a-z0-9._-]{0,63}", re.ASCII)
"""Of whoever signs: two names that look alike are the same name."""
KEY_SUFFIX: Final = ".pem"
"""Of the file with the key of that name."""
_INSTANT: Final = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]+", re.ASCII)
_SIGNATURE_DIGITS: Final = 128


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """Ed25519, over `Approval.content`. `by` names the key; `signature` has 128 hexadecimal digits."""

    by: str
    signature: str


class Approval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be in force, and who said so, when and why.

    `number` counts the approvals of a folder from 1, `replaces` is the number of the one that was in force before (0:
    none). `reasons` has one for each opening beyond that one. `texts` are the lines of the files that were approved,
    `fingerprint` their name, `matrix` what they open.
    """

    version: int = VERSION
    number: int
    replaces: int
    fingerprint: str
    at: str
    by: str
    because: str
    reasons: dict[str, str]
    matrix: tuple[Condition, ...]
    texts: dict[str, tuple[str, ...]]
    digest: str = ""
    signatures: tuple[Signature, ...] = ()

    def content(self) -> bytes:
        """What is signed: everything but the digest and the signatures, in one spelling."""
        return b"cafpro policy approval\n" + msgspec.json.encode(structs.replace(self, digest="", signatures=()))

    def sealed(self) -> Approval:
        """With the digest of its content, and no signature."""
        return structs.replace(self, digest=_digest(self), signatures=())

    def openings(self) -> Openings:
        """What is approved, cell by cell."""
        return openings_of(self.matrix)

    def files(self) -> dict[str, str]:
        """The texts that were approved, by name."""
        return {name: "\n".join(lines) for name, lines in self.texts.items()}

    def routes(self) -> RouteTable:
        """The route table that was approved. Raises `Misconfigured` where this gateway no longer understands it."""
        texts = self.files()
        return compile_routes(texts[ROUTES], named_rubrics(texts), file="approved routes.toml")

    def __str__(self) -> str:
        """In a few words."""
        return f"approval {self.number} ({self.fingerprint[:12]}, by {self.by}, {self.at})"


def lines_of(texts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The texts that decide, as an approval holds them."""
    return {name: tuple(texts[name].split("\n")) for name in (*FILES, ROUTES)}


def written(approval: Approval) -> bytes:
    """The file that holds it: UTF-8, laid out for people to read and for git to compare."""
    return (_laid_out(msgspec.to_builtins(approval), "") + "\n").encode()


def _laid_out(value: Any, margin: str) -> str:
    """As JSON, on one line where that is short."""
    short = json.dumps(value, ensure_ascii=False)
    if len(margin) + len(short) <= WIDTH or not isinstance(value, dict | list | tuple):
        return short
    inner = margin + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {_laid_out(part, inner)}" for key, part in value.items()]
    else:
        parts = [_laid_out(part, inner) for part in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{margin}{closing}"


def understood(data: bytes) -> Approval:
    """The approval that `data` holds. Raises `ValueError` with the end of a sentence about the file.

    Only what `written` wrote is understood, byte for byte: no unknown, missing or repeated key, no other type, nothing
    that was changed by hand. Whether the signatures are good is not asked here.
    """
    if len(data) > LARGEST:
        raise ValueError(f"is larger than {LARGEST} bytes")
    try:
        approval = msgspec.json.decode(data, type=prepared(Approval))
    except msgspec.ValidationError as error:
        raise ValueError(f"is not an approval ({str(error)[:200]})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("is not JSON") from None
    for problem in _problems(approval):
        raise ValueError(problem)
    if written(approval) != data:
        raise ValueError("was changed by hand: it is not spelt as `cafpro policy approve` writes it")
    return approval


def _problems(approval: Approval) -> Sequence[str]:
    if approval.version != VERSION:
        return [f"has the version {approval.version}; this gateway knows {VERSION}"]
    if not 1 <= approval.number <= MOST_NUMBER or not 0 <= approval.replaces < approval.number:
        return ["has numbers that no approval has"]
    if not _INSTANT.fullmatch(approval.at):
        return ["has an instant that is none, such as 2026-01-31T09:00:00Z"]
    said = (approval.by, approval.because or "-", *approval.reasons, *approval.reasons.values())
    if not all(map(is_plain, said)):
        return [f"has a name or a reason that is empty, invisible or longer than {LONGEST_TEXT} characters"]
    if set(approval.texts) != {*FILES, ROUTES}:
        return [f"must hold the texts of {', '.join((*FILES, ROUTES))}, and no other"]
    if approval.fingerprint != fingerprint(approval.files()):
        return ["names other texts than it holds: it was changed by hand"]
    if approval.digest != _digest(approval):
        return ["was changed by hand: its digest is that of another content"]
    return _bad_signatures(approval.signatures) or _bad_matrix(approval)


def _bad_signatures(signatures: Sequence[Signature]) -> Sequence[str]:
    names = [one.by for one in signatures]
    if len(names) > MOST_SIGNATURES or len(set(names)) < len(names):
        return ["has too many signatures, or two of one name"]
    if not all(
        NAME.fullmatch(one.by) and len(one.signature) == _SIGNATURE_DIGITS and _HEXADECIMAL.fullmatch(one.signature)
        for one in signatures
    ):
        return ["has a signature that is none"]
    return []


def _bad_matrix(approval: Approval) -> Sequence[str]:
    try:
        approval.openings()
    except ValueError as error:
        return [f"{error}"]
    return []


def is_plain(text: str) -> bool:
    """Whether a name or a reason is what it looks like: not empty, one line, no invisible or reordering character."""
    return (
        0 < len(text) <= LONGEST_TEXT
        and text == text.strip()
        and unicodedata.is_normalized("NFC", text)
        and not any(unicodedata.category(letter)[0] == "C" or letter in "\u2028\u2029" for letter in text)
    )


def _digest(approval: Approval) -> str:
    return hashlib.sha256(approval.content()).hexdigest()


def readable(approval: Approval) -> None:
    """Raises `Misconfigured` where `written` is not what `understood` reads back: it would be refused at the start."""
    try:
        understood(written(approval))
    except ValueError as error:
        raise Misconfigured([f"approved.json: what would be written {error}."]) from None
