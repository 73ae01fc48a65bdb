"""Past consultations decided again: what is counted is what plain counting finds, and what cannot be said is not."""

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.policy.given_facts import typed_facts
from gateway.policy.loading import load
from gateway.policy.replay import FAULT, NO_DECISION, NO_ROUTE, NOT_SAID, OUTSIDE, UNREADABLE, Replay
from gateway.policy.sandbox import PolicyDefect

SLUGS = ("adresse", "creances", "courrier", "famille")
ANSWERS = {
    "dossier": [frozenset(SLUGS)],
    "rubric": [frozenset((s,)) for s in SLUGS],
    "letter": [frozenset(("courrier",))],
    "either": [frozenset(("creances",)), frozenset(("famille",))],
}


@pytest.fixture(scope="module")
def draft(changed):
    """Creances closed to T1 and opened to T2."""
    return load(changed("matrix.polar", '["T1", "T9", "T11", "T13"]', '["T2", "T9", "T11", "T13"]'))


def consulted(replay, typed, *, profile="T1", route="dossier", left=(), times=1, partner="A", policy=""):
    facts = typed_facts(profile, typed) if isinstance(typed, str) else typed
    replay.consulted(facts, partner=partner, route=route, left=frozenset(left), policy=policy, times=times)


def test_what_is_lost_and_gained_is_counted_by_rubric_partner_and_profile(policy, draft):
    replay = Replay(policy, draft, ANSWERS)
    consulted(replay, "", left=["adresse", "creances"], times=3, policy=policy.fingerprint)
    consulted(replay, "", left=["adresse"], times=2, policy=policy.fingerprint)
    consulted(replay, "", profile="T2", left=["adresse"], times=5, partner="B", policy="older")
    consulted(replay, "convention=expired", times=6, partner="C", policy=policy.fingerprint)
    consulted(replay, "convention=expired", partner="C", policy="older")
    replay.other(11)
    replay.other(1)
    found = replay.result
    assert (found.consultations, found.others, found.replayed, found.decided) == (17, 12, 17, 3)
    assert not found.not_replayable
    assert found.elsewhere == Counter(older=6)
    [(slug, tally)] = found.rubrics.items()
    assert (slug, tally.lost, tally.left, tally.gained) == ("creances", 5, 3, 5)
    assert {name: (t.lost, t.gained) for name, t in found.partners.items()} == {"A": (5, 0), "B": (0, 5)}
    assert {name: (t.lost, t.gained) for name, t in found.profiles.items()} == {"T1": (5, 0), "T2": (0, 5)}
    assert [t.left for t in (found.touched, found.partners["A"], found.profiles["T2"])] == [3, 3, 0]
    assert (found.refused, found.admitted, found.changes) == (0, 0, True)


def test_a_change_counts_only_where_the_route_can_answer_that_rubric(policy, draft):
    replay = Replay(policy, draft, ANSWERS)
    consulted(replay, "", route="letter", left=["courrier"])
    consulted(replay, "", route="rubric", left=["famille"])
    assert not replay.result.changes
    consulted(replay, "", route="rubric", left=["creances"])
    assert replay.result.rubrics["creances"].left == 1
    assert replay.result.refused == 1, "nothing else was asked for at that address"
    consulted(replay, "", route="rubric", left=["creances"], times=2)
    consulted(replay, "", profile="T2", route="rubric", left=["creances"], times=4)
    consulted(replay, "", profile="T2", route="rubric", left=["creances"])
    consulted(replay, "", profile="T2", route="rubric", left=["adresse"])
    assert (replay.result.refused, replay.result.admitted) == (3, 5)


def test_a_refusal_that_does_not_say_what_was_asked_for_is_not_guessed(policy, draft):
    replay = Replay(policy, draft, ANSWERS)
    consulted(replay, "", profile="T2", route="rubric", times=4)
    consulted(replay, "", profile="T2", route="either", times=5)
    assert replay.result.not_replayable == Counter({NOT_SAID: 9})
    consulted(replay, "", profile="T13", route="rubric", times=2)
    assert replay.result.replayed == 2, "whatever was asked for, nothing would change"


def test_what_cannot_be_replayed_is_counted_with_its_reason(policy, draft):
    replay = Replay(policy, draft, ANSWERS)
    consulted(replay, replace(typed_facts("T1", ""), convention="perhaps"), times=2)
    consulted(replay, "", route="gone", times=3)
    for reason, times in ((NO_DECISION, 4), (UNREADABLE, 5)):
        replay.consulted(reason, partner="A", route="dossier", left=frozenset(), policy="", times=times)
    found = replay.result
    assert found.not_replayable == Counter({OUTSIDE: 2, NO_ROUTE: 3, NO_DECISION: 4, UNREADABLE: 5})
    assert (found.consultations, found.replayed, found.changes) == (14, 0, False)


class Broken:
    fingerprint = "broken"
    statements: Mapping = {}

    def traced(self, _facts):
        raise PolicyDefect("it fails")


def test_a_draft_that_fails_on_some_facts_is_a_reason_and_neither_gain_nor_loss(policy):
    replay = Replay(policy, Broken(), ANSWERS)
    consulted(replay, "", times=3)
    assert replay.result.not_replayable == Counter({FAULT: 3})
    assert replay.result.decided == 1


FACTS = [
    typed_facts(profile, typed)
    for profile in ("T1", "T2", "T9", "T7")
    for typed in ("", "convention=expired", "mandates=masp", "objection=raised")
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(FACTS),
            st.sampled_from(["dossier", "letter"]),
            st.sampled_from("AB"),
            st.frozensets(st.sampled_from(SLUGS)),
            st.integers(1, 9),
        ),
        max_size=12,
    )
)
def test_a_replay_counts_what_plain_counting_counts(policy, draft, consultations):
    replay = Replay(policy, draft, ANSWERS)
    wanted = Counter()
    for facts, route, partner, left, times in consultations:
        left &= ANSWERS[route][0]
        replay.consulted(facts, partner=partner, route=route, left=left, policy=policy.fingerprint, times=times)
        before, after = policy.decide(facts).rubrics, draft.decide(facts).rubrics
        for slug in ANSWERS[route][0]:
            wanted["lost", slug] += times * (slug in before and slug not in after)
            wanted["gained", slug] += times * (slug in after and slug not in before)
            wanted["left", slug] += times * (slug in before and slug not in after and slug in left)
            wanted["lost", partner] += times * (slug in before and slug not in after)
            wanted["gained", partner] += times * (slug in after and slug not in before)
    found = replay.result
    counted = Counter()
    for tallies in (found.rubrics, found.partners):
        for name, tally in tallies.items():
            counted["lost", name] += tally.lost
            counted["gained", name] += tally.gained
            if name in SLUGS:
                counted["left", name] += tally.left
    assert counted == wanted
    assert found.decided == len({facts for facts, *_ in consultations})
