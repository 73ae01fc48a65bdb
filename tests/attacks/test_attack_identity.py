"""Lines 14, 15, 16 and 18: who asks, whether it may still ask, and that nobody is given what was another's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

import pytest

from gateway.identity import directory
from gateway.identity.tables import account, convention, mandate
from tests.attacks.sending import DOSSIER, Sender, lines
from tests.story.brochure import DOCUMENTS, OPEN, PROFILES, kept_dossier, kept_rubric, members
from tests.story.running import PASSWORD, Answer, Client, Gateway, circle, is_problem, until
from tests.story.test_story_revocation import Agent, day
from upstream_stub.dossiers import VARIANTS, dossier_text

JSON = {"Content-Type": "application/json"}
SERIAL = count(1)
JOURNEY = 4_000
"""Requests that many agents send over few connections."""


# ---------------------------------------------------------------------------------------------------- 14: tokens


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


CLAIMS = {"iss": "https://cafpro.example", "aud": "cafpro", "sub": "t1", "profile": "T1", "exp": 4_102_444_800}
PUBLIC_KEY = (
    b"-----BEGIN PUBLIC KEY-----\n"
    b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    b"-----END PUBLIC KEY-----\n"
)


def jwt(claims: object = CLAIMS, *, key: bytes = b"secret", **header: object) -> str:
    """A token signed with HMAC, whatever its header says."""
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', **header})}.{part(claims)}"
    return f"{signed}.{part(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


def unsigned(alg: str) -> str:
    return f"{part({'alg': alg, 'typ': 'JWT'})}.{part(CLAIMS)}."


def without(name: str) -> dict[str, object]:
    return {claim: value for claim, value in CLAIMS.items() if claim != name}


class Elsewhere:
    """An address that a token names, and where nobody must come."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/keys.json"

    def nobody_came(self) -> None:
        with pytest.raises(BlockingIOError):
            self._listener.accept()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with closing(Elsewhere()) as found:
        yield found


OWN_KEY = {"kty": "oct", "k": part(b"secret"), "kid": "1"}
TOKENS: dict[str, Callable[[Sender, str], str]] = {
    "CVE-2026-39999: no algorithm": lambda _, __: unsigned("none"),
    "CVE-2026-39999: no algorithm, in capitals": lambda _, __: unsigned("NoNe"),
    "CVE-2026-39999: an empty algorithm": lambda _, __: unsigned(""),
    "CVE-2026-39999: HMAC with the public key": lambda _, __: jwt(key=PUBLIC_KEY),
    "CVE-2026-39999: HMAC with the public key, said to be RSA": lambda _, __: jwt(key=PUBLIC_KEY, alg="RS256"),
    "CVE-2026-39999: HMAC with nothing": lambda _, __: jwt(key=b""),
    "HMAC with a key of the gateway's own": lambda sender, _: jwt(
        key=bytes.fromhex((sender.gateway.folder / "record.key").read_text().strip())
    ),
    "CVE-2024-47616: another's, for another": lambda _, __: jwt({**CLAIMS, "iss": "pomerium", "aud": "databroker"}),
    "another issuer": lambda _, __: jwt({**CLAIMS, "iss": "https://ailleurs.example"}),
    "another audience": lambda _, __: jwt({**CLAIMS, "aud": ["ailleurs"]}),
    **{f"without {name}": lambda _, __, name=name: jwt(without(name)) for name in CLAIMS},  # type: ignore[misc]
    "expired": lambda _, __: jwt({**CLAIMS, "exp": 1}),
    "not yet valid": lambda _, __: jwt({**CLAIMS, "nbf": 4_102_444_000}),
    "expires never": lambda _, __: jwt({**CLAIMS, "exp": 1e400}),
    "a key named by a path": lambda _, __: jwt(key=b"", kid="../../../../dev/null"),
    "a key named by a question": lambda _, __: jwt(kid="x' UNION SELECT 'secret' --"),
    "a key named by a command": lambda _, __: jwt(kid="|touch CANARI-executed"),
    "its own key": lambda _, __: jwt(jwk=OWN_KEY),
    "the address of its key": lambda _, url: jwt(jku=url),
    "the address of its certificate": lambda _, url: jwt(x5u=url),
    "an issuer that is an address": lambda _, url: jwt({**CLAIMS, "iss": url.rpartition("/")[0]}),
    "a good token as the subject": lambda sender, _: jwt({**CLAIMS, "sub": sender.token(), "sid": sender.token()}),
    "a good token as the key's name": lambda sender, _: jwt(kid=sender.token()),
    "a good token before": lambda sender, _: f"{sender.token()}.{part(CLAIMS)}.{part(b'x')}",
    "a good token in three parts": lambda sender, _: ".".join((sender.token(),) * 3),
    "encrypted, five parts": lambda _, __: ".".join((part({"alg": "dir", "enc": "A256GCM"}), "", *["AAAA"] * 3)),
    "a header that is no object": lambda _, __: f"{part([])}.{part(CLAIMS)}.AAAA",
    "nothing but points": lambda _, __: "..",
    "of 7 000 characters": lambda _, __: jwt({**CLAIMS, "x": "a" * 5_000}),
}


@pytest.mark.attack(14)
@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_a_json_web_token_is_no_session_and_nothing_is_fetched_for_it(sender: Sender, elsewhere, token):
    """Sessions are opaque here: whatever a token says of itself is not read, and no key is looked for."""
    written = token(sender, elsewhere.url)
    for header in (f"Authorization: Bearer {written}", f"Cookie: cafpro={written}"):
        tried = sender.send(lines(f"GET {DOSSIER} HTTP/1.1", sender.host, header), profile=None)
        tried.refused(401, "GW102")
        assert (tried.row["agent"], tried.row["because"]) == ("", "malformed token")
        assert written not in tried.logged
    elsewhere.nobody_came()


def nearly(token: str) -> dict[str, str]:
    """What is nearly this token."""
    flipped = {
        f"one bit of character {place}": f"{token[:place]}{near}{token[place + 1 :]}"
        for place in range(0, len(token), 3)
        for near in [next(c for c in map(chr, (ord(token[place]) ^ bit for bit in (1, 2, 4, 16, 64))) if c.isalnum())]
    }
    return {
        **flipped,
        # The last of 43 characters carries four bits of 256: two of its neighbours stand for the same bytes.
        **{f"the same bytes, {c!r} at the end": token[:-1] + c for c in same_bytes(token)},
        "other capitals": token.swapcase(),
        "small letters": token.lower(),
        "without its last character": token[:-1],
        "without its first": token[1:],
        "with one more": token + "A",
        "with its padding": token + "=",
        "with a point": token + ".",
        "twice": token * 2,
        "in quotes": f'"{token}"',
        "with a comma": f"{token},{token}",
        "with a semicolon": f"{token};",
        "with a blank before": f" {token}",
        "encoded": "".join(f"%{ord(c):02X}" for c in token),
        "in hexadecimal": token.encode().hex(),
        "its hash": hashlib.sha256(token.encode()).hexdigest(),
        "with a star": token[:-1] + "*",
        "with a wildcard of SQL": token[:-1] + "_" if token[-1] != "_" else token[:-1] + "-",
        "in full-width letters": "".join(chr(ord(c) + 0xFEE0) for c in token),
        "with a Cyrillic letter": "А" + token[1:],
        "with a zero-width space": token + "\u200b",
        "with a byte above 127": token[:-1] + "\xff",
        "nothing": "",
    }


def same_bytes(token: str) -> list[str]:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = alphabet.index(token[-1])
    return [alphabet[place & ~3 | low] for low in range(4) if place & ~3 | low != place]


@pytest.mark.attack(14)
def test_what_is_nearly_a_token_is_none(sender: Sender):
    token = sender.token()
    assert sender.get(DOSSIER).answer.status == 200
    for change, other in nearly(token).items():
        assert other != token, change
        # In a Cookie a semicolon ends the value: that is the good token.
        for header in ("Authorization: Bearer ", "Cookie: cafpro=")[: 1 if change == "with a semicolon" else 2]:
            head = lines(f"GET {DOSSIER} HTTP/1.1", sender.host).removesuffix(b"\r\n")
            request = head + header.encode() + other.encode("utf-8" if not other.isascii() else "ascii") + b"\r\n\r\n"
            tried = sender.send(request, profile=None)
            tried.refused(401, "GW102")
    assert sender.get(DOSSIER).answer.status == 200


# --------------------------------------------------------------------------------------- 15: rights that change


class Change(NamedTuple):
    """A right that goes, what is answered then, and how it comes back."""

    profile: str
    go: Callable[[Agent], object]
    status: int
    code: str
    back: Callable[[Agent], object] | None
    """None for what does not come back: a session that was ended."""


CHANGES = {
    "CVE-2021-41230: an agent that is suspended": Change(
        *("T1", lambda agent: agent.cafpro("account", "suspend", agent.identifier)),
        *(403, "GW110", lambda agent: agent.cafpro("account", "resume", agent.identifier)),
    ),
    "CVE-2021-41230: a convention that is suspended": Change(
        *("T1", lambda agent: agent.cafpro("convention", "suspend", agent.convention)),
        *(403, "GW312", lambda agent: agent.cafpro("convention", "resume", agent.convention)),
    ),
    "a convention that has ended": Change(
        *("T1", lambda agent: agent.write(convention, ends_on=day(-1))),
        *(403, "GW313", lambda agent: agent.write(convention, ends_on=day(30))),
    ),
    "a convention that opens other profiles": Change(
        *("T1", lambda agent: agent.write(convention, profiles="T2 T3")),
        *(403, "GW311", lambda agent: agent.write(convention, profiles="T1")),
    ),
    "an engagement that is withdrawn": Change(
        *("T1", lambda agent: agent.write(account, engagement_version=None)),
        *(403, "GW314", lambda agent: agent.write(account, engagement_version="2012-07")),
    ),
    "a mandate that is released": Change(
        *("T9", lambda agent: agent.cafpro("mandate", "release", str(agent.mandate))),
        *(403, "GW320", lambda agent: agent.write(mandate, released_at=None)),
    ),
    "an objection": Change(
        *("T1", lambda agent: agent.cafpro("objection", "raise", agent.dossier, "--reference", "Lettre")),
        *(403, "GW320", lambda agent: agent.cafpro("objection", "lift", agent.dossier)),
    ),
    "CVE-2021-41230: a profile that is another": Change(
        *("T1", lambda agent: agent.cafpro("account", "profiles", agent.identifier, "--profile", "T2")),
        *(401, "GW102", lambda agent: agent.cafpro("account", "profiles", agent.identifier, "--profile", "T1")),
    ),
    "sessions that are ended": Change(
        *("T1", lambda agent: agent.cafpro("session", "end", agent.identifier)),
        *(401, "GW102", None),
    ),
}


@pytest.fixture
def agent_of(attacked: Gateway, request: pytest.FixtureRequest) -> Callable[[str], Agent]:
    """An agent of its own, before a dossier of its own, with a mandate where the profile needs one."""

    def enter(profile: str) -> Agent:
        number = next(SERIAL)
        agent = Agent(attacked, profile, f"droits-{number}", str(9_985_000 + number))
        attacked.enter(agent.identifier, profile)
        if profile == "T9":
            agent.mandate = attacked.entrust(agent.identifier, agent.dossier, "judgment")
        agent.session = attacked.log_in(agent.identifier)
        return agent

    return enter


@pytest.mark.attack(15)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_right_that_goes_is_gone_at_the_next_request_in_every_worker(agent_of, change):
    """On connections that are open already, in both workers, while others go on asking: whatever is asked after the
    change has been made is refused. (Two seconds are promised.)"""
    agent = agent_of(change.profile)
    path = f"/dossiers/{agent.dossier}"
    good = (200, kept_dossier(dossier_text(agent.dossier), OPEN[change.profile]))
    with circle(agent.gateway, path, agent.session) as around, Others(agent, path) as others:
        for _ in range(3 if change.back else 1):
            assert {(answer.status, answer.body) for answer in around.ask()} == {good}
            change.go(agent)
            gone = time.monotonic()
            refused = around.ask()
            meanwhile = others.since(gone)
            if change.back:
                change.back(agent)
            for answer in (*refused, *meanwhile):
                is_problem(answer, change.status, change.code)
            rows = [agent.gateway.recorded(answer) for answer in refused]
            assert {(row["status"], row["rubrics"], row["rules"]) for row in rows} == {(change.status, "[]", "[]")}


class Others:
    """Two clients that ask for the same, each on its connection, as long as the block lasts."""

    def __init__(self, agent: Agent, path: str) -> None:
        self._agent, self._path = agent, path
        self._over = threading.Event()
        self._seen: list[tuple[float, Answer]] = []

    def since(self, moment: float) -> list[Answer]:
        """Ten answers to what was asked after that moment."""

        def asked_later() -> list[Answer]:
            return [answer for asked, answer in list(self._seen) if asked > moment]

        until(lambda: len(asked_later()) >= 10, "others are answered")
        return asked_later()

    def __enter__(self) -> Others:
        self._hands = ThreadPoolExecutor(2)
        self._asking = [self._hands.submit(self._ask) for _ in range(2)]
        return self

    def _ask(self) -> None:
        with closing(Client(self._agent.gateway.url)) as client:
            while not self._over.is_set():
                asked = time.monotonic()
                self._seen.append((asked, client.ask(self._path, self._agent.session)))

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._hands.shutdown()
        for asking in self._asking:
            asking.result()


# ------------------------------------------------------------------------------------------------- 16: sessions


def cookie_of(opened: Answer) -> str:
    return opened.one("Set-Cookie").partition(";")[0]


@pytest.mark.attack(16)
def test_a_log_in_never_goes_on_with_the_session_that_a_browser_came_with(attacked: Gateway, sender: Sender):
    """CWE-384: an attacker plants its own session, or one it has made up, in the browser of who is about to log in."""
    planted = attacked.sign_in("t2")
    body = json.dumps({"identifier": "t1", "password": PASSWORD}).encode()
    for cookie in (cookie_of(planted), f"cafpro={'A' * 43}", "cafpro=", f"cafpro={'A' * 43}; {cookie_of(planted)}"):
        opened = attacked.ask("/-/session", {**JSON, "Cookie": cookie}, method="POST", body=body)
        assert opened.status == 201
        token = opened.json()["token"]
        assert token not in cookie
        assert cookie_of(opened) == f"cafpro={token}"
        assert attacked.ask("/-/session", {"Cookie": cookie_of(opened)}).json()["identifier"] == "t1"
        # What was planted is what it was: the attacker's own, or nobody's.
        assert attacked.ask("/-/session", {"Cookie": cookie_of(planted)}).json()["identifier"] == "t2"
        answer = attacked.ask("/dossiers/9990001", {"Cookie": f"cafpro={'A' * 43}"})
        is_problem(answer, 401, "GW102")
    rows = attacked.record_rows(act="log_in")[-4:]
    assert [(row["agent"], row["status"]) for row in rows] == [("t1", 201)] * 4


@pytest.mark.attack(16)
@pytest.mark.parametrize("by", ["bearer", "cookie"])
def test_a_session_that_was_left_is_over_in_every_worker(attacked: Gateway, by: str):
    opened = attacked.sign_in("t1")
    token, csrf = opened.json()["token"], opened.json()["csrf_token"]
    other = attacked.log_in("t1")
    session = {"Authorization": f"Bearer {token}"} if by == "bearer" else {"Cookie": f"cafpro={token}"}
    leaving = {**session, **({} if by == "bearer" else {"Origin": attacked.url, "X-CSRF-Token": csrf})}
    with circle(attacked, DOSSIER, session) as around:
        assert {answer.status for answer in around.ask()} == {200}
        assert attacked.ask("/-/session", leaving, method="DELETE").status == 204
        for answer in around.ask():
            is_problem(answer, 401, "GW102")
        again = attacked.log_in("t1")
        for answer in around.ask():
            is_problem(answer, 401, "GW102")
            assert attacked.recorded(answer)["because"] == "unknown token"
    is_problem(attacked.ask("/-/session", leaving, method="DELETE"), 401, "GW102")
    # Nobody else's session ended with it.
    assert [attacked.ask(DOSSIER, headers).status for headers in (other, again)] == [200, 200]


def foreign(url: str) -> dict[str, list[str]]:
    """The headers by which a request tells that it comes from elsewhere, or does not tell that it comes from us."""
    port = url.rpartition(":")[2]
    return {
        "a sandboxed frame": ["Origin: null"],
        "another site": ["Origin: https://ailleurs.example"],
        "a site called like ours": [f"Origin: {url}.ailleurs.example"],
        "a site that ends like ours": [f"Origin: http://ailleurs127.0.0.1:{port}"],
        "a subdomain, which is the same site": [f"Origin: http://portail.127.0.0.1:{port}"],
        "another port, which is the same site": ["Origin: http://127.0.0.1:1"],
        "another scheme": [f"Origin: https://127.0.0.1:{port}"],
        "ours, with a path": [f"Origin: {url}/"],
        "ours, in a list": [f"Origin: {url} https://ailleurs.example"],
        "ours, after another": ["Origin: https://ailleurs.example", f"Origin: {url}"],
        "ours, before another": [f"Origin: {url}", "Origin: https://ailleurs.example"],
        "an empty origin": ["Origin:"],
    }


@pytest.mark.attack(16)
@pytest.mark.parametrize("where", foreign("http://127.0.0.1:0"))
def test_another_site_neither_ends_a_session_nor_opens_one(attacked: Gateway, sender: Sender, where: str):
    """CWE-352, with the right change token, which another site cannot know; and a log-in, which would be the
    attacker's own in somebody else's browser."""
    headers = foreign(attacked.url)[where]
    opened = attacked.sign_in("t1")
    kept = f"Cookie: {cookie_of(opened)}"
    token = f"X-CSRF-Token: {opened.json()['csrf_token']}"
    ends = lines("DELETE /-/session HTTP/1.1", sender.host, kept, token, *headers)
    sender.send(ends, profile=None, method="DELETE").refused(403, "GW111")
    for kind, refused in (("application/json", (403, "GW111")), ("text/plain", (403, "GW111"))):
        body = json.dumps({"identifier": "t2", "password": PASSWORD}).encode()
        typed = (f"Content-Type: {kind}", f"Content-Length: {len(body)}", kept)
        tried = sender.send(
            lines("POST /-/session HTTP/1.1", sender.host, *typed, *headers) + body, profile=None, method="POST"
        )
        tried.refused(*refused)
        assert tried.answer.all("Set-Cookie") == []
    assert attacked.ask("/-/session", {"Cookie": cookie_of(opened)}).json()["identifier"] == "t1"


@pytest.mark.attack(16)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((), id="no origin"),
        pytest.param(("Referer: {url}/",), id="a Referer of ours alone"),
        pytest.param(("Referer: https://ailleurs.example/",), id="a Referer of another site"),
        pytest.param(("Sec-Fetch-Site: same-origin",), id="a word of the browser's"),
        pytest.param(("X-Forwarded-Host: {host}", "X-Forwarded-Proto: http"), id="a proxy's words"),
    ],
)
def test_a_cookie_without_an_origin_ends_no_session(attacked: Gateway, sender: Sender, headers):
    opened = attacked.sign_in("t1")
    named = [header.format(url=attacked.url, host=attacked.host) for header in headers]
    kept = (f"Cookie: {cookie_of(opened)}", f"X-CSRF-Token: {opened.json()['csrf_token']}")
    tried = sender.send(lines("DELETE /-/session HTTP/1.1", sender.host, *kept, *named), profile=None, method="DELETE")
    tried.refused(403, "GW111")
    assert attacked.ask("/-/session", {"Cookie": cookie_of(opened)}).status == 200


@pytest.mark.attack(16)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "text/plain"])
def test_what_a_form_can_send_logs_nobody_in(sender: Sender, kind: str):
    """A form needs no permission of ours (no preflight), and can write JSON in text/plain."""
    body = json.dumps({"identifier": "t1", "password": PASSWORD}).encode()
    typed = (f"Content-Type: {kind}", f"Content-Length: {len(body)}")
    tried = sender.send(lines("POST /-/session HTTP/1.1", sender.host, *typed) + body, profile=None, method="POST")
    tried.refused(415, "GW206")
    assert tried.answer.all("Set-Cookie") == []


@pytest.mark.attack(16)
def test_no_other_site_is_allowed_to_read_or_to_ask_beforehand(attacked: Gateway, sender: Sender):
    opened = attacked.sign_in("t2")
    asks = ("Origin: https://ailleurs.example", "Access-Control-Request-Method: DELETE")
    for method, path, status in (("OPTIONS", "/-/session", 405), ("OPTIONS", DOSSIER, 405), ("GET", DOSSIER, 200)):
        head = lines(f"{method} {path} HTTP/1.1", sender.host, f"Cookie: {cookie_of(opened)}", *asks)
        answer = sender.send(head, method=method).answer
        assert answer.status == status
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.attack(16)
def test_the_proof_of_another_browser_is_no_proof(attacked: Gateway, sender: Sender):
    mine, theirs = attacked.sign_in("t1"), attacked.sign_in("t2")
    same = attacked.sign_in("t1")
    ours = f"Origin: {attacked.url}"
    for other in (theirs, same):
        token = f"X-CSRF-Token: {other.json()['csrf_token']}"
        head = lines("DELETE /-/session HTTP/1.1", sender.host, f"Cookie: {cookie_of(mine)}", ours, token)
        sender.send(head, profile=None, method="DELETE").refused(403, "GW111")
        bearer = f"Authorization: Bearer {other.json()['token']}"
        for method, path in (("GET", DOSSIER), ("DELETE", "/-/session")):
            head = lines(f"{method} {path} HTTP/1.1", sender.host, f"Cookie: {cookie_of(mine)}", bearer, ours)
            sender.send(head, profile=None, method=method).refused(401, "GW104")
    for opened, identifier in ((mine, "t1"), (theirs, "t2"), (same, "t1")):
        answer = attacked.ask("/-/session", {"Cookie": cookie_of(opened)})
        assert (answer.status, answer.json()["identifier"]) == (200, identifier)


TURNED = {
    "a parameter": "/-/session?next=https://ailleurs.example",
    "another parameter": "/-/session?url=//ailleurs.example&redirect=1",
    "a parameter of OpenID's": "/-/session?redirect_uri=https://ailleurs.example&state=x",
    "two slashes": "//ailleurs.example/-/session",
    "two slashes behind": "/-/session//ailleurs.example",
    "a slash behind": "/-/session/",
    "two slashes within": "/-//session",
    "a backslash": "/\\ailleurs.example/-/session",
    "a user before the host": "/-/session@ailleurs.example",
    "points": "/-/session/../session",
    "a line feed, encoded": "/-/session%0d%0aLocation:%20https://ailleurs.example",
}


@pytest.mark.attack(16)
@pytest.mark.parametrize("target", TURNED.values(), ids=TURNED)
def test_no_log_in_whatever_its_address_sends_a_browser_elsewhere(sender: Sender, target: str):
    body = json.dumps({"identifier": "t2", "password": PASSWORD}).encode()
    heads = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    more = ("Referer: https://ailleurs.example/", "X-Forwarded-Host: ailleurs.example")
    for method, sent in (("POST", body), ("GET", b"")):
        head = lines(f"{method} {target} HTTP/1.1", sender.host, *(heads if sent else ()), *more)
        tried = sender.send(head + sent, profile=None, method=method)
        assert len(tried.answers) <= 1
        for answer in tried.answers:
            assert not 300 <= answer.status < 400
            assert answer.all("Location") + answer.all("Refresh") + answer.all("Content-Location") == []
            assert "ailleurs" not in answer.text()


# ----------------------------------------------------------------------------------- 18: never another's answer


class Errand(NamedTuple):
    """Who asks for what, and the only bytes that may come of it."""

    profile: str
    dossier: str
    path: str
    status: int
    body: bytes
    """Of a refusal, its code."""


def errands(stub: str) -> list[Errand]:
    """For all profiles, families and kinds of address, what the brochure opens."""
    found = []
    with closing(Client(stub)) as backend:
        whole = {numero: backend.ask(f"/dossiers/{numero}").body for numero in VARIANTS}
        files = {
            (numero, folder): backend.ask(f"/dossiers/{numero}/{folder}/{prefix}-{numero}-0.pdf")
            for numero in VARIANTS
            for folder, (_, prefix) in DOCUMENTS.items()
        }
    for profile in PROFILES:
        for numero in VARIANTS:
            base = f"/dossiers/{numero}"
            if numero == "9990008" or (profile in ("T9", "T10") and numero == "9990002"):
                found.append(Errand(profile, numero, base, 403, b"GW320"))
                continue
            found.append(Errand(profile, numero, base, 200, kept_dossier(whole[numero], OPEN[profile])))
            rubrics = members(members(whole[numero].decode())["rubriques"])
            for slug in ("adresse", "famille", "qf_cnaf"):
                opened = slug in OPEN[profile]
                body = kept_rubric(slug, rubrics[slug]).encode() if opened else b"GW301"
                found.append(Errand(profile, numero, f"{base}/rubriques/{slug}", 200 if opened else 403, body))
            for folder, (slug, prefix) in DOCUMENTS.items():
                file = files[numero, folder]
                path = f"{base}/{folder}/{prefix}-{numero}-0.pdf"
                if slug not in OPEN[profile]:
                    found.append(Errand(profile, numero, path, 403, b"GW301"))
                else:
                    found.append(
                        Errand(profile, numero, path, file.status, file.body if file.status == 200 else b"GW401")
                    )
    return found


def is_its_own(errand: Errand, answer: Answer) -> None:
    if errand.status == 200:
        assert (answer.status, answer.body) == (200, errand.body), (errand[:3], answer.status)
    else:
        is_problem(answer, errand.status, errand.body.decode())


def change_facts(gateway: Gateway, over: threading.Event) -> int:
    """Facts of other agents, and of one dossier that nobody asks for, change all the time; how often they did."""
    made = 0
    gateway.enter("changeant", "T1", "T2")
    while not over.is_set():
        directory.raise_objection(gateway.store, dossier="1234567", reference="Opposition", now=datetime.now(UTC))
        directory.suspend_account(gateway.store, identifier="changeant")
        directory.lift_objection(gateway.store, dossier="1234567", now=datetime.now(UTC))
        directory.resume_account(gateway.store, identifier="changeant")
        gateway.entrust("t9", "1234567", "masp")
        made += 1
    return made


@pytest.mark.attack(18)
@pytest.mark.parametrize("changing", [False, True], ids=["facts at rest", "facts that change"])
def test_nobody_is_ever_given_what_another_was_answered(gateway: Gateway, sessions, stub_url, changing):
    """CVE-2021-32701, CVE-2026-33729, and the 7 000 dossiers of 2021: all profiles, families and kinds of address in
    one shuffle over eight connections and both workers, each answer compared whole with its own, each row with who
    asked for what."""
    all_errands = errands(stub_url)
    assert {errand.profile for errand in all_errands} == set(PROFILES)
    shuffle = random.Random(18).choices(all_errands, k=JOURNEY // (2 if changing else 1))
    over = threading.Event()
    last = len(gateway.record_rows())

    def travel(hand: int) -> list[tuple[Errand, str]]:
        with closing(Client(gateway.url)) as client:
            answered = []
            for errand in shuffle[hand::8]:
                answer = client.ask(errand.path, sessions[errand.profile])
                is_its_own(errand, answer)
                answered.append((errand, answer.one("X-Request-Id")))
            return answered

    with ThreadPoolExecutor(9) as hands:
        writer = hands.submit(change_facts, gateway, over) if changing else None
        try:
            answered = [pair for pairs in list(hands.map(travel, range(8))) for pair in pairs]
        finally:
            over.set()
    assert writer is None or writer.result() > 5
    rows = {row["request_id"]: row for row in gateway.record_rows()[last:]}
    marks: dict[str, set[str]] = {}
    for errand, request_id in answered:
        row = rows[request_id]
        assert (row["agent"], row["profile"], row["status"]) == (errand.profile.lower(), errand.profile, errand.status)
        marks.setdefault(errand.dossier, set()).add(row["dossier"])
    assert len(set().union(*marks.values())) == len(marks) == len(VARIANTS), "one mark for each dossier"


@pytest.mark.attack(18)
def test_a_fact_that_changes_under_load_changes_the_answers_of_its_agent_alone(agent_of, attacked: Gateway):
    """Two agents of one profile before one dossier, on the same two connections, in turn: one is stopped again and
    again. What is remembered of a decision, of an agent or of a dossier must never stand for the other's."""
    one, two = agent_of("T9"), agent_of("T9")
    two.dossier = one.dossier
    attacked.entrust(two.identifier, one.dossier, "judgment")
    good = (200, kept_dossier(dossier_text(one.dossier), OPEN["T9"]))
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(Client(attacked.url))) for _ in range(4)]

        def ask(agent: Agent) -> list[Answer]:
            return [client.ask(f"/dossiers/{one.dossier}", agent.session) for client in clients]

        for turn in range(12):
            stopped, other = (one, two) if turn % 2 else (two, one)
            if turn % 3:
                stopped.write(convention, profiles="T10")
            else:
                attacked.cafpro("account", "suspend", stopped.identifier)
            for _ in range(3):
                assert {answer.status for answer in ask(stopped)} == {403}
                assert {(answer.status, answer.body) for answer in ask(other)} == {good}
            if turn % 3:
                stopped.write(convention, profiles="T9")
            else:
                attacked.cafpro("account", "resume", stopped.identifier)
            assert {(answer.status, answer.body) for answer in ask(stopped)} == {good}


@pytest.mark.attack(18)
def test_nobody_between_us_and_a_reader_may_keep_an_answer(sender: Sender):
    """Whatever is answered says so, and nothing in a request can change it."""
    asks = ("Cache-Control: max-age=86400, only-if-cached", "If-None-Match: *", "Range: bytes=0-1")
    for path in (DOSSIER, "/dossiers/9990002/rubriques/creances", "/nothing", "/dossiers/abc", "/-/session"):
        answer = sender.get(path, *asks).answer
        assert answer.all("Cache-Control") == ["no-store"]
        assert [name for name in ("ETag", "Last-Modified", "Age", "Expires", "Vary") if answer.all(name)] == []
        assert answer.status not in (206, 304, 416)
