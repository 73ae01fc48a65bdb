"""Two who enter the same at the same moment: the second is told what it would have been told a moment later.

A file has one writer, so that what a transaction has checked stays true until it writes. On a server two transactions
can check side by side. A unique index tells which of them came second: they wait for each other there, and only those
that enter the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gateway.identity.entries import refuse


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
