"""How much an agent and an address may ask for: counted over all workers, refused with the truth about when to come
back, and without a word about any dossier."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count

import pytest
from sqlalchemy import update

from gateway.identity import directory, tables
from gateway.limits.limits import RECORDED
from tests.story.running import Answer, Client, Gateway, is_problem, until

TOKEN = "moissonneuse-0123456789-0123456789"
DOSSIER = "/dossiers/9990001"
SERIAL = count(1)


@pytest.fixture(scope="module")
def start(start_gateway, stub_url):
    """Starts a gateway with these limits and the accounts `t1` and `t2`."""

    def start(**settings: object) -> Gateway:
        gateway = start_gateway(stub_url, **settings)
        gateway.enter("t1", "T1")
        gateway.enter("t2", "T2")
        return gateway

    return start


@pytest.fixture(scope="module")
def slow_agents(start) -> Gateway:
    """An agent may send 20 at once, and another one each minute; two workers."""
    return start(server__workers=2, limits__agent_per_minute=1, limits__agent_burst=20)


@pytest.fixture(scope="module")
def slow_addresses(start, tmp_path_factory) -> Gateway:
    """An address may send 10 at once, and another one each minute. The machine itself is a proxy."""
    file = tmp_path_factory.mktemp("scrape") / "scrape.token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    return start(
        server__workers=2,
        server__proxies="127.0.0.1,10.0.0.0/8",
        limits__address_per_minute=1,
        limits__address_burst=10,
        metrics__token_file=file,
    )


def new_address() -> str:
    """Of a client that nobody has heard of."""
    return f"203.0.113.{next(SERIAL)}"


def is_limited(answer: Answer) -> int:
    """The answer is the refusal of too many requests; the seconds that it tells to wait."""
    is_problem(answer, 429, "GW210")
    seconds = answer.one("Retry-After")
    assert seconds.isdecimal()
    assert int(seconds) >= 1
    return int(seconds)


def exhaust(gateway: Gateway, session: dict[str, str]) -> None:
    until(lambda: gateway.ask("/-/session", session).status == 429, "the agent is limited")


def test_an_agent_has_one_limit_over_all_workers_and_its_colleague_another(slow_agents):
    first, second = slow_agents.log_in("t1"), slow_agents.log_in("t1")
    colleague = slow_agents.log_in("t2")

    def ask(number: int) -> Answer:
        # Each on a connection of its own, which may reach the other worker.
        with contextlib.closing(Client(slow_agents.url)) as client:
            return client.ask(DOSSIER, (first, second)[number % 2])

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(60)))
    let_through = [answer for answer in answers if answer.status == 200]
    # Two that two workers look at in the same instant may count as one.
    assert 20 <= len(let_through) <= 22
    for answer in answers:
        if answer.status != 200:
            assert is_limited(answer) <= 60
            row = slow_agents.recorded(answer)
            assert (row["agent"], row["partner"], row["profile"]) == ("t1", "Partenaire t1", "T1")
            assert (row["status"], row["code"], row["because"]) == (429, "GW210", "too many of this agent")
            assert (row["dossier"], row["rubrics"], row["facts"]) == ("", "[]", "")
    assert slow_agents.ask(DOSSIER, colleague).status == 200


def test_a_worker_that_takes_over_from_another_knows_what_was_asked_for(start):
    gateway = start(limits__agent_per_minute=1, limits__agent_burst=3)
    session = gateway.log_in("t1")
    assert [gateway.ask(DOSSIER, session).status for _ in range(4)] == [200, 200, 200, 429]
    [worker] = gateway.workers()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(30)
    gateway.close()
    gateway._process.answers(f"{gateway.url}/-/health/ready")
    is_limited(gateway.ask(DOSSIER, session))


def test_the_refusal_of_an_agent_who_asks_too_much_tells_nothing_of_what_was_asked(slow_agents):
    session = slow_agents.log_in("t2")
    exhaust(slow_agents, session)
    whole = set()
    for path in (DOSSIER, "/dossiers/0000000", "/dossiers/9990008", "/dossiers/x", "/nothing", "/-/session"):
        answer = slow_agents.ask(path, session)
        is_limited(answer)
        status, headers, body = answer.lasting()
        whole.add((status, tuple(header for header in headers if header[0] != "Retry-After"), body))
        assert slow_agents.recorded(answer)["dossier"] == ""
    assert len(whole) == 1


def test_whoever_knows_a_password_may_not_log_in_for_ever_and_nobody_learns_who_exists(start):
    gateway = start(limits__log_ins_per_minute=1, limits__log_ins_burst=2)
    gateway.enter("t3", "T1", "T2")
    cases = {
        "t1": ({}, 201, None),
        "t3": ({}, 422, "GW112"),
        "t2": ({"password": "Une-autre-phrase-2013"}, 401, "GW103"),
        "personne": ({"password": "Une-autre-phrase-2013"}, 401, "GW103"),
    }
    for identifier, (more, status, code) in cases.items():
        for _ in range(2):
            answer = gateway.sign_in(identifier, **more)
            assert (answer.status, answer.json().get("code")) == (status, code)
        answer = gateway.sign_in(identifier, **more)
        assert is_limited(answer) <= 60
        row = gateway.recorded(answer)
        assert (row["act"], row["agent"], row["because"]) == ("log_in", "", "too many log-ins with this identifier")


def test_of_more_sessions_than_an_account_may_have_the_one_used_longest_ago_ends(start):
    gateway = start(identity__sessions_at_once=3)
    colleague = gateway.log_in("t2")
    sessions = [gateway.log_in("t1") for _ in range(3)]
    assert [gateway.ask(DOSSIER, session).status for session in sessions] == [200] * 3
    # As if minutes had passed: within one second nobody was used longer ago than another.
    tokens = [hashlib.sha256(session["Authorization"].split()[1].encode()).hexdigest() for session in sessions]
    with gateway.store.change() as connection:
        for token, minutes in zip(tokens, (5, 10, 0), strict=True):
            noted = update(tables.session).where(tables.session.c.token_hash == token)
            connection.execute(noted.values(seen_at=tables.session.c.seen_at - 60 * minutes))
    newest = gateway.log_in("t1")
    assert [gateway.ask(DOSSIER, session).status for session in (*sessions, newest)] == [200, 401, 200, 200]
    assert len(directory.open_sessions(gateway.store, identifier="t1", now=datetime.now(UTC))) == 3
    assert gateway.ask(DOSSIER, colleague).status == 200


def test_after_the_seconds_that_the_refusal_tells_there_is_room_again(start):
    gateway = start(limits__agent_per_minute=40, limits__agent_burst=2)
    session = gateway.log_in("t1")
    for _ in range(2):
        exhaust(gateway, session)
        refused_at = time.monotonic()
        seconds = is_limited(gateway.ask(DOSSIER, session))
        assert seconds <= 2
        until(lambda at=refused_at + seconds: time.monotonic() >= at, "the time is over")
        assert gateway.ask(DOSSIER, session).status == 200


def test_an_address_that_sends_too_much_is_refused_before_it_is_asked_who_it_is(slow_addresses):
    behind = {"X-Forwarded-For": new_address()}
    garbage = {**behind, "Authorization": "Bearer " + "A" * 43}
    assert [slow_addresses.ask(DOSSIER, garbage).status for _ in range(10)] == [401] * 10
    session = slow_addresses.log_in("t1")
    json = {"Content-Type": "application/json"}
    for path, headers, method in (
        (DOSSIER, garbage, "GET"),
        (DOSSIER, {**behind, **session}, "GET"),
        ("/-/session", {**behind, **session}, "GET"),
        ("/-/session", {**behind, **session}, "DELETE"),
        ("/-/session", {**behind, **json}, "POST"),
        ("/-/nothing", behind, "GET"),
        ("/-/metrics", garbage, "GET"),
        ("/-/openapi.json", behind, "GET"),
        ("/-/openapi.json", {**behind, **session}, "GET"),
    ):
        answer = slow_addresses.ask(path, headers, method=method)
        is_limited(answer)
        row = slow_addresses.recorded(answer)
        assert (row["agent"], row["code"], row["because"]) == ("", "GW210", "too many from this address")
        assert row["address"] == behind["X-Forwarded-For"]


def test_a_flood_from_one_address_leaves_some_rows_and_is_counted_for_the_rest(slow_addresses):
    def turned_away() -> float:
        shown = slow_addresses.ask("/-/metrics", {"Authorization": f"Bearer {TOKEN}"}).body.decode()
        [found] = re.findall(r"^cafpro_turned_away_total ([0-9.]+)$", shown, re.M)
        return float(found)

    flooding = {"X-Forwarded-For": new_address()}
    begun, counted = time.monotonic(), turned_away()
    answers = [slow_addresses.ask((DOSSIER, "/-/openapi.json")[number % 2], flooding) for number in range(300)]
    refused = [answer for answer in answers if answer.status == 429]
    for answer in refused:
        is_limited(answer)
    rows = slow_addresses.record_rows(code="GW210", address=flooding["X-Forwarded-For"])
    # One more each second; and what two workers look at in the same instant may count as one.
    assert RECORDED.burst <= len(rows) <= RECORDED.burst + time.monotonic() - begun + 2
    assert {row["request_id"] for row in rows} < {answer.one("X-Request-Id") for answer in refused}
    assert turned_away() - counted == len(refused) - len(rows)
    other = {"X-Forwarded-For": new_address()}
    until(lambda: slow_addresses.ask(DOSSIER, other).status == 429, "another address is limited")
    assert slow_addresses.recorded(slow_addresses.ask(DOSSIER, other))["code"] == "GW210"


def test_each_refusal_of_an_agent_is_recorded(start):
    gateway = start(limits__agent_per_minute=1, limits__agent_burst=1)
    session = gateway.log_in("t1")
    exhaust(gateway, session)
    before = gateway.last_row()
    refused = [gateway.ask(DOSSIER, session) for _ in range(3 * RECORDED.burst)]
    known = [row["request_id"] for row in gateway.record_rows(after=before) if row["agent"] == "t1"]
    assert known == [answer.one("X-Request-Id") for answer in refused]


def test_probes_and_scrapes_are_not_counted(slow_addresses):
    behind = {"X-Forwarded-For": new_address()}
    scraping = {**behind, "Authorization": f"Bearer {TOKEN}"}
    for _ in range(30):
        assert slow_addresses.ask("/-/health/live", behind).status == 200
        assert slow_addresses.ask("/-/health/ready", behind).status == 200
        assert slow_addresses.ask("/-/metrics", scraping).status == 200
    assert slow_addresses.ask(DOSSIER, behind).status == 401
    until(lambda: slow_addresses.ask(DOSSIER, behind).status == 429, "the address is limited")
    for path, headers in (("/-/health/live", behind), ("/-/health/ready", behind), ("/-/metrics", scraping)):
        assert slow_addresses.ask(path, headers).status == 200


@pytest.mark.parametrize(
    "forwarded",
    ["{0}", "198.51.100.1, {0}", "garbage, {0}, 10.0.0.7", "::ffff:{0}", "{0}:4711", "[::ffff:{0}]:443, 10.0.0.7:80"],
    ids=["alone", "behind what the client wrote", "before another proxy", "as IPv6", "with a port", "with ports"],
)
def test_clients_behind_our_proxies_have_each_their_own_limit_and_are_named_in_the_record(slow_addresses, forwarded):
    first, second = new_address(), new_address()
    behind = {"X-Forwarded-For": forwarded.format(first)}
    statuses = [slow_addresses.ask(DOSSIER, behind).status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    other = slow_addresses.ask(DOSSIER, {"X-Forwarded-For": forwarded.format(second)})
    assert other.status == 401
    assert slow_addresses.recorded(other)["address"] == second
    assert {row["address"] for row in slow_addresses.record_rows(code="GW210", address=first)} == {first}


def test_a_client_that_writes_addresses_of_its_own_does_not_get_more(start):
    """No proxy of ours is in front: the header is anybody's."""
    gateway = start(limits__address_per_minute=1, limits__address_burst=10)
    answers = [gateway.ask(DOSSIER, {"X-Forwarded-For": new_address()}) for _ in range(11)]
    assert [answer.status for answer in answers] == [401] * 10 + [429]
    assert {gateway.recorded(answer)["address"] for answer in answers} == {"127.0.0.1"}
