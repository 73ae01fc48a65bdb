"""Cold and hot: one agent again and again, all-distinct agents and dossiers, all profiles mixed; two databases."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import requests
from sqlalchemy import Table, insert

from gateway.identity.passwords import hash_password
from gateway.identity.store import Store, open_store
from gateway.identity.tables import account, convention, mandate, partner, session
from tests.bench.dossiers import PROFILE, matrix
from tests.bench.gateway_served import CAISSE, PASSWORD, Served, furnished, serving
from tests.bench.measuring import CONNECTIONS, Effort, Row, Shot, rounds
from tests.bench.postgres import postgresql
from tests.bench.targets import GATEWAY, Target

AGENTS: Final = 20_000
"""As many agents, each with a partner, a convention and a session of its own, as dossiers. Loads go round them all."""
DOSSIERS: Final = range(1_000_000, 1_000_000 + AGENTS)
_MANDATES: Final = {"T9": "judgment", "T10": "direct_payment"}
"""What an agent of these profiles must hold for a dossier."""
_MIXED_DOSSIERS: Final = 200
_SCRIPT: Final = """
local asked, count, at = {{}}, 0, 0
function init()
  for line in io.lines("{file}") do
    local token, path = line:match("(%S+) (%S+)")
    count = count + 1
    asked[count] = wrk.format("GET", path, {{ Authorization = "Bearer " .. token }})
  end
end
function request()
  at = at % count + 1
  return asked[at]
end
"""


class Agents(NamedTuple):
    """Tokens: of the many, all T6; and of one agent of each profile."""

    many: list[str]
    by_profile: dict[str, str]


def cold_and_hot(folder: Path, upstream: str, effort: Effort, say: Callable[[list[Row]], None]) -> list[Row]:
    """The three loads with SQLite, then with PostgreSQL. `upstream` must know `DOSSIERS`."""
    rows: list[Row] = []
    for name, databases in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
        with databases() as urls, _gateway(folder / name, upstream, urls) as (served, agents):
            target = Target(GATEWAY, served.url, served.pid, "")
            shots = [
                Shot(f"{case}, {name}", target, CONNECTIONS, "/", _SCRIPT.format(file=file))
                for case, file in _loads(folder / name, agents).items()
            ]
            _check(served, agents)
            measured = rounds(shots, effort)
            say(measured)
            rows += measured
    return rows


@contextlib.contextmanager
def _sqlite() -> Iterator[Mapping[str, str]]:
    yield {}


@contextlib.contextmanager
def _postgresql() -> Iterator[Mapping[str, str]]:
    with postgresql("cafpro", "record") as (store, record):
        yield {"store.url": store, "record.url": record}


@contextlib.contextmanager
def _gateway(folder: Path, upstream: str, urls: Mapping[str, str]) -> Iterator[tuple[Served, Agents]]:
    configuration, port = furnished(folder, upstream)
    store = open_store(urls.get("store.url", f"sqlite:///{folder / 'cafpro.db'}"))
    with contextlib.closing(store):
        agents = enter_agents(store)
    with serving(configuration, port, settings=urls) as served:
        yield served, agents


def enter_agents(store: Store) -> Agents:
    """`AGENTS` agents with the profile T6, then one of each profile, with the mandates that theirs asks for."""
    profiles = [PROFILE] * AGENTS + list(matrix())
    tokens = [secrets.token_urlsafe(32) for _ in profiles]
    now, today, password = int(time.time()), datetime.now(UTC).date(), hash_password(PASSWORD)
    first, last = today - timedelta(days=9), today + timedelta(days=9)
    numbered = list(enumerate(profiles, start=1))
    held = [(n, _MANDATES[profile], dossier) for n, profile in numbered if profile in _MANDATES for dossier in _mixed()]
    held += [(n, "instruction", dossier) for n, dossier in enumerate(DOSSIERS, start=1)]
    rows: dict[Table, Sequence[Mapping[str, object]]] = {
        partner: [{"id": n, "name": f"Partenaire {n}", "kind": "external"} for n, _ in numbered],
        convention: [
            {
                **{"id": n, "partner_id": n, "number": f"C-{n}", "caisse": CAISSE, "profiles": profile},
                **{"starts_on": first, "ends_on": last, "suspended": False},
            }
            for n, profile in numbered
        ],
        account: [
            {
                **{"id": n, "identifier": f"agent-{n}", "password_hash": password, "partner_id": n},
                **{"profiles": profile, "suspended": False},
                **{"engagement_version": "2012-07", "engagement_signed_at": now},
            }
            for n, profile in numbered
        ],
        mandate: [
            {
                **{"dossier": str(dossier), "kind": kind, "partner_id": n, "account_id": None},
                **{"starts_on": first, "ends_on": None, "reference": "Bench", "released_at": None},
            }
            for n, kind, dossier in held
        ],
        session: [
            {
                **{"token_hash": hashlib.sha256(token.encode()).hexdigest(), "account_id": n, "profile": profile},
                **{"assurance": "password", "opened_at": now, "seen_at": now, "expires_at": now + 36_000},
            }
            for (n, profile), token in zip(numbered, tokens, strict=True)
        ],
    }
    with store.change() as connection:
        for table, entries in rows.items():
            connection.execute(insert(table), entries)
    return Agents(tokens[:AGENTS], dict(zip(profiles[AGENTS:], tokens[AGENTS:], strict=True)))


def _mixed() -> range:
    return DOSSIERS[:_MIXED_DOSSIERS]


def _loads(folder: Path, agents: Agents) -> dict[str, Path]:
    """The name of each load, and the file of the tokens and addresses that it goes round."""
    asked = {
        "one agent, one dossier": [(agents.many[0], DOSSIERS[0])],
        f"{AGENTS:,} agents and dossiers": [
            # 7919 and the count have no divisor in common: every dossier once, none beside its neighbour.
            (token, DOSSIERS[index * 7919 % AGENTS])
            for index, token in enumerate(agents.many)
        ],
        f"{len(agents.by_profile)} profiles mixed": [
            (token, dossier) for dossier in _mixed() for token in agents.by_profile.values()
        ],
    }
    files = {}
    for index, (name, pairs) in enumerate(asked.items()):
        files[name] = folder / f"asked-{index}"
        files[name].write_text("".join(f"{token} /dossiers/{dossier}\n" for token, dossier in pairs))
    return files


def _check(served: Served, agents: Agents) -> None:
    """Each profile is answered with its rubrics. Ends the run otherwise."""
    for profile, rubrics in matrix().items():
        address = f"{served.url}/dossiers/{_mixed()[-1]}"
        bearer = {"Authorization": f"Bearer {agents.by_profile[profile]}"}
        answer = requests.get(address, headers=bearer, timeout=30)
        if answer.status_code != 200 or set(answer.json()["rubriques"]) != set(rubrics):
            sys.exit(f"{profile} is not answered with its rubrics: {answer.status_code} {answer.content[:400]!r}")
