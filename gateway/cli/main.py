"""`cafpro`: every command. Exit 0 done, 1 something was found or cannot be, 2 misuse."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import click

import gateway
from gateway.cli.lazily import LazyGroup

PLACES: Final = {
    "request": "gateway.cli.requests:request",
    **{
        name: f"gateway.cli.{name}:{name}" for name in ("check", "demo", "init", "policy", "selftest", "serve", "store")
    },
    **{name: f"gateway.cli.directory:{name}" for name in ("change", "objection", "session")},
    **{name: f"gateway.cli.showing:{name}" for name in ("account", "convention", "mandate", "partner")},
}


def _is_compiled() -> bool:
    """Whether this was installed from the wheel whose way of a request is compiled (`make wheel`)."""
    found = find_spec("gateway.loop.loop")
    return found is not None and not str(found.origin).endswith(".py")


@click.group(
    cls=LazyGroup,
    places=PLACES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="\b\nExample:\n  cafpro demo\n  cafpro init /etc/cafpro && cafpro serve --config /etc/cafpro/gateway.toml",
)
@click.version_option(
    gateway.__version__,
    message=f"%(prog)s, version %(version)s, {'' if _is_compiled() else 'not '}compiled",
    prog_name="cafpro",
)
def main() -> None:
    """The gateway between the Caf's partners and the family dossiers they may consult."""
