"""The yearly review: what nobody has confirmed, used or renewed; on both databases."""

from datetime import date, timedelta

import pytest
from sqlalchemy import update

from gateway.errors import Misconfigured
from gateway.identity import directory
from gateway.identity.tables import account

TODAY = date(2026, 6, 15)
on_both = pytest.mark.parametrize("town", ["thread", "postgresql"], indirect=True)


def found(town, today=TODAY, **asked):
    return [(each.finding, each.subject, each.day) for each in directory.review(town.store, today=today, **asked)]


def kept(town, **days):
    with town.store.change() as connection:
        connection.execute(update(account).where(account.c.identifier == town.agent).values(**days))


@on_both
def test_an_account_is_to_be_confirmed_once_a_year(town):
    kept(town, confirmed_on=TODAY - timedelta(days=364), last_used_on=TODAY)
    assert found(town) == []
    kept(town, confirmed_on=TODAY - timedelta(days=365))
    assert found(town) == [("unconfirmed", town.agent, TODAY - timedelta(days=365))]
    directory.confirm_account(town.store, identifier=town.agent, today=TODAY)
    assert found(town) == []
    [told] = directory.changes(town.store, act="account confirm")
    assert told.detail == "confirmed_on: 2025-06-15 → 2026-06-15"
    kept(town, confirmed_on=None)
    assert found(town) == [("unconfirmed", town.agent, None)], "one of before the review"


@on_both
def test_a_log_in_is_a_use_and_ninety_days_without_one_are_too_many(town):
    kept(town, confirmed_on=TODAY - timedelta(days=90), last_used_on=None)
    assert found(town) == [("unused", town.agent, None)]
    town.sign_in()
    assert found(town) == []
    assert found(town, TODAY + timedelta(days=89)) == []
    assert found(town, TODAY + timedelta(days=90)) == [("unused", town.agent, TODAY)]
    directory.suspend_account(town.store, identifier=town.agent)
    assert found(town, TODAY + timedelta(days=90)) == [], "a suspended one is not to be used"
    directory.close_account(town.store, identifier=town.agent, signed=directory.Signature("x", "left"), now=town.noon)
    assert found(town, TODAY + timedelta(days=999)) == []


@on_both
def test_conventions_about_to_end_are_told_for_each_caisse_page_by_page(town):
    kept(town, confirmed_on=TODAY - timedelta(days=400), last_used_on=TODAY - timedelta(days=100))
    ends = {day: town.sign_convention(ends_on=f"2026-{day}") for day in ("06-14", "06-15", "08-14", "08-15")}
    other = town.sign_convention(ends_on="2026-07-01", caisse="851")
    everything = [
        ("unconfirmed", town.agent, TODAY - timedelta(days=400)),
        ("unused", town.agent, TODAY - timedelta(days=100)),
        ("ending", ends["06-15"], TODAY),
        ("ending", ends["08-14"], date(2026, 8, 14)),
        ("ending", other, date(2026, 7, 1)),
    ]
    assert found(town) == everything
    assert found(town, caisse="851") == [*everything[:2], everything[-1]]
    assert found(town, caisse="123") == []
    assert found(town, finding="unused") == everything[1:2]
    pages, after = [], None
    while page := directory.review(town.store, today=TODAY, after=after, limit=2):
        pages += [(each.finding, each.subject, each.day) for each in page]
        after = f"{page[-1].finding} {page[-1].subject}"
    assert pages == everything
    with pytest.raises(Misconfigured, match="no finding"):
        found(town, after="x")
