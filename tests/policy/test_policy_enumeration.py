"""The whole domain, enumerated: what the tree of decisions says is what the engine says, and descriptions are exact."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.model import FACT_VOCABULARIES, Facts, Grant
from gateway.policy.enumeration import Decisions, openings
from gateway.policy.sandbox import PolicyDefect
from gateway.policy.situations import (
    EVERY,
    SITUATIONS,
    VARIABLES,
    bit_of,
    bits_of,
    describe,
    facts_in,
    situations,
)

IN_FORCE = {"convention": ("in_force",)}
SIGNED = {"engagement": ("signed",)}
CONSULT = {"action": ("consult",)}
NO_OBJECTION = ({"partner_kind": ("caf",)}, {"objection": ("none",)})


@pytest.fixture(scope="module")
def decisions(policy):
    return Decisions(policy)


@pytest.fixture(scope="module")
def opened(policy, decisions):
    return openings(policy, decisions)


def test_a_situation_is_every_combination_of_the_vocabularies_once():
    whole = 1
    for name, words in FACT_VOCABULARIES.items():
        whole *= 2 ** len(words) if name == "mandates" else len(words)
    assert len(SITUATIONS) == len(set(SITUATIONS)) == whole == 4608
    assert len({facts_in(situation, "T1") for situation in SITUATIONS}) == 4608


@given(index=st.integers(0, len(SITUATIONS) - 1))
def test_a_situation_and_its_facts_are_one_thing(index):
    facts = facts_in(SITUATIONS[index], "T9")
    assert bit_of(facts) == 1 << index
    assert list(situations(bit_of(facts))) == [SITUATIONS[index]]


@settings(max_examples=150, deadline=None)
@given(index=st.integers(0, len(SITUATIONS) - 1), profile=st.sampled_from(["T1", "T2", "T9", "T10", "T16", "T7"]))
def test_the_tree_decides_as_the_engine_does_rules_and_gate_included(policy, decisions, index, profile):
    facts = facts_in(SITUATIONS[index], profile)
    assert decisions.of(facts) == policy.evaluate(facts)


@pytest.mark.parametrize("profile", ["T1", "T9", "T10"])
def test_what_is_open_is_what_each_situation_by_itself_opens(decisions, opened, profile):
    found = {slug: 0 for _, slug in opened.cells}
    for index, situation in enumerate(SITUATIONS):
        for slug in decisions.of(facts_in(situation, profile)).rubrics:
            found[slug] |= 1 << index
    assert {slug: opened.of(profile, slug) for slug in found} == found


@given(index=st.integers(0, len(SITUATIONS) - 1), profile=st.sampled_from(["T1", "T9", "T10"]))
def test_situations_that_are_alike_are_decided_alike_and_have_each_other(decisions, index, profile):
    facts = facts_in(SITUATIONS[index], profile)
    alike = decisions.alike(facts)
    assert alike & bit_of(facts)
    for other in situations(alike):
        assert decisions.of(facts_in(other, profile)) == decisions.of(facts)
        assert decisions.alike(facts_in(other, profile)) == alike


def test_each_distinct_decision_is_evaluated_once(policy, everything_in_order):
    decisions = Decisions(policy)
    for profile, engagement in (("T1", "missing"), ("T1", "signed"), ("T1", "outdated"), ("T2", "signed")):
        decisions.of(replace(everything_in_order, profile=profile, engagement=engagement))
    assert decisions.evaluated == 3, "a missing engagement and an outdated one come to the same"


def test_what_a_decision_rests_on_is_told_once_and_in_order(decisions, everything_in_order):
    read = ("profile", "convention", "engagement", "assurance", "mandates", "objection")
    assert decisions.read_for(replace(everything_in_order, profile="T9", mandates=frozenset(["masp"]))) == read


def test_few_of_the_64_512_decisions_need_the_engine(decisions, opened):
    assert len(opened.cells) == 89
    assert decisions.evaluated < 3_000


def test_the_conditions_of_a_cell_are_read_off_its_situations(opened):
    mandate = ({"judgment": ("held",)}, {"masp": ("held",)})
    assert describe(opened.of("T1", "paiement")) == (NO_OBJECTION, (IN_FORCE,), (SIGNED,), (CONSULT,))
    assert describe(opened.of("T9", "paiement")) == (NO_OBJECTION, (IN_FORCE,), (SIGNED,), mandate, (CONSULT,))
    assert opened.of("T2", "paiement") == 0


def boxes():
    words = {name: st.sets(st.sampled_from(words), min_size=1) for name, words in VARIABLES.items()}
    some = st.fixed_dictionaries({}, optional=words)
    return some.map(lambda box: {name: tuple(sorted(found)) for name, found in box.items()})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(boxes(), min_size=1, max_size=3).map(tuple), max_size=3).map(tuple))
def test_a_description_says_exactly_the_set_it_describes(description):
    bits = bits_of(description)
    assert bits_of(describe(bits)) == bits


def test_words_and_alternatives_come_in_the_order_of_the_vocabularies():
    either = ({"engagement": ("signed",)}, {"convention": ("suspended", "in_force"), "engagement": ("outdated",)})
    wide = {"convention": ("in_force", "suspended"), "engagement": ("signed", "outdated")}
    assert describe(bits_of((either,))) == ((wide, {"engagement": ("signed",)}),)


def test_everything_requires_nothing_and_nothing_has_no_alternative():
    assert describe(EVERY) == ()
    assert describe(0) == ((),)
    assert (bits_of(()), bits_of(((),))) == (EVERY, 0)


@pytest.mark.parametrize("box", [{"convention": ("in_farce",)}, {"judgment": ("yes",)}, {"profile": ("T1",)}])
def test_a_description_with_a_word_that_is_none_describes_nothing(box):
    with pytest.raises((KeyError, ValueError)):
        bits_of(((box,),))


class Fickle:
    """A policy that reads other facts the second time."""

    statements: Mapping = {}

    def __init__(self, *second: str):
        self.read = [second, ("convention", "engagement")]

    def traced(self, facts: Facts):
        return Grant(frozenset()), self.read.pop()


@pytest.mark.parametrize(
    "second", [("engagement", "convention"), ("convention",), ()], ids=["another order", "fewer", "none"]
)
def test_a_policy_that_does_not_read_alike_twice_is_a_defect_and_not_a_guess(everything_in_order, second):
    decisions = Decisions(Fickle(*second))
    decisions.of(replace(everything_in_order, profile="T1"))
    with pytest.raises(PolicyDefect, match=r"^the policy did not read the same facts twice in the same order$"):
        decisions.of(replace(everything_in_order, profile="T1", engagement="missing"))
