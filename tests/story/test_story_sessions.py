"""An agent's own sessions over HTTP: seen, and ended one by one, by nobody else; and whoever comes when there is no
place left."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from sqlalchemy import update

from gateway.identity import directory
from gateway.identity.tables import session
from tests.story.machines import run_machine
from tests.story.running import Answer, Client, Gateway, is_problem

ADDRESS = "/-/sessions"
DOSSIER = "/dossiers/9990001"
SERIAL = count(1)
EXAMPLES = int(os.environ.get("SESSIONS_EXAMPLES", "12"))
MOST = 3


class Opened(NamedTuple):
    """A session as its agent holds it."""

    token: str
    change: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def cookie(self, gateway: Gateway) -> dict[str, str]:
        """What a page of ours sends with a change."""
        return {"Cookie": f"cafpro={self.token}", "Origin": gateway.url, "X-CSRF-Token": self.change}


@pytest.fixture(scope="module")
def agents(gateway: Gateway) -> Callable[[], str]:
    """Enters an agent of profile T1, and tells its identifier."""

    def enter() -> str:
        name = f"sessions-{next(SERIAL)}"
        gateway.enter(name, "T1")
        return name

    return enter


def opened(gateway: Gateway, identifier: str, **more: Any) -> Opened:
    answer = gateway.sign_in(identifier, **more)
    assert answer.status == 201, answer
    return Opened(answer.json()["token"], answer.json()["csrf_token"])


def shown(gateway: Client, held: Opened) -> list[dict[str, Any]]:
    answer = gateway.ask(ADDRESS, held.bearer)
    assert answer.status == 200, answer
    assert answer.json()["csrf_token"] == held.change
    found: list[dict[str, Any]] = answer.json()["sessions"]
    return found


def name_of(gateway: Client, held: Opened) -> str:
    """What this session is called, as it sees itself."""
    [mine] = [one["id"] for one in shown(gateway, held) if one["current"]]
    return str(mine)


def end(gateway: Client, headers: dict[str, str], name: str) -> Answer:
    return gateway.ask(f"{ADDRESS}/{name}", headers, method="DELETE")


def test_an_agent_sees_its_open_sessions_and_which_one_asks(gateway, agents):
    identifier = agents()
    first, second = opened(gateway, identifier), opened(gateway, identifier)
    began = datetime.now(UTC)
    answer = gateway.ask(ADDRESS, second.bearer)
    assert answer.one("Cache-Control") == "no-store"
    told = answer.json()["sessions"]
    assert len({one["id"] for one in told}) == 2
    for one in told:
        assert set(one) == {"id", "opened_at", "seen_at", "expires_at", "profile", "assurance", "current"}
        assert (one["profile"], one["assurance"]) == ("T1", "password")
        instants = [datetime.fromisoformat(one[name]) for name in ("opened_at", "seen_at", "expires_at")]
        assert instants[2] - instants[0] == timedelta(hours=10)
        assert timedelta(0) <= began - instants[0] < timedelta(minutes=5)
        assert instants[0] <= instants[1]
    assert name_of(gateway, first) != name_of(gateway, second)
    assert not [held.token for held in (first, second) if held.token in answer.text()]
    row = gateway.recorded(answer)
    assert (row["act"], row["agent"], row["status"], row["dossier"]) == ("sessions", identifier, 200, "")
    head = gateway.ask(ADDRESS, second.bearer, method="HEAD")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("by", ["bearer", "cookie"])
def test_an_agent_ends_a_session_elsewhere_at_once_and_goes_on(gateway, agents, by):
    identifier = agents()
    here, elsewhere = opened(gateway, identifier), opened(gateway, identifier)
    name = name_of(gateway, elsewhere)
    answer = end(gateway, here.bearer if by == "bearer" else here.cookie(gateway), name)
    assert (answer.status, answer.body, answer.all("Set-Cookie")) == (204, b"", [])
    for path in ("/-/session", ADDRESS, DOSSIER):
        is_problem(gateway.ask(path, elsewhere.bearer), 401, "GW102")
    assert [one["current"] for one in shown(gateway, here)] == [True]
    assert gateway.ask(DOSSIER, here.bearer).status == 200
    row = gateway.recorded(answer)
    assert (row["act"], row["agent"], row["status"]) == ("session_end", identifier, 204)
    [told] = directory.changes(gateway.store, subject=identifier, act="session end")
    assert (told.by, told.detail) == (identifier, f"session {name}")


def test_to_end_the_session_that_asks_is_to_log_out(gateway, agents):
    here = opened(gateway, agents())
    answer = end(gateway, here.cookie(gateway), name_of(gateway, here))
    assert answer.status == 204
    assert answer.one("Set-Cookie").startswith("cafpro=; ")
    assert "Max-Age=0" in answer.one("Set-Cookie")
    is_problem(gateway.ask(ADDRESS, here.bearer), 401, "GW102")


def test_anothers_session_is_refused_like_one_that_does_not_exist(gateway, agents):
    """No oracle: what is told does not depend on whether somebody has such a session, or had."""
    here, theirs, over = (opened(gateway, identifier) for identifier in (agents(), agents(), agents()))
    gone = name_of(gateway, over)
    assert end(gateway, over.bearer, gone).status == 204
    refusals = [end(gateway, here.bearer, name) for name in (name_of(gateway, theirs), gone, "0" * 24, "A" * 24, "x")]
    for refusal in refusals:
        is_problem(refusal, 404, "GW119")
        assert gateway.recorded(refusal)["because"] == "none of the agent's own sessions"
    assert len({repr(refusal.lasting()) for refusal in refusals}) == 1
    assert gateway.ask(DOSSIER, theirs.bearer).status == 200


@pytest.mark.parametrize("name", ["%00", "%C3%A9", "x" * 2000, "..%2Fsession", "*", "%F0", "0" * 23 + "%0A"])
def test_what_is_no_name_ends_nothing(gateway, agents, name):
    here = opened(gateway, agents())
    assert end(gateway, here.bearer, name).status in (400, 404)
    assert len(shown(gateway, here)) == 1


def test_a_browser_ends_nothing_without_our_origin_and_its_token(gateway, agents):
    identifier = agents()
    here, elsewhere = opened(gateway, identifier), opened(gateway, identifier)
    name, whole = name_of(gateway, elsewhere), here.cookie(gateway)
    for changed in (
        {"Origin": "https://ailleurs.example"},
        {"Origin": "null"},
        {"Origin": None},
        {"X-CSRF-Token": None},
        {"X-CSRF-Token": elsewhere.change},
        {"X-CSRF-Token": "0" * 64},
    ):
        headers = {key: value for key, value in {**whole, **changed}.items() if value is not None}
        answer = end(gateway, headers, name)
        is_problem(answer, 403, "GW111")
        assert gateway.recorded(answer)["act"] == "session_end"
    assert len(shown(gateway, here)) == 2
    assert end(gateway, whole, name).status == 204


def test_strangers_parameters_and_other_hosts_are_refused(gateway, agents):
    here = opened(gateway, agents())
    name = name_of(gateway, here)
    for path, method in ((ADDRESS, "GET"), (f"{ADDRESS}/{name}", "DELETE")):
        is_problem(gateway.ask(path, method=method), 401, "GW101")
        is_problem(gateway.ask(path, {"Authorization": f"Bearer {'A' * 43}"}, method=method), 401, "GW102")
        is_problem(gateway.ask(f"{path}?all=1", here.bearer, method=method), 400, "GW202")
        is_problem(gateway.ask(path, {**here.bearer, "Host": "ailleurs.example"}, method=method), 400, "GW201")
    is_problem(gateway.ask(ADDRESS, here.bearer, method="DELETE"), 405, "GW204")
    is_problem(gateway.ask(f"{ADDRESS}/{name}", here.bearer), 405, "GW204")
    is_problem(gateway.ask(f"{ADDRESS}/", here.bearer), 404, "GW203")
    assert len(shown(gateway, here)) == 1


def test_an_administrator_ends_one_session_by_the_name_that_the_agent_reads(gateway, agents):
    identifier = agents()
    here, elsewhere = opened(gateway, identifier), opened(gateway, identifier)
    gateway.cafpro("session", "end", identifier, "--only", name_of(gateway, elsewhere), "--why", "poste perdu")
    is_problem(gateway.ask(ADDRESS, elsewhere.bearer), 401, "GW102")
    assert len(shown(gateway, here)) == 1


# Where the newcomer is refused.


@pytest.fixture(scope="module")
def strict(start_gateway, stub_url) -> Gateway:
    """Two workers, and a place for three sessions of an agent; the Caf's staff needs a second factor."""
    return start_gateway(
        stub_url,
        server__workers=2,
        identity__sessions_at_once=MOST,
        identity__sessions_full="refuse_newcomer",
        identity__second_factor_required="caf",
    )


def test_where_there_is_no_place_left_the_newcomer_is_told_so_after_the_password_alone(strict):
    identifier = f"complet-{next(SERIAL)}"
    strict.enter(identifier, "T1")
    held = [opened(strict, identifier) for _ in range(MOST)]
    refused = strict.sign_in(identifier)
    is_problem(refused, 409, "GW118")
    assert refused.all("Set-Cookie") == []
    row = strict.recorded(refused)
    assert (row["act"], row["agent"], row["code"]) == ("log_in", identifier, "GW118")
    assert [strict.ask(DOSSIER, one.bearer).status for one in held] == [200] * MOST
    wrong = [strict.sign_in(who, password="Une-autre-phrase-2013") for who in (identifier, f"inconnu-{next(SERIAL)}")]
    for answer in wrong:
        is_problem(answer, 401, "GW103")
    assert len({repr(answer.lasting()) for answer in wrong}) == 1
    assert end(strict, held[0].bearer, name_of(strict, held[1])).status == 204
    opened(strict, identifier)
    is_problem(strict.sign_in(identifier), 409, "GW118")


def test_sessions_that_are_over_keep_nobody_out(strict):
    identifier = f"oisif-{next(SERIAL)}"
    strict.enter(identifier, "T1")
    held = [opened(strict, identifier) for _ in range(MOST)]
    with strict.store.change() as connection:
        connection.execute(update(session).values(seen_at=session.c.seen_at - 1800))
    newcomer = opened(strict, identifier)
    is_problem(strict.ask(DOSSIER, held[0].bearer), 401, "GW102")
    assert len(shown(strict, newcomer)) == 1


def test_whoever_must_have_a_second_factor_sees_no_sessions_without(strict):
    identifier = f"de-la-caf-{next(SERIAL)}"
    strict.enter(identifier, kind="caf")
    here = opened(strict, identifier)
    is_problem(strict.ask(ADDRESS, here.bearer), 403, "GW131")
    is_problem(end(strict, here.bearer, "0" * 24), 403, "GW131")


# Any order of anything.


class Desk(RuleBasedStateMachine):
    """Two agents, on two connections, who log in, look, end sessions and log out in any order."""

    gateway: ClassVar[Gateway]
    clients: ClassVar[tuple[Client, Client]]

    @initialize()
    def enter(self) -> None:
        self.agents = [f"pupitre-{next(SERIAL)}" for _ in range(2)]
        for identifier in self.agents:
            self.gateway.enter(identifier, "T1")
        self.open: list[dict[str, Opened]] = [{}, {}]
        """The sessions of each agent, by what they are called."""
        self.over: list[tuple[str, Opened]] = []

    @rule(who=st.integers(0, 1))
    def log_in(self, who: int) -> None:
        answer = self.gateway.sign_in(self.agents[who])
        if len(self.open[who]) == MOST:
            is_problem(answer, 409, "GW118")
            return
        held = Opened(answer.json()["token"], answer.json()["csrf_token"])
        self.open[who][name_of(self.clients[who], held)] = held

    @rule(who=st.integers(0, 1), which=st.integers(0, MOST))
    def log_out(self, who: int, which: int) -> None:
        found = self.pick(who, which)
        if found:
            name, held = found
            assert self.clients[which % 2].ask("/-/session", held.bearer, method="DELETE").status == 204
            self.is_over(who, name)

    @rule(who=st.integers(0, 1), by=st.integers(0, MOST), which=st.integers(0, MOST), cookie=st.booleans())
    def end_one(self, who: int, by: int, which: int, cookie: bool) -> None:
        asks, ends = self.pick(who, by), self.pick(who, which)
        if asks and ends:
            headers = asks[1].cookie(self.gateway) if cookie else asks[1].bearer
            assert end(self.clients[by % 2], headers, ends[0]).status == 204
            self.is_over(who, ends[0])

    @rule(who=st.integers(0, 1), by=st.integers(0, MOST), which=st.integers(0, MOST), ended=st.booleans())
    def end_what_is_not_ones_own(self, who: int, by: int, which: int, ended: bool) -> None:
        asks = self.pick(who, by)
        names = [name for name, _ in self.over] if ended else list(self.open[1 - who])
        if asks and names:
            is_problem(end(self.clients[0], asks[1].bearer, names[which % len(names)]), 404, "GW119")

    @rule(which=st.integers(0, 50))
    def come_with_what_is_over(self, which: int) -> None:
        if self.over:
            name, held = self.over[which % len(self.over)]
            is_problem(self.clients[0].ask(ADDRESS, held.bearer), 401, "GW102")
            is_problem(end(self.clients[1], held.bearer, name), 401, "GW102")

    @rule(who=st.integers(0, 1), which=st.integers(0, MOST))
    def look(self, who: int, which: int) -> None:
        found = self.pick(who, which)
        if found:
            self.sees_its_own(who, *found)

    def teardown(self) -> None:
        for who in range(2):
            for name, held in getattr(self, "open", [{}, {}])[who].items():
                self.sees_its_own(who, name, held)

    def sees_its_own(self, who: int, name: str, held: Opened) -> None:
        told = shown(self.clients[who], held)
        assert {one["id"]: one["current"] for one in told} == {other: other == name for other in self.open[who]}

    def is_over(self, who: int, name: str) -> None:
        """It is refused at once, on both connections."""
        held = self.open[who].pop(name)
        self.over.append((name, held))
        for client in self.clients:
            is_problem(client.ask("/-/session", held.bearer), 401, "GW102")

    def pick(self, who: int, which: int) -> tuple[str, Opened] | None:
        found = list(self.open[who].items())
        return found[which % len(found)] if found else None


def test_in_whatever_order_each_sees_its_own_sessions_and_what_is_ended_is_over_at_once(strict):
    clients = Client(strict.url), Client(strict.url)
    run_machine(Desk, examples=EXAMPLES, steps=20, clients=clients, gateway=strict)
