"""The whole journey of an organisation and its agent: join, approved, activated, engaged, entrusted, consult, leave.
Once over HTTP alone, and once by commands alone.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from tests.story.running import PASSWORD, is_problem

TODAY = datetime.now(UTC).date()
TERMS = {"from": str(TODAY - timedelta(days=1)), "to": str(TODAY + timedelta(days=365))}
DOSSIER = "9990001"
SIRET = "73282932000074"


class Person:
    """Somebody with a browser's worth of HTTP and nothing else."""

    def __init__(self, gateway, identifier=None):
        self.gateway = gateway
        self.session = gateway.log_in(identifier) if identifier else {}

    def get(self, path):
        return self.gateway.ask(path, self.session)

    def post(self, path, status, **body):
        headers = {**self.session, "Content-Type": "application/json"}
        answer = self.gateway.ask(path, headers, method="POST", body=json.dumps(body).encode())
        assert answer.status == status, answer
        return answer.json() if answer.body else None

    def activate(self, link):
        self.post("/-/activation", 204, token=link.partition("#")[2], password=PASSWORD)


def test_an_organisation_joins_its_agent_consults_and_leaves_over_http(start_gateway, stub_url):
    gateway = start_gateway(stub_url)
    gateway.enter("c.petit", kind="caf")
    gateway.cafpro("account", "add", "b.roux", "--partner", "Partenaire c.petit", "--password-stdin",
                   typed=f"{PASSWORD}\n")  # fmt: skip
    first, second, anyone = Person(gateway, "c.petit"), Person(gateway, "b.roux"), Person(gateway)

    anyone.post(
        "/-/requests",
        202,
        organisation="Udaf",
        siret=SIRET,
        function="tuteur",
        profiles=["T9"],
        contact="a@udaf.example",
    )
    [request] = first.get("/-/admin/requests?state=asked").json()["rows"]
    step = {"id": request["id"], "why": "dossier complet"}
    first.post("/-/admin/requests/receive", 204, **step)
    first.post("/-/admin/requests/sign", 204, number="C-2026-1", caisse="851", max_agents=2, **TERMS, **step)
    first.post("/-/admin/requests/approve", 409, **step)
    joined = second.post("/-/admin/requests/approve", 200, administrator="d.udaf", **step)
    anyone.activate(joined["link"])

    is_problem(gateway.sign_in("m.martin"), 401, "GW103")
    administrator = Person(gateway, "d.udaf")
    administrator.post("/-/agents", 409, identifier="m.martin", profiles=["T1"], function="tuteur")
    invited = administrator.post("/-/agents", 201, identifier="m.martin", profiles=["T9"], function="tuteur")
    is_problem(gateway.sign_in("m.martin"), 401, "GW103")
    anyone.activate(invited["link"])
    agent = Person(gateway, "m.martin")

    is_problem(agent.get(f"/dossiers/{DOSSIER}"), 403, "GW314")
    read = agent.get("/-/engagement").json()
    assert read["state"] == "missing"
    agent.post("/-/engagement", 204, version=read["version"])
    is_problem(agent.get(f"/dossiers/{DOSSIER}"), 403, "GW320")
    mandate = first.post(
        "/-/admin/mandates", 201, dossier=DOSSIER, kind="judgment", partner="Udaf", account="m.martin",
        reference="TJ 26/17", **{"from": TERMS["from"]},
    )  # fmt: skip
    opened = agent.get(f"/dossiers/{DOSSIER}")
    assert opened.status == 200
    assert len(opened.json()["rubriques"]) == 13, "T9 sees thirteen rubrics"
    row = gateway.recorded(opened)
    assert (row["agent"], row["partner"], row["profile"], len(json.loads(row["rubrics"]))) == (
        "m.martin",
        "Udaf",
        "T9",
        13,
    )

    left = first.post("/-/admin/accounts/close", 200, identifier="m.martin", why="parti en retraite")
    assert left == {"sessions": 1, "mandates": [mandate["id"]]}
    is_problem(agent.get(f"/dossiers/{DOSSIER}"), 401, "GW102")
    is_problem(gateway.sign_in("m.martin"), 401, "GW103")

    told = first.get("/-/admin/changes?limit=200").json()["rows"]
    done = [
        (change["act"], change["by"])
        for change in told
        if change["by"] in ("(anyone)", "c.petit", "b.roux", "d.udaf", "m.martin")
    ]
    assert done == [
        ("request add", "(anyone)"),
        ("request receive", "c.petit"),
        ("request sign", "c.petit"),
        ("partner add", "b.roux"),
        ("convention add", "b.roux"),
        ("account add", "b.roux"),
        ("account delegate", "b.roux"),
        ("request approve", "b.roux"),
        ("account activate", "d.udaf"),
        ("account add", "d.udaf"),
        ("account activate", "m.martin"),
        ("account sign", "m.martin"),
        ("mandate add", "c.petit"),
        ("account close", "c.petit"),
        ("mandate release", "c.petit"),
    ]


@pytest.fixture
def cafpro(tmp_path, monkeypatch):
    """What a command prints on standard output, in a folder that `cafpro init` has made."""
    for name in [name for name in os.environ if name.startswith("CAFPRO_")]:
        monkeypatch.delenv(name)
    done = CliRunner().invoke(main, ["init", str(tmp_path / "caf"), "--caisse", "851"])
    assert done.exit_code == 0, done.output
    monkeypatch.chdir(tmp_path / "caf")

    def run(*words, typed="", status=0):
        result = CliRunner().invoke(main, words, input=typed, catch_exceptions=False)
        assert result.exit_code == status, result.output
        return result.stdout

    return run


def test_an_organisation_joins_its_agent_consults_and_leaves_by_commands(cafpro):
    password = f"{PASSWORD}\n"
    cafpro("partner", "add", "Caf", "--kind", "caf")
    for identifier in ("c.petit", "b.roux"):
        cafpro("account", "add", identifier, "--partner", "Caf", "--password-stdin", typed=password)

    def staff(who, *words, status=0):
        return cafpro("request", *words, "--as", who, "--password-stdin", typed=password, status=status)

    number = cafpro("request", "add", "--organisation", "Udaf", "--siret", SIRET, "--function", "tuteur",
                    "--profile", "T9", "--contact", "direction@udaf.example").strip()  # fmt: skip
    staff("c.petit", "receive", number)
    staff("c.petit", "sign", number, "--number", "C-1", "--caisse", "851", "--from", TERMS["from"], "--to", TERMS["to"])
    staff("c.petit", "approve", number, status=2)
    assert "/-/activation#" in staff("b.roux", "approve", number, "--administrator", "d.udaf")

    assert "/-/activation#" in cafpro("account", "add", "m.martin", "--partner", "Udaf", "--profile", "T9", "--invite")
    cafpro("account", "password", "m.martin", "--password-stdin", typed=password)

    def consults():
        said = cafpro("policy", "explain", "--as", "m.martin", "--dossier", DOSSIER, "--config", "gateway.toml",
                      "--format", "json")  # fmt: skip
        return sorted(rubric["rubric"] for rubric in json.loads(said)["rubrics"] if rubric["open"])

    assert consults() == [], "not engaged"
    cafpro("account", "sign", "m.martin")
    assert consults() == [], "nothing is entrusted"
    cafpro("mandate", "add", DOSSIER, "--kind", "judgment", "--partner", "Udaf", "--account", "m.martin", "--from",
           TERMS["from"], "--reference", "TJ 26/17")  # fmt: skip
    assert len(consults()) == 13
    assert "1 mandates released" in cafpro("account", "close", "m.martin", "--why", "left")
    cafpro("policy", "explain", "--as", "m.martin", "--dossier", DOSSIER, "--config", "gateway.toml", status=2)
    acts = [change["act"] for change in json.loads(cafpro("change", "list", "--format", "json"))]
    assert acts[acts.index("request add") :] == [
        *("request add", "request receive", "request sign", "partner add", "convention add", "account add"),
        *(
            "account delegate",
            "request approve",
            "account add",
            "account password",
            "account sign",
            "mandate add",
            "account close",
        ),
        "mandate release",
    ]
