"""`cafpro policy …`: the security team's workbench, one module for each command."""

from __future__ import annotations

import click

from gateway.cli.policy import check, diff, matrix, test


@click.group()
def policy() -> None:
    """The policies: who sees what."""


for command in (check.check, matrix.matrix, diff.diff, test.test):
    policy.add_command(command)
