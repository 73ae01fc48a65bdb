"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

configuration: Final = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    default=Path("gateway.toml"),
    show_default=True,
    help="The configuration file.",
)
