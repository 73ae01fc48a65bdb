"""`cafpro partner|convention|account|mandate import`: many entries at once from a CSV file, all of them or none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from gateway.cli.directory import account, change_command, convention, mandate, partner
from gateway.cli.speaking import FOUND, leave
from gateway.identity.changes import Signature
from gateway.identity.imports import Tell, import_file
from gateway.identity.imports_kinds import KINDS
from gateway.identity.store import Store

__all__ = ["account", "convention", "mandate", "partner"]

_MORE: Final = {"account": " Their agents are sent a link each by `cafpro account invite`: a file holds no password."}


def _add_import(group: click.Group) -> None:
    noun = str(group.name)
    columns = KINDS[noun].columns
    needed = ", ".join(name for name, must in columns.items() if must)
    others = ", ".join(name for name, must in columns.items() if not must)

    @click.argument("file", type=click.Path(path_type=Path))
    @click.option("--dry-run", is_flag=True, help="Only look: say every problem, write nothing.")
    def run(store: Store, file: Path, dry_run: bool, signed: Signature) -> None:
        _import(store, noun, file, dry_run=dry_run, signed=signed)

    run.__doc__ = f"""Enter every row of FILE, or none of them where one has a problem.

    FILE is CSV in UTF-8, with commas or semicolons. Its first line names the columns: {needed}; and, where wanted,
    {others}. Days are written YYYY-MM-DD, several profiles with blanks between them.{_MORE.get(noun, "")}

    Every problem is said, with its line. Exit 1: there are some, and nothing is written.
    """
    change_command(group, "import", f"{noun}s.csv --dry-run")(run)


for _group in (partner, convention, account, mandate):
    _add_import(_group)


def _import(store: Store, noun: str, file: Path, *, dry_run: bool, signed: Signature) -> None:
    def say(line: int, sentence: str) -> None:
        click.echo(f"{file.name}:{line}: {sentence}", err=True)

    try:
        opened = file.open("rb")
    except OSError as error:
        leave([f"{file}: cannot be read ({error.strerror})."])
    with opened, _progress() as tell:
        done = import_file(store, noun, opened, name=file.name, say=say, tell=tell, only_check=dry_run, signed=signed)
    if done.problems:
        leave([f"{done.problems} problems: nothing is written."], status=FOUND)
    if done.change_id is None:
        click.echo(f"{done.rows} {noun}s could be entered: nothing is written.")
    else:
        click.echo(f"{done.rows} {noun}s are entered: change {done.change_id}.")


@contextmanager
def _progress() -> Iterator[Tell]:
    """A bar on a terminal, for a file that takes a while; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(part: str, done: int, whole: int | None) -> None:
            if part not in tasks:
                tasks[part] = progress.add_task(part, total=whole)
            progress.update(tasks[part], completed=done)

        yield tell
