"""The texts of the engagement, on a file and on a real server; two who accept at once."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from gateway.errors import EngagementOther, Misconfigured, SessionEnded
from gateway.identity import directory
from gateway.identity.directory import Signature
from gateway.identity.engagement import Wording, accept, load_wording, wording_problem
from gateway.identity.refusals import AgentSuspended
from gateway.identity.sessions import sign_in
from gateway.identity.store import open_store
from gateway.identity.tables import wording
from gateway.settings import Identity

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
RULES = Identity(caisse="691")
PARTNER, AGENT, PASSWORD = "CCAS de Lyon", "m.martin", "Correct-horse-26"
TEXT = Wording("2012-07", "Je m'engage.")


@pytest.fixture
def store(anywhere):
    with contextlib.closing(open_store(anywhere)) as opened:
        directory.add_partner(opened, name=PARTNER, kind="external")
        for identifier in (AGENT, "a.durand"):
            directory.add_account(opened, identifier=identifier, password=PASSWORD, partner_name=PARTNER)
        yield opened


def agent(store, identifier=AGENT):
    return sign_in(store, RULES, identifier=identifier, password=PASSWORD, now=NOON).agent


def test_a_text_is_kept_when_it_is_first_accepted_and_then_its_version_has_no_other(store):
    other = replace(TEXT, text="Je m'engage autrement.")
    assert wording_problem(store, other) is None, "nobody has accepted anything"
    accept(store, TEXT, agent(store), version=TEXT.version, now=NOON)
    assert wording_problem(store, TEXT) is None
    assert "was accepted with another text" in wording_problem(store, other)
    assert wording_problem(store, replace(other, version="2026-11")) is None
    with pytest.raises(EngagementOther):
        accept(store, other, agent(store, "a.durand"), version=TEXT.version, now=NOON)
    with store.read() as connection:
        [kept] = connection.execute(select(wording)).all()
    assert (kept.version, kept.fingerprint, kept.text) == (TEXT.version, TEXT.fingerprint, TEXT.text)


def test_whoever_is_withdrawn_meanwhile_accepts_nothing(store):
    leaving, suspended = agent(store), agent(store, "a.durand")
    directory.close_account(store, identifier=AGENT, signed=Signature(why="left"), now=NOON)
    directory.suspend_account(store, identifier="a.durand")
    with pytest.raises(SessionEnded):
        accept(store, TEXT, leaving, version=TEXT.version, now=NOON)
    with pytest.raises(AgentSuspended):
        accept(store, TEXT, suspended, version=TEXT.version, now=NOON)
    assert {entry.engagement_version for entry in directory.accounts(store)} == {None}
    with store.read() as connection:
        assert connection.execute(select(wording)).all() == []


def test_the_first_two_who_accept_at_once_have_both_accepted(anywhere, store):
    agents = [agent(store), agent(store, "a.durand")]
    together = threading.Barrier(2)

    def attempt(who):
        with contextlib.closing(open_store(anywhere)) as own:
            together.wait(30)
            accept(own, TEXT, who, version=TEXT.version, now=NOON)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(attempt, agents))
    assert {entry.engagement_version for entry in directory.accounts(store)} == {TEXT.version}


def test_the_shipped_text_has_its_own_version_and_no_other(tmp_path):
    assert load_wording(RULES).version == "2012-07"
    with pytest.raises(Misconfigured, match="name the file with the text of version '2026-11'"):
        load_wording(Identity(caisse="691", engagement_version="2026-11"))
    file = tmp_path / "texte.txt"
    file.write_bytes(b"\r\nJe m'engage\r\nici.\r\n")
    found = load_wording(Identity(caisse="691", engagement_version="2026-11", engagement_text=file))
    assert found == Wording("2026-11", "Je m'engage\nici.")
