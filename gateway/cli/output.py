"""What commands print: a table for people, CSV for spreadsheets, JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import date, datetime
from typing import Any, Final

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

FORMATS: Final = ("table", "json", "csv")
_FORMULA: Final = re.compile(r"(?:^|(?<=[,;\t\r\n]))(?=[ \"']*[=+\-@\t\r＝＋－＠])")
"""Where a spreadsheet would begin to read a formula. French ones separate cells by semicolons, and cut our cells at
them; full-width signs mean the same to some."""
_UNBOUNDED: Final = 10_000
"""Columns of a table that no terminal folds."""


def print_rows(kind: type[Any], rows: Sequence[Any], *, form: str) -> None:
    """Print dataclass instances, all of `kind`, in one of `FORMATS`: a column for each field, dates and UTC
    instants in ISO 8601.

    In CSV what a spreadsheet would take for a formula is prefixed by an apostrophe.
    """
    columns = [field.name for field in fields(kind)]
    records = [asdict(row) for row in rows]
    if form == "json":
        click.echo(json.dumps(records, default=_written, ensure_ascii=False, indent=2))
    elif form == "csv":
        click.echo(_csv(columns, records), nl=False)
    elif records:
        _print_table(columns, records)
    else:
        click.echo("None.")


def _csv(columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for record in records:
        writer.writerow([harmless(_cell(record[column])) for column in columns])
    return text.getvalue()


def harmless(cell: str) -> str:
    """The cell with an apostrophe before everything in it that a spreadsheet would take for a formula."""
    return _FORMULA.sub("'", cell)


def _print_table(columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for record in records:
        table.add_row(*(Text(_cell(record[column])) for column in columns))
    print_whole(table)


def print_whole(table: Table) -> None:
    """The table on standard output. A pipe has no width: its lines must stay whole for grep."""
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else _UNBOUNDED).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(value)
    return str(_written(value))


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else value
