"""What a draft would change is counted cell by cell, and touches nothing that is in force."""

import re
import shutil
import socket
from collections import Counter

import msgspec
import pytest
import structlog
from msgspec.structs import replace

from gateway.model import Facts
from gateway.policy.canaries import LEAST, MOST
from gateway.policy.sandbox import PolicyDefect
from gateway.policy.situations import SITUATIONS, facts_in
from gateway.policy_files import shadow
from gateway.policy_files.examining import Verdict
from gateway.policy_files.folder import load_folder, shipped
from gateway.policy_files.shadow import Draft, Seen, Tally, Told

MATRIX = "matrix.polar"
EVERY = frozenset(row.slug for row in load_folder(shipped()).policy.rows)
T2 = replace(MOST, profile="T2")


@pytest.fixture(scope="module")
def in_force():
    return load_folder(shipped())


@pytest.fixture
def ends():
    teller, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with teller, told:
        yield teller, told


class Kept:
    """What was written, and whether it can be."""

    def __init__(self):
        self.cells, self.compared, self.fails = Counter(), 0, False
        self.failed = self.lost = 0
        self.named = set()

    def __call__(self, draft: str, against: str, tally: Tally) -> None:
        if self.fails:
            raise OSError("no room")
        self.named.add((draft, against))
        self.cells.update(tally.cells)
        self.compared += tally.compared
        self.failed += tally.failed
        self.lost += tally.lost


class Beside:
    def __init__(self, folder, told):
        self.folder, self.kept, self.verdict = folder, Kept(), Verdict()
        self.draft = Draft(folder, told, examine=lambda _: self.verdict, write=self.kept)
        self.look()

    def look(self):
        self.draft.look()
        self.draft.look()

    def change(self, old, new):
        written = (self.folder / MATRIX).read_text()
        assert written.count(old) == 1
        (self.folder / MATRIX).write_text(written.replace(old, new))
        self.look()

    def take(self):
        self.draft.turn()
        self.draft.write()
        return self.kept


@pytest.fixture
def beside(tmp_path, ends):
    shutil.copytree(shipped(), tmp_path / "draft")
    return Beside(tmp_path / "draft", ends[1])


@pytest.fixture
def seen(ends):
    return Seen(ends[0])


def consult(seen, in_force, facts, rubrics=EVERY, times=1):
    for _ in range(times):
        seen("f" * 64, facts, in_force.policy.decide(facts), frozenset(rubrics))


def cells(kept):
    return {(profile, rubric, change): times for (profile, rubric, change, _), times in kept.cells.items()}


def test_only_what_differs_is_counted_as_often_as_it_was_asked(seen, beside, in_force):
    beside.change('["T2", "T3"]', '["T3", "T4"]')
    consult(seen, in_force, T2, times=5)
    consult(seen, in_force, replace(MOST, profile="T3"), times=7)
    consult(seen, in_force, replace(MOST, profile="T4"), times=2)
    seen.tell()
    kept = beside.take()
    assert cells(kept) == {("T2", "enfants", "lost"): 5, ("T4", "enfants", "gained"): 2}
    assert kept.compared == 14
    assert kept.named == {(load_folder(beside.folder).fingerprint, "f" * 64)}
    [situation] = {key[3] for key in kept.cells if key[0] == "T2"}
    assert facts_in(SITUATIONS[situation], "T2") == T2


def test_a_draft_that_decides_alike_finds_nothing(seen, beside, in_force):
    consult(seen, in_force, T2, times=5)
    seen.tell()
    kept = beside.take()
    assert (kept.compared, kept.cells) == (5, {})


def test_what_the_answer_could_not_hold_is_no_difference(seen, beside, in_force):
    beside.change('["T2", "T3"]', '["T3"]')
    consult(seen, in_force, T2, rubrics=["courrier"], times=5)
    consult(seen, in_force, T2, rubrics=["enfants"], times=2)
    seen.tell()
    assert cells(beside.take()) == {("T2", "enfants", "lost"): 2}


def test_what_was_refused_and_would_be_open_is_gained(seen, beside, in_force):
    """T9 reads only what is entrusted: a draft that lets it read anything opens thirteen rubrics."""
    conditions = beside.folder / "conditions.polar"
    written = conditions.read_text()
    [line] = [line for line in written.splitlines() if line.startswith('dossiers("T9"')]
    conditions.write_text(written.replace(line, re.sub(r"\[.*\]", '["any"]', line)))
    beside.look()
    facts = replace(MOST, profile="T9", mandates=frozenset())
    assert not in_force.policy.decide(facts).rubrics
    consult(seen, in_force, facts, times=3)
    seen.tell()
    assert Counter(cells(beside.take()).values()) == {3: 13}


def test_only_states_and_slugs_are_told(seen, ends, in_force):
    consult(seen, in_force, T2)
    seen.tell()
    told = msgspec.msgpack.decode(ends[1].recv(1 << 20), type=Told)
    assert [(asked.facts, asked.times) for asked in told.asked] == [(T2, 1)]
    assert Facts.__struct_fields__ == (
        *("profile", "partner_kind", "convention", "engagement", "mandates", "objection", "assurance", "action"),
    )


def test_what_nobody_takes_is_told_later_and_counted_once(seen, beside, in_force, monkeypatch):
    """The process beside is at work, or being replaced: workers wait for nothing."""
    now = 0.0
    monkeypatch.setattr(shadow.time, "monotonic", lambda: now)
    beside.change('["T2", "T3"]', '["T3"]')
    for _ in range(100):
        now += 2.0
        consult(seen, in_force, T2)
        consult(seen, in_force, LEAST)
        seen.tell()
    for _ in range(100):
        now += 2.0
        beside.draft.turn()
        seen.tell()
    kept = beside.take()
    assert cells(kept) == {("T2", "enfants", "lost"): 100}
    assert kept.compared == 200


def test_more_different_ones_than_there_is_room_for_are_counted_as_not_looked_at(seen, beside, in_force, monkeypatch):
    now, room = 0.0, 150
    monkeypatch.setattr(shadow, "MOST_DISTINCT", room)
    monkeypatch.setattr(shadow.time, "monotonic", lambda: now)
    grant = in_force.policy.decide(LEAST)
    for number in range(room + 10):
        seen("f" * 64, replace(LEAST, profile=f"T{number}"), grant, EVERY)
    for _ in range(10):
        now += 2.0
        seen.tell()
        beside.draft.turn()
    kept = beside.take()
    assert (kept.compared, kept.lost) == (room, 10)


def test_a_draft_that_fails_is_told_to_fail(seen, beside, in_force, monkeypatch):
    def fail(*_):
        raise PolicyDefect("on purpose")

    monkeypatch.setattr(type(in_force.policy), "evaluate", fail)
    seen("f" * 64, T2, in_force.policy.decide(T2), EVERY)
    seen.tell()
    kept = beside.take()
    assert (kept.compared, kept.failed, kept.cells) == (1, 1, {})


@pytest.mark.parametrize("reason", ["refused", "unreadable", "unchecked"])
def test_a_draft_that_cannot_be_one_is_compared_with_nothing_until_it_can(seen, beside, in_force, reason):
    beside.verdict = Verdict(reason, ("it is bad.",))
    with structlog.testing.capture_logs() as logs:
        beside.change('["T2", "T3"]', '["T3"]')
    assert [(log["log_level"], log["because"]) for log in logs] == [("warning", ("it is bad.",))]
    consult(seen, in_force, T2)
    seen.tell()
    assert (beside.take().compared, beside.kept.named) == (0, set())
    beside.verdict = Verdict()
    beside.change('"Enfants",     ["T3"]', '"Enfants",     ["T3", "T5"]')
    consult(seen, in_force, T2)
    seen._tell_at = 0.0
    seen.tell()
    assert cells(beside.take()) == {("T2", "enfants", "lost"): 1}


def test_a_check_of_the_draft_without_a_result_is_tried_again(seen, beside, in_force, monkeypatch):
    beside.verdict = Verdict("unchecked", ("The check did not end within 120 seconds.",))
    with structlog.testing.capture_logs():
        beside.change('["T2", "T3"]', '["T3"]')
        beside.verdict = Verdict()
        beside.look()
        consult(seen, in_force, T2)
        seen.tell()
        assert beside.take().compared == 0
        now = shadow.time.monotonic()
        monkeypatch.setattr(shadow.time, "monotonic", lambda: now + 31)
        beside.look()
        consult(seen, in_force, T2)
        seen.tell()
        assert cells(beside.take()) == {("T2", "enfants", "lost"): 1}


def test_a_changed_draft_is_counted_apart(seen, beside, in_force):
    beside.change('["T2", "T3"]', '["T3"]')
    first = load_folder(beside.folder).fingerprint
    consult(seen, in_force, T2)
    seen.tell()
    beside.draft.turn()
    beside.change('"Enfants",     ["T3"]', '"Enfants",     ["T2", "T3"]')
    assert cells(beside.kept) == {("T2", "enfants", "lost"): 1}, "what was found is written first"
    consult(seen, in_force, T2)
    seen._tell_at = 0.0
    seen.tell()
    beside.take()
    assert cells(beside.kept) == {("T2", "enfants", "lost"): 1}
    assert {draft for draft, _ in beside.kept.named} == {first, load_folder(beside.folder).fingerprint}


def test_what_cannot_be_written_is_kept_and_written_later_once(seen, beside, in_force):
    beside.change('["T2", "T3"]', '["T3"]')
    beside.kept.fails = True
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            consult(seen, in_force, T2)
            seen._tell_at = 0.0
            seen.tell()
            beside.take()
    assert [log["log_level"] for log in logs] == ["warning"]
    beside.kept.fails = False
    assert cells(beside.take()) == {("T2", "enfants", "lost"): 3}
    assert cells(beside.take()) == {("T2", "enfants", "lost"): 3}
