# ruff: noqa: E501 -- one defect, one line: tables are read across
"""Policies that oso loads and that open too much, each found by asking for what must not exist.

The texts reach the engine without the grammar and the lint, as if those had a hole.
"""

import re

import pytest

from gateway.errors import Misconfigured
from gateway.policy import loading
from gateway.policy.canaries import LACKING, LEAST, PHANTOMS, STRANGERS, Defect, defects, found
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Decisions
from gateway.policy.lint import read_folder
from gateway.policy.loading import load
from gateway.policy.sandbox import StrictOso

G, C, M, R = "gates.polar", "conditions.polar", "matrix.polar", "refusals.polar"
ADMITTED = '  admitted(agent, "consult", dossier, labels) and\n'
IN_PROFILES = "  agent.profile = profile and\n"
ENFANTS = '["T2", "T3"], '

DEFECTS = {
    "a row for any rubric": (M, 'rubric("enfants"', "rubric(_anything", "the policy fails when it is asked"),
    "a row for any profile, by a name used twice": (M, ENFANTS, "[all, all], ", "T1 opens the rubric `enfants`, whose row does not name it: a rule matches everyone."),
    "a row for any list of profiles": (M, ENFANTS, "_, ", "the policy fails when it is asked"),
    "the profile is not compared": (G, "  profile in profiles and\n", "  profile = profile and profiles = profiles and\n", "T1 opens the rubric `enfants`, whose row does not name it"),
    "a profile added by the gates": (G, "  profile in profiles and\n", '  (profile in profiles or (slug = "creances" and profile = "T5")) and\n', "T5 opens the rubric `creances`, whose row does not name it"),
    "any rubric by allow_field": (G, "allow_request(agent", 'allow_field(_agent, "consult", _dossier, _slug);\nallow_request(agent', 'T1 opens the rubric "__canary__", which does not exist'),
    "any rubric but one by allow_field": (G, "allow_request(agent", 'allow_field(_agent, "consult", _dossier, slug) if slug != "rsa";\nallow_request(agent', "the policy fails when it is asked"),
    "a rubric by its label": (G, "allow_request(agent", 'allow_field(_agent, "consult", _dossier, "Creances");\nallow_request(agent', 'T1 opens the rubric "Creances", which does not exist'),
    "one rubric more by allow_field": (G, "allow_request(agent", 'allow_field(agent: Agent, "consult", _dossier: Dossier, "rsa") if agent.profile = "T2";\nallow_request(agent', "T2: `allow_field` and `opens` disagree about the rubric `rsa`."),
    "an opens without a gate": (G, ADMITTED, '  agent = agent and dossier = dossier and labels = "none" and\n', "T1 opens rubrics without a convention."),
    "an opens that ignores the convention": (G, "  convention(agent, in_force) and\n", '  in_force = "" and\n', "T9 opens rubrics without a convention."),
    "an opens that ignores the engagement": (G, "  engagement(agent, signed) and\n", '  signed = "" and\n', "T9 opens rubrics without an engagement."),
    "an opens that ignores how the agent signed in": (G, "  assurance(agent, action, proved) and\n", '  action = action and proved = "" and\n', "T9 opens rubrics with an unknown proof of identity."),
    "an opens that ignores the refusals": (G, "  not refusal(agent, dossier, _) and\n", "", "T9 opens rubrics on a dossier under objection."),
    "an opens for any action": (G, 'opens(agent: Agent, "consult"', 'opens(agent: Agent, _action', "T1 opens rubrics for an unknown action."),
    "a second opens": (G, "allow_request(agent", 'opens(agent: Agent, "consult", _: Dossier, "rsa", "all") if agent.profile = "T1";\nallow_request(agent', "T1 opens rubrics with nothing in order."),
    "an opens that gives something else than a rubric": (G, "allow_request(agent", 'opens(_: Agent, "consult", _: Dossier, "iban", "all");\nallow_request(agent', "the policy fails when it is asked (PolicyDefect)"),
    "an opens that gives any rubric": (G, "allow_request(agent", 'opens(_: Agent, "consult", _: Dossier, _slug, "all");\nallow_request(agent', "the policy fails when it is asked (PolicyDefect)"),
    "an opens that gives a number for a rubric": (G, "allow_request(agent", 'opens(_: Agent, "consult", _: Dossier, 1, "all");\nallow_request(agent', "the policy fails when it is asked"),
    "an opens that gives no reason": (G, "  rules = [source, labels];", "  rules = [source, labels, _];", "the policy fails when it is asked"),
    "an opens that gives the agent for a reason": (G, "  rules = [source, labels];", "  rules = [source, labels, agent];", "the policy fails when it is asked (PolicyDefect)"),
    "a convention in any state": (C, 'agent.convention = "in_force"', "agent.convention = _", "T1 opens rubrics with an unknown convention state."),
    "a convention in any state but one": (C, 'agent.convention = "in_force"', 'agent.convention != "none"', "T1 opens rubrics with an unknown convention state."),
    "an engagement in any state but one": (C, 'agent.engagement = "signed"', 'not agent.engagement = "missing"', "T1 opens rubrics with an unknown engagement state."),
    "a refusal that calls into Python": (R, 'dossier.objection = "raised"', "dossier.objection.__class__ = 1", "the policy fails when it is asked (PolicyDefect)"),
    "a refusal that reads what is not there": (R, "dossier.objection", "dossier.objections", "the policy fails when it is asked (PolicyDefect)"),
    "a refusal without end": (R, 'dossier.objection = "raised"', "refusal(agent, dossier, _)", "the policy fails when it is asked (PolarRuntimeError)"),
}  # fmt: skip


def let_through(texts, folder) -> Policy:
    """The policy of these texts, with nothing that looks at them before: not even oso's own check of the shapes."""
    schema = re.sub(r"^type .*$", "", texts["schema.polar"], flags=re.MULTILINE)
    return Policy(folder, StrictOso({**texts, "schema.polar": schema}), "let through")


@pytest.fixture(scope="module")
def folder(texts):
    return read_folder(texts)[0]


@pytest.mark.parametrize(("file", "old", "new", "said"), DEFECTS.values(), ids=list(DEFECTS))
def test_a_policy_that_opens_too_much_is_found_by_a_canary(changed, folder, monkeypatch, file, old, new, said):
    monkeypatch.setenv("POLAR_TIMEOUT_MS", "2000")  # what has no end is asked more than once
    told = defects(let_through(changed(file, old, new), folder))
    assert any(sentence.startswith(said) for sentence in told), "\n".join(told[:10])
    assert all(sentence.endswith(".") for sentence in told)


@pytest.mark.parametrize(
    ("defect", "profile", "rule"),
    [
        ("any rubric by allow_field", "T1", "allow_field"),
        ("one rubric more by allow_field", "T2", "allow_field"),
        ("a profile added by the gates", "T5", "opens"),
        ("an opens that ignores the convention", "T1", "convention"),
        ("an opens for any action", "T1", "opens"),
        ("a refusal that reads what is not there", "", ""),
    ],
)
def test_what_a_canary_found_names_the_profile_and_the_rule_to_look_at(changed, folder, defect, profile, rule):
    file, old, new, _ = DEFECTS[defect]
    every = found(Decisions(let_through(changed(file, old, new), folder)))
    assert next(each.rule for each in every if each.profile == profile) == rule


@pytest.mark.parametrize("stranger", STRANGERS, ids=ascii)
def test_a_profile_that_must_not_exist_is_found_even_with_a_row_and_dossiers(texts, folder, stranger):
    added = {
        M: texts[M].replace(ENFANTS, f'["T2", "T3", "{stranger}"], '),
        C: f'{texts[C]}\ndossiers("{stranger}", ["any"], "x");',
    }
    policy = let_through({**texts, **added}, folder)
    said = f'the profile "{stranger}" does not exist and yet it opens something.'
    assert found(Decisions(policy)) == [Defect("", said, "")]
    assert defects(policy) == [said]


@pytest.mark.parametrize(("file", "old", "new", "said"), DEFECTS.values(), ids=list(DEFECTS))
def test_such_a_policy_never_passes_load(changed, file, old, new, said):
    with pytest.raises(Misconfigured):
        load(changed(file, old, new))


def test_the_shipped_policies_open_to_no_canary(policy):
    assert defects(policy) == []


def test_load_asks_the_canaries(texts, monkeypatch):
    monkeypatch.setattr(loading, "defects", lambda policy: ["a canary sang."])
    with pytest.raises(Misconfigured) as caught:
        load(texts)
    assert caught.value.problems == ("policies: a canary sang.",)


def test_both_axes_have_canaries_and_none_of_them_is_in_the_table(policy):
    assert {"T0", "t1", "", "*", "T7", "T15"} <= set(STRANGERS)
    assert {"__canary__", "", "*"} <= set(PHANTOMS)
    assert not set(STRANGERS) & set(policy.profiles)
    assert not set(PHANTOMS) & policy.slugs


def test_nobody_sees_anything_with_nothing_in_order(policy):
    for profile in policy.profiles:
        assert not policy.evaluate(type(LEAST)(**{**_fields(LEAST), "profile": profile})).rubrics


@pytest.mark.parametrize("situation", LACKING)
def test_each_situation_that_must_open_nothing_differs_from_the_best_one(everything_in_order, situation):
    assert LACKING[situation] != everything_in_order


def _fields(facts):
    return {name: getattr(facts, name) for name in facts.__slots__}
