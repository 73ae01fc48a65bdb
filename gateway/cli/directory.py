"""`cafpro partner|convention|account|mandate|objection|session|change`: the directory, changed while all runs."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import click

from gateway import settings
from gateway.cli.options import configuration
from gateway.cli.output import FORMATS, print_rows
from gateway.cli.speaking import FOUND, MISUSE, leave
from gateway.database.opening import is_file
from gateway.errors import Misconfigured, StoreUnavailable
from gateway.identity import directory
from gateway.identity.entries import LARGEST_ID
from gateway.identity.facts import local_date
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
                # A file that is gone is to be put back: a gateway at work would go on in another one.
                store = open_store(found.store.url, make=not is_file(found.store.url))
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

        made = click.command(name, epilog=f"\b\nExample:\n  cafpro {group.name} {name} {example}")(configuration(run))
        group.add_command(made)
        return made

    return decorate


by_option = click.option("--by", metavar="WHO", help="Who does it. Default: the operating system's user.")
why_option = click.option("--why", default="", metavar="TEXT", help="Why, for whoever reads `cafpro change list`.")
why_needed = click.option("--why", required=True, metavar="TEXT", help="Why, for whoever reads `cafpro change list`.")


def change_command(
    group: click.Group, name: str, example: str, *, why: Callable[[Any], Any] = why_option
) -> Callable[[Callable[..., None]], click.Command]:
    """A `command` that changes the directory: its function is also given `signed`, of --by and --why."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def sign(store: Store, by: str | None, why: str, **parameters: Any) -> None:
            signed = directory.Signature(why=why) if by is None else directory.Signature(by, why)
            function(store, signed=signed, **parameters)

        return command(group, name, example)(by_option(why(sign)))

    return decorate


def _settings() -> settings.Settings:
    found: settings.Settings = click.get_current_context().obj
    return found


def _today() -> date:
    """The day in the configured time zone."""
    return local_date(_settings().identity, _now())


def _today_in(state: str | None) -> tuple[str, date] | None:
    return None if state is None else (state, _today())


def _now() -> datetime:
    return datetime.now(UTC)


def _password(from_stdin: bool, generate: bool) -> str:
    """The password an administrator gives: generated, one line of standard input, or asked for."""
    if from_stdin and generate:
        raise click.UsageError("--password-stdin and --generate exclude each other.")
    if generate:
        return new_password()
    if from_stdin:
        return read_typed("password")
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return asked


def read_typed(what: str) -> str:
    """What is so called, on the next line of standard input; nothing where it has ended."""
    try:
        return sys.stdin.buffer.readline(_LONGEST_LINE).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"the {what} on standard input is not UTF-8.") from None


def print_shown(shown: directory.Shown[Any], *, form: str) -> None:
    """One entry in the form that was asked for. A table is followed by what was done to it."""
    print_rows(type(shown.entry), [shown.entry], form=form)
    if form == "table":
        print_rows(directory.Change, shown.changes, form=form)


formatted = click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
of_partner = click.option("--partner", "partner_name", metavar="NAME", help="Only this partner's.")


def in_state(states: Collection[str]) -> Callable[[Any], Any]:
    """The option --state, one of these."""
    return click.option("--state", type=click.Choice(list(states)), help="Only those that are so, today.")


identifier_argument = click.argument("identifier")
dossier_argument = click.argument("dossier")
number_argument = click.argument("number")
max_agents_option = click.option(
    "--max-agents", type=int, metavar="N", help="How many agents may have its profiles. Default: any number."
)
function_option = click.option("--function", metavar="TEXT", help="What the agent does there.")
profile_option = click.option("--profile", "profiles", multiple=True, metavar="T1…T16", help="Repeat for several.")
stdin_option = click.option("--password-stdin", "from_stdin", is_flag=True, help="Read it from standard input.")
generate_option = click.option("--generate", is_flag=True, help="Make one and print it, once.")


@click.group()
def partner() -> None:
    """The organisations whose agents log in."""


@change_command(partner, "add", "'CCAS de Lyon' --kind external --siret 73282932000074")
@click.argument("name")
@click.option("--kind", type=click.Choice(PARTNER_KINDS), default="external", show_default=True)
@click.option("--siret", metavar="DIGITS", help="Fourteen digits, as Insee gave them.")
def add_partner(store: Store, name: str, **entry: Any) -> None:
    """Enter the partner NAME."""
    directory.add_partner(store, name=name, **entry)


@change_command(partner, "siret", "'CCAS de Lyon' 73282932000074")
@click.argument("name")
@click.argument("siret")
def set_siret(store: Store, name: str, siret: str, signed: directory.Signature) -> None:
    """Give the partner NAME its SIRET, or another."""
    directory.set_siret(store, name=name, siret=siret, signed=signed)


@command(partner, "list", "--format csv")
@click.option("--kind", type=click.Choice(PARTNER_KINDS), help="Only those of this kind.")
@formatted
def list_partners(store: Store, kind: str | None, form: str) -> None:
    """List the partners."""
    print_rows(directory.Partner, directory.partners(store, kind=kind), form=form)


@click.group()
def convention() -> None:
    """The agreements that open profiles to partners."""


@change_command(
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
@max_agents_option
def add_convention(store: Store, number: str, **entry: Any) -> None:
    """Enter the convention NUMBER."""
    directory.add_convention(store, number=number, **entry)


@command(convention, "list", "--state in_force --partner 'CCAS de Lyon'")
@of_partner
@in_state(directory.CONVENTION_STATES)
@formatted
def list_conventions(store: Store, partner_name: str | None, state: str | None, form: str) -> None:
    """List the conventions."""
    found = directory.conventions(store, partner_name=partner_name, state=_today_in(state))
    print_rows(directory.Convention, found, form=form)


@change_command(convention, "suspend", "2026-014")
@number_argument
def suspend_convention(store: Store, number: str, signed: directory.Signature) -> None:
    """Close what the convention NUMBER opens, from the next request on."""
    directory.suspend_convention(store, number=number, signed=signed)


@change_command(convention, "resume", "2026-014")
@number_argument
def resume_convention(store: Store, number: str, signed: directory.Signature) -> None:
    """Let the suspended convention NUMBER open again."""
    directory.resume_convention(store, number=number, signed=signed)


@change_command(convention, "limit", "2026-014 --max-agents 12 --why 'amendment of 2026-03-01'")
@number_argument
@max_agents_option
def limit_convention(store: Store, number: str, max_agents: int | None, signed: directory.Signature) -> None:
    """Allow the convention NUMBER so many agents; without --max-agents, any number."""
    directory.limit_convention(store, number=number, max_agents=max_agents, signed=signed)


@click.group()
def account() -> None:
    """The named accounts of agents."""


@change_command(account, "add", "m.martin --partner 'CCAS de Lyon' --profile T1 --invite")
@identifier_argument
@click.option("--partner", "partner_name", required=True, metavar="NAME")
@profile_option
@function_option
@stdin_option
@generate_option
@click.option("--invite", "invited", is_flag=True, help="Print a link, once, with which the agent chooses one.")
def add_account(store: Store, identifier: str, from_stdin: bool, generate: bool, invited: bool, **entry: Any) -> None:
    """Enter the account IDENTIFIER. Its password is chosen by the agent (--invite), asked for, read or generated, never
    an argument.
    """
    if invited:
        if from_stdin or generate:
            raise click.UsageError("--invite leaves the password to the agent: no other way to give it goes with it.")
        hours = _settings().identity.activation_hours
        _print_link(directory.invite_new(store, identifier=identifier, hours=hours, now=_now(), **entry))
        return
    password = _password(from_stdin, generate)
    directory.add_account(store, identifier=identifier, password=password, **entry)
    if generate:
        click.echo(password)


@change_command(account, "invite", "m.martin --why 'has forgotten the password'")
@identifier_argument
def invite_account(store: Store, identifier: str, signed: directory.Signature) -> None:
    """Print a link, once, with which IDENTIFIER chooses another password. The link of before is void."""
    hours = _settings().identity.activation_hours
    _print_link(directory.invite(store, identifier=identifier, hours=hours, now=_now(), signed=signed))


def _print_link(made: directory.Invitation) -> None:
    """On standard output the link alone. Whoever has it is the agent: it is told nowhere else."""
    click.echo(made.link(_settings().server.public_url))
    click.echo(f"It works once, until {made.expires_at:%Y-%m-%d %H:%M} UTC. Send it to the agent alone.", err=True)


@command(account, "list", "--state locked --format json")
@of_partner
@in_state(directory.ACCOUNT_STATES)
@formatted
def list_accounts(store: Store, partner_name: str | None, state: str | None, form: str) -> None:
    """List the accounts, closed ones too. A locked one shows since when: too many wrong passwords in a row."""
    print_rows(directory.Account, directory.accounts(store, partner_name=partner_name, state=state), form=form)


@change_command(account, "suspend", "m.martin")
@identifier_argument
def suspend_account(store: Store, identifier: str, signed: directory.Signature) -> None:
    """Refuse IDENTIFIER, open sessions included."""
    directory.suspend_account(store, identifier=identifier, signed=signed)


@change_command(account, "resume", "m.martin")
@identifier_argument
def resume_account(store: Store, identifier: str, signed: directory.Signature) -> None:
    """Let the suspended IDENTIFIER in again."""
    directory.resume_account(store, identifier=identifier, signed=signed)


@change_command(account, "unlock", "m.martin")
@identifier_argument
def unlock_account(store: Store, identifier: str, signed: directory.Signature) -> None:
    """Let IDENTIFIER in again, whom ten wrong passwords in a row have locked out."""
    directory.unlock_account(store, identifier=identifier, signed=signed)
    click.echo(
        f"{identifier} is let in again. Where failures have only just been, a running gateway may still ask to wait, "
        f"{LONGEST_SECONDS // 60} minutes at most."
    )


@change_command(account, "profiles", "m.martin --profile T1 --profile T9")
@identifier_argument
@profile_option
def set_profiles(store: Store, identifier: str, profiles: tuple[str, ...], signed: directory.Signature) -> None:
    """Give IDENTIFIER exactly these profiles; without --profile, none: of a Caf's, that is the staff."""
    if directory.set_profiles(store, identifier=identifier, profiles=profiles, signed=signed):
        click.echo(
            f"{identifier} is of the staff now. The password of before is void, and so is an activation link: "
            f"give another one with `cafpro account password {identifier}`."
        )


@change_command(account, "sign", "m.martin")
@identifier_argument
@click.option("--version", metavar="VERSION", help="Default: the version in the configuration.")
def sign_engagement(store: Store, identifier: str, version: str | None, signed: directory.Signature) -> None:
    """Note that IDENTIFIER accepted the personal engagement."""
    version = version or _settings().identity.engagement_version
    directory.sign_engagement(store, identifier=identifier, version=version, now=_now(), signed=signed)


@change_command(account, "withdraw", "m.martin")
@identifier_argument
def withdraw_engagement(store: Store, identifier: str, signed: directory.Signature) -> None:
    """Note that IDENTIFIER has no personal engagement any more."""
    directory.withdraw_engagement(store, identifier=identifier, signed=signed)


@change_command(account, "delegate", "m.martin --why 'letter of the director, 2026-03-01'")
@identifier_argument
def delegate_account(store: Store, identifier: str, signed: directory.Signature) -> None:
    """Let IDENTIFIER manage the agents of its own partner, within the conventions, at /-/agents."""
    directory.delegate_account(store, identifier=identifier, signed=signed)


@change_command(account, "undelegate", "m.martin")
@identifier_argument
def undelegate_account(store: Store, identifier: str, signed: directory.Signature) -> None:
    """Let IDENTIFIER manage nobody any more."""
    directory.undelegate_account(store, identifier=identifier, signed=signed)


@change_command(account, "password", "m.martin --generate")
@identifier_argument
@stdin_option
@generate_option
def set_password(store: Store, identifier: str, from_stdin: bool, generate: bool, signed: directory.Signature) -> None:
    """Give IDENTIFIER another password, unlock it and end its sessions."""
    password = _password(from_stdin, generate)
    directory.set_password(store, identifier=identifier, password=password, signed=signed)
    if generate:
        click.echo(password)


@change_command(account, "second-factor", "m.martin --reset --why 'lost the telephone'")
@identifier_argument
@click.option("--reset", is_flag=True, required=True, help="Take it away, for whoever has lost the application.")
def reset_second_factor(store: Store, identifier: str, reset: bool, signed: directory.Signature) -> None:
    """Let IDENTIFIER, who has lost the second factor, log in with the password alone, and end its sessions."""
    ended = directory.reset_factor(store, identifier=identifier, signed=signed)
    click.echo(f"{identifier} has no second factor any more: {ended} sessions ended.")


@change_command(account, "function", "m.martin 'social worker'")
@identifier_argument
@click.argument("function")
def set_function(store: Store, identifier: str, function: str, signed: directory.Signature) -> None:
    """Note that IDENTIFIER is FUNCTION at the partner's."""
    directory.set_function(store, identifier=identifier, function=function, signed=signed)


@change_command(account, "confirm", "m.martin --why 'review of 2026'")
@identifier_argument
def confirm_account(store: Store, identifier: str, signed: directory.Signature) -> None:
    """Note that IDENTIFIER still needs the account as it is."""
    directory.confirm_account(store, identifier=identifier, today=_today(), signed=signed)


@command(account, "review", "--caisse 691 --format csv")
@click.option("--caisse", metavar="DIGITS", help="Only partners that this Caf has signed with.")
@formatted
def review_accounts(store: Store, caisse: str | None, form: str) -> None:
    """List accounts that nobody has confirmed for a year or used for 90 days, conventions that end within 60, and
    requests to join that nobody has decided for 90."""
    print_rows(directory.Finding, directory.review(store, today=_today(), caisse=caisse), form=form)


@change_command(account, "close", "m.martin --why 'left on 2026-06-30'", why=why_needed)
@identifier_argument
def close_account(store: Store, identifier: str, signed: directory.Signature) -> None:
    """Close the account of IDENTIFIER, who has left: for good, and with it its sessions and its own mandates."""
    left = directory.close_account(store, identifier=identifier, signed=signed, now=_now())
    released = f" ({', '.join(map(str, left.mandates))})" if left.mandates else ""
    click.echo(
        f"{identifier} is closed: {left.sessions} sessions ended, {len(left.mandates)} mandates released{released}."
    )


@click.group()
def mandate() -> None:
    """The dossiers entrusted to partners and agents."""


@change_command(
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
@in_state(directory.MANDATE_STATES)
@formatted
def list_mandates(store: Store, dossier: str | None, partner_name: str | None, state: str | None, form: str) -> None:
    """List the mandates, released ones too."""
    found = directory.mandates(store, dossier=dossier, partner_name=partner_name, state=_today_in(state))
    print_rows(directory.Mandate, found, form=form)


@change_command(mandate, "release", "12")
@click.argument("mandate_id", metavar="ID", type=click.IntRange(1, LARGEST_ID))
def release_mandate(store: Store, mandate_id: int, signed: directory.Signature) -> None:
    """Take the mandate ID back, for good."""
    directory.release_mandate(store, mandate_id=mandate_id, now=_now(), signed=signed)


@click.group()
def objection() -> None:
    """The dossiers whose person refused sharing."""


@change_command(objection, "raise", "9990001 --reference 'letter of 2026-02-03'")
@dossier_argument
@click.option("--reference", required=True, metavar="TEXT", help="The letter's.")
def raise_objection(store: Store, dossier: str, reference: str, signed: directory.Signature) -> None:
    """Withhold DOSSIER (seven digits) from external partners."""
    directory.raise_objection(store, dossier=dossier, reference=reference, now=_now(), signed=signed)


@change_command(objection, "lift", "9990001")
@dossier_argument
def lift_objection(store: Store, dossier: str, signed: directory.Signature) -> None:
    """End the objection on DOSSIER."""
    directory.lift_objection(store, dossier=dossier, now=_now(), signed=signed)


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


@change_command(session, "end", "m.martin")
@identifier_argument
@click.option("--only", metavar="ID", help="Only this one, as `cafpro session list` names it. The others go on.")
def end_sessions(store: Store, identifier: str, only: str | None, signed: directory.Signature) -> None:
    """End every session of IDENTIFIER and print how many there were."""
    click.echo(directory.end_sessions(store, identifier=identifier, only=only, signed=signed))


@click.group()
def change() -> None:
    """Everything that was done to the directory: by whom, when and why."""


@command(change, "list", "--subject m.martin --since 2026-01-01")
@click.option("--subject", metavar="NAME", help="Only what was done to this account, partner, number or dossier.")
@click.option("--act", metavar="WORDS", help="Only this, such as 'account close', or 'account' for all of these.")
@click.option("--by", metavar="WHO", help="Only what they did.")
@click.option("--since", type=DAY, help="From this day on (UTC).")
@click.option("--until", type=DAY, help="To this day, which counts (UTC).")
@formatted
def list_changes(store: Store, form: str, **asked: Any) -> None:
    """List the changes, the first first. None of them can be altered or removed."""
    print_rows(directory.Change, directory.changes(store, **asked), form=form)
