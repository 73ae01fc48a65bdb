"""Lines 7 to 11: what a client says of itself in headers is neither believed nor passed on, and what the backend says
in its own does not come out.
"""

from __future__ import annotations

import pytest

from tests.attacks.sending import DOSSIER, PROFILE, Sender, Tried, lines
from tests.story.running import Backend
from upstream_stub.dossiers import dossier_text

SENT = {"host", "user-agent", "accept", "accept-encoding", "x-request-id"}
"""The headers that the backend hears, whatever the client sends; Accept-Language would be the only other."""
OURS = {
    *("Date", "Content-Type", "X-Policy", "X-Request-Id", "Cache-Control", "X-Content-Type-Options"),
    *("Referrer-Policy", "Content-Security-Policy", "Cross-Origin-Resource-Policy", "Content-Length"),
}
"""The headers of an answered dossier."""


def served_as_ever(tried: Tried, profile: str = PROFILE) -> None:
    """The dossier as the session's own profile reads it, and nothing of the client's headers behind us."""
    tried.served(profile)
    [(_, _, headers)] = tried.asked
    assert {name.lower() for name, _ in headers} == SENT
    assert dict(headers)["User-Agent"] == "cafpro-gateway"
    assert {name for name, _ in tried.answer.headers} - {"Connection"} == OURS
    assert tried.row["address"] == "127.0.0.1"


CLAIMS = {
    "GHSA-vhr5-ggp3-qq85: another scheme": "X-Forwarded-Proto: https",
    "GHSA-vhr5-ggp3-qq85: another host": "X-Forwarded-Host: ailleurs.example",
    "GHSA-vhr5-ggp3-qq85: another method": "X-Forwarded-Method: OPTIONS",
    "CVE-2026-40575: another path": "X-Forwarded-Uri: /-/health/live",
    "CVE-2026-40575: another path, absolute": "X-Forwarded-Uri: http://127.0.0.1/-/health/live",
    "CVE-2026-39998: a user": "X-User: t1",
    "CVE-2026-39998: a user's id": "X-User-Id: t1",
    "CVE-2026-39998: who is served": "X-Consumer-Username: t1",
    "CVE-2026-39998: who asked": "X-Userinfo: eyJzdWIiOiJ0MSJ9",
    **{f"who: {name}": f"{name}: t1" for name in ("X-Agent", "X-Remote-User", "Remote-User", "X-Auth-Request-User")},
    **{f"whose: {name}": f"{name}: t1" for name in ("X-Forwarded-User", "X-WebAuth-User", "X-Authenticated-User")},
    **{f"which: {name}": f"{name}: T1" for name in ("X-Profil", "X-Profile", "X-Role", "X-Forwarded-Groups")},
    **{f"what: {name}": f"{name}: paiement" for name in ("X-Rubriques", "X-Scope", "X-Policy", "X-Permissions")},
    **{f"where: {name}": f"{name}: 10.0.0.1" for name in ("X-Forwarded-For", "X-Real-IP", "True-Client-IP")},
    **{f"from: {name}": f"{name}: 127.0.0.1" for name in ("X-Client-IP", "CF-Connecting-IP", "X-Originating-IP")},
    "for whom, by the norm": "Forwarded: for=10.0.0.1;by=127.0.0.1;host=ailleurs.example;proto=https",
    **{
        f"another address: {name}": f"{name}: /dossiers/9990002"
        for name in ("X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-Forwarded-Path", "X-Override-URL")
    },
    "another port": "X-Forwarded-Port: 443",
    "another prefix": "X-Forwarded-Prefix: /-/health",
    "its own request id": "X-Request-Id: choisi",
    "its own trace": "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "a way through other proxies": "Via: 1.1 proxy-de-confiance",
    "a certificate's name": "X-SSL-Client-S-DN: CN=t1",
    "a certificate": "X-Forwarded-Client-Cert: Subject=CN=t1",
    "an internal call": "X-Internal: true",
    "a part of the answer": "Range: bytes=0-10",
    "an answer it has already": 'If-None-Match: "x"',
    "an answer that did not change": "If-Modified-Since: Fri, 01 Jun 2012 08:00:00 GMT",
    "compressed": "Accept-Encoding: gzip, br",
    "another type": "Accept: text/csv",
    "another protocol": "Upgrade: h2c",
    "a proof for a proxy": "Proxy-Authorization: Basic dDE6eA==",
    "a line that is too long for a log": "X-A: " + "a" * 8000,
}


@pytest.mark.attack(7)
@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_header_that_claims_something_is_neither_believed_nor_passed_on(sender: Sender, claim: str) -> None:
    served_as_ever(sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", claim)))
    sender.send(lines(f"GET {DOSSIER} HTTP/1.1", sender.host, claim), profile=None).refused(401, "GW101")


@pytest.mark.attack(7)
@pytest.mark.parametrize("claim", ["X-Forwarded-Uri: /dossiers/9990001", "X-Original-URL: /dossiers/9990001"])
def test_an_address_in_a_header_makes_no_address_of_another(sender: Sender, claim: str) -> None:
    sender.get("/nothing", claim).refused(404, "GW203")
    tried = sender.send(lines("GET /-/health/live HTTP/1.1", sender.host, claim), profile=None)
    assert (tried.answer.json(), tried.rows, tried.asked) == ({"status": "live"}, [], [])


@pytest.fixture(scope="module")
def behind_a_proxy(archive: Backend, start_gateway) -> Sender:
    """A gateway that takes whoever speaks from 127.0.0.1 for a proxy of ours."""
    gateway = start_gateway(archive.url, server__proxies="127.0.0.1")
    gateway.enter("t2", PROFILE)
    return Sender(gateway, archive, {PROFILE: gateway.log_in("t2")})


FORWARDED = {
    "an address": (("X-Forwarded-For: 10.9.9.9",), "10.9.9.9"),
    "one that the client wrote before it": (("X-Forwarded-For: 192.0.2.1, 10.9.9.9",), "10.9.9.9"),
    "one that the client wrote in a header of its own": (
        ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 10.9.9.9"),
        "10.9.9.9",
    ),
    "ours behind it": (("X-Forwarded-For: 192.0.2.1, 10.9.9.9, 127.0.0.1",), "10.9.9.9"),
    "no address": (("X-Forwarded-For: t1",), "127.0.0.1"),
    "no address behind one": (("X-Forwarded-For: 10.9.9.9, unknown",), "127.0.0.1"),
    "an empty list": (("X-Forwarded-For:",), "127.0.0.1"),
    "a port": (("X-Forwarded-For: 10.9.9.9:80",), "10.9.9.9"),
    "an underscore": (("X_Forwarded_For: 10.9.9.9",), "127.0.0.1"),
    "the norm's header, which ours do not write": (("Forwarded: for=10.9.9.9",), "127.0.0.1"),
    "another header": (("X-Real-IP: 10.9.9.9",), "127.0.0.1"),
    "a line's end": (("X-Forwarded-For: 10.9.9.9%0d%0a",), "127.0.0.1"),
    "two thousand": (("X-Forwarded-For: " + "192.0.2.1," * 2000 + "10.9.9.9",), "10.9.9.9"),
}


@pytest.mark.attack(7)
@pytest.mark.parametrize(("headers", "address"), FORWARDED.values(), ids=FORWARDED)
def test_of_our_own_proxy_only_the_clients_address_is_believed(
    behind_a_proxy: Sender, headers: tuple[str, ...], address: str
) -> None:
    more = ("X-Forwarded-Host: ailleurs.example", "X-Forwarded-Proto: https", "X-Forwarded-User: t1", "X-Profil: T1")
    tried = behind_a_proxy.send(behind_a_proxy.head(f"GET {DOSSIER} HTTP/1.1", *headers, *more))
    tried.served()
    assert tried.row["address"] == address
    assert {name.lower() for name, _ in tried.asked[0][2]} == SENT
    refused = behind_a_proxy.send(lines(f"GET {DOSSIER} HTTP/1.1", behind_a_proxy.host, *headers, *more), profile=None)
    refused.refused(401, "GW101")


FOLDED = {
    "CVE-2025-64484: a user": "X_Forwarded_User: t1",
    "CVE-2025-64484: a user, partly": "X-Forwarded_User: t1",
    "CVE-2025-64484: a mail address": "X_Forwarded_Email: t1@ailleurs.example",
    "CVE-2026-39858: a scheme": "X_Forwarded_Proto: https",
    "CVE-2026-39858: a host": "X_Forwarded_Host: ailleurs.example",
    "CVE-2026-39858: an address": "X_Forwarded_Uri: /-/health/live",
    "points, which PHP folds too": "X.Forwarded.User: t1",
    "an address, with points": "X.Original.URL: /dossiers/9990002",
    "a profile": "X_Profil: T1",
    "another host": "HTTP_HOST: ailleurs.example",
    "another host, unprefixed": "Server_Name: ailleurs.example",
    "another address": "Path_Info: /dossiers/9990002",
    "another script": "SCRIPT_NAME: /dossiers",
    "another script, hyphenated": "Script-Name: /dossiers",
    "another script, prefixed": "X-Script-Name: /dossiers",
    "another method": "Request_Method: DELETE",
    "another client": "Remote_Addr: 10.0.0.1",
    "another query": "Query_String: page=2",
    "a scheme of WSGI": "wsgi_url_scheme: https",
    "a length": "Content_Length: 10",
    "chunks": "Transfer_Encoding: chunked",
    "a language": "Accept_Language: fr",
    "an origin": "HTTP_ORIGIN: http://ailleurs.example",
    "a proxy for whoever asks the backend": "Proxy: http://127.0.0.1:9",
    "a proxy, folded": "HTTP_PROXY: http://127.0.0.1:9",
}


@pytest.mark.attack(8)
@pytest.mark.parametrize("folded", FOLDED.values(), ids=FOLDED)
def test_a_name_that_wsgi_would_fold_into_another_is_not_that_other(sender: Sender, folded: str) -> None:
    served_as_ever(sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", folded)))


@pytest.mark.attack(8)
@pytest.mark.parametrize("name", ["HTTP_AUTHORIZATION", "Authorization_", "_Authorization", "Authori_zation"])
def test_a_session_under_a_name_like_its_own_opens_nothing(sender: Sender, name: str) -> None:
    token = f"{name}: Bearer {sender.token('T1')}"
    sender.send(lines(f"GET {DOSSIER} HTTP/1.1", sender.host, token), profile=None).refused(401, "GW101")
    served_as_ever(sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", token)))


@pytest.mark.attack(8)
def test_a_change_token_with_underscores_is_none(sender: Sender) -> None:
    cookie = f"Cookie: cafpro={sender.token()}"
    shown = sender.send(lines("GET /-/session HTTP/1.1", sender.host, cookie))
    change = f"X_CSRF_Token: {shown.answer.json()['csrf_token']}"
    head = lines("DELETE /-/session HTTP/1.1", sender.host, cookie, f"Origin: {sender.gateway.url}", change)
    sender.send(head).refused(403, "GW111")


TWICE = {
    "CVE-2026-26308: a weak session, then a strong one": ("GW102", ("{bearer T2}", "{bearer T1}")),
    "CVE-2026-26308: a strong session, then a weak one": ("GW102", ("{bearer T1}", "{bearer T2}")),
    "CVE-2026-26308: joined with a comma": ("GW102", ("{bearer T2}, Bearer {token T1}",)),
    "CVE-2026-26308: joined without a blank": ("GW102", ("{bearer T2},Bearer {token T1}",)),
    "the same session twice": ("GW102", ("{bearer T2}", "{bearer T2}")),
    "a session, then nothing": ("GW102", ("{bearer T2}", "Authorization:")),
    "nothing, then a session": ("GW102", ("Authorization:", "{bearer T2}")),
    "a session, then a password": ("GW102", ("{bearer T2}", "Authorization: Basic dDE6eA==")),
    "a password, then a session": ("GW102", ("Authorization: Basic dDE6eA==", "{bearer T2}")),
    "in other letters": ("GW102", ("{bearer T2}", "AUTHORIZATION: Bearer {token T1}")),
    "two tokens in one": ("GW102", ("{bearer T2} {token T1}",)),
    "two tokens behind a semicolon": ("GW102", ("{bearer T2};{token T1}",)),
    "a parameter": ("GW102", ('{bearer T2}, profile="T1"',)),
    "two cookies in one header": ("GW104", ("Cookie: cafpro={token T2}; cafpro={token T1}",)),
    "the same cookie twice in one header": ("GW104", ("Cookie: cafpro={token T2}; cafpro={token T2}",)),
    "two cookies in two headers": ("GW102", ("Cookie: cafpro={token T2}", "Cookie: cafpro={token T1}")),
    "two cookies joined with a comma": ("GW102", ("Cookie: cafpro={token T2}, cafpro={token T1}",)),
    "a cookie in quotes": ("GW102", ('Cookie: cafpro="{token T2}"',)),
    "a cookie, then an empty one": ("GW104", ("Cookie: cafpro={token T2}; cafpro=",)),
    "a cookie that disagrees with the bearer": ("GW104", ("{bearer T2}", "Cookie: cafpro={token T1}")),
    "a bearer that disagrees with the cookie": ("GW104", ("Cookie: cafpro={token T2}", "{bearer T1}")),
    "an empty cookie beside the bearer": ("GW104", ("{bearer T2}", "Cookie: cafpro=")),
    "a cookie that agrees, and another": ("GW104", ("{bearer T2}", "Cookie: cafpro={token T2}; cafpro={token T1}")),
}


@pytest.mark.attack(9)
@pytest.mark.parametrize(("code", "headers"), TWICE.values(), ids=TWICE)
def test_two_proofs_of_who_one_is_open_nothing(sender: Sender, code: str, headers: tuple[str, ...]) -> None:
    filled = [
        line.replace("{bearer T1}", sender.bearer("T1"))
        .replace("{bearer T2}", sender.bearer("T2"))
        .replace("{token T1}", sender.token("T1"))
        .replace("{token T2}", sender.token("T2"))
        for line in headers
    ]
    tried = sender.send(lines(f"GET {DOSSIER} HTTP/1.1", sender.host, *filled), profile=None)
    tried.refused(401, code)
    assert tried.row["agent"] == ""


@pytest.mark.attack(9)
@pytest.mark.parametrize("other", ["CAFPRO", "Cafpro", "__Host-cafpro", "__Secure-cafpro", "cafpro ", "$cafpro"])
def test_a_cookie_of_another_name_is_no_session(sender: Sender, other: str) -> None:
    cookie = f"Cookie: {other}={sender.token('T1')}"
    sender.send(lines(f"GET {DOSSIER} HTTP/1.1", sender.host, cookie), profile=None).refused(401, "GW101")
    served_as_ever(sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", cookie)))


@pytest.mark.attack(9)
@pytest.mark.parametrize("first", ["http://ailleurs.example", "{origin}"], ids=["foreign first", "ours first"])
def test_two_origins_are_a_foreign_one(sender: Sender, first: str) -> None:
    cookie = f"Cookie: cafpro={sender.token()}"
    change = sender.send(lines("GET /-/session HTTP/1.1", sender.host, cookie)).answer.json()["csrf_token"]
    ours, foreign = sender.gateway.url, "http://ailleurs.example"
    origins = [foreign, ours] if first == foreign else [ours, foreign]
    head = ("DELETE /-/session HTTP/1.1", sender.host, cookie, f"X-CSRF-Token: {change}")
    sender.send(lines(*head, *(f"Origin: {origin}" for origin in origins))).refused(403, "GW111")
    sender.send(lines(*head[:3], f"Origin: {ours}", f"X-CSRF-Token: x, {change}")).refused(403, "GW111")


@pytest.mark.attack(9)
def test_two_languages_are_one_list_that_names_both(sender: Sender) -> None:
    tried = sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", "Accept-Language: fr", "Accept-Language: en"))
    tried.served()
    assert dict(tried.asked[0][2])["Accept-Language"] == "fr, en"


NAMED = {
    "CVE-2025-48865: the client's address": "close, X-Forwarded-For, X-Real-IP, Forwarded",
    "CVE-2025-48865: the host": "close, X-Forwarded-Host, Host",
    "CVE-2025-48865: a header of ours": "close, X-Request-Id, User-Agent, Accept, Accept-Encoding",
    "the session": "close, authorization",
    "the session, in capitals": "AUTHORIZATION, close",
    "the cookie": "close, cookie",
    "a profile": "close, x-profil",
    "the length": "close, content-length",
    "the coding": "close, transfer-encoding",
    "the origin": "close, origin, x-csrf-token",
    "everything": "*",
    "nothing": ",,,",
    "what cannot be a name": "close, @é",
}


@pytest.mark.attack(10)
@pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)
def test_connection_takes_no_header_away_from_us_or_from_what_we_send(sender: Sender, named: str) -> None:
    """The session that it names is still the one that is read; what we say to the backend is still said."""
    served_as_ever(sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", f"Connection: {named}")))
    nobody = lines(f"GET {DOSSIER} HTTP/1.1", sender.host, f"Connection: {named}")
    sender.send(nobody, profile=None).refused(401, "GW101")


@pytest.mark.attack(10)
def test_connection_takes_no_length_away(sender: Sender) -> None:
    """A body whose length `Connection` names is still a body, where none is declared."""
    tried = sender.send(
        sender.head(f"GET {DOSSIER} HTTP/1.1", "Connection: content-length", "Content-Length: 2") + b"{}"
    )
    tried.refused(413, "GW205")


HOP_BY_HOP = {
    "TE": "TE: trailers, deflate",
    "Trailer": "Trailer: Authorization",
    "Keep-Alive": "Keep-Alive: timeout=600, max=1000",
    "Proxy-Connection": "Proxy-Connection: keep-alive",
    "Proxy-Authorization": "Proxy-Authorization: Bearer x",
    "Proxy-Authenticate": "Proxy-Authenticate: Basic",
    "Upgrade to HTTP/2": "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings",
    "Upgrade to a socket": "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP2-Settings": "HTTP2-Settings: AAMAAABkAAQAAP__",
}


@pytest.mark.attack(10)
@pytest.mark.parametrize("header", HOP_BY_HOP.values(), ids=HOP_BY_HOP)
def test_what_concerns_one_connection_goes_no_further(sender: Sender, header: str) -> None:
    served_as_ever(sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", *header.split("\r\n"))))


CANARY = "CANARI-paiement-"
BACKENDS_OWN = {
    "Connection": "close, X-Canari",
    "Keep-Alive": f"timeout=5, {CANARY}1",
    "Proxy-Connection": "keep-alive",
    "Proxy-Authenticate": f"Basic {CANARY}2",
    "Upgrade": "h2c",
    "Trailer": "X-Canari",
    "Set-Cookie": f"cafpro={CANARY}3; Path=/",
    "Server": f"{CANARY}4",
    "X-Powered-By": f"{CANARY}5",
    "Via": f"1.1 {CANARY}6",
    "X-Profil": "T1",
    "X-Canari": f"{CANARY}7",
    "X-Request-Id": f"{CANARY}8",
    "X-Policy": f"{CANARY}9",
    "Cache-Control": "public, max-age=31536000",
    "ETag": f'"{CANARY}10"',
    "Last-Modified": "Fri, 01 Jun 2012 08:00:00 GMT",
    "Expires": "Thu, 01 Jan 2037 00:00:00 GMT",
    "Vary": "Authorization",
    "Location": f"/{CANARY}11",
    "Content-Location": f"/{CANARY}12",
    "Content-Disposition": f"attachment; filename={CANARY}13",
    "Link": f"</{CANARY}14>; rel=next",
    "Refresh": "0; url=http://ailleurs.example/",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Credentials": "true",
    "Strict-Transport-Security": "max-age=0",
    "Content-Security-Policy": "default-src *",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "WWW-Authenticate": f"Basic realm={CANARY}15",
    "Proxy-Status": f"{CANARY}16",
    "Alt-Svc": 'h2="ailleurs.example:443"',
    "Clear-Site-Data": '"*"',
    "Content-Range": "bytes 0-10/11",
    "Content-Language": f"{CANARY}17",
    "X-Accel-Redirect": "/dossiers/9990002",
    "X-Sendfile": "/etc/passwd",
}


@pytest.fixture(scope="module")
def talkative(start_backend) -> Backend:
    """A backend that answers each header of its own beside the dossier: one more with each request."""
    headers = {"Content-Type": "application/json", **BACKENDS_OWN}

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        return 200, headers, dossier_text(path[-7:]) or b""

    return start_backend(answer)


@pytest.fixture(scope="module")
def beside_talk(talkative: Backend, start_gateway) -> Sender:
    gateway = start_gateway(talkative.url)
    gateway.enter("t2", PROFILE)
    return Sender(gateway, talkative, {PROFILE: gateway.log_in("t2")})


@pytest.mark.attack(10)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_header_of_the_backends_comes_out(beside_talk: Sender, method: str) -> None:
    tried = beside_talk.send(beside_talk.head(f"{method} {DOSSIER} HTTP/1.1"), method=method)
    if method == "GET":
        served_as_ever(tried)
    answer = tried.answer
    assert {name for name, _ in answer.headers} == OURS
    assert "CANARI-paiement" not in answer.text()
    assert (answer.all("Cache-Control"), answer.one("Content-Security-Policy")[:18]) == (
        ["no-store"],
        "default-src 'none'",
    )
    assert answer.all("Cross-Origin-Resource-Policy") == ["same-origin"]
    assert answer.one("X-Request-Id") == tried.row["request_id"]
    assert answer.one("X-Policy") == tried.row["policy"]


PROBES = {
    "CVE-2026-34457: Kubernetes": "User-Agent: kube-probe/1.29",
    "CVE-2026-34457: Google": "User-Agent: GoogleHC/1.0",
    "CVE-2026-34457: Google's older": "User-Agent: GoogleStackdriverMonitoring-UptimeChecks(https://cloud.google.com)",
    "CVE-2026-34457: Amazon": "User-Agent: ELB-HealthChecker/2.0",
    "CVE-2026-34457: Azure": "User-Agent: Load Balancer Agent",
    "CVE-2026-34457: none": "X-A: b",
    "CVE-2026-34457: an empty one": "User-Agent:",
    "Consul": "User-Agent: Consul Health Check",
    "HAProxy": "User-Agent: HAProxy",
    "Envoy": "User-Agent: Envoy/HC",
    "Prometheus": "User-Agent: Prometheus/2.50",
    "our own": "User-Agent: cafpro-gateway",
    "a header of Kubernetes": "X-Kubernetes-Probe: true",
    "a header of health": "X-Health-Check: 1",
}
BESIDES = ["/dossiers/9990001/-/health/live", "/-/health/live/dossiers/9990001", "/-/health", "/health", "/healthz"]
BESIDES += [
    "/ping",
    "/ready",
    "/livez",
    "/metrics",
    "/status",
    "/favicon.ico",
    "/robots.txt",
    "/.well-known/security.txt",
]


@pytest.mark.attack(11)
@pytest.mark.parametrize("agent", PROBES.values(), ids=PROBES)
def test_a_health_checkers_name_opens_no_dossier(sender: Sender, agent: str) -> None:
    sender.send(lines(f"GET {DOSSIER} HTTP/1.1", sender.host, agent), profile=None).refused(401, "GW101")
    sender.send(lines("GET /-/session HTTP/1.1", sender.host, agent), profile=None).refused(401, "GW101")
    served_as_ever(sender.send(sender.head(f"GET {DOSSIER} HTTP/1.1", agent)))


@pytest.mark.attack(11)
@pytest.mark.parametrize("path", BESIDES)
def test_no_path_of_health_checks_but_our_two_is_open(sender: Sender, path: str) -> None:
    tried = sender.send(lines(f"GET {path} HTTP/1.1", sender.host, "User-Agent: kube-probe/1.29"), profile=None)
    if path.startswith("/-/"):
        tried.refused(404, "GW203")
    else:
        tried.refused(401, "GW101")


@pytest.mark.attack(11)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_health_is_only_read(sender: Sender, method: str) -> None:
    sender.send(lines(f"{method} /-/health/live HTTP/1.1", sender.host), profile=None).refused(405, "GW204")
