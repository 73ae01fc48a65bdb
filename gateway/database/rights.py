"""What the gateway's own user may do on a PostgreSQL server: append to what is only appended to, and never alter it.

A table says in its `info` what becomes of its rows. Whoever owns a table, or is a superuser, may do anything to it: so
the gateway's user should be neither (CNIL 2021-122: what is logged is protected from whoever it is about).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, Table, text

_RIGHTS: Final = "rights"
READ: Final = {_RIGHTS: ("SELECT",)}
"""Written by commands alone."""
APPENDED: Final = {_RIGHTS: ("SELECT", "INSERT")}
"""Rows come, stay, and stay what they are."""
PASSING: Final = {_RIGHTS: ("SELECT", "INSERT", "UPDATE", "DELETE")}
"""Rows come and go."""
_OTHERWISE: Final = ("SELECT", "INSERT", "UPDATE")
"""Rows change, and stay."""

_MAY_ALTER: Final = text(
    """
    SELECT has_table_privilege(:role, oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')
        OR has_any_column_privilege(:role, oid, 'UPDATE')
        OR pg_has_role(:role, relowner, 'MEMBER')
    FROM pg_class WHERE oid = to_regclass(:name)
    """
)
_OWNS: Final = text("SELECT pg_has_role(current_user, relowner, 'MEMBER') FROM pg_class WHERE oid = to_regclass(:name)")
_MAY: Final = text("SELECT has_table_privilege(:role, to_regclass(:name), :right)")
_MAY_COUNT: Final = text("SELECT has_sequence_privilege(:role, :name, 'USAGE')")
_COUNTER: Final = text(
    "SELECT pg_get_serial_sequence(oid::regclass::text, :column) FROM pg_class WHERE oid = to_regclass(:name)"
)


def rights(table: Table) -> tuple[str, ...]:
    """What the gateway needs to do with the rows of `table`."""
    named: tuple[str, ...] = table.info.get(_RIGHTS, _OTHERWISE)
    return named


def user(connection: Connection) -> str:
    """Who asks, as the server knows them."""
    return str(connection.scalar(text("SELECT current_user")))


def is_role(connection: Connection, name: str) -> bool:
    """Whether the server knows a role of this name."""
    return connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": name}) is not None


def others(connection: Connection, tables: Iterable[Table]) -> list[str]:
    """Those of `tables` that are somebody else's. The server only warns of rights that whoever gives them has not."""
    return [table.name for table in tables if connection.scalar(_OWNS, {"name": table.name}) is False]


def granting(connection: Connection, tables: Iterable[Table], role: str) -> list[str]:
    """The statements after which `role` may do with each of `tables` what the gateway needs, and nothing else."""
    to, schema = _quoted(role), _quoted(str(connection.scalar(text("SELECT current_schema()"))))
    database = _quoted(str(connection.scalar(text("SELECT current_database()"))))
    statements = [f"GRANT CONNECT ON DATABASE {database} TO {to}", f"GRANT USAGE ON SCHEMA {schema} TO {to}"]
    for table in tables:
        name = _quoted(table.name)
        statements.append(f"REVOKE ALL ON {name} FROM {to}")
        statements.append(f"GRANT {', '.join(rights(table))} ON {name} TO {to}")
        statements += [f"GRANT USAGE ON SEQUENCE {counter} TO {to}" for counter in _counters(connection, table)]
    return statements


def lacking_rights(connection: Connection, tables: Iterable[Table], role: str) -> list[str]:
    """What `role` may not do and the gateway needs, such as `INSERT on record`. Of tables that are there."""
    lacking = []
    for table in tables:
        asked = [{"role": role, "name": table.name, "right": right} for right in rights(table)]
        lacking += [f"{each['right']} on {table.name}" for each in asked if connection.scalar(_MAY, each) is False]
        for counter in _counters(connection, table) if "INSERT" in rights(table) else ():
            if not connection.scalar(_MAY_COUNT, {"role": role, "name": counter}):
                lacking.append(f"USAGE on {counter}")
    return lacking


def alterable(connection: Connection, tables: Iterable[Table], role: str) -> list[str]:
    """Those of `tables` that are only to be appended to, and whose rows `role` could alter or remove all the same."""
    appended = [table.name for table in tables if rights(table) == APPENDED[_RIGHTS]]
    return [name for name in appended if connection.scalar(_MAY_ALTER, {"role": role, "name": name})]


def _quoted(name: str) -> str:
    """As SQL reads it, and a person: SQLAlchemy's own would double a percent sign for the driver."""
    return '"' + name.replace('"', '""') + '"'


def _counters(connection: Connection, table: Table) -> Sequence[str]:
    """The sequences that number its rows."""
    if table.autoincrement_column is None:
        return ()
    found = connection.scalar(_COUNTER, {"name": table.name, "column": table.autoincrement_column.name})
    return () if found is None else (str(found),)
