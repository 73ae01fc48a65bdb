"""`cafpro policy matrix`: the table as the policies really decide it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.output import harmless
from gateway.cli.policy.folder import folder
from gateway.cli.policy.pages import markdown_text
from gateway.cli.policy.picture import as_html, as_svg, legend
from gateway.cli.speaking import leave
from gateway.errors import Misconfigured
from gateway.policy.grid import Grid
from gateway.policy.matrix import matrix as asked_matrix
from gateway.policy.wording import requirements
from gateway.policy_files.enumerated import enumerated
from gateway.policy_files.folder import InForce, load_texts, read


@click.command(
    "matrix",
    epilog="\b\nExample:\n  cafpro policy matrix\n  cafpro policy matrix --format html > who-sees-what.html",
)
@click.option("--policies", type=click.Path(path_type=Path), help="The folder; otherwise the configuration's.")
@click.option("--config", "-c", type=click.Path(path_type=Path), help="The configuration that names the folder.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "markdown", "html", "svg", "json"]),
    default="table",
    show_default=True,
    help="html and svg are in French, for whoever decides.",
)
def matrix(policies: Path | None, config: Path | None, form: str) -> None:
    """Who sees what, and under which conditions, decided cell by cell by the policies themselves.

    Every situation is tried, which takes some seconds. csv is quick and says 1 where a cell is open when every
    condition holds.
    """
    try:
        texts = read(folder(policies, config))
        if form == "csv":
            click.echo(_csv(load_texts(texts)), nl=False)
            return
        with Console(stderr=True).status("Every situation is decided…"):
            grid = Grid(enumerated(texts))
    except Misconfigured as error:
        leave(error.problems)
    if form == "table":
        _print_table(grid)
    else:
        click.echo(_SHAPES[form](grid))


def _print_table(grid: Grid) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("rubric", "open", no_wrap=True)
    for profile in grid.profiles:
        table.add_column(profile, str(grid.of_profile(profile)), justify="center", no_wrap=True)
    table.add_column("profiles", str(grid.total), justify="right", no_wrap=True)
    for row in grid.rows:
        marks = (grid.mark(profile, row.slug) for profile in grid.profiles)
        table.add_row(Text(row.label), *marks, str(grid.of_row(row.slug)))
    console = Console(highlight=False)
    Console(width=max(console.width, 120)).print(table)
    for entry in legend(grid, "en"):
        console.print(Text(f"{entry.mark:>3}  {entry.sentence}"), soft_wrap=True)
    console.print(Text(f"{grid.total} open cells of {len(grid.rows) * len(grid.profiles)}."))
    console.print(Text(f"fingerprint {grid.fingerprint}"), soft_wrap=True)


def _csv(loaded: InForce) -> str:
    cells = asked_matrix(loaded.policy)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rubric", "label", *cells])
    for row in loaded.policy.rows:
        marks = ("1" if row.slug in opened else "0" for opened in cells.values())
        writer.writerow([harmless(row.slug), harmless(row.label), *marks])
    return text.getvalue()


def _markdown(grid: Grid) -> str:
    lines = [
        f"| Rubrique | {' | '.join(grid.profiles)} | Profils | Source |",
        f"|---|{':-:|' * len(grid.profiles)}--:|---|",
    ]
    for row in grid.rows:
        marks = " | ".join(grid.mark(profile, row.slug) or " " for profile in grid.profiles)
        label, source = markdown_text(row.label), markdown_text(row.source)
        lines.append(f"| {label} | {marks} | {grid.of_row(row.slug)} | {source} |")
    totals = " | ".join(f"**{grid.of_profile(profile)}**" for profile in grid.profiles)
    lines += [f"| **Rubriques ouvertes** | {totals} | **{grid.total}** |   |", ""]
    lines += [f"- {entry.mark} : {markdown_text(entry.sentence)}" for entry in legend(grid, "fr")]
    return "\n".join([*lines, "", f"Empreinte des politiques : `{grid.fingerprint}`"])


def _json(grid: Grid) -> str:
    shown = [
        {
            "rubric": row.slug,
            "label": row.label,
            "profiles": [profile for profile in grid.profiles if grid.mark(profile, row.slug)],
            "conditions": {
                profile: requirements(grid.policy.openings.of(profile, row.slug))
                for profile in grid.profiles
                if grid.mark(profile, row.slug)
            },
            "source": row.source,
        }
        for row in grid.rows
    ]
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


_SHAPES: Final[Mapping[str, Callable[[Grid], str]]] = {
    "markdown": _markdown,
    "html": as_html,
    "svg": as_svg,
    "json": _json,
}
