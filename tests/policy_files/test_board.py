"""What one process puts up is read whole by the others, whatever happens while it is written."""

import os
import signal
import time

import pytest

from gateway.policy.grammar import LARGEST_FILE
from gateway.policy.lint import FILES
from gateway.policy_files.board import LONGEST_SENTENCE, MOST_SENTENCES, Accepted, Board, Slate
from tests.forking import ended, forked

TEXTS = {"matrix.polar": 'rubric("rsa", "Rsa", ["T1"], "é");\n', "routes.toml": ""}


def test_what_is_put_up_replaces_what_stood_there_and_has_the_next_number():
    slate = Slate(10)
    assert slate.read() == (0, b"")
    assert slate.write(b"first") == 1
    assert slate.write(b"2nd") == slate.number == 2
    assert slate.read() == (2, b"2nd")
    assert slate.write(b"") == 3
    assert slate.read() == (3, b"")


def test_what_is_too_long_is_refused_and_what_stood_there_stays():
    slate = Slate(16)
    slate.write(b"first")
    with pytest.raises(ValueError):
        slate.write(bytes(17))
    assert slate.read() == (1, b"first")


def test_a_reader_never_sees_two_at_once():
    """While another process writes as fast as it can."""
    slate, size = Slate(100_000), 99_999

    def write():
        for number in range(200_000):
            slate.write(bytes([number % 251]) * (size - number % 7))

    writer = forked(write)
    try:
        numbers, until = set(), time.monotonic() + 2
        while time.monotonic() < until:
            number, content = slate.read()
            if number:
                assert content == bytes([(number - 1) % 251]) * (size - (number - 1) % 7)
                numbers.add(number)
        assert len(numbers) > 20
    finally:
        os.kill(writer, signal.SIGKILL)
        ended(writer)


def test_a_writer_that_is_killed_half_way_has_changed_nothing_and_another_goes_on():
    slate = Slate(1_000_000)
    slate.write(b"before")
    for _ in range(30):
        number, before = slate.read()

        def write(number=number):
            while True:
                slate.write(b"%d" % number * 100_000)

        writer = forked(write)
        while slate.number < number + 3:
            time.sleep(0.0005)
        os.kill(writer, signal.SIGKILL)
        ended(writer)
        after, content = slate.read()
        assert after > number
        assert content == b"%d" % number * 100_000 != before
    assert slate.write(b"another") == after + 1
    assert slate.read() == (after + 1, b"another")


def test_every_process_reads_the_policies_that_were_accepted_last():
    board = Board(2)
    accepted = Accepted("f" * 64, TEXTS, "mark")
    assert board.accept(accepted) == board.number == 1
    assert board.newest() == (1, accepted)

    def accept_another():
        assert board.newest() == (1, accepted)
        board.accept(Accepted("0" * 64, TEXTS, "other"))

    assert ended(forked(accept_another)) == 0
    assert board.number == 2
    assert board.newest()[1].fingerprint == "0" * 64


def test_the_largest_folder_that_may_be_read_has_room():
    board = Board(1)
    texts = dict.fromkeys((*FILES, "routes.toml"), "x" * LARGEST_FILE)
    board.accept(Accepted("f" * 64, texts, "m" * 64))
    assert board.newest()[1].texts == texts


def test_how_the_folder_stands_is_told_until_it_is_told_otherwise():
    board = Board(1)
    assert board.standing().stale == ""
    board.stands("refused", ("matrix.polar:2: …",))
    told = board.standing()
    assert (told.stale, told.because) == ("refused", ("matrix.polar:2: …",))
    assert abs(told.since - time.time()) < 5
    board.stands()
    assert (board.standing().stale, board.standing().because) == ("", ())


def test_however_much_is_wrong_some_of_it_is_told():
    board = Board(1)
    board.stands("refused", tuple("€" * (LONGEST_SENTENCE + n) for n in range(10 * MOST_SENTENCES)))
    assert board.standing().because == ("€" * LONGEST_SENTENCE,) * MOST_SENTENCES


def test_who_has_taken_what_is_known_and_forgotten_with_the_worker():
    board = Board(3)
    board.took(0, 4)
    board.took(2, 5)
    board.could_not(1, 5)
    assert board.taken() == [4, 5]
    assert board.failed(5)
    assert not board.failed(4)
    board.release(1)
    board.release(2)
    assert board.taken() == [4]
    assert not board.failed(5)
