"""Two who enter the same at the same moment: the second is told what it would have been told a moment later.

A file has one writer, so that what a transaction has checked stays true until it writes. On a server two transactions
can check side by side. Where a unique index tells which of them came second, they wait for each other there, and only
those that enter the same; where none could, they take turns from before the check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.exc import IntegrityError

from gateway.identity.entries import refuse

_TURNS: Final = 0x0CAF
"""First of the two keys of the PostgreSQL advisory locks by which turns are taken."""


@contextmanager
def refused_alike(connection: Connection, problems: Callable[[], Sequence[str | None]]) -> Iterator[None]:
    """What a unique index refuses in the block is refused for what `problems` finds then: it was asked before the
    block, too, and did not see yet what another transaction has entered meanwhile.
    """
    try:
        with connection.begin_nested():
            yield
    except IntegrityError:
        refuse(problems())
        raise


def take_turn(connection: Connection, table: Table) -> None:
    """Wait until nobody else who took a turn at `table` is under way, and keep others waiting until the transaction
    ends. Whoever takes none does not wait.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_TURNS, func.hashtext(table.name))))
