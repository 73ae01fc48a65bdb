"""A delegated administrator manages the agents of its own partner, and nothing else, whatever it sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.api.agents import AGENT_OPERATIONS
from gateway.errors import Misconfigured, NotDelegated
from gateway.identity import directory
from gateway.identity.delegates import Delegated
from gateway.identity.directory import Signature
from gateway.identity.sessions import sign_in
from gateway.identity.tables import METADATA, account
from gateway.settings import Identity
from tests.story.running import CAISSE, PASSWORD, is_problem

EVERY = pytest.mark.parametrize("operation", AGENT_OPERATIONS, ids=lambda operation: operation.name)
UDAF, CCAS = "Partenaire cheffe", "Partenaire voisin"
ROOM = 4
"""Agents with T1 that the convention of `cheffe`'s partner allows; two have it: `cheffe` and `autre.cheffe`."""


@pytest.fixture(scope="module")
def office(start_gateway, stub_url, stored):
    """`cheffe` and `autre.cheffe` are administrators of one partner, `voisin` and `voisine` agents of another."""
    gateway = start_gateway(stub_url, **stored)
    gateway.enter("cheffe", "T1")
    directory.limit_convention(gateway.store, number="C-cheffe", max_agents=ROOM)
    gateway.enter("voisin", "T9")
    for identifier, partner, profiles in (("autre.cheffe", UDAF, ["T1"]), ("voisine", CCAS, ["T9"])):
        directory.add_account(
            gateway.store, identifier=identifier, password=PASSWORD, partner_name=partner, profiles=profiles
        )
    for identifier in ("cheffe", "autre.cheffe"):
        directory.delegate_account(gateway.store, identifier=identifier)
    gateway.enter("chef", kind="caf")
    return gateway


@pytest.fixture(scope="module")
def session(office):
    return office.log_in("cheffe")


def post(gateway, session, path, **body):
    headers = {**session, "Content-Type": "application/json"}
    return gateway.ask(f"/-/agents{path}", headers, method="POST", body=json.dumps(body).encode())


def entered(office, session, identifier, *profiles):
    """A new agent of `cheffe`'s; the link."""
    answer = post(office, session, "", identifier=identifier, profiles=profiles, function="conseillère")
    assert answer.status == 201, answer
    return answer.json()["link"]


def left(office, identifier):
    directory.close_account(
        office.store, identifier=identifier, signed=Signature("test", "done"), now=datetime.now(UTC)
    )


def test_a_day_of_an_administrator(office, session):
    link = entered(office, session, "m.martin", "T1")
    body = json.dumps({"token": link.partition("#")[2], "password": PASSWORD}).encode()
    json_type = {"Content-Type": "application/json"}
    assert office.ask("/-/activation", json_type, method="POST", body=body).status == 204
    agent = office.log_in("m.martin")
    is_problem(office.ask("/dossiers/9990001", agent), 403, "GW314")
    assert post(office, session, "/suspend", identifier="m.martin").status == 204
    is_problem(office.ask("/-/session", agent), 403, "GW110")
    assert post(office, session, "/resume", identifier="m.martin").status == 204
    assert office.ask("/-/session", agent).status == 200
    assert post(office, session, "/end", identifier="m.martin").json() == {"sessions": 1}
    assert post(office, session, "/unlock", identifier="m.martin").status == 204
    assert post(office, session, "/profiles", identifier="m.martin", profiles=[]).status == 204
    assert post(office, session, "/invite", identifier="m.martin").json()["link"] != link
    rows = office.ask("/-/agents", session).json()["rows"]
    assert [(row["identifier"], row["delegated"]) for row in rows] == [
        ("autre.cheffe", True),
        ("cheffe", True),
        ("m.martin", False),
    ]
    closed = post(office, session, "/close", identifier="m.martin", why="part à la retraite")
    assert closed.json() == {"sessions": 0, "mandates": []}
    done = directory.changes(office.store, subject="m.martin")
    assert {change.by for change in done} == {"cheffe", "m.martin"}
    assert [change.act for change in done if change.by == "cheffe"] == [
        *("account add", "account suspend", "account resume", "session end", "account unlock", "account profiles"),
        *("account invite", "account close"),
    ]


def sent(operation, identifier):
    """What this operation takes, about this account."""
    more = {"close": {"why": "part"}, "profiles": {"profiles": ["T1"]}}.get(operation.act, {})
    return {"identifier": identifier, **more}


CHANGES = pytest.mark.parametrize(
    "operation", [each for each in AGENT_OPERATIONS if each.act not in ("list", "add")], ids=lambda each: each.name
)


@EVERY
@pytest.mark.parametrize("who", ["voisin", "chef"])
def test_nobody_else_manages_agents(office, operation, who):
    session = office.log_in(who)
    if operation.method == "GET":
        is_problem(office.ask(operation.path, session), 403, "GW123")
    else:
        path = operation.path.removeprefix("/-/agents")
        is_problem(post(office, session, path, **sent(operation, "autre.cheffe")), 403, "GW123")


@CHANGES
def test_unknown_and_another_partners_agents_are_told_apart_by_nobody(office, session, operation):
    answers = [
        post(office, session, f"/{operation.act}", **sent(operation, identifier))
        for identifier in ("voisine", "personne", "chef")
    ]
    assert {answer.status for answer in answers} == {404}
    assert len({str(answer.lasting()) for answer in answers}) == 1


@CHANGES
def test_an_administrator_changes_neither_itself_nor_another_one(office, session, operation):
    is_problem(post(office, session, f"/{operation.act}", **sent(operation, "cheffe")), 403, "GW121")
    is_problem(post(office, session, f"/{operation.act}", **sent(operation, "autre.cheffe")), 403, "GW124")


def test_whom_the_caf_suspended_only_the_caf_resumes(office, session):
    entered(office, session, "m.retenu", "T1")

    def by_the_partner(act):
        return post(office, session, f"/{act}", identifier="m.retenu")

    def is_suspended():
        [entry] = directory.accounts(office.store, identifier="m.retenu")
        return entry.suspended, entry.suspended_by_partner

    directory.suspend_account(office.store, identifier="m.retenu")
    assert by_the_partner("suspend").status == 204
    said = refused_as_conflict(by_the_partner("resume"))
    assert said == "La Caf a suspendu ce compte : elle seule peut le rouvrir."
    assert is_suspended() == (True, False)
    directory.resume_account(office.store, identifier="m.retenu")
    assert is_suspended() == (False, False)
    assert by_the_partner("suspend").status == by_the_partner("suspend").status == 204
    assert is_suspended() == (True, True)
    assert by_the_partner("resume").status == by_the_partner("resume").status == 204
    assert by_the_partner("suspend").status == 204
    directory.suspend_account(office.store, identifier="m.retenu")
    refused_as_conflict(by_the_partner("resume"))
    assert is_suspended() == (True, False)
    left(office, "m.retenu")


def refused_as_conflict(answer):
    assert (answer.status, answer.json()["code"]) == (409, "GW223"), answer
    return answer.json()["detail"]


def test_nothing_goes_beyond_the_convention(office, session):
    beyond = "Aucune convention en vigueur de votre organisme n'ouvre l'un de ces profils."
    assert refused_as_conflict(post(office, session, "", identifier="trop", profiles=["T9"])) == beyond
    assert refused_as_conflict(post(office, session, "", identifier="trop", profiles=["T1", "T9"])) == beyond
    for number in range(ROOM - 2):
        entered(office, session, f"place-{number}", "T1")
    full = f"La convention autorise {ROOM} agents et n'a plus de place : fermez un compte ou signez pour davantage."
    assert refused_as_conflict(post(office, session, "", identifier="trop", profiles=["T1"])) == full
    entered(office, session, "sans.profil")
    assert refused_as_conflict(post(office, session, "/profiles", identifier="sans.profil", profiles=["T1"])) == full
    directory.suspend_convention(office.store, number="C-cheffe")
    assert refused_as_conflict(post(office, session, "/profiles", identifier="place-0", profiles=["T1"])) == beyond
    directory.resume_convention(office.store, number="C-cheffe")
    for identifier in ("place-0", "place-1", "sans.profil"):
        left(office, identifier)


@pytest.mark.parametrize("caisse", [CAISSE, "691"])
def test_a_convention_that_is_over_or_another_cafs_opens_nothing(office, session, caisse):
    today = datetime.now(UTC).date()
    days = (-30, -1) if caisse == CAISSE else (-30, 30)
    directory.add_convention(
        office.store,
        partner_name=UDAF,
        number=f"autre-{caisse}",
        caisse=caisse,
        starts_on=today + timedelta(days=days[0]),
        ends_on=today + timedelta(days=days[1]),
        profiles=["T5"],
    )
    refused_as_conflict(post(office, session, "", identifier="trop", profiles=["T5"]))


def test_an_administrator_who_is_withdrawn_in_between_changes_nothing(office):
    """The session was good when the request came, the delegation is gone when the transaction begins."""
    now, rules = datetime.now(UTC), Identity(caisse=CAISSE)
    directory.add_account(
        office.store, identifier="visee", password=PASSWORD, partner_name=UDAF, profiles=[], function="agent"
    )
    agent = sign_in(office.store, rules, identifier="autre.cheffe", password=PASSWORD, now=now).agent
    store = Delegated(office.store, rules, agent, "visee", (), now)
    for withdraw, restore in (
        (directory.undelegate_account, directory.delegate_account),
        (directory.suspend_account, directory.resume_account),
    ):
        withdraw(office.store, identifier="autre.cheffe")
        with pytest.raises(NotDelegated):
            directory.suspend_account(store, identifier="visee")
        restore(office.store, identifier="autre.cheffe")
    [entry] = [each for each in directory.accounts(office.store) if each.identifier == "visee"]
    assert not entry.suspended
    directory.suspend_account(store, identifier="visee")
    left(office, "visee")


def test_a_caf_has_no_delegated_administrator(office):
    with pytest.raises(Misconfigured, match="is of a Caf"):
        directory.delegate_account(office.store, identifier="chef")


def everything_else(office):
    """All that is not an agent's of `cheffe`'s partner, nor appended by what was asked."""
    kept = {}
    with office.store.read() as connection:
        for table in METADATA.sorted_tables:
            if table.name in ("change", "session", "failure"):
                continue
            kept[table.name] = [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
        own = {entry.identifier for entry in directory.accounts(office.store, partner_name=UDAF)}
        own -= {"cheffe", "autre.cheffe"}
        ids = set(connection.execute(select(account.c.id).where(account.c.identifier.in_(own))).scalars())
    kept["account"] = [row for row in kept["account"] if row[0] not in ids]
    kept["activation"] = [row for row in kept["activation"] if row[0] not in ids]
    return kept


NAMES = st.sampled_from(["cheffe", "autre.cheffe", "voisin", "voisine", "chef", "personne", "nouvelle", "admin", ""])
VALUES = st.one_of(
    NAMES, st.text(max_size=8), st.lists(st.sampled_from(["T1", "T5", "T9", "T16", "T17"]), max_size=3), st.none()
)
BODIES = st.fixed_dictionaries(
    {"identifier": NAMES},
    optional={
        "profiles": st.lists(st.sampled_from(["T1", "T5", "T9", "T16"]), max_size=3),
        "why": st.just("parce que"),
        "function": st.just("agent"),
        "partner": VALUES,
        "delegated": st.booleans(),
        "password": VALUES,
    },
)


@given(st.sampled_from([each for each in AGENT_OPERATIONS if each.method == "POST"]), BODIES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_it_sends_nothing_of_another_partner_or_beyond_its_convention_changes(
    office, session, operation, body
):
    before = everything_else(office)
    answer = post(office, session, operation.path.removeprefix("/-/agents"), **body)
    assert answer.status in (200, 201, 204, 400, 403, 404, 409, 422), answer
    assert everything_else(office) == before
    held = [set(entry.profiles) for entry in directory.accounts(office.store, partner_name=UDAF) if not entry.closed_at]
    assert all(profiles <= {"T1"} for profiles in held)
    assert sum(1 for profiles in held if profiles) <= ROOM
