"""`cafpro store`: the tables of the directory, brought to another revision when the version of Cafpro changes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click

from gateway import settings
from gateway.cli.options import configuration
from gateway.cli.speaking import FOUND, MISUSE, leave
from gateway.database.connections import Database
from gateway.database.history import DIRECTORY, standing
from gateway.database.opening import connected
from gateway.errors import Misconfigured, StoreUnavailable

_LATEST = DIRECTORY.head


@click.group()
def store() -> None:
    """The directory's tables: at which revision they are, and how they get to another."""


@store.command(epilog="\b\nExample:\n  cafpro store current --config /etc/cafpro/gateway.toml")
@configuration
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def current(config: Path, form: str) -> None:
    """Say at which revision the store is. Exit 1 where this version of Cafpro wants another."""
    with _store(config) as (database, name), database.read() as connection:
        found = standing(connection, DIRECTORY)
    at_head = found.revision == _LATEST and not found.problems
    if form == "json":
        told = {"revision": found.revision, "wanted": _LATEST, "at_head": at_head, "problems": list(found.problems)}
        click.echo(json.dumps(told))
    elif found.problems:
        click.echo(f"{name}: other tables than Cafpro's: {' '.join(found.problems)}")
    elif found.empty:
        click.echo(f"{name}: no table yet. The first start makes them all, at revision {_LATEST}.")
    elif at_head:
        click.echo(f"{name}: revision {found.revision}, the one that this version wants.")
    else:
        click.echo(f"{name}: revision {found.revision or 'none'}. This version wants {_LATEST}.")
    if not at_head:
        raise SystemExit(FOUND)


@store.command(epilog="\b\nExample:\n  cafpro store upgrade --config /etc/cafpro/gateway.toml")
@click.argument("revision", type=click.Choice(DIRECTORY.revisions), default=_LATEST)
@configuration
def upgrade(revision: str, config: Path) -> None:
    """Bring the store forward to REVISION, by default the one that this version of Cafpro wants.

    Its tables are changed, everything in them stays. All is done or nothing, and where several machines share the
    store, once.
    """
    from gateway.database import migrating  # Alembic: a quarter of a second that the other commands need not wait

    with _store(config) as (database, name):
        try:
            way = migrating.upgrade(database, DIRECTORY, to=revision)
        except Misconfigured as error:
            leave(error.problems, status=MISUSE)
    for step in way.steps:
        click.echo(f"Made {step}")
    if way.steps:
        click.echo(f"{name}: now at revision {way.after}.")
    else:
        click.echo(f"{name}: at revision {way.after} already, nothing to do.")


@store.command(epilog="\b\nExample:\n  cafpro store downgrade 0001 --yes --config /etc/cafpro/gateway.toml")
@click.argument("revision", type=click.Choice(DIRECTORY.revisions))
@click.option("--yes", is_flag=True, help="Do it. Without it, only say what would be lost, and exit 1.")
@configuration
def downgrade(revision: str, yes: bool, config: Path) -> None:
    """Take the store back to REVISION, so that an earlier version of Cafpro can work with it.

    Written with the version that is installed now, before the earlier one is. What the earlier tables have no place
    for is lost.
    """
    from gateway.database import migrating  # as above

    with _store(config) as (database, name):
        try:
            way = (migrating.downgrade if yes else migrating.losses)(database, DIRECTORY, to=revision)
        except Misconfigured as error:
            leave(error.problems, status=MISUSE)
    for step in way.steps:
        click.echo(f"{'Undone' if yes else 'Would undo'} {step}")
    for sentence in way.lost:
        click.echo(f"{'Lost' if yes else 'Would be lost'}: {sentence}")
    if not way.lost:
        click.echo("Nothing was lost." if yes else "Nothing would be lost.")
    if not yes:
        leave([f"{name}: nothing is changed. Write --yes to do it."])
    click.echo(f"{name}: now at revision {way.after}.")


@store.command(
    epilog="\b\nExample:\n  createuser --pwprompt cafpro_gateway\n"
    "  CAFPRO_STORE__URL=postgresql+psycopg://owner@db/cafpro CAFPRO_RECORD__URL=postgresql+psycopg://owner@db/cafpro "
    "\\\n    cafpro store grant cafpro_gateway --config /etc/cafpro/gateway.toml"
)
@click.argument("role")
@click.option("--dry-run", is_flag=True, help="Only print what would be done.")
@configuration
def grant(role: str, dry_run: bool, config: Path) -> None:
    """Give ROLE, of a PostgreSQL server, what `cafpro serve` needs and nothing more.

    It can then append to the record and to the changes, and neither alter nor remove what is in them. Written by
    whoever owns the tables, once and after each `store upgrade`; tables that are missing are made. Prints the
    statements.
    """
    from gateway.cli.rights import grant_rights  # the record's tables: the other commands need not know them

    try:
        statements = grant_rights(settings.load(config, os.environ), role, only_say=dry_run)
    except Misconfigured as error:
        leave(error.problems, status=MISUSE)
    except StoreUnavailable as error:
        leave([f"The rights are as they were: {error.because}."])
    for statement in statements:
        click.echo(f"{statement};")


@contextmanager
def _store(config: Path) -> Iterator[tuple[Database, str]]:
    """The store of this configuration, at whatever revision, and its name. A failure ends the command."""
    try:
        database, name = connected(settings.load(config, os.environ).store.url, setting="store.url", make=False)
    except Misconfigured as error:
        leave(error.problems)
    try:
        yield database, name
    except StoreUnavailable as error:
        _unavailable(name, error)
    finally:
        database.close()


def _unavailable(name: str, error: StoreUnavailable) -> NoReturn:
    leave([f"{name}: cannot be used now, and is as it was: {error.because}."])
