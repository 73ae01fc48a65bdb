"""A real PostgreSQL server: it is asked aside, believed for one second, and comes back without hands."""

import itertools
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import literal_column, select

from gateway.database import connections
from gateway.database.connections import MOST_ASKING, MOST_CHANGING
from gateway.database.opening import PAUSE, open_database
from gateway.database.patient import Patient
from gateway.errors import Misconfigured, RecordUnavailable, SessionEnded, StoreUnavailable
from gateway.identity import directory
from gateway.identity.facts import dossier_facts
from gateway.identity.refusals import AgentSuspended
from gateway.identity.sessions import identify, sign_in, sign_out
from gateway.identity.store import open_store
from gateway.loop.waiting import run
from gateway.model import dossier_number
from gateway.record.entry import Entry
from gateway.record.journal import open_journal
from gateway.record.recorder import Recorder
from gateway.settings import Identity
from tests.database.board import ADD, COLUMNS, FIRST_SAID, LINE, METADATA, Board
from tests.database.server import serving
from tests.database.tasks import Meeting, ticks, together

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
RULES = Identity(caisse="691", engagement_version="2012-07")
PARTNER, AGENT, PASSWORD = "CCAS de Lyon", "m.martin", "Correct-horse-26"
NUMBER = dossier_number("9990001")
assert NUMBER


def database_of(url):
    return url.rpartition("/")[2]


# Reading.


def in_a_loop(board, name="door", **options):
    return run(lambda: board.says(name, **options))


@pytest.mark.looks_inside
def test_an_answer_is_remembered_for_a_second_and_no_longer(served, monkeypatch):
    served.change("closed")
    monkeypatch.setattr(connections, "REMEMBERED_SECONDS", 3600.0)
    assert [in_a_loop(served) for _ in range(3)] == ["closed"] * 3
    assert len(served.asked) == 1
    served.change("open")
    assert in_a_loop(served) == "closed", "nobody looks before the time is over"
    served.database._own.believed_until = time.monotonic()
    assert [in_a_loop(served) for _ in range(3)] == ["open"] * 3
    assert len(served.asked) == 2


def test_it_is_believed_for_one_second():
    assert connections.REMEMBERED_SECONDS == 1.0


def test_outside_of_a_task_nothing_is_remembered(served):
    served.change("closed")
    assert in_a_loop(served) == "closed"
    served.change("open")
    assert [served.says() for _ in range(2)] == ["open"] * 2
    assert len(served.asked) == 3


@pytest.mark.parametrize(
    ("other", "answer"),
    [
        ({"name": "window"}, "shut"),
        ({"day": "2026-06-16"}, "open"),
        ({"question": FIRST_SAID}, "closed at first"),
    ],
    ids=["another value", "another day", "another question"],
)
def test_another_question_value_or_day_has_another_answer(served, other, answer):
    served.change("closed at first")
    served.change("closed")
    served.change("open", day="2026-06-16")
    served.change("shut", name="window")
    for _ in range(2):
        assert in_a_loop(served) == "closed"
        assert in_a_loop(served, **other) == answer


def test_a_question_in_a_task_does_not_stop_the_loop(served, server):
    served.change("closed")
    done = []

    def ask():
        done.append(served.says())

    def go_on_and_release():
        ticks()
        assert not done, "the table is locked"
        locker.rollback()

    with server.connect(database_of(served.url)) as locker:
        locker.autocommit = False
        locker.execute("LOCK TABLE line IN ACCESS EXCLUSIVE MODE")
        together(ask, go_on_and_release)
    assert done == ["closed"]


def test_an_append_in_a_task_does_not_stop_the_loop(served, server):
    done = []

    def append():
        served.append("one", "two")
        done.append("appended")

    def go_on_and_release():
        ticks()
        assert not done, "the table is locked"
        locker.rollback()

    with server.connect(database_of(served.url)) as locker:
        locker.autocommit = False
        locker.execute("LOCK TABLE line IN ACCESS EXCLUSIVE MODE")
        together(append, go_on_and_release)
    assert served.lines() == ["one", "two"]


@pytest.mark.looks_inside
def test_a_slow_answer_to_an_earlier_reading_is_not_believed_by_a_later_one(served, monkeypatch):
    monkeypatch.setattr(connections, "REMEMBERED_SECONDS", 0.0)
    served.change("closed")

    def slow():
        reading = served.database.reading()
        ticks(3)
        return served.ask(reading)

    def change_and_read():
        ticks(1)
        served.change("open")
        return served.says()

    assert together(slow, change_and_read) == ["open", "open"]
    served.change("ajar")
    assert in_a_loop(served) == "ajar"


def test_more_tasks_than_threads_may_ask_at_once_and_each_is_answered(served):
    for name in range(40):
        served.change(f"says {name}", name=str(name))
    asked = [partial(served.says, str(name)) for name in range(40)]
    assert together(*asked) == [f"says {name}" for name in range(40)]


def test_rows_that_cannot_all_be_written_are_all_refused(served):
    with pytest.raises(StoreUnavailable, match="23502"):
        run(lambda: served.append("one", None))
    run(lambda: served.append("two"))
    assert served.lines() == ["two"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=70))
@example(rows=[("", "\\N"), ("\\.", "\\"), ("a\tb", "c\nd\r\ne"), ("'; DROP TABLE line; --", '\\x00 %s {0} "')])
def test_whatever_is_written_is_read_again_to_the_letter(served, rows):
    with served.database.change() as connection:
        connection.exec_driver_sql("TRUNCATE line")
    served.database.append(ADD, COLUMNS, [(name, says, "2026-01-01") for name, says in rows], served.bell)
    with served.database.read() as connection:
        kept = connection.execute(select(LINE.c.name, LINE.c.says, LINE.c.day).order_by(LINE.c.id)).all()
    assert [tuple(row) for row in kept] == [(name, says, date(2026, 1, 1)) for name, says in rows]


@pytest.mark.parametrize(
    ("wrong", "error"), [("a\0b", StoreUnavailable), ("a\ud800b", UnicodeEncodeError)], ids=["NUL", "half a character"]
)
def test_a_text_that_the_server_cannot_hold_refuses_its_rows_and_no_others(served, wrong, error):
    with pytest.raises(error):
        run(lambda: served.append("one", wrong, "three"))
    run(lambda: served.append("two"))
    assert served.lines() == ["two"]


def test_a_change_that_fails_leaves_nothing(served):
    served.change("closed")

    def stumble():
        with served.database.change() as connection:
            connection.exec_driver_sql("DELETE FROM line")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stumble()
    assert served.lines() == ["closed"]


def test_a_change_waits_for_another_one_no_longer_than_it_is_told(served, server):
    with server.connect(database_of(served.url)) as locker:
        locker.autocommit = False
        locker.execute("LOCK TABLE line IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="55P03"), served.database.change(wait_ms=20) as connection:
            connection.exec_driver_sql("DELETE FROM line")
        locker.rollback()


# The directory.


class Town:
    """A partner with a convention and an agent who has logged in, seen by one worker and changed by another."""

    def __init__(self, url):
        self.store, self.other = open_store(url), open_store(url)
        directory.add_partner(self.other, name=PARTNER, kind="external")
        directory.add_account(self.other, identifier=AGENT, password=PASSWORD, partner_name=PARTNER, profiles=["T9"])
        directory.add_convention(
            self.other,
            partner_name=PARTNER,
            number="2026-001",
            caisse="691",
            starts_on=date(2026, 1, 1),
            ends_on=date(2026, 12, 31),
            profiles=["T9"],
        )
        self.mandate = directory.add_mandate(
            self.other,
            dossier="9990001",
            kind="judgment",
            partner_name=PARTNER,
            starts_on=date(2026, 1, 1),
            reference="TJ Lyon 26/17",
        )
        directory.sign_engagement(self.other, identifier=AGENT, version="2012-07", now=NOON)
        self.token = self.sign_in()

    def sign_in(self):
        return sign_in(self.store, RULES, identifier=AGENT, password=PASSWORD, now=NOON).token

    def told(self, store=None):
        """What a request may learn in a task: convention, engagement, mandates, objection, or the refusal's class."""
        return run(partial(self._told, store or self.store))

    def _told(self, store):
        try:
            agent, reading = identify(store, RULES, self.token, now=NOON)
            mandates, objection = dossier_facts(reading, RULES, agent, NUMBER, now=NOON)
            return agent.convention, agent.engagement, sorted(mandates), objection
        except (SessionEnded, AgentSuspended) as refusal:
            return type(refusal)

    def close(self):
        self.store.close()
        self.other.close()


ALL_WELL = ("in_force", "signed", ["judgment"], "none")


@pytest.fixture
def town(url):
    made = Town(url)
    yield made
    made.close()


@pytest.mark.looks_inside
def test_an_agent_logs_in_is_recognised_in_tasks_and_logs_out(town, monkeypatch):
    monkeypatch.setattr(connections, "REMEMBERED_SECONDS", 0.0)
    assert together(*[partial(town._told, town.store)] * 20) == [ALL_WELL] * 20
    assert town.told(town.other) == ALL_WELL
    assert sign_out(town.other, town.token)
    assert town.told() is SessionEnded
    assert [session.identifier for session in directory.open_sessions(town.store, now=NOON)] == []


def test_what_the_directory_refuses_it_refuses_on_a_server_too(town):
    with pytest.raises(Misconfigured, match="already"):
        directory.add_partner(town.other, name=PARTNER, kind="external")
    assert [partner.name for partner in directory.partners(town.store)] == [PARTNER]
    assert [convention.number for convention in directory.conventions(town.store)] == ["2026-001"]


REVOCATIONS = [
    (
        "a suspended convention",
        lambda town: directory.suspend_convention(town.other, number="2026-001"),
        ("suspended", "signed", ["judgment"], "none"),
    ),
    (
        "a withdrawn engagement",
        lambda town: directory.withdraw_engagement(town.other, identifier=AGENT),
        ("in_force", "missing", ["judgment"], "none"),
    ),
    (
        "a released mandate",
        lambda town: directory.release_mandate(town.other, mandate_id=town.mandate, now=NOON),
        ("in_force", "signed", [], "none"),
    ),
    (
        "an objection",
        lambda town: directory.raise_objection(town.other, dossier="9990001", reference="26/1", now=NOON),
        ("in_force", "signed", ["judgment"], "raised"),
    ),
    ("a suspended account", lambda town: directory.suspend_account(town.other, identifier=AGENT), AgentSuspended),
    ("ended sessions", lambda town: directory.end_sessions(town.other, identifier=AGENT), SessionEnded),
    ("a log-out", lambda town: sign_out(town.other, town.token), SessionEnded),
]


@pytest.mark.looks_inside
@pytest.mark.parametrize(("_", "revoke", "told"), REVOCATIONS, ids=[row[0] for row in REVOCATIONS])
def test_a_revocation_acts_when_what_was_told_before_is_out_of_date(town, monkeypatch, _, revoke, told):
    monkeypatch.setattr(connections, "REMEMBERED_SECONDS", 3600.0)
    assert town.told() == ALL_WELL
    revoke(town)
    assert town.told() == ALL_WELL, "believed"
    town.store._own.believed_until = time.monotonic()
    assert town.told() == told


def last_told(town, told):
    """How many seconds after this moment the town was last asked and told this."""
    changed = last = time.monotonic()
    while True:
        asked = time.monotonic()
        if town.told() != told:
            return last - changed
        last = asked
        assert asked < changed + 30
        run(partial(ticks, 10))


def test_revocations_act_within_two_seconds_by_themselves(town):
    assert town.told() == ALL_WELL
    directory.suspend_convention(town.other, number="2026-001")
    directory.raise_objection(town.other, dossier="9990001", reference="26/1", now=NOON)
    assert last_told(town, ALL_WELL) < 2
    assert town.told() == ("suspended", "signed", ["judgment"], "raised")
    directory.suspend_account(town.other, identifier=AGENT)
    assert last_told(town, ("suspended", "signed", ["judgment"], "raised")) < 2
    assert town.told() is AgentSuspended


# The record.


def entry(name):
    return Entry(name, NOON, "192.0.2.1")


@pytest.fixture
def journal(url):
    opened = open_journal(url)
    yield opened
    opened.close()


@pytest.fixture
def kept(server, url):
    """The names in the record, read by a connection that is not ours."""

    def read():
        with server.connect(database_of(url)) as connection:
            return [name for (name,) in connection.execute("SELECT request_id FROM record ORDER BY id")]

    return read


def append_all(recorder, names):
    meeting = Meeting(len(names))

    def append(name):
        meeting.wait()
        recorder.append(entry(name))

    together(*(partial(append, name) for name in names))


def test_what_was_appended_is_there_after_the_power_failed(journal, kept, server):
    with server.connect() as administrator:
        administrator.execute("CHECKPOINT")  # so that there is little to recover besides
    names = [str(number) for number in range(150)]
    append_all(Recorder(journal.write), names)
    with server.stopped("immediate"):
        pass
    assert sorted(kept(), key=int) == names


def test_an_entry_is_kept_before_its_append_returns(journal, kept):
    recorder = Recorder(journal.write)
    for name in ("one", "two"):
        run(lambda name=name: recorder.append(entry(name)))
        assert kept()[-1] == name


# The server goes and comes.


def test_a_stopped_server_refuses_everything_and_works_by_itself_once_it_is_started(town, journal, kept, server, url):
    recorder = Recorder(journal.write)
    run(lambda: recorder.append(entry("before")))
    assert town.told() == ALL_WELL
    with server.stopped():
        town.store._own.believed_until = time.monotonic()
        for attempt in (town.told, town.sign_in, town.store.check_writable, journal.check_writable):
            with pytest.raises(StoreUnavailable) as refusal:
                attempt()
            assert PASSWORD not in refusal.value.because and "SELECT" not in refusal.value.because
        with pytest.raises(RecordUnavailable):
            run(lambda: recorder.append(entry("meanwhile")))
        with pytest.raises(Misconfigured, match="cannot be used"):
            open_store(url)
    time.sleep(PAUSE)
    assert town.told() == ALL_WELL
    town.sign_in()
    town.store.check_writable()
    run(lambda: recorder.append(entry("after")))
    assert kept() == ["before", "after"]


@pytest.mark.looks_inside
def test_of_a_server_that_was_started_again_no_request_notices(served, server, monkeypatch):
    monkeypatch.setattr(connections, "REMEMBERED_SECONDS", 0.0)
    served.change("closed")
    others = [partial(served.says, str(name)) for name in range(40)]
    together(*others)
    served.append("closed")
    with server.stopped():
        pass
    refused = 0
    for _ in range(40):
        try:
            assert in_a_loop(served) == "closed"
            run(lambda: served.append("closed"))
        except StoreUnavailable:
            refused += 1
    assert refused == 0, "what was told nothing is asked again"


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_the_record_of_a_server_that_was_started_again_is_appended_to_at_once(served, server, mode):
    """Whoever did not ask while it was away does not pay for it: nothing was begun on the connection that is gone."""
    served.append("open")
    for _ in range(2):
        with server.stopped(mode):
            pass
        served.append("open")
        run(lambda: served.append("open"))


@pytest.mark.looks_inside
def test_a_server_that_is_away_is_not_tried_again_for_a_tenth_of_a_second_whoever_asks(served, server, monkeypatch):
    tried = []
    connect = Patient.connect

    def noted(*arguments, **options):
        tried.append(time.monotonic())
        return connect(*arguments, **options)

    refused = 0
    monkeypatch.setattr(connections, "REMEMBERED_SECONDS", 0.0)
    with server.stopped():
        monkeypatch.setattr(Patient, "connect", noted)
        until = time.monotonic() + 5 * PAUSE
        while time.monotonic() < until:
            for ask in (partial(in_a_loop, served), served.database.check_writable, partial(served.append, "open")):
                with pytest.raises(StoreUnavailable):
                    ask()
                refused += 1
        monkeypatch.setattr(Patient, "connect", connect)
    assert 1 <= len(tried) <= 6 < refused
    assert all(later - earlier >= PAUSE for earlier, later in itertools.pairwise(tried))
    time.sleep(PAUSE)
    assert in_a_loop(served) is None


def test_a_read_only_server_takes_no_change_and_says_so(served, server):
    name = database_of(served.url)
    with server.connect() as administrator:
        administrator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        served.database._engine.dispose()
        for change in (served.database.check_writable, partial(served.change, "open"), partial(served.append, "open")):
            with pytest.raises(StoreUnavailable, match=r"read-only|25006"):
                change()
        administrator.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    served.database._engine.dispose()
    served.database.check_writable()


def test_the_tables_are_made_once_when_many_open_an_empty_database(url):
    with ThreadPoolExecutor(6) as threads:
        stores = list(threads.map(open_store, itertools.repeat(url, 6)))
    for number, store in enumerate(stores):
        directory.add_partner(store, name=f"partner {number}", kind="external")
    assert len(directory.partners(stores[0])) == 6
    for store in stores:
        store.close()


def test_the_record_goes_on_beyond_32_bits(server):
    """Some hundred rows a second fill them in months."""
    url = server.empty_database()
    journal = open_journal(url)
    try:
        row = Entry("a request", datetime(2026, 6, 15, 10, 0, tzinfo=UTC), "192.0.2.1").row()
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("SELECT setval('record_id_seq', 2147483646)")
            for _ in range(3):
                journal.write([row])
            assert connection.execute("SELECT max(id) FROM record").fetchone() == (2**31 + 1,)
    finally:
        journal.close()
        server.remove(url)


@pytest.mark.parametrize("chosen", ["off", "on", "local", "remote_write", "remote_apply"])
def test_what_a_server_confirms_to_us_is_on_its_disk_whatever_it_confirms_to_others(url, server, chosen):
    held = "on" if chosen == "off" else chosen
    with server.connect() as connection:
        connection.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = {chosen}")
    database = open_database(url, METADATA, setting="store.url")
    board = Board(database, url)
    try:
        board.append("mine")
        board.change("theirs")
        for connection in [database._appending.connection, *(each.connection for each in database._idle)]:
            assert connection.execute("SHOW synchronous_commit").fetchone() == (held,)
        with database.read() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == held
        with database.change() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == held
    finally:
        database.close()


def test_a_server_that_forgets_what_it_has_confirmed_is_refused(url):
    """A server of its own: the setting is all of a server's."""
    with serving("fsync = off\n") as forgetful, pytest.raises(Misconfigured) as refusal:
        open_database(forgetful.database("cafpro"), METADATA, setting="record.url")
    [problem] = refusal.value.problems
    assert problem.startswith("record.url: postgresql+psycopg://postgres@127.0.0.1:")
    assert problem.endswith("Set fsync = on there.")


OWNER = """
import sys, time
from pathlib import Path
from tests.database.server import Server
server = Server(Path(sys.argv[1]))
server.start()
print(server._process.pid, flush=True)
time.sleep(600)
"""


def test_a_server_of_the_tests_ends_with_whoever_started_it_however_that_ends():
    with tempfile.TemporaryDirectory(prefix="cafpro-postgres-") as above:
        owner = subprocess.Popen([sys.executable, "-c", OWNER, above], stdout=subprocess.PIPE, cwd=ROOT)
        postmaster = psutil.Process(int(owner.stdout.readline()))
        family = [postmaster, *postmaster.children()]
        owner.kill()
        owner.wait()
        owner.stdout.close()
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive


SLEEP = select(literal_column("pg_sleep(0.2)"))


def test_many_threads_ask_by_as_many_connections_as_a_process_may_have(served, server):
    """Each of them is answered, and none of what there is room for on the server is taken from other processes."""
    with ThreadPoolExecutor(3 * MOST_ASKING) as pool:
        asked = [pool.submit(served.database.ask, SLEEP) for _ in range(3 * MOST_ASKING)]
        assert [len(one.result()) for one in asked] == [1] * len(asked)
    with server.connect() as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [database_of(served.url)]
        )
        [(open_now,)] = found.fetchall()
    assert MOST_ASKING <= open_now <= MOST_ASKING + MOST_CHANGING


@pytest.mark.looks_inside
def test_whoever_finds_every_connection_in_use_for_too_long_is_refused(served, monkeypatch):
    monkeypatch.setattr(connections, "BUSY_MS", 50)
    for _ in range(MOST_ASKING):
        served.database._places.acquire()
    with pytest.raises(StoreUnavailable) as refusal:
        served.says()
    assert refusal.value.because == "all connections to the server are in use"
    served.database._places.release()
    assert served.says() is None
