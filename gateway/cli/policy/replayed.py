"""A replay, told to people."""

from __future__ import annotations

from collections.abc import Mapping

import click
from rich import box
from rich.table import Table
from rich.text import Text

from gateway.cli.output import print_whole
from gateway.cli.policy.recorded import day
from gateway.policy.replay import Replayed, Tally
from gateway.policy_files.folder import InForce
from gateway.record.reading import Span
from gateway.redaction.compared import compared

MOST_PARTNERS = 20
"""Told in the text; JSON has them all."""


def print_text(result: Replayed, span: Span, before: InForce, after: InForce) -> None:
    """Print what a replay came to."""
    click.echo(f"Consultations since {day(span.since)}: {_n(result.consultations)}; replayed: {_n(result.replayed)}.")
    if span.begins is None or span.begins > span.since:
        begins = "is empty" if span.begins is None else f"begins on {day(span.begins)} only"
        click.echo(f"The record {begins}.")
    if result.not_replayable:
        click.echo(f"Not replayable: {_n(result.not_replayable.total())}")
        for reason, times in result.not_replayable.most_common():
            click.echo(f"  {_n(times):>12}  {reason}")
    if result.elsewhere:
        # Their facts are as good as others'. What they were told then may be neither of the two answers.
        click.echo(
            f"Of the replayed, {_n(result.elsewhere.total())} were decided at the time by other policies "
            f"({', '.join(sorted(name[:12] or 'unnamed' for name in result.elsewhere))}): "
            "they are compared as if those in force had decided."
        )
    click.echo(
        f"In force {before.fingerprint[:12]}, draft {after.fingerprint[:12]}; {_n(result.decided)} distinct facts."
    )
    moved = len(compared(before.routes, after.routes))
    if moved:
        click.echo(f"The route tables differ too ({moved} parts): `cafpro policy diff` shows that, a replay does not.")
    if not result.changes:
        click.echo("None of them would lose or gain anything.")
        return
    click.echo(
        f"{_n(result.touched.lost)} would lose something ({_n(result.touched.left)} something that had left), "
        f"{_n(result.touched.gained)} would gain something; "
        f"{_n(result.refused)} would be refused, {_n(result.admitted)} would be let in."
    )
    labels = {row.slug: row.label for row in (*before.policy.rows, *after.policy.rows)}
    _print_tallies("rubric", {f"{labels[slug]} ({slug})": tally for slug, tally in result.rubrics.items()})
    _print_tallies("profile", result.profiles)
    _print_tallies("partner", result.partners)


def _print_tallies(of: str, tallies: Mapping[str, Tally]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(of, overflow="fold")
    for heading in ("would lose", "of which had left", "would gain"):
        table.add_column(heading, justify="right")
    ranked = sorted(tallies.items(), key=lambda item: (-item[1].gained - item[1].lost, item[0]))
    for name, tally in ranked[:MOST_PARTNERS]:
        table.add_row(Text(name or "(none)"), _n(tally.lost), _n(tally.left), _n(tally.gained))
    print_whole(table)
    if len(ranked) > MOST_PARTNERS:
        click.echo(f"… and {len(ranked) - MOST_PARTNERS} more: --format json has them all.")


def _n(number: int) -> str:
    return f"{number:,}".replace(",", " ")
