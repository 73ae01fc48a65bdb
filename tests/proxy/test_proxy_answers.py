"""The one way out: a problem that says nothing, and no answer without its record."""

import inspect
import json

import pytest

from gateway.errors import (
    BadRequest,
    DirectoryRefused,
    NotSignedIn,
    Objected,
    RecordUnavailable,
    Refusal,
    UpstreamNotUnderstood,
)
from gateway.metrics.counts import Counts
from gateway.proxy.answers import STATUS_LINES, Answer, Exit, new_entry, problem
from gateway.record.recorder import Recorder


class Kept:
    """A record in memory, which fails where it is told to."""

    def __init__(self, fault=None) -> None:
        self.fault = fault
        self.rows = []

    def write(self, rows):
        if self.fault:
            raise self.fault
        self.rows += rows


def leave(work, *, fault=None, secure=False):
    kept = Kept(fault)
    entry = new_entry({"REMOTE_ADDR": "192.0.2.1"})
    return Exit(Recorder(kept.write), Counts(1).take(0), secure=secure).leave(entry, work), entry, kept


def every_refusal(kind=Refusal):
    for inner in kind.__subclasses__():
        if "code" in inner.__dict__ and inner.__module__ == "gateway.errors":
            yield inner
        yield from every_refusal(inner)


@pytest.mark.parametrize("kind", DirectoryRefused.__subclasses__(), ids=lambda kind: kind.code)
def test_a_refusal_of_the_directory_says_each_thing_that_is_wrong(kind):
    shown = json.loads(problem(kind(["Le Siret est faux.", "La date manque."]), "id").body)
    assert shown["detail"] == "Le Siret est faux. La date manque."


@pytest.mark.parametrize("kind", list(every_refusal()), ids=lambda kind: kind.code)
def test_a_refusal_is_a_problem_that_names_its_code_and_nothing_else(kind):
    seconds = {"seconds": 7} if "seconds" in inspect.signature(kind).parameters else {}
    if issubclass(kind, DirectoryRefused):
        refusal = kind()
        refusal.because = "CANARI-famille"
    else:
        refusal = kind(["GET"]) if kind.__name__ == "MethodNotAllowed" else kind("CANARI-famille", **seconds)
    answer = problem(refusal, "id")
    shown = json.loads(answer.body)
    assert shown == {
        "type": f"urn:cafpro:problem:{kind.shown}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.said,
        "code": kind.shown,
        "request_id": "id",
    }
    assert answer.status == kind.status
    assert answer.status in STATUS_LINES
    assert "CANARI" not in str(answer)
    headers = dict(answer.headers)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Proxy-Status"] == f"cafpro; error={kind.proxy_error}; details={kind.shown}"
    assert headers.get("Retry-After") == ("7" if seconds else "2" if kind.__name__ == "Busy" else None)
    assert all("\r" not in value and "\n" not in value for value in headers.values())


def test_an_objection_looks_like_a_missing_mandate_and_is_recorded_as_itself():
    def refuse(_):
        raise Objected("the person objected")

    answer, entry, kept = leave(refuse)
    assert json.loads(answer.body)["code"] == "GW320"
    assert (entry.code, entry.because) == ("GW321", "the person objected")
    assert len(kept.rows) == 1


def test_an_answer_leaves_with_its_record_and_the_headers_of_every_answer():
    def work(entry):
        entry.left = frozenset({"adresse"})
        return Answer(200, b"body", (("Content-Type", "text/plain"),))

    answer, entry, kept = leave(work, secure=True)
    headers = dict(answer.headers)
    assert (answer.status, answer.body) == (200, b"body")
    assert headers["X-Request-Id"] == entry.request_id
    assert headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" in headers
    assert entry.row() == kept.rows[0]
    assert '["adresse"]' in entry.row()


@pytest.mark.parametrize(
    "fault", [RecordUnavailable("full"), OSError(28, "no space"), ValueError("CANARI"), MemoryError()], ids=repr
)
@pytest.mark.parametrize("work", ["answers", "refuses", "fails"])
def test_without_a_record_nothing_leaves(fault, work):
    def do(entry):
        entry.left = frozenset({"adresse"})
        if work == "refuses":
            raise UpstreamNotUnderstood("CANARI")
        if work == "fails":
            raise LookupError("CANARI")
        return Answer(200, b"CANARI-famille", (("X-Policy", "CANARI"),))

    answer, entry, _ = leave(do, fault=fault)
    assert answer.status == 503
    assert json.loads(answer.body)["code"] == "GW503"
    assert "CANARI" not in str(answer)
    assert entry.left == frozenset()


def test_an_entry_that_cannot_be_written_down_keeps_its_answer_in():
    def work(entry):
        entry.at = None
        return Answer(200, b"CANARI")

    answer, _, kept = leave(work)
    assert answer.status == 503
    assert kept.rows == []


@pytest.mark.parametrize("fault", [LookupError("CANARI"), RecursionError("CANARI"), MemoryError(), KeyError("CANARI")])
def test_a_fault_is_a_refusal_that_is_recorded_and_never_quoted(fault, capsys):
    def work(_):
        raise fault

    answer, entry, kept = leave(work)
    assert answer.status == 500
    assert entry.code == "GW500"
    assert entry.because == type(fault).__name__
    printed = "".join(capsys.readouterr())
    assert "CANARI" not in str(answer) + str(kept.rows) + printed
    assert entry.request_id in printed


@pytest.mark.parametrize("refusal", [NotSignedIn("no token"), BadRequest("odd")], ids=["401", "400"])
def test_a_refused_request_is_recorded_with_its_status_code_and_reason(refusal):
    def work(_):
        raise refusal

    _, entry, kept = leave(work)
    assert (entry.status, entry.code, entry.because) == (refusal.status, refusal.code, refusal.because)
    assert len(kept.rows) == 1


def test_no_two_requests_share_an_id():
    assert len({new_entry({}).request_id for _ in range(1000)}) == 1000
