"""A thousand clients that never end their head, a thousand that never send their body, a thousand that do not read:
16 agents who ask meanwhile notice nothing but the time it takes. (tests/story/test_story_slow_clients.py looks at what
becomes of such clients.)"""

from __future__ import annotations

import contextlib
import resource
import socket
from urllib.parse import urlsplit

import pytest

from tests.faults.breaking import LONG
from tests.story.running import PATIENCE, until

pytestmark = pytest.mark.attack(33)

CLIENTS = 1000
SECONDS = 20.0 if LONG else 1.0
LARGE = "1500001"
PADDING = 150_000
"""More than the sockets between the gateway and a client with a small buffer take; of a thousand of them, less than
the gateway keeps before it gives up the slowest."""


@pytest.fixture(scope="module")
def loaded(moody, start_loaded):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    moody.padding = PADDING
    return start_loaded(moody.url, {"server.body_seconds": 60, "server.waiting": 2048, "upstream.deadline_seconds": 60})


def requests(gateway, kind):
    if kind == "heads":
        return f"GET /dossiers/9990001 HTTP/1.1\r\nHost: {gateway.host}\r\nX-"
    if kind == "bodies":
        head = f"POST /-/session HTTP/1.1\r\nHost: {gateway.host}\r\nContent-Type: application/json\r\n"
        return f'{head}Content-Length: 100\r\n\r\n{{"'
    token = gateway.log_in("t1")["Authorization"]
    return f"GET /dossiers/{LARGE} HTTP/1.1\r\nHost: {gateway.host}\r\nAuthorization: {token}\r\n\r\n"


@contextlib.contextmanager
def crowd(gateway, request):
    parts = urlsplit(gateway.url)
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.socket())
            client.settimeout(PATIENCE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((parts.hostname, parts.port))
            client.sendall(request.encode())
            clients.append(client)
        yield clients


@pytest.mark.parametrize("kind", ["heads", "bodies", "readings"])
def test_a_thousand_slow_clients_keep_nobody_from_an_answer(loaded, kind):
    gateway = loaded.gateway
    request = requests(gateway, kind)
    before = len(gateway.record_rows(agent="t1", route="dossier"))
    with loaded.trial(f"{CLIENTS} clients slow in their {kind}") as trial, trial.round(), crowd(gateway, request):
        if kind == "readings":
            until(
                lambda: len(gateway.record_rows(agent="t1", route="dossier")) >= before + CLIENTS,
                "each of them has an answer that it does not read",
                seconds=120,
            )
        trial.bad_for(SECONDS)
        assert gateway.ask("/-/health/ready").status == 200
        assert gateway.sign_in("t2").status == 201
