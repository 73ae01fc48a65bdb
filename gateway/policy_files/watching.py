"""Looking at a folder of policies again and again: by content, and only believed when two looks agree.

So it does not matter how a folder is changed: a link that is swapped, a file that is renamed over another, an editor
that writes in place. What is half written is seen twice alike only where whoever writes it pauses; then it is checked
like everything else.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gateway.errors import Misconfigured
from gateway.policy.loading import fingerprint
from gateway.policy_files.approval_text import KEY_SUFFIX, LARGEST
from gateway.policy_files.approved import APPROVED
from gateway.policy_files.folder import read

Reason = Literal["unreadable", "refused", "unapproved", "unchecked", "unswapped"]
"""Why a folder does not come into force: its files cannot be read; they are wrong; they open what is not approved; the
check of them ended without a result; a worker could not take them."""
REASONS: Final[tuple[Reason, ...]] = ("unreadable", "refused", "unapproved", "unchecked", "unswapped")


@dataclass(frozen=True, slots=True)
class Look:
    """What a folder held at one moment: the texts that decide, or the sentences why they cannot be read."""

    texts: Mapping[str, str] | None
    problems: tuple[str, ...]
    fingerprint: str
    """Of the texts; empty where there are none."""
    mark: str
    """Of all that was looked at, the approval and the keys included: two looks with the same mark saw the same."""


def look(folder: Path, keys: Path | None = None) -> Look:
    """The folder as it is now, and the `keys` of those who may approve it: an approval counts as long as they do. Never
    raises for what is in it."""
    texts: Mapping[str, str] | None = None
    problems: tuple[str, ...] = ()
    try:
        texts = read(folder)
    except Misconfigured as unreadable:
        problems = tuple(unreadable.problems)
    named = fingerprint(texts) if texts is not None else ""
    parts = (named, *problems, seen(folder / APPROVED), *_seen_keys(keys))
    mark = hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()
    return Look(texts, problems, named, mark)


def _seen_keys(folder: Path | None) -> list[str]:
    if folder is None:
        return []
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == KEY_SUFFIX)
    except OSError as error:
        return [type(error).__name__]
    return [part for file in files for part in (file.name, seen(file))]


def seen(file: Path) -> str:
    """What stands for a file; whether it is any good is not asked here."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return "not a file"  # a pipe would be waited for
        with file.open("rb") as opened:
            return hashlib.sha256(opened.read(LARGEST)).hexdigest()
    except OSError as error:
        return type(error).__name__


class Watch:
    """Tells of each new state of a folder once, when two looks in a row have seen it."""

    def __init__(self, folder: Path, keys: Path | None = None, *, known: str = "") -> None:
        """With the `keys` of those who may approve. `known` is the mark of the state that need not be told."""
        self._folder, self._keys = folder, keys
        self._last = self._told = known

    def again(self) -> Look | None:
        """Look once more: the state of the folder where it is new and as it was at the look before, else None."""
        found = self.now()
        settled = found.mark == self._last
        self._last = found.mark
        if not settled or found.mark == self._told:
            return None
        self._told = found.mark
        return found

    def now(self) -> Look:
        """The folder as it is now, told or not."""
        return look(self._folder, self._keys)

    def tell_again(self) -> None:
        """The state that was told last is told once more, when two looks have seen it."""
        self._told = self._last = ""
