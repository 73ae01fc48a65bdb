"""No check that cannot fail: each is shown a front that lies about what it is there to find."""

from __future__ import annotations

import tracemalloc

import pytest

from gateway.selftest import headers, identity
from gateway.selftest.catalogue import LINES
from gateway.selftest.kit import CHECKS
from gateway.selftest.site import LARGEST_JSON, as_object
from gateway.selftest.wire import Answer
from tests.ports import free_port
from tests.selftest.conftest import CLOSED, OTHER, READ, Behind
from tests.selftest.fronts import Other, answer, body_of, with_body, with_header, without_header
from tests.selftest.lies import LIES, refusing_later
from tests.selftest.running import failed, try_on

ELSEWHERE = {
    "strict-transport": "test_transport_security_that_is_lost_is_found",
    "in-clear": "test_a_port_that_speaks_in_clear_too_is_found",
    "old-tls": "test_selftest_nginx.py: it speaks old TLS",
    "slow-requests": "test_a_front_that_serves_one_at_a_time_is_found",
}
"""The checks whose lies are not told in the table, and where they are."""

LINE_OF = {check.name: check.line for check in CHECKS}
CASES = [pytest.param(check, lie, id=f"{check}: {what}") for check, lies in LIES.items() for what, lie in lies.items()]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The kit waits shorter for what will not come."""
    monkeypatch.setattr(headers, "PROMPT_SECONDS", 1.5)


def try_lines(behind: Behind, *lines: int, **how):
    return try_on(behind.url, "t9", dossiers=[READ, OTHER], closed=[CLOSED], only=lines, **how)


def test_every_check_is_shown_to_fail():
    assert {*LIES, *ELSEWHERE} == set(LINE_OF)
    assert len(LINE_OF) == len(CHECKS), "two checks with one name"


def test_through_a_front_that_does_not_lie_every_check_passes(lying: Behind):
    lying.front.tell()
    assert failed(try_lines(lying)) == {}


@pytest.mark.parametrize(("check", "lie"), CASES)
def test_a_lie_is_found_by_its_line(lying: Behind, check: str, lie):
    lying.front.tell(lie)
    results = try_lines(lying, LINE_OF[check], name=check, limits=check == "stuffing")
    assert check in failed(results), {name: result.came for name, result in results.items()}


def test_transport_security_that_is_lost_is_found(lying_over_tls: Behind, certificate):
    def weakened(exchange):
        return exchange.forward().replace(b"max-age=31536000", b"max-age=600")

    lying_over_tls.front.tell()
    assert failed(try_lines(lying_over_tls, 16, ca=certificate[0])) == {}
    lying_over_tls.front.tell(weakened)
    assert set(failed(try_lines(lying_over_tls, 16, ca=certificate[0]))) == {"strict-transport"}


def test_a_cookie_without_secure_and_prefix_is_found_over_tls(lying_over_tls: Behind, certificate):
    lying_over_tls.front.tell(lambda exchange: exchange.forward().replace(b"; Secure", b""))
    [(_, came)] = failed(try_lines(lying_over_tls, 16, name="cookie-flags", ca=certificate[0]))["cookie-flags"]
    assert came == "the cookie: Secure is missing"


def test_a_port_that_speaks_in_clear_too_is_found(lying_over_tls: Behind, certificate):
    lying_over_tls.front.tell(in_clear_too=True)
    assert set(failed(try_lines(lying_over_tls, 16, ca=certificate[0]))) == {"in-clear"}


PORT_80 = {
    "a redirect to this host": (b"HTTP/1.1 308 Moved\r\nLocation: https://127.0.0.1/\r\n\r\n", False),
    "a refusal": (b"HTTP/1.1 403 Forbidden\r\n\r\n", False),
    "nothing": (b"", False),
    "a redirect elsewhere": (b"HTTP/1.1 302 Found\r\nLocation: https://ailleurs.example/\r\n\r\n", True),
    "a redirect in clear": (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", True),
    "a page": (b"HTTP/1.1 200 OK\r\n\r\nHello", True),
    "the gateway": (b"HTTP/1.1 401 Unauthorized\r\n\r\n", True),
}


@pytest.mark.parametrize(("said", "found"), PORT_80.values(), ids=PORT_80)
def test_port_80_may_lead_on_or_refuse(lying_over_tls: Behind, certificate, monkeypatch, said, found):
    with Other(said) as other:
        monkeypatch.setattr(identity, "HTTPS_PORT", lying_over_tls.front.port)
        monkeypatch.setattr(identity, "HTTP_PORT", other.place.port)
        lying_over_tls.front.tell()
        assert ("in-clear" in failed(try_lines(lying_over_tls, 16, name="in-clear", ca=certificate[0]))) == found


def test_a_port_80_that_is_closed_is_well(lying_over_tls: Behind, certificate, monkeypatch):
    monkeypatch.setattr(identity, "HTTPS_PORT", lying_over_tls.front.port)
    monkeypatch.setattr(identity, "HTTP_PORT", free_port())
    lying_over_tls.front.tell()
    results = try_lines(lying_over_tls, 16, name="in-clear", ca=certificate[0])
    assert results["in-clear"].verdict == "passed"


def test_what_a_deployment_writes_does_not_reach_a_terminal_as_it_is(lying: Behind):
    def colouring(exchange):
        found = with_header(exchange.forward(), "Access-Control-Allow-Origin: \x1b[31m")
        return with_header(without_header(found, "Cache-Control"), "Cache-Control: \x1b[2J")

    lying.front.tell(colouring)
    found = failed(try_lines(lying, 16, 18))
    assert {"cross-site", "cache-headers"} <= set(found)
    assert all((sent + came).isprintable() for findings in found.values() for sent, came in findings)


def test_json_that_is_larger_than_any_dossier_is_not_read(lying: Behind):
    """Of each two bytes a list is made, and a list takes fifty-six."""
    assert as_object(Answer(200, body=b'{"a": 1' + b" " * (LARGEST_JSON - 8) + b"}")) == {"a": 1}
    large = b'{"a": [' + b"[]," * 1_000_000 + b"0]}"
    tracemalloc.start()
    try:
        assert as_object(Answer(200, body=large)) == {}
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < LARGEST_JSON
    lying.front.tell(lambda exchange: swollen(exchange.forward()))
    [(_, came)] = failed(try_lines(lying, 23, name="open-rubrics"))["open-rubrics"][:1]
    assert came.endswith("bytes: more than can be looked at")


def swollen(found: bytes) -> bytes:
    """The same dossier, with blanks at its end."""
    return with_body(found, body_of(found) + b" " * LARGEST_JSON) if b'"rubriques"' in found else found


def test_a_front_that_serves_one_at_a_time_is_found(lying: Behind):
    lying.front.tell(one_at_a_time=True)
    assert "slow-requests" in failed(try_lines(lying, 13, name="slow-requests"))


def test_who_refuses_everything_passes_nothing(lying: Behind):
    """After each check a proper request is made: refusing it is a finding too."""
    lying.front.tell(refusing_later)
    results = try_lines(lying, 1, 2, 3, 4)
    assert set(failed(results)) == {
        "dot-segments",
        "doubled-slashes",
        "odd-characters",
        "encoded-slashes",
        "encoded-ends",
    }
    assert all(
        any(sent == "a proper request after it" for sent, _ in findings) for findings in failed(results).values()
    )


def test_a_line_without_checks_says_why(lying: Behind):
    lying.front.tell()
    results = try_lines(lying, 15, 19, 33)
    assert {(result.line, result.verdict, result.reason) for result in results.values()} == {
        (line, "not applicable", "needs access to the inside; proved by the project's tests") for line in (15, 19, 33)
    }


def test_the_list_is_whole(lying: Behind):
    lying.front.tell()
    results = try_lines(lying)
    assert {result.line for result in results.values()} == {line.number for line in LINES}


def test_what_is_limited_is_waited_for_or_not_applicable_but_never_passed(lying: Behind):
    def limiting(seconds: int):
        def told(exchange):
            count = int(exchange.kept.get("count", b"0")) + 1
            exchange.kept["count"] = str(count).encode()
            if 5 <= count <= 6:
                return answer("429 Too Many Requests", b"", f"Retry-After: {seconds}")
            return exchange.forward()

        return told

    lying.front.tell(limiting(0))
    assert failed(try_lines(lying, 2)) == {}
    lying.front.tell(limiting(3600))
    [result] = try_lines(lying, 2).values()
    assert (result.verdict, result.unfinished) == ("not applicable", True)
    assert result.reason.startswith("limited: 429")


def test_without_dossiers_what_needs_one_is_not_applicable(lying: Behind):
    lying.front.tell()
    results = try_on(lying.url, "t9")
    assert failed(results) == {}
    needing = {name for name, result in results.items() if "--" in result.reason}
    assert needing == {"open-rubrics", "closed-rubrics", "other-dossiers", "absent-dossiers", "stuffing"}
