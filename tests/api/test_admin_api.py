"""The directory over HTTP: for the Caf's staff alone, by the functions of the command line, in French when refused. On
a file and on a real server, but for what no store has to do with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from sqlalchemy import update

from gateway.api.admin_operations import OPERATIONS
from gateway.errors import Misconfigured, StaffAccount, StoreUnavailable
from gateway.identity import directory
from gateway.identity.entries import find_open_account
from gateway.identity.sessions import sign_in
from gateway.identity.staff import forbid_new_staff, forbid_opening_staff
from gateway.identity.tables import account
from gateway.limits.limits import Limits, Rate
from gateway.proxy.credentials import Door, csrf_token
from gateway.proxy.identify import Reception
from gateway.settings import Identity
from tests.api.conftest import on_a_file
from tests.story.running import CAISSE, PASSWORD, is_problem, until

EVERY = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
OTHER_PASSWORD = "Un-autre-mot-de-passe-26"


@pytest.fixture(scope="module")
def office(start_gateway, stub_url, stored):
    """A gateway with two of the Caf's staff, `chef` and `collegue`, the Caf's social worker `assistante`, and `t1`."""
    gateway = start_gateway(stub_url, **stored)
    gateway.enter("chef", kind="caf")
    for identifier, profiles in (("collegue", ()), ("assistante", ("T1",))):
        directory.add_account(
            gateway.store,
            identifier=identifier,
            password=PASSWORD,
            partner_name="Partenaire chef",
            profiles=profiles,
        )
    gateway.enter("t1", "T1")
    return gateway


@pytest.fixture(scope="module")
def staff(office):
    return office.log_in("chef")


def post(gateway, session, path, **body):
    headers = {**session, "Content-Type": "application/json"}
    return gateway.ask(f"/-/admin/{path}", headers, method="POST", body=json.dumps(body).encode())


def activate(gateway, link):
    body = json.dumps({"token": link.partition("#")[2], "password": PASSWORD}).encode()
    answer = gateway.ask("/-/activation", {"Content-Type": "application/json"}, method="POST", body=body)
    assert answer.status == 204, answer


def rows(gateway, session, path):
    answer = gateway.ask(f"/-/admin/{path}", session)
    assert answer.status == 200, answer
    return answer.json()["rows"]


def answers(gateway, session, status):
    """A dossier is answered so: at once, or, where the directory is on a server, when that is no longer remembered."""

    def answered():
        return gateway.ask("/dossiers/9990001", session).status == status

    if gateway.store.file is None:
        until(answered, f"a dossier is answered {status}")
    else:
        assert answered()


def refused(answer, status, code):
    """The sentence of a refusal by the directory."""
    assert (answer.status, answer.json()["code"]) == (status, code), answer
    assert answer.one("Content-Type") == "application/problem+json"
    return answer.json()["detail"]


def test_a_day_at_the_desk_over_http(office, staff):
    def done(path, status, **body):
        answer = post(office, staff, path, **body)
        assert answer.status == status, answer
        return answer.json() if answer.body else None

    done("partners", 201, name="Udaf", why="demande 26-7")
    done("partners/siret", 204, name="Udaf", siret="73282932000074")
    convention = {"from": "2026-01-01", "to": "9999-12-31", "profiles": ["T9", "T1"]}
    done("conventions", 201, number="2026/014", partner="Udaf", caisse="851", max_agents=2, **convention)
    done("conventions/suspend", 204, number="2026/014")
    done("conventions/resume", 204, number="2026/014")
    done("conventions/limit", 204, number="2026/014", max_agents=None)
    made = done("accounts", 201, identifier="m.martin", partner="Udaf", profiles=["T9"])
    activate(office, made["link"])
    done("accounts/function", 204, identifier="m.martin", function="tutrice")
    done("accounts/sign", 204, identifier="m.martin", version="2012-07")
    agent = office.log_in("m.martin")
    answers(office, agent, 403)
    entrusted = done(
        "mandates", 201, dossier="9990001", kind="judgment", partner="Udaf", account="m.martin", reference="TJ",
        **{"from": "2026-01-01"},
    )  # fmt: skip
    answers(office, agent, 200)
    [mandate] = rows(office, staff, "mandates?dossier=9990001&partner=Udaf")
    assert (mandate["id"], mandate["account"], mandate["released_at"]) == (entrusted["id"], "m.martin", None)
    done("objections/raise", 204, dossier="9990001", reference="lettre")
    answers(office, agent, 403)
    done("objections/lift", 204, dossier="9990001")
    assert [row["lifted_at"] is not None for row in rows(office, staff, "objections?dossier=9990001")] == [True]
    [opened] = rows(office, staff, "sessions?account=m.martin")
    assert opened["identifier"] == "m.martin"
    office.log_in("m.martin")
    assert done("sessions/end", 200, identifier="m.martin", only=opened["id"]) == {"sessions": 1}
    again = post(office, staff, "sessions/end", identifier="m.martin", only=opened["id"])
    said = "Ce compte n'a pas de session ouverte qui porte cet identifiant."
    assert refused(again, 404, "GW222") == said
    assert done("sessions/end", 200, identifier="m.martin") == {"sessions": 1}
    answers(office, agent, 401)
    done("accounts/suspend", 204, identifier="m.martin")
    done("accounts/resume", 204, identifier="m.martin")
    done("accounts/unlock", 204, identifier="m.martin")
    done("accounts/withdraw", 204, identifier="m.martin")
    done("accounts/profiles", 204, identifier="m.martin", profiles=["T1"])
    activate(office, done("accounts/invite", 200, identifier="m.martin", why="oublié")["link"])
    assert done("accounts/password", 200, identifier="m.martin", password=OTHER_PASSWORD) == {"sessions": 0}
    office.log_in("m.martin", password=OTHER_PASSWORD)
    assert done("accounts/close", 200, identifier="m.martin", why="part en retraite") == {
        "sessions": 1,
        "mandates": [entrusted["id"]],
    }
    done("mandates", 201, dossier="9990002", kind="masp", partner="Udaf", reference="M", **{"from": "2026-01-01"})
    [standing] = rows(office, staff, "mandates?dossier=9990002")
    done("mandates/release", 204, id=standing["id"])
    [account] = rows(office, staff, "accounts?identifier=m.martin")
    assert (account["profiles"], account["function"]) == (["T1"], "tutrice")
    assert account["closed_at"]
    assert [row["siret"] for row in rows(office, staff, "partners") if row["name"] == "Udaf"] == ["73282932000074"]
    assert [row["number"] for row in rows(office, staff, "conventions?partner=Udaf")] == ["2026/014"]
    told = rows(office, staff, "changes?by=chef&limit=200")
    assert [change["act"] for change in told if change["subject"] == "Udaf"] == ["partner add", "partner siret"]
    assert told[0]["why"] == "demande 26-7"
    assert rows(office, staff, "changes?subject=m.martin&act=account+close")[0]["why"] == "part en retraite"
    text = json.dumps(rows(office, staff, "changes?limit=200")) + json.dumps(rows(office, staff, "accounts"))
    kept = office.log() + json.dumps(office.record_rows())
    assert not [word for word in (PASSWORD, OTHER_PASSWORD, "argon2") if word in text + kept]


@on_a_file
@EVERY
@pytest.mark.parametrize("who", ["t1", "assistante"])
def test_whoever_is_not_of_the_staff_is_refused_before_anything_is_looked_at(office, operation, who):
    agent = office.log_in(who)
    answer = office.ask(f"{operation.path}?unknown=1", agent, method=operation.method, body=b"{" * 5000)
    is_problem(answer, 403, "GW120")
    row = office.recorded(answer)
    assert (row["act"], row["route"], row["agent"], row["code"]) == ("admin", operation.name, who, "GW120")


@on_a_file
@EVERY
def test_a_stranger_is_asked_to_log_in(office, operation):
    is_problem(office.ask(operation.path, method=operation.method, body=b"{}"), 401, "GW101")


@on_a_file
@EVERY
def test_what_is_not_understood_is_refused(office, staff, operation):
    if operation.method == "GET":
        is_problem(office.ask(f"{operation.path}?limit=1&limit=2", staff), 400, "GW201")
        is_problem(office.ask(f"{operation.path}?limit=0", staff), 400, "GW201")
        is_problem(office.ask(f"{operation.path}?limit=%C2%B2", staff), 400, "GW201")
        is_problem(office.ask(f"{operation.path}?page=2", staff), 400, "GW202")
        return
    path = operation.path.removeprefix("/-/admin/")
    is_problem(post(office, staff, f"{path}?now=1"), 400, "GW202")
    is_problem(office.ask(operation.path, staff, method="POST", body=b"{}"), 415, "GW206")
    long = {**staff, "Content-Type": operation.sent_type}
    is_problem(office.ask(operation.path, long, method="POST", body=b" " * 70_000), 413, "GW205")
    if operation.body is not None:
        is_problem(post(office, staff, path), 400, "GW201")
        is_problem(office.ask(operation.path, long, method="POST", body=b" " * 20_000), 413, "GW205")


@on_a_file
@pytest.mark.parametrize("act", [operation.act for operation in OPERATIONS if operation.group == "account"])
def test_nobody_changes_their_own_account(office, staff, act):
    if act in ("list", "show", "review", "import"):
        return
    more = {
        "add": {"partner": "Udaf"},
        "profiles": {"profiles": ["T1"]},
        "function": {"function": "x"},
        "sign": {"version": "2012-07"},
        "password": {"password": OTHER_PASSWORD},
        "close": {"why": "x"},
    }.get(act, {})
    path = "accounts" if act == "add" else f"accounts/{act}"
    is_problem(post(office, staff, path, identifier="chef", **more), 403, "GW121")


def test_one_person_of_the_staff_is_not_made_two(office, staff):
    """No account of the staff is entered, opened again or given a password over HTTP."""
    for path, body in {
        "accounts": {"identifier": "double", "partner": "Partenaire chef"},
        "accounts/invite": {"identifier": "collegue"},
        "accounts/password": {"identifier": "collegue", "password": OTHER_PASSWORD},
        "accounts/unlock": {"identifier": "collegue"},
        "accounts/reset-second-factor": {"identifier": "collegue"},
        "accounts/profiles": {"identifier": "assistante", "profiles": []},
    }.items():
        is_problem(post(office, staff, path, **body), 403, "GW122")
    is_problem(post(office, staff, "accounts/profiles", identifier="collegue", profiles=["T1"]), 403, "GW122")
    office.log_in("collegue")
    assert post(office, staff, "accounts/unlock", identifier="assistante").status == 204
    assert post(office, staff, "accounts/suspend", identifier="collegue").status == 204
    assert post(office, staff, "accounts/resume", identifier="collegue").status == 204


class Overtaken:
    """The directory in which something else is done just before a change begins."""

    def __init__(self, store, meanwhile):
        self._store, self._meanwhile = store, meanwhile
        self.read = store.read

    def change(self, **more):
        self._meanwhile()
        return self._store.change(**more)


@pytest.mark.parametrize("name", ["account invite", "account unlock", "account password", "account profiles"])
def test_an_account_that_comes_to_the_staff_in_between_is_not_opened(office, name):
    def promoted():
        directory.set_profiles(office.store, identifier="assistante", profiles=[])

    now, rules = datetime.now(UTC), Identity(caisse=CAISSE)
    agent = sign_in(office.store, rules, identifier="chef", password=PASSWORD, now=now).agent
    limits = Limits(**dict.fromkeys(("agent", "address", "failures", "log_ins"), Rate(per_minute=60, burst=60)))
    reception = Reception(Door(office.url, []), Overtaken(office.store, promoted), rules, limits)
    [operation] = [each for each in OPERATIONS if each.name == name]
    more = {"account password": {"password": OTHER_PASSWORD}, "account profiles": {"profiles": ["T2"]}}.get(name, {})
    try:
        with pytest.raises(StaffAccount):
            operation.perform(reception, operation.body(identifier="assistante", **more), agent=agent, now=now)
    finally:
        directory.set_profiles(office.store, identifier="assistante", profiles=["T1"])
        directory.set_password(office.store, identifier="assistante", password=PASSWORD)


def test_whether_an_account_is_the_staffs_stays_so_until_the_change_is_made(office):
    with office.store.change() as connection:
        forbid_opening_staff(connection, "assistante")
        with pytest.raises(StoreUnavailable), office.store.change(wait_ms=50) as other:
            find_open_account(other, "assistante")
        # What is not there yet cannot be held: nothing goes on that would find it a moment later.
        with pytest.raises(Misconfigured):
            forbid_opening_staff(connection, "personne")
        with pytest.raises(Misconfigured):
            forbid_new_staff(connection, partner_name="Personne", profiles=[])


def test_rights_that_end_end_here_too(office, staff):
    colleague = office.log_in("collegue")
    assert office.ask("/-/admin/partners", colleague).status == 200
    assert post(office, staff, "accounts/suspend", identifier="collegue").status == 204
    is_problem(office.ask("/-/admin/partners", colleague), 403, "GW110")
    assert post(office, staff, "accounts/resume", identifier="collegue").status == 204
    directory.set_profiles(office.store, identifier="collegue", profiles=["T1"])
    assert office.ask("/-/admin/partners", colleague).status == 401
    directory.set_profiles(office.store, identifier="collegue", profiles=[])
    assert office.ask("/-/admin/partners", colleague).status == 401, "of the staff anew, and with another password only"
    directory.set_password(office.store, identifier="collegue", password=PASSWORD)
    assert office.ask("/-/admin/partners", office.log_in("collegue")).status == 200


def test_refusals_are_french_sentences_that_quote_nothing(office, staff):
    said = refused(post(office, staff, "accounts/suspend", identifier="inconnu-26"), 404, "GW222")
    assert said == "Aucun compte ne porte cet identifiant."
    said = refused(post(office, staff, "partners", name="Partenaire t1"), 409, "GW223")
    assert said == "Un partenaire porte déjà ce nom."
    said = refused(post(office, staff, "partners", name=" Udaf ", siret="73282932000075"), 422, "GW221")
    assert said == (
        "Un texte s'écrit avec 1 à 200 caractères imprimables, sans espaces autour. Un Siret s'écrit avec les quatorze "
        "chiffres attribués par l'Insee, sans espaces."
    )
    weak = post(office, staff, "accounts/password", identifier="t1", password="faible")
    assert "trop facile à deviner" in refused(weak, 422, "GW221")
    assert refused(office.ask("/-/admin/conventions?after=C-inconnue", staff), 404, "GW222")
    assert refused(office.ask("/-/admin/accounts?partner=Personne", staff), 404, "GW222")
    for name in ("\ud800", "a\u0000b"):
        body = json.dumps({"name": name}).encode()
        answer = office.ask(
            "/-/admin/partners", {**staff, "Content-Type": "application/json"}, method="POST", body=body
        )
        assert answer.status in (400, 422), answer


def test_a_list_is_turned_page_by_page_to_its_end(office, staff):
    day = datetime.now(UTC).date()
    for number in range(7):
        name = f"Page {number}"
        directory.add_partner(office.store, name=name, kind="external")
        directory.add_convention(
            office.store, partner_name=name, number=f"P/{7 - number}", caisse="851", starts_on=day,
            ends_on=day + timedelta(days=1), profiles=["T1"],
        )  # fmt: skip
        directory.add_mandate(
            office.store, dossier="9990001", kind="judgment", partner_name=name, starts_on=day, ends_on=None,
            reference=f"Page {number}",
        )  # fmt: skip
    for group in ("partners", "conventions", "accounts", "mandates", "sessions", "changes"):
        whole = office.ask(f"/-/admin/{group}?limit=200", staff).json()["rows"]
        found, after = [], ""
        for _ in range(len(whole) + 1):
            page = office.ask(f"/-/admin/{group}?limit=3{after}", staff).json()
            assert 0 < len(page["rows"]) <= 3
            found += page["rows"]
            if page["next"] is None:
                break
            after = f"&after={page['next']}".replace(" ", "+")
        assert [sorted(map(str, row.items())) for row in found] == [sorted(map(str, row.items())) for row in whole]


def test_the_review_tells_what_nobody_has_confirmed(office, staff):
    day = datetime.now(UTC).date()
    with office.store.change() as connection:
        connection.execute(update(account).where(account.c.identifier == "t1").values(confirmed_on=None))
    found = rows(office, staff, "accounts/review?finding=unconfirmed&caisse=851")
    assert [row["subject"] for row in found] == ["t1"]
    assert post(office, staff, "accounts/confirm", identifier="t1", why="revue").status == 204
    assert rows(office, staff, "accounts/review?finding=unconfirmed") == []
    directory.add_convention(
        office.store, partner_name="Partenaire t1", number="Bientôt", caisse="851", starts_on=day,
        ends_on=day + timedelta(days=30), profiles=["T1"],
    )  # fmt: skip
    page = office.ask("/-/admin/accounts/review?finding=ending&limit=1", staff).json()
    while page["rows"][-1]["subject"] != "Bientôt":
        page = office.ask(f"/-/admin/accounts/review?limit=1&after={quote(page['next'])}", staff).json()
    is_problem(office.ask("/-/admin/accounts/review?finding=all", staff), 400, "GW201")


@on_a_file
def test_a_browser_must_show_that_the_change_is_its_own(office):
    token = office.sign_in("chef").json()["token"]
    cookie = {"Cookie": f"cafpro={token}"}
    own = {"Origin": office.url, "X-CSRF-Token": csrf_token(token)}
    assert office.ask("/-/admin/partners", cookie).status == 200
    for more in ({}, {"Origin": office.url}, {**own, "Origin": "http://evil.example"}, {**own, "X-CSRF-Token": "x"}):
        is_problem(post(office, {**cookie, **more}, "partners", name="Croisé"), 403, "GW111")
    assert post(office, {**cookie, **own}, "partners", name="Croisé").status == 201
    is_problem(office.ask("/-/admin/partners", {**cookie, "Host": "evil.example"}), 400, "GW201")
