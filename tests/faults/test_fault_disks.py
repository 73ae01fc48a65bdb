"""Databases that are full, occupied, unwritable, gone or another one, while 16 agents ask: no record, no answer."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tests.database.elsewhere import occupied
from tests.faults.breaking import LONG, copy_of, filled, small_disk, unwritable, with_siblings
from tests.story.running import circle, is_problem, until

pytestmark = pytest.mark.attack(33)

ROUNDS = 8 if LONG else 1
SECONDS = 8.0 if LONG else 1.0


def rows_in(file):
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM record")]


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", megabytes=24) as mounted:
        yield mounted


def test_a_full_disk_under_the_record_refuses_until_there_is_room(stub_url, start_loaded, disk):
    loaded = start_loaded(stub_url, {"record.url": f"sqlite:///{disk / 'record.db'}"})
    with loaded.trial("disk full under the record", refusals=["GW503"]) as trial:
        for _ in range(ROUNDS):
            with trial.round(), filled(disk):
                trial.refuses("GW503")
                trial.bad_for(SECONDS)
                assert loaded.gateway.ask("/-/health/live").status == 200
    assert loaded.gateway.ask("/-/health/ready").status == 200


def test_a_full_disk_under_the_store_refuses_log_ins_and_lets_sessions_go_on(stub_url, start_loaded, disk):
    loaded = start_loaded(stub_url, {"store.url": f"sqlite:///{disk / 'cafpro.db'}"})
    gateway = loaded.gateway
    with loaded.trial("disk full under the directory") as trial:
        for _ in range(ROUNDS):
            with trial.round(), filled(disk):
                # What is free within the pages that the database has may still serve.
                until(lambda: gateway.sign_in("t1").json().get("code") == "GW502", "a log-in is refused")
                trial.bad_for(SECONDS)
            assert gateway.sign_in("t1").status == 201


def test_a_record_that_another_process_occupies_refuses_and_goes_on_by_itself(loaded):
    with loaded.trial("record locked by another process", refusals=["GW503"]) as trial:
        for _ in range(ROUNDS):
            with trial.round(), occupied(loaded.gateway.record_file) as release:
                trial.refuses("GW503")
                trial.bad_for(SECONDS)
                release()


def test_a_store_that_another_process_occupies_keeps_nobody_from_consulting(loaded):
    gateway = loaded.gateway
    with loaded.trial("directory locked by another process") as trial:
        for _ in range(ROUNDS):
            with trial.round(), occupied(gateway.folder / "cafpro.db") as release:
                assert gateway.sign_in("t1").json()["code"] == "GW502"
                release()
            assert gateway.sign_in("t1").status == 201


def test_a_disk_that_takes_no_byte_any_more_refuses_until_it_does(loaded):
    with loaded.trial("every write fails, record, directory and log", refusals=["GW503"]) as trial:
        for _ in range(ROUNDS):
            with trial.round(), unwritable(loaded.gateway.workers()):
                trial.refuses("GW503")
                trial.bad_for(SECONDS)


def taken_away_and_put_back(trial, file, refusal):
    for _ in range(ROUNDS):
        with trial.round():
            moved = [(part, part.rename(part.with_name(f"away-{part.name}"))) for part in with_siblings(file)]
            trial.refuses(refusal)
            trial.bad_for(SECONDS)
            for part, away in reversed(moved):
                part.unlink(missing_ok=True)
                away.rename(part)


def test_a_record_that_was_taken_away_refuses_until_it_is_back(loaded):
    with loaded.trial("record file removed and put back", refusals=["GW503"]) as trial:
        taken_away_and_put_back(trial, loaded.gateway.record_file, "GW503")
    assert loaded.gateway.ask("/-/health/ready").status == 200


def test_a_store_that_was_taken_away_refuses_until_it_is_back(loaded):
    with loaded.trial("directory file removed and put back", refusals=["GW502"]) as trial:
        taken_away_and_put_back(trial, loaded.gateway.folder / "cafpro.db", "GW502")


def test_a_record_replaced_by_its_copy_is_continued_there_and_no_row_is_lost(loaded):
    gateway, file = loaded.gateway, loaded.gateway.record_file
    replaced = []

    def rows():
        # What was written between the copy and its taking the place is in the one that was moved away.
        kept = {row["request_id"]: row for old in [*replaced, file] for row in rows_in(old)}
        return list(kept.values())

    with loaded.trial("record replaced by its copy", refusals=["GW503"], rows=rows) as trial:
        for number in range(ROUNDS):
            with trial.round():
                copy = file.with_name("copy.db")
                copy_of(file, copy)
                for part in with_siblings(file):
                    part.rename(part.with_name(f"old{number}-{part.name}"))
                replaced.append(file.with_name(f"old{number}-{file.name}"))
                copy.rename(file)
            assert len(gateway.record_rows()) < len(rows())


def test_a_store_replaced_by_its_copy_is_believed_by_itself(loaded):
    gateway = loaded.gateway
    file = gateway.folder / "cafpro.db"
    gateway.enter("other", "T2")
    session = gateway.log_in("other")
    with loaded.trial("directory replaced by its copy", refusals=["GW502"]) as trial, trial.round():
        copy = file.with_name("copy.db")
        copy_of(file, copy)
        with contextlib.closing(sqlite3.connect(copy)) as changed, changed:
            changed.execute("UPDATE account SET suspended = 1 WHERE identifier = 'other'")
        for part in with_siblings(file):
            part.rename(part.with_name(f"old-{part.name}"))
        copy.rename(file)
        until(lambda: gateway.ask("/dossiers/9990001", session).status == 403, "the copy is believed", seconds=5)
    with circle(gateway, "/dossiers/9990001", session) as around:
        # Each worker looks once a second, by itself: the one that was asked before may be the only one that has.
        until(lambda: all(answer.status == 403 for answer in around.ask()), "every worker believes it", seconds=5)
        for answer in around.ask():
            is_problem(answer, 403, "GW110")
