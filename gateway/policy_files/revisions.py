"""Policies as git keeps them, read object by object: nothing is checked out or fetched, no hook or filter is run."""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import Misconfigured
from gateway.policy.grammar import LARGEST_FILE
from gateway.policy.lint import FILES
from gateway.policy_files.folder import ROUTES, decoded

SECONDS: Final = 20
"""For one question to git."""
_QUIET: Final = (
    # Neither replaced objects nor a promise of objects elsewhere: what the repository holds, or nothing.
    *("--no-replace-objects", "--no-optional-locks", "--literal-pathspecs", "--no-pager"),
    *("-c", "protocol.allow=never", "-c", "core.fsmonitor=false"),
)
_LINK: Final = "120000"


class Entry(NamedTuple):
    """One line of a tree."""

    mode: str
    kind: str
    object: str
    size: int


class Revision(NamedTuple):
    """A commit of the repository that `folder` is in, and a place in it, from the top of the repository: a folder of
    policies, or one `file` of it."""

    folder: Path
    written: str
    commit: str
    path: str
    file: str

    def text(self) -> str:
        """The text of the one file. Raises `Misconfigured` where it cannot be read."""
        try:
            return self._text(self._tree()[self.file])
        except ValueError as error:
            raise Misconfigured([f"{self.written}: {error}"]) from None

    def texts(self) -> dict[str, str]:
        """As `folder.read`: the files that decide, by name; where this is one file, those of its folder.

        Raises `Misconfigured` with everything that cannot be read.
        """
        tree = self._tree()
        texts = {name: "" for name in sorted(tree) if name.endswith(".polar")}
        problems = []
        for name in (*FILES, ROUTES):
            try:
                texts[name] = self._text(tree[name])
            except KeyError:
                problems.append(f"{self.written}: {name}: the file is missing. Without it nothing can be decided.")
            except ValueError as error:
                problems.append(f"{self.written}: {name}: {error}")
        if problems:
            raise Misconfigured(problems)
        return texts

    def _tree(self) -> Mapping[str, Entry]:
        path = self.path.removesuffix(self.file).rstrip("/")
        listed = _git(
            self.folder,
            "ls-tree",
            "--full-tree",
            "-z",
            "-l",
            f"{self.commit}:{path}",
            unless=_missing(self.written, path),
        )
        entries = {}
        for line in filter(None, listed.decode(errors="surrogateescape").split("\0")):
            about, _, name = line.partition("\t")
            mode, kind, found, size = about.split()
            entries[name] = Entry(mode, kind, found, int(size) if size.isdigit() else 0)
        return entries

    def _text(self, entry: Entry) -> str:
        if entry.kind != "blob" or entry.mode == _LINK:
            raise ValueError("this is not a file.")
        if entry.size > LARGEST_FILE:
            raise ValueError(f"the file is larger than {LARGEST_FILE} bytes.")
        return decoded(_git(self.folder, "cat-file", "blob", entry.object, unless="a file is not in the repository"))


def revision(folder: Path, written: str) -> Revision:
    """`REV` (of `folder` itself) or `REV:path`, as git writes them, in the repository that `folder` is in.

    Raises `Misconfigured` with one sentence where there is no repository or no such revision in it.
    """
    name, colon, path = written.partition(":")
    if not name or name.startswith("-"):
        raise Misconfigured([f"{written}: this is neither a file, a folder nor a revision of git."])
    if not folder.is_dir():
        raise Misconfigured([f"{folder}: there is no such folder, so nobody knows whose revision {written} is."])
    unless = f"{written}: this is neither a file nor a folder, and {folder} is in no git repository"
    prefix = _git(folder, "rev-parse", "--show-prefix", unless=unless)
    unless = f"{written}: this is neither a file, a folder nor a revision of the repository that {folder} is in"
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", unless=unless)
    top = prefix.decode(errors="surrogateescape").removesuffix("\n")
    if path.startswith(("./", "../")):
        path = posixpath.normpath(posixpath.join(top, path)).removesuffix(".")
    place = (path if colon else top).strip("/")
    return _placed(Revision(folder, written, commit.decode("ascii").strip(), place, ""))


def _placed(found: Revision) -> Revision:
    """The same, with its file where it is one."""
    at, unless = f"{found.commit}:{found.path}", _missing(found.written, found.path)
    is_file = _git(found.folder, "cat-file", "-t", at, unless=unless).strip() != b"tree"
    return found._replace(file=found.path.rpartition("/")[2] if is_file else "")


def _missing(written: str, path: str) -> str:
    return f"{written}: there is no `{path}` in it"


def _git(folder: Path, *words: str, unless: str) -> bytes:
    """What git says. `unless` is the sentence about its failure; what git itself says of it follows."""
    # A hook's own variables would point elsewhere than to the folder's repository.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - no shell; each word is ours, an object's name, or after --end-of-options
            ["git", *_QUIET, "-C", str(folder), *words],  # noqa: S607 - the git of whoever asks
            env={**plain, "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise Misconfigured(["git is not installed: compare two folders instead."]) from None
    except subprocess.TimeoutExpired:
        raise Misconfigured([f"git did not answer within {SECONDS} seconds."]) from None
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise Misconfigured([f"{unless} (git: {said[:300]})." if said else f"{unless}."])
    return done.stdout
