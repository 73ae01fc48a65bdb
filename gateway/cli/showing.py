"""`cafpro partner|convention|account|mandate show`: one entry, and on paper everything that was done to it."""

from __future__ import annotations

import click

from gateway.cli.directory import command, formatted, print_shown
from gateway.cli.imports import account, convention, mandate, partner
from gateway.identity import directory
from gateway.identity.entries import LARGEST_ID
from gateway.identity.store import Store

__all__ = ["account", "convention", "mandate", "partner"]


@command(partner, "show", "'CCAS de Lyon'")
@click.argument("name")
@formatted
def show_partner(store: Store, name: str, form: str) -> None:
    """Show the partner NAME, and who entered or changed it."""
    print_shown(directory.show_partner(store, name=name), form=form)


@command(convention, "show", "2026-014")
@click.argument("number")
@formatted
def show_convention(store: Store, number: str, form: str) -> None:
    """Show the convention NUMBER, and who entered or changed it."""
    print_shown(directory.show_convention(store, number=number), form=form)


@command(account, "show", "m.martin")
@click.argument("identifier")
@formatted
def show_account(store: Store, identifier: str, form: str) -> None:
    """Show the account IDENTIFIER, and who entered or changed it."""
    print_shown(directory.show_account(store, identifier=identifier), form=form)


@command(mandate, "show", "12")
@click.argument("mandate_id", metavar="ID", type=click.IntRange(1, LARGEST_ID))
@formatted
def show_mandate(store: Store, mandate_id: int, form: str) -> None:
    """Show the mandate ID, and who entered or released it."""
    print_shown(directory.show_mandate(store, mandate_id=mandate_id), form=form)
