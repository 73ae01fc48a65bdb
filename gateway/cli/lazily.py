"""A group of commands, each imported when it is asked for: whoever checks a policy does not wait for a server."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """`places` says where each command is: `module:name`."""

    def __init__(self, *arguments: Any, places: dict[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.places:
            return None
        module, name = self.places[cmd_name].split(":")
        found: click.Command = getattr(import_module(module), name)
        return found
