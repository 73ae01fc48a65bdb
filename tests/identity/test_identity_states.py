"""Dates become states: every state of a convention, an engagement, a mandate and an objection, at its edges."""

from datetime import UTC, date, datetime

import pytest

from gateway.identity import directory

IN_FORCE = ("2026-01-01", "2026-12-31")
OVER = ("2024-01-01", "2025-12-31")
TO_COME = ("2027-01-01", "2027-12-31")


@pytest.mark.parametrize(
    ("conventions", "state"),
    [
        pytest.param([], "none", id="a partner without a convention has none"),
        pytest.param([{"days": IN_FORCE}], "in_force", id="a convention between its days is in force"),
        pytest.param([{"days": IN_FORCE, "suspended": True}], "suspended", id="a suspended convention is suspended"),
        pytest.param([{"days": OVER}], "expired", id="a convention after its last day is expired"),
        pytest.param([{"days": TO_COME}], "none", id="a convention to come is none"),
        pytest.param([{"days": IN_FORCE, "caisse": "692"}], "none", id="another caisse's convention is none"),
        pytest.param([{"days": IN_FORCE, "profiles": ("T1", "T10")}], "none", id="another profile's is none"),
        pytest.param([{"days": ("2026-06-15", "2026-12-31")}], "in_force", id="the first day counts"),
        pytest.param([{"days": ("2026-01-01", "2026-06-15")}], "in_force", id="the last day counts"),
        pytest.param([{"days": ("2026-06-15", "2026-06-15")}], "in_force", id="a convention may last one day"),
        pytest.param([{"days": ("2026-06-16", "2026-12-31")}], "none", id="the day before the first is too early"),
        pytest.param([{"days": ("2026-01-01", "2026-06-14")}], "expired", id="the day after the last is too late"),
        pytest.param([{"days": OVER}, {"days": IN_FORCE}], "in_force", id="a renewed convention is in force"),
        pytest.param([{"days": IN_FORCE}, {"days": OVER}], "in_force", id="the order of entry does not matter"),
        pytest.param(
            [{"days": IN_FORCE, "suspended": True}, {"days": IN_FORCE}],
            "in_force",
            id="one in force is enough beside a suspended one",
        ),
        pytest.param(
            [{"days": OVER}, {"days": IN_FORCE, "suspended": True}],
            "suspended",
            id="a suspended one says more than an expired one",
        ),
        pytest.param(
            [{"days": IN_FORCE, "suspended": True}, {"days": OVER}],
            "suspended",
            id="a suspended one says more, in either order",
        ),
        pytest.param([{"days": OVER}, {"days": TO_COME}], "expired", id="expired says more than to come"),
        pytest.param(
            [{"days": IN_FORCE, "profiles": ("T1",)}, {"days": OVER}],
            "expired",
            id="another profile's convention in force does not help",
        ),
    ],
)
def test_the_convention_of_the_active_profile(town, conventions, state):
    for entry in conventions:
        town.sign_convention(*entry["days"], **{name: value for name, value in entry.items() if name != "days"})
    assert town.sign_in().agent.convention == state


@pytest.mark.parametrize(
    ("instant", "state"),
    [
        (datetime(2026, 6, 14, 21, 59, 59, tzinfo=UTC), "none"),
        (datetime(2026, 6, 14, 22, 0, 0, tzinfo=UTC), "in_force"),
        (datetime(2026, 6, 15, 21, 59, 59, tzinfo=UTC), "in_force"),
        (datetime(2026, 6, 15, 22, 0, 0, tzinfo=UTC), "expired"),
        (datetime(2026, 6, 15, 23, 59, 59, tzinfo=UTC), "expired"),
    ],
)
def test_a_day_begins_and_ends_at_midnight_in_paris_not_in_utc(town, instant, state):
    town.sign_convention("2026-06-15", "2026-06-15")
    assert town.sign_in(now=instant).agent.convention == state


@pytest.mark.parametrize(
    ("version", "state"), [(None, "missing"), ("2012-07", "signed"), ("2011-01", "outdated"), ("2012-7", "outdated")]
)
def test_an_engagement_is_signed_in_its_current_version_only(town, version, state):
    if version:
        directory.sign_engagement(town.store, identifier=town.agent, version=version, now=town.noon)
    assert town.sign_in().agent.engagement == state


def test_a_withdrawn_engagement_is_missing(town):
    directory.sign_engagement(town.store, identifier=town.agent, version="2012-07", now=town.noon)
    directory.withdraw_engagement(town.store, identifier=town.agent)
    assert town.sign_in().agent.engagement == "missing"


@pytest.mark.parametrize(
    ("mandate", "kinds"),
    [
        pytest.param({}, {"judgment"}, id="a mandate without an end is in force"),
        pytest.param({"kind": "masp"}, {"masp"}, id="its kind is told"),
        pytest.param({"starts_on": "2026-06-15"}, {"judgment"}, id="the first day counts"),
        pytest.param({"ends_on": "2026-06-15"}, {"judgment"}, id="the last day counts"),
        pytest.param({"starts_on": "2026-06-16"}, set(), id="the day before the first is too early"),
        pytest.param({"ends_on": "2026-06-14"}, set(), id="the day after the last is too late"),
        pytest.param({"number": "9990002"}, set(), id="another dossier's mandate does not count"),
        pytest.param({"identifier": "m.martin"}, {"judgment"}, id="the agent's own mandate counts"),
        pytest.param({"identifier": "a.colleague"}, set(), id="a colleague's own mandate does not count"),
        pytest.param({"partner": "UDAF"}, set(), id="another partner's mandate does not count"),
    ],
)
def test_a_mandate_on_a_dossier(town, mandate, kinds):
    directory.add_partner(town.store, name="UDAF", kind="external")
    directory.add_account(
        town.store, identifier="a.colleague", password=town.password, partner_name=town.partner, profiles=["T9"]
    )
    agent = town.sign_in().agent
    town.entrust(**mandate)
    assert town.facts(agent) == (frozenset(kinds), "none")


def test_every_kind_in_force_is_told_once(town):
    agent = town.sign_in().agent
    for kind in ("judgment", "judgment", "masp"):
        town.entrust(kind)
    assert town.facts(agent) == (frozenset({"judgment", "masp"}), "none")


def test_a_released_mandate_is_over_at_once_and_stays_listed(town):
    agent = town.sign_in().agent
    released = town.entrust()
    directory.release_mandate(town.store, mandate_id=released, now=town.noon)
    assert town.facts(agent) == (frozenset(), "none")
    [kept] = directory.mandates(town.store, dossier=town.number)
    assert kept.released_at == town.noon
    assert kept.starts_on == date(2026, 1, 1)


def test_a_mandate_ends_at_midnight_in_paris(town):
    agent = town.sign_in().agent
    town.entrust(ends_on="2026-06-15")
    assert town.facts(agent, now=datetime(2026, 6, 15, 21, 59, 59, tzinfo=UTC))[0] == {"judgment"}
    assert town.facts(agent, now=datetime(2026, 6, 15, 22, 0, 0, tzinfo=UTC))[0] == frozenset()


def test_an_objection_is_raised_until_it_is_lifted_and_may_be_raised_again(town):
    agent = town.sign_in().agent
    town.entrust()
    states = [town.facts(agent)[1]]
    directory.raise_objection(town.store, dossier=town.number, reference="letter", now=town.noon)
    states.append(town.facts(agent)[1])
    directory.lift_objection(town.store, dossier=town.number, now=town.noon)
    states.append(town.facts(agent)[1])
    directory.raise_objection(town.store, dossier=town.number, reference="second letter", now=town.noon)
    states.append(town.facts(agent)[1])
    assert states == ["none", "raised", "none", "raised"]
    assert town.facts(agent)[0] == {"judgment"}
    assert [entry.reference for entry in directory.objections(town.store)] == ["letter", "second letter"]


def test_an_objection_stands_before_every_partner_and_on_its_own_dossier_only(town):
    directory.add_partner(town.store, name="Caf", kind="caf")
    directory.add_account(town.store, identifier="staff", password=town.password, partner_name="Caf")
    town.agent = "staff"
    agent = town.sign_in().agent
    directory.raise_objection(town.store, dossier=town.number, reference="letter", now=town.noon)
    assert town.facts(agent) == (frozenset(), "raised")
    assert town.facts(agent, number="9990002") == (frozenset(), "none")
    assert (agent.partner_kind, agent.profile, agent.profiles, agent.convention) == ("caf", "", (), "none")
