"""Whose the tables are on a PostgreSQL server, and what the gateway's own user may do with them: looked at before a
start, and given by whoever owns them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Table, text

from gateway.database.connections import Database
from gateway.database.history import DIRECTORY
from gateway.database.opening import connected, is_file
from gateway.database.rights import READ, alterable, granting, is_role, lacking_rights, others, user
from gateway.errors import Misconfigured, StoreUnavailable
from gateway.identity import tables as directory
from gateway.identity.store import open_store
from gateway.record import journal, shadow
from gateway.record.journal import open_journal
from gateway.record.shadow import open_shadow_book
from gateway.settings import Settings

_RECORD: Final = (*journal.METADATA.sorted_tables, *shadow.METADATA.sorted_tables)


def _directory() -> tuple[Table, ...]:
    versions = DIRECTORY.versions()
    versions.info.update(READ)
    return (*directory.METADATA.sorted_tables, versions)


def rights_problems(settings: Settings) -> list[str]:
    """What the gateway's user lacks, on each server. Empty where there is none, or where it cannot be asked."""

    def problem(connection: Connection, setting: str, tables: Iterable[Table]) -> str | None:
        role = user(connection)
        lacking = lacking_rights(connection, tables, role)
        if not lacking:
            return None
        return (
            f"{setting}: the database user {role} lacks {', '.join(lacking)}. Whoever owns the tables writes: "
            f"cafpro store grant {role}"
        )

    return _asked(settings, problem)


def rights_warnings(settings: Settings) -> list[str]:
    """What the gateway's user could do to rows that nobody is to alter."""

    def warning(connection: Connection, setting: str, tables: Iterable[Table]) -> str | None:
        role = user(connection)
        names = alterable(connection, tables, role)
        if not names:
            return None
        return (
            f"{setting}: the database user {role} could alter what is only appended to ({', '.join(names)}). Give the "
            "gateway a user that cannot: see `cafpro store grant --help`."
        )

    return _asked(settings, warning)


def grant_rights(settings: Settings, role: str, *, only_say: bool) -> list[str]:
    """Make the tables that are missing, and give `role` what a gateway needs of all of them; the statements.

    Raises `Misconfigured` where the settings name no server, or it knows no such role, or one that could alter the
    record whatever is taken from it, or the tables are somebody else's; `StoreUnavailable`.
    """
    if not only_say:
        for opened, url in (
            (open_store, settings.store.url),
            (open_journal, settings.record.url),
            (open_shadow_book, settings.record.url),
        ):
            if not is_file(url):
                opened(url).close()
    statements: list[str] = []
    for setting, database, tables in _servers(settings):
        with database.change() as connection:
            if not is_role(connection, role):
                raise Misconfigured([f"{setting}: the server knows no role {role!r}: CREATE ROLE … LOGIN makes one."])
            foreign = others(connection, tables)
            if foreign:
                raise Misconfigured([f"{setting}: only whoever owns {', '.join(foreign)} can give rights on them."])
            wanted = granting(connection, tables, role)
            statements += [each for each in wanted if each not in statements]
            if only_say:
                continue
            for each in wanted:
                connection.execute(text(each.replace(":", "\\:")))
            names = alterable(connection, tables, role)
            if names:
                raise Misconfigured(
                    [
                        f"{setting}: {role} owns {', '.join(names)}, or belongs to whoever does, or is a superuser: it "
                        "could alter them all the same. Choose a role that owns nothing."
                    ]
                )
    if not statements:
        raise Misconfigured(["store.url and record.url: neither is a PostgreSQL server; files have no roles."])
    return statements


def _asked(settings: Settings, ask: Callable[[Connection, str, Iterable[Table]], str | None]) -> list[str]:
    found: list[str | None] = []
    try:
        for setting, database, tables in _servers(settings):
            with database.read() as connection:
                found.append(ask(connection, setting, tables))
    except (Misconfigured, StoreUnavailable):
        return []  # said by whoever opens it
    return [each for each in found if each]


def _servers(settings: Settings) -> Iterator[tuple[str, Database, tuple[Table, ...]]]:
    """Each setting whose URL names a server, and its tables, whether they are there or not."""
    for setting, url, tables in (
        ("store.url", settings.store.url, _directory()),
        ("record.url", settings.record.url, _RECORD),
    ):
        with _closing(url, setting) as database:
            if database.file is None:
                yield setting, database, tables


@contextmanager
def _closing(url: str, setting: str) -> Iterator[Database]:
    database, _ = connected(url, setting=setting, make=False)
    try:
        yield database
    finally:
        database.close()
