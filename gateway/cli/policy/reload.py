"""`cafpro policy reload`: have the running gateway look at its policies now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from gateway import settings as settings_module
from gateway.cli.options import configuration
from gateway.cli.speaking import FOUND, leave
from gateway.errors import Misconfigured
from gateway.policy_files import control
from gateway.policy_files.control import Foreign, NotRunning, Outcome

_GOOD = ("in_force", "unchanged")


@click.command("reload", epilog="\b\nExample:\n  cafpro policy reload --config /etc/cafpro/gateway.toml")
@configuration
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def reload(config: Path, form: str) -> None:
    """Have the gateway that runs with this configuration look at its policies now, and say what became of it.

    It looks by itself every second. This waits until each of its processes decides by the new policies; exit 1 where
    they do not come into force, and then what decided before goes on.
    """
    try:
        settings = settings_module.load(config, os.environ)
        # Whoever may use the record's key is whom the gateway runs as.
        trusted = {os.geteuid(), settings.record.key_file.stat().st_uid}
        outcome = control.ask(config, trusted)
    except Misconfigured as error:
        leave(error.problems)
    except NotRunning:
        leave([f"No gateway that was started with {config} runs here, or it belongs to somebody else."])
    except Foreign as foreign:
        leave([f"What answers for {config} is the process {foreign.process} of another user ({foreign.user})."])
    except TimeoutError:
        leave([f"The gateway did not say within {control.PATIENCE_SECONDS:.0f} seconds what became of it."])
    if form == "json":
        click.echo(msgspec.json.encode(outcome))
    else:
        for line in _said(outcome):
            click.echo(line, err=outcome.result not in _GOOD)
    if outcome.result not in _GOOD:
        raise SystemExit(FOUND)


def _said(outcome: Outcome) -> Iterator[str]:
    processes = "1 process" if outcome.workers == 1 else f"{outcome.workers} processes"
    if outcome.result == "in_force":
        yield f"In force, in {processes}: {outcome.policy}"
    elif outcome.result == "unchanged":
        yield f"In force already, in {processes}: {outcome.policy}"
    else:
        yield from outcome.because
        yield f"Not put in force ({outcome.result}). What was in force goes on deciding: {outcome.policy}"
