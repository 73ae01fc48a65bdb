"""The policies that a word on the command line means: a folder, a file, or a revision of git."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gateway.errors import Misconfigured
from gateway.policy.lint import FILES
from gateway.policy_files.folder import ROUTES, read, text_of, why
from gateway.policy_files.revisions import revision

Texts = Mapping[str, str]


class Given(NamedTuple):
    """What one word means. `file` is the name of the one file that it names, or nothing."""

    file: str
    text: Callable[[], str]
    texts: Callable[[], Texts]
    """Of the folder; of the file's own folder where it names one file."""


def both_given(old: str, new: str, folder: Path) -> tuple[Texts, Texts]:
    """The texts that these two words mean, file name → text. Revisions are those of `folder`.

    A single file is read in the place of its namesake in the other's folder; two files, each in its own folder.
    Raises `Misconfigured` with everything that cannot be read.
    """
    one, other = _given(old, folder), _given(new, folder)
    if one.file and not other.file:
        texts = other.texts()
        return {**texts, one.file: one.text()}, texts
    if other.file and not one.file:
        texts = one.texts()
        return texts, {**texts, other.file: other.text()}
    return one.texts(), other.texts()


def beside(old: str, new: str) -> Path | None:
    """The folder that one of these words is, or that its file is in: where the other is a revision, it is its own."""
    return next((_folder(Path(word)) for word in (new, old) if os.path.exists(word)), None)


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _given(word: str, folder: Path) -> Given:
    path = Path(word)
    if os.path.exists(word):
        file = "" if path.is_dir() else path.name
        given = Given(file, lambda: _text(path), lambda: read(_folder(path)))
    else:
        found = revision(folder, word)
        given = Given(found.file, found.text, found.texts)
    if given.file and given.file not in (*FILES, ROUTES):
        raise Misconfigured([f"{word}: `{given.file}` is none of {', '.join((*FILES, ROUTES))}."])
    return given


def _text(path: Path) -> str:
    try:
        return text_of(path)
    except (OSError, ValueError) as error:
        raise Misconfigured([f"{path}: {why(error)}"]) from None
