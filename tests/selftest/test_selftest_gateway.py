"""The gateway itself passes what it asks of a deployment."""

from __future__ import annotations

import pytest

from gateway.selftest.verdicts import Verdict
from tests.selftest.running import failed, try_on
from tests.story.running import Gateway

READ, OTHER, CLOSED, OBJECTED = "9990001", "9990003", "9990002", "9990008"


@pytest.mark.parametrize(
    ("identifier", "closed"), [("t9", CLOSED), ("t10", CLOSED), ("t1", OBJECTED), ("t2", OBJECTED)]
)
def test_the_gateway_passes_every_check(gateway: Gateway, identifier: str, closed: str):
    results = try_on(gateway.url, identifier, dossiers=[READ, OTHER], closed=[closed])
    assert failed(results) == {}
    plain = {"strict-transport", "old-tls", "in-clear", "stuffing"}
    assert {name for name, result in results.items() if result.verdict is Verdict.NOT_APPLICABLE} == {
        *plain,
        *(name for name in results if name.startswith("inside-")),
    }
