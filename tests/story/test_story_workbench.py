"""What the workbench says of a real gateway: an explanation is what it answers, a replay counts what it recorded."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from tests.story.running import Gateway

DOSSIERS = ("9990001", "9990002", "9990008")


@pytest.fixture(scope="module")
def workbench(stub_url, start_gateway) -> Gateway:
    """A gateway with an agent of each kind of condition."""
    gateway = start_gateway(stub_url)
    for identifier, profile in (("t1", "T1"), ("t2", "T2"), ("t9", "T9")):
        gateway.enter(identifier, profile)
    gateway.entrust("t9", "9990001", "judgment")
    gateway.cafpro("objection", "raise", "9990008", "--reference", "Opposition")
    return gateway


def said(gateway: Gateway, command: str, *words: str) -> dict:
    done = CliRunner().invoke(
        main, ["policy", command, *words, "--config", str(gateway.configuration), "--format", "json"]
    )
    assert done.exit_code in (0, 1), done.output
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("identifier", ["t1", "t2", "t9"])
@pytest.mark.parametrize("dossier", DOSSIERS)
def test_an_explanation_is_what_the_gateway_answers_and_records(workbench, identifier, dossier):
    session = workbench.log_in(identifier)
    answer = workbench.ask(f"/dossiers/{dossier}", session)
    row = workbench.recorded(answer)
    found = said(workbench, "explain", "--dossier", dossier, "--as", identifier)
    assert found["policy"] == row["policy"]
    assert found["facts"] == json.loads(row["facts"])
    opened = {each["rubric"] for each in found["rubrics"] if each["open"]}
    assert opened >= set(json.loads(row["rubrics"]))
    if answer.status == 200:
        assert opened >= set(answer.json()["rubriques"])
        labels = {label for each in found["rubrics"] for labels in each["labels"] for label in labels}
        assert labels >= set(json.loads(row["rules"]))
    else:
        assert opened == set()
        assert f"`{found['denied']}`" in row["because"]


def test_a_replay_of_what_was_really_asked_and_refused(workbench, tmp_path):
    begun = workbench.last_row()
    t1, t9 = workbench.log_in("t1"), workbench.log_in("t9")
    for path, session in (
        ("/dossiers/9990001", t1),
        ("/dossiers/9990001/rubriques/creances", t1),
        ("/dossiers/9990001/rubriques/adresse", t1),
        ("/dossiers/9990001/courriers/co-9990001-0.pdf", t1),
        ("/dossiers/9990001", t9),
        ("/dossiers/9990002", t9),
        ("/dossiers/9990008", t1),
        ("/dossiers/12", t1),
        ("/dossiers/9990001", {}),
    ):
        workbench.ask(path, session)
    asked = workbench.record_rows(after=begun, act="consult") + workbench.record_rows(after=begun, act="request")
    assert len(asked) == 9
    before = said(workbench, "replay", "--against", str(workbench.folder / "policies"), "--since", "1h")
    assert before["touched"] == {"lost": 0, "gained": 0, "left": 0}
    draft = shutil.copytree(workbench.folder / "policies", tmp_path / "draft")
    text = (draft / "matrix.polar").read_text()
    (draft / "matrix.polar").write_text(text.replace('["T1", "T9", "T11", "T13"]', '["T2", "T11", "T13"]'))
    found = said(workbench, "replay", "--against", str(draft), "--since", "1h")
    rows = workbench.record_rows()
    left = [row for row in rows if '"creances"' in row["rubrics"]]
    assert {row["profile"] for row in left} == {"T1", "T9"}
    assert found["rubrics"]["creances"]["left"] == len(left)
    assert set(found["partners"]) == {"Partenaire t1", "Partenaire t2", "Partenaire t9"}
    undecided = [row for row in rows if row["act"] in ("consult", "request") and not row["facts"]]
    assert found["not_replayable"] == {"refused before anything was decided": len(undecided)}


def test_what_was_read_of_a_gateway_that_runs_is_in_its_record(workbench):
    before = datetime.now(UTC) - timedelta(seconds=1)
    found = said(workbench, "unused", "--since", "1h")
    used = {(row["profile"], slug) for row in workbench.record_rows() for slug in json.loads(row["rubrics"])}
    assert used
    for profile, slugs in found["unused"].items():
        assert not used & {(profile, slug) for slug in slugs}
    assert sum(map(len, found["unused"].values())) == 89 - len(used)
    [*_, row] = workbench.record_rows(act="read")
    assert row["route"] == "cafpro policy unused"
    assert datetime.fromisoformat(row["at"]) >= before
    assert workbench.ask("/-/health/ready").status == 200
