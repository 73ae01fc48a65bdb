"""A backend that is late, broken, lying or talkative: nothing of what is not understood is passed on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from signal import SIGSEGV

import pytest

from tests.story.brochure import OPEN, bank_and_national_numbers, kept_dossier, told
from tests.story.running import Client, Gateway, is_problem, until
from upstream_stub import faults
from upstream_stub.dossiers import dossier_text
from upstream_stub.faults import FAULTS, FaultServer

DEADLINE = 1.5
"""Seconds that the gateway gives the backend here; "slow" is longer."""

REFUSED = {
    "slow": "GW404",
    "drip": "GW404",
    "stall": "GW404",
    "reset": "GW403",
    "closed_at_once": "GW402",
    "endless_header": "GW403",
    "garbage": "GW403",
    "html": "GW403",
    "html_as_json": "GW403",
    "text_plain": "GW403",
    "no_type": "GW403",
    "vendor_type": "GW403",
    "latin1": "GW403",
    "gzip_unasked": "GW403",
    "gzip_twice": "GW403",
    "gzip_said_only": "GW403",
    "br_said_only": "GW403",
    "deflate_said_only": "GW403",
    "deflate_unasked": "GW403",
    "gzip_unsaid": "GW403",
    "gzip_bomb": "GW403",
    "status_500": "GW403",
    "status_503": "GW403",
    "status_403": "GW403",
    "status_404": "GW401",
    "status_401": "GW403",
    "status_301": "GW403",
    "status_302": "GW403",
    "status_206": "GW403",
    "status_204": "GW403",
    "status_304": "GW403",
    "status_203": "GW403",
    "status_999": "GW403",
    "switching": "GW403",
    "duplicate_top": "GW403",
    "duplicate_escaped": "GW403",
    "duplicate_rubric": "GW403",
    "duplicate_in_closed_part": "GW403",
    "byte_order_mark": "GW403",
    "utf16": "GW403",
    "invalid_utf8": "GW403",
    "lone_surrogate": "GW403",
    "nan": "GW403",
    "too_deep": "GW403",
    "rubrics_as_list": "GW403",
    "paiement_as_list": "GW403",
    "versements_as_object": "GW403",
    "versement_as_text": "GW403",
    "another_number": "GW403",
    "empty": "GW403",
    "two_documents": "GW403",
    "control_character": "GW403",
    "truncated": "GW403",
    "more_than_announced": "GW403",
    "length_and_chunks": "GW403",
    "two_lengths": "GW403",
    "bad_length": "GW403",
    "two_types": "GW403",
    "bad_chunk": "GW403",
    "unfinished_chunks": "GW403",
    "too_large_chunked": "GW403",
    "too_large_announced": "GW403",
    "not_http": "GW403",
}
"""What a profile that reads what the fault touches (T1) is told; the record keeps the same code."""
STATUS = {"GW401": 404, "GW402": 502, "GW403": 502, "GW404": 504}

HARMLESS = {
    "early_hints": "an interim answer is not the answer",
    "key_case": "a key in capitals is another key, unknown and withheld",
    "key_normalisation": "a key in other letters is another key, unknown and withheld",
    "surplus": "what stands behind the answer is not read",
    "no_length": "the end of the connection may end the body",
    "trailers": "nobody asked for trailers",
    "talkative_headers": "no header of the backend's is passed on",
}
"""Faults that change nothing of what is open: exactly the ordinary dossier leaves, without any of the rest."""

KEPT = {
    "duplicate_in_kept_part": "a key twice inside a rubric kept whole: all of it is granted",
    "huge_number": "1e400 inside a rubric kept whole: byte for byte as it was sent",
}

UNSEEN = {
    "paiement_as_list": "GW403",
    "versements_as_object": "GW403",
    "versement_as_text": "GW403",
}
"""Faults in a rubric that T2 does not read: they are not looked into."""

LATE = ("slow", "drip", "stall")


@pytest.fixture(scope="module")
def backend() -> Iterator[FaultServer]:
    with faults.serve(slow_seconds=DEADLINE * 4) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(backend: FaultServer, start_gateway) -> Gateway:
    # Each fault by itself: failures in a row are not to be the reason of a refusal here.
    gateway = start_gateway(
        backend.url,
        upstream__deadline_seconds=DEADLINE,
        upstream__size_limit=4_000_000,
        upstream__breaker_failures=1_000_000,
    )
    gateway.enter("t1", "T1")
    gateway.enter("t2", "T2")
    return gateway


@pytest.fixture(scope="module")
def sessions(gateway: Gateway) -> dict[str, dict[str, str]]:
    return {profile: gateway.log_in(profile.lower()) for profile in ("T1", "T2")}


def ordinary(numero: str, profile: str) -> bytes:
    whole = dossier_text(numero)
    assert whole
    return kept_dossier(whole, OPEN[profile])


def unharmed(gateway: Gateway, sessions: dict[str, dict[str, str]]) -> None:
    """Two dossiers right after, whole: neither the connection nor the gateway remembers the fault."""
    for numero in ("9990003", "9990001"):
        answer = gateway.ask(f"/dossiers/{numero}", sessions["T1"])
        assert (answer.status, answer.body) == (200, ordinary(numero, "T1"))


def test_every_fault_of_the_stub_is_tried():
    assert {*REFUSED, *HARMLESS, *KEPT} == set(FAULTS)


@pytest.mark.attack(23)
@pytest.mark.attack(24)
@pytest.mark.attack(25)
@pytest.mark.parametrize("fault", REFUSED)
def test_a_fault_becomes_a_refusal_that_passes_nothing_on(gateway, sessions, fault):
    answer = gateway.ask(f"/dossiers/{FAULTS[fault].number}", sessions["T1"])
    is_problem(answer, STATUS[REFUSED[fault]], REFUSED[fault])
    row = gateway.recorded(answer)
    assert (row["status"], row["code"], row["rubrics"], row["rules"]) == (answer.status, REFUSED[fault], "[]", "[]")
    assert row["because"]
    unharmed(gateway, sessions)


@pytest.mark.attack(23)
@pytest.mark.attack(25)
@pytest.mark.parametrize("profile", ["T1", "T2"])
@pytest.mark.parametrize("fault", HARMLESS)
def test_a_harmless_fault_lets_out_the_ordinary_dossier_and_nothing_else(gateway, sessions, fault, profile):
    numero = FAULTS[fault].number
    answer = gateway.ask(f"/dossiers/{numero}", sessions[profile])
    assert (answer.status, answer.body) == (200, ordinary(numero, profile))
    same = gateway.ask("/dossiers/9990001", sessions[profile])
    assert [name for name, _ in answer.headers] == [name for name, _ in same.headers]
    assert told("\n".join(map(str, answer.headers))) == set()
    unharmed(gateway, sessions)


@pytest.mark.attack(23)
@pytest.mark.parametrize("fault", KEPT)
def test_what_lies_in_a_rubric_kept_whole_leaves_as_it_was_sent(gateway, sessions, backend, fault):
    direct = Client(backend.url)
    try:
        whole = direct.ask(f"/dossiers/{FAULTS[fault].number}").body
    finally:
        direct.close()
    assert whole != dossier_text(FAULTS[fault].number)
    for profile in ("T1", "T2"):
        answer = gateway.ask(f"/dossiers/{FAULTS[fault].number}", sessions[profile])
        assert (answer.status, answer.body) == (200, kept_dossier(whole, OPEN[profile]))


@pytest.mark.attack(23)
@pytest.mark.parametrize("fault", UNSEEN)
def test_a_fault_in_a_rubric_that_stays_behind_disturbs_nobody(gateway, sessions, fault):
    numero = FAULTS[fault].number
    answer = gateway.ask(f"/dossiers/{numero}", sessions["T2"])
    assert (answer.status, answer.body) == (200, ordinary(numero, "T2"))


@pytest.mark.attack(24)
@pytest.mark.attack(25)
@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in LATE])
def test_a_fault_at_a_documents_address_is_no_document(gateway, sessions, fault):
    answer = gateway.ask(f"/dossiers/{FAULTS[fault].number}/courriers/co-1.pdf", sessions["T1"])
    code = REFUSED.get(fault, "GW403")
    is_problem(answer, STATUS[code], code)


@pytest.mark.attack(18)
@pytest.mark.attack(25)
def test_bytes_behind_an_answer_never_become_the_next_one(gateway, sessions):
    """The backend sends another family's answer behind the one that was asked for, and keeps the connection."""
    for _ in range(20):
        for numero in (FAULTS["surplus"].number, "9990004"):
            answer = gateway.ask(f"/dossiers/{numero}", sessions["T1"])
            assert (answer.status, answer.body) == (200, ordinary(numero, "T1"))


def test_a_late_backend_holds_nobody_else_up(gateway, sessions):
    slow = f"/dossiers/{FAULTS['slow'].number}"
    with ThreadPoolExecutor(24) as hands:
        late = [hands.submit(gateway.ask, slow, sessions["T1"]) for _ in range(24)]
        assert gateway.ask("/dossiers/9990001", sessions["T2"]).status == 200
        assert not any(answer.done() for answer in late)
        assert {answer.result().status for answer in late} == {504}


def test_a_backend_that_is_down_is_a_refusal_until_it_is_back(start_gateway):
    with faults.serve() as server:
        url = server.url
        gateway = start_gateway(url)
        gateway.enter("t1", "T1")
        session = gateway.log_in("t1")
        assert gateway.ask("/dossiers/9990001", session).status == 200
    for _ in range(3):
        answer = gateway.ask("/dossiers/9990001", session)
        is_problem(answer, 502, "GW402")
        assert gateway.recorded(answer)["code"] == "GW402"
    with faults.serve(int(url.rpartition(":")[2])):
        answer = gateway.ask("/dossiers/9990001", session)
        assert (answer.status, answer.body) == (200, ordinary("9990001", "T1"))


@pytest.mark.attack(31)
@pytest.mark.attack(26)
def test_neither_log_nor_record_holds_anything_of_what_was_refused(gateway, sessions):
    asked = [fault for name, fault in FAULTS.items() if name not in LATE]
    answers = [gateway.ask(f"/dossiers/{fault.number}", sessions["T1"]) for fault in asked]
    rows = gateway.record_rows()
    assert {answer.one("X-Request-Id") for answer in answers} <= {row["request_id"] for row in rows}
    for text in (gateway.log(), json.dumps(rows)):
        assert "CANARI" not in text
        assert not bank_and_national_numbers(text)
        assert not [fault.number for fault in asked if re.search(rf"(?<![0-9a-f]){fault.number}(?![0-9a-f])", text)]
        assert "Traceback" not in text


def test_a_worker_that_crashed_does_not_go_unseen(tmp_path, stub_url):
    """Another takes its place, so that no answer tells."""
    gateway = Gateway(tmp_path, upstream=stub_url, settings={}, policies=None)
    [crashed] = gateway.workers()
    crashed.send_signal(SIGSEGV)
    until(lambda: crashed not in gateway.workers() and gateway.workers(), "another takes its place")
    with pytest.raises(AssertionError, match="a worker crashed"):
        gateway.stop()
