"""What becomes of a folder that changes: in force in every worker, or nowhere and said aloud, once."""

import shutil
import threading
import time
from collections import Counter

import pytest
import structlog
from cachetools import FIFOCache
from msgspec.structs import replace

from gateway.metrics.layout import RELOADS
from gateway.policy import engine
from gateway.policy.canaries import MOST
from gateway.policy_files import following
from gateway.policy_files.board import Accepted, Board
from gateway.policy_files.control import Control
from gateway.policy_files.examining import Verdict
from gateway.policy_files.folder import shipped
from gateway.policy_files.following import Follower
from gateway.policy_files.keeping import Keeper
from gateway.policy_files.watching import REASONS, look

MATRIX = "matrix.polar"


class Counts:
    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.stale = False

    def reloaded(self, result: str) -> None:
        self.results[result] += 1

    def policy_stale(self, stale: bool) -> None:
        self.stale = stale


class Place:
    """A keeper and as many workers as threads, over a copy of the shipped folder."""

    def __init__(self, folder, workers: int = 2) -> None:
        self.folder = folder
        shutil.copytree(shipped(), folder)
        found = look(folder)
        self.first = found.fingerprint
        self.keys = folder.parent / "approvers"
        self.keys.mkdir()
        found = look(folder, self.keys)
        self.board = Board(workers)
        self.board.accept(Accepted(found.fingerprint, found.texts, found.mark))
        self.followers = [Follower(self.board, slot) for slot in range(workers)]
        self.counts, self.examined = Counts(), []
        self.verdicts: dict[str, Verdict] = {}
        self.keeper = self.keep()
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look)
        self._looking.start()

    def keep(self) -> Keeper:
        control = Control(self.folder / "gateway.toml")
        counted, keys = self.counts, self.keys
        return Keeper(
            self.folder, self.board, examine=self.examine, every=1.0, control=control, counted=counted, keys=keys
        )

    def examine(self, found):
        self.examined.append(found.fingerprint)
        if found.texts is None:
            return Verdict("unreadable", found.problems)
        return self.verdicts.get(found.fingerprint, Verdict())

    def _look(self):
        while not self._over.wait(0.02):
            for follower in self.followers:
                follower.look()

    def change(self, comment: str) -> str:
        """The fingerprint of the folder with a comment at the end of a file."""
        (self.folder / MATRIX).write_text((shipped() / MATRIX).read_text() + f"# {comment}\n")
        return look(self.folder).fingerprint

    def restore(self):
        shutil.copyfile(shipped() / MATRIX, self.folder / MATRIX)

    def see(self):
        """Enough looks for whatever there is to see."""
        self.keeper.look()
        self.keeper.look()

    def in_force(self):
        return {follower.current.in_force.fingerprint for follower in self.followers}

    def close(self):
        self._over.set()
        self._looking.join()


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "policies")
    yield made
    made.close()


def test_what_is_in_order_is_in_force_in_every_worker_when_the_keeper_says_so(place):
    new = place.change("one")
    with structlog.testing.capture_logs() as logs:
        place.see()
    assert place.in_force() == {new}
    assert place.counts.results == {"in_force": 1}
    [said] = logs
    assert (said["log_level"], said["policy"], said["before"], said["workers"]) == ("info", new, place.first, 2)
    assert said["seconds"] > 0


def test_whoever_asks_for_it_is_told_what_became_of_it(place):
    new = place.change("one")
    outcome = place.keeper.look_now()
    assert (outcome.result, outcome.policy, outcome.workers) == ("in_force", new, 2)
    assert place.keeper.look_now().result == "unchanged"
    place.verdicts[place.change("two")] = Verdict("refused", ("matrix.polar:2: …",))
    outcome = place.keeper.look_now()
    assert (outcome.result, outcome.policy, outcome.workers) == ("refused", new, 2)
    assert outcome.because == ("matrix.polar:2: …",)


@pytest.mark.parametrize("reason", ["refused", "unapproved", "unchecked"])
def test_what_may_not_be_in_force_is_not_and_is_said_aloud_once(place, reason):
    place.verdicts[place.change("bad")] = Verdict(reason, ("it is bad.",))
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            place.see()
        place.keeper.look_now()
    assert place.in_force() == {place.first}
    standing = place.board.standing()
    assert (standing.stale, standing.because) == (reason, ("it is bad.",))
    assert place.counts.stale
    assert place.counts.results == {reason: 1}
    [said] = [log for log in logs if log["log_level"] == "error"]
    assert (said["reason"], said["policy"]) == (reason, place.first)
    assert said["because"] == ("it is bad.",)


def test_a_folder_that_cannot_be_read_is_stale_until_it_can(place):
    (place.folder / MATRIX).unlink()
    place.see()
    assert place.board.standing().stale == "unreadable"
    assert place.counts.stale
    place.restore()
    place.see()
    assert place.board.standing().stale == ""
    assert not place.counts.stale
    assert place.in_force() == {place.first}
    assert place.board.number == 1, "nobody had anything to take"


def test_each_new_mistake_is_said_and_the_same_again_after_it_was_mended(place):
    for comment in ("bad", "worse"):
        place.verdicts[place.change(comment)] = Verdict("refused", (comment,))
    with structlog.testing.capture_logs() as logs:
        for comment in ("bad", "worse", "bad"):
            place.change(comment)
            place.see()
        place.restore()
        place.see()
        place.change("bad")
        place.see()
    said = [log["because"] for log in logs if log["log_level"] == "error"]
    assert said == [("bad",), ("worse",), ("bad",), ("bad",)]


def test_what_was_examined_once_comes_back_without_another_check(place):
    first, second = place.change("one"), place.change("two")
    for number in range(6):
        place.change("one" if number % 2 else "two")
        place.see()
    assert place.in_force() == {first}
    assert Counter(place.examined) == {first: 1, second: 1}


def test_a_check_without_a_result_is_tried_again(place, monkeypatch):
    new = place.change("one")
    place.verdicts[new] = Verdict("unchecked", ("The check did not end within 120 seconds.",))
    place.see()
    assert place.board.standing().stale == "unchecked"
    del place.verdicts[new]
    place.see()
    assert place.in_force() == {place.first}, "not at once: it may be what keeps the machine busy"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 31)
    place.see()
    monkeypatch.undo()
    assert place.in_force() == {new}
    assert place.board.standing().stale == ""


def test_what_changes_while_it_is_checked_is_not_put_in_force(place):
    place.change("one")
    examine = place.examine

    def change_meanwhile(found):
        if len(place.examined) == 0:
            place.change("two")
        return examine(found)

    place.keeper._examine = change_meanwhile
    place.see()
    assert place.in_force() == {place.first}
    place.see()
    assert place.in_force() == {look(place.folder).fingerprint}
    assert place.counts.results == {"in_force": 1}


def test_a_folder_that_changes_all_the_time_is_told_to_whoever_asks_and_changes_nothing(place, monkeypatch):
    monkeypatch.setattr("gateway.policy_files.keeping.UNSETTLED_SECONDS", 0.5)
    again, numbers = place.keeper._watch.again, iter(range(1000))

    def changing():
        place.change(str(next(numbers)))
        return again()

    monkeypatch.setattr(place.keeper._watch, "again", changing)
    outcome = place.keeper.look_now()
    assert outcome.result == "unchecked"
    assert place.in_force() == {place.first}
    assert place.board.standing().stale == ""


def test_where_a_worker_cannot_take_it_all_go_back_to_what_they_had(place, monkeypatch):
    new = place.change("one")
    follow, made, running = Follower._follow, following._made, threading.local()

    def followed_by(self):
        running.follower = self
        follow(self)

    def fails_in_one(accepted):
        if accepted.fingerprint == new and running.follower is place.followers[1]:
            raise ZeroDivisionError
        return made(accepted)

    monkeypatch.setattr(Follower, "_follow", followed_by)
    monkeypatch.setattr(following, "_made", fails_in_one)
    with structlog.testing.capture_logs() as logs:
        place.see()
    assert place.board.standing().stale == "unswapped"
    until = time.monotonic() + 20
    while place.board.taken() != [place.board.number] * 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert place.in_force() == {place.first}
    assert next(log for log in logs if log["event"] == "policies not taken")["kind"] == "ZeroDivisionError"


def test_texts_that_are_not_those_that_were_accepted_are_taken_by_nobody(place):
    found = look(place.folder)
    with structlog.testing.capture_logs():
        number = place.board.accept(Accepted("0" * 64, found.texts, found.mark))
        until = time.monotonic() + 20
        while not place.board.failed(number):
            assert time.monotonic() < until
            time.sleep(0.01)
    assert place.in_force() == {place.first}


def test_a_keeper_that_takes_over_goes_on_where_the_other_ended(place):
    new = place.change("one")
    place.see()
    place.keeper = place.keep()
    place.see()
    assert Counter(place.examined) == {new: 1}
    assert place.counts.results == {"in_force": 1}
    place.verdicts[place.change("bad")] = Verdict("refused", ("bad",))
    place.see()
    place.change("one")
    place.keeper = place.keep()
    place.see()
    assert place.board.standing().stale == "", "it had been mended while nobody kept"


def test_a_worker_that_begins_later_takes_what_is_newest(place):
    new = place.change("one")
    place.see()
    place.board.release(1)
    assert Follower(place.board, 1).current.in_force.fingerprint == new
    assert place.board.taken() == [place.board.number] * 2


def test_what_was_decided_before_is_decided_beforehand(place, monkeypatch):
    monkeypatch.setattr(following, "WARM_SECONDS", 60.0)  # however busy the machine is
    monkeypatch.setattr(engine, "_decisions", FIFOCache(engine.DECISIONS_KEPT))  # whatever other tests have decided
    old = place.followers[0].current.in_force.policy
    asked = [replace(MOST, profile=f"T{n}") for n in (1, 2, 3)]
    for facts in asked:
        old.decide(facts)
    place.change("nobody has decided by these in this process")
    place.see()
    followers = [follower.current.in_force.policy for follower in place.followers]  # they remember together here
    assert sum(new.evaluated for new in followers) == len(asked)
    for new in followers:
        for facts in asked:
            new.decide(facts)
    assert sum(new.evaluated for new in followers) == len(asked)


def test_the_metrics_know_every_reason():
    assert set(RELOADS) == {"in_force", *REASONS}


def test_whoever_may_no_longer_approve_has_not_approved_what_comes_back(place):
    """The same texts and the same approval are asked about again once the keys are others."""
    (place.keys / "m.durand.pem").write_text("a key")
    really = place.examine

    def examine(found):
        verdict = really(found)
        return verdict if any(place.keys.iterdir()) else Verdict("unapproved", ("it is signed by nobody",))

    place.examine = examine
    place.keeper = place.keep()
    signed = place.change("by m.durand")
    place.see()
    assert place.in_force() == {signed}
    place.restore()
    place.see()
    assert place.in_force() == {place.first}
    (place.keys / "m.durand.pem").unlink()
    place.change("by m.durand")
    place.see()
    assert place.in_force() == {place.first}
    assert (place.board.standing().stale, place.counts.stale) == ("unapproved", True)


def test_what_decides_is_said_to_be_unapproved_once_its_approver_is_gone(place):
    (place.keys / "m.durand.pem").write_text("a key")
    place.see()
    place.verdicts[place.first] = Verdict("unapproved", ("it is signed by nobody",))
    (place.keys / "m.durand.pem").rename(place.keys / "p.martin.pem")
    place.see()
    assert place.in_force() == {place.first}, "it goes on deciding until somebody approves"
    assert (place.board.standing().stale, place.counts.stale) == ("unapproved", True)
