"""Which one-line mistakes in the rooms that decide and redact would the tests not notice?

    python -m tests.mutation                              everything that has no result yet: hours
    python -m tests.mutation policy.difference redaction  only the files whose names hold one of these

mutmut makes the mutants (`sources`), the tests are run once to learn what each reaches (`reach`), then each mutant is
tried in a fork (`forks`), and what lives once more in a process of its own (`fresh`). Results stay in
`.mutation/results.jsonl`, so that a run may be interrupted. `tests/mutation/README.md` explains each mutant that lives.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutation.fresh import again
from tests.mutation.results import KILLED, Results, counted
from tests.mutation.sources import ROOT, files, mutants

COPIED = ("gateway", "policies", "upstream_stub", "tests", "setup.cfg", "pyproject.toml", "README.md", "Makefile")
KEPT = ROOT / ".mutation"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--again", action="store_true", help="try what lived once more, after new tests")
    parser.add_argument("--measure", action="store_true", help="learn once more what each test reaches")
    parser.add_argument("--seconds", type=float, default=10, help="how much of the tests each fork runs (default 10)")
    parser.add_argument("--forks-only", action="store_true", help="leave out the second pass")
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    chosen, reach, results = files(asked.names), KEPT / "reach.json", KEPT / "results.jsonl"
    if not chosen:
        parser.error(f"no file of {' '.join(files([]))} is called so")
    with tempfile.TemporaryDirectory() as folder:
        # The sources may change meanwhile: what is mutated is what was there at the start.
        tree = copied(Path(folder) / "tree")
        if asked.measure or not reach.exists():
            _run(tree, "reach", str(reach))
        options = ["--seconds", str(asked.seconds), *(["--again"] if asked.again else [])]
        _run(tree, "forks", str(reach), str(results), *options, *chosen)
        if not asked.forks_only:
            again(tree, chosen, reach, Results(results))
    sys.exit(report(chosen, Results(results)))


def copied(to: Path) -> Path:
    to.mkdir()
    for name in (*COPIED, "requirements.lock"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
        else:
            shutil.copy(ROOT / name, to / name)
    return to


def report(chosen: list[str], results: Results) -> int:
    """Says what became of each file's mutants and which live; 1 where one does."""
    lives = 0
    for file in chosen:
        found = [(mutant, results.of(mutant)) for mutant in mutants(file)]
        print(f"{file}: {counted(result for _, result in found)}")
        for mutant, result in found:
            if result is None or result.result not in KILLED:
                lives += 1
                print(f"  {mutant.function} {mutant.number}, line {mutant.line}")
    return 1 if lives else 0


def _run(tree: Path, step: str, *given: str) -> None:
    ended = subprocess.run([sys.executable, "-m", f"tests.mutation.{step}", *given], cwd=tree, check=False)
    if ended.returncode:
        sys.exit(f"tests.mutation.{step} ended with {ended.returncode}")


if __name__ == "__main__":
    main()
