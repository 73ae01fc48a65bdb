"""How long a directory of a million accounts and mandates takes to be entered, and what a request pays for its size.

On SQLite and on PostgreSQL, beside one of a thousand in the same run: the import of both files, a log-in, what is asked
of the directory for one request (who asks, what is entrusted) with nothing remembered, and the room on the disk. In
this process, by the functions that the commands and the gateway call. Into tests/bench/results/directory.json.

Example:
  python -m tests.bench.directory --rows 100000 --only sqlite
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert, select, text

from gateway.identity.directory import set_password
from gateway.identity.facts import ENTRUSTED, SESSION, local_day
from gateway.identity.imports import import_file
from gateway.identity.sessions import sign_in, sign_out
from gateway.identity.store import Store, open_store
from gateway.identity.tables import account, session
from gateway.settings import Identity
from tests.bench.postgres import postgresql

RESULT: Final = Path(__file__).parent / "results" / "directory.json"
PARTNERS: Final = 1_000
SMALL: Final = 1_000
LOG_INS: Final = 40
ASKED: Final = 4_000
"""Requests that are measured, each by another agent about another dossier."""
PASSWORD: Final = "Une-phrase-de-passe-2012"
RULES: Final = Identity(caisse="691", engagement_version="2012-07")


def write_files(folder: Path, rows: int) -> dict[str, Path]:
    """The files of `PARTNERS` partners with a convention each, and of so many accounts and mandates."""
    partners = min(PARTNERS, rows)
    texts: dict[str, Iterator[str]] = {
        "partner": (f"Partenaire {n}" for n in range(partners)),
        "convention": (f"C-{n};Partenaire {n};691;2026-01-01;2036-12-31;T1 T9" for n in range(partners)),
        "account": (f"agent-{n};Partenaire {n % partners};T9;juriste" for n in range(rows)),
        "mandate": (
            f"{n % 10**7:07};judgment;Partenaire {n % partners};agent-{n};2026-01-{1 + n % 28:02};;TJ Lyon {n}"
            for n in range(rows)
        ),
    }
    heads = {
        "partner": "name",
        "convention": "number;partner;caisse;starts_on;ends_on;profiles",
        "account": "identifier;partner;profiles;function",
        "mandate": "dossier;kind;partner;account;starts_on;ends_on;reference",
    }
    files = {noun: folder / f"{noun}s.csv" for noun in texts}
    for noun, file in files.items():
        with file.open("w") as out:
            out.write(f"{heads[noun]}\n")
            out.writelines(f"{line}\n" for line in texts[noun])
    return files


def entered(store: Store, files: dict[str, Path]) -> dict[str, float]:
    """Seconds that the import of each file takes."""
    seconds = {}
    for noun, file in files.items():
        begun = time.perf_counter()
        with file.open("rb") as opened:
            done = import_file(store, noun, opened, name=file.name, say=lambda *problem: sys.exit(str(problem)))
        seconds[noun] = round(time.perf_counter() - begun, 2)
        print(f"    {done.rows} {noun}s in {seconds[noun]} s", flush=True)
    return seconds


def log_in_ms(store: Store) -> float:
    """The median of `LOG_INS` log-ins, in milliseconds: argon2id, and everything around it."""
    set_password(store, identifier="agent-1", password=PASSWORD)
    taken = []
    for _ in range(LOG_INS):
        begun = time.perf_counter()
        opened = sign_in(store, RULES, identifier="agent-1", password=PASSWORD, now=datetime.now(UTC))
        taken.append(time.perf_counter() - begun)
        sign_out(store, opened.token)
    return round(statistics.median(taken) * 1e3, 1)


class Asking:
    """What one request asks, by agents and about dossiers that are all different: nothing helps but indexes."""

    def __init__(self, store: Store, rows: int) -> None:
        self._store, chance = store, random.Random(1)
        chosen = chance.sample(range(rows), min(rows, ASKED))
        names = [f"agent-{n}" for n in chosen]
        with store.change() as connection:
            found = {}
            for some in (names[at : at + 1_000] for at in range(0, len(names), 1_000)):
                query = select(account.c.identifier, account.c.id, account.c.partner_id)
                found |= {each[0]: each[1:] for each in connection.execute(query.where(account.c.identifier.in_(some)))}
            now = int(time.time())
            same = {
                "profile": "T9",
                "assurance": "password",
                "opened_at": now,
                "seen_at": now,
                "expires_at": now + 9999,
            }
            rows_of = [{"token_hash": _token(n), "account_id": found[f"agent-{n}"][0], **same} for n in chosen]
            connection.execute(insert(session), rows_of)
        self._questions = [(_token(n), f"{n % 10**7:07}", *found[f"agent-{n}"]) for n in chosen]
        self._today = local_day(RULES, int(time.time()))

    def round(self) -> list[float]:
        """Microseconds of each request."""
        taken, today, ask = [], self._today, self._store.ask
        for token, dossier, account_id, partner_id in self._questions:
            begun = time.perf_counter()
            who = ask(SESSION, token_hash=token, caisse=RULES.caisse, today=today)
            kinds = ask(ENTRUSTED, dossier=dossier, partner=partner_id, account=account_id, today=today)
            taken.append((time.perf_counter() - begun) * 1e6)
            if len(who) != 1 or kinds != [("judgment", 0)]:
                sys.exit(f"not what was entered: {who} {kinds}")
        return taken


def _token(n: int) -> str:
    return hashlib.sha256(f"{n}".encode()).hexdigest()


def size_mb(store: Store) -> float:
    """The database's, in megabytes."""
    if store.file is not None:
        return round(
            sum(
                Path(f"{store.file}{end}").stat().st_size for end in ("", "-wal") if Path(f"{store.file}{end}").exists()
            )
            / 1e6,
            1,
        )
    with store.read() as connection:
        return round(connection.scalar(text("SELECT pg_database_size(current_database())")) / 1e6, 1)


def measure(urls: tuple[str, str], rows: int, folder: Path) -> dict[str, Any]:
    """Everything about one kind of database: `urls` are of two empty ones."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Any] = {}
        asking: dict[int, Asking] = {}
        for url, count in zip(urls, (SMALL, rows), strict=True):
            print(f"  {count} accounts and mandates", flush=True)
            store = stack.enter_context(contextlib.closing(open_store(url)))
            seconds = entered(store, write_files(folder, count))
            if store.file is None:
                # As the server does by itself within a minute.
                with store.read() as connection:
                    connection.execute(text("ANALYZE"))
            found[str(count)] = {
                "import_seconds": seconds,
                "log_in_ms": log_in_ms(store),
                "database_mb": size_mb(store),
            }
            asking[count] = Asking(store, count)
        taken: dict[int, list[float]] = {count: [] for count in asking}
        for _ in range(3):
            for count, each in asking.items():
                taken[count] += each.round()
        for count, each in taken.items():
            found[str(count)] |= {"facts_us": round(statistics.median(each), 1)}
            told = found[str(count)]
            print(
                f"  {count}: facts {told['facts_us']} µs a request, log-in {told['log_in_ms']} ms, "
                f"{told['database_mb']} MB",
                flush=True,
            )
        return found


def parse_options() -> argparse.Namespace:
    about, _, example = (__doc__ or "").partition("Example:")
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.directory",
        description=about,
        epilog=f"Example:{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="accounts, and mandates (1000000)")
    parser.add_argument("--only", choices=["sqlite", "postgresql"], help="one kind of database")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the figures go")
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    results: dict[str, Any] = {
        "rows": options.rows,
        "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()},
    }
    with tempfile.TemporaryDirectory(prefix="cafpro-bench-directory-") as above:
        folder = Path(above)

        def sqlite() -> dict[str, Any]:
            files = [f"sqlite:///{folder / name}.db" for name in ("small", "large")]
            return measure((files[0], files[1]), options.rows, folder)

        def server() -> dict[str, Any]:
            with postgresql("small", "large") as (small, large):
                return measure((small, large), options.rows, folder)

        kinds: dict[str, Callable[[], dict[str, Any]]] = {"sqlite": sqlite, "postgresql": server}
        for name, run in kinds.items():
            if options.only in (None, name):
                print(name, flush=True)
                results[name] = run()
    # Of all that was done: what is read and written goes by in pieces.
    results["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
    options.out.write_text(json.dumps(results, indent=2) + "\n")
    print(f"peak memory {results['peak_mb']} MB; written to {options.out}")


if __name__ == "__main__":
    main()
