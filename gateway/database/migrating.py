"""A database brought forward to a later revision of its tables, or back to an earlier one, whole or not at all.

Every step of the way is in one transaction, on both databases; others that want the same wait for it. Importing this
imports Alembic, a quarter of a second and some memory: only the commands do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from gateway.database.connections import Database
from gateway.database.history import History, Standing, standing
from gateway.database.opening import alone
from gateway.errors import Misconfigured

PLACE: Final = Path(__file__).with_name("migrations")
_PATIENCE_MS: Final = 10_000
"""How long a change waits for others. Longer: on a server, whoever comes after it would wait behind it."""


@dataclass(frozen=True, slots=True)
class Way:
    """From one revision to another: `steps`, a sentence for each revision made or undone; `lost`, what that forgot."""

    before: str | None
    after: str
    steps: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def upgrade(database: Database, history: History, *, to: str) -> Way:
    """Bring the database forward to revision `to`: its tables are changed, what they hold stays.

    Raises `Misconfigured` where it is further already, or holds other tables; `StoreUnavailable`, nothing changed.
    """
    with _alone(database, history) as (connection, found):
        config, scripts = _alembic(history, connection)
        here = history.revisions.index(found.revision) if found.revision else -1
        there = history.revisions.index(to)
        if here > there:
            raise Misconfigured([f"The store is at revision {found.revision}, after {to}: `downgrade` goes back."])
        steps = [_script(scripts, revision) for revision in history.revisions[here + 1 : there + 1]]
        # Also where there is no step: a database older than its history is told its revision.
        command.upgrade(config, to)
        return Way(found.revision, to, tuple(_said(each) for each in steps))


def downgrade(database: Database, history: History, *, to: str) -> Way:
    """Take the database back to revision `to`, for an earlier version of Cafpro. What has no place there is lost.

    Raises `Misconfigured` where it is there or earlier already; `StoreUnavailable`, nothing changed.
    """
    with _alone(database, history) as (connection, found):
        config, scripts = _alembic(history, connection)
        undone = _undone(scripts, history, found, to=to)
        lost = _lost(undone, connection)
        command.downgrade(config, to)
        return Way(found.revision, to, tuple(_said(each) for each in undone), lost)


def losses(database: Database, history: History, *, to: str) -> Way:
    """What `downgrade` would do now. Nothing is changed."""
    with database.read() as connection:
        found = _found(connection, history)
        _, scripts = _alembic(history, connection)
        undone = _undone(scripts, history, found, to=to)
        return Way(found.revision, to, tuple(_said(each) for each in undone), _lost(undone, connection))


@contextmanager
def _alone(database: Database, history: History) -> Iterator[tuple[Connection, Standing]]:
    with database.change(wait_ms=_PATIENCE_MS) as connection:
        alone(database, connection)
        yield connection, _found(connection, history)


def _found(connection: Connection, history: History) -> Standing:
    found = standing(connection, history)
    if found.problems:
        raise Misconfigured([f"The store holds other tables than Cafpro's: {' '.join(found.problems)}"])
    if not history.is_known(found.revision):
        raise Misconfigured(
            [
                f"The store is at revision {found.revision}, which a later version of Cafpro made: only that one can "
                f"take it back. This one knows {history.head}."
            ]
        )
    return found


def _alembic(history: History, connection: Connection) -> tuple[Config, ScriptDirectory]:
    config = Config(attributes={"connection": connection, "version_table": history.table})
    config.set_main_option("script_location", str(PLACE).replace("%", "%%"))
    return config, ScriptDirectory.from_config(config)


def _undone(scripts: ScriptDirectory, history: History, found: Standing, *, to: str) -> list[Script]:
    """The revisions after `to`, the last first."""
    here = history.revisions.index(found.revision) if found.revision else -1
    there = history.revisions.index(to)
    if here <= there:
        raise Misconfigured(
            [f"The store is at revision {found.revision or 'none'}: nothing after {to} is there to undo."]
        )
    return [_script(scripts, revision) for revision in reversed(history.revisions[there + 1 : here + 1])]


def _script(scripts: ScriptDirectory, revision: str) -> Script:
    return scripts.get_revision(revision)


def _said(script: Script) -> str:
    return f"{script.revision}: {script.doc}"


def _lost(undone: Sequence[Script], connection: Connection) -> tuple[str, ...]:
    return tuple(sentence for script in undone for sentence in script.module.lost(connection))
