"""The backend is told who asks, in a way that it can check; and nobody else can tell it."""

import pytest

from gateway.proxy.assertion import HEADER, new_key
from tests.story.brochure import OPEN, kept_dossier
from tests.story.running import Backend, is_problem, stub_backend, until
from upstream_stub.dossiers import dossier_text

OURS, THEIRS = "9990001", "9990003"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    private, public = new_key()
    (folder / "assertion.pub").write_text(public)
    (folder / "assertion.key").write_text(private)
    (folder / "assertion.key").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def wanting(keys, tmp_path_factory):
    """A backend that answers only whom the gateway vouches for, and the log in which it says whom."""
    folder = tmp_path_factory.mktemp("wanting")
    with stub_backend(folder, "--assertion-key", str(keys / "assertion.pub")) as url:
        yield url, folder / "stub.log"


def test_the_backend_knows_who_asked_for_which_dossier(wanting, keys, start_gateway):
    url, log = wanting
    gateway = start_gateway(url, upstream__assertion_key_file=keys / "assertion.key")
    gateway.enter("t2", "T2")
    gateway.enter("t9", "T9")
    gateway.entrust("t9", OURS, "judgment")
    for identifier, profile in (("t2", "T2"), ("t9", "T9")):
        answer = gateway.ask(f"/dossiers/{OURS}", gateway.log_in(identifier))
        assert (answer.status, answer.body) == (200, kept_dossier(dossier_text(OURS), OPEN[profile]))
        request_id = answer.one("X-Request-Id")
        said = f"{OURS} for {identifier} of Partenaire {identifier} as {profile}, request {request_id}\n"
        until(lambda said=said: said in log.read_text(), "the backend's log has it")
        assert gateway.recorded(answer)["agent"] == identifier
    rubric = gateway.ask(f"/dossiers/{OURS}/rubriques/adresse", gateway.log_in("t2"))
    assert rubric.status == 200
    letter = gateway.ask(f"/dossiers/{OURS}/courriers/co-{OURS}-0.pdf", gateway.log_in("t9"))
    assert (letter.status, letter.one("Content-Type")) == (200, "application/pdf")


def test_a_backend_that_wants_an_assertion_answers_nobody_without(wanting, start_gateway):
    url, log = wanting
    before = log.read_text()
    gateway = start_gateway(url)
    gateway.enter("t2", "T2")
    session = gateway.log_in("t2")
    is_problem(gateway.ask(f"/dossiers/{OURS}", session), 502, "GW403")
    forged = {**session, HEADER: "eyJhbGciOiJub25lIn0.e30."}
    is_problem(gateway.ask(f"/dossiers/{OURS}", forged), 502, "GW403")
    assert log.read_text() == before


def test_what_a_client_asserts_of_itself_never_reaches_the_backend(keys, start_gateway):
    whole = dossier_text(OURS)
    backend = Backend(lambda path: (200, {"Content-Type": "application/json"}, whole))
    try:
        for settings, expected in (({}, 0), ({"upstream__assertion_key_file": keys / "assertion.key"}, 1)):
            gateway = start_gateway(backend.url, **settings)
            gateway.enter("t2", "T2")
            session = gateway.log_in("t2")
            for name in (HEADER, HEADER.lower(), HEADER.replace("-", "_")):
                backend.asked.clear()
                assert gateway.ask(f"/dossiers/{OURS}", {**session, name: "mine"}).status == 200
                [(_, _, headers)] = backend.asked
                sent = [value for given, value in headers if given.lower().replace("_", "-") == HEADER.lower()]
                assert len(sent) == expected
                assert "mine" not in sent
    finally:
        backend.close()
