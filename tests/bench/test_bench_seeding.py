"""What `make bench` fills its directories with is what the tables are today, so that it does not fail after minutes."""

from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from gateway.identity import facts, sessions
from gateway.identity.tables import account, mandate
from gateway.model import dossier_number
from gateway.record.journal import open_journal, record
from gateway.settings import Identity
from tests.bench.gateway_served import CAISSE, furnished, sqlite_store
from tests.bench.growth_seeding import seed_accounts, seed_mandates, seed_records

RULES = Identity(caisse=CAISSE)


@pytest.fixture
def configuration(tmp_path):
    return furnished(tmp_path / "cafpro", "http://127.0.0.1:9")[0]


def test_accounts_and_their_sessions_are_those_of_agents(configuration):
    (token, *_) = seed_accounts(configuration.parent, 250, "T6")
    with closing(sqlite_store(configuration)) as store:
        agent, _ = sessions.identify(store, RULES, token, now=datetime.now(UTC))
        assert (agent.profile, agent.convention, agent.partner_kind) == ("T6", "in_force", "external")
        with store.read() as connection:
            assert connection.scalar(select(func.count()).select_from(account)) == 250


def test_mandates_entrust_their_dossiers(configuration):
    token, dossiers = seed_mandates(configuration.parent, 50, "T9")
    with closing(sqlite_store(configuration)) as store:
        agent, reading = sessions.identify(store, RULES, token, now=datetime.now(UTC))
        number = dossier_number(dossiers[0])
        assert number is not None
        entrusted, objection = facts.dossier_facts(reading, RULES, agent, number, now=datetime.now(UTC))
        assert (entrusted, objection) == (frozenset({"judgment"}), "none")
        with store.read() as connection:
            assert connection.scalar(select(func.count()).select_from(mandate)) == 50


def test_records_are_rows_of_the_record(configuration):
    seed_records(configuration.parent, 30)
    file = f"sqlite:///{configuration.parent / 'record.db'}"
    with closing(open_journal(file, make=False)) as journal, journal._database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(record)) == 30
