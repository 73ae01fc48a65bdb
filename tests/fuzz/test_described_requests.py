"""Requests made from the gateway's own description, against the running gateway: it keeps to what it says of itself.

Whatever is sent, the answer's status, type, headers and body are described ones, no address fails, none is open without
what it asks for, and a method that is not described is refused.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
import schemathesis
from hypothesis import settings

from gateway.api.openapi import description
from gateway.identity import directory
from gateway.proxy.credentials import Door
from tests.story.running import PASSWORD, Gateway

EXAMPLES = int(os.environ.get("DESCRIBED_EXAMPLES", "30"))
"""For each address and method."""
TOKEN = "un-jeton-de-lecture-de-32-caracteres"

api = schemathesis.openapi.from_dict(description(Door("http://127.0.0.1", []), metrics=True))


@pytest.fixture(scope="module")
def served(stub_url, start_gateway, tmp_path_factory) -> Gateway:
    """A gateway with all its addresses, and an account."""
    file = tmp_path_factory.mktemp("scrape") / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    gateway = start_gateway(stub_url, metrics__token_file=file)
    gateway.enter("t1", "T1")
    return gateway


def asks_for_proof(operation) -> bool:
    return bool(operation.definition.raw["security"])


def proof(gateway: Gateway, operation) -> dict[str, str] | None:
    """What opens this address, if it is not open to all."""
    if not asks_for_proof(operation):
        return None
    session = operation.path == "/-/session"
    return gateway.log_in("t1") if session else {"Authorization": f"Bearer {TOKEN}"}


def is_as_described(gateway: Gateway, case, headers) -> int:
    """Every check of schemathesis on the answer; its status."""
    answer = case.call_and_validate(base_url=gateway.url, headers=headers)
    assert b"CANARI" not in answer.content
    assert answer.headers["x-content-type-options"] == ["nosniff"]
    return answer.status_code


@api.parametrize()
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_anyone_sends_is_answered_as_described(served, case):
    is_as_described(served, case, None)


@api.include(lambda context: asks_for_proof(context.operation)).parametrize()
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_someone_with_a_proof_sends_is_answered_as_described(served, case):
    is_as_described(served, case, proof(served, case.operation))


GOOD = {
    "POST /-/session": 201,
    "GET /-/session": 200,
    "DELETE /-/session": 204,
    "POST /-/activation": 204,
    "GET /-/health/live": 200,
    "GET /-/health/ready": 200,
    "GET /-/openapi.json": 200,
    "GET /-/metrics": 200,
}


def good_body(gateway: Gateway, label: str) -> dict[str, str] | None:
    """What whoever has the right to it sends to this address, if anything."""
    if label == "POST /-/session":
        return {"identifier": "t1", "password": PASSWORD}
    if label == "POST /-/activation":
        made = directory.invite(gateway.store, identifier="t1", hours=1, now=datetime.now(UTC))
        return {"token": made.token, "password": PASSWORD}
    return None


def test_whoever_sends_what_is_described_is_answered_well(served):
    answered = {}
    for operation in (found.ok() for found in api.get_all_operations()):
        body = good_body(served, operation.label)
        case = operation.Case(**({"body": body, "media_type": "application/json"} if body else {}))
        answered[operation.label] = is_as_described(served, case, proof(served, operation))
    assert answered == GOOD
