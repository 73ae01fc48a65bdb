"""An agent is invited, chooses a password over HTTP, logs in; the link is told to nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import pytest

from gateway.identity import directory
from tests.story.running import PASSWORD, Answer, Gateway, is_problem

FAILURES = 3
"""From one address, before it waits."""
SERIAL = count(1)


@pytest.fixture(scope="module")
def served(start_gateway, stub_url) -> Iterator[Gateway]:
    """The machine itself is a proxy, so that a header gives each attempt an address."""
    gateway = start_gateway(
        stub_url, server__proxies="127.0.0.1", limits__failures_per_minute=1, limits__failures_burst=FAILURES
    )
    gateway.enter("voisine", "T1")
    return gateway


def new_address() -> str:
    return f"198.51.100.{next(SERIAL)}"


def invited(served: Gateway) -> tuple[str, str]:
    """A new agent's identifier and token."""
    identifier = f"invitee-{next(SERIAL)}"
    made = directory.invite_new(
        served.store,
        identifier=identifier,
        partner_name="Partenaire voisine",
        profiles=["T1"],
        hours=72,
        now=datetime.now(UTC),
    )
    return identifier, made.token


def activate(served: Gateway, token: str, password: str = PASSWORD, *, address: str = "", **headers: str) -> Answer:
    sent = {"Content-Type": "application/json", "X-Forwarded-For": address or new_address(), **headers}
    body = json.dumps({"token": token, "password": password}).encode()
    return served.ask("/-/activation", sent, method="POST", body=body)


def test_an_invited_agent_activates_logs_in_and_consults_after_the_engagement(served):
    identifier, token = invited(served)
    is_problem(served.sign_in(identifier), 401, "GW103")
    answer = activate(served, token)
    assert (answer.status, answer.body, answer.all("Set-Cookie")) == (204, b"", [])
    row = served.recorded(answer)
    assert (row["act"], row["agent"], row["status"], row["code"]) == ("activate", identifier, 204, "")
    session = served.log_in(identifier)
    is_problem(served.ask("/dossiers/9990001", session), 403, "GW314")
    directory.sign_engagement(served.store, identifier=identifier, version="2012-07", now=datetime.now(UTC))
    assert served.ask("/dossiers/9990001", session).status == 200


def test_unknown_used_and_expired_are_one_answer_of_which_the_record_knows_the_reason(served):
    _, used = invited(served)
    assert activate(served, used).status == 204
    late, _ = invited(served)
    expired = directory.invite(served.store, identifier=late, hours=0, now=datetime.now(UTC)).token
    answers = [activate(served, token) for token in (used, expired, "A" * 43, "")]
    for answer in answers:
        is_problem(answer, 403, "GW114")
    assert len({str(answer.lasting()) for answer in answers}) == 1
    rows = [served.recorded(answer) for answer in answers]
    assert [row["agent"] for row in rows] == ["", late, "", ""]
    assert {row["because"] for row in rows} == {
        "an activation link that is unknown, used or void",
        "an expired activation link",
    }


def test_a_password_that_may_not_be_chosen_is_told_so_and_the_link_still_works(served):
    _, token = invited(served)
    is_problem(activate(served, "A" * 43, "azerty"), 403, "GW114")
    is_problem(activate(served, token, "azerty"), 422, "GW115")
    is_problem(activate(served, token, "Azertyuiop123456!"), 422, "GW116")
    assert activate(served, token).status == 204


def test_links_are_tried_as_often_from_one_address_as_log_ins_fail(served):
    _, token = invited(served)
    address = new_address()
    for _ in range(FAILURES):
        is_problem(activate(served, "A" * 43, address=address), 403, "GW114")
    refused = activate(served, token, address=address)
    is_problem(refused, 429, "GW105")
    assert int(refused.one("Retry-After")) > 0
    body = json.dumps({"identifier": "voisine", "password": PASSWORD}).encode()
    sent = {"Content-Type": "application/json", "X-Forwarded-For": address}
    is_problem(served.ask("/-/session", sent, method="POST", body=body), 429, "GW105")
    assert activate(served, token).status == 204, "nothing was tried with it"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"Host": "elsewhere.example"}, 400, "GW201"),
        ({"Origin": "https://elsewhere.example"}, 403, "GW111"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "GW206"),
    ],
    ids=["another host", "another origin", "a form"],
)
def test_another_site_cannot_use_a_link(served, sent, status, code):
    _, token = invited(served)
    is_problem(activate(served, token, **sent), status, code)
    assert activate(served, token, Origin=served.url).status == 204


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"token": 1, "password": "x"}', b'{"token": "a", "password": "b", "identifier": "c"}'],
    ids=["empty", "nothing in it", "a list", "a number", "one thing more"],
)
def test_a_body_that_is_not_understood_is_refused(served, body):
    sent = {"Content-Type": "application/json", "X-Forwarded-For": new_address()}
    is_problem(served.ask("/-/activation", sent, method="POST", body=body), 400, "GW201")


def test_the_token_stays_in_no_log_no_record_and_no_store(served):
    _, token = invited(served)
    assert activate(served, token).status == 204
    is_problem(activate(served, token), 403, "GW114")
    kept = [file for file in served.folder.rglob("*") if file.is_file()]
    assert any(file.name == "gateway.log" for file in kept)
    assert [file.name for file in kept if token.encode() in file.read_bytes()] == []
    assert [file.name for file in kept if PASSWORD.encode() in file.read_bytes()] == []
