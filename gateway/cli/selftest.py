"""`cafpro selftest`: the list of attacks, tried on a deployment from outside, whatever stands in front of it."""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.cli.speaking import FOUND, MISUSE, leave
from gateway.selftest.catalogue import LINES
from gateway.selftest.kit import CHECKS, INSIDE, carry_out, lines_inside
from gateway.selftest.site import Account, NotUsable, Site, plainly
from gateway.selftest.verdicts import Check, Result, Verdict
from gateway.selftest.wire import PER_SECOND, Limited, OutOfTime, Place, Unreachable, Wire, place_of

PASSWORD: Final = "CAFPRO_PASSWORD"  # noqa: S105 - the name of a variable
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
DIGITS: Final = 7


class Lines(click.ParamType[tuple[int, ...]]):
    """Lines of the list, `1,3,7`."""

    name = "1,3,7"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        known = {str(line.number) for line in LINES}
        words = [word.strip() for word in str(value).split(",")]
        if not set(words) <= known:
            self.fail(f"lines are numbers from 1 to {len(LINES)}, separated by commas.", param, ctx)
        return tuple(int(word) for word in words)


class Number(click.ParamType[str]):
    """A dossier number."""

    name = "NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not (len(text) == DIGITS and text.isascii() and text.isdigit()):
            self.fail(f"a dossier number has {DIGITS} digits.", param, ctx)
        return text


def address(context: click.Context, parameter: click.Parameter, value: str | None) -> Place | None:
    """The place that `--url` names."""
    try:
        return place_of(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command(
    epilog="\b\nExample:\n"
    "  cafpro selftest --url https://cafpro.example --as m.durand --dossier 9990001\n"
    "  cafpro selftest --url https://cafpro.example --as m.durand --only 1,2,3 --format json\n"
    "  cafpro selftest --list"
)
@click.option("--url", "place", callback=address, metavar="URL", help="What agents type: scheme, host and port.")
@click.option("--as", "identifier", metavar="IDENTIFIER", help="An account that may log in.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"A file whose first line is the password; otherwise {PASSWORD}, otherwise it is asked for.",
)
@click.option("--profile", metavar="T1…T16", help="Which of the account's profiles, where it holds several.")
@click.option("--dossier", "dossiers", type=Number(), multiple=True, help="One that the account may read; repeatable.")
@click.option("--closed-dossier", "closed", type=Number(), multiple=True, help="One that it may not read; repeatable.")
@click.option(
    "--ca", type=click.Path(path_type=Path, dir_okay=False), help="The authority that signed the certificate."
)
@click.option("--only", type=Lines(), default=(), help="These lines of the list alone.")
@click.option("--limits", is_flag=True, help="Also fail log-ins until this address is refused for a while.")
@click.option("--list", "listed", is_flag=True, help="Show the list and its checks, and send nothing.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def selftest(
    place: Place | None,
    identifier: str | None,
    password_file: Path | None,
    profile: str | None,
    dossiers: Sequence[str],
    closed: Sequence[str],
    ca: Path | None,
    only: tuple[int, ...],
    limits: bool,
    listed: bool,
    form: str,
) -> None:
    """Try the list of attacks on a running deployment, from outside, through whatever stands in front of it.

    Harmless: nothing is changed but sessions of the account's own; wrong passwords are tried for identifiers that do
    not exist. The dossiers that are given are consulted, and recorded as such. It stays below the gateway's default
    limits, and takes a minute or two.

    Exit 0: nothing was found. Exit 1: something was, or a check that applies could not be finished. Exit 2: it could
    not begin.
    """
    if listed:
        _print_list(form)
        return
    if place is None or not identifier:
        raise click.UsageError("--url and --as are needed, or --list.")
    if not place.secure and place.host not in LOOPBACK:
        leave([f"{place.origin} would be told the password in clear: give the https address."], status=MISUSE)
    account = Account(identifier, password_in(password_file), profile)
    wire = Wire(place, context=_trust(ca), per_second=PER_SECOND)
    site = Site(
        wire, account, dossiers=tuple(dict.fromkeys(dossiers)), closed=tuple(dict.fromkeys(closed)), limits=limits
    )
    try:
        wire.reach()
        site.begin()
    except (Unreachable, NotUsable) as problem:
        leave([str(problem)], status=MISUSE)
    except (Limited, OutOfTime) as problem:
        leave([f"The log-in is not possible now ({problem or 'the time is over'})."], status=MISUSE)
    try:
        results = _carried_out(site, only)
    finally:
        site.end()
    print_report(place, site, results, form=form)
    if any(result.verdict is Verdict.FAILED or result.unfinished for result in results):
        sys.exit(FOUND)


def _carried_out(site: Site, only: Sequence[int]) -> list[Result]:
    with _progress(len([check for check in CHECKS if not only or check.line in only])) as tell:
        return list(carry_out(site, only=only, beginning=tell))


@contextmanager
def _progress(checks: int) -> Iterator[Any]:
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=checks)
        begun = 0

        def tell(check: Check) -> None:
            nonlocal begun
            progress.update(task, description=f"line {check.line}, {check.name}", completed=begun)
            begun += 1

        yield tell


def password_in(file: Path | None) -> str:
    """The first line of the file, else the variable, else what is typed. Ends the command where there is none."""
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, ValueError):
            leave([f"--password-file: {file} cannot be read as text."], status=MISUSE)
        password = lines[0] if lines else ""
    else:
        password = os.environ.get(PASSWORD) or click.prompt("Password", hide_input=True, err=True)
    if not password:
        leave(["The password is empty."], status=MISUSE)
    return password


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca) if ca else None)
    except OSError:
        leave([f"--ca: {ca} cannot be read as a certificate in PEM."], status=MISUSE)


def print_report(place: Place, site: Site, results: Sequence[Result], *, form: str) -> None:
    """Print what became of every check and line. No password, token, dossier number or content is in it."""
    counted = Counter(result.verdict for result in results)
    if form == "json":
        profile = site.who.get("profile")
        report = {
            "url": place.origin,
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "identifier": site.account.identifier,
            "profile": plainly(profile) if isinstance(profile, str) else None,
            "dossiers": len(site.dossiers),
            "counts": {str(verdict): counted[verdict] for verdict in Verdict},
            "results": [result.shown() for result in sorted(results, key=lambda result: result.line)],
        }
        # In ASCII: whatever else a deployment wrote, a terminal obeys nothing of it.
        click.echo(json.dumps(report, indent=2))
        return
    for result in sorted(results, key=lambda result: result.line):
        click.echo(f"{result.line:>2}  {result.check:<22} {result.verdict:<15} {_in_short(result)}")
    for result in results:
        if result.verdict is Verdict.FAILED:
            _print_failure(result)
    unfinished = sum(result.unfinished for result in results)
    click.echo("")
    click.echo(
        f"{place.origin}: {counted[Verdict.PASSED]} passed, {counted[Verdict.FAILED]} failed, "
        f"{counted[Verdict.NOT_APPLICABLE]} not applicable{f' ({unfinished} unfinished)' if unfinished else ''}."
    )


def _in_short(result: Result) -> str:
    if result.verdict is Verdict.NOT_APPLICABLE:
        return f"{result.sent}: {result.reason}"
    return f"{result.sent} → {result.came}" if result.came else result.sent


def _print_failure(result: Result) -> None:
    click.echo("")
    click.echo(f"Line {result.line} ({result.family}), {result.check}: FAILED")
    for finding in result.findings:
        click.echo(f"  sent: {finding.sent}")
        click.echo(f"  came: {finding.came}")
    click.echo(f"  look: {result.hint}")
    click.echo(f"  see:  {', '.join(result.references)}")


def _print_list(form: str) -> None:
    inside = {line.number for line in lines_inside()}
    if form == "json":
        shown = [
            {
                "line": line.number,
                "family": line.family,
                "attack": line.attack,
                "references": list(line.references),
                "checks": [{"check": c.name, "sent": c.sent} for c in CHECKS if c.line == line.number],
            }
            for line in LINES
        ]
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    for line in LINES:
        click.echo(f"{line.number:>2}  {line.attack}  ({', '.join(line.references)})")
        for check in CHECKS:
            if check.line == line.number:
                click.echo(f"      {check.name}: {check.sent}")
        if line.number in inside:
            click.echo(f"      {INSIDE}")
