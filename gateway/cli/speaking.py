"""How commands fail: one sentence for each problem, on standard error, and an exit code. Never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

FOUND = 1
MISUSE = 2


def leave(problems: Sequence[str], *, status: int = FOUND) -> NoReturn:
    """End the command with these problems."""
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(status)
