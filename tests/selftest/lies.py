"""For each check, a front against which it fails: the lie that it is there to find."""

from __future__ import annotations

import gzip
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from tests.selftest.fronts import (
    Exchange,
    Lie,
    answer,
    body_of,
    status_of,
    with_body,
    with_header,
    without_header,
)

COOKIE = "cafpro"
OK = b'{"status": "ok"}'


def changed(change: Callable[[bytes], bytes]) -> Lie:
    """Every answer of the gateway's is changed so."""
    return lambda exchange: change(exchange.forward())


def where(holds: Callable[[Exchange], object], lie: Lie) -> Lie:
    """The lie is told there; elsewhere the truth."""
    return lambda exchange: lie(exchange) if holds(exchange) else exchange.forward()


def retargeted(change: Callable[[str], str]) -> Lie:
    """Every request goes to another target."""
    return lambda exchange: exchange.to_target(change(exchange.target))


def reheaded(change: Callable[[bytes], bytes]) -> Lie:
    """Every request's head is changed so."""
    return lambda exchange: exchange.forward(change(exchange.head))


def says(status: str, body: bytes = b"", *lines: str) -> Lie:
    return lambda exchange: answer(status, body, *lines)


def to_backend(exchange: Exchange) -> bytes:
    """Past the gateway."""
    return exchange.forward(_unsigned(exchange.head), to=exchange.front.backend)


def _unsigned(head: bytes) -> bytes:
    return re.sub(rb"(?im)^Authorization:[^\r]*\r\n", b"", head)


def signed_by_another(exchange: Exchange) -> bytes:
    """With the session that was seen last, in place of what was sent."""
    head = re.sub(rb"(?im)^Cookie:[^\r]*\r\n", b"", _unsigned(exchange.head))
    first, _, rest = head.partition(b"\r\n")
    return exchange.forward(first + b"\r\n" + exchange.kept["session"] + b"\r\n" + rest)


def remembering(lie: Lie) -> Lie:
    """The truth, and the first good session is remembered for the lie."""

    def told(exchange: Exchange) -> bytes | None:
        if "session" not in exchange.kept:
            found = exchange.forward()
            token = re.search(rb"(?im)^Authorization: Bearer [^\r]{20,}", exchange.head)
            if token and status_of(found) == 200:
                exchange.kept["session"] = token[0]
            return found
        return lie(exchange)

    return told


def keeping(exchange: Exchange) -> bytes:
    """What was answered once is the answer to the next GET of that address, whoever asks."""
    if exchange.method != "GET":
        return exchange.forward()
    if exchange.target not in exchange.kept:
        exchange.kept[exchange.target] = exchange.forward()
    return exchange.kept[exchange.target]


def first_dossier(exchange: Exchange) -> bytes:
    """Every dossier is the one that was asked for first."""
    target = exchange.kept.setdefault("first", exchange.target.encode())
    return exchange.to_target(target.decode())


def last_header_only(head: bytes) -> bytes:
    first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
    kept = {line.partition(b":")[0].lower(): line for line in lines}
    return b"\r\n".join((first, *kept.values())) + b"\r\n\r\n"


def without(name: str) -> Callable[[bytes], bytes]:
    return lambda head: re.sub(rb"(?im)^" + name.encode() + rb" ?:[^\r]*\r\n", b"", head)


def method_of(name: str) -> Lie:
    """A header chooses the method."""

    def told(exchange: Exchange) -> bytes:
        chosen = exchange.header(name)
        return exchange.forward(re.sub(rb"^[A-Z]+", chosen.encode(), exchange.head) if chosen else exchange.head)

    return told


def compressing(exchange: Exchange) -> bytes:
    found = exchange.forward()
    if "gzip" not in exchange.header("Accept-Encoding"):
        return found
    return with_header(with_body(found, gzip.compress(body_of(found))), "Content-Encoding: gzip")


def in_parts(exchange: Exchange) -> bytes:
    found = exchange.forward()
    if status_of(found) != 200 or not exchange.header("Range"):
        return found
    return with_body(found.replace(b"200 OK", b"206 Partial Content", 1), body_of(found)[:10])


def whole_length(exchange: Exchange) -> bytes:
    """HEAD tells the length of the whole dossier."""
    found = exchange.forward()
    return with_header(without_header(found, "Content-Length"), "Content-Length: 5848")


def other_words(exchange: Exchange) -> bytes:
    found = exchange.forward()
    return with_body(found, body_of(found).replace(b"Ce dossier", b"Ce dossier existe, mais il"))


def document(change: Callable[[dict], None]) -> Lie:
    """Dossiers are changed so on their way back."""

    def told(exchange: Exchange) -> bytes:
        found = exchange.forward()
        if not re.fullmatch(r"/dossiers/[0-9]{7}", exchange.target) or status_of(found) != 200:
            return found
        shown = json.loads(body_of(found))
        change(shown)
        return with_body(found, json.dumps(shown).encode())

    return told


def tidied_length(exchange: Exchange) -> bytes:
    """Of two framings one is believed, the other forgotten. (The kit's framed requests have no content type.)"""
    if exchange.method != "POST" or exchange.header("Content-Type"):
        return exchange.forward()
    return exchange.forward(without("Transfer-Encoding")(without("Content-Length")(exchange.head)))


def waits_for_more(exchange: Exchange) -> bytes | None:
    """Of two framings the one is believed that promises more than came: the client waits in vain."""
    if b"Transfer-Encoding" in exchange.head and b"Content-Length" in exchange.head:
        exchange.wait()
        return None
    return exchange.forward()


def tidied_size(exchange: Exchange) -> bytes:
    """What is too large is cut."""
    if exchange.method == "GET" and len(exchange.head) > 4000:
        return exchange.forward(_cut(exchange.head))
    return exchange.forward()


def _cut(head: bytes) -> bytes:
    return re.sub(rb"(?m)^X-Selftest[^\r]*\r\n", b"", head)


def welcoming(exchange: Exchange) -> bytes | None:
    """A log-in takes the name of the session that its cookie brings."""
    chosen = re.search(rb"selftest-a{34}", exchange.head)
    if chosen and exchange.method == "GET":
        return signed_by_another(exchange)
    return exchange.forward()


def counting(exchange: Exchange) -> bytes:
    """It tells how many log-ins there were: an answer of its own for each."""
    count = int(exchange.kept.get("count", b"0")) + 1
    exchange.kept["count"] = str(count).encode()
    return with_header(exchange.forward(), f"X-Count: {count}")


def refusing_later(exchange: Exchange) -> bytes:
    """Everything is well until a number of requests was made; then nothing is."""
    count = int(exchange.kept.get("count", b"0")) + 1
    exchange.kept["count"] = str(count).encode()
    return exchange.forward() if count <= 2 else answer("403 Forbidden")


def _withheld(shown: dict) -> None:
    shown["rubriques"]["qf_caf"] = {}


def _misses(shown: dict) -> None:
    shown["rubriques"]["adresse"] = None


def _holds_nir(shown: dict) -> None:
    shown["rubriques"]["famille"]["personnes"][0]["nir"] = "x"


def _holds_more(shown: dict) -> None:
    shown["notes"] = {}


def _unknown(shown: dict) -> None:
    shown["rubriques"]["sante_mentale"] = {}


def _normalised(target: str) -> str:
    return posixpath.normpath(unquote(unquote(target)).split("#")[0])


def _collapsed(target: str) -> str:
    return re.sub("/+", "/", target).rstrip("/") or "/"


def _folded(head: bytes) -> bytes:
    return re.sub(rb"(?m)^[A-Za-z_]+(?=:)", lambda found: found[0].replace(b"_", b"-"), head)


def _echo(exchange: Exchange) -> bytes:
    return answer("404 Not Found", f"No {exchange.target} here".encode("latin-1"))


SESSION = "/-/session"


def is_session(exchange: Exchange) -> bool:
    return exchange.target == SESSION


LIES: Mapping[str, Mapping[str, Lie]] = {
    "dot-segments": {"it normalises": retargeted(_normalised)},
    "doubled-slashes": {"it collapses": retargeted(_collapsed)},
    "odd-characters": {
        "backslashes are slashes": retargeted(lambda target: re.sub(r"%5C|\\", "/", target)),
        "parameters are cut": retargeted(lambda target: re.sub(";[^/]*", "", target)),
        "control characters are cut": retargeted(lambda target: re.sub("%(00|0A|20)", "", target)),
        "digits are digits": retargeted(
            lambda target: "/-/session" if "%D9%A9" in target else target,
        ),
    },
    "encoded-slashes": {"it answers itself": where(lambda exchange: "%2f" in exchange.target, says("200 OK", OK))},
    "encoded-ends": {
        "it cuts a fragment": retargeted(lambda target: target.split("#")[0]),
        "it decodes, then cuts": retargeted(lambda target: unquote(target).split("#")[0]),
        "it decodes a question mark": retargeted(lambda target: target.replace("%3F", "?")),
    },
    "foreign-hosts": {
        "it writes Host itself": lambda exchange: exchange.forward(
            re.sub(
                rb"\r\n", b"\r\nHost: 127.0.0.1:%d\r\n" % exchange.front.port, without("Host")(exchange.head), count=1
            )
        )
    },
    "undeclared-parameters": {"it drops them": retargeted(lambda target: target.partition("?")[0])},
    "paths-in-queries": {
        "it follows them": retargeted(lambda target: re.sub(r"^/x\?(path=)?(/[^?]*)\??$", r"\2", target)),
    },
    "claimed-identities": {
        "a name is enough": remembering(where(lambda exchange: exchange.header("X-Forwarded-User"), signed_by_another)),
        "a profile is a way": where(lambda exchange: exchange.header("X-Profil"), to_backend),
    },
    "original-urls": {
        "it follows them": lambda exchange: exchange.to_target(exchange.header("X-Rewrite-URL") or exchange.target)
    },
    "underscores": {
        "it believes one": where(lambda exchange: exchange.header("X_Profil"), to_backend),
        "it believes SCRIPT_NAME": where(lambda exchange: exchange.header("SCRIPT_NAME"), says("404 Not Found")),
    },
    "folded-underscores": {"it folds": reheaded(_folded)},
    "doubled-headers": {"the last one counts": reheaded(last_header_only)},
    "hop-by-hop": {
        "it switches protocols": where(lambda exchange: exchange.header("Upgrade"), says("101 Switching Protocols")),
        "it passes Trailer on": changed(lambda found: with_header(found, "Trailer: Expires")),
        "it drops what is named, and answers": where(
            lambda exchange: "Authorization" in exchange.header("Connection"), says("200 OK", OK)
        ),
    },
    "health-checkers": {
        "a name is enough": where(lambda exchange: "kube-probe" in exchange.header("User-Agent"), says("200 OK", OK))
    },
    "health-paths": {
        "it answers itself": where(lambda exchange: exchange.target == "/ping", says("200 OK", OK)),
        "it leads past": where(
            lambda exchange: exchange.target.startswith("/status/dossiers"),
            lambda exchange: exchange.forward(exchange.head.replace(b"/status", b"", 1), to=exchange.front.backend),
        ),
    },
    "overridden-methods": {"a header chooses": method_of("X-HTTP-Method-Override")},
    "unknown-methods": {
        "it writes capitals": reheaded(lambda head: head.split(b" ")[0].upper() + head[head.index(b" ") :]),
        "it answers a preflight": where(lambda exchange: exchange.method == "OPTIONS", says("204 No Content")),
        "it digs": where(lambda exchange: exchange.method == "CONNECT", says("200 Connected")),
    },
    "trace": {
        "it repeats": where(
            lambda exchange: exchange.method == "TRACE",
            lambda exchange: answer("200 OK", exchange.head, kind="message/http"),
        ),
        "it repeats in a refusal": where(
            lambda exchange: exchange.method == "TRACE",
            lambda exchange: answer("405 Method Not Allowed", exchange.head),
        ),
    },
    "heads": {
        "it tells another length": where(lambda exchange: exchange.method == "HEAD", whole_length),
        "it answers itself": where(lambda exchange: exchange.method == "HEAD", says("204 No Content")),
        "it adds a header": where(
            lambda exchange: exchange.method == "HEAD", changed(lambda found: with_header(found, "X-Size: 5848"))
        ),
    },
    "two-lengths": {"it believes one": tidied_length, "it waits for more": waits_for_more},
    "bad-chunks": {"it tidies them": tidied_length},
    "oversized": {
        "it cuts": tidied_size,
        "it takes large bodies": where(
            lambda exchange: len(exchange.header("Content-Length")) > 5, says("201 Created")
        ),
    },
    "json-web-tokens": {
        "it believes an unsigned one": remembering(
            where(lambda exchange: re.search(r"\.$", exchange.header("Authorization")), signed_by_another)
        ),
        "it knows a known key": remembering(
            where(lambda exchange: re.search(r"ey.*\.ey.*\..", exchange.header("Authorization")), signed_by_another)
        ),
    },
    "odd-tokens": {
        "it takes off quotes": reheaded(lambda head: head.replace(b'"', b"")),
        "it reads parameters": remembering(
            where(lambda exchange: "access_token" in exchange.target, signed_by_another)
        ),
    },
    "log-out": {
        "it does not pass it on": where(lambda exchange: exchange.method == "DELETE", says("204 No Content")),
        "it says something else": where(
            lambda exchange: exchange.method == "DELETE", changed(lambda found: answer("200 OK"))
        ),
    },
    "fixation": {"the name that was chosen": remembering(welcoming)},
    "cross-site": {
        "it opens to others": changed(lambda found: with_header(found, "Access-Control-Allow-Origin: *")),
        "it drops Origin": where(lambda exchange: exchange.method == "POST", reheaded(without("Origin"))),
        "it drops what protects": where(
            lambda exchange: exchange.method == "DELETE" and exchange.header("Cookie"), says("204 No Content")
        ),
    },
    "redirects": {
        "it takes a slash off": where(
            lambda exchange: exchange.target == f"{SESSION}/", says("301 Moved", b"", f"Location: {SESSION}")
        ),
        "it sends elsewhere": where(
            lambda exchange: exchange.target.startswith("//"), says("302 Found", b"", "Location: //selftest.invalid/")
        ),
    },
    "cookie-flags": {
        "scripts may read it": changed(lambda found: found.replace(b"; HttpOnly", b"")),
        "other sites may send it": changed(lambda found: found.replace(b"SameSite=Strict", b"SameSite=None")),
        "other hosts get it": changed(lambda found: found.replace(b"Path=/;", b"Path=/; Domain=example;")),
        "it is lost": changed(lambda found: without_header(found, "Set-Cookie")),
        "there is another": changed(lambda found: with_header(found, "Set-Cookie: route=1")),
    },
    "unknown-identifiers": {
        "it knows who exists": where(
            lambda exchange: exchange.method == "POST",
            lambda exchange: (
                found if status_of(found := exchange.forward()) == 201 else answer("404 Not Found", b"No such user")
            ),
        ),
        "it counts": where(lambda exchange: exchange.method == "POST", counting),
    },
    "stuffing": {"nobody counts": where(lambda exchange: b"selftest-" in exchange.rest, says("401 Unauthorized"))},
    "kept-answers": {
        "it keeps": keeping,
        "it drops the id": changed(lambda found: without_header(found, "X-Request-Id")),
    },
    "other-dossiers": {
        "they are all one": where(lambda exchange: exchange.target.startswith("/dossiers/"), first_dossier)
    },
    "cache-headers": {
        "it drops no-store": changed(lambda found: without_header(found, "Cache-Control")),
        "it says otherwise too": changed(lambda found: with_header(found, "Cache-Control: max-age=60")),
        "it tells an age": changed(lambda found: with_header(found, "Age: 3")),
    },
    "deceived-cache": {"endings are nothing": retargeted(lambda target: target.removesuffix("/selftest.css"))},
    "open-rubrics": {
        "it leads past the gateway": where(lambda exchange: exchange.target.startswith("/dossiers/"), to_backend),
        "a rubric too many": document(_withheld),
        "a rubric that is null": document(_misses),
        "a field too many": document(_holds_nir),
        "a key too many": document(_holds_more),
        "an unknown rubric": document(_unknown),
        "no policy": changed(lambda found: without_header(found, "X-Policy")),
        "a key twice": changed(
            lambda found: with_body(found, body_of(found).replace(b'{"numero"', b'{"numero":"","numero"'))
        ),
        "not JSON": where(lambda exchange: exchange.target.startswith("/dossiers/"), says("200 OK", b"%PDF")),
    },
    "closed-rubrics": {"one address leads past": where(lambda exchange: "/rubriques/" in exchange.target, to_backend)},
    "without-session": {
        "strangers are led past": where(lambda exchange: exchange.target.startswith("/dossiers/"), to_backend)
    },
    "compressed": {
        "it compresses": compressing,
        "it would": changed(lambda found: with_header(found, "Vary: Accept-Encoding")),
    },
    "declared-types": {
        "guesses are welcome": changed(lambda found: without_header(found, "X-Content-Type-Options")),
        "frames are welcome": changed(lambda found: found.replace(b"frame-ancestors 'none'", b"frame-ancestors *")),
        "referrers are sent": changed(lambda found: without_header(found, "Referrer-Policy")),
        "another type": changed(lambda found: found.replace(b"application/json", b"text/html")),
    },
    "partial-answers": {"it answers in parts": in_parts},
    "validators": {"it tags": changed(lambda found: with_header(found, 'ETag: "x"'))},
    "problems": {
        "it has pages of its own": lambda exchange: (
            found if status_of(found := exchange.forward()) < 400 else answer(f"{status_of(found)} Sorry", b"Oh.")
        ),
        "it names requests itself": changed(
            lambda found: with_header(without_header(found, "X-Request-Id"), "X-Request-Id: x")
        ),
    },
    "absent-dossiers": {
        "other words": where(lambda exchange: exchange.target == "/dossiers/9990002", other_words),
        "it opens it": where(lambda exchange: exchange.target == "/dossiers/9990002", to_backend),
    },
    "health": {
        "it tells too much": where(
            lambda exchange: exchange.target == "/-/health/ready", says("200 OK", b'{"status": "ready", "agents": 3}')
        ),
        "it names someone": where(
            lambda exchange: exchange.target == "/-/health/ready", says("200 OK", b'{"status": "t9 is here"}')
        ),
        "it is a page": where(lambda exchange: exchange.target == "/-/health/live", says("200 OK", b"up")),
    },
    "metrics": {
        "one spelling is open": where(lambda exchange: exchange.target == "/-%2Fmetrics", says("200 OK", b"up 1")),
        "any token is good": where(
            lambda exchange: exchange.target == "/-/metrics" and exchange.header("Authorization"),
            says("200 OK", b"up 1"),
        ),
    },
    "metadata": {
        "it serves files": where(lambda exchange: exchange.target == "/.env", says("200 OK", b"KEY=x")),
        "its description names someone": where(
            lambda exchange: exchange.target == "/-/openapi.json", says("200 OK", b'{"example": "9990001"}')
        ),
    },
    "telling-headers": {
        "a version": changed(lambda found: with_header(found, "Server: nginx/1.22.1")),
        "two names": changed(lambda found: with_header(with_header(found, "Server: a"), "Server: b")),
        "a language": changed(lambda found: with_header(found, "X-Powered-By: PHP")),
        "a version on the way": changed(lambda found: with_header(found, "Via: 1.1 squid/6")),
        "a page": where(lambda exchange: b"no header" in exchange.head, says("400 Bad Request", b"nginx/1.22.1")),
    },
    "reflections": {
        "a page": where(lambda exchange: "script" in exchange.target, _echo),
        "a header": lambda exchange: with_header(
            exchange.forward(), f"X-Correlation-Id: {exchange.header('X-Correlation-Id')}"
        ),
        "a line": lambda exchange: with_header(
            exchange.forward(), "X-Was: " + unquote(exchange.target) if exchange.target.isascii() else "X-Was: "
        ),
    },
}
"""By check, then by the lie."""
