"""The walk by which `make bench` says what its machine was like."""

from tests.bench.machine import circle, walked


def test_a_walk_comes_by_every_place_before_it_returns():
    following, places, place = circle(1000), [], 0
    for _ in following:
        place = following[place]
        places.append(place)
    assert sorted(places) == list(range(1000))
    assert place == 0


def test_a_walk_does_not_go_through_memory_in_order():
    following = circle(1000)
    assert sum(there == here + 1 for here, there in enumerate(following)) < 20


def test_a_walk_is_told_in_nanoseconds():
    walk = walked()
    assert str(walk) == (
        f"a step through 20 KB of memory takes {walk.small_ns:.0f} ns, through 20 MB {walk.large_ns:.0f} ns"
    )
    assert 1 < walk.small_ns < 1e6
