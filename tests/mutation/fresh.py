"""The second pass: what lived is written into the source of a copy, and tried by a process that starts with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.results import KILLED, Result, Results
from tests.mutation.sources import Mutant, mutants

PROCESSES = ("tests/policy/test_policy_child.py",)
"""Tests that start processes of their own: what these reach is not measured."""
LONGEST = 1800.0


class Chosen:
    """A plugin of pytest: only these tests, in this order."""

    def __init__(self, tests: Iterable[str]) -> None:
        self.places = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [item for item in items if item.nodeid in self.places or item.nodeid.startswith(PROCESSES)]
        items[:] = sorted(kept, key=lambda item: self.places.get(item.nodeid, len(self.places)))


def again(tree: Path, files: Iterable[str], reach: Path, results: Results) -> None:
    """Tries each mutant of these files that lives, and was not yet tried so, in the copy of the project at `tree`."""
    tests = json.loads(reach.read_text("utf-8"))["tests"]
    for file in files:
        whole = (tree / file).read_text("utf-8")
        for mutant in mutants(file):
            known = results.of(mutant)
            if known is None or known.result in KILLED or known.how == "fresh":
                continue
            try:
                (tree / file).write_text(mutant.source, "utf-8")
                noticed = _ended(tree, _reaching(mutant, tests))
            finally:
                (tree / file).write_text(whole, "utf-8")
            print(f"{noticed:9} {mutant.short}, line {mutant.line}, in a process of its own", flush=True)
            results.add(Result(mutant.name, mutant.digest, mutant.line, noticed, "", known.tried, 0, "fresh"))


def _reaching(mutant: Mutant, tests: dict[str, Any]) -> list[str]:
    function = f"{mutant.file}:{mutant.function}:"
    found = [name for name, test in tests.items() if any(block.startswith(function) for block in test["reached"])]
    return sorted(found, key=lambda name: float(tests[name]["seconds"]))


def _ended(tree: Path, tests: list[str]) -> str:
    # A compiled file is told from its source by size and second: two mutants may share both. And plugins that these
    # tests do not use take longer to load than most mutants to be killed.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.mutation.fresh"],
            cwd=tree,
            env=environment,
            input=json.dumps(tests),
            text=True,
            capture_output=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "no end"
    return "survived" if ended.returncode == 0 else "killed"


def main() -> None:
    tests = json.load(sys.stdin)
    asked = sorted({test.partition("::")[0] for test in tests} | set(PROCESSES))
    sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *asked], plugins=[Chosen(tests)]))


if __name__ == "__main__":
    main()
