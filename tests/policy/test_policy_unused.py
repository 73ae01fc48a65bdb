"""Rights that nobody uses, and the table without them: nothing but those cells changes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.enumeration import Openings
from gateway.policy.lint import read_folder
from gateway.policy.unused import Usage, unused, without_cells

SPREAD = """# The table.
rubric("x", "X", [
  "T1",  # social workers
  "T2",  # day care

  "T9"   # tutors
], "a, b");  # "T9", "x"
rubric("y", "Y", ["T1","T9",], "T1");
"""


@pytest.fixture(scope="module")
def cells(policy):
    return sorted((profile, row.slug) for row in policy.rows for profile in row.profiles)


@given(data=st.data())
def test_exactly_these_cells_are_closed_and_nothing_else_is_changed(texts, policy, cells, data):
    closed = set(data.draw(st.lists(st.sampled_from(cells), unique=True)))
    text = without_cells(texts["matrix.polar"], [*closed, ("T99", "adresse"), ("T1", "nothing")])
    folder, problems = read_folder({**texts, "matrix.polar": text})
    assert problems == []
    wanted = [
        (row.slug, row.label, row.source, row.line, tuple(p for p in row.profiles if (p, row.slug) not in closed))
        for row in policy.rows
    ]
    assert [(row.slug, row.label, row.source, row.line, row.profiles) for row in folder.rows] == wanted
    for old, new in zip(texts["matrix.polar"].splitlines(), text.splitlines(), strict=True):
        assert re.sub(r"\[.*?\]", "[]", old) == re.sub(r"\[.*?\]", "[]", new)
        assert "[ " not in new
        assert " ]" not in new
        assert ", ]" not in new


def test_a_table_without_unused_cells_is_the_same_text(texts):
    assert without_cells(texts["matrix.polar"], []) == texts["matrix.polar"]


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        ([("T2", "x")], SPREAD.replace('  "T2",  # day care', "    # day care")),
        (
            [("T9", "x")],
            SPREAD.replace('  "T2",  # day', '  "T2"  # day').replace('  "T9"   # tutors', "     # tutors"),
        ),
        ([("T1", "y")], SPREAD.replace('["T1","T9",]', '["T9",]')),
        ([("T9", "y")], SPREAD.replace('["T1","T9",]', '["T1",]')),
        ([("T1", "y"), ("T9", "y")], SPREAD.replace('["T1","T9",]', "[]")),
    ],
    ids=["the middle one", "the last one", "before a comma", "between commas", "all of them"],
)
def test_comments_inside_a_row_stay(cells, wanted):
    assert without_cells(SPREAD, cells) == wanted


def test_what_is_no_row_stays_whatever_it_holds():
    text = 'table("x", "X", ["T1"], "s"); rubric("x", "X", every, "s"); rubric("x", "X", ["T1"], "s");'
    assert without_cells(text, [("T1", "x")]) == text.removesuffix('["T1"], "s");') + '[], "s");'


def test_blanks_at_the_end_of_a_line_stay():
    text = 'rubric("x", "X", [\n  "T1", \n  "T9" \n], "s");\n'
    assert without_cells(text, [("T1", "x")]) == 'rubric("x", "X", [\n   \n  "T9" \n], "s");\n'


def test_windows_line_ends_stay():
    text = '# a\r\nrubric("x", "X", ["T1", "T9"], "s");\r\n'
    assert without_cells(text, [("T9", "x")]) == '# a\r\nrubric("x", "X", ["T1"], "s");\r\n'


def test_a_cell_is_unused_that_is_open_and_of_which_nothing_left(policy):
    opened = Openings({("T2", "adresse"): 1, ("T2", "enfants"): 3, ("T1", "rsa"): 1})
    usage = Usage()
    usage.left("T2", ["adresse", "qf_cnaf"], 3)
    usage.left("T2", ["adresse"], 1)
    usage.left("T1", ["adresse"], 2)
    found = unused(policy, opened, usage)
    assert {profile: slugs for profile, slugs in found.items() if slugs} == {"T2": ["enfants"], "T1": ["rsa"]}
    assert list(found) == list(policy.profiles)
    assert usage.profiles == {"T2": 4, "T1": 2}
    assert usage.cells == {("T2", "adresse"): 4, ("T2", "qf_cnaf"): 3, ("T1", "adresse"): 2}
