"""`cafpro policy check`: everything that is wrong with a folder."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gateway.cli.policy.folder import folder as folder_of
from gateway.cli.policy.reports import FORMATS, Report
from gateway.cli.speaking import FOUND, leave
from gateway.errors import Misconfigured
from gateway.identity.functions import NAME as FUNCTIONS
from gateway.identity.functions import load_functions
from gateway.policy_files.child import checked_folder
from gateway.policy_files.findings import Finding, Findings, clipped


@click.command(
    "check",
    epilog="\b\nExample:\n  cafpro policy check .\n  cafpro policy check ./policies --format github\n"
    "  cafpro policy check ./policies --format sarif > policies.sarif",
)
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
@click.option("--policies", type=click.Path(path_type=Path), help="The same as DIR.")
@click.option("--config", "-c", type=click.Path(path_type=Path), help="Check the policies this configuration names.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True)
def check(folder: Path | None, policies: Path | None, config: Path | None, form: str) -> None:
    """Read DIR as the gateway would, ask its policies for what nobody may see, and say everything that is wrong, each
    with file, line and column; exit 1 if anything is. Nothing that is written in DIR is run."""
    if folder and policies:
        raise click.UsageError("DIR and --policies are the same thing: give one.")
    try:
        folder = folder_of(folder or policies, config)
    except Misconfigured as error:
        leave(error.problems)
    began = time.monotonic()
    findings, texts = checked_folder(folder)
    more = _functions(folder)
    if more:
        findings = Findings((*findings.problems, *more))
    report = Report(folder, findings, texts, time.monotonic() - began)
    said = FORMATS[form](report)
    if said:
        click.echo(said, err=form == "text" and bool(findings.problems))
    if findings.problems:
        raise SystemExit(FOUND)


def _functions(folder: Path) -> list[Finding]:
    """What is wrong with the table of functions, where the folder has one: it keeps the gateway from starting."""
    file = folder / FUNCTIONS
    if not file.exists():
        return []
    try:
        load_functions(file)
    except Misconfigured as error:
        said = (problem.removeprefix(str(file)).removeprefix(":").strip() for problem in error.problems)
        return [Finding("files", clipped(sentence), FUNCTIONS) for sentence in said]
    return []
