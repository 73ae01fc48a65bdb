"""Read a policies folder and load it whole: the Polar files and the route table, under one fingerprint."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gateway
from gateway.errors import Misconfigured
from gateway.policy.engine import Policy
from gateway.policy.grammar import LARGEST_FILE
from gateway.policy.lint import FILES, named_rubrics
from gateway.policy.loading import fingerprint, load
from gateway.policy.tokens import Problem
from gateway.redaction.routes import compile_routes
from gateway.redaction.table import RouteTable

ROUTES: Final = "routes.toml"

_proven: Final[set[str]] = set()
"""Fingerprints of texts that this process, or the one it was forked from, has loaded: the canaries answer the same."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What decides and redacts. Replaced whole, by one reference."""

    policy: Policy
    routes: RouteTable

    @property
    def fingerprint(self) -> str:
        """Names exactly the files that were loaded."""
        return self.policy.fingerprint


class Current:
    """What decides now. A reload replaces it by one reference: whoever asks takes it once, for a whole request."""

    __slots__ = ("in_force",)

    def __init__(self, in_force: InForce) -> None:
        self.in_force = in_force


def shipped() -> Path:
    """The policies that travel with the package; in a checkout, the checkout's."""
    package = Path(gateway.__file__).resolve().parent
    installed = package / "default_policies"
    return installed if installed.is_dir() else package.parent / "policies"


def read(folder: Path) -> dict[str, str]:
    """The texts of the files that decide, by name. Raises `Misconfigured` with everything that cannot be read.

    A Polar file that is none of them comes without its text.
    """
    texts, problems = readable(folder)
    if problems:
        raise Misconfigured(
            [f"{folder / problem.file if problem.file else folder}: {problem.said}" for problem in problems]
        )
    return texts


def readable(folder: Path) -> tuple[dict[str, str], list[Problem]]:
    """As `read`, the files that can be read; and why the others cannot, each with its name and place, the folder itself
    without."""
    problems: list[Problem] = []
    texts: dict[str, str] = {}
    try:
        if not folder.is_dir():
            return {}, [Problem("", 1, 1, "there is no such folder of policies.")]
        found = sorted(path.name for path in folder.iterdir() if path.suffix == ".polar")
    except OSError as error:
        return {}, [Problem("", 1, 1, why(error))]
    # Another Polar file is refused for its name: it need not be read, whatever its size.
    texts.update(dict.fromkeys(found, ""))
    for name in (*FILES, ROUTES):
        try:
            texts[name] = text_of(folder / name)
        except FileNotFoundError:
            problems.append(Problem(name, 1, 1, "the file is missing. Without it nothing can be decided."))
        except (OSError, ValueError) as error:
            line, column = (error.line, error.column) if isinstance(error, NotText) else (1, 1)
            problems.append(Problem(name, line, column, why(error)))
    for problem in problems:
        texts.pop(problem.file, None)
    return texts, problems


class NotText(ValueError):
    """The content of a file is not UTF-8 at this place, both counted from 1, the column in bytes."""

    def __init__(self, line: int, column: int) -> None:
        super().__init__(f"line {line} is not UTF-8; save the file as UTF-8.")
        self.line = line
        self.column = column


def load_texts(texts: Mapping[str, str], *, proven: bool = False) -> InForce:
    """The policies and the route table of these texts; `proven` as in `policy.loading.load`.

    Raises `Misconfigured` with everything that is wrong.
    """
    problems: list[str] = []
    policy = routes = None
    try:
        polar = {name: text for name, text in texts.items() if name != ROUTES}
        named = fingerprint(texts)
        policy = load(polar, named, proven=proven or named in _proven)
        _proven.add(named)
    except Misconfigured as found:
        problems += found.problems
    try:
        slugs = named_rubrics(texts)  # not of the policy: both files' mistakes are told together
        routes = compile_routes(texts[ROUTES], slugs) if slugs else None
    except Misconfigured as found:
        problems += found.problems
    if policy is None or routes is None:
        raise Misconfigured(problems)
    return InForce(policy, routes)


def load_folder(folder: Path) -> InForce:
    """`read` then `load_texts`."""
    return load_texts(read(folder))


def text_of(path: Path) -> str:
    """The text of one file. Raises `OSError`, or `ValueError` with a sentence, where it cannot be read."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("this is not a file.")  # a pipe would be waited for
    with path.open("rb") as file:
        return decoded(file.read(LARGEST_FILE + 1))


def decoded(content: bytes) -> str:
    """The text of a file that holds `content`. Raises `ValueError` with a sentence where it is none of ours."""
    if len(content) > LARGEST_FILE:
        raise ValueError(f"the file is larger than {LARGEST_FILE} bytes.")
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("the file begins with a byte-order mark; save it as UTF-8 without one.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NotText(line, error.start - content.rfind(b"\n", 0, error.start)) from None


def why(error: OSError | ValueError) -> str:
    """The end of a sentence: why a file could not be read."""
    return f"cannot be read ({error.strerror})." if isinstance(error, OSError) else str(error)
