"""`POST /-/admin/mandates/import` and its like: what a CSV file holds, entered whole or not at all, by the function of
`cafpro mandate import`, and as one change.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gateway.api.admin_bodies import Text, Why
from gateway.api.bodies import LARGEST_FILE, read_csv
from gateway.api.operations import Operation
from gateway.api.parameters import read_parameters
from gateway.errors import EntryRefused, FileRefused
from gateway.identity.changes import Signature
from gateway.identity.imports import import_file
from gateway.identity.imports_kinds import KINDS
from gateway.identity.wrong import Wrong
from gateway.model import Agent
from gateway.proxy.identify import Reception

MOST_TOLD: Final = 100
"""Problems of a file that an answer lists. How many there are is told all the same."""


class AskedImport(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What goes with a file."""

    dry_run: Annotated[bool, Meta(description="Only look: tell the problems, enter nothing.")] = False
    name: Annotated[Text, Meta(description="What the file is called, for whoever reads the changes.")] | None = None
    why: Why = ""


class SentFile(msgspec.Struct):
    """A file, and what goes with it."""

    asked: AskedImport
    content: bytes


class LineProblem(msgspec.Struct):
    """What is wrong on a line of the file, in French. The first line is 1."""

    line: int
    said: str


class FileReport(msgspec.Struct):
    """What came of a file: its rows, how many problems they have, the first of these in the order of their lines, and
    whether some had no room in the list. `change` is the one by which the rows were entered; null where none was.
    """

    rows: int
    problem_count: int
    problems: Annotated[list[LineProblem], Meta(max_length=MOST_TOLD)]
    cut: bool
    change: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOperation(Operation):
    """An import of one kind of entries."""

    @property
    def method(self) -> str:
        return "POST"

    @property
    def kind(self) -> str:
        return "Importing"

    @property
    def about(self) -> str:
        columns = KINDS[self.group].columns
        needed = ", ".join(f"`{name}`" for name, must in columns.items() if must)
        others = ", ".join(f"`{name}`" for name, must in columns.items() if not must)
        return (
            f"For the Caf's staff. What `cafpro {self.name}` does: every row is entered, or none. CSV in UTF-8, with "
            f"commas or semicolons. The first line names the columns: {needed}; and, where wanted, {others}. Days are "
            "written YYYY-MM-DD, several profiles with blanks between them. The file has at most "
            f"{LARGEST_FILE} bytes, some hundred rows: a longer one is the command's work. With `dry_run` nothing is "
            f"entered, and the problems are the answer; without it, they refuse the file. {MOST_TOLD} of them are told "
            "at most. No account of the Caf's staff may be among the rows. `name` and `why` stand in the address, "
            "which proxies write into their logs: name no family in them."
        )

    @property
    def sent_type(self) -> str:
        return "text/csv"

    def received(self, environ: Mapping[str, Any]) -> SentFile:
        """The file and what goes with it. Raises what `read_parameters` and `read_csv` raise."""
        return SentFile(read_parameters(environ, AskedImport), read_csv(environ))

    def perform(self, reception: Reception, sent: Any, *, agent: Agent, now: datetime) -> FileReport:
        """What came of the file. Raises `FileRefused` where it was to be entered and has problems, `Misconfigured` for
        a name that cannot be a file's, `StoreUnavailable`."""
        asked: AskedImport = sent.asked
        told: list[LineProblem] = []

        def say(line: int, sentence: str) -> None:
            if len(told) < MOST_TOLD:
                told.append(LineProblem(line, sentence.said if isinstance(sentence, Wrong) else EntryRefused.said))

        done = import_file(
            reception.store,
            self.group,
            io.BytesIO(sent.content),
            name=asked.name or f"{self.group}s.csv",
            say=say,
            only_check=asked.dry_run,
            staff_too=False,
            signed=Signature(agent.identifier, asked.why),
            now=now,
        )
        report = FileReport(done.rows, done.problems, told, len(told) < done.problems, done.change_id)
        if done.problems and not asked.dry_run:
            raise FileRefused(_counted(report), {"file": report})
        return report


def _counted(report: FileReport) -> list[str]:
    """How many problems there are, and that not all of them are listed."""
    count = "un problème" if report.problem_count == 1 else f"{report.problem_count} problèmes"
    cut = [f"Les {len(report.problems)} premiers sont listés."] if report.cut else []
    return [f"Le fichier contient {count} : rien n'est enregistré.", *cut]


IMPORTS: Final = tuple(
    ImportOperation(
        group=noun,
        act="import",
        said=f"Enter {noun}s from a CSV file, all of its rows or none",
        does=import_file,
        asked=AskedImport,
        answer=FileReport,
    )
    for noun in KINDS
)
