"""One answer of the backend, whole, or a refusal that holds nothing of it."""

import pytest

from gateway.errors import NoSuchDossier, UpstreamLate, UpstreamNotUnderstood, UpstreamUnreachable
from gateway.proxy.fetch import Backend
from gateway.settings import Upstream

JSON = "Content-Type: application/json"
BODY = b'{"CANARI":"famille"}'


@pytest.fixture
def backend():
    opened = []

    def reach(url: str, **options) -> Backend:
        opened.append(Backend(Upstream(url=url, deadline_seconds=options.pop("deadline_seconds", 2.0), **options)))
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
