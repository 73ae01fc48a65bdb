"""Lists over HTTP, narrowed as the commands narrow them, and one entry with what was done to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.identity import directory
from gateway.identity.functions import load_functions
from gateway.policy_files.folder import shipped
from tests.api.conftest import on_a_file
from tests.api.test_admin_api import office, post, refused, rows, staff
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


@on_a_file
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


@pytest.mark.parametrize(
    ("path", "column", "acts"),
    [
        ("partners/show?name=Filtr%C3%A9e", "name", ["partner add"]),
        ("conventions/show?number=F-now", "number", ["convention add"]),
        ("accounts/show?identifier=f.suspendu", "identifier", ["account add", "account suspend"]),
    ],
)
def test_one_entry_is_shown_with_what_was_done_to_it(listed, staff, path, column, acts):
    answer = listed.ask(f"/-/admin/{path}", staff)
    assert answer.status == 200, answer
    shown = answer.json()
    [like] = [row for row in rows(listed, staff, f"{path.partition('/')[0]}?limit=200")
              if row[column] == shown["entry"][column]]  # fmt: skip
    assert shown["entry"] == like
    assert [change["act"] for change in shown["changes"]] == acts
    assert shown["next"] is None
    assert listed.recorded(answer)["route"].endswith(" show")


def test_a_mandate_and_a_request_of_one_number_are_not_mixed_up(listed, staff):
    table = load_functions(shipped() / "functions.toml")
    asked = directory.ask_to_join(
        listed.store, table, organisation="Udaf 26", siret="73282932000074", function="tuteur", profiles=["T9"],
        contact="x", now=datetime.now(UTC),
    )  # fmt: skip
    assert post(listed, staff, "requests/receive", id=asked).status == 204
    shown = listed.ask(f"/-/admin/requests/show?id={asked}", staff).json()
    assert (shown["entry"]["organisation"], shown["entry"]["state"]) == ("Udaf 26", "received")
    assert [change["act"] for change in shown["changes"]] == ["request add", "request receive"]
    shown = listed.ask(f"/-/admin/mandates/show?id={asked}", staff).json()
    assert shown["entry"]["id"] == asked
    assert [change["act"] for change in shown["changes"]] == ["mandate add"]


def test_the_changes_of_one_entry_are_turned_page_by_page(listed, staff):
    first = listed.ask("/-/admin/accounts/show?identifier=f.parti&limit=1", staff).json()
    path = f"/-/admin/accounts/show?identifier=f.parti&limit=1&after={first['next']}"
    second = listed.ask(path, staff).json()
    assert second["entry"] == first["entry"]
    told = [change["act"] for page in (first, second) for change in page["changes"]]
    assert (told, second["next"]) == (["account add", "account close"], None)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("partners/show?name=Personne", "Aucun partenaire ne porte ce nom."),
        ("conventions/show?number=C-aucune", "Aucune convention ne porte ce numéro."),
        ("accounts/show?identifier=personne", "Aucun compte ne porte cet identifiant."),
        ("mandates/show?id=2147483647", "Aucun mandat ne porte ce numéro."),
        ("requests/show?id=2147483647", "Aucune demande ne porte ce numéro."),
    ],
)
def test_what_is_not_there_is_not_shown(office, staff, path, said):
    assert refused(office.ask(f"/-/admin/{path}", staff), 404, "GW222") == said


@on_a_file
@pytest.mark.parametrize(
    "path",
    [
        *("partners/show", "partners/show?name=", "conventions/show", "accounts/show", "accounts/show?identifier=A"),
        *("mandates/show", "mandates/show?id=0", "mandates/show?id=2147483648", "requests/show?id=x"),
    ],
)
def test_nothing_is_shown_to_whoever_does_not_say_what(office, staff, path):
    is_problem(office.ask(f"/-/admin/{path}", staff), 400, "GW201")


@on_a_file
def test_the_description_names_the_words_and_the_days(office):
    paths = json.loads(office.ask("/-/openapi.json").body)["paths"]
    named = {one["name"]: one["schema"] for one in paths["/-/admin/conventions"]["get"]["parameters"]}
    assert set(named["state"]["enum"]) == set(directory.CONVENTION_STATES)
    named = {one["name"]: one["schema"] for one in paths["/-/admin/changes"]["get"]["parameters"]}
    assert named["since"]["format"] == named["until"]["format"] == "date"


@pytest.mark.parametrize(
    "asked", ["mandates?after={}", "changes?after={}", "sessions?after={}", "mandates/show?id={}", "requests?id={}"]
)
def test_a_number_that_no_row_can_have_is_refused_as_such(office, staff, asked):
    is_problem(office.ask("/-/admin/" + asked.format(2**31), staff), 400, "GW201")
    assert office.ask("/-/admin/" + asked.format(2**31 - 1), staff).status in (200, 404)
    body = json.dumps({"id": 2**31}).encode()
    sent = {**staff, "Content-Type": "application/json"}
    is_problem(office.ask("/-/admin/mandates/release", sent, method="POST", body=body), 400, "GW201")
