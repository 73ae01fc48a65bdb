"""Lists over HTTP, narrowed as the commands narrow them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.identity import directory
from tests.api.test_admin_api import office, rows, staff
from tests.story.running import is_problem

__all__ = ["office", "staff"]


@pytest.fixture(scope="module")
def listed(office):
    """A partner `Filtrée` with a convention and a mandate for each day that matters, and accounts in three states."""
    day = datetime.now(UTC).date()
    directory.add_partner(office.store, name="Filtrée", kind="external")
    for number, first, last in (("F-over", -9, -2), ("F-now", -2, 9), ("F-soon", 3, 9)):
        days = {"starts_on": day + timedelta(first), "ends_on": day + timedelta(last)}
        directory.add_convention(
            office.store, partner_name="Filtrée", number=number, caisse="851", profiles=["T9"], **days
        )
        directory.add_mandate(
            office.store, dossier="9990007", kind="masp", partner_name="Filtrée", reference=number, **days
        )
    for name in ("f.ouvert", "f.suspendu", "f.parti"):
        directory.invite_new(
            office.store, identifier=name, partner_name="Filtrée", profiles=["T9"], hours=1, now=datetime.now(UTC)
        )
    directory.suspend_account(office.store, identifier="f.suspendu")
    signed = directory.Signature("chef", "parti")
    directory.close_account(office.store, identifier="f.parti", signed=signed, now=datetime.now(UTC))
    return office


@pytest.mark.parametrize(
    ("asked", "column", "found"),
    [
        ("conventions?partner=Filtr%C3%A9e&state=expired", "number", ["F-over"]),
        ("conventions?partner=Filtr%C3%A9e&state=in_force", "number", ["F-now"]),
        ("conventions?partner=Filtr%C3%A9e&state=to_come", "number", ["F-soon"]),
        ("conventions?partner=Filtr%C3%A9e&state=suspended", "number", []),
        ("mandates?partner=Filtr%C3%A9e&state=over", "reference", ["F-over"]),
        ("mandates?dossier=9990007&state=running", "reference", ["F-now"]),
        ("mandates?dossier=9990007&state=to_come", "reference", ["F-soon"]),
        ("mandates?dossier=9990007&state=released", "reference", []),
        ("accounts?partner=Filtr%C3%A9e&state=open", "identifier", ["f.ouvert"]),
        ("accounts?partner=Filtr%C3%A9e&state=suspended", "identifier", ["f.suspendu"]),
        ("accounts?partner=Filtr%C3%A9e&state=closed", "identifier", ["f.parti"]),
        ("accounts?partner=Filtr%C3%A9e&state=locked", "identifier", []),
        ("partners?kind=caf", "name", ["Partenaire chef"]),
        ("changes?subject=f.parti&since=2026-01-01&until=9999-12-31", "act", ["account add", "account close"]),
        ("changes?subject=f.parti&until=2026-01-01", "act", []),
        ("changes?subject=f.parti&since=9999-12-31", "act", []),
    ],
)
def test_a_list_is_narrowed_as_by_the_command(listed, staff, asked, column, found):
    assert [row[column] for row in rows(listed, staff, asked)] == found


def test_the_day_of_a_change_counts_from_its_first_second_to_its_last(listed, staff):
    today = rows(listed, staff, "changes?subject=f.parti")[0]["at"][:10]
    assert len(rows(listed, staff, f"changes?subject=f.parti&since={today}&until={today}")) == 2


def test_a_page_of_a_narrowed_list_goes_on_behind_the_one_before(listed, staff):
    first = listed.ask("/-/admin/mandates?dossier=9990007&limit=2", staff).json()
    [last] = rows(listed, staff, f"mandates?dossier=9990007&limit=2&after={first['next']}")
    assert last["reference"] == "F-soon"


@pytest.mark.parametrize(
    "asked",
    [
        *("partners?kind=ouvert", "accounts?state=in_force", "conventions?state=open", "mandates?state="),
        *("changes?since=2026-02-30", "changes?until=hier", "changes?since=20260101", "changes?until="),
        *("changes?since=2026-01-01T00:00:00Z", "requests?state=running"),
    ],
)
def test_what_no_list_can_be_narrowed_by_is_refused(office, staff, asked):
    is_problem(office.ask(f"/-/admin/{asked}", staff), 400, "GW201")


def test_the_description_names_the_words_and_the_days(office):
    paths = json.loads(office.ask("/-/openapi.json").body)["paths"]
    named = {one["name"]: one["schema"] for one in paths["/-/admin/conventions"]["get"]["parameters"]}
    assert set(named["state"]["enum"]) == set(directory.CONVENTION_STATES)
    named = {one["name"]: one["schema"] for one in paths["/-/admin/changes"]["get"]["parameters"]}
    assert named["since"]["format"] == named["until"]["format"] == "date"
