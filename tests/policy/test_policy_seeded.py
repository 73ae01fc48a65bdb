"""Each mistake of `seeded.MISTAKES` is caught, says what the page says, and never reaches a running gateway."""

import pytest

from tests.policy.seeded import MISTAKES, in_page, row, written


@pytest.mark.parametrize("name", MISTAKES)
def test_a_seeded_mistake_is_caught_as_the_page_says_and_kept_from_the_gateway(name):
    [cells] = [cells for cells in written() if cells[0] == name]
    assert in_page(row(name, MISTAKES[name])) == cells


def test_the_page_lists_the_mistakes_that_there_are():
    """`python -m tests.policy.seeded` writes it anew."""
    assert [cells[0] for cells in written()] == list(MISTAKES)


def test_each_command_is_the_first_to_see_some_of_them():
    assert {mistake.caught_by for mistake in MISTAKES.values()} == {"check", "test", "diff"}
    assert len(MISTAKES) >= 30
