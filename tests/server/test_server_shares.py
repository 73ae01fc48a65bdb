"""Several workers accept from one listener: whoever has more connections than another leaves new ones to it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server import worker as serving
from gateway.server.shares import Shares
from tests.story.running import until


def shares_of(*counts: int) -> Shares:
    """None of a place where nobody is, -1."""
    shares = Shares(len(counts))
    for slot, count in enumerate(counts):
        if count >= 0:
            shares.of(slot).has(count)
    return shares


@pytest.mark.parametrize(
    ("counts", "large"),
    [
        ((0,), False),
        ((1000,), False),
        ((2, 0), False),
        ((3, 0), True),
        ((3, 1), False),
        ((20, 16), False),
        ((21, 16), True),
        ((1000, 800), False),
        ((1001, 800), True),
        ((3, 9, 1), False),
        ((4, 9, 1), True),
        ((3, -1), False),
        ((3, -1, 0), True),
    ],
)
def test_a_share_is_large_beside_the_smallest_one(counts, large):
    assert shares_of(*counts).of(0).is_large() is large


@given(st.lists(st.integers(-1, 16_384), min_size=1, max_size=64), st.data())
def test_somebody_always_takes_new_ones(counts, data):
    """Whoever has fewest is never too many, whatever the others have and whoever has gone."""
    there = [slot for slot, count in enumerate(counts) if count >= 0]
    if there:
        shares = shares_of(*counts)
        assert not all(shares.of(slot).is_large() for slot in there)
        shares.release(data.draw(st.sampled_from(there)))
        left = [slot for slot in there if shares._counts[slot] >= 0]
        assert not left or not all(shares.of(slot).is_large() for slot in left)


@pytest.mark.looks_inside
def test_a_worker_that_has_more_stands_back_and_nobody_waits_long_for_one_that_does_not_come(tools):
    """The other has none, and never takes any."""
    shares = shares_of(0, 0)
    stood_back = []
    with contextlib.closing(tools.Place(share=shares.of(0))) as place, contextlib.ExitStack() as stack:
        really = place.worker._accept_no_more
        place.worker._accept_no_more = lambda: (stood_back.append(len(place.worker._connections)), really())
        for _ in range(20):
            client = stack.enter_context(place.connect())
            client.sendall(tools.get("/"))
            assert tools.read_one(client).status == 200
        assert shares._counts[0] == 20
        assert shares.of(0).is_large()
    assert stood_back[:18] == list(range(3, 21))


def test_what_a_worker_has_is_told_when_clients_go_too(tools):
    shares = shares_of(0, 0)
    with contextlib.closing(tools.Place(share=shares.of(0))) as place:
        with place.connect() as client:
            client.sendall(tools.get("/"))
            assert tools.read_one(client).status == 200
            until(lambda: shares._counts[0] == 1, "one is told")
        until(lambda: shares._counts[0] == 0, "none is told")


def test_a_worker_that_is_told_to_end_accepts_no_more_though_it_stood_back(tools, monkeypatch):
    monkeypatch.setattr(serving, "STAND_BACK_SECONDS", 0.3)
    shares = shares_of(0, 0)
    with contextlib.closing(tools.Place(share=shares.of(0))) as place:
        with place.connect() as one, place.connect() as other:
            for client in (one, other):
                client.sendall(tools.get("/"))
                assert tools.read_one(client).status == 200
            place.stop()
            place.thread.join(30)
            assert not place.thread.is_alive()
        assert not place.worker._accepts
