"""`cafpro policy matrix`: the table as the policies really decide it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from gateway.cli.output import harmless
from gateway.cli.policy.folder import folder
from gateway.cli.speaking import leave
from gateway.errors import Misconfigured
from gateway.policy.lint import Row
from gateway.policy.matrix import matrix as asked_matrix
from gateway.policy_files.folder import load_folder

Cells = Mapping[str, frozenset[str]]


@click.command(
    "matrix",
    epilog="\b\nExample:\n  cafpro policy matrix\n  cafpro policy matrix --format html > who-sees-what.html",
)
@click.option("--policies", type=click.Path(path_type=Path), help="The folder; otherwise the configuration's.")
@click.option("--config", "-c", type=click.Path(path_type=Path), help="The configuration that names the folder.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "markdown", "html", "json"]), default="table")
def matrix(policies: Path | None, config: Path | None, form: str) -> None:
    """Who sees what, decided cell by cell by the policies themselves, where every condition holds."""
    try:
        loaded = load_folder(folder(policies, config))
    except Misconfigured as error:
        leave(error.problems)
    _SHAPES[form](loaded.policy.rows, asked_matrix(loaded.policy))


def _table(rows: Sequence[Row], cells: Cells) -> None:
    table = Table(box=box.SIMPLE_HEAD, caption=f"{sum(map(len, cells.values()))} open cells")
    table.add_column("rubric", no_wrap=True)
    for profile in cells:
        table.add_column(profile, justify="center", no_wrap=True)
    for row in rows:
        table.add_row(row.label, *("X" if row.slug in opened else "" for opened in cells.values()))
    console = Console()
    Console(width=max(console.width, 120)).print(table)


def _csv(rows: Sequence[Row], cells: Cells) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rubric", "label", *cells])
    for row in rows:
        writer.writerow(
            [
                harmless(row.slug),
                harmless(row.label),
                *("1" if row.slug in opened else "0" for opened in cells.values()),
            ]
        )
    click.echo(text.getvalue(), nl=False)


def _markdown(rows: Sequence[Row], cells: Cells) -> None:
    click.echo(f"| Rubrique | {' | '.join(cells)} |")
    click.echo(f"|---|{':-:|' * len(cells)}")
    for row in rows:
        marks = " | ".join("X" if row.slug in opened else " " for opened in cells.values())
        # Markdown may hold HTML and links, and a bar ends a cell.
        label = re.sub(r"[\\`*_\[\]<>|&]", lambda found: f"&#{ord(found[0])};", row.label)
        click.echo(f"| {label} | {marks} |")


def _json(rows: Sequence[Row], cells: Cells) -> None:
    shown = [
        {
            "rubric": row.slug,
            "label": row.label,
            "profiles": [profile for profile, opened in cells.items() if row.slug in opened],
            "source": row.source,
        }
        for row in rows
    ]
    click.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2))


def _html(rows: Sequence[Row], cells: Cells) -> None:
    head = "".join(f'<th scope="col">{escape(profile)}</th>' for profile in cells)
    lines = [
        f'<tr><th scope="row" title="{escape(row.source)}">{escape(row.label)}</th>'
        + "".join(f"<td>{'X' if row.slug in opened else ''}</td>" for opened in cells.values())
        + "</tr>"
        for row in rows
    ]
    click.echo(_PAGE.format(head=head, body="\n".join(lines)))


_PAGE: Final = """<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><title>Cafpro : qui voit quoi</title>
<style>body{{font-family:sans-serif}}table{{border-collapse:collapse}}th,td{{border:1px solid #999;padding:.3em .6em}}
td{{text-align:center}}th[scope=row]{{text-align:left}}tr:hover{{background:#eef}}</style></head>
<body><h1>Qui voit quoi</h1><table><thead><tr><th scope="col">Rubrique</th>{head}</tr></thead><tbody>
{body}
</tbody></table></body></html>"""

_SHAPES: Final[Mapping[str, Callable[[Sequence[Row], Cells], None]]] = {
    "table": _table,
    "csv": _csv,
    "markdown": _markdown,
    "html": _html,
    "json": _json,
}
