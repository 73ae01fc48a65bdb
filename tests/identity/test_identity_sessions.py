"""How sessions end: by their holder, by idleness, by time, by the clock, by a profile taken away."""

import string
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from gateway.errors import SessionEnded
from gateway.identity import directory
from gateway.identity.proving import is_identifier
from gateway.identity.refusals import LogInRefused
from gateway.identity.sessions import sign_in, sign_out
from gateway.identity.tables import session
from gateway.settings import Identity

ON_ONE_TOWN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def ending(town, token, now):
    """Why the session has ended, empty while it has not."""
    try:
        town.identify(token, now=now)
    except SessionEnded as refusal:
        return refusal.because
    return ""


def seen_at(town):
    with town.store.read() as connection:
        return datetime.fromtimestamp(connection.execute(select(session.c.seen_at)).scalar_one(), UTC)


def test_a_session_left_alone_ends_after_the_idle_time(town):
    token = town.sign_in().token
    assert ending(town, token, town.noon + timedelta(minutes=30, seconds=-1)) == ""
    token = town.sign_in().token
    assert ending(town, token, town.noon + timedelta(minutes=30)) == "idle"


def test_a_session_in_use_ends_at_its_absolute_time_and_not_before(town):
    token = town.sign_in().token
    for minutes in range(0, 10 * 60, 25):
        assert ending(town, token, town.noon + timedelta(minutes=minutes)) == ""
    assert ending(town, token, town.noon + timedelta(hours=10, seconds=-1)) == ""
    assert ending(town, token, town.noon + timedelta(hours=10)) == "expired"


def test_a_use_is_noted_at_most_every_twentieth_of_the_idle_time(town):
    token = town.sign_in().token
    town.identify(token, now=town.noon + timedelta(seconds=89))
    assert seen_at(town) == town.noon
    town.identify(token, now=town.noon + timedelta(seconds=90))
    assert seen_at(town) == town.noon + timedelta(seconds=90)
    town.identify(token, now=town.noon + timedelta(seconds=100))
    assert seen_at(town) == town.noon + timedelta(seconds=90)


def test_a_clock_that_steps_back_a_little_is_forgiven_and_notes_nothing(town):
    token = town.sign_in().token
    later = town.noon + timedelta(minutes=20)
    town.identify(token, now=later)
    assert ending(town, token, later - timedelta(minutes=5)) == ""
    assert seen_at(town) == later


def test_a_clock_that_steps_back_far_gives_no_session_its_hours_again(town):
    token = town.sign_in().token
    later = town.noon + timedelta(minutes=20)
    town.identify(token, now=later)
    assert "clock" in ending(town, token, later - timedelta(minutes=5, seconds=1))
    assert "clock" in ending(town, token, town.noon - timedelta(days=400))
    assert ending(town, token, later) == ""
    assert ending(town, token, town.noon + timedelta(hours=10)) == "expired"


def test_a_clock_stepping_at_random_never_carries_a_session_past_its_end(town):
    @settings(ON_ONE_TOWN, max_examples=15)
    @given(st.lists(st.integers(-100_000, 100_000), max_size=8))
    def walk(steps):
        signed_in = town.sign_in()
        for step in steps:
            moment = town.noon + timedelta(seconds=step)
            if ending(town, signed_in.token, moment) == "":
                assert moment.timestamp() < signed_in.expires_at
        sign_out(town.store, signed_in.token)

    walk()


def test_a_session_ends_when_its_profile_is_taken_away(town):
    token = town.sign_in().token
    directory.set_profiles(town.store, identifier=town.agent, profiles=["T1"])
    assert ending(town, token, town.noon) == "the profile is no longer held"
    directory.set_profiles(town.store, identifier=town.agent, profiles=[])
    assert ending(town, token, town.noon) == "the profile is no longer held"
    directory.set_profiles(town.store, identifier=town.agent, profiles=["T1", "T9"])
    assert town.identify(token).profiles == ("T1", "T9")


def test_a_session_without_profile_ends_when_the_account_is_given_one(town):
    directory.set_profiles(town.store, identifier=town.agent, profiles=[])
    token = town.sign_in().token
    directory.set_profiles(town.store, identifier=town.agent, profiles=["T9"])
    assert ending(town, token, town.noon) == "the profile is no longer held"


def test_ended_sessions_are_counted_and_listed_no_more(town):
    tokens = [town.sign_in().token for _ in range(3)]
    listed = directory.open_sessions(town.store, identifier=town.agent, now=town.noon)
    assert [(entry.identifier, entry.profile, entry.opened_at) for entry in listed] == [
        (town.agent, "T9", town.noon)
    ] * 3
    assert directory.end_sessions(town.store, identifier=town.agent) == 3
    assert directory.end_sessions(town.store, identifier=town.agent) == 0
    assert directory.open_sessions(town.store, now=town.noon) == []
    assert {ending(town, token, town.noon) for token in tokens} == {"unknown token"}


def test_a_log_in_sweeps_expired_sessions_a_hundred_at_a_time(town):
    town.rules = Identity(caisse="691", engagement_version="2012-07", sessions_at_once=1000)
    with town.store.change() as connection:
        connection.execute(
            session.insert(),
            [
                {
                    "token_hash": f"{number:064}",
                    "account_id": 1,
                    "profile": "T9",
                    "assurance": "password",
                    "opened_at": 0,
                    "seen_at": 0,
                    "expires_at": 1,
                }
                for number in range(150)
            ],
        )

    def kept():
        with town.store.read() as connection:
            return connection.execute(select(func.count()).select_from(session)).scalar_one()

    counts = [kept()]
    for _ in range(3):
        town.sign_in()
        counts.append(kept())
    assert counts == [150, 51, 2, 3]


def test_garbage_is_no_token(town):
    good = town.sign_in().token

    @ON_ONE_TOWN
    @given(
        st.one_of(
            st.text(),
            st.text(string.ascii_letters + string.digits + "-_", min_size=43, max_size=43),
            st.integers(0, 42).map(lambda at: good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]),
            st.sampled_from(
                [good + "\n", " " + good, good + "=", good[:42], good + "A", good.swapcase(), "", "\ud800"]
            ),
        )
    )
    def try_it(token):
        assert ending(town, token, town.noon) in ("malformed token", "unknown token")
        assert sign_out(town.store, token) is False

    try_it()
    assert ending(town, good, town.noon) == ""


@given(st.text(string.ascii_letters + string.digits + "._- @é", max_size=70))
def test_an_identifier_is_short_and_plain(text):
    plain = set(text) <= set(string.ascii_lowercase + string.digits + "._-")
    assert is_identifier(text) is (0 < len(text) <= 64 and plain and text[0] not in "._-")


def test_no_garbage_logs_in(town):
    @settings(ON_ONE_TOWN, max_examples=15)
    @given(st.text(), st.text())
    def try_it(identifier, password):
        for named in (identifier, town.agent):
            try:
                sign_in(town.store, town.rules, identifier=named, password=password, now=town.noon)
            except LogInRefused:
                continue
            raise AssertionError("garbage logged in")

    try_it()
