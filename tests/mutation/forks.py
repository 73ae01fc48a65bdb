"""The first pass: each mutant in a fork of one process that has collected the tests and made their fixtures.

The mutant's code takes the place of the function's, and the tests that reach its place run, the quickest first, until
one fails. What stands in memory already is not mutated there: so whatever lives is tried again by `fresh`.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import call_and_report, runtestprotocol
from hypothesis import Phase, settings

from tests.mutation.reach import fixture_name, fixtures_of, forget, keep_fixtures
from tests.mutation.results import KILLED, Result, Results, counted
from tests.mutation.sources import ROOT, TESTS, Mutant, block_at, functions_of, mutants, put

SECONDS_OF_A_LOOP = 20
SECONDS_OF_A_FIXTURE = 2.0
FAULT = "outside a test:"


class Forking:
    """A plugin of pytest: instead of running the tests, it tries the mutants of `files` that have no result yet."""

    def __init__(self, files: Sequence[str], reach: Path, results: Results, *, again: bool, seconds: float) -> None:
        self.files, self.results, self.again, self.seconds = files, results, again, seconds
        measured = json.loads(reach.read_text("utf-8"))
        self.seconds_of = {test: float(found["seconds"]) for test, found in measured["tests"].items()}
        self.fixtures = {name: {_function(block) for block in found} for name, found in measured["fixtures"].items()}
        self.seconds_to_make: dict[str, float] = measured["seconds"]
        self.functions: dict[str, str] = measured["functions"]
        self.reaching: dict[str, set[str]] = {}
        """A block, or a function → the tests that reach it."""
        for test, found in measured["tests"].items():
            for block in found["reached"]:
                self.reaching.setdefault(block, set()).add(test)
                self.reaching.setdefault(_function(block), set()).add(test)
        self.noticed: dict[str, list[str]] = {}
        """A function → the tests that noticed one of its mutants, the last first."""
        self.sound: dict[tuple[str, str], bool] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        # An example that fails need not be made small.
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", settings.get_profile("house"), phases=phases, database=None)
        settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        keep_fixtures(session)
        self.items = {item.nodeid: item for item in session.items}
        self.unknown = self.items.keys() - self.seconds_of.keys()
        self.seconds_of = {test: seconds for test, seconds in self.seconds_of.items() if test in self.items}
        for reaching in self.reaching.values():
            reaching.intersection_update(self.items)
        self.root = _Root(session)
        self.terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        self._make_fixtures(session)
        for file in self.files:
            tree = ast.parse((ROOT / file).read_text("utf-8"))
            tried = [self._tried(mutant, functions_of(tree)[mutant.function]) for mutant in mutants(file)]
            self._say(f"{file}: {counted(tried)}")
        return True

    def _say(self, line: str) -> None:
        self.terminal.write_line(f"{time.strftime('%H:%M:%S')} {line}")
        self.terminal.flush()

    def _make_fixtures(self, session: pytest.Session) -> None:
        for item in session.items:
            # What takes long to make reaches nearly everything: it would be made again for nearly every mutant.
            kept = [each for each in fixtures_of(item) if each.scope == "session"]
            quick = all(self.seconds_to_make.get(fixture_name(each), 0.0) < SECONDS_OF_A_FIXTURE for each in kept)
            if quick and any(each.cached_result is None for each in kept):
                call_and_report(item, "setup", log=False)
                call_and_report(item, "teardown", log=False, nextitem=self.root)
        gc.collect()
        gc.freeze()

    def _tried(self, mutant: Mutant, function: ast.FunctionDef) -> Result:
        known = self.results.of(mutant)
        if known and (known.result in KILLED or not self.again):
            return known
        while True:
            chosen, left = self._chosen(mutant, function)
            noticed, by = self._noticed(chosen, mutant) if chosen else ("unreached", "")
            if by not in self.items or self._is_sound(by, mutant):
                break
        if by in self.items:
            killers = self.noticed.setdefault(f"{mutant.file}:{mutant.function}", [])
            self.noticed[f"{mutant.file}:{mutant.function}"] = [by, *(test for test in killers if test != by)]
        result = Result(mutant.name, mutant.digest, mutant.line, noticed, by, len(chosen), left)
        self.results.add(result)
        if noticed != "killed":
            self._say(f"{noticed:9} {mutant.short}, line {mutant.line}: {len(chosen)} tests, {left} left out")
        return result

    def _is_sound(self, test: str, mutant: Mutant) -> bool:
        """Whether a test that noticed a mutant passes where the function is put in its own place, all else being done
        as with the mutant. One that does not is asked no more."""
        named = f"{mutant.file}:{mutant.function}"
        if (test, named) not in self.sound:
            unchanged = replace(mutant, source=(ROOT / mutant.file).read_text("utf-8"))
            self.sound[test, named] = self._noticed([test], unchanged) == ("survived", "")
            if not self.sound[test, named]:
                self._say(f"{test} fails without any mutant of {named}, and is left out")
                self.seconds_of.pop(test, None)
                self.unknown.discard(test)
                for reaching in self.reaching.values():
                    reaching.discard(test)
        return self.sound[test, named]

    def _chosen(self, mutant: Mutant, function: ast.FunctionDef) -> tuple[list[str], int]:
        """The tests that reach the place, within the seconds there are; how many more there would be."""
        named = f"{mutant.file}:{mutant.function}"
        same = self.functions.get(named) == ast.dump(function)
        place = f"{named}:{block_at(function, mutant.line)}" if same else named
        reaching = self.reaching.get(place, set()) if named in self.functions else self.seconds_of.keys()
        killers = [test for test in self.noticed.get(named, []) if test in reaching]
        others = sorted((reaching | self.unknown) - set(killers), key=lambda test: self._seconds(test, named))
        chosen: list[str] = []
        spent = 0.0
        for test in [*killers, *others]:
            seconds = self.seconds_of.get(test, 0.0)
            if spent + seconds <= self.seconds or not chosen:
                chosen.append(test)
                spent += seconds
        return chosen, len(killers) + len(others) - len(chosen)

    def _seconds(self, test: str, function: str) -> float:
        """How long the test takes, with what must be made anew for it."""
        kept = (fixture_name(each) for each in fixtures_of(self.items[test]))
        stale = (name for name in kept if function in self.fixtures.get(name, ()))
        return self.seconds_of.get(test, 0.0) + sum(self.seconds_to_make.get(name, 0.0) for name in stale)

    def _noticed(self, chosen: Sequence[str], mutant: Mutant) -> tuple[str, str]:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                failed = self._first_failure(chosen, mutant)
                os.write(writing, (failed or "").encode())
            except BaseException as fault:  # noqa: BLE001 - this process ends here
                os.write(writing, f"{FAULT} {fault!r}"[:500].encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(os.pidfd_open(child), "rb") as ended, os.fdopen(reading, "rb") as said:
            if not select.select([ended], [], [], 90 * SECONDS_OF_A_LOOP)[0]:
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            by = said.read().decode()
        if os.WIFSIGNALED(status):
            return "no end", f"signal {os.WTERMSIG(status)}"
        if by.startswith(FAULT):
            return "fault", by
        return ("killed", by) if by else ("survived", "")

    def _first_failure(self, chosen: Sequence[str], mutant: Mutant) -> str | None:
        most = int(SECONDS_OF_A_LOOP + 2 * self.seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + most, resource.RLIM_INFINITY))
        forget()
        tree = ast.parse(mutant.source)
        put(mutant.file, compile(tree, mutant.file, "exec"), {mutant.function: functions_of(tree)[mutant.function]})
        self._make_anew(f"{mutant.file}:{mutant.function}", chosen)
        for test in chosen:
            reports = runtestprotocol(self.items[test], log=False, nextitem=self.root)  # type: ignore[arg-type]
            if any(report.failed for report in reports):
                return test
        return None

    def _make_anew(self, function: str, chosen: Iterable[str]) -> None:
        """Fixtures that reach the function are made again, with the mutant, and so is what is made of them."""
        fixtures = {id(each): each for test in chosen for each in fixtures_of(self.items[test])}.values()
        stale = {each.argname for each in fixtures if function in self.fixtures.get(fixture_name(each), {function})}
        while more := {each.argname for each in fixtures if stale & set(each.argnames)} - stale:
            stale |= more
        for each in fixtures:
            if each.argname in stale:
                each.cached_result = None
                each._finalizers.clear()


class _Root:
    """What comes after a test where all that is made for the whole run stays."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session

    def listchain(self) -> list[Any]:
        return [self.session]


def _function(block: str) -> str:
    return block.rpartition(":")[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.forks")
    parser.add_argument("reach", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("files", nargs="+")
    asked = parser.parse_args()
    plugin = Forking(asked.files, asked.reach, Results(asked.results), again=asked.again, seconds=asked.seconds)
    with tempfile.TemporaryDirectory() as folder:
        made = ["-p", "no:cacheprovider", "--assert=plain", "--basetemp", folder]
        sys.exit(pytest.main(["-q", *made, *TESTS], plugins=[plugin]))


if __name__ == "__main__":
    main()
