"""What stands around a gateway: the environment of its client, the addresses for machines, logs, spreadsheets, markup.

Line 29 of the list: certificates are tried in tests/proxy and tests/story. Line 33: tests/faults.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import __version__
from gateway.cli.main import main
from gateway.identity.sessions import sign_in
from gateway.policy_files.folder import load_folder, shipped
from gateway.settings import Identity
from tests.attacks.sending import DOSSIER, PROFILE, lines
from tests.story import warm
from tests.story.brochure import OPEN, PROFILES, kept_dossier
from tests.story.running import CAISSE, PASSWORD, PATIENCE, Gateway, environment, is_problem, until
from upstream_stub.dossiers import dossier_text

TOKEN = "moissonneuse-0123456789-0123456789"


class Listening:
    """Keeps what is said to it byte for byte, and answers each request with `answer(its head)`."""

    def __init__(self, answer=lambda head: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                self._threads.append(threading.Thread(target=self._converse, args=(connection,)))
                self._threads[-1].start()

    def _converse(self, connection: socket.socket) -> None:
        received = b""
        with contextlib.suppress(OSError), connection:
            while piece := connection.recv(65_536):
                received += piece
                while b"\r\n\r\n" in received:
                    head, _, received = received.partition(b"\r\n\r\n")
                    self.heads.append(head)
                    connection.sendall(self._answer(head))
            if received:
                self.heads.append(received)

    def close(self) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()


class Answering(Listening):
    """Answers the stub's dossiers; `instead` has whole answers for some numbers."""

    def __init__(self) -> None:
        self.instead: dict[str, bytes] = {}
        super().__init__(self.answer)

    def answer(self, head: bytes) -> bytes:
        number = head.split(b" ")[1].decode()[-7:]
        return self.instead.get(number) or answered(dossier_text(number) or b"{}")


def answered(body: bytes, *headers: str, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """A whole answer of a backend."""
    length = f"Content-Length: {len(body)}"
    return lines(f"HTTP/1.1 {status}", f"Content-Type: {kind}", length, *headers) + body


# ------------------------------------------------------------------ 29: the client that asks the backend


@pytest.fixture(scope="module")
def trap() -> Iterator[Listening]:
    """Where nobody may ever connect to."""
    made = Listening()
    yield made
    made.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The home of an account whose tools are configured: passwords for the backend, a proxy for curl."""
    folder = tmp_path_factory.mktemp("home")
    (folder / ".netrc").write_text("machine 127.0.0.1 login caf password netrc-secret\ndefault login a password b\n")
    (folder / ".netrc").chmod(0o600)
    (folder / ".curlrc").write_text('user-agent = "curlrc"\nuser = "caf:curlrc-secret"\n')
    return folder


@pytest.fixture(scope="module")
def backend() -> Iterator[Answering]:
    made = Answering()
    yield made
    made.close()


@pytest.fixture(scope="module")
def surrounded(backend, trap, home, tmp_path_factory) -> Iterator[Gateway]:
    """A gateway in an environment full of proxies and passwords."""
    names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "REQUEST_METHOD")
    variables = {**dict.fromkeys(names, trap.url), "no_proxy": "", "NO_PROXY": ""}
    variables |= {"HOME": str(home), "CURL_HOME": str(home), "NETRC": str(home / ".netrc")}
    (home / "scrape.token").write_text(TOKEN)
    (home / "scrape.token").chmod(0o600)
    (home / "scrape.token").chmod(0o600)
    gateway = Gateway(
        tmp_path_factory.mktemp("surrounded"),
        upstream=backend.url,
        settings={"metrics.token_file": str(home / "scrape.token")},
        policies=None,
        variables=variables,
    )
    for profile in ("T1", "T2"):
        gateway.enter(profile.lower(), profile)
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def session(surrounded) -> dict[str, str]:
    return surrounded.log_in("t1")


@pytest.mark.attack(29)
def test_proxies_passwords_and_options_of_the_environment_are_not_used(surrounded, backend, trap):
    """CVE-2024-47081: a client that sends what .netrc holds for a host to one that only looks like it."""
    session = surrounded.log_in("t2")
    answer = surrounded.ask(DOSSIER, session)
    assert (answer.status, answer.body) == (200, kept_dossier(dossier_text("9990001") or b"", OPEN["T2"]))
    head = backend.heads[-1].decode()
    assert head.split("\r\n")[0] == f"GET {DOSSIER} HTTP/1.1"
    assert not [word for word in ("uthorization", "ookie", "curlrc", "secret", "http://") if word in head]
    assert trap.connections == 0


@pytest.mark.attack(29)
def test_what_the_backend_is_asked_is_written_by_us_whatever_the_client_sent(surrounded, backend):
    """The head that leaves is compared whole, as bytes, beside the one of a request with nothing special."""
    token = surrounded.log_in("t2")["Authorization"]
    before = len(backend.heads)
    plain = ["GET /dossiers/9990001 HTTP/1.1", f"Host: {surrounded.host}", f"Authorization: {token}"]
    hostile = [
        *("X-Request-Id: 1", "X-Request-Id: 2\t", "Accept: text/html", "Accept-Encoding: gzip", "User-Agent: nobody"),
        *(
            "Accept-Language: fr\tGET /dossiers/9990002 HTTP/1.1",
            "Connection: keep-alive, X-Request-Id",
            "TE: trailers",
        ),
        *("Via: 1.1 x", "X-Forwarded-For: 10.0.0.1", "Range: bytes=0-9", "If-None-Match: *", "Expect: 100-continue"),
        *(
            "Proxy-Authorization: Basic YTpi",
            "Cookie: a=b",
            "X-A: \xe9\xff",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABk",
        ),
    ]
    asked = [plain, *([*plain, line] for line in hostile), [*plain, *hostile]]
    for request in asked:
        with socket.create_connection(("127.0.0.1", int(surrounded.host.rpartition(":")[2])), timeout=20) as client:
            client.sendall(lines(*request, "X-Last: 1"))
            client.shutdown(socket.SHUT_WR)
            received = b""
            while piece := client.recv(65_536):
                received += piece
            assert received.startswith(b"HTTP/1.1 200"), request
    told = [re.sub(rb"X-Request-Id: [0-9a-f]{24}\b", b"X-Request-Id: ours", head) for head in backend.heads[before:]]
    assert len(told) == len(asked)
    assert set(told) == {told[0]}
    line, *headers = told[0].decode().split("\r\n")
    assert line == "GET /dossiers/9990001 HTTP/1.1"
    assert f"Host: 127.0.0.1:{backend.port}" in headers
    names = [header.partition(":")[0] for header in headers]
    assert sorted(names) == ["Accept", "Accept-Encoding", "Host", "User-Agent", "X-Request-Id"]


SMUGGLING = {
    "the end of a line in the number": "/dossiers/9990001%0d%0aX-A:%20b",
    "a request in the number": "/dossiers/9990001%20HTTP/1.1%0d%0aHost:%20a%0d%0a%0d%0aGET%20/dossiers/9990002",
    "a line feed alone": "/dossiers/9990001%0a",
    "a carriage return alone": "/dossiers/9990001%0d",
    "a blank": "/dossiers/9990001%20",
    "a zero": "/dossiers/9990001%00",
    "another line's end": "/dossiers/9990001%e2%80%a8",
    "what Latin-1 would cut to a line's end": "/dossiers/9990001%c4%8d%c4%8a",
    "credentials": "/dossiers/a:b@127.0.0.1",
    "another host": "//127.0.0.1:1/dossiers/9990001",
    "a file in a document's name": "/dossiers/9990001/courriers/co-1.pdf%0d%0aX-A:%20b",
    "a query in a document's name": "/dossiers/9990001/courriers/co-1%3fa=b.pdf",
}


@pytest.mark.attack(29)
@pytest.mark.parametrize("target", SMUGGLING.values(), ids=SMUGGLING)
def test_nothing_is_smuggled_to_the_backend_in_an_address(sender, target):
    tried = sender.get(target)
    assert tried.answer.status in (404, 422), tried.answer
    tried.unheard()


@pytest.mark.attack(29)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308, 401, 407, 421])
def test_no_redirect_of_the_backend_is_followed_or_passed_on(surrounded, session, backend, trap, status):
    """CVE-2023-32681: a client that follows, and sends the proxy's password on to where it was redirected."""
    elsewhere = f"{trap.url}/dossiers/9990001"
    backend.instead[f"9991{status}"] = answered(
        dossier_text("9990001") or b"",
        *(f"Location: {elsewhere}", f"Refresh: 0; url={elsewhere}", f"Link: <{elsewhere}>; rel=preload"),
        *(f'Alt-Svc: http/1.1="127.0.0.1:{trap.port}"; ma=99', 'WWW-Authenticate: Basic realm="a"'),
        status=f"{status} Elsewhere",
    )
    before = len(backend.heads)
    answer = surrounded.ask(f"/dossiers/9991{status}", session)
    is_problem(answer, 502, "GW403")
    assert str(trap.port) not in answer.text()
    assert len(backend.heads) == before + 1
    assert trap.connections == 0


# ------------------------------------------------------------------ 30: what strangers are told

MACHINES = (
    *("/-/health/live", "/-/health/ready", "/-/health", "/-/health/", "/-/metrics", "/-/", "/-", "/-/version"),
    *("/-/session", "/-/openapi.json", "/-/docs", "/-/decide", "/-/config", "/-/debug", "/-/policies", "/-/static/x"),
    *("/", "/metrics", "/health", "/healthz", "/ready", "/status", "/static/x", "/favicon.ico", "/robots.txt"),
    *("/.well-known/security.txt", "/.well-known/authzen-configuration", "/access/v1/evaluation", "/.git/config"),
    *("/server-status", "/debug/pprof", "/actuator/env", "/console", "/etat", DOSSIER, "/dossiers/"),
)


@pytest.mark.attack(30)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_no_address_tells_a_stranger_of_an_agent_a_dossier_or_a_policy(attacked, archive, sender, method):
    sender.get(DOSSIER).served()
    policy = load_folder(attacked.folder / "policies")
    words = [policy.fingerprint, policy.fingerprint[:12], "9990001", "Partenaire", "creances"]
    words += [row.slug for row in policy.policy.rows if len(row.slug) > 8]
    words += [f'"{name}"' for name in (*PROFILES, "t1", "t2")]
    words += [
        __version__,
        "Python",
        "Flask",
        "Werkzeug",
        str(attacked.folder),
        "sqlite",
        "polar",
        archive.url.removeprefix("http://"),
    ]
    for path in MACHINES:
        answer = attacked.ask(path, method=method, body=b"{}" if method == "POST" else None)
        assert not [word for word in words if word in answer.text()], (path, answer)
        assert answer.all("Server") == []
        assert answer.all("X-Policy") == []


@pytest.mark.attack(30)
def test_a_stranger_learns_that_the_gateway_is_ready_and_no_more(attacked):
    answer = attacked.ask("/-/health/ready")
    assert (answer.status, answer.json()) == (200, {"status": "ready"})
    for headers in ({"Authorization": "Bearer x"}, {"Authorization": "Bearer None"}, {"Authorization": "Bearer "}):
        assert attacked.ask("/-/health/ready", headers).json() == {"status": "ready"}


@pytest.mark.attack(30)
def test_whoever_holds_the_scrape_token_learns_which_policy_is_in_force(surrounded):
    shown = surrounded.ask("/-/health/ready", {"Authorization": f"Bearer {TOKEN}"}).json()
    assert shown == {"status": "ready", "policy": surrounded.policy()}
    for wrong in ("", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper()):
        assert surrounded.ask("/-/health/ready", {"Authorization": f"Bearer {wrong}"}).json() == {"status": "ready"}
        assert surrounded.ask("/-/metrics", {"Authorization": f"Bearer {wrong}"}).status == 401


# ------------------------------------------------------------------ 31: logs

FORGED = '{"event": "forged"}'
LINE_ENDS = (
    "\r\n",
    "\n",
    "\r",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u2028",
    "\u2029",
    "\x1b[2J\x1b[31m",
    "\x00",
    "\x9b31m",
)


def quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


@pytest.mark.attack(31)
@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
def test_nothing_a_client_sends_reaches_the_log_or_a_text_of_the_record(attacked, sender, end):
    forged = f"a{end}{FORGED}"
    raw = forged.encode()
    bearer, host = sender.bearer().encode(), sender.host.encode()
    log_in = json.dumps({"identifier": forged, "password": forged, "profile": forged}).encode()
    before, rows = len(attacked.log()), len(attacked.record_rows())
    heads = [
        (f"GET /dossiers/{quoted(forged)} HTTP/1.1".encode(), host, bearer),
        (f"GET {DOSSIER}?a={quoted(forged)} HTTP/1.1".encode(), host, bearer),
        (f"GET {DOSSIER}/rubriques/{quoted(forged)} HTTP/1.1".encode(), host, bearer),
        (f"GET /-/{quoted(forged)} HTTP/1.1".encode(), host, bearer),
        *(
            (b"GET " + DOSSIER.encode() + b" HTTP/1.1", host, bearer, name + b": " + raw)
            for name in (b"User-Agent", b"Referer", b"X-Request-Id", b"Accept-Language", b"X-Forwarded-For", b"Origin")
        ),
        (b"GET " + DOSSIER.encode() + b" HTTP/1.1", b"Host: " + raw, bearer),
        (b"GET " + DOSSIER.encode() + b" HTTP/1.1", host, b"Authorization: Bearer " + raw),
        (b"GET " + DOSSIER.encode() + b" HTTP/1.1", host, b"Cookie: cafpro=" + raw),
        (raw + b" " + DOSSIER.encode() + b" HTTP/1.1", host, bearer),
        (b"GET " + raw + b" HTTP/1.1", host, bearer),
    ]
    for head in heads:
        sender.send(b"\r\n".join(head) + b"\r\n\r\n")
    typed = (b"POST /-/session HTTP/1.1", host, b"Content-Type: application/json", f"Content-Length: {len(log_in)}")
    sender.send(
        b"\r\n".join(part if isinstance(part, bytes) else part.encode() for part in typed) + b"\r\n\r\n" + log_in
    )
    said = attacked.log()[before:]
    assert "forged" not in said
    assert all(isinstance(json.loads(line), dict) for line in said.splitlines())
    told = json.dumps(attacked.record_rows()[rows:])
    assert len(attacked.record_rows()) > rows
    assert "forged" not in told


@pytest.mark.attack(31)
def test_what_a_backend_names_its_parts_is_no_second_line_and_moves_no_cursor(surrounded, session, backend):
    """That there is an unknown part is logged, its value never, its name only if it can be one."""
    before = len(surrounded.log())
    for place, end in enumerate(LINE_ENDS):
        number, name = f"99921{place:02}", json.dumps(f"b{end}{FORGED}")
        body = f'{{"numero":"{number}","caisse":"851",{name}:"CANARI-a","rubriques":{{{name}:{{"x":"CANARI-b"}}}}}}'
        backend.instead[number] = answered(body.encode(), f"X-B: {FORGED}")
        answer = surrounded.ask(f"/dossiers/{number}", session)
        assert (answer.status, answer.json()["rubriques"]) == (200, {})
    said = surrounded.log()[before:]
    assert {json.loads(line)["event"] for line in said.splitlines()} == {"not classified, withheld"}
    assert all(character.isprintable() for line in said.split("\n") for character in line)
    assert said.isascii()
    assert not [word for word in ("CANARI", "forged") if word in said]


@pytest.mark.attack(31)
def test_a_backend_that_takes_persons_for_names_of_parts_does_not_get_them_logged(surrounded, session, backend):
    persons = {"1850199012345": "nir", "Marie-Élodie DUPONT": "name", "9990002": "number", "FR7699999": "iban"}
    body = json.dumps({"numero": "9992200", "caisse": "851", "ordinary": 1, "rubriques": {}, **persons})
    backend.instead["9992200"] = answered(body.encode())
    assert surrounded.ask("/dossiers/9992200", session).status == 200
    # Lines are written by a thread, behind the answers.
    until(lambda: "/ordinary" in surrounded.log(), "the log says that there is an unknown part")
    told = surrounded.log()
    assert "/ordinary" in told
    assert not [person for person in (*persons, "DUPONT", "1850199", "Marie") if person in told]


BROKEN = """
import gateway.api.session as session
import gateway.proxy.story as story
import gateway.server.connection as connection

def broken(*_, **__):
    raise ValueError(repr((_, __)))

def breaks(whole):
    def read(self, environ, *more):
        secret = environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION"), "CANARI-famille-9990001"
        if "9990009" in environ["PATH_INFO"]:
            raise LookupError(secret)
        return whole(self, environ, *more)
    return read

story.redact = broken
story.Story.__call__ = breaks(story.Story.__call__)
session.sessions.sign_in = broken
"""


@pytest.mark.attack(31)
def test_a_fault_inside_is_told_by_its_place_and_not_by_what_it_held(backend, tmp_path):
    """The redaction, the log-in and the application itself raise errors that quote all they were given."""
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    broken = Gateway(
        tmp_path / "broken", upstream=backend.url, settings={}, policies=None, variables={"PYTHONPATH": path}
    )
    with contextlib.ExitStack() as stack:
        stack.callback(broken.stop)
        broken.enter("t1", "T1")
        rules = Identity(caisse=CAISSE)
        opened = sign_in(broken.store, rules, identifier="t1", password=PASSWORD, now=datetime.now(UTC))
        session = {"Authorization": f"Bearer {opened.token}"}
        is_problem(broken.ask(DOSSIER, session), 500, "GW500")
        is_problem(broken.sign_in("t1"), 500, "GW500")
        bare = broken.ask("/dossiers/9990009", session)
        assert (bare.status, bare.body) == (500, b"")
    # Only now: lines are written by a thread, behind the answers, and a process that ends writes its last ones.
    told = [json.loads(line) for line in broken.log().splitlines()[1:]]
    faults = [line for line in told if line["event"] == "fault"]
    assert [line["kind"] for line in faults] == ["ValueError", "ValueError"]
    assert all(line["at"] for line in faults)
    for secret in ("CANARI", "9990001", "9990009", opened.token, PASSWORD, "DURAND", "Traceback", "Bearer"):
        assert secret not in broken.log()
        assert secret not in json.dumps(broken.record_rows())


# ------------------------------------------------------------------ 32: spreadsheets and markup

FORMULAS = (
    *("=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "＝1+1", "＋1", "－1", "＠A1", "Mairie;=1+1", "Mairie; +1"),
    *('"=1+1', "';=1+1", "a,=1+1", '=HYPERLINK("http://a.example";"b")'),
)
"""French spreadsheets separate cells by semicolons: a file with commas is cut there too."""


def cells_of(text: str) -> set[str]:
    """What any spreadsheet may take for a cell: cut at commas, semicolons and tabs, quotes heeded or not."""
    found = set()
    for delimiter in ",;\t":
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            for row in csv.reader(io.StringIO(text), delimiter=delimiter, quoting=quoting):
                found |= {cell.strip() for cell in row} | {cell.strip().strip('"') for cell in row}
    return found


def formulas_in(text: str) -> set[str]:
    return {cell for cell in cells_of(text) if re.match(r"[=+\-@＝＋－＠\t\r]", cell)}


@pytest.fixture(scope="module")
def entered(tmp_path_factory) -> Path:
    """A configuration whose directory holds names that are formulas."""
    run = CliRunner()
    folder = tmp_path_factory.mktemp("above") / "here"
    assert run.invoke(main, ["init", str(folder)]).exit_code == 0
    configuration = folder / "gateway.toml"

    def cafpro(*words: str) -> None:
        done = run.invoke(main, [*words[:2], "--config", str(configuration), *words[2:]])
        assert done.exit_code == 0, done.output

    for number, name in enumerate(FORMULAS):
        cafpro("partner", "add", "--", name)
        days = ("--from", "2026-01-01", "--to", "2030-01-01")
        cafpro("convention", "add", "--partner", name, "--caisse", "851", *days, "--profile", "T1", "--", name)
        dossier = f"{number:07}"
        cafpro(
            "mandate",
            "add",
            dossier,
            "--kind",
            "judgment",
            "--partner",
            name,
            "--from",
            "2026-01-01",
            "--reference",
            name,
        )
        cafpro("objection", "raise", dossier, "--reference", name)
        cafpro("account", "add", f"a{number}", "--partner", name, "--generate")
    return configuration


@pytest.mark.attack(32)
@pytest.mark.parametrize("group", ["partner", "convention", "account", "mandate", "objection", "session"])
def test_no_cell_of_a_list_is_a_formula_wherever_a_spreadsheet_cuts(entered, group):
    words = ["gateway.cli", group, "list", "--config", str(entered), "--format", "csv"]
    done = warm.run(words, environment(), seconds=PATIENCE)
    assert done.returncode == 0, done
    shown = done.stdout
    assert formulas_in(shown) == set()
    assert group == "session" or len(shown.splitlines()) == 1 + len(FORMULAS)


@pytest.mark.attack(32)
@pytest.mark.parametrize("form", ["csv", "html", "markdown"])
def test_a_label_of_the_policies_is_neither_a_formula_nor_markup(tmp_path, form):
    folder = tmp_path / "policies"
    folder.mkdir()
    for file in shipped().iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    written = (folder / "matrix.polar").read_text()
    for label, hostile in (("Créances", "=1+1;=2+2"), ("Droits", "<img src=x onerror=alert(1)>|[a](javascript:b)")):
        assert f'"{label}"' in written
        written = written.replace(f'"{label}"', f'"{hostile}"')
    (folder / "matrix.polar").write_text(written)
    done = CliRunner().invoke(main, ["policy", "matrix", "--policies", str(folder), "--format", form])
    assert done.exit_code == 0, done.output
    if form == "csv":
        assert formulas_in(done.output) == set()
    else:
        assert "<img" not in done.output
        assert "[a](javascript" not in done.output or form == "html"
        head, _, *rows = [line for line in done.output.splitlines() if line.startswith("|")] or ["", ""]
        assert len(rows) == (0 if form == "html" else 21)  # the rubrics, and how many of them are open
        assert {line.count(" | ") for line in rows} <= {head.count(" | ")}


MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.mark.attack(32)
def test_markup_of_the_backend_never_comes_out_as_a_page(surrounded, session, backend):
    kinds = {"9993001": "application/json", "9993002": "text/html", "9993003": "application/json, text/html"}
    for number, kind in kinds.items():
        document = {"numero": number, "caisse": "851", "rubriques": {"droits": {"texte": MARKUP}}}
        backend.instead[number] = answered(json.dumps(document).encode(), kind=kind)
    shown, *refused = (surrounded.ask(f"/dossiers/{number}", session) for number in kinds)
    assert shown.json()["rubriques"]["droits"]["texte"] == MARKUP
    assert shown.one("Content-Type") == "application/json"
    for answer in refused:
        is_problem(answer, 502, "GW403")
        assert "<script" not in answer.text()
    for answer in (shown, *refused):
        assert answer.one("X-Content-Type-Options") == "nosniff"
        assert answer.one("Content-Security-Policy") == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.attack(32)
@pytest.mark.parametrize("profile", [PROFILE, None], ids=["an agent", "a stranger"])
def test_a_refusal_repeats_nothing_of_what_was_asked(sender, profile):
    mark = "xss"
    hostile = f"<{mark}>"
    who = [sender.bearer()] if profile else []
    targets = [
        *(
            f"/{quoted(hostile)}",
            f"/dossiers/{quoted(hostile)}",
            f"{DOSSIER}?{quoted(hostile)}=1",
            f"/-/{quoted(hostile)}",
        ),
        *(
            f"{DOSSIER}/courriers/{quoted(hostile)}.pdf",
            f"/-/session/{mark}",
            f"/-/health/{mark}",
            f"/{mark}?{mark}={mark}",
        ),
    ]
    requests = [lines(f"GET {target} HTTP/1.1", sender.host, *who) for target in targets]
    requests += [
        lines(f"GET {DOSSIER} HTTP/1.1", f"Host: {mark}.example", *who),
        lines("GET /-/session HTTP/1.1", f"Host: {mark}.example", *who),
        lines(f"GET {DOSSIER} HTTP/1.1", sender.host, f"Authorization: {hostile}"),
        lines(f"GET {DOSSIER} HTTP/1.1", sender.host, f"Cookie: cafpro={hostile}"),
        lines(f"{mark.upper()} {DOSSIER} HTTP/1.1", sender.host, *who),
    ]
    body = json.dumps({"identifier": hostile, "password": hostile, hostile: 1})
    head = ("POST /-/session HTTP/1.1", sender.host, "Content-Type: application/json", f"Content-Length: {len(body)}")
    requests.append(lines(*head) + body.encode())
    for request in requests:
        answer = sender.send(request).answer
        assert answer.status >= 400, request
        assert mark not in answer.text().lower(), request
        if answer.body:
            assert answer.one("Content-Type") == "application/problem+json"
            assert answer.one("X-Content-Type-Options") == "nosniff"
