"""`cafpro request`: organisations that ask to join, from the request to the convention.

The steps are signed by people of the Caf, each with their own account, password and second factor, so that one user of
the machine is not two of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final

import click

from gateway import settings
from gateway.app import functions_file, seal_of
from gateway.cli.directory import (
    DAY,
    change_command,
    command,
    formatted,
    max_agents_option,
    print_shown,
    profile_option,
    read_typed,
    why_needed,
    why_option,
)
from gateway.cli.output import print_rows
from gateway.cli.speaking import FOUND, leave
from gateway.errors import Misconfigured
from gateway.identity import directory
from gateway.identity.entries import LARGEST_ID
from gateway.identity.functions import load_functions
from gateway.identity.sealing import Seal
from gateway.identity.staff import prove_staff
from gateway.identity.store import Store

id_argument = click.argument("request_id", metavar="ID", type=click.IntRange(1, LARGEST_ID))
as_option = click.option(
    "--as", "identifier", required=True, metavar="IDENTIFIER", help="Who you are: an account of the Caf's staff."
)
stdin_option = click.option(
    "--password-stdin",
    "from_stdin",
    is_flag=True,
    help="Read its password from standard input, and from the next line the code of its second factor, if it has one.",
)

_CODE: Final = "Code of the second factor (empty where the account has none)"


def staff_command(
    group: click.Group, name: str, example: str, *, why: Callable[[Any], Any] = why_option
) -> Callable[[Callable[..., None]], click.Command]:
    """A `command` that one of the Caf's staff signs, with the password of their own account and, where it has a second
    factor, a code of it."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def sign(store: Store, identifier: str, from_stdin: bool, why: str, **parameters: Any) -> None:
            seal = _seal(click.get_current_context().obj)
            # Both, of everyone alike: whether the password was right is told to nobody.
            if from_stdin:
                password, code = read_typed("password"), read_typed("code")
            else:
                password = click.prompt("Password", hide_input=True, err=True)
                code = click.prompt(_CODE, hide_input=True, err=True, default="", show_default=False)
            now = datetime.now(UTC)
            prove_staff(store, identifier=identifier, password=password, code=code, seal=seal, now=now)
            function(store, signed=directory.Signature(identifier, why), now=now, **parameters)

        return command(group, name, f"{example} --as c.petit --password-stdin")(as_option(stdin_option(why(sign))))

    return decorate


def _seal(found: settings.Settings) -> Seal | None:
    try:
        return seal_of(found)
    except Misconfigured as error:
        leave(error.problems, status=FOUND)


@click.group()
def request() -> None:
    """The organisations that ask to join."""


@command(request, "list", "--state asked")
@click.option("--state", metavar="STATE", help="Only those that are asked, received, signed, approved or refused.")
@click.option("--siret", metavar="DIGITS", help="Only this organisation's.")
@formatted
def list_requests(store: Store, state: str | None, siret: str | None, form: str) -> None:
    """List the requests, decided ones too."""
    print_rows(directory.JoinRequest, directory.join_requests(store, state=state, siret=siret), form=form)


@command(request, "show", "12")
@id_argument
@formatted
def show_request(store: Store, request_id: int, form: str) -> None:
    """Show the request ID, and everything that was done to it with --format table."""
    print_shown(directory.show_request(store, request_id=request_id), form=form)


@change_command(
    request,
    "add",
    "--organisation Udaf --siret 73282932000074 --function tuteur --profile T9 --contact 'direction@udaf.example'",
)
@click.option("--organisation", required=True, metavar="NAME")
@click.option("--siret", required=True, metavar="DIGITS", help="Fourteen digits, as Insee gave them.")
@click.option("--function", required=True, metavar="TEXT", help="What its agents do: one of functions.toml.")
@profile_option
@click.option("--contact", required=True, metavar="TEXT", help="Where the file is sent.")
def add_request(store: Store, **entry: Any) -> None:
    """Enter a request that came by letter or mail, and print its id."""
    found: settings.Settings = click.get_current_context().obj
    table = load_functions(functions_file(found))
    click.echo(directory.ask_to_join(store, table, now=datetime.now(UTC), **entry))


@staff_command(request, "receive", "12")
@id_argument
def receive_request(store: Store, request_id: int, signed: directory.Signature, now: datetime) -> None:
    """Note that the file of request ID was sent and is back, complete."""
    directory.receive_request(store, request_id=request_id, signed=signed, now=now)


@staff_command(request, "sign", "12 --number C-2026-1 --caisse 851 --from 2026-01-01 --to 2028-12-31")
@id_argument
@click.option("--number", required=True, help="The convention's.")
@click.option("--caisse", required=True, metavar="DIGITS", help="The Caf that signed, three digits.")
@click.option("--from", "starts_on", type=DAY, required=True, help="Its first day.")
@click.option("--to", "ends_on", type=DAY, required=True, help="Its last day.")
@profile_option
@max_agents_option
def sign_request(store: Store, starts_on: date, ends_on: date, **entry: Any) -> None:
    """Note the convention that was signed for request ID. It opens nothing before the approval."""
    directory.sign_request(store, starts_on=starts_on, ends_on=ends_on, **entry)


@staff_command(request, "approve", "12 --administrator m.durand")
@id_argument
@click.option(
    "--administrator",
    metavar="IDENTIFIER",
    help="Its first account, which manages its agents; the link for its password is printed.",
)
def approve_request(
    store: Store, request_id: int, administrator: str | None, signed: directory.Signature, now: datetime
) -> None:
    """Let the organisation of request ID in. Whoever received its file or signed its convention may not."""
    found: settings.Settings = click.get_current_context().obj
    approved = directory.approve_request(
        store,
        request_id=request_id,
        administrator=administrator,
        hours=found.identity.activation_hours,
        signed=signed,
        now=now,
    )
    click.echo(f"{approved.partner} has joined, by the convention {approved.convention}.", err=True)
    if approved.invitation:
        click.echo(approved.invitation.link(found.server.public_url))


@staff_command(request, "refuse", "12 --why 'no mission for these profiles'", why=why_needed)
@id_argument
def refuse_request(store: Store, request_id: int, signed: directory.Signature, now: datetime) -> None:
    """Refuse request ID, for good. Whoever received its file or signed its convention may not."""
    directory.refuse_request(store, request_id=request_id, signed=signed, now=now)
