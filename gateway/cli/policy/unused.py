"""`cafpro policy unused`: rights that nobody uses, and a draft that closes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import click
import msgspec

from gateway import settings as settings_module
from gateway.cli.options import configuration
from gateway.cli.policy.recorded import PERIOD, day, left_of, the_record
from gateway.cli.speaking import FOUND, MISUSE, leave
from gateway.errors import Misconfigured, StoreUnavailable
from gateway.policy.enumeration import openings
from gateway.policy.layout import MATRIX
from gateway.policy.unused import Usage, without_cells
from gateway.policy.unused import unused as unused_of
from gateway.policy_files.drafting import write_draft
from gateway.policy_files.folder import load_texts, read, shipped
from gateway.record.reading import Counted, Span

Unused = Mapping[str, Sequence[str]]


@click.command(
    "unused",
    epilog="\b\nExample:\n  cafpro policy unused --since 90d\n"
    "  cafpro policy unused --since 180d --draft drafts/unused\n  cafpro policy diff . drafts/unused",
)
@click.option("--since", type=PERIOD, required=True, metavar="90d", help="How far back: 90d, 12h.")
@click.option("--draft", type=click.Path(path_type=Path), metavar="DIR", help="Write a folder with these cells closed.")
@click.option("--policies", type=click.Path(path_type=Path), help="The folder; otherwise the configuration's.")
@configuration
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def unused(since: timedelta, draft: Path | None, policies: Path | None, config: Path, form: str) -> None:
    """The cells that are open and of which nothing has left, for each profile, by the record.

    A cell is open that some situation opens. It was used where the rubric was in an answer to the profile, under
    whatever policies. That the record was read is recorded.

    With --draft, a complete folder of the same policies is written, with these cells taken off their rows and all else
    as it was. It is only a draft: `policy diff`, `replay` and `approve` take it from there.

    Exit 0: every open cell is used. Exit 1: some are not, or the record cannot be read, or the draft not be written.
    Exit 2: misuse, or the policies or the configuration cannot be read.
    """
    try:
        found = settings_module.load(config, os.environ)
        texts = read(policies or found.policies.path or shipped())
        policy = load_texts(texts).policy
    except Misconfigured as error:
        leave(error.problems, status=MISUSE)
    if draft and os.path.lexists(draft):
        raise click.UsageError(f"{draft}: exists already; a draft is never written over anything.")
    try:
        with the_record(found, since, command="cafpro policy unused") as (span, rows):
            usage, decided_from = used(rows, policy.fingerprint)
        cells = unused_of(policy, openings(policy), usage)
        if draft:
            closed = [(profile, slug) for profile, slugs in cells.items() for slug in slugs]
            closing = {**texts, MATRIX: without_cells(texts[MATRIX], closed)}
            load_texts(closing)
            write_draft(draft, closing)
    except Misconfigured as error:
        leave(error.problems)
    except StoreUnavailable as error:
        leave([f"The record cannot be read now: {error.because}."])
    warnings = list(_warnings(span, decided_from))
    if form == "json":
        click.echo(
            msgspec.json.format(
                msgspec.json.encode(
                    {
                        "since": span.since,
                        "record_begins": span.begins,
                        "policy": policy.fingerprint,
                        "policy_decides_since": decided_from,
                        "warnings": warnings,
                        "answers": {profile: usage.profiles[profile] for profile in policy.profiles},
                        "unused": cells,
                        "draft": str(draft) if draft else None,
                    }
                ),
                indent=2,
            )
        )
    else:
        _print_text(cells, usage, span)
        if draft:
            click.echo(f"{draft}: a draft with these cells closed, for `cafpro policy diff` and `replay`.")
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
    if any(cells.values()):
        raise SystemExit(FOUND)


def used(rows: Iterable[Counted], fingerprint: str) -> tuple[Usage, datetime | None]:
    """What left, by profile; and when these policies are first named, None where they never are.

    Raises `StoreUnavailable` where a row does not say what left.
    """
    usage, since = Usage(), None
    for row in rows:
        try:
            rubrics = left_of(row.kind.rubrics)
        except (msgspec.DecodeError, UnicodeError):
            raise StoreUnavailable("the record holds a row that does not say what left") from None
        if rubrics:
            usage.left(row.kind.profile, rubrics, row.times)
        if row.kind.policy == fingerprint:
            since = min(since or row.first, row.first)
    return usage, since


def _warnings(span: Span, decided_from: datetime | None) -> Iterable[str]:
    if span.begins is None:
        yield "the record is empty: nothing can be said of what is used."
    elif span.begins > span.since:
        yield f"the record begins on {day(span.begins)}, later than {day(span.since)}: it says nothing of before."
    if span.begins is not None and decided_from is None:
        yield "nothing in this period was decided by these policies: a cell that they opened could not be used yet."
    elif decided_from is not None and decided_from - span.since > timedelta(days=1):
        yield f"these policies decide since {day(decided_from)}: a cell that they opened could not be used before."


def _print_text(cells: Unused, usage: Usage, span: Span) -> None:
    total = sum(map(len, cells.values()))
    click.echo(f"Open and not used since {day(span.since)}: {total} cells.")
    for profile, slugs in cells.items():
        answers = usage.profiles[profile]
        said = f"{answers} answers" if answers else "nobody with this profile was answered"
        if slugs:
            click.echo(f"  {profile} ({said}): {', '.join(slugs)}")
