"""A table of sentences, and whoever reads it: every time it is really asked is counted."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Date, Integer, MetaData, Table, Text, bindparam, insert, select

from gateway.database.connections import Database, Reading
from gateway.loop.waiting import Bell

METADATA = MetaData()
LINE = Table(
    "line",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("says", Text, nullable=False),
    Column("day", Date, nullable=False),
)
SAYS = (
    select(LINE.c.says)
    .where(LINE.c.name == bindparam("name"), LINE.c.day <= bindparam("day", type_=Date()))
    .order_by(LINE.c.id.desc())
)
"""What the last line of a name says by a day."""
FIRST_SAID = SAYS.order_by(None).order_by(LINE.c.id)
ADD = insert(LINE)
COLUMNS = ("name", "says", "day")


@dataclass
class Board:
    """Nothing is written on it at first. `asked` has the rows of each answer that was not remembered."""

    database: Database
    url: str
    asked: list[list[Any]] = field(default_factory=list)
    bell: Bell = field(default_factory=Bell)

    def says(self, name: str = "door", *, day: str = "2026-06-15", question: Any = SAYS) -> str | None:
        return self.ask(self.database.reading(), name, day=day, question=question)

    def ask(self, reading: Reading, name: str = "door", *, day: str = "2026-06-15", question: Any = SAYS) -> str | None:
        return reading.ask(question, self._shape, name=name, day=day)

    def append(self, *says: str, name: str = "door", day: str = "2026-01-01") -> None:
        self.database.append(ADD, COLUMNS, [(name, each, day) for each in says], self.bell)

    def change(self, says: str, *, name: str = "door", day: str = "2026-01-01") -> None:
        with self.database.change() as connection:
            connection.exec_driver_sql(f"INSERT INTO line (name, says, day) VALUES ('{name}', '{says}', '{day}')")

    def lines(self) -> list[str]:
        with self.database.read() as connection:
            return list(connection.execute(select(LINE.c.says).order_by(LINE.c.id)).scalars())

    def _shape(self, rows: list[Any]) -> str | None:
        self.asked.append(rows)
        return rows[0][0] if rows else None
