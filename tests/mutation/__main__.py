"""Which one-line mistakes in the rooms that decide and redact would the tests not notice? Hours, alone on the machine.

    python -m tests.mutation                             everything: mutmut first, then what it could not kill
    python -m tests.mutation --after FOLDER [FRAGMENT…]  only the second pass, for the names that hold a FRAGMENT

mutmut (`[mutmut]` in setup.cfg) makes the mutants and tries them fast, in forks of one process that has imported the
tests: what tests make when they are imported, and what caches hold, comes from unmutated code there. So whatever it
did not kill is tried again here: written into the source of a copy of the project, before a fresh process with every
example. `tests/mutation/README.md` explains each mutant that lives through both.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("gateway", "policies", "upstream_stub", "tests", "setup.cfg", "pyproject.toml", "README.md", "Makefile")
KILLED = {1, 3, -24, 24, 36, 152, 255}
"""Exit codes that mutmut keeps for a mutant that a test noticed, or that ran out of time."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--after", type=Path, help="a folder where mutmut has run, on the same gateway/")
    parser.add_argument("fragments", nargs="*")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = copied(Path(folder) / "second")
        tried = asked.after or copied(Path(folder) / "first")
        if asked.after is None:
            subprocess.run([sys.executable, "-m", "mutmut", "run"], cwd=tried, check=False)
        sys.exit(1 if second_pass(tried, tree, asked.fragments) else 0)


def copied(to: Path) -> Path:
    to.mkdir()
    for name in (*COPIED, "requirements.lock"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
        else:
            shutil.copy(ROOT / name, to / name)
    return to


def second_pass(tried: Path, tree: Path, fragments: list[str]) -> int:
    """Says of each mutant that mutmut did not kill whether the tests do; how many they do not."""
    seconds: dict[str, float] = {}
    survived = 0
    for file, name in unkilled(tried):
        if fragments and not any(fragment in name for fragment in fragments):
            continue
        tests = tests_of(file, tree)
        if file not in seconds:
            started = time.monotonic()
            if not passes(tests, tree, 3600):
                sys.exit(f"the tests of {file} fail without any mutant")
            seconds[file] = time.monotonic() - started
        source = tree / file
        whole = source.read_text("utf-8")
        mutant = mutated(whole, (tried / "mutants" / file).read_text("utf-8"), name)
        if mutant is None:
            print("STALE   ", name, flush=True)
            continue
        try:
            source.write_text(mutant, "utf-8")
            lives = passes(tests, tree, 60 + 10 * seconds[file])
        finally:
            source.write_text(whole, "utf-8")
        survived += lives
        print("SURVIVED" if lives else "killed  ", name, flush=True)
    print(f"{survived} survived both passes")
    return survived


def unkilled(tried: Path) -> Iterator[tuple[str, str]]:
    mutants = tried / "mutants"
    for meta in sorted(mutants.rglob("*.py.meta")):
        for name, code in json.loads(meta.read_text("utf-8"))["exit_code_by_key"].items():
            if code not in KILLED:
                yield str(meta.relative_to(mutants)).removesuffix(".meta"), name


def tests_of(file: str, tree: Path) -> list[str]:
    """The tests of that file's room, the search by chance (`test_any_document`) last: it is slow."""
    if file.startswith("gateway/proxy/"):
        return ["tests/proxy/test_proxy_parse.py"]
    room = Path(file).parts[1]
    return sorted((str(test.relative_to(tree)) for test in (tree / "tests" / room).glob("test_*.py")), reverse=True)


def passes(tests: list[str], tree: Path, seconds: float) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    # A compiled file is told from its source by size and second: two mutants may share both. And plugins that these
    # tests do not use take longer to load than most mutants to be killed.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    try:
        ended = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def mutated(source: str, mutants: str, name: str) -> str | None:
    """The source with the mutant in the place of its function, None where that function has changed since.

    `mutants` is the file that mutmut made of the source.
    """
    called = name.rpartition(".")[2]
    original = called.rpartition("__mutmut_")[0] + "__mutmut_orig"
    *scope, function = original.removesuffix("__mutmut_orig").removeprefix("xǁ").removeprefix("x_").split("ǁ")
    found = {each.name: each for each in ast.walk(ast.parse(mutants)) if isinstance(each, ast.FunctionDef)}
    body: list[ast.stmt] = ast.parse(source).body
    for each in scope:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == each)
    here = next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == function)
    if ast.dump(here).partition("args=")[2] != ast.dump(found[original]).partition("args=")[2]:
        return None
    mutant = found[called]
    new = mutants.splitlines()[mutant.lineno - 1 : mutant.end_lineno]
    new[0] = new[0].replace(called, function)
    lines = source.splitlines()
    return "\n".join([*lines[: here.lineno - 1], *new, *lines[here.end_lineno :]]) + "\n"


if __name__ == "__main__":
    main()
