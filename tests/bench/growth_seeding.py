"""Many rows at once, written straight into the databases of a furnished folder that nobody has open.

`cafpro` adds people one by one, each in a durable transaction: a million of them would take an hour. What is written
here is what it would have written; the gateway cannot tell.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path

from sqlalchemy import Table

from gateway.identity.tables import account, convention, mandate, partner, session
from gateway.policy.canaries import MOST
from gateway.policy.layout import MATRIX, SCHEMA
from gateway.record.entry import COLUMNS, facts_text
from gateway.record.journal import record
from tests.bench.gateway_served import CAISSE

SPREAD = 1_000
"""How many tokens or dossiers a load goes through, drawn evenly from all there are."""
ACCOUNTS_OF_A_PARTNER = 100
SIGNED_IN = 10
"""One account in so many has a session."""
MANDATES_OF_A_PARTNER = 1_000
SLUGS_OF_A_STATEMENT = 400
"""The policies' grammar reads statements of 2 000 tokens at most."""


def token_of(account_id: int) -> str:
    """The token of the session that `seed_accounts` and `seed_mandates` open for an account: 256 bits, as ours are."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"bench:%d" % account_id).digest()).decode().rstrip("=")


def seed_accounts(folder: Path, count: int, profile: str) -> list[str]:
    """`count` accounts in partners of a hundred, one in ten with a session; tokens of at most `SPREAD` of them."""
    partners = -(-count // ACCOUNTS_OF_A_PARTNER)
    signed_in = range(1, count + 1, SIGNED_IN)
    with _bulk(folder / "cafpro.db") as database:
        _fill_partners(database, partners, profile)
        _fill_accounts(database, [(n, 1 + (n - 1) // ACCOUNTS_OF_A_PARTNER) for n in range(1, count + 1)], profile)
        _fill_sessions(database, signed_in, profile)
    return [token_of(n) for n in signed_in[:: max(1, len(signed_in) // SPREAD)]]


def seed_mandates(folder: Path, count: int, profile: str) -> tuple[str, list[str]]:
    """`count` mandates of partners with a thousand each; the token of an agent of one of them, and its dossiers."""
    partners = -(-count // MANDATES_OF_A_PARTNER)
    begun = (date.today() - timedelta(days=9)).isoformat()

    def dossier(n: int) -> str:
        return f"{n * 9973 % 10_000_000:07}"  # scattered, as real ones are; 9973 divides no power of ten

    with _bulk(folder / "cafpro.db") as database:
        _fill_partners(database, partners, profile)
        _fill_accounts(database, [(1, 1)], profile)
        _fill_sessions(database, [1], profile)
        rows = (
            (n + 1, dossier(n), "judgment", 1 + n % partners, None, begun, None, f"RG-{n}", None) for n in range(count)
        )
        _fill(database, mandate, rows)
    return token_of(1), [dossier(n) for n in range(0, count, partners)]


def seed_records(folder: Path, count: int) -> None:
    """`count` lines of the record, as consultations leave them."""
    line = {
        "at": "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 1767222000 + n, 'unixepoch')",
        "request_id": "lower(hex(randomblob(12)))",
        "act": "'consult'",
        "agent": "'agent' || n % 997",
        "partner": "'Partenaire ' || n % 89",
        "profile": "'T9'",
        "route": "'dossier'",
        "dossier": "lower(hex(randomblob(32)))",
        "facts": _quoted(facts_text(MOST)),
        "rubrics": _quoted('["adresse","cmu_rsa_rmi","cmuc_ressources","residence"]'),
        "rules": _quoted('["any dossier","brochure 2012, row 17","convention in force","engagement signed"]'),
        "policy": _quoted("0" * 64),
        "status": "200",
        "code": "''",
        "because": "''",
        "address": "'127.0.0.1'",
    }
    with _bulk(folder / "record.db") as database:
        database.execute(
            f"WITH RECURSIVE line(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM line WHERE n < {count}) "
            f"INSERT INTO {record.name} ({', '.join(COLUMNS)}) "
            f"SELECT {', '.join(line[name] for name in COLUMNS)} FROM line"
        )


def with_rows(texts: dict[str, str], rows: int) -> dict[str, str]:
    """The texts of the shipped policies with rubrics `r0021`, `r0022`… added until the table has so many rows."""
    matrix = texts[MATRIX]
    slugs = [f"r{n:04}" for n in range(matrix.count("\nrubric(") + 1, rows + 1)]
    named = [slugs[at : at + SLUGS_OF_A_STATEMENT] for at in range(0, len(slugs), SLUGS_OF_A_STATEMENT)]
    statements = [f"rubric_slugs([{', '.join(f'{chr(34)}{slug}{chr(34)}' for slug in some)}]);\n" for some in named]
    lines = [f'rubric("{slug}", "Rubrique {slug}", ["T2"], "bench");\n' for slug in slugs]
    return {**texts, SCHEMA: texts[SCHEMA] + "".join(statements), MATRIX: matrix + "".join(lines)}


@contextlib.contextmanager
def _bulk(file: Path) -> Iterator[sqlite3.Connection]:
    """One transaction, without the care for durability that would make it slow: what fails is thrown away."""
    database = sqlite3.connect(file, isolation_level=None)
    try:
        for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "cache_size = -600000"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("BEGIN")
        yield database
        database.execute("COMMIT")
        database.execute("PRAGMA journal_mode = WAL")
    finally:
        database.close()
    with file.open("rb+") as written:
        os.fsync(written)  # or the disk would be busy with it while the gateway waits for its own writes


def _fill(database: sqlite3.Connection, table: Table, rows: Iterable[Sequence[object]]) -> None:
    """Rows with a value for each of the table's first columns, in its order. Those behind them have none, or their
    usual one."""
    waiting = iter(rows)
    first = next(waiting)
    columns = [column.name for column in table.columns][: len(first)]
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"
    database.executemany(statement, chain((first,), waiting))


def _fill_partners(database: sqlite3.Connection, count: int, profile: str) -> None:
    """Partners 1 to `count`, each with a convention in force."""
    begins, ends = ((date.today() + timedelta(days=days)).isoformat() for days in (-9, 9))
    numbers = range(1, count + 1)
    _fill(database, partner, ((n, f"Partenaire {n}", "external") for n in numbers))
    _fill(database, convention, ((n, n, f"C-{n}", CAISSE, begins, ends, 0, profile) for n in numbers))


def _fill_accounts(database: sqlite3.Connection, accounts: Iterable[tuple[int, int]], profile: str) -> None:
    """Accounts (id, partner). No password fits them."""
    now = int(datetime.now(UTC).timestamp())
    _fill(database, account, ((n, f"agent{n}", "none", of, profile, "2012-07", now, 0) for n, of in accounts))


def _fill_sessions(database: sqlite3.Connection, accounts: Iterable[int], profile: str) -> None:
    """A session just opened for each of these accounts."""
    now = int(datetime.now(UTC).timestamp())
    opened = ((hashlib.sha256(token_of(n).encode()).hexdigest(), n) for n in accounts)
    # In the order of their key: half of the time it takes otherwise.
    _fill(database, session, ((key, n, profile, "password", now, now, now + 36_000) for key, n in sorted(opened)))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
