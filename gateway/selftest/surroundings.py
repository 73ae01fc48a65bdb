"""Lines 30 and 31: what strangers are told, and what of a request comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gateway.selftest.site import SESSION, Site, as_object, describe
from gateway.selftest.verdicts import Check, Finding, Tried
from gateway.selftest.wire import Answer

MARK: Final = "selftest-mark-9c2e"
HEALTH: Final = ("/-/health/live", "/-/health/ready")
HEALTH_KEYS: Final = frozenset({"status", "policy", "failing", "stale"})
METRICS: Final = ("/-/metrics", "/-%2Fmetrics", "/%2d/metrics", "/-/%6detrics", "/-/metrics/", "/-/metrics?x=1")
METADATA: Final = ("/-/openapi.json", "/-/docs", "/openapi.json", "/swagger.json", "/.git/config", "/.env", "/debug")
TELLING: Final = ("X-Powered-By", "X-AspNet-Version", "X-Runtime", "X-Generator", "X-Backend-Server", "X-Upstream")
"""Headers that name what runs behind."""


def health(site: Site) -> Tried:
    findings: list[Finding] = []
    for path in HEALTH:
        answer = site.ask(path, signed=False)
        shown = as_object(answer)
        if answer.status not in (200, 401, 403, 404, 503) or (answer.status == 200 and not shown):
            findings.append(Finding(path, describe(answer)))
        elif answer.status in (200, 503) and shown.keys() - HEALTH_KEYS and "code" not in shown:
            findings.append(Finding(path, "it tells a stranger more than its state"))
        findings += [Finding(path, f"it tells a stranger {what}") for what in _told(site, answer)]
    return findings


def metrics(site: Site) -> Tried:
    findings = []
    for path in METRICS:
        for sent, lines in {"no token": (), "a made-up token": ("Authorization: Bearer " + "a" * 43,)}.items():
            answer = site.ask(path, *lines, signed=False)
            if answer.status not in (401, 403, 404):
                findings.append(Finding(f"{path} with {sent}", describe(answer)))
    return findings


def metadata(site: Site) -> Tried:
    findings: list[Finding] = []
    for path in METADATA:
        answer = site.ask(path, signed=False)
        ours = path.startswith("/-/")
        if answer.status == 200 and not ours:
            findings.append(Finding(path, describe(answer)))
        findings += [Finding(path, f"it tells a stranger {what}") for what in _told(site, answer)]
    return findings


def _told(site: Site, answer: Answer) -> Iterator[str]:
    """What of the account's names and dossiers stands in an answer."""
    numbers = [("a dossier's number", number) for number in (*site.dossiers, *site.closed)]
    names = [("an identifier", site.account.identifier), ("a partner's name", str(site.who.get("partner") or ""))]
    for what, secret in (*numbers, *names, ("a token", site.session.token)):
        # As a word of its own: an identifier of two letters stands in many words.
        if secret and re.search(rb"(?<![0-9A-Za-z])" + re.escape(secret.encode()) + rb"(?![0-9A-Za-z])", answer.body):
            yield what


def telling_headers(site: Site) -> Tried:
    """The name of a product is no secret that holds; its version is a list of its faults."""
    answers = (
        *(("a proper request", site.plain(target)) for target in site.targets),
        ("an unknown address", site.ask("/selftest")),
        ("a stranger's request", site.ask(SESSION, signed=False)),
        ("a request that is not HTTP", site.wire.exchange(b"GET / HTTP/1.1\r\nno header\r\n\r\n")),
    )
    findings = []
    for sent, answer in answers:
        servers = answer.all("Server")
        if len(servers) > 1 or any(re.search(r"/v?[0-9]|[0-9]\.[0-9]", server) for server in servers):
            findings.append(Finding(sent, "Server names a version, or stands twice"))
        findings += [Finding(sent, f"the answer has {name}") for name in TELLING if answer.all(name)]
        findings += [Finding(sent, "Via names a version") for via in answer.all("Via") if "/" in via.partition(" ")[2]]
        if re.search(rb"(?i)(nginx|apache|traefik|envoy|haproxy|caddy|werkzeug|python)/[0-9]", answer.body):
            findings.append(Finding(sent, "a page that names a version"))
    return findings


def reflections(site: Site) -> Tried:
    """Nothing that a client chose comes back, nor begins a line of its own."""
    split = f"%0D%0AX-Selftest:%20{MARK}"

    def answers() -> Iterator[tuple[str, Answer]]:
        yield "the end of a line in a path", site.ask(f"/{MARK}{split}")
        yield "the end of a line in a dossier's number", site.ask(f"/dossiers/{MARK}{split}")
        yield "the end of a line in a parameter", site.ask(f"{site.a_dossier}?{MARK}={split}")
        yield "a carriage return in a header", site.ask(SESSION, f"Accept-Language: fr\rX-Selftest: {MARK}")
        yield "markup in a path", site.ask(f"/<script>{MARK}</script>")
        chosen = [
            f"{name}: {MARK}" for name in ("X-Request-Id", "X-Policy", "User-Agent", "Referer", "X-Correlation-Id")
        ]
        yield "names of one's own choice in headers", site.ask(SESSION, *chosen)
        yield "the same, at an unknown address", site.ask("/selftest", *chosen)
        yield "a coloured header", site.ask("/selftest", f"User-Agent: \x1b[31m{MARK}\x1b[0m")
        yield (
            "a log-in whose identifier holds the end of a line",
            site.ask_to_log_in(f"{site.stranger()}\r\nX-Selftest: {MARK}", "x"),
        )

    findings = []
    for sent, answer in answers():
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers)
        if answer.all("X-Selftest"):
            findings.append(Finding(sent, "a header that the client wrote"))
        elif MARK in headers or MARK.encode() in answer.body:
            findings.append(Finding(sent, f"{describe(answer)}, with what was sent in it"))
    return findings


CHECKS: Final = (
    Check(
        30,
        "health",
        "health addresses without a session",
        "health is answered by the gateway itself, with its state and nothing else.",
        health,
    ),
    Check(
        30,
        "metrics",
        "the metrics without their token, also written otherwise",
        "`[metrics] token_file` of the gateway; a rule in front that guards one spelling of an address guards nothing.",
        metrics,
    ),
    Check(
        30,
        "metadata",
        "addresses of descriptions, settings and repositories, without a session",
        "what is in front serves files of its own: give it no folder.",
        metadata,
    ),
    Check(
        30,
        "telling-headers",
        "proper requests and refusals",
        "nginx: `server_tokens off`; drop X-Powered-By and its likes, and versions in Server and Via.",
        telling_headers,
    ),
    Check(
        31,
        "reflections",
        "line ends, markup, colours and names of the client's choice",
        "what is in front repeats what it was sent, in a page of its own or in a header, and so it stands in its logs.",
        reflections,
    ),
)
