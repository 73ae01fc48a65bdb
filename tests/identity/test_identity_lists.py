"""Lists of what is in one state: together they hold everything, and each what the day makes of it."""

from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.identity import directory
from gateway.identity.failures import count_failure
from gateway.identity.store import open_store
from gateway.identity.tables import account
from tests.story.running import PASSWORD

TODAY = date(2026, 6, 15)
DAYS = {
    "over": (TODAY - timedelta(days=9), TODAY - timedelta(days=1)),
    "last day": (TODAY - timedelta(days=9), TODAY),
    "first day": (TODAY, TODAY + timedelta(days=9)),
    "tomorrow": (TODAY + timedelta(days=1), TODAY + timedelta(days=9)),
}


@pytest.fixture
def store(anywhere):
    with closing(open_store(anywhere)) as opened:
        directory.add_partner(opened, name="Udaf", kind="external")
        directory.add_partner(opened, name="Caf", kind="caf")
        for number, (starts_on, ends_on) in DAYS.items():
            terms = {"caisse": "851", "starts_on": starts_on, "ends_on": ends_on, "profiles": ["T9"]}
            directory.add_convention(opened, partner_name="Udaf", number=number, **terms)
            directory.add_convention(opened, partner_name="Udaf", number=f"{number}, suspended", **terms)
            directory.suspend_convention(opened, number=f"{number}, suspended")
        for name in ("open", "suspended", "closed"):
            directory.add_account(opened, identifier=name, password=PASSWORD, partner_name="Udaf", profiles=["T9"])
        directory.suspend_account(opened, identifier="suspended")
        signed = directory.Signature(why="gone")
        directory.close_account(opened, identifier="closed", now=datetime.now(UTC), signed=signed)
        yield opened


def numbers(store, state):
    return {found.number for found in directory.conventions(store, state=(state, TODAY))}


def test_conventions_by_what_the_day_makes_of_them(store):
    assert numbers(store, "in_force") == {"last day", "first day"}
    assert numbers(store, "suspended") == {"last day, suspended", "first day, suspended"}
    assert numbers(store, "to_come") == {"tomorrow", "tomorrow, suspended"}
    assert numbers(store, "expired") == {"over", "over, suspended"}
    together = [numbers(store, state) for state in directory.CONVENTION_STATES]
    assert sum(map(len, together)) == len(set.union(*together)) == 2 * len(DAYS)
    assert directory.conventions(store, partner_name="Caf", state=("in_force", TODAY)) == []


def test_mandates_by_what_the_day_makes_of_them(store):
    named = {}
    for reference, (starts_on, ends_on) in {**DAYS, "open": (TODAY, None), "released": (TODAY, None)}.items():
        named[reference] = directory.add_mandate(
            store,
            dossier="9990001",
            kind="judgment",
            partner_name="Udaf",
            starts_on=starts_on,
            ends_on=ends_on,
            reference=reference,
        )
    directory.release_mandate(store, mandate_id=named["released"], now=datetime.now(UTC))
    found = {
        state: {mandate.reference for mandate in directory.mandates(store, state=(state, TODAY))}
        for state in directory.MANDATE_STATES
    }
    assert found == {
        "running": {"last day", "first day", "open"},
        "to_come": {"tomorrow"},
        "over": {"over"},
        "released": {"released"},
    }


def test_accounts_by_their_state_and_partners_by_their_kind(store):
    directory.add_account(store, identifier="locked", password=PASSWORD, partner_name="Caf", profiles=[])
    with store.read() as connection:
        [key] = connection.execute(account.select().where(account.c.identifier == "locked")).scalars()
    for _ in range(10):
        count_failure(store, key, now=datetime.now(UTC))
    found = {
        state: [one.identifier for one in directory.accounts(store, state=state)] for state in directory.ACCOUNT_STATES
    }
    assert found == {"open": ["open"], "suspended": ["suspended"], "locked": ["locked"], "closed": ["closed"]}
    assert directory.accounts(store, partner_name="Udaf", state="locked") == []
    assert [partner.name for partner in directory.partners(store, kind="caf")] == ["Caf"]
