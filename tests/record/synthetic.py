"""A record as a year of consultations leaves it: many rows, few distinct facts. Nothing in it is of anyone.

`python -m tests.record.synthetic FILE ROWS` makes one in a SQLite file, the last row of this instant.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace

from gateway.database.opening import open_database
from gateway.model import Agent, DossierNumber, Facts, Grant
from gateway.policy.canaries import MOST
from gateway.policy.engine import Policy
from gateway.policy_files.folder import load_folder, shipped
from gateway.record.entry import DossierMark, Entry
from gateway.record.journal import METADATA, Journal

Row = tuple[object, ...]
DOCUMENTS = {"attestation": "attestation_paiement", "courrier": "courrier", "declaration": "declaration_ressources"}
PARTNERS = 200
LOG_INS = 0.04
AT_ONCE = 20_000


def rows(policy: Policy, number: int, *, until: datetime, days: float = 365, seed: int = 2012) -> Iterator[Row]:
    """So many rows, evenly over the days before `until`: consultations as the policies decide them, and log-ins."""
    chance = random.Random(seed)
    profiles = list(policy.profiles)
    decided = lru_cache(maxsize=None)(policy.evaluate)
    mark = DossierMark(b"k" * 32, "851")
    for place in range(number):
        at = until - timedelta(days=days) * (1 - (place + 1) / number)
        entry = Entry(f"{chance.getrandbits(96):024x}", at, "10.0.0.1")
        partner = chance.randrange(PARTNERS)
        profile = profiles[partner % len(profiles)]
        entry.known(
            Agent(
                1,
                f"agent-{partner}-{chance.randrange(40)}",
                1,
                f"Partenaire {partner}",
                "external",
                profile,
                (profile,),
                "in_force",
                "signed",
                "password",
                0,
            )
        )
        if chance.random() < LOG_INS:
            entry.act, entry.status = "log_in", 201
        else:
            entry.act, entry.route = "consult", chance.choices(["dossier", "rubric", *DOCUMENTS], [60, 25, 5, 5, 5])[0]
            entry.dossier = mark(DossierNumber(f"{chance.randrange(10**7):07d}"))
            facts = _facts(chance, profile)
            _consult(chance, entry, facts, decided(facts), policy.fingerprint)
        yield entry.row()


def _facts(chance: random.Random, profile: str) -> Facts:
    mandates = {"T9": ["judgment", "masp"], "T10": ["direct_payment"]}.get(profile, ["instruction"])
    return replace(
        MOST,
        profile=profile,
        convention=chance.choices(["in_force", "expired", "suspended"], [96, 3, 1])[0],
        engagement=chance.choices(["signed", "outdated"], [98, 2])[0],
        mandates=frozenset([chance.choice(mandates)] if chance.random() < 0.8 else []),
        objection=chance.choices(["none", "raised"], [99, 1])[0],
        assurance=chance.choice(["password", "second_factor"]),
    )


def _consult(chance: random.Random, entry: Entry, facts: Facts, grant: Grant, fingerprint: str) -> None:
    entry.decided(facts, grant, fingerprint)
    opened = sorted(grant.rubrics)
    if entry.route in DOCUMENTS:
        opened = [slug for slug in opened if slug == DOCUMENTS[entry.route]]
    elif entry.route == "rubric":
        opened = opened and [chance.choice(opened)]
    if opened:
        # Most dossiers lack something.
        entry.left = frozenset(opened) - ({"rsa"} if chance.random() < 0.4 else set())
        entry.status = 200
    else:
        entry.status, entry.code, entry.because = 403, "GW204", "the gate is shut"


def make(file: Path, number: int, *, until: datetime, days: float = 365) -> None:
    """A record in a SQLite file, which must not be there."""
    policy = load_folder(shipped()).policy
    journal = Journal(open_database(f"sqlite:///{file}", METADATA, setting="record.url"))
    batch: list[Row] = []
    for row in rows(policy, number, until=until, days=days):
        batch.append(row)
        if len(batch) == AT_ONCE:
            journal.write(batch)
            batch = []
    if batch:
        journal.write(batch)
    journal.close()


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute(), int(sys.argv[2]), until=datetime.now(UTC))
