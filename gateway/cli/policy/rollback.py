"""`cafpro policy rollback`: the policies that were approved before, in one command."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.policy.folder import folder as folder_of
from gateway.cli.policy.folder import rules as rules_of
from gateway.cli.speaking import leave
from gateway.errors import Misconfigured
from gateway.policy_files.approval_text import Approval
from gateway.policy_files.approved import APPROVED, ApprovalRules, command, read_approval, unsigned
from gateway.policy_files.folder import load_texts
from gateway.policy_files.history import alone_in, kept, put_back


@click.command("rollback", epilog="\b\nExample:\n  cafpro policy rollback policies\n  cafpro policy rollback --to 3")
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
@click.option("--config", "-c", type=click.Path(path_type=Path), help="The configuration that says who must sign.")
@click.option("--to", "number", type=click.IntRange(1), help="The number of an approval, instead of the one before.")
def rollback(folder: Path | None, config: Path | None, number: int | None) -> None:
    """Put back the policies that were in force before the last approval, and that approval; or those of another one.

    Nothing is lost: what they replace stays in DIR/history. A gateway that runs takes them as any other change.
    """
    try:
        place = folder_of(folder, config).resolve()
        rules = rules_of(place, config)
        with alone_in(place):
            before = _current(place, needed=number is None)
            if number is None and before is not None:
                number = before.replaces
            if not number:
                own = f"{command('rollback', place, config)} --to {before.number}" if before else ""
                leave([f"{place}: {before} is the first: there is none before it.", f"Its own files again: {own}"])
            approval = _usable(before if before and before.number == number else kept(place, number), rules)
            kept_at = put_back(place, approval, before)
    except Misconfigured as error:
        leave(error.problems)
    click.echo(f"{place}: put back as {approval}.")
    if before and before.number != approval.number:
        click.echo(
            f"It replaces {before}. To bring that back: {command('rollback', place, config)} --to {before.number}"
        )
    if kept_at:
        click.echo(f"The files that stood there were not as approved. They are kept: {kept_at}")


def _current(folder: Path, *, needed: bool) -> Approval | None:
    """What is approved now; where it is `needed`, it tells what was before."""
    try:
        return read_approval(folder / APPROVED)
    except FileNotFoundError:
        problem = f"{folder / APPROVED}: there is none"
    except Misconfigured as error:
        problem = " ".join(error.problems)
    if needed:
        raise Misconfigured([f"{problem} Say which approval of {folder / 'history'} to put back: --to NUMBER"])
    return None


def _usable(approval: Approval, rules: ApprovalRules) -> Approval:
    problem = unsigned(approval, rules)
    if problem:
        raise Misconfigured([f"{problem}: it cannot be put back as it is."])
    load_texts(approval.files())
    return approval
