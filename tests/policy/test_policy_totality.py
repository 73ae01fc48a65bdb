# ruff: noqa: E501 -- one defect, one line: tables are read across
"""No grant rests on a fact that is missing, of a wrong type, or a word that nobody knows."""

import pytest
from msgspec.structs import replace

from gateway.model import FACT_VOCABULARIES, Grant
from gateway.policy.canaries import MOST
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Decisions
from gateway.policy.lint import read_folder
from gateway.policy.loading import engine
from gateway.policy.sandbox import PolicyDefect
from gateway.policy.totality import STRANGE, STRANGE_MANDATES, UNTYPED, UNTYPED_MANDATES, Leak, leaks

C, R = "conditions.polar", "refusals.polar"
CONVENTION = 'convention(agent: Agent, "convention in force") if agent.convention = "in_force"'
ENGAGEMENT = 'engagement(agent: Agent, "engagement signed") if agent.engagement = "signed"'
ASSURANCE = 'agent.assurance in ["password", "second_factor", "federated"]'
ENTRUSTED = "dossiers(agent.profile, kinds, _) and kind in kinds and kind in dossier.mandates"

LEAKS = {
    "a convention in any state": (C, CONVENTION, "convention(agent: Agent, state) if agent.convention = state", "convention", {"an empty text", "a word that nobody knows"}),
    "an engagement in any state": (C, ENGAGEMENT, "engagement(agent: Agent, state) if agent.engagement = state", "engagement", {"an empty text", "a word that nobody knows"}),
    "a convention of any state for who is federated": (C, CONVENTION, 'convention(agent: Agent, state) if agent.convention = state and (state = "in_force" or agent.assurance = "federated")', "convention", {"an empty text", "a word that nobody knows"}),
    "a mandate of any kind": (C, ENTRUSTED, "dossiers(agent.profile, _, _) and kind in dossier.mandates", "mandates", {"kinds that nobody knows", "a text"}),
}  # fmt: skip


def of(texts) -> Decisions:
    folder, problems = read_folder(texts)
    assert problems == []
    return Decisions(Policy(folder, engine(texts), "on trial"))


@pytest.fixture(scope="module")
def few(texts):
    """The shipped policies with two profiles only: one of any dossier, one of those entrusted to it."""
    kept = ('"T2"', '"T9"')

    def lines(text: str, head: str) -> str:
        return "\n".join(
            line for line in text.split("\n") if not line.startswith(head) or line[len(head) :].startswith(kept)
        )

    rows = [line for line in texts["matrix.polar"].split("\n") if line.startswith("rubric(")]
    for profile in ("T1", "T3", "T4", "T5", "T6", "T8", "T10", "T11", "T12", "T13", "T14", "T16"):
        rows = [
            line.replace(f'"{profile}", ', "").replace(f', "{profile}"]', "]").replace(f'["{profile}"]', "[]")
            for line in rows
        ]
    return {
        **texts,
        "profiles.polar": lines(texts["profiles.polar"], "profile("),
        "conditions.polar": lines(texts["conditions.polar"], "dossiers("),
        "matrix.polar": "\n".join(rows),
    }


def test_the_shipped_policies_grant_nothing_from_strange_facts(policy):
    assert leaks(Decisions(policy)) == []


@pytest.mark.parametrize(("file", "old", "new", "fact", "values"), LEAKS.values(), ids=list(LEAKS))
def test_a_grant_from_a_word_that_nobody_knows_is_found_with_its_profile_rubric_and_fact(
    few, file, old, new, fact, values
):
    assert few[file].count(old) == 1
    found = leaks(of({**few, file: few[file].replace(old, new)}))
    assert {leak.fact for leak in found} == {fact}
    assert {leak.value for leak in found} == values
    assert {leak.profile for leak in found} == ({"T9"} if fact == "mandates" else {"T2", "T9"})
    for leak in found:
        assert leak.rubrics and (leak.profile != "T2" or set(leak.rubrics) == {"enfants", "qf_cnaf", "adresse"})


def test_a_refusal_that_does_not_know_a_word_is_kept_by_the_decision_which_does_not_either(few):
    """A refusal says when it shuts. `Policy.decide` never asks it about a word that is none."""
    policy = of(few).policy
    strange = replace(MOST, profile="T2", objection="__canary__")
    assert policy.evaluate(strange).rubrics
    assert policy.decide(strange) == Grant(frozenset(), denied="fault")


@pytest.mark.parametrize("fact", FACT_VOCABULARIES)
def test_whatever_is_strange_is_a_fault_of_the_decision(policy, fact):
    strange = {**STRANGE_MANDATES, **UNTYPED_MANDATES} if fact == "mandates" else {**STRANGE, **UNTYPED}
    for value in strange.values():
        facts = replace(MOST, profile="T1", **{fact: value})
        assert policy.decide(facts) == Grant(frozenset(), denied="fault")


def test_a_decision_that_no_longer_looks_at_the_words_is_found(few, monkeypatch):
    """As if `decide` had lost its check: what it grants then is named."""
    policy, asked = of(few).policy, []

    def careless(self, facts):
        asked.append(facts)
        return Grant(frozenset(("adresse",)))

    monkeypatch.setattr(Policy, "decide", careless)
    strange = {
        fact: {**STRANGE_MANDATES, **UNTYPED_MANDATES} if fact == "mandates" else {**STRANGE, **UNTYPED}
        for fact in FACT_VOCABULARIES
    }
    assert leaks(Decisions(policy)) == [
        Leak(profile, ("adresse",), fact, value)
        for profile in ("T2", "T9")
        for fact, values in strange.items()
        for value in values
    ]
    assert asked == [
        replace(MOST, profile=profile, **{fact: given})
        for profile in ("T2", "T9")
        for fact, values in strange.items()
        for given in values.values()
    ]


@pytest.mark.parametrize("value", [None, 1, True, ["in_force"], b"in_force"], ids=repr)
def test_the_engine_refuses_to_read_a_fact_of_a_wrong_type(policy, value):
    with pytest.raises(PolicyDefect):
        policy.evaluate(replace(MOST, profile="T1", convention=value))


@pytest.mark.parametrize("value", [{1}, {None}, {("judgment",)}, {frozenset(("judgment",))}], ids=repr)
def test_the_engine_refuses_to_read_mandates_that_are_no_texts(policy, value):
    with pytest.raises(PolicyDefect):
        policy.evaluate(replace(MOST, profile="T9", mandates=frozenset(value)))


def test_a_policy_that_fails_when_it_is_asked_raises(few, monkeypatch):
    decided = of(few)

    def failing(self, facts):
        raise PolicyDefect("the policy tried to fly")

    monkeypatch.setattr(Policy, "traced", failing)
    with pytest.raises(PolicyDefect):
        leaks(decided)
