"""Lines 7 to 13: what a client says in headers, methods and framing is neither believed nor tidied."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from gateway.selftest.judging import changed, let_in, not_a_stranger, refused, unrefused
from gateway.selftest.site import FOREIGN, SESSION, Site, describe, lasting, plainly
from gateway.selftest.verdicts import Check, Finding, Tried
from gateway.selftest.wire import LATE, Answer

IDENTITIES: Final = (
    *("X-Profil: T1", "X-Profile: T1", "X-Agent: admin", "X-User: admin", "X-Remote-User: admin"),
    *("Remote-User: admin", "X-Forwarded-User: admin", "X-Auth-Request-User: admin", "X-Authenticated-User: admin"),
    *("X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "X-Client-IP: 127.0.0.1", "True-Client-IP: 127.0.0.1"),
    *(f"X-Forwarded-Host: {FOREIGN}", f"X-Host: {FOREIGN}", "X-Forwarded-Proto: http", "X-Forwarded-Prefix: /x"),
    f"Forwarded: for=127.0.0.1;host={FOREIGN};proto=http",
)
REWRITES: Final = ("X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-Forwarded-Uri", "X-Envoy-Original-Path")
UNDERSCORES: Final = (
    *("X_Profil: T1", "X_Profile: T1", "X_User: admin", "X_Remote_User: admin", "REMOTE_USER: admin"),
    *("X_Forwarded_User: admin", "X_Forwarded_For: 127.0.0.1", f"X_Forwarded_Host: {FOREIGN}"),
    *("X_Forwarded_Proto: http", "X_Original_URL: /nothing", "X_Rewrite_URL: /nothing", "X_HTTP_Method_Override: PUT"),
    *("SCRIPT_NAME: /x", "PATH_INFO: /nothing", "REQUEST_METHOD: PUT"),
)
CHECKERS: Final = (
    *("ELB-HealthChecker/2.0", "kube-probe/1.31", "GoogleHC/1.0", "Consul Health Check", "HAProxy", "Prometheus/2.53"),
)
HEALTH_PATHS: Final = (
    *("/health", "/healthz", "/livez", "/readyz", "/ping", "/status", "/nginx_status", "/server-status", "/metrics"),
)
OVERRIDES: Final = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
MARK: Final = "selftest-mark-5b1f"
PROMPT_SECONDS: Final = 12.0
"""How late an answer may come to what is malformed at first sight, and to a proper request beside slow ones."""
SLOW: Final = 12
"""Requests that are begun and not finished, at once."""

BELIEVED: Final = (
    "what is in front acts on a client's header. It must overwrite or drop X-Forwarded-*, and route, rewrite or "
    "authenticate by no header that a client can send."
)
FRAMING: Final = (
    "who reads the request in front: it must refuse what is framed in two ways, and pass nothing of it on. Bring it up "
    "to date; look for `lenient` or `insecure` parser settings."
)


def claimed_identities(site: Site) -> Tried:
    def as_agent() -> Iterator[tuple[str, Answer]]:
        for target in site.targets:
            yield "every identity, profile and forwarded header, with a session", site.ask(target, *IDENTITIES)

    def as_stranger() -> Iterator[tuple[str, Answer]]:
        for line in IDENTITIES:
            yield f"{line.partition(':')[0]}, without a session", site.ask(SESSION, line, signed=False)

    findings: list[Finding] = []
    for target, answer in zip(site.targets, as_agent(), strict=True):
        findings += changed(site, target, [answer])
    return [*findings, *not_a_stranger(as_stranger())]


def original_urls(site: Site) -> Tried:
    def answers() -> Iterator[tuple[str, Answer]]:
        for target in site.targets:
            lines = [f"{name}: {target}" for name in REWRITES]
            yield "an unknown address, and a good one in original-URL headers", site.ask("/selftest", *lines)

    return [*unrefused(answers())]


def underscores(site: Site) -> Tried:
    findings: list[Finding] = []
    for target in site.targets:
        for line in UNDERSCORES:
            name = line.partition(":")[0]
            findings += changed(site, target, [(f"{name}, with a session", site.ask(target, line))])
    return findings


def folded_underscores(site: Site) -> Tried:
    """A log-in whose content type stands under a name with an underscore has no content type: 415, whoever asks."""
    folded = site.ask_to_log_in(site.stranger(), "x", "Content_Type: application/json", kind="")
    if folded.status == 415:
        return []
    return [Finding("a log-in of nobody's with Content_Type for Content-Type", f"{describe(folded)}, not 415")]


def doubled_headers(site: Site) -> Tried:
    bearer, other = site.session.bearer, "Authorization: Bearer selftest"
    cookie = site.session.cookie
    name = cookie.partition("=")[0]

    def answers() -> Iterator[tuple[str, Answer]]:
        yield "a good Authorization, then another", site.ask(SESSION, bearer, other, signed=False)
        yield "another Authorization, then the good one", site.ask(SESSION, other, bearer, signed=False)
        yield (
            "a good Authorization, then a basic one",
            site.ask(SESSION, bearer, "Authorization: Basic eDp4", signed=False),
        )
        if cookie:
            yield "a good bearer token and another cookie", site.ask(SESSION, bearer, f"Cookie: {name}=x", signed=False)
            yield (
                "another bearer token and the good cookie",
                site.ask(SESSION, other, f"Cookie: {cookie}", signed=False),
            )
            yield "two session cookies", site.ask(SESSION, f"Cookie: {cookie}; {name}=x", signed=False)
            yield (
                "two session cookies in two headers",
                site.ask(SESSION, f"Cookie: {name}=x", f"Cookie: {cookie}", signed=False),
            )

    return [*unrefused(answers())]


def hop_by_hop(site: Site) -> Tried:
    upgrade = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")

    def answers() -> Iterator[tuple[str, Answer]]:
        for named in ("Authorization", "Cookie", "Host", "X-Forwarded-For", "Content-Length"):
            yield f"Connection that names {named}", site.ask(SESSION, f"Connection: {named}")
        yield "an upgrade to HTTP/2 in clear", site.ask(SESSION, "Connection: Upgrade, HTTP2-Settings", *upgrade)
        socket = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: c2VsZnRlc3Qtc2VsZnRlcw==")
        yield "an upgrade to a web socket", site.ask(SESSION, "Connection: Upgrade", *socket)

    findings = [*let_in(site, SESSION, answers())]
    leaked = {"proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade"}
    for target in site.targets:
        found = sorted({name.lower() for name, _ in site.plain(target).headers} & leaked)
        findings += [Finding("a proper request", f"the answer has {name}") for name in found]
    return findings


def health_checkers(site: Site) -> Tried:
    def by_name() -> Iterator[tuple[str, Answer]]:
        for agent in CHECKERS:
            for target in (SESSION, site.a_dossier):
                yield f"User-Agent {agent}, without a session", site.ask(target, f"User-Agent: {agent}", signed=False)

    return [*not_a_stranger(by_name())]


def health_paths(site: Site) -> Tried:
    def answers() -> Iterator[tuple[str, Answer]]:
        for path in HEALTH_PATHS:
            yield f"{path}, without a session", site.ask(path, signed=False)
            yield f"a dossier's address behind {path}", site.ask(f"{path}{site.a_dossier}", signed=False)
            yield f"a dossier's address behind {path}/..", site.ask(f"{path}/..{site.a_dossier}", signed=False)
        yield "a dossier's address behind a health address", site.ask(f"/-/health/live{site.a_dossier}", signed=False)
        yield "a health address behind a dossier's", site.ask(f"{site.a_dossier}/-/health/live", signed=False)

    return [*unrefused(answers())]


def overridden_methods(site: Site) -> Tried:
    target = site.a_dossier
    none = "Content-Length: 0"

    def answers() -> Iterator[tuple[str, Answer]]:
        for name in OVERRIDES:
            yield f"POST that {name} calls GET", site.ask(target, f"{name}: GET", none, method="POST")
        yield "POST that a parameter calls GET", site.ask(f"{target}?_method=GET", none, method="POST")

    return [*unrefused(answers())]


def unknown_methods(site: Site) -> Tried:
    def answers() -> Iterator[tuple[str, Answer]]:
        for target in (SESSION, site.a_dossier):
            for method in ("get", "BREW", "PROPFIND", "TRACK"):
                yield f"the method {method}", site.ask(target, method=method)
        yield "CONNECT", site.ask(f"{FOREIGN}:443", method="CONNECT")
        yield (
            "a preflight of a foreign origin",
            site.ask(
                site.a_dossier, f"Origin: https://{FOREIGN}", "Access-Control-Request-Method: GET", method="OPTIONS"
            ),
        )

    return [*unrefused(answers())]


def trace(site: Site) -> Tried:
    findings: list[Finding] = []
    for target in (SESSION, site.a_dossier, "/"):
        answer = site.ask(target, f"X-Selftest: {MARK}", method="TRACE")
        findings += unrefused([("TRACE", answer)])
        if MARK.encode() in answer.body:
            findings.append(Finding("TRACE", "the request comes back in the answer, its session with it"))
    return findings


def heads(site: Site) -> Tried:
    """HEAD tells what GET tells, and no more: a length of the backend's would be an oracle on hidden parts."""
    findings: list[Finding] = []
    for target in (*site.targets, "/selftest"):
        got, head = site.plain(target), site.ask(target, method="HEAD")
        if head.status != got.status:
            findings.append(Finding("HEAD", f"{head.status or head.fate}, where GET gets {got.status}"))
        length = head.first("Content-Length")
        # The id of a request is part of a refusal's body, and always as long.
        if length and int(length if length.isdigit() else -1) != len(got.body):
            findings.append(Finding("HEAD", "another length than the body of GET has"))
        names = {name for name, _ in lasting(got)[1]} - {"transfer-encoding", "content-length"}
        others = {name for name, _ in lasting(head)[1]} - {"transfer-encoding", "content-length"}
        if head.status == got.status and names != others:
            findings.append(
                Finding("HEAD", f"headers that differ from those of GET: {plainly(', '.join(sorted(names ^ others)))}")
            )
    return findings


def two_lengths(site: Site) -> Tried:
    """What is framed in two ways is refused at once. What is smuggled is one letter, on a connection of our own: where
    the two who read disagree, one of them waits for more, and the answer is late."""

    chunked, length = "Transfer-Encoding: chunked", "Content-Length: {}".format
    begun, done = b"1\r\nA\r\nX", b"0\r\n\r\nX"
    probes = {
        "length and chunks, the last chunk missing": ((length(4), chunked), begun),
        "chunks and length": ((chunked, length(6)), done),
        "two lengths": ((length(2), length(3)), b"{}"),
        "two lengths in one": ((length("2, 3"),), b"{}"),
        "a length with a sign": ((length("+2"),), b"{}"),
        "a negative length": ((length("-2"),), b"{}"),
        "a coding that is not one": (("Transfer-Encoding: xchunked", length(2)), b"{}"),
        "chunks, with a blank before the colon": (("Transfer-Encoding : chunked", length(5)), b"0\r\n\r\n"),
        "chunks, twice": ((chunked, "Transfer-Encoding: identity", length(5)), b"0\r\n\r\n"),
    }
    findings: list[Finding] = []
    for sent, (lines, body) in probes.items():
        answer = _framed(site, *lines, body=body)
        findings += _read([(sent, answer)])
        if answer.fate == LATE:
            break  # the next one could leave its letter with somebody else's request
    return findings


def _framed(site: Site, *lines: str, body: bytes) -> Answer:
    """The answer to a log-in without a content type, framed so."""
    head = site.written(SESSION, *lines, method="POST", signed=False)
    return site.wire.exchange(head + body, method="POST", seconds=PROMPT_SECONDS)


def _read(answers: Iterable[tuple[str, Answer]]) -> Iterator[Finding]:
    """A finding for each request whose framing was believed: the application, not its reader, has answered."""
    for sent, answer in answers:
        if not refused(answer) or answer.status in (401, 403, 404, 415):
            yield Finding(sent, f"{describe(answer)}: it was read as a request")


def bad_chunks(site: Site) -> Tried:
    post = partial(_framed, site, "Transfer-Encoding: chunked")

    def answers() -> Iterator[tuple[str, Answer]]:
        yield "a chunk whose size is not a number", post(body=b"zz\r\n{}\r\n0\r\n\r\n")
        yield "a chunk longer than it says", post(body=b"1\r\n{}\r\n0\r\n\r\n")
        yield "a chunk whose size has a sign", post(body=b"+2\r\n{}\r\n0\r\n\r\n")
        yield "a chunk of 2^64 bytes and two", post(body=b"10000000000000002\r\n{}\r\n0\r\n\r\n")

    return [*_read(answers())]


def oversized(site: Site) -> Tried:
    large = b'{"identifier": "' + b"x" * 100_000 + b'"}'
    json_lines = ("Content-Type: application/json", f"Content-Length: {len(large)}")

    def answers() -> Iterator[tuple[str, Answer]]:
        yield "a header of 80 000 bytes", site.ask(SESSION, f"X-Selftest: {'x' * 80_000}")
        yield "400 headers", site.ask(SESSION, *(f"X-Selftest-{number}: x" for number in range(400)))
        yield "a path of 80 000 bytes", site.ask(f"/{'x' * 80_000}")
        yield "a log-in of 100 000 bytes", site.ask(SESSION, *json_lines, method="POST", signed=False, body=large)
        announced = ("Content-Length: 10000000000", "Content-Type: application/json")
        yield "a body of ten gigabytes, announced", site.ask(SESSION, *announced, method="POST", signed=False)
        yield "a body where none is declared", site.ask(site.a_dossier, "Content-Length: 2", body=b"{}")

    return [*unrefused(answers())]


def slow_requests(site: Site) -> Tried:
    """Requests that are begun and never finished, held while a proper one is made."""
    begun = f"GET {SESSION} HTTP/1.1\r\nHost: {site.place.authority}\r\nX-".encode()
    announced = site.written(
        SESSION, "Content-Type: application/json", "Content-Length: 100", method="POST", signed=False
    )
    with contextlib.ExitStack() as held:
        for number in range(SLOW):
            with contextlib.suppress(OSError):
                held.enter_context(site.open()).send(announced + b"{" if number % 2 else begun)
        answer = site.ask(SESSION, seconds=PROMPT_SECONDS)
    if answer.status == 200:
        return []
    return [Finding(f"a proper request beside {SLOW} whose head or body never ends", describe(answer))]


CHECKS: Final = (
    Check(7, "claimed-identities", "identity, profile and forwarded headers", BELIEVED, claimed_identities),
    Check(7, "original-urls", "another address in X-Original-URL and its likes", BELIEVED, original_urls),
    Check(
        8,
        "underscores",
        "headers written with underscores",
        f"{BELIEVED} nginx: leave `underscores_in_headers` off; no `map` of `$http_…` decides anything.",
        underscores,
    ),
    Check(
        8,
        "folded-underscores",
        "a log-in whose Content-Type is written with an underscore",
        "something on the way takes `X_A` for `X-A`: a WSGI or CGI server, or a proxy. It must drop such headers.",
        folded_underscores,
    ),
    Check(
        9,
        "doubled-headers",
        "two Authorization, two cookies, a cookie and a token that disagree",
        "what is in front keeps one of two headers: which one, the next reader does not know. Pass both on, or refuse.",
        doubled_headers,
    ),
    Check(
        10,
        "hop-by-hop",
        "Connection that names end-to-end headers, upgrades",
        "pass no Upgrade on (nginx: no `proxy_set_header Upgrade`), and no hop-by-hop header back.",
        hop_by_hop,
    ),
    Check(
        11,
        "health-checkers",
        "User-Agents of health checkers, without a session",
        "a rule in front skips authentication by User-Agent.",
        health_checkers,
    ),
    Check(
        11,
        "health-paths",
        "addresses of health checks, and dossiers behind them, without a session",
        "a location in front answers by itself, or leads past the gateway. Health is at /-/health/live and "
        "/-/health/ready; let everything else through unchanged.",
        health_paths,
    ),
    Check(
        12,
        "overridden-methods",
        "POST with a method override",
        "a framework or a proxy on the way changes methods.",
        overridden_methods,
    ),
    Check(
        12,
        "unknown-methods",
        "unknown and lower-case methods, CONNECT, a preflight",
        "what is in front answers or changes methods itself, or adds CORS.",
        unknown_methods,
    ),
    Check(12, "trace", "TRACE with a session", "switch TRACE off in front (Apache: `TraceEnable Off`).", trace),
    Check(
        12,
        "heads",
        "HEAD beside GET",
        "what is in front answers HEAD by itself, or adds headers to one of the two.",
        heads,
    ),
    Check(13, "two-lengths", "requests framed in two ways", FRAMING, two_lengths),
    Check(13, "bad-chunks", "chunks that are not as they say", FRAMING, bad_chunks),
    Check(
        13,
        "oversized",
        "heads and bodies that are too large",
        "limits of what is in front: heads of 32 KB and bodies of 64 KB are more than the gateway takes.",
        oversized,
    ),
    Check(
        13,
        "slow-requests",
        "a proper request beside requests that never end",
        "what is in front serves too few connections at once, or waits for ever for heads and bodies.",
        slow_requests,
    ),
)
