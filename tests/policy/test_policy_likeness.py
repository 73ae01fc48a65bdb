"""Values that a policy cannot tell apart: only where that is certain, and then a decision is the same for each."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polar.exceptions import OsoError

from gateway.model import FACT_VOCABULARIES
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Decisions, openings
from gateway.policy.grammar import read
from gateway.policy.likeness import likenesses
from gateway.policy.lint import Folder
from gateway.policy.sandbox import PolicyDefect
from gateway.policy.situations import SITUATIONS, facts_in
from gateway.policy.variants import variant

CONVENTION = "convention(agent: Agent, label) if"
HOLDING = "entrusted(agent: Agent, dossier: Dossier, kind) if"
TABLE = 'dossiers("T1", ["any", "masp"], "row"); dossiers("T9", ["judgment"], "row");'
OF_TABLE = "dossiers(agent.profile, kinds, _) and kind in kinds"
ONE_MORE = 'dossiers("T2", kinds, "row")'


def alike(text: str, fact: str) -> set[frozenset]:
    """The sets of values, of more than one, that the rules of `text` cannot tell apart."""
    found: dict[object, set] = {}
    for value, first in likenesses({"conditions.polar": read("conditions.polar", text)}).get(fact, {}).items():
        found.setdefault(first, set()).add(value)
    return {frozenset(values) for values in found.values() if len(values) > 1}


def words(*some: str) -> frozenset:
    return frozenset(some)


ALL = words(*FACT_VOCABULARIES["convention"])
NOT_IN_FORCE = words("suspended", "expired", "none")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'{CONVENTION} agent.convention = "in_force";', {NOT_IN_FORCE}),
        (f'{CONVENTION} "in_force" = agent.convention;', {NOT_IN_FORCE}),
        (f'{CONVENTION} agent.convention in ["in_force"];', {NOT_IN_FORCE}),
        (
            f'{CONVENTION} agent.convention in ["in_force", "suspended"];',
            {words("in_force", "suspended"), words("expired", "none")},
        ),
        (f'{CONVENTION} agent.convention in ["in_force", "suspended", "expired", "none"];', {ALL}),
        # What one rule tells apart, another need not.
        (
            f'{CONVENTION} agent.convention = "in_force"; {CONVENTION} agent.convention in ["suspended", "in_force"];',
            {words("expired", "none")},
        ),
        (f'{CONVENTION} agent.convention = "in_force" or agent.convention = "none";', {words("suspended", "expired")}),
    ],
    ids=lambda case: case if isinstance(case, str) else None,
)  # fmt: skip
def test_a_fact_that_is_held_against_words_is_told_apart_by_these(text, expected):
    assert alike(text, "convention") == expected


@pytest.mark.parametrize(
    "text",
    [
        "rubric(agent.convention);",
        f"{CONVENTION} dossiers(agent.convention, _, _);",
        f'{CONVENTION} agent.convention = state and state = "in_force";',
        f"{CONVENTION} agent.convention = agent.engagement;",
        f"{CONVENTION} agent.convention = label;",
        f'{CONVENTION} agent.convention in ["in_force", label];',
        f"{CONVENTION} dossiers(_, states, _) and agent.convention in states;",
        f'{CONVENTION} "in_force" in agent.convention;',
        f'{CONVENTION} ["in_force"] in agent.convention;',
        f'{CONVENTION} agent.convention = ["in_force"];',
        f'{CONVENTION} agent.convention in "in_force";',
        f"{CONVENTION} not refusal(agent.convention, _, _);",
        # One such use is enough.
        f'{CONVENTION} agent.convention = "in_force" and agent.convention = label;',
        f'{CONVENTION} agent.engagement = "signed";',
        "",
    ],
)  # fmt: skip
def test_a_fact_with_any_other_use_or_none_is_told_apart_by_each_of_its_values(text):
    if text.startswith("rubric(agent"):
        text = f"{CONVENTION} {text}"
    assert alike(text, "convention") == set()


def telling(text: str) -> frozenset[str] | None:
    """The kinds of mandates that matter, where the sets that share them are alike; None where each is its own."""
    found = likenesses({"conditions.polar": read("conditions.polar", text)}).get("mandates")
    if found is None:
        return None
    kinds = frozenset().union(*found.values())
    assert all(found[held] & kinds == held & kinds for held in found)
    assert len(set(found.values())) == 2 ** len(kinds) and len(found) == 16
    return kinds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'{HOLDING} "masp" in dossier.mandates and kind = "masp";', {"masp"}),
        (f'{HOLDING} kind in ["masp", "judgment"] and kind in dossier.mandates;', {"masp", "judgment"}),
        (f'{HOLDING} "masp" in dossier.mandates; {HOLDING} "judgment" in dossier.mandates;', {"masp", "judgment"}),
        (f'{HOLDING} kind in ["any"] and kind in dossier.mandates;', set()),
        (f"{TABLE} {HOLDING} {OF_TABLE} and kind in dossier.mandates;", {"masp", "judgment"}),
        # What is called before and says nothing of the list is passed over.
        (
            f"{TABLE} {HOLDING} profile(agent.profile, _) and {OF_TABLE} and kind in dossier.mandates;",
            {"masp", "judgment"},
        ),
        # `kind` is each mandate in turn, and another fact may be read for each of them.
        (f'{HOLDING} kind in dossier.mandates and kind in ["masp", "judgment"];', None),
        (f"{TABLE} {HOLDING} kind in dossier.mandates and {OF_TABLE};", None),
        # Nothing says what `kind` can be.
        (f"{HOLDING} kind in dossier.mandates;", None),
        (f'{HOLDING} kind in dossier.mandates or kind in ["masp"];', None),
        (f'{HOLDING} kind in dossier.mandates and (kind in ["masp"] or kind = "masp");', None),
        (f'{HOLDING} (kind in ["masp"] or kind = "judgment") and kind in dossier.mandates;', None),
        (f"{HOLDING} kind in dossier.mandates and kind in others;", None),
        (f'{HOLDING} kind in dossier.mandates and kind in ["masp", other];', None),
        (f'{HOLDING} _ in dossier.mandates and _ in ["masp"];', None),
        (f'{HOLDING} _ in ["masp"] and _ in dossier.mandates;', None),
        (f"{HOLDING} {OF_TABLE} and kind in dossier.mandates;", None),
        (f"{TABLE} {HOLDING} {OF_TABLE.replace('kinds, _', '_, kinds')} and kind in dossier.mandates;", None),
        (f"{TABLE} {HOLDING} kind in kinds and kind in dossier.mandates and dossiers(kinds);", None),
        (f"{TABLE} {HOLDING} kind in kinds and {OF_TABLE} and kind in dossier.mandates;", {"masp", "judgment"}),
        (f"{TABLE} {HOLDING} not {OF_TABLE} and kind in dossier.mandates;", None),
        (f'{TABLE} dossiers("T2"); {HOLDING} {OF_TABLE} and kind in dossier.mandates;', None),
        (f"{TABLE} {HOLDING} kind in _ and kind in dossier.mandates and dossiers(_, _, _);", None),
        (f"{TABLE} {HOLDING} dossiers(_, _, _) and kind in _ and kind in dossier.mandates;", None),
        (f'kinds(["masp"]); {HOLDING} kinds(_) and kind in _ and kind in dossier.mandates;', None),
        (f'{TABLE} {ONE_MORE} if kinds = ["masp"]; {HOLDING} {OF_TABLE} and kind in dossier.mandates;', None),
        (f"{TABLE} {ONE_MORE}; {HOLDING} {OF_TABLE} and kind in dossier.mandates;", None),
        # A list is told apart as a whole.
        (f'{HOLDING} dossier.mandates = ["masp"] and kind = "masp";', None),
        (f'{HOLDING} ["masp"] = dossier.mandates and kind = "masp";', None),
        (f'{HOLDING} kind in ["masp"] and kind = dossier.mandates;', None),
        (f'{HOLDING} kind in "masp" and kind in dossier.mandates;', None),
        (f"{HOLDING} dossier.mandates in kind;", None),
        (f"{HOLDING} assurance(agent, dossier.mandates, kind);", None),
    ],
    ids=lambda case: case.removeprefix(TABLE).strip() if isinstance(case, str) else None,
)  # fmt: skip
def test_mandates_are_told_apart_by_the_kinds_that_a_condition_can_ask_for(text, expected):
    assert telling(text) == expected


def test_what_no_vocabulary_has_is_alike_to_nothing(policy):
    found = likenesses(policy.statements)
    assert set(found) == {"partner_kind", "convention", "engagement", "mandates", "objection", "assurance"}
    for fact, values in found.items():
        assert not {"", "__canary__", None, frozenset(("__canary__",))} & set(values), fact


COMPARED = [
    'agent.convention = "in_force"',
    'agent.convention in ["in_force", "expired"]',
    'agent.engagement = "signed"',
    'agent.assurance in ["second_factor", "federated"]',
    'agent.partner_kind = "caf"',
    'dossier.objection = "none"',
    '"masp" in dossier.mandates',
    '"any" in dossier.mandates',
]
AFTERWARDS = ['agent.partner_kind = "caf"', 'dossier.objection = "none"', 'agent.assurance in ["federated"]']
LABELLED = [
    '(agent.convention = label or label = "x")',
    "agent.assurance = label",
    "label in dossier.mandates",
    'label in ["judgment", "masp", "none"]',
    '(label in dossier.mandates or label in ["masp"])',
    'label = "judgment"',
    "dossiers(agent.profile, kinds, _) and label in kinds",
]


def body(goals: list[str]) -> str:
    """These goals, in a rule that makes use of both nouns: oso warns of one that does not."""
    said = " and ".join(goals)
    unused = [asked for noun, asked in EVERYONE.items() if f"{noun}." not in said]
    return " and ".join([*unused, said])


EVERYONE = {"agent": 'agent.partner_kind in ["caf", "external"]', "dossier": 'dossier.objection in ["none", "raised"]'}


@settings(max_examples=int(os.environ.get("POLICY_PAIRS", "10")), deadline=None)
@given(
    bodies=st.lists(
        st.tuples(
            st.lists(st.sampled_from(COMPARED), max_size=3),
            st.lists(st.sampled_from(LABELLED), min_size=1, max_size=3),
            st.lists(st.sampled_from(AFTERWARDS), max_size=2),
        ).map(lambda parts: [goal for part in parts for goal in part]),
        min_size=1,
        max_size=3,
    ),
    rights=st.lists(
        st.tuples(st.sampled_from(SITUATIONS), st.sampled_from(["T1", "T9", "T10"])), min_size=40, max_size=40
    ),
)
def test_any_policy_decides_alike_where_it_is_said_to(policy, texts, bodies, rights):
    """Labels included: one that a fact gives its value to is another in each."""
    rules = "".join(f"{HOLDING.replace('kind', 'label')} {body(goals)};\n" for goals in bodies)
    lines = [line for line in texts["conditions.polar"].split("\n") if line.startswith("dossiers(")]
    kept = texts["conditions.polar"].split("# Which dossiers")[0]
    changed = variant(policy, {**texts, "conditions.polar": kept + "\n".join(lines) + "\n" + rules})
    assert changed.statements
    decisions, alone = Decisions(changed), Decisions(unread(changed))
    for situation, profile in rights:
        facts = facts_in(situation, profile)
        try:
            wanted = changed.evaluate(facts)
        except (OsoError, PolicyDefect) as defect:
            with pytest.raises(type(defect)):
                decisions.of(facts)
        else:
            assert decisions.of(facts) == wanted
            assert decisions.read_for(facts) == alone.read_for(facts)


def unread(policy: Policy) -> Policy:
    """The same policy, of whose rules nothing is known: no value is like another."""
    return Policy(Folder(policy.profiles, policy.rows), policy._engine, policy.fingerprint)


def test_where_nothing_is_alike_each_situation_is_enumerated_for_itself(policy):
    decisions = Decisions(unread(policy))
    assert decisions.evaluated == 0
    found = openings(policy, decisions, ["T9"])
    assert found == openings(policy, profiles=["T9"])
    assert {profile for profile, _ in found.cells} == {"T9"}
    facts = facts_in(SITUATIONS[0], "T9")
    assert decisions.alike(facts).bit_count() < Decisions(policy).alike(facts).bit_count()


def test_the_shipped_policies_decide_each_of_64_512_facts_as_without_any_likeness(policy):
    decisions = Decisions(policy)
    alone = Decisions(unread(policy))
    differing = [
        (profile, situation)
        for profile in policy.profiles
        for situation in SITUATIONS
        if decisions.of(facts := facts_in(situation, profile)) != alone.of(facts)
        or decisions.read_for(facts) != alone.read_for(facts)
    ]
    assert not differing
    assert decisions.evaluated < 600 < 2_000 < alone.evaluated
