"""The tests of a policies folder: `tests/*.toml`, read whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.policy.case_reading import Vocabulary, read_cases
from gateway.policy.cases import Case, Promise, Suite
from gateway.policy.engine import Policy
from gateway.policy.tokens import Problem
from gateway.policy_files.folder import text_of, why

TESTS: Final = "tests"


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests of a folder, the texts they were read from (file → text), and everything that is wrong with these."""

    suite: Suite
    texts: Mapping[str, str]
    problems: tuple[Problem, ...]


def read_tests(folder: Path, policy: Policy) -> Tests:
    """The tests of `folder`, in the words of `policy`. Reads; never runs anything."""
    vocabulary = Vocabulary(tuple(policy.profiles), tuple(row.slug for row in policy.rows))
    texts, problems = _texts(folder / TESTS)
    cases: list[Case] = []
    promises: list[Promise] = []
    for file, text in texts.items():
        suite, found = read_cases(file, text, vocabulary)
        cases += suite.cases
        promises += suite.promises
        problems += found
    return Tests(Suite(tuple(cases), tuple(promises)), texts, tuple(problems))


def _texts(tests: Path) -> tuple[dict[str, str], list[Problem]]:
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    try:
        paths = sorted(tests.iterdir())
    except OSError as error:
        said = "there is no such folder: what nobody wants of the policies cannot be tested."
        return {}, [Problem(TESTS, 1, 1, said if isinstance(error, FileNotFoundError) else why(error))]
    for path in paths:
        name = f"{TESTS}/{path.name}".encode(errors="backslashreplace").decode()
        fault = _misplaced(path)
        if not fault and path.suffix == ".toml":
            try:
                texts[name] = text_of(path)
            except (OSError, ValueError) as error:
                fault = why(error)
        if fault:
            problems.append(Problem(name, 1, 1, fault))
    if not texts and not problems:
        problems.append(Problem(TESTS, 1, 1, "the folder holds no tests: they are files that end in .toml."))
    return texts, problems


def _misplaced(path: Path) -> str:
    if path.suffix == ".polar":
        return "Polar's questions (`?=`) are never run: oso would execute them. Write a [[promise]] in a .toml file."
    if path.is_dir():
        return "folders are not looked into here: tests stand in files of tests/ itself."
    return ""
