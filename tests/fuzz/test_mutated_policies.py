"""The shipped policies with words exchanged, left out or doubled: refused with a place, or they open what they say."""

from __future__ import annotations

import os
import re

from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from tests.fuzz.policy import POLAR, folder_is_told

EXAMPLES = int(os.environ.get("POLICY_EXAMPLES", "40"))
TOKEN = re.compile(r'#[^\n]*|"[^"\n]*"|[A-Za-z_]+|[^\sA-Za-z_"]|\s+')


@st.composite
def mutated(draw) -> tuple[str, str]:
    """A file's name and its text, with one or two words exchanged, left out or doubled."""
    name = draw(st.sampled_from(sorted(POLAR)))
    tokens = TOKEN.findall(POLAR[name])
    places = [place for place, token in enumerate(tokens) if not token.isspace() and not token.startswith("#")]
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(places))
        change = draw(st.sampled_from(("exchange", "exchange", "exchange", "leave out", "double")))
        if change == "exchange":
            # Mostly with a word of the same kind, near enough to be a slip of the hand: such a file is often accepted.
            alike = [other for other in places if tokens[other][:1].isalpha() == tokens[place][:1].isalpha()]
            alike = [other for other in alike if (tokens[other][:1] == '"') == (tokens[place][:1] == '"')]
            other = draw(st.sampled_from(alike))
            tokens[place], tokens[other] = tokens[other], tokens[place]
        else:
            tokens[place] = "" if change == "leave out" else f"{tokens[place]} {tokens[place]}"
    return name, "".join(tokens)


@given(mutated())
@settings(max_examples=EXAMPLES, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_a_slip_of_the_hand_is_refused_with_its_place_or_opens_what_is_written(changed):
    name, text = changed
    policy = folder_is_told({**POLAR, name: text}, changed=name)
    event(f"{name} {'refused' if policy is None else 'loaded'}")


ROW = 'rubric("qf_cnaf",     "Qf Cnaf",     ["T2"]'


def test_the_reading_that_policies_are_compared_with_reads_the_rows_that_were_changed():
    """Otherwise the comparison would hold whatever opens."""
    assert POLAR["matrix.polar"].count(ROW) == 1
    for profiles in ('["T2", "T16"]', "[]", '["T1"]'):
        text = POLAR["matrix.polar"].replace(ROW, ROW.replace('["T2"]', profiles))
        policy = folder_is_told({**POLAR, "matrix.polar": text}, changed="matrix.polar")
        assert policy is not None or profiles == "[]"


def test_everything_shipped_opens_what_it_says():
    assert folder_is_told(POLAR, changed="matrix.polar") is not None
