"""Which tests prove which line of the list of attacks: collected, run, and written as a table into tests/README.md.

python -m tests.attacks.table            # run them all, write the table; 1 where one of them did not pass
python -m tests.attacks.table --collect  # what there is, as JSON, without running anything
"""

from __future__ import annotations

import inspect
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from gateway.selftest.catalogue import LINES, Line

TESTS = Path(__file__).resolve().parents[1]
README = TESTS / "README.md"
HEAD = ("line", "attack", "published as", "tests", "cases", "in", "result")
BEGINS = "<!-- attacks: written by `make attacks-table`, compared by tests/attacks/test_the_table.py -->"
ENDS = "<!-- end of the attacks -->"
UNDONE = {"skip", "skipif", "xfail", "importorskip"}
"""What would let a test pass without an attack."""


class Case(NamedTuple):
    """One case of a test that carries the mark of a line."""

    node: str
    file: str
    """Beneath `tests/`."""
    test: str
    lines: tuple[int, ...]
    says: str
    """The case's name, its test's sentence and what its file says of itself."""
    undone: tuple[str, ...]
    """Marks and calls of `UNDONE` that stand on it or in it."""


class Run:
    """A plugin of pytest's: what was collected, and what came of it."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.outcomes: dict[str, str] = {}
        """`passed`, `failed` or `skipped`, by node."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.cases = [case_of(item) for item in session.items if isinstance(item, pytest.Function)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.outcomes.get(report.nodeid) in (None, "passed"):
            self.outcomes[report.nodeid] = report.outcome


def case_of(item: pytest.Function) -> Case:
    lines = sorted({mark.args[0] for mark in item.iter_markers("attack")})
    says = "\n".join((item.name, inspect.getdoc(item.function) or "", inspect.getdoc(item.module) or ""))
    undone = UNDONE & ({mark.name for mark in item.iter_markers()} | set(names(written_by_us(item.function).__code__)))
    file = item.path.relative_to(TESTS).as_posix()
    return Case(item.nodeid, file, item.originalname, tuple(lines), says, tuple(sorted(undone)))


def written_by_us(function: Any) -> Any:
    """The function of the file, out of what hypothesis and others wrap around it."""
    hypothesis = getattr(function, "hypothesis", None)
    return inspect.unwrap(hypothesis.inner_test if hypothesis else function)


def names(code: CodeType) -> Iterator[str]:
    """Every name and attribute that it uses, also in functions inside it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from names(inner)


def run(*arguments: str) -> Run:
    """Every test with the mark. Raises `RuntimeError` where the tests could not be collected."""
    done = Run()
    # Whoever bears the mark writes its name; to collect the other files takes as long again.
    files = [str(file) for file in sorted(TESTS.rglob("test_*.py")) if "mark.attack" in file.read_text()]
    status = pytest.main([*files, "-m", "attack", "--rootdir", str(TESTS.parent), *arguments], plugins=[done])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest ended with {status}")
    return done


def row(line: Line, cases: Iterable[Case], outcomes: Mapping[str, str]) -> list[str]:
    """A line of the table. Without outcomes its result is empty."""
    about = [case for case in cases if line.number in case.lines]
    files = Counter(case.file for case in about)
    results = Counter(outcomes.get(case.node, "not run") for case in about) if outcomes else {}
    return [
        str(line.number),
        line.attack,
        ", ".join(line.references),
        str(len({(case.file, case.test) for case in about})),
        str(len(about)),
        ", ".join(f"`{file}` {many}" for file, many in sorted(files.items())),
        ", ".join(f"{results[name]} {name}" for name in sorted(results, key=lambda name: (name != "passed", name))),
    ]


def table(cases: Sequence[Case], outcomes: Mapping[str, str] | None = None) -> list[list[str]]:
    """The rows of all lines."""
    return [row(line, cases, outcomes or {}) for line in LINES]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (HEAD, ["---"] * len(HEAD), *rows))


def written() -> list[list[str]]:
    """The rows that stand in the README."""
    inside = README.read_text().partition(BEGINS)[2].partition(ENDS)[0]
    rows = [text.strip("|").split("|") for text in inside.splitlines() if text.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in rows[2:]]


def write(rows: Sequence[Sequence[str]]) -> None:
    """Put them into the README, between its two comments. Raises `ValueError` where these are missing."""
    before, begins, rest = README.read_text().partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not (begins and ends):
        raise ValueError(f"{README} has no place for the table")
    README.write_text(f"{before}{BEGINS}\n\n{markdown(rows)}\n\n{ENDS}{after}")


def reported(report: Path, cases: Sequence[Case]) -> dict[str, str]:
    """What came of these cases in a JUnit report of pytest's, by node. A case that it does not name was not run."""
    found: dict[tuple[str, str], str] = {}
    for entry in ElementTree.parse(report).iter("testcase"):
        ends = {child.tag for child in entry} & {"failure", "error", "skipped"}
        found[entry.get("classname", ""), entry.get("name", "")] = "".join(sorted(ends)) or "passed"
    outcomes = {}
    for case in cases:
        file, _, name = case.node.partition("::")
        outcomes[case.node] = found.get((file.removesuffix(".py").replace("/", "."), name), "not run")
    return outcomes


def main(arguments: Sequence[str]) -> int:
    if arguments == ["--collect"]:
        sys.stdout.write(json.dumps(run("--collect-only", "-qq").cases) + "\n")
        return 0
    if arguments[:1] == ["--report"]:
        done = run("--collect-only", "-qq")
        done.outcomes = reported(Path(arguments[1]), done.cases)
    else:
        done = run(*arguments)
    write(table(done.cases, done.outcomes))
    return 0 if set(done.outcomes.values()) == {"passed"} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
