"""`cafpro partner|convention|account|mandate|objection|session`: the directory, changed while the gateway runs."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import click

from gateway import settings
from gateway.cli.output import FORMATS, print_rows
from gateway.cli.speaking import FOUND, MISUSE, leave
from gateway.errors import Misconfigured, StoreUnavailable
from gateway.identity import directory
from gateway.identity.passwords import new_password
from gateway.identity.store import Store, open_store
from gateway.limits.delays import LONGEST_SECONDS
from gateway.model import MANDATE_KINDS, PARTNER_KINDS

_LONGEST_LINE: Final = 4096
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Day(click.ParamType[date]):
    """A civil day written YYYY-MM-DD."""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value if _DAY.fullmatch(value) else "")
        except ValueError:
            self.fail("a day is written YYYY-MM-DD, such as 2026-01-31.", param, ctx)


DAY: Final = Day()


def command(group: click.Group, name: str, example: str) -> Callable[[Callable[..., None]], click.Command]:
    """Makes a function `(store, **parameters)` a command of `group`, with `--config` and an example in its help.

    The settings are in `click.get_current_context().obj`. Exit 1: the settings or the store cannot be used. Exit 2:
    what was typed cannot be done. Either way one sentence for each problem, on standard error.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(config: Path, **parameters: Any) -> None:
            try:
                found = settings.load(config, os.environ)
                store = open_store(found.store.url)
            except Misconfigured as error:
                leave(error.problems, status=FOUND)
            click.get_current_context().obj = found
            try:
                function(store, **parameters)
            except Misconfigured as error:
                leave(error.problems, status=MISUSE)
            except StoreUnavailable as error:
                leave([f"The directory cannot be used now: {error.because}."], status=FOUND)
            finally:
                store.close()

        made = click.command(name, epilog=f"\b\nExample:\n  cafpro {group.name} {name} {example}")(_config(run))
        group.add_command(made)
        return made

    return decorate


_config = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default="gateway.toml",
    show_default=True,
    help="The configuration file.",
)


def _now() -> datetime:
    return datetime.now(UTC)


def _password(from_stdin: bool, generate: bool) -> str:
    """The password an administrator gives: generated, one line of standard input, or asked for."""
    if from_stdin and generate:
        raise click.UsageError("--password-stdin and --generate exclude each other.")
    if generate:
        return new_password()
    if from_stdin:
        try:
            return sys.stdin.buffer.readline(_LONGEST_LINE).decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise click.UsageError("the password on standard input is not UTF-8.") from None
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return asked


formatted = click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
of_partner = click.option("--partner", "partner_name", metavar="NAME", help="Only this partner's.")
identifier_argument = click.argument("identifier")
dossier_argument = click.argument("dossier")
number_argument = click.argument("number")
profile_option = click.option("--profile", "profiles", multiple=True, metavar="T1…T16", help="Repeat for several.")
stdin_option = click.option("--password-stdin", "from_stdin", is_flag=True, help="Read it from standard input.")
generate_option = click.option("--generate", is_flag=True, help="Make one and print it, once.")


@click.group()
def partner() -> None:
    """The organisations whose agents log in."""


@command(partner, "add", "'CCAS de Lyon' --kind external")
@click.argument("name")
@click.option("--kind", type=click.Choice(PARTNER_KINDS), default="external", show_default=True)
def add_partner(store: Store, name: str, kind: str) -> None:
    """Enter the partner NAME."""
    directory.add_partner(store, name=name, kind=kind)


@command(partner, "list", "--format csv")
@formatted
def list_partners(store: Store, form: str) -> None:
    """List the partners."""
    print_rows(directory.Partner, directory.partners(store), form=form)


@click.group()
def convention() -> None:
    """The agreements that open profiles to partners."""


@command(
    convention,
    "add",
    "2026-014 --partner 'CCAS de Lyon' --caisse 691 --from 2026-01-01 --to 2028-12-31 --profile T1",
)
@number_argument
@click.option("--partner", "partner_name", required=True, metavar="NAME")
@click.option("--caisse", required=True, metavar="DIGITS", help="The Caf that signed, three digits.")
@click.option("--from", "starts_on", type=DAY, required=True, help="Its first day.")
@click.option("--to", "ends_on", type=DAY, required=True, help="Its last day.")
@profile_option
def add_convention(store: Store, number: str, **entry: Any) -> None:
    """Enter the convention NUMBER."""
    directory.add_convention(store, number=number, **entry)


@command(convention, "list", "--partner 'CCAS de Lyon'")
@of_partner
@formatted
def list_conventions(store: Store, partner_name: str | None, form: str) -> None:
    """List the conventions."""
    print_rows(directory.Convention, directory.conventions(store, partner_name=partner_name), form=form)


@command(convention, "suspend", "2026-014")
@number_argument
def suspend_convention(store: Store, number: str) -> None:
    """Close what the convention NUMBER opens, from the next request on."""
    directory.suspend_convention(store, number=number)


@command(convention, "resume", "2026-014")
@number_argument
def resume_convention(store: Store, number: str) -> None:
    """Let the suspended convention NUMBER open again."""
    directory.resume_convention(store, number=number)


@click.group()
def account() -> None:
    """The named accounts of agents."""


@command(account, "add", "m.martin --partner 'CCAS de Lyon' --profile T1 --generate")
@identifier_argument
@click.option("--partner", "partner_name", required=True, metavar="NAME")
@profile_option
@stdin_option
@generate_option
def add_account(store: Store, identifier: str, from_stdin: bool, generate: bool, **entry: Any) -> None:
    """Enter the account IDENTIFIER. Its password is asked for, read or generated, never an argument."""
    password = _password(from_stdin, generate)
    directory.add_account(store, identifier=identifier, password=password, **entry)
    if generate:
        click.echo(password)


@command(account, "list", "--format json")
@of_partner
@formatted
def list_accounts(store: Store, partner_name: str | None, form: str) -> None:
    """List the accounts. A locked one shows since when: too many wrong passwords in a row."""
    print_rows(directory.Account, directory.accounts(store, partner_name=partner_name), form=form)


@command(account, "suspend", "m.martin")
@identifier_argument
def suspend_account(store: Store, identifier: str) -> None:
    """Refuse IDENTIFIER, open sessions included."""
    directory.suspend_account(store, identifier=identifier)


@command(account, "resume", "m.martin")
@identifier_argument
def resume_account(store: Store, identifier: str) -> None:
    """Let the suspended IDENTIFIER in again."""
    directory.resume_account(store, identifier=identifier)


@command(account, "unlock", "m.martin")
@identifier_argument
def unlock_account(store: Store, identifier: str) -> None:
    """Let IDENTIFIER in again, whom ten wrong passwords in a row have locked out."""
    directory.unlock_account(store, identifier=identifier)
    click.echo(
        f"{identifier} is let in again. Where failures have only just been, a running gateway may still ask to wait, "
        f"{LONGEST_SECONDS // 60} minutes at most."
    )


@command(account, "profiles", "m.martin --profile T1 --profile T9")
@identifier_argument
@profile_option
def set_profiles(store: Store, identifier: str, profiles: tuple[str, ...]) -> None:
    """Give IDENTIFIER exactly these profiles; without --profile, none."""
    directory.set_profiles(store, identifier=identifier, profiles=profiles)


@command(account, "sign", "m.martin")
@identifier_argument
@click.option("--version", metavar="VERSION", help="Default: the version in the configuration.")
def sign_engagement(store: Store, identifier: str, version: str | None) -> None:
    """Note that IDENTIFIER accepted the personal engagement."""
    asked: settings.Settings = click.get_current_context().obj
    directory.sign_engagement(
        store, identifier=identifier, version=version or asked.identity.engagement_version, now=_now()
    )


@command(account, "withdraw", "m.martin")
@identifier_argument
def withdraw_engagement(store: Store, identifier: str) -> None:
    """Note that IDENTIFIER has no personal engagement any more."""
    directory.withdraw_engagement(store, identifier=identifier)


@command(account, "password", "m.martin --generate")
@identifier_argument
@stdin_option
@generate_option
def set_password(store: Store, identifier: str, from_stdin: bool, generate: bool) -> None:
    """Give IDENTIFIER another password, unlock it and end its sessions."""
    password = _password(from_stdin, generate)
    directory.set_password(store, identifier=identifier, password=password)
    if generate:
        click.echo(password)


@click.group()
def mandate() -> None:
    """The dossiers entrusted to partners and agents."""


@command(
    mandate, "add", "9990001 --kind judgment --partner 'CCAS de Lyon' --from 2026-01-01 --reference 'TJ Lyon 26/17'"
)
@dossier_argument
@click.option("--kind", type=click.Choice(MANDATE_KINDS), required=True)
@click.option("--partner", "partner_name", required=True, metavar="NAME")
@click.option("--account", "identifier", metavar="IDENTIFIER", help="This agent alone. Default: all of the partner.")
@click.option("--from", "starts_on", type=DAY, required=True, help="Its first day.")
@click.option("--to", "ends_on", type=DAY, help="Its last day. Default: open.")
@click.option("--reference", required=True, metavar="TEXT", help="The judgment's or the file's.")
def add_mandate(store: Store, dossier: str, **entry: Any) -> None:
    """Entrust DOSSIER (seven digits) and print the mandate's id."""
    click.echo(directory.add_mandate(store, dossier=dossier, **entry))


@command(mandate, "list", "--dossier 9990001")
@click.option("--dossier", metavar="DIGITS", help="Only this dossier's.")
@of_partner
@formatted
def list_mandates(store: Store, dossier: str | None, partner_name: str | None, form: str) -> None:
    """List the mandates, released ones too."""
    found = directory.mandates(store, dossier=dossier, partner_name=partner_name)
    print_rows(directory.Mandate, found, form=form)


@command(mandate, "release", "12")
@click.argument("mandate_id", metavar="ID", type=click.IntRange(1, 2**31 - 1))
def release_mandate(store: Store, mandate_id: int) -> None:
    """Take the mandate ID back, for good."""
    directory.release_mandate(store, mandate_id=mandate_id, now=_now())


@click.group()
def objection() -> None:
    """The dossiers whose person refused sharing."""


@command(objection, "raise", "9990001 --reference 'letter of 2026-02-03'")
@dossier_argument
@click.option("--reference", required=True, metavar="TEXT", help="The letter's.")
def raise_objection(store: Store, dossier: str, reference: str) -> None:
    """Withhold DOSSIER (seven digits) from external partners."""
    directory.raise_objection(store, dossier=dossier, reference=reference, now=_now())


@command(objection, "lift", "9990001")
@dossier_argument
def lift_objection(store: Store, dossier: str) -> None:
    """End the objection on DOSSIER."""
    directory.lift_objection(store, dossier=dossier, now=_now())


@command(objection, "list", "--dossier 9990001")
@click.option("--dossier", metavar="DIGITS", help="Only this dossier's.")
@formatted
def list_objections(store: Store, dossier: str | None, form: str) -> None:
    """List the objections, lifted ones too."""
    print_rows(directory.Objection, directory.objections(store, dossier=dossier), form=form)


@click.group()
def session() -> None:
    """The open sessions of agents."""


@command(session, "list", "--account m.martin")
@click.option("--account", "identifier", metavar="IDENTIFIER", help="Only this account's.")
@formatted
def list_sessions(store: Store, identifier: str | None, form: str) -> None:
    """List the sessions that have not expired."""
    found = directory.open_sessions(store, identifier=identifier, now=_now())
    print_rows(directory.OpenSession, found, form=form)


@command(session, "end", "m.martin")
@identifier_argument
def end_sessions(store: Store, identifier: str) -> None:
    """End every session of IDENTIFIER and print how many there were."""
    click.echo(directory.end_sessions(store, identifier=identifier))
