"""Requests made from the gateway's own description, against the running gateway: it keeps to what it says of itself.

Whatever is sent, the answer's status, type, headers and body are described ones, no address fails, none is open without
what it asks for, and a method that is not described is refused.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from types import SimpleNamespace

import pyotp
import pytest
import schemathesis
from hypothesis import settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from sqlalchemy import select

from gateway.api.admin_operations import OPERATIONS
from gateway.api.agents import ADDRESS as AGENTS
from gateway.api.agents import AGENT_OPERATIONS
from gateway.api.openapi import description
from gateway.api.openid import LOGGED_OUT
from gateway.api.operations import ROOT
from gateway.api.own_sessions import ADDRESS as SESSIONS
from gateway.api.second_factor import ADDRESS as SECOND_FACTOR
from gateway.identity import directory, enrolling
from gateway.identity.functions import load_functions
from gateway.identity.sealing import load_seal
from gateway.identity.tables import account
from gateway.policy_files.folder import shipped
from gateway.proxy.credentials import Door
from tests.identity.vouching import provider
from tests.story.running import ENGAGEMENT, PASSWORD, Gateway

EXAMPLES = int(os.environ.get("DESCRIBED_EXAMPLES", "15"))
"""For each address and method."""
STAFF_EXAMPLES = max(2, EXAMPLES // 10)
"""There are many of these addresses, made from one table."""
TOKEN = "un-jeton-de-lecture-de-32-caracteres"


@schemathesis.serializer("text/csv")
def as_it_is(context, value):
    """What was made up for a file is no table, and is sent all the same."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


api = schemathesis.openapi.from_dict(description(Door("http://127.0.0.1", []), metrics=True, providers=["idp"]))


NOBODY = "http://127.0.0.1:1"
"""Where the provider would be: what it takes to come back from one is tests/openid."""


@pytest.fixture(scope="module")
def served(stub_url, start_gateway, tmp_path_factory) -> Gateway:
    return everything(stub_url, start_gateway, tmp_path_factory)


@pytest.fixture
def unasked(stub_url, start_gateway, tmp_path_factory) -> Gateway:
    """One that nobody has asked for anything: of some addresses few requests are taken in a minute."""
    return everything(stub_url, start_gateway, tmp_path_factory)


def everything(stub_url, start_gateway, tmp_path_factory) -> Gateway:
    """A gateway with all its addresses, and an account."""
    file = tmp_path_factory.mktemp("scrape") / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    (file.parent / "idp.secret").write_text(f"{TOKEN}\n")
    (file.parent / "idp.secret").chmod(0o600)
    (file.parent / "issuers.toml").write_text(provider(NOBODY))
    settings = {"metrics__token_file": file, "identity__issuers": file.parent / "issuers.toml"}
    gateway = start_gateway(stub_url, **settings)
    for identifier in ("t1", "t2", "t3"):
        gateway.enter(identifier, "T1")
    gateway.enter("chef", kind="caf")
    directory.add_account(
        gateway.store, identifier="collegue", password=PASSWORD, partner_name="Partenaire chef", profiles=[]
    )
    gateway.staff = gateway.log_in("chef")
    gateway.enter("cheffe", "T1")
    directory.delegate_account(gateway.store, identifier="cheffe")
    gateway.delegated = gateway.log_in("cheffe")
    return gateway


@pytest.fixture(scope="module")
def guessing(served) -> dict[str, str]:
    """The session of an agent whose own door is soon shut: what is sent with it are guesses."""
    return served.log_in("t2")


def is_staffs(operation) -> bool:
    """Whether it manages others: the Caf's staff's, or a delegated administrator's."""
    return operation.path.startswith((ROOT, AGENTS))


def asks_for_proof(operation) -> bool:
    return bool(operation.definition.raw["security"])


def proof(gateway: Gateway, operation, guessing: dict[str, str] | None = None) -> dict[str, str] | None:
    """What opens this address, if it is not open to all."""
    if not asks_for_proof(operation):
        return None
    if is_staffs(operation):
        return gateway.delegated if operation.path.startswith(AGENTS) else gateway.staff
    if operation.path == "/-/metrics":
        return {"Authorization": f"Bearer {TOKEN}"}
    return guessing if guessing and operation.path.startswith(SECOND_FACTOR) else gateway.log_in("t1")


def is_as_described(gateway: Gateway, case, headers) -> int:
    """Every check of schemathesis on the answer; its status."""
    # No schema says what a SIRET or a good password is: some of what it allows is answered 422, as is described. Nor
    # which log-out was begun in this browser.
    unsaid = "422" in case.operation.definition.raw["responses"] or case.operation.path == LOGGED_OUT
    # Sent as a table, whatever was made up is a text, as it should be.
    written = case.media_type == "text/csv" and not isinstance(case.body, str | bytes)
    answer = case.call(base_url=gateway.url, headers=headers)
    # What is too large is refused before anyone looks at it, which that check does not take for a refusal.
    beyond = [positive_data_acceptance] * unsaid + [negative_data_rejection] * (written or answer.status_code == 413)
    case.validate_response(answer, headers=headers, excluded_checks=beyond)
    assert b"CANARI" not in answer.content
    assert answer.headers["x-content-type-options"] == ["nosniff"]
    return answer.status_code


for_everyone = api.exclude(lambda context: is_staffs(context.operation))
for_staff = api.include(lambda context: is_staffs(context.operation))


@for_everyone.parametrize()
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_anyone_sends_is_answered_as_described(served, case):
    is_as_described(served, case, None)


@for_everyone.include(lambda context: asks_for_proof(context.operation)).parametrize()
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_someone_with_a_proof_sends_is_answered_as_described(served, guessing, case):
    is_as_described(served, case, proof(served, case.operation, guessing))


@for_staff.parametrize()
@settings(max_examples=STAFF_EXAMPLES, deadline=None)
def test_whatever_one_of_the_staff_sends_is_answered_as_described(served, case):
    is_as_described(served, case, None)
    is_as_described(served, case, proof(served, case.operation))


SENT = {
    **{
        f"POST {ROOT}{path}": body
        for path, body in {
            "partners": {"name": "Udaf"},
            "partners/siret": {"name": "Udaf", "siret": "73282932000074"},
            "conventions": {
                **{"number": "C-1", "partner": "Udaf", "caisse": "851", "profiles": ["T9"]},
                **{"from": "2026-01-01", "to": "9999-12-31"},
            },
            "conventions/suspend": {"number": "C-1"},
            "conventions/resume": {"number": "C-1"},
            "conventions/limit": {"number": "C-1", "max_agents": 12},
            "accounts": {"identifier": "m.martin", "partner": "Udaf"},
            "accounts/invite": {"identifier": "m.martin"},
            "accounts/suspend": {"identifier": "m.martin"},
            "accounts/resume": {"identifier": "m.martin"},
            "accounts/unlock": {"identifier": "m.martin"},
            "accounts/profiles": {"identifier": "m.martin", "profiles": ["T9"]},
            "accounts/function": {"identifier": "m.martin", "function": "tutrice"},
            "accounts/sign": {"identifier": "m.martin", "version": "2012-07"},
            "accounts/withdraw": {"identifier": "m.martin"},
            "accounts/confirm": {"identifier": "m.martin"},
            "accounts/delegate": {"identifier": "m.martin"},
            "accounts/undelegate": {"identifier": "m.martin"},
            "accounts/password": {"identifier": "m.martin", "password": PASSWORD},
            "accounts/close": {"identifier": "m.martin", "why": "part"},
            "mandates": {
                **{"dossier": "9990001", "kind": "judgment", "partner": "Udaf", "reference": "TJ"},
                **{"from": "2026-01-01"},
            },
            "objections/raise": {"dossier": "9990001", "reference": "lettre"},
            "objections/lift": {"dossier": "9990001"},
            "requests/sign": {
                **{"number": "J-1", "caisse": "851", "from": "2026-01-01", "to": "9999-12-31"},
            },
            "sessions/end": {"identifier": "t1"},
        }.items()
    },
    **{
        f"{operation.method} {operation.path}": {
            "identifier": "a.durand",
            **({"why": "parti"} if operation.act == "close" else {}),
            **({"profiles": ["T1"]} if operation.act == "profiles" else {}),
        }
        for operation in AGENT_OPERATIONS
        if operation.method == "POST"
    },
}
"""A body for each of the staff's addresses that take one, in their order: each does what the next one needs."""
FILES = {
    "partners": "name\nCcas de la liste\n",
    "conventions": "number,partner,caisse,starts_on,ends_on,profiles\nL-1,Udaf,851,2026-01-01,2026-12-31,T9\n",
    "accounts": "identifier,partner\nl.un,Udaf\n",
    "mandates": "dossier,kind,partner,starts_on,reference\n9990001,masp,Udaf,2026-01-01,liste\n",
}
"""A file of each kind."""
SHOWN = {"partners": {"name": "Udaf"}, "conventions": {"number": "C-1"}, "accounts": {"identifier": "m.martin"}}
"""Which of these `show` is asked for."""
GOOD = {
    "POST /-/session": 201,
    "GET /-/session": 200,
    "DELETE /-/session": 204,
    "GET /-/sessions": 200,
    "DELETE /-/sessions/{session}": 204,
    "POST /-/activation": 204,
    "GET /-/engagement": 200,
    "POST /-/engagement": 204,
    "POST /-/requests": 202,
    "GET /-/session/second-factor": 200,
    "POST /-/session/second-factor": 201,
    "POST /-/session/second-factor/confirmation": 201,
    "POST /-/session/second-factor/removal": 204,
    "GET /-/health/live": 200,
    "GET /-/health/ready": 200,
    "GET /-/openapi.json": 200,
    "GET /-/metrics": 200,
    **{f"{operation.method} {operation.path}": operation.status for operation in (*OPERATIONS, *AGENT_OPERATIONS)},
    "GET /-/openid": 200,
    "GET /-/openid/{provider}": 303,
    # Nobody comes back who was not sent.
    "GET /-/openid/{provider}/callback": 401,
    "GET /-/openid/{provider}/logged-out": 400,
}


def enrolled(gateway: Gateway, identifier: str) -> tuple[str, ...]:
    """The recovery codes of an agent who has just taken up a second factor."""
    with gateway.store.read() as connection:
        found = connection.execute(select(account.c.id).where(account.c.identifier == identifier)).scalar_one()
    agent, now = SimpleNamespace(account_id=found, identifier=identifier), datetime.now(UTC)
    seal = load_seal(gateway.folder / "second-factor.key")
    begun = enrolling.begin_factor(gateway.store, seal, agent, password=PASSWORD, now=now)
    return enrolling.confirm_factor(gateway.store, seal, agent, code=pyotp.TOTP(begun.secret).at(now), now=now)


def good(gateway: Gateway, operation) -> tuple[dict[str, object] | str | None, dict[str, str] | None]:
    """What whoever has the right to it sends to this address: the body, if any, and the proof."""
    match operation.label:
        case "POST /-/session":
            return {"identifier": "t1", "password": PASSWORD}, None
        case "POST /-/activation":
            made = directory.invite(gateway.store, identifier="t1", hours=1, now=datetime.now(UTC))
            return {"token": made.token, "password": PASSWORD}, None
        case "POST /-/session/second-factor":
            return {"password": PASSWORD}, proof(gateway, operation)
        case "POST /-/session/second-factor/confirmation":
            session = gateway.log_in("t1")
            sent = {"Content-Type": "application/json", **session}
            body = json.dumps({"password": PASSWORD}).encode()
            begun = gateway.ask(SECOND_FACTOR, sent, method="POST", body=body).json()
            return {"code": pyotp.TOTP(begun["secret"]).at(datetime.now(UTC))}, session
        case "POST /-/session/second-factor/removal":
            codes = enrolled(gateway, "t3")
            return {"password": PASSWORD, "code": codes[1]}, gateway.log_in("t3", code=codes[0])
    if operation.label == f"POST {ROOT}mandates/release":
        # What was sent by chance may have entered and released others before.
        return {"id": gateway.entrust("t1", "9990001", "judgment")}, gateway.staff
    if operation.label == f"POST {ROOT}accounts/reset-second-factor":
        gateway.enter("perdu", "T1")
        enrolled(gateway, "perdu")
        return {"identifier": "perdu"}, gateway.staff
    if operation.label == "POST /-/engagement":
        return {"version": ENGAGEMENT}, proof(gateway, operation)
    if operation.label == "POST /-/requests":
        entry = {"organisation": "Ccas", "siret": "35600000000048", "function": "tuteur", "profiles": ["T9"]}
        return {**entry, "contact": "a@ccas.example"}, None
    if operation.label.startswith(f"POST {ROOT}requests/"):
        step = operation.label.rpartition("/")[2]
        return {**SENT.get(operation.label, {"why": "x"}), "id": in_turn(gateway, step)}, gateway.staff
    if operation.label.endswith("/import"):
        return FILES[operation.label.split("/")[-2]], gateway.staff
    return SENT.get(operation.label), proof(gateway, operation)


def asked(gateway: Gateway, operation) -> dict[str, object]:
    """The parameters without which this address says nothing."""
    if not operation.label.endswith("/show"):
        return {}
    match operation.label.removeprefix(f"GET {ROOT}").removesuffix("/show"):
        case "mandates":
            return {"id": gateway.entrust("t1", "9990001", "judgment")}
        case "requests":
            return {"id": in_turn(gateway, "receive")}
        case kind:
            return SHOWN[kind]


def media_type(operation) -> str:
    [only] = operation.definition.raw["requestBody"]["content"]
    return only


def own_session(gateway: Gateway, headers: dict[str, str] | None) -> str:
    """What the session of these headers is called, where they are one's."""
    shown = gateway.ask(SESSIONS, headers)
    return next((one["id"] for one in shown.json()["sessions"] if one["current"]), "") if shown.status == 200 else ""


def in_turn(gateway: Gateway, step: str) -> int:
    """A request to join for which this step comes now, for whoever decides: another person has done those before."""
    wanted = {"receive": "asked", "sign": "received", "approve": "signed", "refuse": "received"}[step]
    now, table = datetime.now(UTC), load_functions(shipped() / "functions.toml")
    entry = {"siret": "73282932000074", "function": "tuteur", "profiles": ["T9"], "contact": step}
    made = directory.ask_to_join(gateway.store, table, organisation=f"Organisme {step}", now=now, **entry)
    other = directory.Signature("collegue", "x")
    if wanted != "asked":
        directory.receive_request(gateway.store, request_id=made, signed=other, now=now)
    if wanted == "signed":
        terms = {"number": "J-2", "caisse": "851", "starts_on": now.date(), "ends_on": now.date()}
        directory.sign_request(gateway.store, request_id=made, signed=other, now=now, **terms)
    return made


def test_whoever_sends_what_is_described_is_answered_well(unasked):
    answered = {}
    # What is shown or named in a file was entered before; the confirmation at last: after it, t1 needs a code.
    places = ("/show", "/import", "confirmation")
    operations = sorted(
        (found.ok() for found in api.get_all_operations()),
        key=lambda one: next((number for number, end in enumerate(places, 1) if one.label.endswith(end)), 0),
    )
    for operation in operations:
        body, headers = good(unasked, operation)
        named = {"provider": "idp", "session": own_session(unasked, headers)}
        where = {"path_parameters": {name: named[name] for name in named if f"{{{name}}}" in operation.path}}
        case = operation.Case(
            query=asked(unasked, operation),
            **where,
            **({"body": body, "media_type": media_type(operation)} if body else {}),
        )
        answered[operation.label] = is_as_described(unasked, case, headers)
    assert answered == GOOD
