"""Anyone may ask to join, and is told nothing by the answer; the Caf's people do the rest, two of them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from itertools import count
from threading import Event
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from gateway.identity import directory
from gateway.identity.entering import take_turn
from gateway.identity.tables import join_request
from gateway.limits.limits import JOINING
from tests.api.test_admin_api import office, post, refused, rows, staff
from tests.story.running import Answer, is_problem, until

__all__ = ["office", "staff"]

ENTRY = {
    **{"organisation": "Udaf", "siret": "73282932000074", "function": "tuteur", "profiles": ["T9"]},
    "contact": "direction@udaf.example",
}


def ask(gateway, **entry):
    body = json.dumps({**ENTRY, **entry}).encode()
    return gateway.ask("/-/requests", {"Content-Type": "application/json"}, method="POST", body=body)


def test_an_organisation_asks_and_two_people_let_it_in(office, staff):
    first, again = ask(office), ask(office)
    assert (first.status, first.json()) == (202, {"status": "asked"})
    assert first.lasting() == again.lasting(), "asked already"
    assert (office.recorded(first)["act"], office.recorded(first)["agent"]) == ("join", "")
    [request] = rows(office, staff, "requests?state=asked&siret=73282932000074")
    step = {"id": request["id"]}
    convention = {**step, "number": "J-1", "caisse": "851", "from": "2026-01-01", "to": "9999-12-31"}
    assert refused(post(office, staff, "requests/sign", **convention), 409, "GW223").startswith("Cette étape")
    assert post(office, staff, "requests/receive", **step).status == 204
    assert post(office, staff, "requests/sign", **convention).status == 204
    said = refused(post(office, staff, "requests/approve", **step), 409, "GW223")
    assert said.startswith("Une autre personne de la Caf doit décider")
    colleague = office.log_in("collegue")
    approved = post(office, colleague, "requests/approve", **step, administrator="m.durand")
    assert approved.status == 200, approved
    assert approved.json()["convention"] == "J-1"
    assert approved.json()["link"].startswith(f"{office.url}/-/activation#")
    [kept] = rows(office, staff, f"requests?id={request['id']}")
    assert (kept["signed_by"], kept["decided_by"], kept["state"]) == ("chef", "collegue", "approved")
    assert ask(office).lasting() == first.lasting(), "whether it is known is not told"
    assert refused(post(office, staff, "requests/receive", id=987), 404, "GW222")
    by = [change["by"] for change in rows(office, staff, f"changes?act=request&subject={request['id']}")]
    assert by == ["(anyone)", "chef", "chef", "collegue"]


def test_what_may_not_be_asked_is_refused_in_french(office):
    assert "tuteur, curateur" in refused(ask(office, function="plombier"), 422, "GW221")
    assert refused(ask(office, profiles=["T1"]), 422, "GW221") == "Cette fonction ne peut demander que : T9."
    is_problem(ask(office, state="approved"), 400, "GW201")
    is_problem(office.ask("/-/requests"), 405, "GW204")


@pytest.fixture
def other(start_gateway, stub_url):
    return start_gateway(stub_url)


def test_one_address_does_not_fill_the_desk(other):
    answers = [ask(other, contact=f"c{number}") for number in range(JOINING.burst + 3)]
    assert [answer.status for answer in answers] == [202] * JOINING.burst + [429] * 3
    is_problem(answers[-1], 429, "GW210")
    assert len(directory.join_requests(other.store)) == JOINING.burst


STRANGERS = count(1)


def ask_from_elsewhere(gateway):
    """From an address that nobody has asked from yet."""
    url, number = urlsplit(gateway.url), next(STRANGERS)
    address = (f"127.9.{number // 250}.{number % 250 + 1}", 0)
    with closing(HTTPConnection(url.hostname, url.port, timeout=30, source_address=address)) as connection:
        body = json.dumps({**ENTRY, "contact": f"{number}@udaf.example"})
        connection.request("POST", "/-/requests", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheaders(), answer.read())


def test_strangers_who_wait_leave_the_threads_to_the_others(start_gateway, stub_url, server):
    """Somebody takes a turn at the requests and does not end: of those who ask, two wait, and not for long."""
    gateway = start_gateway(stub_url, store__url=server.empty_database())
    gateway.enter("chef", kind="caf")
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    over, most = Event(), 0

    def keep_asking():
        """Somebody else each time, for a second: whoever looks finds two of them who wait, however late."""
        answers = []
        while not over.is_set():
            answers.append(ask_from_elsewhere(gateway))
        return answers

    def a_third_is_sent_away():
        nonlocal most
        most = max(most, stalled.execute(waiting).scalar())
        return ask_from_elsewhere(gateway).json()["code"] == "GW209"

    with gateway.store.change() as stalled, ThreadPoolExecutor(2) as strangers:
        take_turn(stalled, join_request)
        asked = [strangers.submit(keep_asking) for _ in range(2)]
        try:
            until(lambda: stalled.execute(waiting).scalar() == 2, "two of them wait")
            until(a_third_is_sent_away, "there is no place for a third")
            assert gateway.sign_in("chef").status == 201
        finally:
            over.set()
        assert most <= 2
        answers = [answer for each in asked for answer in each.result()]
    waited = [answer for answer in answers if answer.json()["code"] == "GW502"]
    for answer in answers:
        is_problem(answer, 503, "GW502" if answer in waited else "GW209")
    assert len(waited) >= 2
    assert ask(gateway).status == 202
