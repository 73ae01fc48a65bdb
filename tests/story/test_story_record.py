"""One row for each request that reached the application, durable before its answer; without it, no answer."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.policy_files.folder import load_folder
from gateway.record.entry import read_facts
from tests.story.brochure import OPEN, PROFILES
from tests.story.running import PASSWORD, Answer, Gateway, is_problem, until
from upstream_stub.dossiers import VARIANTS

DOSSIER = "9990001"
EVENTFD = r"eventfd-count:\s*([0-9a-f]+)\neventfd-id:\s*(\d+)"
EMPTY = {
    **{"agent": "", "partner": "", "profile": "", "route": "", "dossier": "", "facts": "", "rubrics": "[]"},
    **{"rules": "[]", "policy": "", "code": "", "because": "", "address": "127.0.0.1"},
}


def known(identifier: str, profile: str) -> dict[str, str]:
    return {"agent": identifier, "partner": f"Partenaire {identifier}", "profile": profile}


def marked(gateway: Gateway, dossier: str) -> str:
    """What the record may know of a dossier's number: a keyed hash, made here with nothing of the gateway's."""
    key = bytes.fromhex((gateway.folder / "record.key").read_text().strip())
    return hmac.new(key, f"851:{dossier}".encode(), hashlib.sha256).hexdigest()


def facts(profile: str, **others: object) -> str:
    known = {
        **{"action": "consult", "assurance": "password", "convention": "in_force", "engagement": "signed"},
        **{"mandates": [], "objection": "none", "partner_kind": "external", "profile": profile},
    }
    return json.dumps({**known, **others}, sort_keys=True, separators=(",", ":"))


def rest_of(gateway: Gateway, answer: Answer, began: datetime) -> dict[str, object]:
    """The row of an answer, after what differs each time has been looked at: its place, instant and id."""
    row = gateway.recorded(answer)
    assert isinstance(row.pop("id"), int)
    assert re.fullmatch(r"[0-9a-f]{24}", row.pop("request_id"))
    at = datetime.fromisoformat(row.pop("at"))
    assert at.utcoffset() == UTC.utcoffset(None)
    assert began <= at <= datetime.now(UTC)
    return row


def test_a_consultation_is_recorded_with_who_what_why_and_what_left(gateway, sessions):
    began = datetime.now(UTC)
    answer = gateway.ask(f"/dossiers/{DOSSIER}", sessions["T9"])
    row = rest_of(gateway, answer, began)
    rules = json.loads(str(row["rules"]))
    assert {"judgment", "convention in force", "engagement signed"} <= set(rules)
    assert len([rule for rule in rules if rule.startswith("brochure 2012, row")]) == 13
    assert row == {
        **EMPTY,
        **known("t9", "T9"),
        "act": "consult",
        "route": "dossier",
        "dossier": marked(gateway, DOSSIER),
        "facts": facts("T9", mandates=["judgment"]),
        "rubrics": json.dumps(sorted(OPEN["T9"]), separators=(",", ":")),
        "rules": row["rules"],
        "policy": answer.one("X-Policy"),
        "status": 200,
    }


CONSULTATIONS = {
    "a rubric at its own address": ("T2", f"/dossiers/{DOSSIER}/rubriques/enfants", "rubric", 200, "", ["enfants"]),
    "a document": ("T1", f"/dossiers/{DOSSIER}/courriers/co-{DOSSIER}-0.pdf", "courrier", 200, "", ["courrier"]),
    "a rubric that is closed": ("T2", f"/dossiers/{DOSSIER}/rubriques/famille", "rubric", 403, "GW301", []),
    "a document that is closed": ("T2", f"/dossiers/{DOSSIER}/courriers/co-1.pdf", "courrier", 403, "GW301", []),
    "a document nobody has": ("T1", f"/dossiers/{DOSSIER}/courriers/co-9.pdf", "courrier", 404, "GW401", []),
    "a dossier nobody has": ("T1", "/dossiers/0000000", "dossier", 404, "GW401", []),
    "a dossier that is not entrusted": ("T9", "/dossiers/9990002", "dossier", 403, "GW320", []),
    "a dossier under objection": ("T1", "/dossiers/9990008", "dossier", 403, "GW321", []),
}


@pytest.mark.parametrize(
    ("path", "code", "because"),
    [
        ("/dossiers/123", "GW207", "not seven digits where the number stands"),
        ("/nowhere", "GW203", "no route has this path"),
        ("/-/nowhere", "GW203", "not one of our own addresses"),
    ],
)
def test_an_address_that_is_none_is_recorded_with_the_reason(gateway, sessions, path, code, because):
    row = gateway.recorded(gateway.ask(path, sessions["T1"]))
    assert (row["agent"], row["code"], row["because"]) == ("t1", code, because)


@pytest.mark.parametrize(
    ("profile", "path", "route", "status", "code", "left"), CONSULTATIONS.values(), ids=CONSULTATIONS
)
def test_a_consultation_is_recorded_with_its_outcome(gateway, sessions, profile, path, route, status, code, left):
    began = datetime.now(UTC)
    row = rest_of(gateway, gateway.ask(path, sessions[profile]), began)
    dossier = re.findall(r"[0-9]{7}", path)[0]
    assert bool(row.pop("because")) == bool(code)
    assert bool(json.loads(row.pop("rules"))) == bool(left)
    objection = {"objection": "raised"} if code == "GW321" else {}
    assert row == {
        **{name: value for name, value in EMPTY.items() if name not in ("because", "rules")},
        **known(profile.lower(), profile),
        "act": "consult",
        "route": route,
        "dossier": marked(gateway, dossier),
        "facts": facts(profile, **objection),
        "rubrics": json.dumps(left),
        "policy": gateway.policy(),
        "status": status,
        "code": code,
    }


def test_a_head_is_recorded_as_the_consultation_it_is(gateway, sessions):
    got, head = (gateway.ask(f"/dossiers/{DOSSIER}", sessions["T1"], method=method) for method in ("GET", "HEAD"))
    began = datetime.fromtimestamp(0, UTC)
    assert rest_of(gateway, head, began) == rest_of(gateway, got, began)


def test_log_ins_and_log_outs_are_recorded(gateway):
    began = datetime.now(UTC)
    opened = gateway.sign_in("t1")
    session = {"Authorization": f"Bearer {opened.json()['token']}"}
    wrong, unknown = gateway.sign_in("t1", password="Une-autre-phrase-2012"), gateway.sign_in("mon mot de passe")
    who = gateway.ask("/-/session", session)
    ended = gateway.ask("/-/session", session, method="DELETE")
    again = gateway.ask("/-/session", session)
    me = {**EMPTY, **known("t1", "T1")}
    refused = {**EMPTY, "act": "log_in", "status": 401, "code": "GW103"}
    assert [rest_of(gateway, answer, began) for answer in (opened, wrong, unknown, who, ended, again)] == [
        {**me, "act": "log_in", "status": 201},
        {**refused, "agent": "t1", "because": "wrong password"},
        {**refused, "because": "unknown identifier"},
        {**me, "act": "session", "status": 200},
        {**me, "act": "log_out", "status": 204},
        {**EMPTY, "act": "session", "status": 401, "code": "GW102", "because": "unknown token"},
    ]


REQUESTS = {
    "anonymous": ("", f"/dossiers/{DOSSIER}", 401, "GW101"),
    "a malformed number": ("T1", "/dossiers/abc", 422, "GW207"),
    "an unknown address": ("T1", "/nothing", 404, "GW203"),
    "an unknown address of our own": ("", "/-/nothing", 404, "GW203"),
    "a parameter nobody declared": ("T1", f"/dossiers/{DOSSIER}?x=1", 400, "GW202"),
}


@pytest.mark.parametrize(("profile", "path", "status", "code"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_refused_before_any_decision_is_recorded_too(gateway, sessions, profile, path, status, code):
    began = datetime.now(UTC)
    row = rest_of(gateway, gateway.ask(path, sessions.get(profile)), began)
    del row["because"]
    expected = {**EMPTY, **(known("t1", "T1") if profile else {}), "act": "request", "status": status, "code": code}
    del expected["because"]
    assert row == expected


def test_the_facts_that_were_recorded_decide_again_to_what_left(gateway, sessions):
    for profile in PROFILES:
        for dossier in VARIANTS:
            gateway.ask(f"/dossiers/{dossier}", sessions[profile])
    in_force = load_folder(gateway.folder / "policies")
    rows = gateway.record_rows(route="dossier", policy=in_force.fingerprint)
    assert len(rows) >= len(PROFILES) * len(VARIANTS)
    for row in rows:
        grant = in_force.policy.decide(read_facts(row["facts"]))
        if row["status"] == 200:
            assert sorted(grant.rubrics) == json.loads(row["rubrics"])
            assert {label for rule in grant.rules for label in rule[1:]} == set(json.loads(row["rules"]))
        elif row["status"] == 403:
            assert (grant.rubrics, json.loads(row["rubrics"])) == (frozenset(), [])


def test_a_row_is_there_before_its_answer(gateway, sessions):
    """The moment the answer's last byte is here, another process reads the row."""
    with contextlib.closing(sqlite3.connect(f"file:{gateway.record_file}?mode=ro", uri=True)) as record:
        for _ in range(100):
            answer = gateway.ask(f"/dossiers/{DOSSIER}/rubriques/adresse", sessions["T1"])
            asked = "SELECT count(*) FROM record WHERE request_id = ?"
            assert record.execute(asked, [answer.one("X-Request-Id")]).fetchone() == (1,)


def test_requests_at_the_same_time_are_each_recorded_exactly_once(gateway, sessions):
    def consult(hand: int) -> list[tuple[str, str]]:
        profile = PROFILES[hand % len(PROFILES)]
        path = f"/dossiers/{DOSSIER}/rubriques/adresse"
        answers = [gateway.ask(path, sessions[profile]) for _ in range(20)]
        assert {answer.status for answer in answers} == {200}
        return [(answer.one("X-Request-Id"), profile) for answer in answers]

    before = len(gateway.record_rows())
    with ThreadPoolExecutor(32) as hands:
        answered = [pair for pairs in hands.map(consult, range(32)) for pair in pairs]
    rows = gateway.record_rows()[before:]
    assert sorted((row["request_id"], row["profile"]) for row in rows) == sorted(answered)
    assert len(rows) == 640


def test_the_record_is_readable_by_its_owner_alone(gateway):
    for file in (*gateway.folder.glob("record.*"), *gateway.folder.glob("cafpro.db*")):
        assert file.stat().st_mode & 0o077 == 0, file.name


def test_the_record_never_holds_a_password_or_a_token(gateway):
    opened = gateway.sign_in("t1")
    files = b"".join(file.read_bytes() for file in gateway.folder.iterdir() if file.is_file())
    assert PASSWORD.encode() not in files
    assert opened.json()["token"].encode() not in files
    assert opened.json()["csrf_token"].encode() not in files


@pytest.fixture(scope="module")
def other(stub_url: str, start_gateway) -> Gateway:
    """A gateway whose files may be taken away."""
    gateway = start_gateway(stub_url)
    gateway.enter("t1", "T1")
    return gateway


@contextlib.contextmanager
def taken_away(gateway: Gateway, name: str) -> Iterator[None]:
    file, elsewhere = gateway.folder / name, gateway.folder / f"{name}.away"
    file.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(file)


def ready(gateway: Gateway) -> Answer:
    """What health says when it has looked again: it remembers for half a second."""
    time.sleep(0.6)
    return gateway.ask("/-/health/ready")


@pytest.mark.attack(33)
@pytest.mark.attack(26)
def test_without_its_record_no_answer_leaves_and_everything_recovers_by_itself(other):
    session = other.log_in("t1")
    before = len(other.record_rows())
    with taken_away(other, "record.db"):
        for path in (f"/dossiers/{DOSSIER}", f"/dossiers/{DOSSIER}/courriers/co-{DOSSIER}-0.pdf", "/nothing"):
            is_problem(other.ask(path, session), 503, "GW503")
        is_problem(other.ask(f"/dossiers/{DOSSIER}"), 503, "GW503")
        is_problem(other.ask("/-/session", session), 503, "GW503")
        log_in = other.sign_in("t1")
        is_problem(log_in, 503, "GW503")
        assert log_in.all("Set-Cookie") == []
        health = ready(other)
        assert (health.status, health.json()["failing"]) == (503, ["record"])
        assert other.ask("/-/health/live").status == 200
    answer = other.ask(f"/dossiers/{DOSSIER}", session)
    assert answer.status == 200
    assert ready(other).status == 200
    rows = other.record_rows()[before:]
    assert [row["request_id"] for row in rows] == [answer.one("X-Request-Id")]
    assert "CANARI" not in other.log()


@pytest.mark.attack(26)
def test_a_record_that_another_process_holds_refuses_and_recovers(other):
    """Longer than the gateway waits for it."""
    session = other.log_in("t1")
    with contextlib.closing(sqlite3.connect(other.record_file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        is_problem(other.ask(f"/dossiers/{DOSSIER}", session), 503, "GW503")
        holder.execute("ROLLBACK")
    assert other.ask(f"/dossiers/{DOSSIER}", session).status == 200


def test_without_its_directory_nobody_is_known_and_everything_recovers_by_itself(other):
    session = other.log_in("t1")
    with taken_away(other, "cafpro.db"):

        def refused() -> bool:
            answer = other.ask(f"/dossiers/{DOSSIER}", session)
            if answer.status != 200:
                is_problem(answer, 503, "GW502")
            return answer.status == 503

        until(refused, "a directory that is gone is noticed", seconds=10)
        is_problem(other.sign_in("t1"), 503, "GW502")
        health = ready(other)
        assert (health.status, health.json()["failing"]) == (503, ["store"])
    assert other.ask(f"/dossiers/{DOSSIER}", session).status == 200
    assert ready(other).status == 200


def test_the_workers_of_a_gateway_ring_one_bell_when_they_have_recorded(start_gateway, stub_url):
    """Else one of them finds out a millisecond later that another has done writing, and few clients wait for it."""
    gateway = start_gateway(stub_url, server__workers=2)
    gateway.enter("t6", "T6")
    session = gateway.log_in("t6")

    def rings() -> dict[str, int]:
        """How often each has been rung since it was heard, of the bells that both workers have."""
        one, other = (
            {bell: int(count, 16) for count, bell in re.findall(EVENTFD, infos(worker.pid))}
            for worker in gateway.workers()
        )
        return {bell: one[bell] for bell in one.keys() & other.keys()}

    before = rings()
    for _ in range(3):
        assert gateway.ask(f"/dossiers/{DOSSIER}", session).status == 200
    after = rings()
    assert [after[bell] - before[bell] for bell in before if after[bell] != before[bell]] == [3]


def infos(process: int) -> str:
    """What the kernel tells of a process' descriptors."""
    return "\n".join(file.read_text() for file in Path(f"/proc/{process}/fdinfo").iterdir())
