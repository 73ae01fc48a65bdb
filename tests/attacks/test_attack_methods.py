"""Line 12: a method is the word that stands first, in capitals, and one of those that the address declares."""

from __future__ import annotations

import pytest

from tests.attacks.sending import DOSSIER, PROFILE, Sender, lines
from tests.story.brochure import PROFILES

OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Method", "HTTP_METHOD", "X_HTTP_Method"]


@pytest.mark.attack(12)
@pytest.mark.parametrize("name", OVERRIDES)
def test_a_header_makes_no_other_method_of_a_request(sender: Sender, name: str) -> None:
    sender.send(sender.head(f"POST {DOSSIER} HTTP/1.1", f"{name}: GET")).refused(405, "GW204")
    sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", f"{name}: DELETE")).served()
    # A session that is asked for is not ended.
    asked = sender.send(sender.head("GET /-/session HTTP/1.1", f"{name}: DELETE"))
    assert (asked.answer.status, asked.row["act"]) == (200, "session")


@pytest.mark.attack(12)
@pytest.mark.parametrize("query", ["_method=DELETE", "_method=GET", "X-HTTP-Method-Override=GET", "method=GET"])
def test_neither_does_a_parameter(sender: Sender, query: str) -> None:
    sender.get(f"{DOSSIER}?{query}").refused(400, "GW202")
    sender.send(sender.head(f"POST {DOSSIER}?{query} HTTP/1.1")).refused(405, "GW204")
    asked = sender.get(f"/-/session?{query}")
    asked.refused(400, "GW202")
    assert asked.row["act"] == "session"


@pytest.mark.attack(12)
@pytest.mark.parametrize("body", [b"_method=DELETE", b'{"_method":"DELETE"}'], ids=["a form", "JSON"])
def test_neither_does_a_body(sender: Sender, body: bytes) -> None:
    kind = "application/json" if body.startswith(b"{") else "application/x-www-form-urlencoded"
    about = (f"Content-Type: {kind}", f"Content-Length: {len(body)}")
    sender.send(sender.head(f"POST {DOSSIER} HTTP/1.1", *about) + body).refused(405, "GW204")
    asked = sender.send(sender.head("GET /-/session HTTP/1.1", *about) + body)
    assert sender.get(DOSSIER).answer.status == 200, "the session goes on"
    assert asked.row["act"] != "log_out"


KNOWN = [
    *("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "COPY", "LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH"),
    *("SEARCH", "UNLOCK", "BIND", "REBIND", "UNBIND", "ACL", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "M-SEARCH"),
    *("NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "PURGE", "MKCALENDAR", "LINK", "UNLINK", "SOURCE"),
]
UNKNOWN = [
    *("get", "Get", "gET", "head", "GETT", "GE", "G", "BREW", "DEBUG", "TRACK", "QUERYX", "PRI", "DESCRIBE"),
    *("GET\t", "GET\x00", "GET\x0b", "\x00GET", " GET", "G\xc9T", "GET,HEAD", "GET/", '"GET"', "_GET", "GET" * 2000),
]


@pytest.mark.attack(12)
@pytest.mark.parametrize("method", KNOWN)
def test_a_method_of_http_that_the_address_does_not_declare_is_a_405(sender: Sender, method: str) -> None:
    tried = sender.send(sender.head(f"{method} {DOSSIER} HTTP/1.1"))
    tried.refused(405, "GW204")
    assert tried.answer.all("Allow") == ["GET, HEAD"]
    sender.send(lines(f"{method} {DOSSIER} HTTP/1.1", sender.host), profile=None).refused(401, "GW101")


@pytest.mark.attack(12)
@pytest.mark.parametrize("method", UNKNOWN, ids=lambda method: repr(method)[:20])
def test_a_word_that_is_no_method_never_reaches_the_application(sender: Sender, method: str) -> None:
    sender.send(sender.head(f"{method} {DOSSIER} HTTP/1.1")).refused_by_the_server(400)


@pytest.mark.attack(12)
@pytest.mark.parametrize("address", [DOSSIER, "/-/session", "/-/health/live"])
def test_a_trace_repeats_nothing(sender: Sender, address: str) -> None:
    tried = sender.send(sender.head(f"TRACE {address} HTTP/1.1", "Max-Forwards: 0", "X-Secret: repeated"))
    tried.refused(405, "GW204")
    assert sender.token() not in tried.answer.text()
    assert "repeated" not in tried.answer.text()


@pytest.mark.attack(12)
@pytest.mark.parametrize("target", ["{host}", "127.0.0.1:22", "ailleurs.example:443", "/dossiers/9990001", "*"])
def test_no_tunnel_is_dug(sender: Sender, target: str) -> None:
    """Nothing that follows the head is answered, whether the tunnel is refused by the server or by the application."""
    target = target.format(host=sender.gateway.host)
    inside = sender.head(f"GET {DOSSIER} HTTP/1.1", profile="T1")
    tried = sender.send(sender.head(f"CONNECT {target} HTTP/1.1") + inside)
    assert tried.answer.status in (400, 404, 405)
    assert tried.answer.all("Connection") == ["close"]
    tried.unheard()


VERSIONS = {
    "HTTP/0.9, which has none": (f"GET {DOSSIER}", 505),
    "HTTP/0.9": (f"GET {DOSSIER} HTTP/0.9", 505),
    "HTTP/2.0": (f"GET {DOSSIER} HTTP/2.0", 505),
    "HTTP/2": (f"GET {DOSSIER} HTTP/2", 400),
    "HTTP/3.0": (f"GET {DOSSIER} HTTP/3.0", 400),
    "HTTP/1.2": (f"GET {DOSSIER} HTTP/1.2", 400),
    "HTTP/1.10": (f"GET {DOSSIER} HTTP/1.10", 400),
    "HTTP/01.1": (f"GET {DOSSIER} HTTP/01.1", 400),
    "HTTP/1": (f"GET {DOSSIER} HTTP/1", 400),
    "small letters": (f"GET {DOSSIER} http/1.1", 400),
    "another protocol": (f"GET {DOSSIER} RTSP/1.0", 400),
    "one of radios": (f"GET {DOSSIER} ICE/1.0", 400),
    "two versions": (f"GET {DOSSIER} HTTP/1.1 HTTP/1.1", 400),
    "two blanks": (f"GET  {DOSSIER} HTTP/1.1", 400),
    "two blanks behind the target": (f"GET {DOSSIER}  HTTP/1.1", 400),
    "a blank behind": (f"GET {DOSSIER} HTTP/1.1 ", 400),
    "another protocol's later version": (f"GET {DOSSIER} RTSP/1.1", 400),
    "a tab": (f"GET\t{DOSSIER} HTTP/1.1", 400),
    "the preface of HTTP/2": ("PRI * HTTP/2.0", 400),
}


@pytest.mark.attack(12)
@pytest.mark.parametrize(("line", "status"), VERSIONS.values(), ids=VERSIONS)
def test_another_version_or_protocol_is_not_spoken(sender: Sender, line: str, status: int) -> None:
    sender.send(sender.head(line)).refused_by_the_server(status)


@pytest.mark.attack(12)
def test_http_1_0_is_answered_and_closed(sender: Sender) -> None:
    tried = sender.send(sender.head(f"GET {DOSSIER} HTTP/1.0"), ends=False)
    tried.served()
    assert tried.answer.all("Connection") == ["close"]


PLACES = {
    "a dossier": DOSSIER,
    "an open rubric": f"{DOSSIER}/rubriques/adresse",
    "a closed rubric": f"{DOSSIER}/rubriques/paiement",
    "a closed document": f"{DOSSIER}/courriers/co-1.pdf",
    "no dossier": "/dossiers/0000000",
    "no number": "/dossiers/abc",
    "no address": "/nothing",
    "a parameter": f"{DOSSIER}?page=1",
    "the session": "/-/session",
    "health": "/-/health/live",
}


@pytest.mark.attack(12)
@pytest.mark.parametrize("path", PLACES.values(), ids=PLACES)
def test_head_tells_what_get_tells_and_no_length_but_the_redacted_one(sender: Sender, path: str) -> None:
    get = sender.get(path)
    head = sender.send(sender.head(f"HEAD {path} HTTP/1.1"), method="HEAD")
    unlike = {"Date", "X-Request-Id"}
    assert head.answer.status == get.answer.status
    assert [item for item in head.answer.headers if item[0] not in unlike] == [
        item for item in get.answer.headers if item[0] not in unlike
    ]
    assert (head.answer.body, head.rest) == (b"", b"")
    assert head.answer.one("Content-Length") == str(len(get.answer.body))
    kept = ("act", "agent", "dossier", "rubrics", "status", "code")
    assert [[row[name] for name in kept] for row in head.rows] == [[row[name] for name in kept] for row in get.rows]
    assert [asked[:2] for asked in head.asked] == [asked[:2] for asked in get.asked]


@pytest.mark.attack(12)
@pytest.mark.parametrize("profile", PROFILES)
def test_head_has_the_length_of_what_its_own_profile_reads(sender: Sender, profile: str) -> None:
    get = sender.get(DOSSIER, profile=profile)
    get.served(profile)
    head = sender.send(sender.head(f"HEAD {DOSSIER} HTTP/1.1", profile=profile), profile=profile, method="HEAD")
    assert head.answer.one("Content-Length") == str(len(get.answer.body))


@pytest.mark.attack(12)
def test_head_takes_no_part_and_no_condition(sender: Sender) -> None:
    plain = sender.send(sender.head(f"HEAD {DOSSIER} HTTP/1.1"), method="HEAD").answer
    for more in (
        "Range: bytes=0-0",
        "If-None-Match: *",
        "If-Match: x",
        "If-Modified-Since: Fri, 01 Jun 2012 08:00:00 GMT",
    ):
        answer = sender.send(sender.head(f"HEAD {DOSSIER} HTTP/1.1", more), method="HEAD").answer
        assert answer.status == 200
        assert answer.one("Content-Length") == plain.one("Content-Length")


@pytest.mark.attack(12)
def test_what_one_may_do_is_told_to_nobody_who_asks_from_another_site(sender: Sender) -> None:
    """A preflight is a method that no address declares."""
    asked = ("Origin: https://ailleurs.example", "Access-Control-Request-Method: GET")
    tried = sender.send(sender.head(f"OPTIONS {DOSSIER} HTTP/1.1", *asked))
    tried.refused(405, "GW204")
    assert not [name for name, _ in tried.answer.headers if name.lower().startswith("access-control")]
    shown = sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", *asked))
    shown.served(PROFILE)
    assert not [name for name, _ in shown.answer.headers if name.lower().startswith("access-control")]
