"""`cafpro policy diff`: what a change opens and closes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from gateway.cli.policy.differing import as_html, as_json, as_markdown, print_text
from gateway.cli.policy.folder import folder
from gateway.cli.speaking import FOUND, MISUSE, leave
from gateway.errors import Misconfigured
from gateway.policy.layout import MATRIX
from gateway.policy_files.comparison import Comparison, comparison
from gateway.policy_files.given import beside, both_given


@click.command(
    "diff",
    epilog="\b\nExample:\n  cafpro policy diff policies policies/drafts/brochure-columns\n"
    "  cafpro policy diff HEAD~1 policies\n  cafpro policy diff main:policies my-branch:policies --format markdown",
)
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.option("--policies", type=click.Path(path_type=Path), help="Whose revisions are meant, else A's or B's.")
@click.option("--config", "-c", type=click.Path(path_type=Path), help="The configuration that names this folder.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "html"]),
    default="text",
    show_default=True,
    help="html is in French, for whoever approves.",
)
def diff(old: str, new: str, policies: Path | None, config: Path | None, form: str) -> None:
    """What B opens and closes, compared with A: both are decided in every situation, texts are not compared.

    A and B are folders, single files (read in the place of their namesakes in the other's folder), or revisions of the
    folder's git repository: REV, or REV:path from its top. What is a path is not a revision. Nothing is fetched.

    Exit 1 if anything is gained, 0 if nothing is, 2 where A or B cannot be read or decided.
    """
    names = (old, new)
    try:
        texts = both_given(old, new, policies or beside(old, new) or _here(config))
        with Console(stderr=True).status("Every situation is decided, twice…"):
            found = comparison(*texts)
    except Misconfigured as error:
        leave(error.problems, status=MISUSE)
    if form == "text":
        print_text(found, names)
    else:
        click.echo(_SHAPES[form](found, names))
    if found.opens:
        raise SystemExit(FOUND)


def _here(config: Path | None) -> Path:
    """The folder where one stands, if it holds policies."""
    return Path() if config is None and Path(MATRIX).is_file() else folder(None, config)


_SHAPES: Final[Mapping[str, Callable[[Comparison, Sequence[str]], str]]] = {
    "json": as_json,
    "markdown": as_markdown,
    "html": as_html,
}
