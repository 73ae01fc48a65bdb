"""A database that is closed while a thread of it asks."""

import gc
import os
import threading
from pathlib import Path

from sqlalchemy import text

from gateway.loop.waiting import run
from tests.database.tasks import together
from tests.story.running import until

LONG = text("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n")


def open_files(folder: Path) -> list[str]:
    """Which files of a folder this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            name = os.readlink(descriptor)
        except FileNotFoundError:
            continue
        if name.startswith(str(folder)):
            found.append(name)
    return found


def test_whoever_is_asking_meanwhile_is_answered_and_what_it_asked_by_is_closed_then(board):
    """It was closed at once, and the process ended: SIGSEGV in 1 of 40 of those whose log was being copied."""
    folder, answers = board.database.file.parent, []
    for turn in range(10):
        board.append("line")
        asked = threading.Thread(target=lambda: answers.append(board.database.ask(LONG)))
        asked.start()
        until(lambda: open_files(folder), "it has opened the file")
        board.database.close()
        asked.join(30)
        assert answers == [[(300000,)]] * (turn + 1)
        gc.collect()
        assert not open_files(folder)


def test_what_a_loop_a_thread_and_a_row_have_opened_is_closed_and_all_go_on_afterwards(board):
    folder = board.database.file.parent
    for _ in range(2):
        together(lambda: board.append("line"), board.says)
        board.says()
        board.change("changed")
        assert run(board.says) == "changed"
        assert open_files(folder)
        board.database.close()
        assert not open_files(folder)
    assert board.lines() == ["line", "changed"] * 2
