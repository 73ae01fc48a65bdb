"""Two machines before one PostgreSQL server: a session of either is good on both, and what is withdrawn by a command
beside one of them is refused by both within two seconds.

Both gateways, and the commands beside them, come to the server as a user who may append to the record and not alter it.
Both believe one identity provider, whose agents come with a token and no session.

Each act is one command. Every worker is asked, on connections that are in it, until all of them refuse. What counts is
when a question was asked that was still answered: that depends on no machine's speed.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import dict_row
from sqlalchemy import insert, select

from gateway.cli.main import main
from gateway.identity import directory
from gateway.identity.failures import LOCKED_AFTER, count_failure
from gateway.identity.store import open_store
from gateway.identity.tables import account, join_request
from tests.story.brochure import OPEN, kept_dossier
from tests.story.providers import Provider, issuers_file
from tests.story.running import PATIENCE, Answer, Gateway, circle, exchange, is_problem, until
from upstream_stub.dossiers import dossier_text

PROMISED = 2.0
"""Seconds within which every worker of every machine knows."""
SERIAL = count(1)
NUMBERS = count(1_200_001)
ISSUED = "porteur"
"""The agent whose partner's identity provider both gateways believe."""
PAGM = {"REFERENT-RSA": "T4", "TUTEUR": "T9", "ADMINISTRATIF": "T1"}


class Pair(NamedTuple):
    """Two gateways of two workers, the URL by which they come to their server, and how to read the record there."""

    lyon: Gateway
    paris: Gateway
    url: str
    rows: Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with contextlib.closing(Provider()) as provider:
        yield provider


@pytest.fixture(scope="module")
def pair(server, stub_url, provider, tmp_path_factory) -> Iterator[Pair]:
    owned = server.empty_database()
    url = owned.replace("postgres@", "cafpro_pair@")

    def rows(**wanted: object) -> list[dict[str, Any]]:
        where = " AND ".join(f"{name} = %({name})s" for name in wanted)
        with psycopg.connect(owned.replace("+psycopg", ""), row_factory=dict_row) as connection:
            return connection.execute(f"SELECT * FROM record WHERE {where} ORDER BY id", wanted).fetchall()

    with contextlib.ExitStack() as stack:
        role = stack.enter_context(server.role("cafpro_pair"))
        stack.callback(server.remove, owned)
        owner = tmp_path_factory.mktemp("owner")
        granted(owner, owned, role)
        decided_long_ago(owned)
        issuers = issuers_file(owner, provider.entry(f"Partenaire {ISSUED}", profiles=PAGM))
        first, second = (
            stack.enter_context(started(tmp_path_factory.mktemp(name), stub_url, url, issuers))
            for name in ("lyon", "paris")
        )
        yield Pair(first, second, url, rows)


def granted(folder: Path, url: str, role: str) -> None:
    """As whoever owns the database does it, before the first start."""
    runner = CliRunner(env={"CAFPRO_STORE__URL": url, "CAFPRO_RECORD__URL": url})
    for words in (["init", str(folder / "caf")], ["store", "grant", role, "-c", str(folder / "caf" / "gateway.toml")]):
        done = runner.invoke(main, words)
        assert done.exit_code == 0, done.output


def decided_long_ago(url: str) -> None:
    """A request to join that was refused in another year, before either gateway started; and one that waits."""
    entry = {"organisation": "Udaf", "siret": "73282932000074", "function": "tuteur", "profiles": "T9"}
    times = (
        {"state": "refused", "asked_at": 1, "decided_at": 2},
        {"state": "asked", "asked_at": 1, "decided_at": None},
    )
    with contextlib.closing(open_store(url)) as store, store.change() as connection:
        connection.execute(insert(join_request), [{**entry, **each, "contact": "a@udaf.example"} for each in times])


@contextlib.contextmanager
def started(folder: Path, upstream: str, url: str, issuers: Path) -> Iterator[Gateway]:
    shared = {"store.url": url, "record.url": url, "server.workers": "2", "identity.issuers": str(issuers)}
    gateway = Gateway(folder, upstream=upstream, settings=shared, policies=None)
    try:
        yield gateway
    finally:
        gateway.stop()


class Agent(NamedTuple):
    """An agent of a partner of its own, signed in at one gateway, before a dossier of its own."""

    identifier: str
    profile: str
    dossier: str
    session: dict[str, str]
    mandate: int

    def whole(self) -> bytes:
        text = dossier_text(self.dossier)
        assert text
        return kept_dossier(text, OPEN[self.profile])


def entered(at: Gateway, profile: str = "T1", mandate: str = "") -> Agent:
    identifier, dossier = f"commun-{next(SERIAL)}", str(next(NUMBERS))
    at.enter(identifier, profile)
    entrusted = at.entrust(identifier, dossier, mandate) if mandate else 0
    return Agent(identifier, profile, dossier, at.log_in(identifier), entrusted)


def asked(gateway: Gateway, agent: Agent) -> Answer:
    """The answer to the agent's question on a connection of its own."""
    [(name, value)] = agent.session.items()
    head = f"GET /dossiers/{agent.dossier} HTTP/1.1\r\nHost: {gateway.host}\r\n{name}: {value}\r\nConnection: close"
    return exchange(gateway.url, f"{head}\r\n\r\n".encode())


@contextlib.contextmanager
def asking(pair: Pair, agent: Agent) -> Iterator[Callable[[float], list[Answer]]]:
    """While connections are open in every worker of both, each of which has just been told that all is well and
    believes it for a while. Yields what waits until all of them refuse, and gives an answer of each gateway then; it is
    told when the act was done, and fails where a question was answered that was asked more than `PROMISED` seconds
    after it."""
    path = f"/dossiers/{agent.dossier}"
    with circle(pair.lyon, path, agent.session) as lyon, circle(pair.paris, path, agent.session) as paris:

        def refused_everywhere(done_at: float) -> list[Answer]:
            while time.monotonic() < done_at + PATIENCE:
                turns = []
                for around in (lyon, paris):
                    asked_at = time.monotonic()
                    turns.append(around.ask())
                    in_time = asked_at - done_at <= PROMISED
                    assert in_time or all(answer.status != 200 for answer in turns[-1]), "still answered"
                if all(answer.status != 200 for turn in turns for answer in turn):
                    return [turn[0] for turn in turns]
            raise AssertionError("never refused everywhere")

        for around in (lyon, paris):
            assert {answer.status for answer in around.ask()} == {200}
        yield refused_everywhere


@pytest.mark.parametrize("first", ["lyon", "paris"])
def test_a_session_opened_at_one_gateway_is_good_at_the_other_and_both_record_it(pair, first):
    here = getattr(pair, first)
    there = pair.paris if here is pair.lyon else pair.lyon
    agent = entered(here)
    for gateway in (there, here):
        answer = asked(gateway, agent)
        assert (answer.status, answer.body) == (200, agent.whole())
        [row] = pair.rows(request_id=answer.one("X-Request-Id"))
        assert (row["agent"], row["status"]) == (agent.identifier, 200)


ACTS = {
    "a convention suspended": ("T1", "", ("convention", "suspend", "C-{identifier}"), 403, "GW312", ""),
    "an account suspended": ("T1", "", ("account", "suspend", "{identifier}"), 403, "GW110", ""),
    "an account closed": ("T1", "", ("account", "close", "{identifier}", "--why", "départ"), 401, "GW102", ""),
    "an engagement withdrawn": ("T1", "", ("account", "withdraw", "{identifier}"), 403, "GW314", ""),
    "a profile taken away": ("T1", "", ("account", "profiles", "{identifier}", "--profile", "T2"), 401, "GW102", ""),
    "sessions ended": ("T1", "", ("session", "end", "{identifier}"), 401, "GW102", ""),
    "a mandate released": ("T9", "judgment", ("mandate", "release", "{mandate}"), 403, "GW320", ""),
    "an objection raised": ("T1", "", ("objection", "raise", "{dossier}", "--reference", "L"), 403, "GW320", "GW321"),
}


@pytest.mark.attack(15)
@pytest.mark.parametrize("act", ACTS)
def test_what_is_withdrawn_beside_one_gateway_is_refused_by_both_within_two_seconds(pair, act):
    profile, mandate, words, status, code, kept = ACTS[act]
    agent = entered(pair.lyon, profile, mandate)
    with asking(pair, agent) as refused_everywhere:
        pair.paris.cafpro(*(word.format(**agent._asdict()) for word in words))
        refused = refused_everywhere(time.monotonic())
    for answer in refused:
        is_problem(answer, status, code)
        [row] = pair.rows(request_id=answer.one("X-Request-Id"))
        assert (row["status"], row["code"], row["rubrics"]) == (status, kept or code, "[]")


@pytest.fixture(scope="module")
def bearer(pair, provider) -> Callable[..., Agent]:
    """The provider's agent, who holds T1 and T9 and is entrusted with a dossier, with a token that says these PAGM."""
    dossier = str(next(NUMBERS))
    pair.lyon.enter(ISSUED, "T1", "T9")
    mandate = pair.lyon.entrust(ISSUED, dossier, "judgment")

    def bring(*pagm: str) -> Agent:
        return Agent(ISSUED, PAGM[pagm[0]], dossier, provider.bearer(ISSUED, pagm=pagm), mandate)

    return bring


def test_a_token_of_the_organisations_provider_is_read_with_at_both_and_recorded(pair, bearer, provider):
    for pagm in ("TUTEUR", "ADMINISTRATIF"):
        agent = bearer(pagm)
        for gateway in (pair.lyon, pair.paris):
            answer = asked(gateway, agent)
            assert (answer.status, answer.body) == (200, agent.whole()), answer
            [row] = pair.rows(request_id=answer.one("X-Request-Id"))
            told = (row["act"], row["agent"], row["partner"], row["profile"], row["status"])
            assert told == ("consult", ISSUED, f"Partenaire {ISSUED}", agent.profile, 200)
            assert json.loads(row["facts"])["assurance"] == "federated"
    for pagm, because in (
        (("REFERENT-RSA",), "a profile that the account does not hold"),
        (("TUTEUR", "ADMINISTRATIF"), "does not name one profile"),
    ):
        answer = asked(pair.paris, bearer(*pagm))
        is_problem(answer, 401, "GW102")
        [row] = pair.rows(request_id=answer.one("X-Request-Id"))
        assert (row["agent"], row["rubrics"], because in row["because"]) == ("", "[]", True), row
    # Once for each process, whichever token it was.
    assert 1 <= provider.asked <= 4


@pytest.mark.attack(15)
def test_a_token_is_worth_nothing_at_either_two_seconds_after_its_account_is_suspended(pair, bearer):
    agent = bearer("TUTEUR")
    with asking(pair, agent) as refused_everywhere:
        pair.paris.cafpro("account", "suspend", ISSUED)
        refused = refused_everywhere(time.monotonic())
    for answer in refused:
        is_problem(answer, 403, "GW110")
        [row] = pair.rows(request_id=answer.one("X-Request-Id"))
        assert (row["agent"], row["code"], row["rubrics"]) == (ISSUED, "GW110", "[]")
    pair.lyon.cafpro("account", "resume", ISSUED)
    until(lambda: asked(pair.paris, agent).status == 200, "the same token is good again")


@pytest.mark.attack(15)
def test_an_agent_who_logs_out_at_one_gateway_is_out_at_the_other(pair):
    agent = entered(pair.lyon)
    with asking(pair, agent) as refused_everywhere:
        assert pair.lyon.ask("/-/session", agent.session, method="DELETE").status == 204
        refused = refused_everywhere(time.monotonic())
    for answer in refused:
        is_problem(answer, 401, "GW102")


@pytest.mark.attack(17)
def test_an_account_that_is_locked_at_one_gateway_is_locked_at_the_other_until_it_is_unlocked(pair):
    agent = entered(pair.lyon)
    for _ in range(LOCKED_AFTER - 1):
        failed_elsewhere(pair, agent)
    is_problem(pair.lyon.sign_in(agent.identifier, password="Une-phrase-fausse-2012"), 401, "GW103")
    is_problem(pair.paris.sign_in(agent.identifier), 401, "GW103")
    pair.lyon.cafpro("account", "unlock", agent.identifier)
    assert pair.paris.sign_in(agent.identifier).status == 201


def failed_elsewhere(pair: Pair, agent: Agent) -> None:
    """A wrong password at a third machine, without its waits."""
    with pair.paris.store.read() as connection:
        known = connection.execute(select(account.c.id).where(account.c.identifier == agent.identifier)).scalar_one()
    count_failure(pair.paris.store, known, now=datetime.now(UTC))


def test_one_of_them_erases_the_contact_of_a_request_that_was_decided_long_ago(pair):
    until(lambda: directory.changes(pair.lyon.store, act="request erase"), "what is due is erased")
    [change] = directory.changes(pair.lyon.store, act="request erase")
    refused, asked = directory.join_requests(pair.lyon.store)
    assert (change.subject, change.by) == (str(refused.id), "(retention)")
    assert (refused.state, refused.contact, asked.contact) == ("refused", None, "a@udaf.example")


def test_the_user_as_whom_they_did_all_this_can_alter_neither_the_record_nor_the_changes(pair):
    with psycopg.connect(pair.url.replace("+psycopg", ""), autocommit=True) as connection:
        for table in ("record", "change"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() > (0,)
            for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}", f"TRUNCATE {table}"):
                with pytest.raises(InsufficientPrivilege):
                    connection.execute(statement)
    assert "could alter" not in pair.lyon.log() + pair.paris.log()
