"""The gateway itself passes what it asks of a deployment."""

from __future__ import annotations

import pytest

from gateway.selftest.catalogue import LINES
from gateway.selftest.kit import lines_inside
from gateway.selftest.verdicts import Verdict
from gateway.selftest.wire import BURST, PER_SECOND
from gateway.settings import Limits
from tests.selftest.conftest import CLOSED, OBJECTED, OTHER, READ, UNLIMITED, populated
from tests.selftest.running import failed, try_on
from tests.story.running import Gateway

OVER_TLS = {"strict-transport", "old-tls", "in-clear"}


@pytest.fixture(scope="module")
def gateway(stub_url: str, start_gateway) -> Gateway:
    made = populated(start_gateway(stub_url, **UNLIMITED))
    made.enter("t2", "T2")
    made.cafpro("objection", "raise", OBJECTED, "--reference", "Opposition")
    return made


@pytest.mark.parametrize(
    ("identifier", "closed"), [("t9", CLOSED), ("t2", OBJECTED)], ids=["who reads what is entrusted", "who may know"]
)
def test_the_gateway_passes_every_check(gateway: Gateway, identifier: str, closed: str):
    results = try_on(gateway.url, identifier, dossiers=[READ, OTHER], closed=[closed])
    assert failed(results) == {}
    assert {name for name, result in results.items() if result.verdict is Verdict.NOT_APPLICABLE} == {
        *OVER_TLS,
        "stuffing",
        *(name for name in results if name.startswith("inside-")),
    }
    assert {result.line for result in results.values()} == {line.number for line in LINES}
    for result in results.values():
        assert result.verdict is Verdict.NOT_APPLICABLE or result.came or result.check == "cookie-flags", result


def test_the_gateway_stops_log_ins_of_many_identifiers(stub_url: str, start_gateway):
    made = populated(
        start_gateway(stub_url, **{**UNLIMITED, "limits__failures_per_minute": 1, "limits__failures_burst": 6})
    )
    results = try_on(made.url, "t9", only=[17], limits=True)
    assert {name: str(result.verdict) for name, result in results.items()} == {
        "unknown-identifiers": "passed",
        "stuffing": "passed",
    }


def test_the_kit_stays_below_the_limits_that_are_in_force_by_default():
    limits = Limits()
    assert limits.agent_per_minute > PER_SECOND * 60 and limits.agent_burst > BURST
    assert limits.address_per_minute > PER_SECOND * 60 and limits.address_burst > BURST


def test_what_nobody_can_try_from_outside_is_said():
    assert [line.number for line in lines_inside()] == [15, 19, 20, 21, 22, 26, 27, 29, 32, 33]
