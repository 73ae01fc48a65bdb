"""`cafpro demo` before a backend of another shape: its addresses, parts and fields are told in `routes.toml` alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.policy_files.folder import shipped
from tests.ports import free_port
from tests.story.brochure import PROFILES
from tests.story.running import PASSWORD, Answer, Backend, Client, Process, golden, is_problem

FAMILY = "9990001"

ROUTES = """
[[route]]
name   = "famille"
match  = "GET /api/familles/{numero}"
action = "consult"
answer = "json"
query  = ["mois", "annee"]

[route.parts]
"/data/identifiant"               = "number"
"/data/foyer"                     = "famille"
"/data/foyer/membres/*/secu"      = "never"
"/data/adresse"                   = "adresse"
"/data/adresse/destinataire"      = "famille"
"/data/lignes/*/versement"        = "paiement"
"/data/lignes/*/versement/compte" = "never"
"/data/lignes/*/dette"            = "creances"
"/data/habitation"                = "logement"
"/data/habitation/enfants"        = "enfants"
"/meta/quotients/national"        = "qf_cnaf"
"/meta/quotients/local"           = "qf_caf"

[route.fields]
"/data/foyer"              = ["situation", "membres"]
"/data/foyer/membres/*"    = ["nom", "role"]
"/data/adresse"            = ["destinataire", "voie", "ville"]
"/data/lignes/*/versement" = ["montant", "compte"]
"/data/habitation"         = ["loyer", "enfants"]

[[route]]
name    = "dettes"
match   = "GET /api/familles/{numero}/dettes"
action  = "consult"
answer  = "json"
query   = []
[route.parts]
"/*/montant" = "creances"
"/*/le"      = "always"

[[route]]
name          = "lettre"
match         = "GET /api/familles/{numero}/lettres/{id}"
action        = "consult"
answer        = "document"
query         = []
rubric        = "courrier"
content_types = ["application/pdf", "text/plain"]
"""

FAMILY_TEXT = """{
  "meta": {"version": "7", "quotients": {"national": 633, "local": 597.10, "secret": 1}},
  "data": {
    "identifiant": "9990001",
    "foyer": {"situation": "MARI\\u00c9", "membres": [
      {"nom": "Lemaître", "role": "MON", "secu": "278039999000100"}, {"nom": "Garnier", "role": "CONJ"}
    ], "remarque": "CANARI-remarque"},
    "adresse": {"destinataire": "Mme Lemaître", "voie": "7 rue de l'Église", "ville": "85000 LA ROCHE", "etage": 3},
    "lignes": [
      {"versement": {"montant": 148.10, "compte": "FR76CANARI"}, "dette": {"montant": 12345678901234567890123}},
      {"dette": {"montant": 1e400}, "note": "CANARI-note"},
      {"versement": {"montant": 0.50}}
    ],
    "habitation": {"loyer": 512.00, "enfants": ["Zoé", "Théo"], "proprietaire": "CANARI-proprietaire"},
    "sante": "CANARI-sante"
  }
}"""

DEBTS_TEXT = '[{"montant":1.10,"le":"2012-06-01","motif":"CANARI-motif"},{"montant":2,"le":null}]'


def answer(path: str) -> tuple[int, dict[str, str], bytes]:
    path, _, _ = path.partition("?")
    if path in (f"/api/familles/{FAMILY}", "/api/familles/9990003"):
        return 200, {"Content-Type": "application/json; charset=utf-8"}, FAMILY_TEXT.encode()
    if path == f"/api/familles/{FAMILY}/dettes":
        return 200, {"Content-Type": "application/json"}, DEBTS_TEXT.encode()
    if path == f"/api/familles/{FAMILY}/lettres/note-1":
        return 200, {"Content-Type": "text/plain"}, b"CANARI-courrier-note \xe9crite en latin-1"
    if path == f"/api/familles/{FAMILY}/lettres/pdf-1":
        return 200, {"Content-Type": "application/pdf"}, b"%PDF-1.4 CANARI-courrier-pdf"
    if path == f"/api/familles/{FAMILY}/lettres/page-1":
        return 200, {"Content-Type": "text/html"}, b"<h1>CANARI-courrier-page</h1>"
    return 404, {"Content-Type": "text/html"}, b"<h1>CANARI</h1>"


class Town(Client):
    """The demo before that backend."""

    def __init__(self, url: str, backend: Backend) -> None:
        super().__init__(url)
        self.backend = backend
        self._sessions: dict[str, dict[str, str]] = {}

    def get(self, profile: str, path: str) -> Answer:
        if profile not in self._sessions:
            body = json.dumps({"identifier": profile.lower(), "password": PASSWORD}).encode()
            opened = self.ask("/-/session", {"Content-Type": "application/json"}, method="POST", body=body)
            self._sessions[profile] = {"Authorization": f"Bearer {opened.json()['token']}"}
        return self.ask(path, self._sessions[profile])


@pytest.fixture(scope="module")
def town(start_backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder: Path = tmp_path_factory.mktemp("other")
    backend = start_backend(answer)
    shutil.copytree(shipped(), folder / "policies")
    (folder / "policies" / "routes.toml").write_text(ROUTES)
    port = free_port()
    demo = ["gateway.cli", "demo", "--port", str(port), "--password", PASSWORD]
    process = Process([*demo, "--upstream", backend.url, "--policies", "policies"], folder / "demo.log", cwd=folder)
    town = Town(f"http://127.0.0.1:{port}", backend)
    try:
        process.answers(f"{town.url}/-/health/ready")
        yield town
    finally:
        town.close()
        process.end()


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_receives_its_parts_of_another_documents_shape(town, profile):
    answer = town.get(profile, f"/api/familles/{FAMILY}")
    assert answer.status == 200
    golden(f"other-backend-{profile}.json", answer.body)
    assert "CANARI" not in answer.text()
    assert "278039999000100" not in answer.text()


def test_a_field_that_was_given_to_another_rubric_goes_with_that_rubric(town):
    """The addressee is of `famille`; the children are of `enfants`, inside a home that T2 does not see."""
    seen = {profile: town.get(profile, f"/api/familles/{FAMILY}").json()["data"] for profile in ("T1", "T2")}
    assert (seen["T1"]["adresse"]["destinataire"], seen["T1"]["habitation"]) == ("Mme Lemaître", {"loyer": 512.0})
    assert "destinataire" not in seen["T2"]["adresse"]
    assert seen["T2"]["habitation"] == {"enfants": ["Zoé", "Théo"]}


@pytest.mark.attack(27)
def test_a_list_at_the_root_is_filtered_item_by_item_or_refused(town):
    path = f"/api/familles/{FAMILY}/dettes"
    answer = town.get("T13", path)
    assert (answer.status, answer.body) == (200, b'[{"montant":1.10,"le":"2012-06-01"},{"montant":2,"le":null}]')
    is_problem(town.get("T2", path), 403, "GW301")


def test_a_text_or_a_pdf_leaves_whole_and_another_type_not_at_all(town):
    note, pdf, page = (town.get("T1", f"/api/familles/{FAMILY}/lettres/{name}-1") for name in ("note", "pdf", "page"))
    assert (note.status, note.all("Content-Type")) == (200, ["text/plain"])
    assert note.body == b"CANARI-courrier-note \xe9crite en latin-1"
    assert (pdf.status, pdf.all("Content-Type")) == (200, ["application/pdf"])
    assert pdf.body == b"%PDF-1.4 CANARI-courrier-pdf"
    is_problem(page, 502, "GW403")
    is_problem(town.get("T2", f"/api/familles/{FAMILY}/lettres/pdf-1"), 403, "GW301")


def test_a_declared_parameter_is_passed_on_and_no_other(town):
    path = f"/api/familles/{FAMILY}"
    assert town.get("T1", f"{path}?mois=2012-05&annee=").status == 200
    assert town.backend.asked[-1][1] == f"{path}?mois=2012-05&annee="
    assert town.get("T1", f"{path}?mois=a%20b%26c%3Dd%23").status == 200
    assert town.backend.asked[-1][1] == f"{path}?mois=a+b%26c%3Dd%23"
    before = len(town.backend.asked)
    is_problem(town.get("T1", f"{path}?mois=1&page=2"), 400, "GW202")
    is_problem(town.get("T1", f"{path}?mois=1&mois=2"), 400, "GW201")
    is_problem(town.get("T1", f"{path}?mois=1&mois=1"), 400, "GW201")
    is_problem(town.get("T1", f"{path}?mois=a%0D%0AX:1"), 400, "GW201")
    is_problem(town.get("T1", f"{path}?mois={'a' * 300}"), 400, "GW201")
    assert town.backend.asked[before:] == []


def test_the_addresses_of_the_shipped_table_are_unknown_here(town):
    is_problem(town.get("T1", f"/dossiers/{FAMILY}"), 404, "GW203")


def test_a_family_that_says_it_is_another_one_is_not_shown(town):
    is_problem(town.get("T1", "/api/familles/9990003"), 502, "GW403")
