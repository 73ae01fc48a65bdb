"""An agent's own sessions, seen and ended one by one, on both databases."""

from datetime import timedelta

import pytest

from gateway.errors import Misconfigured, NoSuchSession, SessionEnded
from gateway.identity import directory
from gateway.identity.opaque import digest, new_token, public_id
from gateway.identity.own_sessions import end_own, own_sessions
from gateway.identity.sessions import sign_in, sign_out

MINUTE = timedelta(minutes=1)
OTHER = "a.dupont"


def called(signed_in):
    return public_id(digest(signed_in.token))


def seen_by(town, signed_in, now):
    """What this session is shown: which sessions there are, and which of them asks."""
    found = own_sessions(town.store, town.rules, signed_in.agent, signed_in.token, now=now)
    return [one.id for one in found], [one.id for one in found if one.current]


def end(town, signed_in, session_id, now=None):
    return end_own(town.store, signed_in.agent, signed_in.token, session_id, now=now or town.noon)


@pytest.fixture
def other(twin):
    """A colleague's session."""
    directory.add_account(
        twin.store, identifier=OTHER, password=twin.password, partner_name=twin.partner, profiles=["T9"]
    )
    return sign_in(twin.store, twin.rules, identifier=OTHER, password=twin.password, now=twin.noon)


def test_an_agent_sees_its_own_sessions_the_last_used_first_and_which_one_asks(twin, other):
    first, second = twin.sign_in(), twin.sign_in(now=twin.noon + MINUTE)
    later = twin.noon + 20 * MINUTE
    twin.identify(first.token, now=later)
    assert seen_by(twin, second, later) == ([called(first), called(second)], [called(second)])
    assert seen_by(twin, first, later) == ([called(first), called(second)], [called(first)])
    assert seen_by(twin, other, later) == ([called(other)], [called(other)])
    [_, shown] = own_sessions(twin.store, twin.rules, first.agent, first.token, now=later)
    opened = int((twin.noon + MINUTE).timestamp())
    assert (shown.profile, shown.assurance, shown.opened_at, shown.seen_at, shown.expires_at) == (
        *("T9", "password"),
        *(opened, opened, opened + 10 * 3600),
    )


def test_what_would_be_refused_is_not_shown(twin):
    """Idle, expired, under a profile that was taken away, used in what is the future of a clock that stepped back."""
    twin.sign_in()
    later = twin.noon + 30 * MINUTE
    newer = twin.sign_in(now=later)
    assert seen_by(twin, newer, later)[0] == [called(newer)]
    directory.set_profiles(twin.store, identifier=twin.agent, profiles=["T1", "T9"])
    under_t1 = twin.sign_in(profile="T1", now=later)
    assert len(seen_by(twin, under_t1, later)[0]) == 2
    directory.set_profiles(twin.store, identifier=twin.agent, profiles=["T9"])
    agent = twin.identify(newer.token, now=later)
    assert [one.profile for one in own_sessions(twin.store, twin.rules, agent, newer.token, now=later)] == ["T9"]
    assert called(newer) not in seen_by(twin, newer, later - 6 * MINUTE)[0]
    assert own_sessions(twin.store, twin.rules, agent, newer.token, now=later + timedelta(hours=10)) == []


def test_what_a_session_is_called_opens_nothing(twin):
    opened = twin.sign_in()
    assert called(opened) not in opened.token
    for text in (called(opened), called(opened) * 2, digest(opened.token)):
        with pytest.raises(SessionEnded):
            twin.identify(text[:43])


def test_an_agent_ends_one_session_and_the_others_go_on(twin, other):
    first, second, third = (twin.sign_in() for _ in range(3))
    assert end(twin, first, called(second)) is False
    with pytest.raises(SessionEnded):
        twin.identify(second.token)
    for kept in (first, third):
        twin.identify(kept.token)
    assert end(twin, first, called(first)) is True
    with pytest.raises(SessionEnded):
        twin.identify(first.token)
    twin.identify(third.token)
    twin.identify(other.token)
    told = [(one.by, one.act, one.subject, one.detail) for one in directory.changes(twin.store, act="session")]
    assert told == [
        (twin.agent, "session end", twin.agent, f"session {called(second)}"),
        (twin.agent, "session end", twin.agent, f"session {called(first)}"),
    ]


def test_no_other_session_is_ended_whatever_is_named(twin, other):
    mine = twin.sign_in()
    over = twin.sign_in()
    sign_out(twin.store, over.token)
    named = (called(other), called(over), public_id(digest(new_token())), "", "%" * 24, "_" * 24, "é")
    for text in (*named, digest(mine.token), mine.token, called(mine).upper(), f"{called(mine)}\n", called(mine)[:23]):
        with pytest.raises(NoSuchSession) as refusal:
            end(twin, mine, text)
        assert refusal.value.said == NoSuchSession.said
    assert {twin.identify(one.token).identifier for one in (mine, other)} == {twin.agent, OTHER}
    assert directory.changes(twin.store, act="session") == []


def test_a_session_that_was_ended_meanwhile_ends_no_other(twin):
    thief, owner = twin.sign_in(), twin.sign_in()
    end(twin, owner, called(thief))
    with pytest.raises(SessionEnded):
        end(twin, thief, called(owner))
    twin.identify(owner.token)


def test_an_administrator_ends_one_session_of_an_account_by_what_it_is_called(twin, other):
    first, second = twin.sign_in(), twin.sign_in()
    listed = {one.id: one.identifier for one in directory.open_sessions(twin.store, now=twin.noon)}
    assert listed == {called(first): twin.agent, called(second): twin.agent, called(other): OTHER}
    assert directory.end_sessions(twin.store, identifier=twin.agent, only=called(first)) == 1
    with pytest.raises(SessionEnded):
        twin.identify(first.token)
    twin.identify(second.token)
    for text in (called(first), called(other), "%", "", "\ud800"):
        with pytest.raises(Misconfigured, match=r"m\.martin has no session of this id\."):
            directory.end_sessions(twin.store, identifier=twin.agent, only=text)
    twin.identify(other.token)
    [told] = directory.changes(twin.store, act="session")
    assert (told.subject, told.detail) == (twin.agent, f"session {called(first)}")
