"""`cafpro policy …`: the security team's workbench, one module for each command."""

from __future__ import annotations

import click

from gateway.cli.policy import (
    approve,
    check,
    diff,
    explain,
    key,
    matrix,
    reload,
    replay,
    rollback,
    shadow,
    test,
    unused,
    verify,
)


@click.group()
def policy() -> None:
    """The policies: who sees what."""


for command in (
    check.check,
    matrix.matrix,
    diff.diff,
    test.test,
    reload.reload,
    shadow.shadow,
    approve.approve,
    key.key,
    rollback.rollback,
    verify.verify,
    explain.explain,
    replay.replay,
    unused.unused,
):
    policy.add_command(command)
