"""What is free in a worker's heap goes back to the system, though what lies between it is in use."""

import time

import psutil

from gateway.server.memory import TRIM_SECONDS, Heap

PIECES, SIZE = 60_000, 1_000


def test_memory_that_is_free_between_pieces_in_use_is_given_back_when_it_is_due(monkeypatch):
    heap, process = Heap(), psutil.Process()
    pieces = [bytearray(SIZE) for _ in range(PIECES)]
    kept = pieces[::50]
    del pieces
    held = process.memory_info().rss
    heap.look()
    assert process.memory_info().rss > held - PIECES * SIZE // 4, "not yet"
    begun = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun + TRIM_SECONDS)
    heap.look()
    assert process.memory_info().rss < held - PIECES * SIZE // 2
    assert len(kept) == PIECES // 50
