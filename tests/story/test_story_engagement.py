"""The personal engagement: read and accepted before the first dossier, and again when its version changes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.identity import directory, engagement
from tests.story.running import ENGAGEMENT, Answer, Gateway, is_problem

SERIAL = count(1)
DOSSIER = "/dossiers/9990001"


@pytest.fixture(scope="module")
def served(start_gateway, stub_url) -> Iterator[Gateway]:
    return start_gateway(stub_url)


@pytest.fixture
def newcomer(served) -> str:
    """The identifier of an agent who has accepted nothing."""
    identifier = f"arrivant-{next(SERIAL)}"
    served.enter(identifier, "T1", signed=False)
    return identifier


def accept(served: Gateway, headers: dict[str, str], version: str = ENGAGEMENT) -> Answer:
    body = json.dumps({"version": version}).encode()
    sent = {"Content-Type": "application/json", **headers}
    return served.ask("/-/engagement", sent, method="POST", body=body)


def test_an_agent_reads_accepts_and_consults(served, newcomer):
    session = served.log_in(newcomer)
    refused = served.ask(DOSSIER, session)
    is_problem(refused, 403, "GW314")
    assert "accepter l'engagement" in refused.json()["detail"]
    shown = served.ask("/-/engagement", session)
    assert shown.status == 200
    assert {name: shown.json()[name] for name in ("version", "state")} == {"version": ENGAGEMENT, "state": "missing"}
    assert shown.json()["text"] == engagement.SHIPPED.read_text().strip()
    answer = accept(served, session)
    assert (answer.status, answer.body) == (204, b"")
    assert served.ask(DOSSIER, session).status == 200
    assert served.ask("/-/engagement", session).json()["state"] == "signed"
    assert [served.recorded(each)["act"] for each in (shown, answer)] == ["engagement", "engage"]


def test_who_accepted_what_is_kept_once(served, newcomer):
    session = served.log_in(newcomer)
    assert [accept(served, session).status for _ in range(2)] == [204, 204]
    rows = directory.changes(served.store, subject=newcomer, act="account sign")
    assert [(row.by, row.detail) for row in rows] == [(newcomer, f"engagement_version: none → {ENGAGEMENT}")]
    [agent] = [each for each in directory.accounts(served.store) if each.identifier == newcomer]
    assert agent.engagement_version == ENGAGEMENT
    assert agent.engagement_signed_at is not None
    with closing(sqlite3.connect(served.folder / "cafpro.db")) as store:
        [(version, text)] = store.execute("SELECT version, text FROM wording").fetchall()
    assert (version, text) == (ENGAGEMENT, engagement.SHIPPED.read_text().strip())


@pytest.mark.parametrize("version", ["2012-06", "2012-07 ", "²012-07", "x"])
def test_only_the_version_in_force_can_be_accepted(served, newcomer, version):
    session = served.log_in(newcomer)
    is_problem(accept(served, session, version), 409, "GW117")
    is_problem(served.ask(DOSSIER, session), 403, "GW314")


def test_nobody_accepts_for_another(served, newcomer):
    is_problem(accept(served, {}), 401, "GW101")
    is_problem(served.ask("/-/engagement"), 401, "GW101")
    opened = served.sign_in(newcomer).json()
    cookie = {"Cookie": f"cafpro={opened['token']}"}
    with_token = {**cookie, "X-CSRF-Token": opened["csrf_token"]}
    is_problem(accept(served, {**cookie, "Origin": served.url}), 403, "GW111")
    is_problem(accept(served, with_token), 403, "GW111")
    is_problem(accept(served, {**with_token, "Origin": "https://elsewhere.example"}), 403, "GW111")
    assert accept(served, {**with_token, "Origin": served.url}).status == 204


def test_an_agent_suspended_meanwhile_accepts_nothing(served, newcomer):
    session = served.log_in(newcomer)
    directory.suspend_account(served.store, identifier=newcomer)
    is_problem(accept(served, session), 403, "GW110")
    assert directory.changes(served.store, subject=newcomer, act="account sign") == []


def check(served: Gateway, **settings: str) -> str:
    variables = {f"CAFPRO_IDENTITY__{name.upper()}": value for name, value in settings.items()}
    done = CliRunner(env=variables).invoke(main, ["check", "--config", str(served.configuration)])
    return done.stderr


def test_a_new_version_is_asked_for_again_and_an_old_one_cannot_have_another_text(
    served, newcomer, start_gateway, stub_url, tmp_path
):
    session = served.log_in(newcomer)
    assert accept(served, session).status == 204
    other = tmp_path / "autre.txt"
    other.write_text("Je m'engage autrement.\n")
    said = check(served, engagement_text=str(other))
    assert f"version '{ENGAGEMENT}' was accepted with another text. Give the new text another" in said
    assert "engagement" not in check(served, engagement_text=str(other), engagement_version="2026-11")
    later = start_gateway(
        stub_url,
        store__url=f"sqlite:///{served.folder / 'cafpro.db'}",
        identity__engagement_version="2026-11",
        identity__engagement_text=other,
    )
    is_problem(later.ask(DOSSIER, session), 403, "GW315")
    assert later.ask("/-/engagement", session).json()["state"] == "outdated"
    assert later.ask("/-/engagement", session).json()["text"] == "Je m'engage autrement."
    is_problem(accept(later, session), 409, "GW117")
    assert accept(later, session, "2026-11").status == 204
    assert later.ask(DOSSIER, session).status == 200


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "must hold 1 to"), (b"\xff\xfe", "cannot be read as UTF-8"), (b"x" * 70_000, "must hold 1 to")],
    ids=["empty", "not UTF-8", "too long"],
)
def test_a_text_that_cannot_be_shown_stops_a_start(served, tmp_path, content, said):
    file = tmp_path / "engagement.txt"
    file.write_bytes(content)
    assert said in check(served, engagement_text=str(file))
