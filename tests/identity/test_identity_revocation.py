"""A change acts on the next request: of another store, of another process, and while others are reading."""

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from gateway.errors import AccountSuspended, Refusal, SessionEnded
from gateway.identity import directory
from gateway.identity.sessions import identify
from gateway.identity.store import open_store
from tests.identity.conftest import on_a_file

ROOT = Path(__file__).parents[2]
ELSEWHERE = """
import sys
from datetime import UTC, datetime
from gateway.identity import directory
from gateway.identity.store import open_store
store = open_store(sys.argv[1])
"""


def in_another_process(town, script, **options):
    return subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE + script, town.url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


@pytest.fixture
def other(town):
    """Another store on the same file, as another worker has it, with its connection open."""
    store = open_store(town.url)
    yield store
    store.close()


def test_every_change_is_seen_by_another_store_on_its_next_request(town, other):
    token = town.sign_in().token
    number = town.sign_convention()

    def seen():
        agent, _ = identify(other, town.rules, token, now=town.noon)
        return agent.convention, agent.engagement

    facts = [seen()]
    directory.sign_engagement(town.store, identifier=town.agent, version="2012-07", now=town.noon)
    facts.append(seen())
    directory.suspend_convention(town.store, number=number)
    facts.append(seen())
    directory.resume_convention(town.store, number=number)
    facts.append(seen())
    directory.withdraw_engagement(town.store, identifier=town.agent)
    facts.append(seen())
    assert facts == [
        ("in_force", "missing"),
        ("in_force", "signed"),
        ("suspended", "signed"),
        ("in_force", "signed"),
        ("in_force", "missing"),
    ]
    directory.suspend_account(town.store, identifier=town.agent)
    with pytest.raises(AccountSuspended):
        seen()
    directory.resume_account(town.store, identifier=town.agent)
    directory.end_sessions(town.store, identifier=town.agent)
    with pytest.raises(SessionEnded):
        seen()


def test_a_mandate_and_an_objection_are_seen_on_the_next_request(town, other):
    agent = town.sign_in().agent
    number = town.entrust()
    assert town.facts(agent) == (frozenset({"judgment"}), "none")
    directory.raise_objection(other, dossier=town.number, reference="letter", now=town.noon)
    assert town.facts(agent) == (frozenset({"judgment"}), "raised")
    directory.release_mandate(other, mandate_id=number, now=town.noon)
    assert town.facts(agent) == (frozenset(), "raised")


def test_a_suspension_by_another_process_is_seen_on_the_next_request(town):
    token = town.sign_in().token
    town.identify(token)
    process = in_another_process(town, "directory.suspend_account(store, identifier='m.martin')")
    assert process.wait(30) == 0
    with pytest.raises(AccountSuspended):
        town.identify(token)


@on_a_file
def test_sixteen_threads_identify_while_another_process_writes(town):
    token = town.sign_in().token
    town.sign_convention()
    answers: Counter[str] = Counter()
    last: list[str] = []
    go, ended, counting = threading.Event(), threading.Event(), threading.Lock()

    def consult():
        go.wait(10)
        over = False
        while not over:
            over = ended.is_set()  # once more, after the last change
            try:
                agent = town.identify(token)
                town.facts(agent)
                told = f"served {agent.convention}"
            except Refusal as refusal:
                told = type(refusal).__name__
            with counting:
                answers[told] += 1
        last.append(told)

    threads = [threading.Thread(target=consult, daemon=True) for _ in range(16)]
    for thread in threads:
        thread.start()
    writer = in_another_process(
        town,
        "for turn in range(40):\n"
        "    directory.suspend_convention(store, number='2026-001')\n"
        "    directory.resume_convention(store, number='2026-001')\n"
        "    directory.suspend_account(store, identifier='m.martin')\n"
        "    directory.resume_account(store, identifier='m.martin')\n"
        "directory.suspend_account(store, identifier='m.martin')\n",
    )
    go.set()
    status = writer.wait(60)
    ended.set()
    for thread in threads:
        thread.join(30)
    assert status == 0
    assert set(answers) == {"served in_force", "served suspended", "AgentSuspended"}
    assert last == ["AgentSuspended"] * 16
