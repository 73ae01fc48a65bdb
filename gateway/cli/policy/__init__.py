"""`cafpro policy …`: the security team's workbench, one module for each command."""

from __future__ import annotations

from typing import Final

import click

from gateway.cli.lazily import LazyGroup

COMMANDS: Final = (
    *("approve", "check", "diff", "explain", "key", "matrix", "reload"),
    *("replay", "rollback", "shadow", "test", "unused", "verify"),
)


@click.group(cls=LazyGroup, places={name: f"{__name__}.{name}:{name}" for name in COMMANDS})
def policy() -> None:
    """The policies: who sees what."""
