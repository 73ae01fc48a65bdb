"""`cafpro check`: everything that would stop a start, all at once."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import click
import msgspec

from gateway import settings as settings_module
from gateway.app import seal_of
from gateway.cli.options import configuration
from gateway.cli.rights import rights_warnings
from gateway.cli.serve import problems_at_start
from gateway.cli.speaking import FOUND
from gateway.errors import Misconfigured, StoreUnavailable
from gateway.identity.issuers import load_vouchers
from gateway.identity.second_factor import sealed_elsewhere
from gateway.identity.store import open_store
from gateway.proxy.fetch import Backend
from gateway.proxy.providers import troubles
from gateway.settings import Settings


@click.command(epilog="\b\nExample:\n  cafpro check --config /etc/cafpro/gateway.toml")
@configuration
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(config: Path, form: str) -> None:
    """Look at settings, policies, key, store, record and backend; exit 1 if anything is wrong.

    What is no reason to stop a start, but should be otherwise, is a warning: it is said and changes nothing.
    """
    warnings: list[str] = []
    try:
        settings = settings_module.load(config, os.environ)
        problems = problems_at_start(settings, config, absent=warnings)
        trouble = Backend(settings.upstream).reachable()
        if trouble:
            problems.append(f"upstream.url: nothing answers at {settings.upstream.url} ({trouble}).")
        if settings.identity.issuers:
            problems += _providers(settings.identity.issuers)
        warnings += [*rights_warnings(settings), *seal_warnings(settings)]
        draft = settings.policies.draft
        if draft and not draft.is_dir():
            warnings.append(f"policies.draft: there is no folder {draft}: nothing is compared.")
    except Misconfigured as error:
        problems = list(error.problems)
    if form == "json":
        click.echo(msgspec.json.encode({"problems": problems, "warnings": warnings}))
    else:
        for sentence in (*problems, *(f"Warning: {warning}" for warning in warnings)):
            click.echo(sentence, err=True)
        if not problems:
            click.echo(f"{config}: ready to serve.")
    if problems:
        raise SystemExit(FOUND)


def seal_warnings(settings: Settings) -> list[str]:
    """Where what seals second factors is not what has sealed those in the store."""
    try:
        with closing(open_store(settings.store.url, make=False)) as store:
            many = sealed_elsewhere(store, seal_of(settings))
    except (Misconfigured, StoreUnavailable):
        return []  # said already
    if not many:
        return []
    return [
        f"identity.second_factor_key_file: {many} of the latest second factors in the store were sealed under another "
        "key: no code of their agents is right. Every machine has the same file, old keys below the new one."
    ]


def _providers(file: Path) -> list[str]:
    """What keeps the identity providers of this file from being asked. What is wrong with the file is said already."""
    try:
        found = load_vouchers(file)
        return troubles([*found.issuers, *found.providers])
    except Misconfigured:
        return []
