"""`cafpro policy test`: whether the policies do what their tests want, and what no test looks at."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click
from polar.exceptions import OsoError

from gateway.cli.policy import verdicts
from gateway.cli.policy.folder import folder as folder_of
from gateway.cli.policy.reports import Report, as_json, told
from gateway.cli.speaking import FOUND, leave
from gateway.errors import Misconfigured
from gateway.model import Facts, Grant
from gateway.policy.sandbox import PolicyDefect
from gateway.policy.trial import trial
from gateway.policy_files.case_files import Tests, read_tests
from gateway.policy_files.findings import Finding, Findings
from gateway.policy_files.folder import load_texts, read
from gateway.proxy.authorise import refusal_of

_EXAMPLE = "\b\nExample:\n  cafpro policy test .\n  cafpro policy test ./policies --coverage --mutants --format junit"


@click.command("test", epilog=_EXAMPLE)
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
@click.option("--policies", type=click.Path(path_type=Path), help="The same as DIR.")
@click.option("--config", "-c", type=click.Path(path_type=Path), help="Test the policies this configuration names.")
@click.option(
    "--coverage", is_flag=True, help="Also say which cells, lines and conditions no decision table exercises."
)
@click.option("--mutants", is_flag=True, help="Also say which single changes no test would notice; 1 if there are any.")
@click.option("--format", "form", type=click.Choice(["text", "json", "junit"]), default="text", show_default=True)
def test(
    folder: Path | None, policies: Path | None, config: Path | None, coverage: bool, mutants: bool, form: str
) -> None:
    """Hold the policies of DIR against the decision tables and promises in its tests/*.toml; exit 1 if one is not kept.

    A table wants the exact rubrics that a situation opens, or the gate that stays shut. A promise is held against every
    situation there is. Polar's own questions (`?=`) are not run: they would execute what they say.
    """
    if folder and policies:
        raise click.UsageError("DIR and --policies are the same thing: give one.")
    try:
        folder = folder_of(folder or policies, config)
        texts = read(folder)
        policy = load_texts(texts).policy
        tests = read_tests(folder, policy)
        if tests.problems:
            _refuse(folder, tests, form)
        held = trial(policy, texts, tests.suite, _code, covered=coverage, mutated=mutants)
    except Misconfigured as error:
        leave(error.problems)
    except (OsoError, PolicyDefect) as defect:
        leave([f"policies: they cannot be decided with in every situation of the tests ({type(defect).__name__})."])
    click.echo(verdicts.SHAPES[form](held, policy.fingerprint))
    if mutants and held.failed:
        click.echo("Which changes would be noticed is told once every test is kept.", err=True)
    if held.failed or (held.survival and held.survival.survivors):
        raise SystemExit(FOUND)


def _refuse(folder: Path, tests: Tests, form: str) -> NoReturn:
    """Show what is wrong with the tests; none of them was run."""
    problems = (Finding("tests", each.said, each.file, each.line, each.column) for each in tests.problems)
    report = Report(folder, Findings(tuple(problems)), tests.texts, 0.0)
    if form == "json":
        click.echo(as_json(report))
    else:
        click.echo(f"{told(report)}. No test was run.", err=True)
    raise SystemExit(FOUND)


def _code(grant: Grant, facts: Facts) -> str:
    return refusal_of(grant, facts).shown
