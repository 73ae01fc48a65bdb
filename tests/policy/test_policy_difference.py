"""What changes between two policies is, cell by cell, what plain Python finds by asking everything of both."""

import os

import pytest
from hypothesis import HealthCheck, given, settings

from gateway.policy.difference import (
    CLOSED,
    MOVED,
    NARROWED,
    OPENED,
    WIDENED,
    CellChange,
    Vocabulary,
    alike,
    difference,
    profiles_compared,
    rubrics_compared,
)
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Enumerated, Openings, openings
from gateway.policy.lint import Row, read_folder
from gateway.policy.sandbox import StrictOso
from gateway.policy.situations import facts_in, situations
from tests.policy.worlds import PROFILES, SLUGS, worlds

EXAMPLES = int(os.environ.get("POLICY_PAIRS", "10"))
"""Pairs of policies; each takes a second or two."""


def opened_by(texts) -> Openings:
    """By the engine, from texts that the lint accepts."""
    folder, problems = read_folder(texts)
    assert folder is not None, problems
    return openings(Policy(folder, StrictOso(texts), "random"))


def told(bits: int) -> set:
    """The situations of a set, as the worlds have them."""
    facts = (facts_in(situation, "T1") for situation in situations(bits))
    return {(f.partner_kind, f.convention, f.engagement, f.mandates, f.objection, f.assurance, f.action) for f in facts}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(old=worlds(), new=worlds())
def test_the_difference_of_any_two_policies_is_what_asking_everything_of_both_finds(texts, old, new):
    changes = difference(opened_by(old.texts(texts)), opened_by(new.texts(texts)))
    found = {change.cell: (told(change.gained), told(change.lost)) for change in changes}
    assert len(found) == len(changes)
    before, after = old.opened(), new.opened()
    wanted = {
        cell: (after[cell] - before[cell], before[cell] - after[cell])
        for cell in ((profile, slug) for profile in PROFILES for slug in SLUGS)
        if after[cell] != before[cell]
    }
    assert found == wanted


@pytest.mark.parametrize(
    ("before", "after", "kind", "gained", "lost"),
    [
        (0, 0b110, OPENED, 0b110, 0),
        (0b110, 0, CLOSED, 0, 0b110),
        (0b110, 0b111, WIDENED, 0b001, 0),
        (0b110, 0b010, NARROWED, 0, 0b100),
        (0b110, 0b011, MOVED, 0b001, 0b100),
    ],
)
def test_a_change_is_named_after_what_is_gained_and_lost(before, after, kind, gained, lost):
    change = CellChange(("T1", "rsa"), before, after)
    assert (change.kind, change.gained, change.lost) == (kind, gained, lost)


def test_changes_come_in_the_order_of_the_profiles_numbers_whatever_was_enumerated_first():
    old = Openings({("T10", "rsa"): 1, ("T9", "rsa"): 1, ("T1", "dossier"): 1, ("T9", "courrier"): 1, ("B", "rsa"): 1})
    cells = [change.cell for change in difference(old, Openings({}))]
    assert cells == [("B", "rsa"), ("T1", "dossier"), ("T9", "courrier"), ("T9", "rsa"), ("T10", "rsa")]


def test_what_is_equal_is_no_difference():
    assert difference(Openings({("T1", "rsa"): 5, ("T2", "rsa"): 0}), Openings({("T1", "rsa"): 5})) == []


def test_rubrics_of_a_profile_that_change_alike_are_one_entry_in_the_order_of_the_table():
    old = Openings({("T9", slug): 1 for slug in ("rsa", "courrier", "gone")} | {("T1", "rsa"): 1})
    new = Openings({("T9", slug): 3 for slug in ("rsa", "courrier", "gone")} | {("T1", "rsa"): 3, ("T9", "famille"): 3})
    groups = alike(difference(old, new), ["famille", "rsa", "courrier"])
    assert [(group.profile, group.change.kind, group.slugs) for group in groups] == [
        ("T1", WIDENED, ("rsa",)),
        ("T9", WIDENED, ("rsa", "courrier", "gone")),
        ("T9", OPENED, ("famille",)),
    ]


def said(profiles=(), rows=()) -> Enumerated:
    """A policy of which only the words matter."""
    return Enumerated("", dict(profiles), tuple(Row(*row, line) for line, row in enumerate(rows)), Openings({}))


def test_profiles_that_came_that_went_and_that_are_called_otherwise_are_told_apart():
    old = said(profiles={"T1": "one", "T2": "two", "T3": "three", "T4": "four"})
    new = said(profiles={"T4": "4", "T9": "nine", "T2": "two", "T1": "One", "T8": "eight"})
    assert profiles_compared(old, new) == Vocabulary(("T9", "T8"), ("T3",), ("T4", "T1"))


def test_a_rubric_is_another_one_by_its_label_or_by_its_source_and_not_by_who_sees_it():
    old = said(rows=[("rsa", "RSA", ("T1",), "row 1"), ("a", "A", (), "row 2"), ("b", "B", (), "row 3")])
    new = said(
        rows=[("c", "C", (), "row 4"), ("b", "B", (), "row 5"), ("a", "Ah", (), "row 2"), ("rsa", "RSA", (), "row 1")]
    )
    assert rubrics_compared(old, new) == Vocabulary(("c",), (), ("b", "a"))
    assert rubrics_compared(new, old) == Vocabulary((), ("c",), ("a", "b"))


@pytest.mark.parametrize("changed", ["added", "removed", "reworded", None], ids=str)
def test_a_vocabulary_is_unchanged_where_nothing_came_went_or_is_called_otherwise(changed):
    names = {name: ("T1",) if name == changed else () for name in ("added", "removed", "reworded")}
    assert bool(Vocabulary(**names)) is (changed is not None)
