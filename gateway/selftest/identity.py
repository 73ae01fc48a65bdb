"""Lines 14 to 18: who asks, for how long, and that nobody is answered for somebody else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.selftest.judging import PLAIN_HTTP, changed, not_a_stranger, unrefused
from gateway.selftest.site import FOREIGN, SESSION, Site, as_object, describe, lasting, plainly
from gateway.selftest.verdicts import Check, Finding, Inapplicable, Tried
from gateway.selftest.wire import Answer, Stream

YEAR: Final = 31_536_000
"""Seconds that HSTS must last at least (ANSSI)."""
MOST_LOG_INS: Final = 40
"""Log-ins of nobody's that `--limits` makes at most: by default the gateway takes 30 at once from an address."""
CACHE_HEADERS: Final = ("Age", "X-Cache", "X-Cache-Status", "X-Proxy-Cache", "CF-Cache-Status", "X-Varnish", "Expires")
HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
OLD: Final = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)

CACHED: Final = (
    "what is in front keeps answers. Switch its cache off for the gateway (nginx: no `proxy_cache`, no "
    "`proxy_ignore_headers Cache-Control`; a CDN: bypass), and let Cache-Control through."
)
LOGGED_IN: Final = "who else answers for the log-in or the session in front of the gateway?"


def _json_web_token(head: Mapping[str, Any], claims: Mapping[str, Any], *, key: bytes | None = b"") -> str:
    def encoded(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    signed = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}"
    seal = b"" if key is None else hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{encoded(seal)}"


def json_web_tokens(site: Site) -> Tried:
    now = int(time.time())
    claims = {"sub": site.account.identifier, "iss": site.place.origin, "aud": "cafpro", "iat": now, "exp": now + 600}
    jwk = {"kty": "oct", "k": "c2VsZnRlc3Q"}
    hs256 = {"alg": "HS256", "typ": "JWT"}
    tokens = {
        "alg none": _json_web_token({"alg": "none", "typ": "JWT"}, claims, key=None),
        "alg nOnE": _json_web_token({"alg": "nOnE", "typ": "JWT"}, claims, key=None),
        "HS256 with an empty key": _json_web_token(hs256, claims),
        "HS256 with a known key": _json_web_token(hs256, claims, key=b"secret"),
        "HS256, kid that climbs to an empty file": _json_web_token({**hs256, "kid": "../../../../dev/null"}, claims),
        "HS256 with its own key in jwk": _json_web_token({**hs256, "jwk": jwk}, claims, key=b"selftest"),
        "keys of a foreign jku": _json_web_token(
            {**hs256, "jku": f"https://{FOREIGN}/keys.json", "kid": "x"}, claims, key=b"selftest"
        ),
        "RS256 without a signature": _json_web_token({"alg": "RS256", "kid": "x"}, claims, key=None),
        "no claims": _json_web_token({"alg": "none"}, {}, key=None),
        "expired": _json_web_token({"alg": "none"}, {**claims, "exp": 1}, key=None),
        "not yet valid": _json_web_token({"alg": "none"}, {**claims, "nbf": now + 600}, key=None),
    }
    return [
        *not_a_stranger(
            (f"a token: {sent}", site.ask(SESSION, f"Authorization: Bearer {token}", signed=False))
            for sent, token in tokens.items()
        )
    ]


def odd_tokens(site: Site) -> Tried:
    token = site.session.token
    forms = {
        "the token with a character more": f"Bearer {token}x",
        "the token without its last character": f"Bearer {token[:-1]}",
        "the token in quotes": f'Bearer "{token}"',
        "the token twice": f"Bearer {token}, Bearer {token}",
        "the token under another scheme": f"Token {token}",
        "a made-up token": f"Bearer {'a' * len(token)}",
        "no token": "Bearer ",
        "a password": "Basic c2VsZnRlc3Q6c2VsZnRlc3Q=",
    }
    answers = ((sent, site.ask(SESSION, f"Authorization: {form}", signed=False)) for sent, form in forms.items())
    findings = [*not_a_stranger(answers)]
    # Of a session that is ended at once: addresses stand in logs.
    if spare := site.log_in():
        in_query = site.ask(f"{SESSION}?access_token={spare.token}", signed=False)
        findings += not_a_stranger([("a good token as a parameter", in_query)])
        site.ask(SESSION, spare.bearer, method="DELETE", signed=False)
    return findings


def log_out(site: Site) -> Tried:
    spare = site.log_in()
    if spare is None:
        return _NO_LOG_IN
    ended = site.ask(SESSION, spare.bearer, method="DELETE", signed=False)
    findings = [] if ended.status == 204 else [Finding("a log-out", f"{describe(ended)}, not 204")]
    findings += not_a_stranger([("the token of a session that was ended", _with(site, spare.bearer))])
    if spare.cookie:
        cookie = _with(site, f"Cookie: {spare.cookie}")
        findings += not_a_stranger([("the cookie of a session that was ended", cookie)])
    return findings


def fixation(site: Site) -> Tried:
    chosen = "selftest-" + "a" * 34
    name = site.session.cookie.partition("=")[0] or "cafpro"
    opened = site.log_in(f"Cookie: {name}={chosen}")
    if opened is None:
        return [Finding("a log-in that brings a cookie of its own", "it is refused, where another is accepted")]
    findings = []
    if chosen in (opened.token, opened.cookie.partition("=")[2]):
        findings.append(Finding("a log-in that brings a cookie of its own", "the session has the name that was chosen"))
    findings += not_a_stranger(
        [("the cookie that was chosen before the log-in", _with(site, f"Cookie: {name}={chosen}"))]
    )
    site.ask(SESSION, opened.bearer, method="DELETE", signed=False)
    return findings


def cross_site(site: Site) -> Tried:
    foreign, cookie = f"Origin: https://{FOREIGN}", f"Cookie: {site.session.cookie}"
    own = f"Origin: {site.place.origin}"

    def answers() -> Iterator[tuple[str, Answer]]:
        if site.session.cookie:
            for sent, lines in {
                "a log-out by cookie, without origin and change token": (),
                "a log-out by cookie of a foreign origin": (foreign, f"X-CSRF-Token: {site.session.csrf}"),
                "a log-out by cookie of the origin `null`": ("Origin: null", f"X-CSRF-Token: {site.session.csrf}"),
                "a log-out by cookie without the change token": (own,),
                "a log-out by cookie with a wrong change token": (own, f"X-CSRF-Token: {'0' * 64}"),
            }.items():
                yield sent, site.ask(SESSION, cookie, *lines, method="DELETE", signed=False)
        yield "a log-in of a foreign origin", site.ask_to_log_in(site.stranger(), "x", foreign)

    findings = [
        Finding(sent, f"{describe(answer)}, where the gateway answers 403")
        for sent, answer in answers()
        if answer.status != 403
    ]
    for target in (SESSION, site.a_dossier):
        for name, value in site.ask(target, foreign).headers:
            if name.lower().startswith("access-control-"):
                findings.append(Finding("a request of a foreign origin", plainly(f"{name}: {value}")))
    return findings


def redirects(site: Site) -> Tried:
    """The gateway redirects nobody; who is sent on could be sent elsewhere."""
    paths = {
        "a foreign host behind two slashes": f"//{FOREIGN}/%2e%2e",
        "a foreign host behind a slash and a backslash": f"/%5C{FOREIGN}",
        "a foreign address as `next`": f"{SESSION}?next=https://{FOREIGN}/",
        "a foreign address as `url`": f"/selftest?url=//{FOREIGN}",
        "an address with a slash behind": f"{SESSION}/",
        "an address with a line feed and a Location": f"/selftest%0D%0ALocation:%20https://{FOREIGN}/",
    }
    findings = []
    for sent, path in paths.items():
        for signed in (True, False):
            answer = site.ask(path, signed=signed)
            if 300 <= answer.status < 400 or answer.all("Location"):
                where = " to a foreign host" if FOREIGN in answer.first("Location") else ""
                findings.append(Finding(sent, f"{answer.status}, a redirect{where}"))
    return findings


def cookie_flags(site: Site) -> Tried:
    cookies = site.session.answer.all("Set-Cookie")
    if len(cookies) != 1:
        return [Finding("a log-in", f"{len(cookies)} cookies are set, not one")]
    pair, *flags = (part.strip() for part in cookies[0].split(";"))
    given = {flag.partition("=")[0].lower(): flag.partition("=")[2] for flag in flags}
    wrong = []
    if "httponly" not in given:
        wrong.append("HttpOnly is missing")
    if given.get("samesite", "").lower() != "strict":
        wrong.append("SameSite is not Strict")
    if given.get("path") != "/":
        wrong.append("Path is not /")
    if "domain" in given:
        wrong.append("Domain gives it to other hosts")
    if site.place.secure and "secure" not in given:
        wrong.append("Secure is missing")
    if site.place.secure and not pair.startswith("__Host-"):
        wrong.append("its name does not begin with __Host-")
    return [Finding("a log-in", f"the cookie: {what}") for what in wrong]


def strict_transport(site: Site) -> Tried:
    if not site.place.secure:
        return PLAIN_HTTP
    findings = []
    for target in site.targets:
        sent = site.plain(target).all("Strict-Transport-Security")
        ages = [
            part.strip()[8:].strip('"') for part in ";".join(sent).split(";") if part.strip().startswith("max-age=")
        ]
        if len(ages) != 1 or not ages[0].isdigit() or int(ages[0]) < YEAR:
            findings.append(
                Finding("a proper request", f"Strict-Transport-Security: {plainly('; '.join(sent)) or 'none'}")
            )
    return findings


def old_tls(site: Site) -> Tried:
    if not site.place.secure:
        return PLAIN_HTTP
    findings = []
    for version in OLD:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent on this connection
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")
        try:
            site.wire.open(context=context).__exit__(None, None, None)
        except OSError:
            continue
        findings.append(Finding(f"a handshake with {version.name.replace('_', '.')}", "it is accepted"))
    return findings


def in_clear(site: Site) -> Tried:
    if not site.place.secure:
        return PLAIN_HTTP
    findings = []
    head = site.written(SESSION, signed=False)
    with site.wire.open(plain=True) as stream:
        stream.send(head)
        answer = stream.answer()
    if 200 <= answer.status < 300 or answer.status == 401:
        findings.append(Finding("a request in clear to the port of TLS", describe(answer)))
    if site.place.port == HTTPS_PORT:
        findings += _port_80(site, head)
    return findings


def _port_80(site: Site, head: bytes) -> Iterator[Finding]:
    try:
        sock = socket.create_connection((site.place.host, HTTP_PORT), timeout=5)
    except OSError:
        return
    with Stream(sock, until=time.monotonic() + 10) as stream:
        stream.send(head)
        answer = stream.answer()
    where = urlsplit(answer.first("Location"))
    leads_on = 300 <= answer.status < 400 and (where.scheme, where.hostname) == ("https", site.place.host)
    if not leads_on and (0 < answer.status < 400 or answer.status == 401):
        yield Finding(
            "a request in clear to port 80",
            f"{describe(answer)}, neither a redirect to this host over https nor a refusal",
        )


def unknown_identifiers(site: Site) -> Tried:
    """Of identifiers that do not exist, so that no account is locked; each is tried once."""
    first, second = site.stranger(), site.stranger()
    answers = [site.ask_to_log_in(identifier, "Une-phrase-de-passe-2012") for identifier in (first, second)]
    findings = []
    for identifier, answer in zip((first, second), answers, strict=True):
        if answer.status != 401 or as_object(answer).get("code") != "GW103":
            findings.append(Finding("a log-in of an unknown identifier", f"{describe(answer)}, not 401 GW103"))
        if identifier.encode() in answer.body or answer.all("Set-Cookie"):
            findings.append(Finding("a log-in of an unknown identifier", "the answer repeats it, or sets a cookie"))
    if lasting(answers[0]) != lasting(answers[1]):
        findings.append(Finding("log-ins of two unknown identifiers", "two different answers"))
    return findings


def stuffing(site: Site) -> Tried:
    if not site.limits:
        return Inapplicable("tries log-ins until this address is refused: --limits")
    for _ in range(MOST_LOG_INS):
        body = json.dumps({"identifier": site.stranger(), "password": "x"}).encode()
        lines = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        answer = site.wire.once(site.written(SESSION, *lines, method="POST", signed=False) + body, method="POST")
        if answer.status == 429:
            if answer.first("Retry-After").isdigit():
                return []
            return [Finding("log-ins of many unknown identifiers", "429 without Retry-After")]
    return [Finding(f"{MOST_LOG_INS} log-ins of as many unknown identifiers", "none was refused with 429")]


def kept_answers(site: Site) -> Tried:
    """Each answer was made for the one who asked, now: it has an id of its own, and no stranger gets it."""
    findings: list[Finding] = []
    for target in (*site.targets, "/selftest"):
        before = site.ask(target, signed=False)
        first, second = site.ask(target), site.ask(target)
        after = site.ask(target, signed=False)
        findings += not_a_stranger(
            [("a stranger's request before a session's", before), ("a stranger's request after a session's", after)]
        )
        if target != "/selftest":
            findings += changed(site, target, [("a session's request after a stranger's", first)])
        ids = [answer.first("X-Request-Id") for answer in (before, first, second, after)]
        if not all(ids):
            findings.append(Finding("four requests for one address", "answers without X-Request-Id"))
        elif len(set(ids)) < len(ids):
            findings.append(Finding("four requests for one address", "two answers with the same X-Request-Id"))
    return findings


def other_dossiers(site: Site) -> Tried:
    if not site.dossiers:
        return Inapplicable("needs a dossier that the account may read, or better two: --dossier NUMBER")
    findings: list[Finding] = []
    for number in (*site.dossiers, *site.dossiers):
        answer = site.ask(f"/dossiers/{number}")
        if as_object(answer).get("numero") != number:
            findings.append(Finding("one dossier after the other", f"{describe(answer)}, not the dossier asked for"))
    return findings


def cache_headers(site: Site) -> Tried:
    findings: list[Finding] = []
    proper = [("a proper request", site.plain(target)) for target in site.targets]
    refusals = [
        ("an unknown address", site.ask("/selftest")),
        ("a stranger's request", site.ask(SESSION, signed=False)),
    ]
    for sent, answer in [*proper, *refusals, ("a log-in", site.session.answer)]:
        told = [directive.strip().lower() for value in answer.all("Cache-Control") for directive in value.split(",")]
        if told != ["no-store"]:
            findings.append(Finding(sent, f"Cache-Control: {plainly(', '.join(told)) or 'none'}, not no-store"))
        findings += [Finding(sent, f"the answer has {name}") for name in CACHE_HEADERS if answer.all(name)]
    return findings


def deceived_cache(site: Site) -> Tried:
    """What looks like a file is kept by some caches, whatever is said of it."""
    answers = (
        (f"an address of the agent's, `{ending}` behind", site.ask(f"{target}{ending}"))
        for target in site.targets
        for ending in ("/selftest.css", "%2Fselftest.js", ".css", ";selftest.css")
    )
    return [*unrefused(answers)]


def _with(site: Site, line: str) -> Answer:
    return site.ask(SESSION, line, signed=False)


_NO_LOG_IN: Final = Inapplicable("another log-in of the account is refused now", unfinished=True)

CHECKS: Final = (
    Check(
        14,
        "json-web-tokens",
        "JSON web tokens that are unsigned, self-signed, expired, or bring their own key",
        "something in front, or the gateway's federation, believes tokens that nobody it knows has signed.",
        json_web_tokens,
    ),
    Check(14, "odd-tokens", "the session's token, decorated", LOGGED_IN, odd_tokens),
    Check(16, "log-out", "a session's token and cookie after its log-out", LOGGED_IN, log_out),
    Check(16, "fixation", "a log-in that brings a session's name of its own choice", LOGGED_IN, fixation),
    Check(
        16,
        "cross-site",
        "changes by cookie without our origin or change token; a foreign origin",
        "what is in front drops or rewrites Origin or X-CSRF-Token, or adds CORS headers.",
        cross_site,
    ),
    Check(
        16,
        "redirects",
        "addresses that invite a redirect",
        "what is in front redirects (a slash that is added, a host that is changed): the gateway never does.",
        redirects,
    ),
    Check(
        16,
        "cookie-flags",
        "a log-in",
        "`server.public_url` of the gateway must be this very URL; what is in front must not rewrite Set-Cookie "
        "(nginx: `proxy_cookie_…`).",
        cookie_flags,
    ),
    Check(
        16,
        "strict-transport",
        "proper requests over TLS",
        "`server.public_url` of the gateway must begin with https, and what is in front must let "
        "Strict-Transport-Security through, once.",
        strict_transport,
    ),
    Check(
        16,
        "old-tls",
        "handshakes with TLS 1.0 and 1.1",
        "who ends TLS: it must speak 1.2 and later only (nginx: `ssl_protocols TLSv1.2 TLSv1.3`).",
        old_tls,
    ),
    Check(
        16,
        "in-clear",
        "requests without TLS",
        "port 80 may redirect to https, nothing else; no port speaks both.",
        in_clear,
    ),
    Check(17, "unknown-identifiers", "log-ins of identifiers that do not exist", LOGGED_IN, unknown_identifiers),
    Check(
        18,
        "kept-answers",
        "one address for a stranger, for a session twice, and for a stranger",
        CACHED,
        kept_answers,
    ),
    Check(18, "other-dossiers", "dossiers one after the other", CACHED, other_dossiers),
    Check(18, "cache-headers", "proper requests, refusals, a log-in", CACHED, cache_headers),
    Check(18, "deceived-cache", "addresses that look like files", CACHED, deceived_cache),
)
LAST: Final = (
    Check(
        17,
        "stuffing",
        "log-ins of many identifiers that do not exist, from this address",
        "`[limits] failures_per_minute` of the gateway; behind a proxy, `server.proxies` must name it, or all are one "
        "address.",
        stuffing,
    ),
)
"""What leaves this address limited for a while."""
