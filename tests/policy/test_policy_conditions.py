"""The rows: which dossiers, for whom, in which state of the convention, the engagement and the objection."""

from collections.abc import Callable
from itertools import chain, combinations, product

import pytest
from msgspec.structs import fields, replace

from gateway.model import Facts
from gateway.policy.loading import load

COLUMNS = {
    "T1": "paiement dossier famille droits logement rmi_api rsa ressources creances adresse attestation_paiement"
    " courrier",
    "T9": "paiement dossier famille droits logement rmi_api rsa ressources creances adresse attestation_paiement"
    " courrier declaration_ressources",
    "T10": "paiement dossier droits logement ressources adresse",
    "T11": "paiement dossier famille droits logement creances adresse",
}
NEEDS = {"T9": {"judgment", "masp"}, "T10": {"direct_payment"}}
KINDS = ("judgment", "masp", "direct_payment", "instruction")
EVERY_SET_OF_MANDATES = [frozenset(held) for held in chain(*(combinations(KINDS, size) for size in range(5)))]
DOMAIN = {
    "convention": ("in_force", "suspended", "expired", "none"),
    "engagement": ("signed", "outdated", "missing"),
    "assurance": ("password", "second_factor", "federated"),
    "mandates": EVERY_SET_OF_MANDATES,
    "objection": ("none", "raised"),
    "partner_kind": ("caf", "external"),
}
FACTS = Facts(
    profile="T1",
    partner_kind="external",
    convention="in_force",
    engagement="signed",
    mandates=frozenset(),
    objection="none",
    assurance="password",
    action="consult",
)


def expected(facts: Facts) -> tuple[set[str], str]:
    """The oracle: the rubrics, and the first gate that stays shut."""
    gate = ""
    if facts.objection == "raised" and facts.partner_kind == "external":
        gate = "refusal"
    if facts.profile in NEEDS and not NEEDS[facts.profile] & facts.mandates:
        gate = "dossier"
    if facts.engagement != "signed":
        gate = "engagement"
    if facts.convention != "in_force":
        gate = "convention"
    if facts.profile not in COLUMNS:
        gate = "profile"
    return (set(), gate) if gate else (set(COLUMNS[facts.profile].split()), "")


@pytest.mark.parametrize("profile", ["T1", "T7", "T9", "T10", "T11"])
def test_every_combination_of_facts_is_decided_as_the_brochure_says(policy, profile):
    combined = list(product(*DOMAIN.values()))
    assert len(combined) == 4 * 3 * 3 * 16 * 2 * 2
    for values in combined:
        facts = replace(FACTS, profile=profile, **dict(zip(DOMAIN, values, strict=True)))
        grant = policy.decide(facts)
        assert (grant.rubrics, grant.denied) == expected(facts), facts


@pytest.mark.parametrize("profile", ["T2", "T3", "T4", "T5", "T6", "T8", "T12", "T13", "T14", "T16"])
@pytest.mark.parametrize(("fact", "words"), DOMAIN.items(), ids=list(DOMAIN))
def test_a_profile_without_a_row_limit_is_closed_by_one_fact_out_of_order_and_by_nothing_else(
    policy, profile, fact, words
):
    shut = {"suspended": "convention", "expired": "convention", "none": "convention"} if fact == "convention" else {}
    shut |= {"outdated": "engagement", "missing": "engagement"} if fact == "engagement" else {}
    shut |= {"raised": "refusal"} if fact == "objection" else {}
    for word in words:
        grant = policy.decide(replace(FACTS, profile=profile, **{fact: word}))
        assert grant.denied == shut.get(word, "")
        assert bool(grant.rubrics) is (grant.denied == "")


@pytest.mark.parametrize("mandates", EVERY_SET_OF_MANDATES, ids=lambda held: "+".join(sorted(held)) or "no mandate")
def test_a_guardian_needs_a_judgment_or_a_masp_and_a_landlord_needs_direct_payment(policy, mandates):
    guardian = policy.decide(replace(FACTS, profile="T9", mandates=mandates))
    landlord = policy.decide(replace(FACTS, profile="T10", mandates=mandates))
    assert bool(guardian.rubrics) is bool({"judgment", "masp"} & mandates)
    assert bool(landlord.rubrics) is ("direct_payment" in mandates)
    assert {rule[-1] for rule in guardian.rules} == {"judgment", "masp"} & mandates
    assert {rule[-1] for rule in landlord.rules} == {"direct_payment"} & mandates


@pytest.mark.parametrize("profile", ["T1", "T2", "T9", "T10", "T13", "T16"])
def test_an_objection_hides_the_dossier_from_external_partners_and_not_from_the_caf(policy, profile):
    facts = replace(FACTS, profile=profile, mandates=frozenset(KINDS), objection="raised")
    assert policy.decide(facts).denied == "refusal"
    assert policy.decide(replace(facts, partner_kind="caf")).rubrics


SHUT_ONE_BY_ONE = {
    "profile": {"profile": "T7"},
    "convention": {"convention": "expired"},
    "engagement": {"engagement": "missing"},
    "dossier": {"mandates": frozenset({"direct_payment"})},
    "refusal": {"objection": "raised"},
}


@pytest.mark.parametrize("first", SHUT_ONE_BY_ONE)
def test_the_first_gate_that_is_shut_is_named_whatever_else_is_shut_behind_it(policy, first):
    gates = list(SHUT_ONE_BY_ONE)
    shut = {}
    for gate in gates[gates.index(first) :]:
        shut |= SHUT_ONE_BY_ONE[gate]
    base = replace(FACTS, profile="T9", mandates=frozenset({"judgment"}))
    assert policy.decide(base).denied == ""
    assert policy.decide(replace(base, **SHUT_ONE_BY_ONE[first])).denied == first
    assert policy.decide(replace(base, **shut)).denied == first


@pytest.fixture(scope="module")
def changed_policy(changed) -> Callable:
    return lambda *change: load(changed(*change))


def test_one_changed_line_limits_a_profile_to_the_dossiers_it_instructs(changed_policy):
    limited = changed_policy("conditions.polar", 'dossiers("T11", ["any"],  ', 'dossiers("T11", ["instruction"],  ')
    for mandates in EVERY_SET_OF_MANDATES:
        grant = limited.decide(replace(FACTS, profile="T11", mandates=mandates))
        assert bool(grant.rubrics) is ("instruction" in mandates)
        assert grant.denied == ("" if grant.rubrics else "dossier")
    assert limited.decide(replace(FACTS, profile="T12")).rubrics


def test_taking_password_off_the_list_demands_a_second_factor(changed_policy):
    strict = changed_policy("conditions.polar", 'in ["password", "second', 'in ["second')
    assert strict.decide(FACTS).denied == "assurance"
    assert strict.decide(replace(FACTS, convention="none")).denied == "convention"
    assert strict.decide(replace(FACTS, assurance="second_factor")).rubrics
    assert strict.decide(replace(FACTS, assurance="federated")).rubrics


def test_a_rule_of_the_refusals_wins_over_everything_else(changed_policy):
    refusing = changed_policy(
        "refusals.polar",
        "refusal(agent: Agent",
        'refusal(agent: Agent, _dossier: Dossier, "closed to T1") if agent.profile = "T1";\n\nrefusal(agent: Agent',
    )
    for kind, mandates in product(("caf", "external"), EVERY_SET_OF_MANDATES):
        facts = replace(FACTS, partner_kind=kind, assurance="second_factor", mandates=mandates)
        assert refusing.decide(facts).denied == "refusal"
        assert refusing.decide(replace(facts, profile="T4")).rubrics


class Word(str):
    """Equal to the word it holds, and not one."""

    __slots__ = ()


class Kinds(frozenset):
    __slots__ = ()


UNUSUAL = [None, 1, True, b"T1", ("in_force",), ["in_force"], {"in_force"}, {}, object(), float("nan")]
OUTSIDE = [
    *((name, value) for name in FACTS.__slots__ for value in UNUSUAL),
    *((name, Word(getattr(FACTS, name))) for name in FACTS.__slots__ if name != "mandates"),
    *((name, "") for name in FACTS.__slots__ if name not in ("mandates", "profile")),
    *((name, "IN_FORCE") for name in FACTS.__slots__ if name not in ("mandates", "profile")),
    ("mandates", set()),
    ("mandates", Kinds()),
    ("mandates", "judgment"),
    ("mandates", frozenset({"judgement"})),
    ("mandates", frozenset({Word("judgment")})),
    ("mandates", frozenset({None})),
    ("mandates", frozenset({"judgment", 1})),
]


@pytest.mark.parametrize(
    ("name", "value"), OUTSIDE, ids=lambda value: value if type(value) is str and value else type(value).__name__
)
def test_a_fact_outside_its_vocabulary_opens_nothing_before_and_after_its_equal_was_decided(policy, name, value):
    strange = replace(FACTS, **{name: value})
    for _ in range(2):
        grant = policy.decide(strange)
        assert (grant.rubrics, grant.rules, grant.denied) == (frozenset(), (), "fault")
        assert policy.decide(FACTS).rubrics, "the good facts are still decided well"


@pytest.mark.parametrize("name", [field.name for field in fields(Facts)])
def test_facts_with_one_missing_cannot_be_made(name):
    with pytest.raises(TypeError):
        Facts(**{field.name: getattr(FACTS, field.name) for field in fields(Facts) if field.name != name})
    with pytest.raises((TypeError, AttributeError)):
        delattr(FACTS, name)


@pytest.mark.parametrize("facts", [None, {}, "T1", ("T1",), object()], ids=lambda value: type(value).__name__)
def test_what_is_not_facts_opens_nothing(policy, facts):
    assert policy.decide(facts).denied == "fault"
