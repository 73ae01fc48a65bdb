"""Which tests reach which part of which function, measured once: what no test reaches, no test can notice.

A word is put at the head of every block of the functions that may be mutated, in the memory of the process that runs
the tests. Fixtures count for each test that has them.
"""

from __future__ import annotations

import ast
import builtins
import functools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.sources import ROOT, TESTS, blocks, dotted, files, functions_of, put

Reach = dict[str, Any]
"""A test → its seconds of the processor, and the blocks it reaches: `gateway/policy/lint.py:read_folder:2`."""


class Measuring:
    """A plugin of pytest: runs the tests as always, and writes down what each reached."""

    def __init__(self, to: Path) -> None:
        self.to = to
        self.fixtures: dict[str, set[str]] = {}
        self.seconds: dict[str, float] = {}
        """Of each fixture."""
        self.tests: Reach = {}
        self.reached: list[set[str]] = [set()]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        keep_fixtures(session)
        builtins.__reached__ = lambda block: self.reached[-1].add(block)  # type: ignore[attr-defined]
        for file in files([]):
            if dotted(file) in sys.modules:
                _watch(file)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        self.reached.append(set())
        started = time.process_time()
        try:
            return (yield)
        finally:
            reached = self.reached.pop()
            self.seconds[fixture_name(fixturedef)] = round(time.process_time() - started, 3)
            self.fixtures.setdefault(fixture_name(fixturedef), set()).update(reached)
            self.reached[-1] |= reached

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        forget()
        self.reached = [set()]
        started = time.process_time()
        try:
            return (yield)
        finally:
            seconds = time.process_time() - started
            reached = set(self.reached[0])
            for fixture in fixtures_of(item):
                reached |= self.fixtures.get(fixture_name(fixture), set())
            self.tests[item.nodeid] = {"seconds": round(seconds, 3), "reached": sorted(reached)}

    def pytest_sessionfinish(self) -> None:
        fixtures = {name: sorted(reached) for name, reached in self.fixtures.items()}
        functions = {
            f"{file}:{name}": ast.dump(function)
            for file in files([])
            for name, function in functions_of(ast.parse((ROOT / file).read_text("utf-8"))).items()
        }
        measured = {"tests": self.tests, "fixtures": fixtures, "seconds": self.seconds, "functions": functions}
        self.to.write_text(json.dumps(measured), "utf-8")


def keep_fixtures(session: pytest.Session) -> None:
    """What is made once for a module is kept for all: forks of this process then find it made."""
    for item in session.items:
        for fixture in fixtures_of(item):
            if fixture.scope in ("class", "module", "package"):
                fixture._scope = type(fixture._scope).Session


def fixtures_of(item: pytest.Item) -> list[Any]:
    info = getattr(item, "_fixtureinfo", None)
    return [each for all_of_name in info.name2fixturedefs.values() for each in all_of_name] if info else []


def fixture_name(fixture: Any) -> str:
    return f"{fixture.baseid}::{fixture.argname}"


def forget() -> None:
    """Empties what functions of the gateway remember: else only the first test to ask would reach them."""
    for name, module in list(sys.modules.items()):
        if name.startswith("gateway."):
            for each in list(vars(module).values()):
                if isinstance(each, functools._lru_cache_wrapper):
                    each.cache_clear()
    if "gateway.policy.engine" in sys.modules:
        sys.modules["gateway.policy.engine"]._decisions.clear()


def _watch(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    functions = functions_of(tree)
    for name, function in functions.items():
        for number, block in enumerate(blocks(function)):
            word = ast.parse(f"__reached__({f'{file}:{name}:{number}'!r})").body[0]
            block.insert(0, ast.copy_location(word, block[0]))
    put(file, compile(ast.fix_missing_locations(tree), file, "exec"), functions)


def main() -> None:
    plugin = Measuring(Path(sys.argv[1]))
    sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *(sys.argv[2:] or TESTS)], plugins=[plugin]))


if __name__ == "__main__":
    main()
