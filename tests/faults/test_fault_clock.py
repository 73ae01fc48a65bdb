"""A clock that steps while 16 agents ask. Sessions never live longer; rows stay in their order.

Back by less than five minutes (`sessions.CLOCK_TOLERANCE`) nobody notices. Back by an hour, a running session is
refused, GW102, and a log-in opens another at once: which of the two clocks was right cannot be known, and believing
the session would give it that hour once more. Once the clock is right again the sessions that it refused go on, until
their own end.
"""

from __future__ import annotations

import pytest

from gateway.identity.sessions import CLOCK_TOLERANCE
from tests.faults.breaking import Clock
from tests.story.running import is_problem

pytestmark = pytest.mark.attack(33)

HOUR = 3600


@pytest.fixture(scope="module")
def stepped(tmp_path_factory):
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def loaded(stepped, stub_url, start_loaded):
    return start_loaded(stub_url, {"identity.session_hours": 1}, stepped.variables)


@pytest.fixture
def clock(stepped):
    yield stepped
    stepped.step(0)


def test_a_small_step_back_is_noticed_by_nobody_and_rows_stay_in_their_order(loaded, clock):
    gateway = loaded.gateway
    session = gateway.log_in("t1")
    before = gateway.recorded(gateway.ask("/dossiers/9990001", session))
    with loaded.trial("clock back by less than 5 minutes") as trial, trial.round():
        clock.step(-CLOCK_TOLERANCE + 10)
        trial.bad_for(1)
    after = gateway.recorded(gateway.ask("/dossiers/9990001", session))
    assert after["at"] < before["at"], "the clock did step back"
    assert after["id"] > before["id"]


def test_an_hour_back_ends_sessions_and_a_log_in_opens_another(loaded, clock):
    gateway = loaded.gateway
    before = gateway.log_in("t1")
    with loaded.trial("clock back by an hour and right again", refusals=["GW102"]) as trial:
        with trial.round():
            clock.step(-HOUR)
            trial.refuses("GW102")
            is_problem(gateway.ask("/dossiers/9990001", before), 401, "GW102")
            during = gateway.log_in("t1")
            assert gateway.ask("/dossiers/9990001", during).status == 200
            assert gateway.ask("/-/health/ready").status == 200
            clock.step(0)
        assert gateway.ask("/dossiers/9990001", before).status == 200
        # It was opened an hour ago, for an hour, and used for the last time an hour ago.
        is_problem(gateway.ask("/dossiers/9990001", during), 401, "GW102")
    because = {row["because"] for row in gateway.record_rows(code="GW102")}
    assert "used before its last use: the clock stepped back" in because


@pytest.mark.parametrize("back", [CLOCK_TOLERANCE - 30, CLOCK_TOLERANCE + 30, HOUR, 24 * HOUR])
def test_a_step_back_lengthens_no_session_by_more_than_the_tolerance(loaded, clock, back):
    gateway = loaded.gateway
    session = gateway.log_in("t1")
    clock.step(-back)
    assert (gateway.ask("/dossiers/9990001", session).status == 200) == (back <= CLOCK_TOLERANCE)
    clock.step(HOUR)
    is_problem(gateway.ask("/dossiers/9990001", session), 401, "GW102")
