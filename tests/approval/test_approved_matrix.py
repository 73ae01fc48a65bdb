"""What is approved, as data: every cell in exactly its situations, and what a proposal opens beyond it."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.approval import (
    MOST_ALTERNATIVES,
    MOST_CONDITIONS,
    Condition,
    beyond,
    conditions,
    openings_of,
)
from gateway.policy.enumeration import Openings
from gateway.policy.situations import EVERY, HELD, SITUATIONS, VARIABLES, bits_of

PROFILES = ("T1", "T9", "T10")
SLUGS = ("famille", "creances", "enfants")

boxes = st.dictionaries(st.sampled_from(sorted(VARIABLES)), st.just(None), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: st.lists(st.sampled_from(VARIABLES[name]), min_size=1, unique=True).map(tuple) for name in names}
    )
)
sets = st.lists(st.lists(boxes, min_size=1, max_size=3), max_size=3).map(
    lambda requirements: bits_of(tuple(tuple(one) for one in requirements))
)
matrices = st.dictionaries(st.tuples(st.sampled_from(PROFILES), st.sampled_from(SLUGS)), sets).map(
    lambda cells: Openings({cell: bits for cell, bits in cells.items() if bits})
)


@settings(max_examples=60, deadline=None)
@given(matrices)
def test_a_matrix_that_was_written_is_read_back_exactly(opened):
    assert openings_of(conditions(opened, PROFILES, SLUGS)).cells == opened.cells


@settings(max_examples=60, deadline=None)
@given(matrices, matrices)
def test_beyond_what_is_approved_is_each_situation_of_each_cell_that_is_not(approved, proposed):
    found = beyond(approved, proposed)
    for profile in PROFILES:
        for slug in SLUGS:
            for bit in (0, 1, 17, len(SITUATIONS) - 1, *range(0, len(SITUATIONS), 97)):
                opens = proposed.of(profile, slug) >> bit & 1 and not approved.of(profile, slug) >> bit & 1
                assert found.get((profile, slug), 0) >> bit & 1 == opens
    assert all(found.values()), "a cell that opens nothing more is not named"


def one(when=(), cells=None):
    return Condition(when, {"T1": ("famille",)} if cells is None else cells)


IN_FORCE = (({"convention": ("in_force",)},),)
REFUSED = {
    "an unknown variable": ([one((({"profil": ("T1",)},),))], "a condition that says nothing"),
    "an unknown word": ([one((({"convention": ("en_vigueur",)},),))], "a condition that says nothing"),
    "no alternative": ([one(((),))], "nothing is ever open"),
    "no word": ([one((({"convention": ()},),))], "nothing is ever open"),
    "a contradiction": (
        [one((*IN_FORCE, ({"convention": ("none",)},)))],
        "nothing is ever open",
    ),
    "a cell under two conditions": ([one(), one(IN_FORCE)], "the cell T1 famille twice"),
    "a cell twice under one": ([one((), {"T1": ("famille", "famille")})], "the cell T1 famille twice"),
    "the same condition twice": ([one(IN_FORCE), one(IN_FORCE, {"T9": ("famille",)})], "the same condition twice"),
    "the same condition in other words": (
        [one(IN_FORCE), one((*IN_FORCE, *IN_FORCE), {"T9": ("famille",)})],
        "the same condition twice",
    ),
    "more conditions than any policy has": ([one()] * (MOST_CONDITIONS + 1), f"more than {MOST_CONDITIONS} conditions"),
    "more alternatives than any policy has": (
        [one((tuple({"convention": ("in_force",)} for _ in range(MOST_ALTERNATIVES + 1)),))],
        f"more than {MOST_ALTERNATIVES} alternatives",
    ),
}


@pytest.mark.parametrize(("written", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_matrix_that_no_policy_has_is_refused(written, expected):
    with pytest.raises(ValueError, match=expected):
        openings_of(written)


def test_a_condition_without_requirements_is_every_situation():
    assert openings_of([one()]).of("T1", "famille") == EVERY


def test_cells_open_in_the_same_situations_are_one_condition_in_the_order_they_are_asked_for():
    signed = bits_of((({"engagement": ("signed",)},),))
    cells = {("T9", "famille"): signed, ("T1", "enfants"): signed, ("T1", "famille"): signed, ("T1", "creances"): EVERY}
    assert conditions(Openings(cells), PROFILES, SLUGS) == (
        Condition((({"engagement": ("signed",)},),), {"T1": ("famille", "enfants"), "T9": ("famille",)}),
        Condition((), {"T1": ("creances",)}),
    )


def test_what_is_beyond_is_gained_over_what_is_approved_and_nothing_that_was_lost():
    approved = Openings({("T1", "famille"): 0b0110, ("T1", "enfants"): 0b0011})
    proposed = Openings({("T1", "famille"): 0b1010, ("T1", "enfants"): 0b0001, ("T9", "enfants"): 0b0001})
    assert beyond(approved, proposed) == {("T1", "famille"): 0b1000, ("T9", "enfants"): 0b0001}


def test_as_many_conditions_and_alternatives_as_are_allowed_are_read():
    alternatives = tuple({"convention": ("in_force",)} for _ in range(MOST_ALTERNATIVES))
    assert openings_of([one((alternatives,))]).of("T1", "famille")
    words = [
        {"engagement": (a,), "convention": (b,), "assurance": (c,)}
        for a in VARIABLES["engagement"]
        for b in VARIABLES["convention"]
        for c in VARIABLES["assurance"]
    ]
    kinds = [{"judgment": (a,), "masp": (b,), "instruction": (c,)} for a in HELD for b in HELD for c in HELD]
    many = [
        one((({**word, **kind},),), {f"P{at}": ("famille",)}) for at, (word, kind) in enumerate(product(words, kinds))
    ]
    assert len(openings_of(many[:MOST_CONDITIONS]).cells) == MOST_CONDITIONS


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([one(IN_FORCE), one(IN_FORCE)], "says the same condition twice"),
        ([one(((),))], "has a condition in which nothing is ever open"),
        ([one((({"profil": ("T1",)},),))], "has a condition that says nothing ('profil')"),
        ([one((({"x" * 200: ("T1",)},),))], f"has a condition that says nothing ('{'x' * 99})"),
    ],
    ids=["twice", "never", "unknown", "a long word is cut"],
)
def test_the_end_of_the_sentence_says_what_is_wrong(written, said):
    with pytest.raises(ValueError) as refused:
        openings_of(written)
    assert str(refused.value) == said
