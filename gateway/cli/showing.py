"""`cafpro partner|convention|account|mandate show`: one entry, and on paper everything that was done to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from gateway.cli.directory import command, formatted
from gateway.cli.imports import account, convention, mandate, partner
from gateway.cli.output import print_rows
from gateway.errors import Misconfigured
from gateway.identity import directory
from gateway.identity.entries import no_account, no_partner
from gateway.identity.store import Store

__all__ = ["account", "convention", "mandate", "partner"]


@command(partner, "show", "'CCAS de Lyon'")
@click.argument("name")
@formatted
def show_partner(store: Store, name: str, form: str) -> None:
    """Show the partner NAME, and who entered or changed it."""
    found = [each for each in directory.partners(store) if each.name == name]
    _show(store, directory.Partner, found, name, form, absent=no_partner(name))


@command(convention, "show", "2026-014")
@click.argument("number")
@formatted
def show_convention(store: Store, number: str, form: str) -> None:
    """Show the convention NUMBER, and who entered or changed it."""
    found = [each for each in directory.conventions(store) if each.number == number]
    _show(store, directory.Convention, found, number, form, absent=f"There is no convention {number!r}.")


@command(account, "show", "m.martin")
@click.argument("identifier")
@formatted
def show_account(store: Store, identifier: str, form: str) -> None:
    """Show the account IDENTIFIER, and who entered or changed it."""
    found = directory.accounts(store, identifier=identifier)
    _show(store, directory.Account, found, identifier, form, absent=no_account(identifier))


@command(mandate, "show", "12")
@click.argument("mandate_id", metavar="ID", type=click.IntRange(1, 2**31 - 1))
@formatted
def show_mandate(store: Store, mandate_id: int, form: str) -> None:
    """Show the mandate ID, and who entered or released it."""
    after = [each for each in directory.mandates(store, after=mandate_id - 1, limit=1) if each.id == mandate_id]
    _show(store, directory.Mandate, after, str(mandate_id), form, absent=f"There is no mandate {mandate_id}.")


def _show(store: Store, kind: type[Any], found: Sequence[Any], name: str, form: str, *, absent: str) -> None:
    """One entry in the form that was asked for. A table is followed by what was done to it."""
    if not found:
        raise Misconfigured([absent])
    print_rows(kind, found, form=form)
    if form == "table":
        print_rows(directory.Change, directory.changes(store, subject=name), form=form)
