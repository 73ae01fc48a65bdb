"""A thousand clients that never end their head, a thousand that never send their body, a thousand that do not read:
16 agents who ask meanwhile notice nothing but the time it takes. (tests/story/test_story_slow_clients.py looks at what
becomes of such clients.)"""

from __future__ import annotations

import resource

import pytest

from tests.faults.breaking import LONG
from tests.story.running import crowd, until

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


def sent(gateway, kind):
    if kind == "heads":
        return gateway.unended_head()
    return gateway.log_in_without_body() if kind == "bodies" else gateway.whole_request("t1", LARGE)


@pytest.mark.parametrize("kind", ["heads", "bodies", "readings"])
def test_a_thousand_slow_clients_keep_nobody_from_an_answer(loaded, kind):
    gateway = loaded.gateway
    slow = crowd(gateway.url, sent(gateway, kind), CLIENTS)
    before = len(gateway.record_rows(agent="t1", route="dossier"))
    with loaded.trial(f"{CLIENTS} clients slow in their {kind}") as trial, trial.round(), slow:
        if kind == "readings":
            until(
                lambda: len(gateway.record_rows(agent="t1", route="dossier")) >= before + CLIENTS,
                "each of them has an answer that it does not read",
                seconds=120,
            )
        trial.bad_for(SECONDS)
        assert gateway.ask("/-/health/ready").status == 200
        assert gateway.sign_in("t2").status == 201
