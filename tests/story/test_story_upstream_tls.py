"""Between the gateway and the backend: TLS with whoever the certificate proves, whatever the environment says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from tests.story.running import Answer, Certificate, Gateway, certify, is_problem
from upstream_stub.dossiers import dossier_text

pytestmark = pytest.mark.attack(29)

DOSSIER = "9990001"
ADDRESS = f"/dossiers/{DOSSIER}"


class Wire:
    """A backend that answers the dossier, over TLS where it has a context, and keeps every byte that reaches it: as it
    came through the wire, and as it was understood."""

    def __init__(self, context: ssl.SSLContext | None, *, head: bytes = b"HTTP/1.1 200 OK") -> None:
        self.context = context
        self.head = head
        self.arrived = bytearray()
        self.understood = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(10)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = self.context.wrap_bio(incoming, outgoing, server_side=True) if self.context else None
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                piece = connection.recv(65536)
                if not piece:
                    return
                self.arrived += piece
                if tls is None:
                    request += piece
                    continue
                incoming.write(piece)
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    request += tls.read(65536)
                connection.sendall(outgoing.read())
            self.understood += request
            body = dossier_text(DOSSIER) or b""
            answer = self.head + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
                len(body),
                body,
            )
            if tls is None:
                connection.sendall(answer)
            else:
                tls.write(answer)
                connection.sendall(outgoing.read())

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Certificate]:
    folder = tmp_path_factory.mktemp("certificates")
    return {
        "ours": certify(folder, "ours"),
        "unknown": certify(folder, "unknown"),
        "elsewhere": certify(folder, "elsewhere", subject="DNS:elsewhere.example"),
        "expired": certify(folder, "expired", expired=True),
        "gateway": certify(folder, "gateway", subject="DNS:gateway"),
        "stranger": certify(folder, "stranger", subject="DNS:gateway"),
    }


@pytest.fixture
def before(tmp_path) -> Iterator:
    with contextlib.ExitStack() as stack:

        def start(wire: Wire, *, scheme: str = "https", variables: dict[str, str] | None = None, **settings: object):
            stack.callback(wire.close)
            named = {f"upstream.{name}": str(value) for name, value in settings.items()}
            gateway = Gateway(
                tmp_path / "gateway",
                upstream=f"{scheme}://127.0.0.1:{wire.port}",
                settings=named,
                policies=None,
                variables=variables,
            )
            stack.callback(gateway.stop)
            gateway.enter("t1", "T1")
            session = gateway.log_in("t1")
            return gateway, session, gateway.ask(ADDRESS, session)

        yield start


def passed(answer: Answer) -> None:
    assert answer.status == 200
    assert answer.json()["numero"] == DOSSIER


def nothing_was_said(wire: Wire, session: dict[str, str]) -> None:
    """Neither the number nor the token nor anything of HTTP went through the wire, and nothing was understood."""
    assert wire.arrived, "it was tried"
    for word in (DOSSIER, session["Authorization"].split()[1], "dossiers", "GET ", "HTTP/1"):
        assert word.encode() not in wire.arrived
    assert wire.understood == b""


def test_a_dossier_goes_through_the_wire_encrypted(made, before):
    wire = Wire(made["ours"].serving())
    _, _, answer = before(wire, ca=made["ours"].file)
    passed(answer)
    assert wire.understood.startswith(b"GET " + ADDRESS.encode())
    assert DOSSIER.encode() not in wire.arrived


UNPROVED = {
    "an authority nobody knows": ("unknown", "ours"),
    "self-signed, before the public authorities": ("ours", None),
    "another host": ("elsewhere", "elsewhere"),
    "expired": ("expired", "expired"),
}


@pytest.mark.parametrize(("shown", "trusted"), UNPROVED.values(), ids=UNPROVED)
def test_a_backend_that_does_not_prove_who_it_is_is_told_nothing(made, before, shown, trusted):
    wire = Wire(made[shown].serving())
    gateway, session, answer = before(wire, **({"ca": made[trusted].file} if trusted else {}))
    is_problem(answer, 502, "GW402")
    assert gateway.recorded(answer)["code"] == "GW402"
    nothing_was_said(wire, session)


@pytest.mark.filterwarnings("ignore:.*TLSv1.*is deprecated:DeprecationWarning")
def test_a_backend_that_speaks_only_old_tls_is_told_nothing(made, before):
    context = made["ours"].serving()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    wire = Wire(context)
    _, session, answer = before(wire, ca=made["ours"].file)
    is_problem(answer, 502, "GW402")
    nothing_was_said(wire, session)


def test_a_backend_that_answers_in_clear_where_tls_was_asked_for_is_told_nothing(made, before):
    wire = Wire(None)
    _, session, answer = before(wire, ca=made["ours"].file, deadline_seconds=2)
    assert answer.status in (502, 504)
    nothing_was_said(wire, session)


@pytest.mark.parametrize(("shown", "accepted"), [("gateway", True), ("stranger", False), (None, False)])
def test_a_backend_that_asks_who_the_gateway_is_is_shown_its_certificate(made, before, shown, accepted):
    context = made["ours"].serving()
    context.load_verify_locations(made["gateway"].file)
    context.verify_mode = ssl.CERT_REQUIRED
    wire = Wire(context)
    own = {"client_certificate": made[shown].file, "client_key": made[shown].key} if shown else {}
    _, _, answer = before(wire, ca=made["ours"].file, **own)
    if accepted:
        passed(answer)
    else:
        assert answer.status == 502
        assert b"dossiers" not in wire.understood


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_proxies_and_passwords_of_the_environment_are_not_used(made, before, tmp_path, scheme):
    proxy = Wire(None)
    (tmp_path / ".netrc").write_text("default login proxy password CANARI-netrc\n")
    (tmp_path / ".netrc").chmod(0o600)
    names = ("http_proxy", "https_proxy", "all_proxy")
    variables = {
        **dict.fromkeys((*names, *(name.upper() for name in names)), f"http://127.0.0.1:{proxy.port}"),
        "no_proxy": "",
        "NO_PROXY": "",
        "HOME": str(tmp_path),
        "NETRC": str(tmp_path / ".netrc"),
        "CURL_CA_BUNDLE": str(made["unknown"].file),
        "SSL_CERT_FILE": str(made["unknown"].file),
        "REQUESTS_CA_BUNDLE": str(made["unknown"].file),
    }
    wire = Wire(made["ours"].serving() if scheme == "https" else None)
    _, _, answer = before(wire, scheme=scheme, variables=variables, ca=made["ours"].file)
    passed(answer)
    assert b"uthorization" not in wire.understood
    assert b"CANARI" not in wire.understood
    assert proxy.arrived == b""
    proxy.close()


def test_the_authorities_of_the_environment_prove_nothing(made, before):
    trusted = {name: str(made["ours"].file) for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
    wire = Wire(made["ours"].serving())
    _, session, answer = before(wire, variables=trusted)
    is_problem(answer, 502, "GW402")
    nothing_was_said(wire, session)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_redirect_is_followed_not_even_from_tls_into_the_clear(made, before, scheme):
    elsewhere = Wire(None)
    wire = Wire(made["ours"].serving() if scheme == "https" else None)
    gateway, session, answer = before(wire, scheme=scheme, ca=made["ours"].file)
    passed(answer)
    for status in (b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary", b"308 Permanent"):
        there = f"http://127.0.0.1:{elsewhere.port}{ADDRESS}".encode()
        wire.head = b"HTTP/1.1 " + status + b"\r\nLocation: " + there
        wire.understood.clear()
        answer = gateway.ask(ADDRESS, session)
        is_problem(answer, 502, "GW403")
        assert not answer.all("Location")
        assert str(elsewhere.port) not in answer.text()
        assert wire.understood
    assert elsewhere.arrived == b""
    elsewhere.close()
