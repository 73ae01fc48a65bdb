"""`/-/metrics` opens to the scrape token only, says nothing about anyone, and does not exist where no token is set."""

import json
from types import SimpleNamespace

import pytest
from flask import Flask

from gateway.api.metrics import Metrics, scrape_token
from gateway.errors import Misconfigured, SessionEnded, StoreUnavailable
from gateway.metrics.counts import Counts
from gateway.proxy import identify
from gateway.proxy.answers import Exit
from gateway.record.entry import COLUMNS
from gateway.record.recorder import Recorder

TOKEN = "scrape-0123456789-0123456789-0123"


class Reception:
    """Knows one session, `good`, of `m.durand`."""

    def __init__(self):
        self.fault = None

    note = identify.Reception.note

    def identify(self, environ, entry):
        if self.fault:
            raise self.fault
        if environ.get("HTTP_AUTHORIZATION") != "Bearer good":
            raise SessionEnded("unknown")
        entry.known(SimpleNamespace(identifier="m.durand", partner_name="Udaf", profile="T9"))


class Place:
    """An application with this address alone, and the record it keeps."""

    def __init__(self, token=TOKEN):
        self.rows = []
        self.counts = Counts(1)
        self.row = self.counts.take(0)
        self.reception = Reception()
        app = Flask("test", static_folder=None)
        way_out = Exit(Recorder(self.rows.extend), self.row, secure=False)
        metrics = Metrics(counts=self.counts, token=token, reception=self.reception, exit=way_out)
        app.register_blueprint(metrics.blueprint())
        self.client = app.test_client()

    def ask(self, authorization=None, method="GET", path="/-/metrics"):
        headers = {} if authorization is None else {"Authorization": authorization}
        return self.client.open(path, method=method, headers=headers)

    def recorded(self):
        return [dict(zip(COLUMNS, row, strict=True)) for row in self.rows]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_right_token_reads_the_numbers_and_leaves_no_line(kit, scheme):
    place = Place()
    place.row.answered(200, "", 0.1)
    answer = place.ask(f"{scheme} {TOKEN}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert kit.parse(answer.data)["cafpro_requests_total", (("code", ""), ("status", "200"))] == 1
    assert place.rows == []


def test_each_scrape_reads_the_numbers_of_its_moment(kit):
    place = Place()
    for expected in (1, 2, 3):
        place.row.unclassified()
        answer = place.ask(f"Bearer {TOKEN}")
        assert kit.parse(answer.data)["cafpro_unclassified_parts_total", ()] == expected


@pytest.mark.looks_inside
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer  {TOKEN}",
        f"Bearer {TOKEN} ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer é",
        "Bearer good",
    ],
)
def test_any_other_is_refused_as_elsewhere_and_recorded(authorization):
    place = Place()
    answer = place.ask(authorization)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert json.loads(answer.data)["code"] == "GW101"
    assert b"cafpro_" not in answer.data
    (line,) = place.recorded()
    assert (line["status"], line["code"], line["because"]) == (401, "GW101", "not the scrape token")
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert TOKEN[:-1] not in str(place.rows)


@pytest.mark.looks_inside
def test_an_agent_who_tries_is_named_in_the_record():
    place = Place()
    place.ask("Bearer good")
    place.ask("Bearer bad")
    assert [line["agent"] for line in place.recorded()] == ["m.durand", ""]


@pytest.mark.looks_inside
def test_a_store_that_fails_keeps_no_scrape_from_its_numbers():
    place = Place()
    place.reception.fault = StoreUnavailable("down")
    assert place.ask(f"Bearer {TOKEN}").status_code == 200
    assert place.ask("Bearer wrong").status_code == 401


def test_without_a_token_the_address_is_as_one_that_does_not_exist():
    place = Place(token=None)
    for authorization in (None, "Bearer", "Bearer ", "Bearer None", f"Bearer {TOKEN}"):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            ours = place.ask(authorization, method)
            other = place.ask(authorization, method, path="/-/nothing")
            assert ours.status_code == 404
            assert (ours.data, list(ours.headers)) == (other.data, list(other.headers))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_but_reading_is_understood(method):
    assert Place().ask(f"Bearer {TOKEN}", method).status_code == 405


def test_what_was_counted_about_someone_says_nothing_about_anyone():
    place = Place()
    place.row.answered(403, "GW999-9990001", 0.1)
    place.row.fetched("/dossiers/9990001", 0.1)
    text = place.ask(f"Bearer {TOKEN}").data.decode()
    for canary in ("9990001", "dossiers", "m.durand", "Udaf", "T9", TOKEN):
        assert canary not in text


def test_the_token_is_the_one_line_of_its_file(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert scrape_token(file) == TOKEN


@pytest.mark.parametrize(
    "text",
    ["", "\n", "short\n", "x" * 31, f"{TOKEN}\n{TOKEN}\n", f"{TOKEN} {TOKEN}", f"{TOKEN}é"],
    ids=["empty", "a blank line", "short", "31 characters", "two lines", "a space", "not ASCII"],
)
def test_a_file_that_holds_no_token_is_one_sentence_that_does_not_quote_it(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(Misconfigured) as caught:
        scrape_token(file)
    (problem,) = caught.value.problems
    assert problem.startswith(f"metrics.token_file: {file} ")
    assert "scrape-" not in problem and "xxx" not in problem


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(Misconfigured, match="token_file"):
        scrape_token(tmp_path / "absent")
