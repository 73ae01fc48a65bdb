"""Who asks a running gateway, and who answers, is told by the system and not by a file."""

import os
import socket
import struct
import threading

import pytest

from gateway.policy_files import control
from gateway.policy_files.control import Control, Foreign, NotRunning, Outcome, ask, tell

OUTCOME = Outcome("in_force", "f" * 64, 2, ("é",))
ME = {os.geteuid()}


@pytest.fixture
def configuration(tmp_path):
    (tmp_path / "gateway.toml").touch()
    return tmp_path / "gateway.toml"


@pytest.fixture
def there():
    """Makes controls, and closes them afterwards."""
    made = []

    def make(configuration):
        made.append(Control(configuration))
        return made[-1]

    yield make
    for one in made:
        one.close()


def answering(kept: Control, outcome: Outcome) -> threading.Thread:
    def answer():
        asking = []
        while not asking:
            asking = kept.asked()
        for one in asking:
            tell(one, outcome)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    return thread


def test_whoever_asks_is_told_what_became_of_it(there, configuration):
    kept = there(configuration)
    assert kept.fileno() == -1
    assert kept.open()
    assert kept.open(), "it is there already"
    assert kept.asked() == []
    answering(kept, OUTCOME)
    assert ask(configuration, ME) == OUTCOME


def test_the_configuration_may_be_named_through_a_link(there, configuration, tmp_path):
    (tmp_path / "link").symlink_to("gateway.toml")
    kept = there(configuration)
    kept.open()
    answering(kept, OUTCOME)
    assert ask(tmp_path / "link", ME) == OUTCOME


def test_where_nobody_runs_that_is_said(configuration):
    with pytest.raises(NotRunning):
        ask(configuration, ME)


def test_a_second_gateway_of_the_same_configuration_does_not_take_the_place_of_the_first(
    there, configuration, tmp_path
):
    first, second = there(configuration), there(configuration)
    assert first.open()
    assert not second.open()
    assert second.asked() == []
    assert there(tmp_path / "other.toml").open()
    first.close()
    assert second.open(), "nothing is left behind"


def test_an_answer_of_another_user_is_not_believed(there, configuration, monkeypatch):
    kept = there(configuration)
    kept.open()
    monkeypatch.setattr(control, "_who", lambda _: (4711, 1234))
    with pytest.raises(Foreign) as foreign:
        ask(configuration, ME)
    assert (foreign.value.process, foreign.value.user) == (4711, 1234)


def test_a_question_of_another_user_is_hung_up_on(there, configuration, monkeypatch):
    kept = there(configuration)
    kept.open()
    monkeypatch.setattr(control, "_who", lambda _: (4711, 1234))
    asked = threading.Event()

    def serve():
        while not asked.is_set():
            assert kept.asked() == []

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    with pytest.raises(NotRunning):
        ask(configuration, {1234}, seconds=20)
    asked.set()
    serving.join()


def test_who_is_at_the_other_end_is_what_the_system_says():
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert control._who(one) == (os.getpid(), os.geteuid())
        assert struct.calcsize("3i") == 12


def test_an_answer_that_does_not_come_is_given_up(there, configuration):
    kept = there(configuration)
    kept.open()
    with pytest.raises(TimeoutError):
        ask(configuration, ME, seconds=0.1)


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b'{"result": 3}', b"\xff"])
def test_an_answer_that_is_none_is_no_answer(there, configuration, said):
    kept = there(configuration)
    kept.open()

    def answer():
        asking = []
        while not asking:
            asking = kept.asked()
        with asking[0]:
            asking[0].sendall(said)

    threading.Thread(target=answer, daemon=True).start()
    with pytest.raises(NotRunning):
        ask(configuration, ME)


def test_one_who_asks_and_goes_costs_nothing(there, configuration):
    kept = there(configuration)
    kept.open()
    with pytest.raises(TimeoutError):
        ask(configuration, ME, seconds=0.05)
    [gone] = kept.asked()
    tell(gone, Outcome("refused", "f" * 64, 2, ("x" * 1_000_000,)))
