"""Agents who hold a certificate: nginx ends TLS, asks for it and hands it over; the running gateway believes nginx's
address and no other."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.identity.certifying import Held, Signer, authority_entry
from tests.ports import free_port
from tests.selftest.fronts import nginx
from tests.story.brochure import OPEN, kept_dossier
from tests.story.running import Answer, Gateway, certify, is_problem
from upstream_stub.dossiers import dossier_text

DOSSIER = "/dossiers/9990001"
PROXY, HAND = "127.0.0.9", "127.0.0.8"
"""Where nginx asks from, and a proxy that the tests play themselves."""
PROFILES = '[authority.profiles]\n"AGENT-INSTRUCTEUR" = "T4"\n"TUTEUR" = "T9"\n"REFERENT" = "T1"'
HANDS_OVER = """proxy_set_header Client-Cert $ssl_client_escaped_cert;
proxy_set_header X-Forwarded-For $remote_addr;"""


class House(NamedTuple):
    """A gateway behind nginx, and who signs the agents' certificates."""

    gateway: Gateway
    signer: Signer
    port: int
    trusting: Callable[[], ssl.SSLContext]
    folder: Path

    def holding(self, account: str, unit: str = "AGENT-INSTRUCTEUR", **more: object) -> Held:
        subject = ((NameOID.COMMON_NAME, account), (NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
        return self.signer.signed(*subject, **more)  # type: ignore[arg-type]

    def ask(
        self,
        held: Held | None,
        path: str = DOSSIER,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Answer:
        """Through nginx, with this certificate in the handshake."""
        context = held.shown_to(self.trusting(), self.folder) if held else self.trusting()
        with closing(http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)) as connection:
            return _asked(connection, method, path, body, headers)

    def hand(self, written: str, headers: Mapping[str, str] | None = None, *, of: str = HAND) -> Answer:
        """Straight from a proxy at this address, with `Client-Cert` as it is written."""
        host, port = self.gateway.host.split(":")
        with closing(http.client.HTTPConnection(host, int(port), timeout=30, source_address=(of, 0))) as connection:
            return _asked(connection, "GET", DOSSIER, None, {"Client-Cert": written, **(headers or {})})

    def reads(self, answer: Answer, profile: str, account: str) -> None:
        whole = dossier_text("9990001")
        assert whole
        assert (answer.status, answer.body) == (200, kept_dossier(whole, OPEN[profile])), answer
        row = self.gateway.recorded(answer)
        assert (row["agent"], row["profile"]) == (account, profile)

    def refuses(self, answer: Answer, status: int, code: str, because: str = "") -> None:
        is_problem(answer, status, code)
        row = self.gateway.recorded(answer)
        assert (row["code"], row["rubrics"], because in row["because"]) == (code, "[]", True), row


def _asked(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str] | None,
) -> Answer:
    connection.request(method, path, body, dict(headers or {}))
    with connection.getresponse() as answer:
        return Answer(answer.status, answer.getheaders(), answer.read())


@pytest.fixture(scope="module")
def house(stub_url, start_gateway, tmp_path_factory) -> Iterator[House]:
    """T4, T9 and T1 of one partner each hold a certificate; nginx asks for it, and lets in who has none."""
    folder, signer = tmp_path_factory.mktemp("igc"), Signer("IGC des agents")
    (folder / "igc.pem").write_bytes(signer.pem())
    names = f'profile_claim = "organizationalUnitName"\n{PROFILES}'
    entry = authority_entry("igc", "Partenaire t4", names).replace(f'["{PROXY}"]', f'["{PROXY}", "{HAND}"]')
    (folder / "issuers.toml").write_text(entry, "utf-8")
    front, port = certify(folder, "front"), free_port()
    gateway = start_gateway(
        stub_url,
        identity__issuers=folder / "issuers.toml",
        server__workers=2,
        server__proxies=PROXY,
        server__hosts=f"127.0.0.1:{port}",
    )
    gateway.enter("t4", "T4", "T9")
    gateway.enter("elsewhere", "T4")
    with ExitStack() as stack:
        stack.enter_context(
            nginx(
                folder,
                port=port,
                gateway=gateway.host,
                backend="127.0.0.1:1",
                certificate=(front.file, front.key),
                host="$http_host",
                strangers=True,  # without a name in the handshake, the first server's rules are those that ask
                server=f"ssl_client_certificate {folder / 'igc.pem'};\nssl_verify_client optional;\n{HANDS_OVER}",
                location=f"proxy_bind {PROXY}; proxy_pass http://gateway;",
            )
        )
        yield House(gateway, signer, port, front.trusting, folder)


def test_an_agent_reads_with_a_certificate_and_nothing_else(house):
    answer = house.ask(house.holding("t4"))
    house.reads(answer, "T4", "t4")
    assert house.gateway.recorded(answer)["address"] == "127.0.0.1"  # the client's, although nginx asked
    shown = house.ask(house.holding("t4"), "/-/session").json()
    assert (shown["identifier"], shown["profile"], shown["assurance"]) == ("t4", "T4", "federated")
    house.refuses(house.ask(None), 401, "GW101")


def test_both_ways_to_write_it_are_one(house):
    held = house.holding("t4")
    house.reads(house.hand(held.as_rfc9440()), "T4", "t4")
    house.reads(house.hand(held.as_nginx()), "T4", "t4")


@pytest.mark.attack(15)
def test_the_directory_decides_at_each_request(house):
    """CVE-2021-41230: what a certificate says does not outlive the account's rights."""
    held = house.holding("t4")
    house.reads(house.ask(held), "T4", "t4")
    house.gateway.cafpro("account", "suspend", "t4")
    house.refuses(house.ask(held), 403, "GW110")
    house.gateway.cafpro("account", "resume", "t4")
    house.reads(house.ask(held), "T4", "t4")


@pytest.mark.parametrize(
    ("account", "unit", "because"),
    [
        ("t4", "REFERENT", "a certificate for a profile that the account does not hold"),
        ("t4", "T4", "a certificate that does not name one profile that is known"),
        ("elsewhere", "AGENT-INSTRUCTEUR", "a certificate for an account of another partner"),
        ("nobody", "AGENT-INSTRUCTEUR", "a certificate for an account that does not exist"),
    ],
    ids=["a profile that the account lacks", "an unknown unit", "another partner's account", "nobody"],
)
def test_it_opens_nothing_beyond_its_account(house, account, unit, because):
    house.refuses(house.ask(house.holding(account, unit)), 401, "GW106", because)


def test_a_profile_reads_what_is_entrusted_to_it_alone(house):
    house.refuses(house.ask(house.holding("t4", "TUTEUR")), 403, "GW320")
    house.gateway.entrust("t4", "9990001", "judgment")
    house.reads(house.ask(house.holding("t4", "TUTEUR")), "T9", "t4")


@pytest.mark.attack(7)
@pytest.mark.parametrize("write", [Held.as_rfc9440, Held.as_nginx], ids=["as RFC 9440 has it", "as nginx escapes it"])
@pytest.mark.parametrize("name", ["Client-Cert", "client-cert", "CLIENT-CERT", "Client_Cert"])
def test_a_client_that_writes_the_header_itself_is_nobody(house, name, write):
    """CVE-2026-40575: its certificate is real, and public. nginx replaces what it sent; straight to the gateway, it
    does not come from the proxy, whatever it says of where it comes from."""
    written = write(house.holding("t4"))
    house.refuses(house.ask(None, headers={name: written}), 401, "GW101")
    straight = {name: written, "X-Forwarded-For": PROXY, "Forwarded": f"for={PROXY}", "X-Real-IP": PROXY}
    house.refuses(house.gateway.ask(DOSSIER, straight), 401, "GW101")


@pytest.mark.attack(7)
def test_a_client_with_a_certificate_cannot_hand_over_another(house):
    other = house.holding("elsewhere").as_nginx()
    for name in ("Client-Cert", "Client_Cert"):
        house.reads(house.ask(house.holding("t4"), headers={name: other}), "T4", "t4")


@pytest.mark.attack(7)
def test_a_certificate_that_is_none_of_the_authoritys_opens_nothing_from_the_proxy_itself(house):
    forger = Signer("IGC des agents")
    subject = ((NameOID.COMMON_NAME, "t4"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "AGENT-INSTRUCTEUR"))
    why = "a certificate that no authority signed for this, or outside its dates"
    for written, because in (
        (forger.signed(*subject).as_rfc9440(), why),
        (house.holding("t4", days=(-3, -1)).as_nginx(), why),
        (house.holding("t4", uses=(x509.ExtendedKeyUsageOID.SERVER_AUTH,)).as_rfc9440(), why),
        (f"{house.holding('t4').as_rfc9440()}, {house.holding('t4').as_rfc9440()}", "not understood"),
        ("t4", "not understood"),
    ):
        answer = house.hand(written)
        house.refuses(answer, 401, "GW106", because)
        assert written not in answer.text() + house.gateway.log()


@pytest.mark.attack(9)
def test_a_session_and_a_certificate_must_be_of_one_agent(house):
    session, other = house.gateway.log_in("t4", profile="T4"), house.gateway.log_in("elsewhere")
    held = house.holding("t4")
    house.reads(house.ask(held, headers=session), "T4", "t4")
    house.refuses(house.ask(held, headers=other), 401, "GW104", "of two agents")
    house.refuses(house.ask(house.holding("nobody"), headers=other), 401, "GW104", "of two agents")
    house.refuses(house.hand("x", other), 401, "GW106", "not understood")


@pytest.mark.attack(16)
def test_a_browser_sends_it_by_itself_so_that_a_change_needs_our_page(house):
    """CWE-352."""
    held, public = house.holding("t4"), house.gateway.url
    token = house.ask(held, "/-/session").json()["csrf_token"]
    for headers in ({}, {"Origin": public}, {"X-CSRF-Token": token}, {"Origin": "https://ailleurs.example", "X-CSRF-Token": token}):  # fmt: skip  # noqa: E501
        house.refuses(house.ask(held, "/-/session", headers, method="DELETE"), 403, "GW111")
    ours = {"Origin": public, "X-CSRF-Token": token}
    house.refuses(house.ask(held, "/-/session", ours, method="DELETE"), 409, "GW113")
