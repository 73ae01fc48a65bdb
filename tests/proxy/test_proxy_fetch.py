"""One answer of the backend, whole, or a refusal that holds nothing of it."""

import time
from contextlib import suppress

import pytest
from greenlet import GreenletExit

from gateway.errors import (
    NoSuchDossier,
    UpstreamLate,
    UpstreamNotUnderstood,
    UpstreamResting,
    UpstreamUnreachable,
)
from gateway.loop.loop import Loop, current_task
from gateway.metrics.counts import Counts
from gateway.metrics.layout import BREAKER, BREAKER_OPENED
from gateway.proxy.breaker import State
from gateway.proxy.failures import NothingLeft
from gateway.proxy.fetch import Backend
from gateway.settings import Upstream

JSON = "Content-Type: application/json"
BODY = b'{"CANARI":"famille"}'


@pytest.fixture
def backend():
    opened = []

    def reach(url: str, *, row=None, **options) -> Backend:
        opened.append(Backend(Upstream(url=url, **{"deadline_seconds": 2.0, **options}), row))
        return opened[-1]

    yield reach
    for one in opened:
        one.close()


REFUSED = {
    "404": (["404 Not Found"], [JSON], NoSuchDossier),
    "500 with a dossier": (["500 Internal Server Error"], [JSON], UpstreamNotUnderstood),
    "403 with a dossier": (["403 Forbidden"], [JSON], UpstreamNotUnderstood),
    "401": (["401 Unauthorized"], [JSON], UpstreamNotUnderstood),
    "203": (["203 Non-Authoritative Information"], [JSON], UpstreamNotUnderstood),
    "206": (["206 Partial Content"], [JSON, "Content-Range: bytes 0-1/9"], UpstreamNotUnderstood),
    "302": (["302 Found"], [JSON, "Location: /dossiers/9990002"], UpstreamNotUnderstood),
    "304": (["304 Not Modified"], [JSON], UpstreamNotUnderstood),
    "gzip": (["200 OK"], [JSON, "Content-Encoding: gzip"], UpstreamNotUnderstood),
    "identity, then gzip": (["200 OK"], [JSON, "Content-Encoding: identity, gzip"], UpstreamNotUnderstood),
    "two encodings": (["200 OK"], [JSON, "Content-Encoding: identity", "Content-Encoding: br"], UpstreamNotUnderstood),
    "an empty encoding": (["200 OK"], [JSON, "Content-Encoding: "], UpstreamNotUnderstood),
    "two types": (["200 OK"], [JSON, "Content-Type: text/html"], UpstreamNotUnderstood),
    "the same type twice": (["200 OK"], [JSON, JSON], UpstreamNotUnderstood),
}


@pytest.mark.parametrize(("status", "headers", "refusal"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_one_plain_document_is_refused_without_a_word_of_it(
    scripted, kit, backend, status, headers, refusal
):
    server = scripted([kit.answer(BODY, *headers, status=status[0]), None])
    with pytest.raises(refusal) as caught:
        backend(server.url).fetch("/dossiers/9990001", {})
    assert "CANARI" not in repr(caught.value) + caught.value.because + str(caught.value.headers)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([JSON], "application/json", id="a type"),
        pytest.param([], None, id="no type"),
        pytest.param([JSON, "Content-Encoding: Identity"], "application/json", id="an encoding that is none"),
    ],
)
def test_a_document_comes_with_its_type_byte_for_byte(scripted, kit, backend, headers, expected):
    document = backend(scripted([kit.answer(BODY, *headers)]).url).fetch("/a", {})
    assert (document.content_type, document.body) == (expected, BODY)


def test_the_path_follows_the_base_and_no_encoding_is_asked_for(scripted, kit, backend):
    server = scripted([kit.answer(BODY, JSON)])
    backend(server.url + "/base/").fetch("/dossiers/9990001?a=b", {"X-Request-Id": "1", "Accept-Encoding": "gzip"})
    head = server.received[0].decode().lower()
    assert head.startswith("get /base/dossiers/9990001?a=b http/1.1\r\n")
    assert "accept-encoding: identity\r\n" in head
    assert "gzip" not in head
    assert "x-request-id: 1\r\n" in head


def test_a_late_backend_is_late_and_an_absent_one_unreachable(scripted, backend):
    with pytest.raises(UpstreamLate):
        backend(scripted([3.0, None]).url, deadline_seconds=0.2).fetch("/a", {})
    gone = scripted([b""])
    gone.close()
    with pytest.raises(UpstreamUnreachable):
        backend(gone.url).fetch("/a", {})


@pytest.mark.parametrize(
    ("parts", "fine"),
    [
        pytest.param([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"], True, id="404"),
        pytest.param([b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"], True, id="500"),
        pytest.param([b"SSH-2.0-OpenSSH\r\n", None], False, id="not HTTP"),
        pytest.param([None], False, id="closed"),
        pytest.param([3.0, None], False, id="silent"),
    ],
)
def test_reachable_means_that_something_answers_http(scripted, backend, parts, fine):
    problem = backend(scripted(parts).url, deadline_seconds=0.3).reachable()
    assert (problem is None) == fine
    assert problem is None or problem


def test_an_authority_that_cannot_be_read_is_not_reachable(scripted, kit, backend, tmp_path):
    server = scripted([kit.answer(b"")])
    (tmp_path / "ca.pem").write_text("not a certificate")
    assert backend(server.url.replace("http:", "https:"), ca=tmp_path / "ca.pem").reachable() is not None


ENDS = {
    "a document": (lambda kit: [kit.answer(BODY, JSON)], True),
    "404": (lambda kit: [kit.answer(BODY, JSON, status="404 Not Found")], True),
    "500": (lambda kit: [kit.answer(BODY, JSON, status="500 Oh")], True),
    "501": (lambda kit: [kit.answer(BODY, JSON, status="501 Not Implemented")], True),
    "302": (lambda kit: [kit.answer(b"", "Location: /", status="302 Found")], True),
    "another type": (lambda kit: [kit.answer(BODY, "Content-Type: text/html")], True),
    "not HTTP": (lambda kit: [b"SSH-2.0-OpenSSH\r\n", None], True),
    "cut off": (lambda kit: [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", None], True),
    "nothing": (lambda kit: [None], False),
    "silence": (lambda kit: [1.0, None], False),
    "502 of a balancer": (lambda kit: [kit.answer(b"", status="502 Bad Gateway")], False),
    "503 of a balancer": (lambda kit: [kit.answer(b"", status="503 Service Unavailable")], False),
    "504 of a balancer": (lambda kit: [kit.answer(b"", status="504 Gateway Timeout")], False),
}
"""How an exchange can end, and whether it shows a backend that lives."""


@pytest.mark.parametrize(("parts", "alive"), ENDS.values(), ids=ENDS)
def test_what_shows_a_living_backend_never_makes_it_be_left_alone(scripted, kit, backend, parts, alive):
    server = scripted(parts(kit))
    asking = backend(server.url, deadline_seconds=0.15, breaker_failures=2)
    for number in range(2 if not alive else 6):
        with suppress(UpstreamLate, UpstreamUnreachable, UpstreamNotUnderstood, NoSuchDossier):
            asking.fetch(f"/{number}", {})
    received = len(server.received)
    if alive:
        assert asking.breaker.state is State.CLOSED
        assert received == 6
        return
    for _ in range(5):
        with pytest.raises(UpstreamResting) as refused:
            asking.fetch("/a", {})
        assert list(refused.value.headers) == [("Retry-After", "5")]
    assert len(server.received) == received == 2
    assert server.connections <= 2


@pytest.fixture
def clocked(backend, kit):
    """A backend whose breaker opens at the second failure, for five seconds of a clock of the test's own."""

    def reach(url: str, **options):
        asking, clock = backend(url, breaker_failures=2, **options), kit.Clock()
        asking.breaker._clock = clock
        return asking, clock

    return reach


def failing_twice(asking):
    for number in range(2):
        with pytest.raises(UpstreamUnreachable):
            asking.fetch(f"/{number}", {})
    assert asking.breaker.state is State.OPEN


def test_what_a_failure_may_be_the_fault_of_is_the_dossier_and_not_its_parts(scripted, backend):
    asking = backend(scripted([None]).url, breaker_failures=4)
    for number in range(20):
        with pytest.raises(UpstreamUnreachable):
            asking.fetch(f"/{number}", {}, about=str(number % 2))
    assert asking.breaker.state is State.CLOSED
    with pytest.raises(UpstreamUnreachable):
        asking.fetch("/20", {}, about="another")
    assert asking.breaker.state is State.OPEN


def test_what_this_machine_lacks_says_nothing_of_the_backend(scripted, kit, backend, monkeypatch):
    asking = backend(scripted([kit.answer(BODY, JSON)]).url, breaker_failures=1)
    with monkeypatch.context() as patched:

        def fail(request):
            raise NothingLeft("this machine has no port left")

        patched.setattr(asking._adapter, "exchange", fail)
        for number in range(5):
            with pytest.raises(UpstreamUnreachable) as refused:
                asking.fetch(f"/{number}", {})
            assert refused.value.because == "this machine has no port left"
        assert asking.reachable() == "this machine has no port left"
    assert asking.breaker.state is State.CLOSED
    assert asking.fetch("/a", {}).body == BODY


def test_a_backend_that_is_back_is_asked_again_and_the_metrics_and_the_log_say_so(scripted, kit, clocked, capsys):
    server = scripted([None], [None], [None], [kit.answer(BODY, JSON)])
    row = Counts(1).take(0)
    asking, clock = clocked(server.url, row=row)

    def told():
        return row._cells[BREAKER], row._cells[BREAKER_OPENED]

    assert told() == (0.0, 0.0)
    failing_twice(asking)
    assert told() == (1.0, 1.0)
    clock.now += 5
    with pytest.raises(UpstreamUnreachable):
        asking.fetch("/a", {})
    assert told() == (1.0, 2.0)
    with pytest.raises(UpstreamResting):
        asking.fetch("/a", {})
    clock.now += 5
    assert asking.fetch("/b", {}).body == BODY
    assert told() == (0.0, 2.0)
    said = [line for line in "".join(capsys.readouterr()).splitlines() if "the backend" in line]
    words = ("left alone", "tried again", "left alone", "tried again", "answers again")
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True))


def test_an_answer_that_is_not_understood_ends_a_row_of_failures_and_a_rest(scripted, clocked):
    garbage = [b"SSH-2.0-OpenSSH\r\n", None]
    asking, clock = clocked(scripted([None], garbage, [None], [None], garbage).url)
    for number, refusal in enumerate((UpstreamUnreachable, UpstreamNotUnderstood, UpstreamUnreachable)):
        with pytest.raises(refusal):
            asking.fetch(f"/{number}", {})
    assert asking.breaker.state is State.CLOSED
    with pytest.raises(UpstreamUnreachable):
        asking.fetch("/3", {})
    assert asking.breaker.state is State.OPEN
    clock.now += 5
    with pytest.raises(UpstreamNotUnderstood):
        asking.fetch("/a", {})
    assert asking.breaker.state is State.CLOSED


@pytest.mark.parametrize("end", [RuntimeError("a bug"), GreenletExit(), KeyboardInterrupt()], ids=repr)
def test_a_trial_that_ends_by_a_fault_of_ours_is_not_the_last_one(scripted, kit, clocked, monkeypatch, end):
    asking, clock = clocked(scripted([None], [None], [kit.answer(BODY, JSON)]).url)
    failing_twice(asking)
    clock.now += 5
    with monkeypatch.context() as patched:

        def fail(request):
            raise end

        patched.setattr(asking._adapter, "exchange", fail)
        with pytest.raises(type(end)):
            asking.fetch("/a", {})
    assert asking.breaker.state is State.OPEN
    clock.now += 5
    assert asking.fetch("/b", {}).body == BODY
    assert asking.breaker.state is State.CLOSED


def test_a_trial_whose_task_is_killed_while_it_waits_is_not_the_last_one(scripted, kit, clocked):
    server = scripted([None], [None], [4.0, None], [kit.answer(BODY, JSON)])
    asking, clock = clocked(server.url, deadline_seconds=20.0)
    failing_twice(asking)
    clock.now += 5
    loop, tasks, ended = Loop(), [], []

    def ask():
        tasks.append(current_task())
        try:
            ended.append(asking.fetch("/a", {}).body)
        except GreenletExit:
            ended.append("killed")

    def turn_until(holds):
        until = time.monotonic() + 15
        while not holds():
            assert time.monotonic() < until
            loop.turn(0.05)

    loop.start(ask)
    turn_until(lambda: len(server.received) == 3)
    assert asking.breaker.state is State.HALF_OPEN
    tasks[0].throw(GreenletExit())
    assert ended == ["killed"]
    assert asking.breaker.state is State.OPEN
    clock.now += 10  # it tried in vain
    loop.start(ask)
    turn_until(lambda: len(ended) == 2)
    assert ended == ["killed", BODY]


def test_looking_whether_the_backend_is_there_neither_asks_the_breaker_nor_tells_it(scripted, kit, backend):
    server = scripted([None], [None], [None], [kit.answer(BODY, JSON)])
    asking = backend(server.url, breaker_failures=1)
    for _ in range(2):
        assert asking.reachable() is not None
    assert asking.breaker.state is State.CLOSED
    with pytest.raises(UpstreamUnreachable):
        asking.fetch("/a", {})
    assert asking.reachable() is None
    assert asking.breaker.state is State.OPEN
