"""Files of entries over HTTP: all rows or none, every problem by its line, and nothing that one by one is refused."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from gateway.api.admin_imports import IMPORTS, MOST_TOLD
from gateway.api.bodies import LARGEST_FILE
from gateway.identity import directory
from gateway.proxy.credentials import csrf_token
from gateway.server.connection import LARGEST_BODY
from tests.api.conftest import on_a_file
from tests.api.test_admin_api import office, refused, rows, staff
from tests.story.running import is_problem

__all__ = ["office", "staff"]

MANDATES = "dossier,kind,partner,account,starts_on,ends_on,reference\n"
EVERY = pytest.mark.parametrize("operation", IMPORTS, ids=lambda operation: operation.group)


@pytest.fixture(scope="module", autouse=True)
def udaf(office):
    """Two partners, and a convention of the second with room for two agents."""
    for name in ("Udaf", "Étroite"):
        directory.add_partner(office.store, name=name, kind="external")
    office.cafpro(
        *("convention", "add", "E-1", "--partner", "Étroite", "--caisse", "851", "--profile", "T9"),
        *("--from", "2026-01-01", "--to", "9999-12-31", "--max-agents", "2"),
    )


def send(gateway, session, noun, text, *, kind="text/csv", **asked):
    body = text if isinstance(text, bytes) else text.encode()
    path = f"/-/admin/{noun}s/import" + (f"?{urlencode(asked)}" if asked else "")
    return gateway.ask(path, {**session, "Content-Type": kind}, method="POST", body=body)


def entered(gateway, session, noun, text, **asked):
    answer = send(gateway, session, noun, text, **asked)
    assert answer.status == 200, answer
    return answer.json()


def lines(report):
    return [(problem["line"], problem["said"]) for problem in report["problems"]]


def test_each_kind_is_looked_at_then_entered_and_explained(office, staff):
    files = {
        "partner": "name;kind;siret\nListe A;external;\nListe B;;\n",
        "convention": (
            "number,partner,caisse,starts_on,ends_on,profiles,max_agents\n"
            "L-1,Liste A,851,2026-01-01,9999-12-31,T9 T1,3\n"
        ),
        "account": "identifier,partner,profiles,function\nl.un,Liste A,T9,tutrice\nl.deux,Liste A,T1 T9,\n",
        "mandate": MANDATES + "9990003,masp,Liste A,l.un,2026-01-01,,RG 1\n9990003,masp,Liste A,,2026-01-01,,RG 2\n",
    }
    for noun, text in files.items():
        count = text.count("\n") - 1
        seen = entered(office, staff, noun, text, dry_run="true")
        assert seen == {"rows": count, "problem_count": 0, "problems": [], "cut": False, "change": None}
        answer = send(office, staff, noun, text, name=f"{noun}.csv", why="liste du 15 juin")
        done = answer.json()
        assert (done["rows"], done["problem_count"]) == (count, 0)
        row = office.recorded(answer)
        assert (row["act"], row["route"], row["agent"], row["status"]) == ("admin", f"{noun} import", "chef", 200)
        [change] = rows(office, staff, f"changes?act={noun}+import&subject={noun}.csv")
        assert (change["id"], change["by"], change["why"]) == (done["change"], "chef", "liste du 15 juin")
        assert change["detail"].startswith(f"{count} {noun}s from {noun}.csv, SHA-256 ")
    assert [row["identifier"] for row in rows(office, staff, "accounts?partner=Liste+A")] == ["l.deux", "l.un"]
    assert [row["account"] for row in rows(office, staff, "mandates?dossier=9990003")] == ["l.un", None]
    [change] = rows(office, staff, "changes?subject=l.un")
    assert change["act"] == "account import"


def test_every_problem_is_told_by_its_line_and_nothing_is_entered(office, staff):
    text = "name,kind,siret\nBonne,,\n Mal,,\nUdaf,,\nDeux,,,\nBonne,,\nTrois,autre,12\n"
    said = [
        (3, "Un texte s'écrit avec 1 à 200 caractères imprimables, sans espaces autour."),
        (4, "Un partenaire porte déjà ce nom."),
        (5, "La ligne a 4 cellules, la première nomme 3 colonnes."),
        (6, "La ligne 2 entre déjà la même chose."),
        (7, "Une valeur doit être l'une de : caf, external."),
        (7, "Un Siret s'écrit avec les quatorze chiffres attribués par l'Insee, sans espaces."),
    ]
    seen = entered(office, staff, "partner", text, dry_run="true")
    assert (seen["rows"], seen["problem_count"], seen["cut"], seen["change"]) == (6, 6, False, None)
    assert lines(seen) == said
    answer = send(office, staff, "partner", text)
    is_problem(answer, 422, "GW224")
    assert answer.json()["file"] == seen
    assert refused(answer, 422, "GW224") == "Le fichier contient 6 problèmes : rien n'est enregistré."
    assert office.recorded(answer)["code"] == "GW224"
    assert [row for row in rows(office, staff, "partners?limit=200") if row["name"] == "Bonne"] == []
    assert rows(office, staff, "changes?act=partner+import&since=9999-01-01") == []


def test_of_many_problems_the_first_are_listed_and_all_are_counted(office, staff):
    text = "name\n" + "Udaf\n" * (MOST_TOLD + 23)
    # Each but the first is twice there as well.
    count = 2 * (MOST_TOLD + 23) - 1
    answer = send(office, staff, "partner", text)
    said = f"Le fichier contient {count} problèmes : rien n'est enregistré. Les {MOST_TOLD} premiers sont listés."
    assert refused(answer, 422, "GW224") == said
    report = answer.json()["file"]
    assert (report["problem_count"], len(report["problems"]), report["cut"]) == (count, MOST_TOLD, True)
    one = send(office, staff, "partner", "name\nUdaf\n")
    assert refused(one, 422, "GW224") == "Le fichier contient un problème : rien n'est enregistré."
    assert one.json()["file"]["cut"] is False


@on_a_file
@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "La première ligne doit nommer les colonnes : name, kind (facultative), siret (facultative)."),
        ("kind\ncaf\n", 1, "La colonne name manque. Les colonnes sont : "),
        ("name,name\nA,A\n", 1, "Une colonne figure deux fois. "),
        ("name,password\nA,B\n", 1, "Une colonne n'est pas attendue. "),
        (b"n\xe9m\nA\n", 1, "Le fichier doit être en UTF-8."),
        (b"name\n\xe9\n", 2, "Un texte s'écrit avec "),
        ('name\n"A\n', 2, "À partir d'ici, le fichier n'est plus du CSV."),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_the_line(office, staff, text, line, said):
    answer = send(office, staff, "partner", text)
    assert answer.status == 422, answer
    [problem] = answer.json()["file"]["problems"]
    assert problem["line"] == line
    assert problem["said"].startswith(said)


def test_a_file_with_no_row_enters_nothing(office, staff):
    report = entered(office, staff, "partner", "name\n")
    assert report == {"rows": 0, "problem_count": 0, "problems": [], "cut": False, "change": None}


def test_no_account_of_the_staff_comes_by_a_file(office, staff):
    """As by `POST /-/admin/accounts`; and no account that comes by a file has a password."""
    caf = "Partenaire chef"
    text = f"identifier,partner,profiles\ndouble,{caf},\nassistant,{caf},T1\nchef,{caf},T1\n"
    answer = send(office, staff, "account", text)
    assert lines(answer.json()["file"]) == [
        (2, "Un compte qui gère Cafpro ne peut être ouvert ni rouvert à cette adresse, mais sur le serveur seulement."),
        (4, "Un compte porte déjà cet identifiant."),
    ]
    entered(office, staff, "account", f"identifier,partner,profiles\nassistant,{caf},T1\n")
    assert office.sign_in("assistant", password="!").status == 401
    # A Caf that came by a file has no staff by a file either.
    entered(office, staff, "partner", "name,kind\nAutre Caf,caf\n")
    answer = send(office, staff, "account", "identifier,partner\ndouble,Autre Caf\n")
    assert refused(answer, 422, "GW224") == "Le fichier contient un problème : rien n'est enregistré."


def test_a_convention_without_room_says_so_on_the_line_of_who_is_too_many(office, staff):
    text = "identifier,partner,profiles\n" + "".join(f"e.{number},Étroite,T9\n" for number in range(3))
    answer = send(office, staff, "account", text)
    [(line, said)] = lines(answer.json()["file"])
    assert line == 4
    assert said.startswith("La convention autorise 2 agents et n'a plus de place")


@on_a_file
@EVERY
def test_what_is_no_file_is_refused(office, staff, operation):
    noun = operation.group
    is_problem(send(office, staff, noun, "name\nA\n", kind="application/json"), 415, "GW206")
    is_problem(send(office, staff, noun, "name\nA\n", kind="text/csv; charset=iso-8859-1"), 415, "GW206")
    assert send(office, staff, noun, "name\n", kind='Text/CSV; charset="UTF-8"; header=present').status in (200, 422)
    for asked in ({"dry_run": "oui"}, {"dry_run": ""}, {"dry_run": "True"}, {"why": "x" * 201}, {"name": ""}):
        is_problem(send(office, staff, noun, "name\n", **asked), 400, "GW201")
    is_problem(send(office, staff, noun, "name\n", by="collegue"), 400, "GW202")
    assert send(office, staff, noun, "name\n", name=" x ").json()["code"] == "GW221"


@on_a_file
def test_the_largest_file_that_is_taken_is_as_large_as_the_server_keeps(office, staff):
    assert LARGEST_FILE == LARGEST_BODY
    text = "name\n" + "x" * 150 + "\n"
    whole = text + "\n" * (LARGEST_FILE - len(text))
    assert entered(office, staff, "partner", whole, dry_run="true")["rows"] == 1
    is_problem(send(office, staff, "partner", whole + "\n"), 413, "GW205")
    chunked = {**staff, "Content-Type": "text/csv", "Transfer-Encoding": "chunked"}
    body = b"%x\r\n%s\n\r\n0\r\n\r\n" % (LARGEST_FILE + 1, whole.encode())
    is_problem(office.ask("/-/admin/partners/import", chunked, method="POST", body=body), 413, "GW205")
    described = office.ask("/-/openapi.json").json()["paths"]["/-/admin/partners/import"]["post"]
    assert f"{LARGEST_FILE} bytes" in described["description"]
    assert list(described["requestBody"]["content"]) == ["text/csv"]


@on_a_file
def test_a_browser_must_show_that_the_file_is_its_own(office):
    token = office.sign_in("chef").json()["token"]
    cookie = {"Cookie": f"cafpro={token}"}
    own = {"Origin": office.url, "X-CSRF-Token": csrf_token(token)}
    for more in ({}, {**own, "Origin": "http://evil.example"}, {**own, "X-CSRF-Token": "x"}):
        is_problem(send(office, {**cookie, **more}, "partner", "name\nCroisée\n"), 403, "GW111")
    is_problem(send(office, {**cookie, **own, "Host": "evil.example"}, "partner", "name\nCroisée\n"), 400, "GW201")
    assert entered(office, {**cookie, **own}, "partner", "name\nCroisée\n")["rows"] == 1
