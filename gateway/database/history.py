"""How a database's tables came to be what they are: its revisions, and where a database stands among them.

What a revision changes is written for Alembic (`migrations/versions`), which a start does not need: it compares one row
with the last of the revisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy
from sqlalchemy import Column, Connection, Inspector, MetaData, String, Table, select


@dataclass(frozen=True, slots=True)
class History:
    """`revisions` in their order; `table`, where a database keeps the one that it is at; and the columns of `first`, by
    which a database is recognised that is older than its history.
    """

    revisions: tuple[str, ...]
    table: str
    first: Mapping[str, str]

    @property
    def head(self) -> str:
        """The revision that this version works with."""
        return self.revisions[-1]

    def versions(self) -> Table:
        """The table with the revision, as Alembic makes it."""
        name = Column("version_num", String(32), primary_key=True)
        return Table(self.table, MetaData(naming_convention={"pk": "%(table_name)s_pkc"}), name)

    def is_known(self, revision: str | None) -> bool:
        return revision is None or revision in self.revisions


DIRECTORY: Final = History(
    revisions=("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012"),
    table="directory_version",
    first={
        "partner": "id name kind",
        "convention": "id partner_id number caisse starts_on ends_on suspended profiles",
        "account": "id identifier password_hash partner_id profiles engagement_version engagement_signed_at suspended",
        "failure": "account_id in_a_row locked_at",
        "mandate": "id dossier kind partner_id account_id starts_on ends_on reference released_at",
        "objection": "id dossier raised_at lifted_at reference",
        "session": "token_hash account_id profile assurance opened_at seen_at expires_at",
    },
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a database is: `revision`, None before the first; `empty`, without a table of the history's; `problems`, a
    sentence for each table that is another program's.
    """

    revision: str | None
    empty: bool = False
    problems: tuple[str, ...] = ()


def standing(connection: Connection, history: History) -> Standing:
    """Where the database stands. Nothing is changed.

    One that keeps no revision and has all the tables of the first is at the first: it is older than its history.
    """
    inspector = inspected(connection)
    names = set(inspector.get_table_names())
    if history.table in names:
        kept = connection.execute(select(history.versions().c.version_num)).scalar()
        if kept is not None:
            return Standing(kept)
    present = [name for name in history.first if name in names]
    if not present:
        return Standing(None, empty=True)
    problems = lacking(inspector, {name: history.first[name].split() for name in present})
    whole = len(present) == len(history.first) and not problems
    return Standing(history.revisions[0] if whole else None, problems=tuple(problems))


def lacking(inspector: Inspector, wanted: Mapping[str, list[str]]) -> list[str]:
    """A sentence for each of the `wanted` tables that has not all its columns."""
    problems: list[str] = []
    # One question, however many tables: a server would be asked some twenty.
    there = inspector.get_multi_columns(filter_names=list(wanted))
    for name, columns in wanted.items():
        found = {column["name"] for column in there.get((None, name), ())}
        missing = sorted(set(columns) - found)
        if missing:
            problems.append(f"table {name} lacks {', '.join(missing)}." if found else f"table {name} is missing.")
    return problems


def inspected(connection: Connection) -> Inspector:
    inspector: Inspector = sqlalchemy.inspect(connection)
    return inspector
