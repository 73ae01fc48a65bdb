"""What a file said is remembered in the tasks of a loop until the file changes, whoever changes it, and no longer."""

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.database import connections
from gateway.database.opening import open_database
from gateway.errors import Misconfigured, Refusal, StoreUnavailable
from gateway.identity import directory
from gateway.identity.facts import dossier_facts
from gateway.identity.sessions import identify, sign_in
from gateway.identity.store import open_store
from gateway.loop.waiting import run
from gateway.model import dossier_number
from gateway.settings import Identity
from tests.database import elsewhere
from tests.database.board import FIRST_SAID, METADATA
from tests.database.tasks import ticks, together

LOOK = "PRAGMA data_version"


def in_a_loop(board, name="door", **options):
    return run(lambda: board.says(name, **options))


def sql_for(says):
    return f"INSERT INTO line (name, says, day) VALUES ('door', '{says}', '2026-01-01')"


def by_another_connection(board, says):
    connection = sqlite3.connect(board.database.file)
    connection.execute(sql_for(says))
    connection.commit()
    connection.close()


def by_a_connection_that_stays(board, says):
    board.stays = sqlite3.connect(board.database.file, isolation_level=None)
    board.stays.execute(sql_for(says))


def by_another_database_object(board, says):
    other = open_database(board.url, METADATA, setting="store.url")
    with other.change() as connection:
        connection.exec_driver_sql(sql_for(says))
    other.close()


def by_another_process(board, says):
    elsewhere.commit(board.database.file, sql_for(says))


def by_the_same_process(board, says):
    board.change(says)


def by_a_task(board, says):
    run(lambda: board.change(says))


def by_an_append(board, says):
    board.append(says)


def by_an_append_in_a_task(board, says):
    run(lambda: board.append(says))


WAYS = [
    by_another_connection,
    by_a_connection_that_stays,
    by_another_database_object,
    by_another_process,
    by_the_same_process,
    by_a_task,
    by_an_append,
    by_an_append_in_a_task,
]


@pytest.mark.parametrize("change", WAYS, ids=lambda way: way.__name__)
def test_an_answer_is_remembered_until_the_file_is_changed(board, change):
    board.change("closed")
    assert [in_a_loop(board) for _ in range(3)] == ["closed"] * 3
    assert len(board.asked) == 1, "remembered"
    change(board, "open")
    assert [in_a_loop(board) for _ in range(3)] == ["open"] * 3
    assert len(board.asked) == 2, "asked again once, and remembered again"
    if hasattr(board, "stays"):
        board.stays.close()


def test_that_there_is_nothing_is_remembered_too_and_until_the_same_moment(board):
    assert [in_a_loop(board) for _ in range(2)] == [None, None]
    assert len(board.asked) == 1
    board.change("open")
    assert in_a_loop(board) == "open"


def test_what_is_not_committed_is_not_seen_and_what_is_undone_never_was(board):
    board.change("closed")
    assert in_a_loop(board) == "closed"
    writer = sqlite3.connect(board.database.file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute(sql_for("open"))
    assert in_a_loop(board) == "closed"
    writer.execute("ROLLBACK")
    assert in_a_loop(board) == "closed"
    writer.close()
    assert len(board.asked) == 1


def test_outside_of_a_task_nothing_is_remembered(board):
    board.change("closed")
    assert [board.says() for _ in range(3)] == ["closed"] * 3
    assert len(board.asked) == 3
    assert in_a_loop(board) == "closed"
    assert board.says() == "closed"
    assert len(board.asked) == 5, "nor is what a task was told"


@pytest.mark.parametrize(
    ("other", "answer"),
    [
        ({"name": "window"}, "shut"),
        ({"day": "2026-06-16"}, "open"),
        ({"question": FIRST_SAID}, "closed at first"),
    ],
    ids=["another value", "another day", "another question"],
)
def test_another_question_value_or_day_has_another_answer(board, other, answer):
    board.change("closed at first")
    board.change("closed")
    board.change("open", day="2026-06-16")
    board.change("shut", name="window")
    for _ in range(2):
        assert in_a_loop(board) == "closed"
        assert in_a_loop(board, **other) == answer
    assert len(board.asked) == 2


def test_each_thread_remembers_for_itself_and_sees_every_change(board):
    board.change("closed")
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        for says in ("closed", "open", "ajar"):
            if says != "closed":
                by_another_connection(board, says)
            for thread in (one, two, one, two):
                assert thread.submit(in_a_loop, board).result() == says
    assert len(board.asked) == 6


def test_threads_that_ask_in_turns_use_one_connection_and_a_loop_has_its_own(board):
    board.change("closed")
    for _ in range(5):
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(board.says).result() == "closed"
    assert in_a_loop(board) == "closed"
    assert board.says() == "closed"
    assert len(board.database._idle) == 1
    assert board.database._own.held not in (None, *board.database._idle)


def test_threads_that_ask_at_once_are_each_answered_and_keep_no_more_connections_than_asked_at_once(board):
    board.change("closed")
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: board.says(), range(800))) == {"closed"}
    kept = len(board.database._idle)
    assert 1 <= kept <= 8
    by_another_connection(board, "open")
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: board.says(), range(80))) == {"open"}


# Looking at the file.


@pytest.fixture
def sent(board):
    """The statements that the loop's connection has sent to SQLite."""
    statements = []
    run(lambda: board.database._taken().connection.set_trace_callback(statements.append))
    return statements


def test_readings_of_one_turn_look_at_the_file_once_and_those_of_later_turns_again(board, sent):
    board.change("closed")
    assert together(*[board.says] * 5) == ["closed"] * 5
    assert sent.count(LOOK) == 1
    assert len(board.asked) == 1
    together(*[board.says] * 5)
    assert sent.count(LOOK) == 2
    assert len(sent) == 3, "and nothing else was asked"


def test_a_task_that_has_waited_looks_again(board, sent):
    board.change("closed")

    def before_and_after():
        before = board.says()
        by_another_connection(board, "open")
        within = board.says()
        ticks(1)
        return before, within, board.says()

    assert run(before_and_after) == ("closed", "closed", "open")
    assert sent.count(LOOK) == 2


def test_a_reading_made_before_a_change_leaves_nothing_to_those_made_after(board):
    board.change("closed")

    def slow():
        reading = board.database.reading()
        ticks(3)
        # It is told what is true now, which the next change must find forgotten all the same.
        return board.ask(reading)

    def change_and_read():
        ticks(1)
        by_another_connection(board, "open")
        return board.says()

    assert together(slow, change_and_read) == ["open", "open"]
    by_another_connection(board, "ajar")
    assert in_a_loop(board) == "ajar"


# How much, and when nothing.


def test_what_is_remembered_is_bounded_and_the_latest_stays(board):
    board.change("closed", name="0")

    def ask_for_many():
        reading = board.database.reading()
        for name in range(connections.REMEMBERED + 1):
            board.ask(reading, str(name))
        return reading

    def ask_again():
        reading = board.database.reading()
        board.asked.clear()
        board.ask(reading, str(connections.REMEMBERED))
        assert not board.asked, "the latest is remembered"
        assert board.ask(reading, "0") == "closed"
        assert len(board.asked) == 1, "the oldest had to go"

    reading = run(ask_for_many)
    assert len(reading._memory) == connections.REMEMBERED
    run(ask_again)
    assert len(reading._memory) == connections.REMEMBERED


@pytest.mark.looks_inside
def test_a_file_removed_is_noticed_and_one_put_in_its_place_is_read(board, monkeypatch, tmp_path):
    monkeypatch.setattr(connections, "_FILE_CHECK_SECONDS", -1.0)
    board.change("closed")
    assert in_a_loop(board) == "closed"
    (tmp_path / "other").mkdir()
    other = open_database(f"sqlite:///{tmp_path / 'other' / 'board.db'}", METADATA, setting="store.url")
    with other.change() as connection:
        connection.exec_driver_sql(sql_for("restored"))
    other.close()
    for file in tmp_path.glob("board.db*"):
        file.unlink()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            in_a_loop(board)
    shutil.copy(tmp_path / "other" / "board.db", board.database.file)
    assert [in_a_loop(board) for _ in range(2)] == ["restored"] * 2
    assert len(board.asked) == 2


@pytest.mark.looks_inside
def test_a_file_replaced_while_nobody_looked_is_read(board, monkeypatch, tmp_path):
    monkeypatch.setattr(connections, "_FILE_CHECK_SECONDS", -1.0)
    board.change("closed")
    restored = tmp_path / "restored.db"
    with sqlite3.connect(board.database.file) as source, sqlite3.connect(restored) as target:
        source.backup(target)
        target.execute("UPDATE line SET says = 'restored'")
        target.commit()
        target.execute("PRAGMA journal_mode = DELETE")
    source.close()
    target.close()
    assert in_a_loop(board) == "closed"
    for side in ("-wal", "-shm"):
        Path(f"{board.database.file}{side}").unlink(missing_ok=True)
    restored.replace(board.database.file)
    assert in_a_loop(board) == "restored"


def test_after_a_connection_was_dropped_nothing_old_is_believed(board):
    board.change("closed")
    assert in_a_loop(board) == "closed"
    own = board.database._own
    before = own.version
    run(board.database._taken).close()
    with pytest.raises(StoreUnavailable):
        in_a_loop(board)
    by_another_connection(board, "open")
    assert in_a_loop(board) == "open"
    assert own.version[0] == before[0], "the new connection counts as the old one did: the number alone tells nothing"


def test_a_question_that_fails_is_not_remembered_and_costs_only_itself(board):
    board.change("closed")
    assert in_a_loop(board) == "closed"
    with board.database.change() as connection:
        connection.exec_driver_sql("ALTER TABLE line RENAME TO hidden")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="SQLITE_ERROR"):
            in_a_loop(board)
    with board.database.change() as connection:
        connection.exec_driver_sql("ALTER TABLE hidden RENAME TO line")
    assert in_a_loop(board) == "closed"


def test_while_another_process_has_the_file_for_itself_a_question_waits_and_the_loop_goes_on(board):
    board.change("closed")
    done = []

    def ask():
        done.append(board.says())

    def go_on_and_release():
        ticks()
        assert not done, "nothing can be read yet"
        release()

    with elsewhere.occupied(board.database.file, elsewhere.ALONE) as release:
        together(ask, go_on_and_release)
    assert done == ["closed"]
    assert in_a_loop(board) == "closed"
    assert in_a_loop(board) == "closed"
    assert len(board.asked) == 2, "what was asked aside is not remembered, for nobody had looked at the file"


# A whole directory.

RULES = Identity(caisse="691", engagement_version="2012-07", idle_minutes=720, session_hours=24)
EVENING = datetime(2026, 6, 15, 21, 0, tzinfo=UTC)
"""23 o'clock in Paris."""
NUMBERS = [number for text in ("9990001", "9990002") if (number := dossier_number(text))]
AGENTS = {"m.martin": "CCAS de Lyon", "c.durand": "UDAF du Rhône"}
PASSWORD = "Correct-horse-26"
FIRST, LAST = date(2026, 1, 1), date(2026, 6, 15)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A directory that is closed, and the tokens of its two agents."""
    file = tmp_path_factory.mktemp("template") / "directory.db"
    store = open_store(f"sqlite:///{file}")
    tokens = []
    for number, (identifier, partner) in enumerate(AGENTS.items()):
        directory.add_partner(store, name=partner, kind="external")
        directory.add_account(store, identifier=identifier, password=PASSWORD, partner_name=partner, profiles=["T9"])
        directory.add_convention(
            store,
            partner_name=partner,
            number=f"2026-00{number}",
            caisse="691",
            starts_on=FIRST,
            ends_on=LAST,
            profiles=["T9"],
        )
        tokens.append(sign_in(store, RULES, identifier=identifier, password=PASSWORD, now=EVENING).token)
    store.close()
    return file, tokens


def changes():
    """What administrators may do, each a function of a store; what it is refused for does not matter here."""
    identifiers, partners = st.sampled_from(list(AGENTS)), st.sampled_from(list(AGENTS.values()))
    dossiers, numbers = st.sampled_from(list(map(str, NUMBERS))), st.sampled_from(["2026-000", "2026-001"])
    days = st.sampled_from([FIRST, LAST, LAST + timedelta(days=1)])

    def each(function, **arguments):
        return st.builds(partial, st.just(function), **arguments)

    return st.one_of(
        each(directory.suspend_convention, number=numbers),
        each(directory.resume_convention, number=numbers),
        each(directory.suspend_account, identifier=identifiers),
        each(directory.resume_account, identifier=identifiers),
        each(directory.set_profiles, identifier=identifiers, profiles=st.sampled_from([["T9"], ["T1", "T9"], ["T1"]])),
        each(directory.sign_engagement, identifier=identifiers, version=st.just("2012-07"), now=st.just(EVENING)),
        each(directory.withdraw_engagement, identifier=identifiers),
        each(
            directory.add_mandate,
            dossier=dossiers,
            kind=st.sampled_from(["judgment", "masp"]),
            partner_name=partners,
            identifier=st.none() | identifiers,
            starts_on=days,
            ends_on=st.none() | st.just(LAST),
            reference=st.just("TJ 26/17"),
        ),
        each(directory.release_mandate, mandate_id=st.integers(1, 3), now=st.just(EVENING)),
        each(directory.raise_objection, dossier=dossiers, reference=st.just("26/1"), now=st.just(EVENING)),
        each(directory.lift_objection, dossier=dossiers, now=st.just(EVENING)),
        each(directory.end_sessions, identifier=identifiers),
    )


def told(store, token, *, now):
    """Everything a request may learn: the refusal, or the agent with the facts of each dossier."""
    try:
        agent, reading = identify(store, RULES, token, now=now)
        return agent, [dossier_facts(reading, RULES, agent, number, now=now) for number in NUMBERS]
    except Refusal as refusal:
        return type(refusal).__name__, refusal.because


ASK, MIDNIGHT = "ask", "midnight"


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(changes() | st.sampled_from([ASK, ASK, MIDNIGHT]), min_size=1, max_size=14))
def test_a_loop_is_told_what_a_store_just_opened_is_told_whatever_was_changed_in_between(
    tmp_path_factory, template, steps
):
    file = tmp_path_factory.mktemp("town") / "directory.db"
    template_file, tokens = template
    shutil.copy(template_file, file)
    url = f"sqlite:///{file}"
    store, other = open_store(url), open_store(url)
    now = EVENING
    try:
        for step in (ASK, *steps, ASK):
            if step == MIDNIGHT:
                now = EVENING + timedelta(minutes=90)
            elif step == ASK:
                works = [partial(told, store, token, now=now) for token in tokens]
                in_tasks = together(*works, *works)
                fresh = open_store(url)
                told_to_it = [told(fresh, token, now=now) for token in tokens]
                fresh.close()
                assert in_tasks == told_to_it * 2
            else:
                with suppress(Misconfigured):
                    step(other)
    finally:
        store.close()
        other.close()
        shutil.rmtree(file.parent)
