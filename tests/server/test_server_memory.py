"""What is free in a worker's heap goes back to the system, though what lies between it is in use."""

import time

import psutil
import pytest

from gateway.server.memory import IDLE_SECONDS, TRIM_SECONDS, Heap

PIECES, SIZE = 60_000, 1_000


@pytest.mark.parametrize(("idle", "seconds"), [(False, TRIM_SECONDS), (True, IDLE_SECONDS)])
def test_memory_that_is_free_between_pieces_in_use_is_given_back_when_it_is_due(monkeypatch, idle, seconds):
    begun = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun)
    heap, process = Heap(), psutil.Process()
    pieces = [bytearray(SIZE) for _ in range(PIECES)]
    kept = pieces[::50]
    del pieces
    held = process.memory_info().rss
    monkeypatch.setattr(time, "monotonic", lambda: begun + seconds * 0.9)
    heap.look(idle=idle)
    assert process.memory_info().rss > held - PIECES * SIZE // 4, "not yet"
    monkeypatch.setattr(time, "monotonic", lambda: begun + seconds)
    heap.look(idle=idle)
    assert process.memory_info().rss < held - PIECES * SIZE // 2
    assert len(kept) == PIECES // 50
