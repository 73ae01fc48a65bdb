"""`cafpro`: every command. Exit 0 done, 1 something was found or cannot be, 2 misuse."""

from __future__ import annotations

import click

import gateway
from gateway.cli import check, demo, directory, init, selftest, serve
from gateway.cli.policy import policy


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="\b\nExample:\n  cafpro demo\n  cafpro init /etc/cafpro && cafpro serve --config /etc/cafpro/gateway.toml",
)
@click.version_option(gateway.__version__, prog_name="cafpro")
def main() -> None:
    """The gateway between the Caf's partners and the family dossiers they may consult."""


for command in (demo.demo, init.init, serve.serve, check.check, selftest.selftest, policy, *directory.GROUPS):
    main.add_command(command)
