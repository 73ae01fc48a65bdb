"""`cafpro policy check`: everything that is wrong with a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from gateway.cli.policy.folder import folder as folder_of
from gateway.cli.speaking import FOUND
from gateway.errors import Misconfigured
from gateway.policy.matrix import matrix as asked_matrix
from gateway.policy_files.folder import InForce, load_folder


@click.command("check", epilog="\b\nExample:\n  cafpro policy check .\n  cafpro policy check ./policies --format json")
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
@click.option("--policies", type=click.Path(path_type=Path), help="The same as DIR.")
@click.option("--config", "-c", type=click.Path(path_type=Path), help="Check the policies this configuration names.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(folder: Path | None, policies: Path | None, config: Path | None, form: str) -> None:
    """Read DIR as the gateway would and say everything that is wrong, with file and line; exit 1 if anything is."""
    if folder and policies:
        raise click.UsageError("DIR and --policies are the same thing: give one.")
    try:
        folder = folder_of(folder or policies, config)
        loaded: InForce | None = load_folder(folder)
        problems: Sequence[str] = ()
    except Misconfigured as error:
        loaded, problems = None, error.problems
    if form == "json":
        click.echo(msgspec.json.encode({"problems": problems, "policy": loaded.fingerprint if loaded else None}))
    elif loaded:
        cells = asked_matrix(loaded.policy)
        opened, rows = sum(map(len, cells.values())), loaded.policy.rows
        click.echo(f"{folder}: no problem found.")
        click.echo(f"{len(rows)} rubrics, {len(cells)} profiles, {opened} open cells of {len(rows) * len(cells)}.")
        click.echo(f"fingerprint {loaded.fingerprint}")
    else:
        click.echo("\n".join(problems), err=True)
    if problems:
        raise SystemExit(FOUND)
