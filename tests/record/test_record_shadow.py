"""What drafts would change is added up over processes and restarts, and kept for the latest drafts."""

import threading

import pytest

from gateway.errors import StoreUnavailable
from gateway.record.journal import open_journal
from gateway.record.shadow import DRAFTS_KEPT, Found, open_shadow_book

KEY = ("T2", "enfants", "lost", 17)
OTHER = ("T2", "enfants", "lost", 18)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'record.db'}"


@pytest.fixture
def opened(url):
    """Opens books of the same database."""
    books = []

    def another():
        books.append(open_shadow_book(url))
        return books[-1]

    yield another
    for book in books:
        book.close()


def add(book, now, draft="d" * 64, against="f" * 64, cells=None, **sums):
    totals = {"compared": 0, "failed": 0, "lost": 0, **sums}
    book.add(draft, against, **totals, cells=cells or {}, now=now)


def test_sums_grow_over_restarts_with_the_first_and_the_last_time(opened):
    add(opened(), 100, compared=10, cells={KEY: 3})
    add(opened(), 200, compared=5, failed=1, lost=2, cells={KEY: 2, OTHER: 1})
    [run] = opened().runs()
    assert (run.draft, run.against, run.first_at, run.last_at) == ("d" * 64, "f" * 64, 100, 200)
    assert (run.compared, run.failed, run.lost) == (15, 1, 2)
    assert set(run.cells) == {Found(KEY, 5, 100, 200), Found(OTHER, 1, 200, 200)}


def test_each_draft_beside_each_policy_is_counted_apart_the_latest_first(opened):
    book = opened()
    add(book, 100, compared=1, cells={KEY: 1})
    add(book, 200, against="0" * 64, compared=2)
    add(book, 300, draft="e" * 64, compared=3)
    assert [(run.draft[0], run.against[0], run.compared, len(run.cells)) for run in book.runs()] == [
        ("e", "f", 3, 0),
        ("d", "0", 2, 0),
        ("d", "f", 1, 1),
    ]


def test_processes_that_add_at_the_same_time_lose_nothing(opened):
    books = [opened() for _ in range(4)]

    def work(book):
        for number in range(20):
            add(book, number, compared=1, cells={KEY: 1, OTHER: 2})

    threads = [threading.Thread(target=work, args=(book,)) for book in books]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [run] = opened().runs()
    assert run.compared == 80
    assert {found.key: found.times for found in run.cells} == {KEY: 80, OTHER: 160}


def test_the_latest_drafts_are_kept(opened):
    book = opened()
    for number in range(DRAFTS_KEPT + 3):
        add(book, number, draft=f"{number:064x}", compared=1, cells={KEY: 1})
    drafts = [int(run.draft, 16) for run in book.runs()]
    assert drafts == list(range(DRAFTS_KEPT + 2, 2, -1))
    assert all(run.cells for run in book.runs())


def test_it_stands_beside_the_record_and_leaves_it_alone(url, opened):
    journal = open_journal(url)
    journal.close()
    add(opened(), 1, compared=1)
    journal = open_journal(url)
    journal.check_writable()
    journal.close()


def test_a_database_that_has_gone_is_said_to_be_unavailable_and_nothing_is_half_written(opened, tmp_path):
    book = opened()
    add(book, 1, compared=1)
    (tmp_path / "record.db").rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable):
        add(book, 2, compared=1, cells={KEY: 1})
    (tmp_path / "away").rename(tmp_path / "record.db")
    [run] = book.runs()
    assert (run.compared, run.cells) == (1, ())
