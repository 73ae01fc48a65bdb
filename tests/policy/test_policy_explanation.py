"""An explanation is the decision itself, told: what is open, through which lines, and what would open the rest."""

from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.errors import Misconfigured
from gateway.model import GATES
from gateway.policy.enumeration import Decisions, openings
from gateway.policy.explanation import NEVER, NOT_NAMED, SITUATION, explain, who
from gateway.policy.given_facts import typed_facts, written_facts
from gateway.policy.loading import load
from gateway.policy.proofs import Place
from gateway.policy.situations import SITUATIONS, VARIABLES, bit_of, facts_in, situations
from gateway.policy.wording import requirements

PROFILES = ["T1", "T2", "T6", "T9", "T10", "T13", "T7", "t1", ""]


@pytest.fixture(scope="module")
def decisions(policy):
    return Decisions(policy)


def some_facts():
    return st.builds(facts_in, st.sampled_from(SITUATIONS), st.sampled_from(PROFILES))


def line_of(texts, file, beginning):
    [line] = [at for at, text in enumerate(texts[file].splitlines(), start=1) if text.startswith(beginning)]
    return Place(file, line)


def explained(found, slug):
    [each] = [each for each in found.rubrics if each.slug == slug]
    return each


@settings(max_examples=15, deadline=None)
@given(facts=some_facts())
def test_what_is_explained_is_what_is_decided(policy, facts):
    found = explain(policy, facts)
    assert found.grant == policy.evaluate(facts)
    assert {each.slug for each in found.rubrics if each.open} == found.grant.rubrics
    for each in found.rubrics:
        assert each.rules == tuple(rule[1:] for rule in found.grant.rules if rule[0] == each.slug)
    shut = [gate.gate for gate in found.gates if not gate.passed]
    if found.grant.rubrics:
        assert shut == []
    else:
        assert found.grant.denied == (shut[0] if shut else "rubric")
    assert [gate.gate for gate in found.gates] == [gate for gate in GATES if gate not in ("fault", "rubric")]


@settings(max_examples=8, deadline=None)
@given(facts=some_facts())
def test_what_would_open_a_rubric_does_and_nothing_less_does(policy, decisions, facts):
    now = dict(zip(VARIABLES, next(situations(bit_of(facts))), strict=True))

    def opens(change, slug):
        situation = tuple({**now, **change}.values())
        return slug in decisions.of(facts_in(situation, facts.profile)).rubrics

    def changes(size):
        for names in combinations(VARIABLES, size):
            others = [[word for word in VARIABLES[name] if word != now[name]] for name in names]
            yield from (dict(zip(names, words, strict=True)) for words in product(*others))

    found = explain(policy, facts).rubrics
    for each in (*found[:2], *found[-2:]):
        sizes = range(len(VARIABLES) + 1)
        fewest = next((size for size in sizes if any(opens(change, each.slug) for change in changes(size))), None)
        if each.open:
            assert (fewest, each.needs) == (0, 0)
        elif fewest is None:
            assert (each.why, each.needs) == (NOT_NAMED, 0)
        else:
            nearest = [change.items() for change in changes(fewest) if opens(change, each.slug)]
            have = [dict(zip(VARIABLES, situation, strict=True)).items() for situation in SITUATIONS]
            wanted = [1 << at for at, items in enumerate(have) if any(items >= change for change in nearest)]
            assert each.needs == sum(wanted)


def test_an_explanation_names_what_it_explains(policy, texts, everything_in_order):
    facts = replace(everything_in_order, profile="T2")
    found = explain(policy, facts)
    assert found.facts == facts
    assert [each.label for each in found.rubrics] == [row.label for row in policy.rows]
    assert {seen.profile: seen.label for seen in who(policy, "adresse", openings(policy))} == policy.profiles
    gate = found.gates[0]
    assert (gate.gate, gate.holds, gate.read) == ("profile", True, {"profile": "T2"})
    assert gate.places == (line_of(texts, "profiles.polar", 'profile("T2"'),)


def test_a_rule_whose_place_has_no_name_is_found(texts, everything_in_order):
    more = texts["refusals.polar"] + 'refusal(agent: Agent, _: Dossier, "nobody") if agent.profile = "T2";\n'
    policy = load({**texts, "refusals.polar": more})
    [gate] = [
        each for each in explain(policy, replace(everything_in_order, profile="T2")).gates if each.gate == "refusal"
    ]
    assert (gate.holds, gate.places) == (True, (Place("refusals.polar", more.count("\n")),))


def test_the_first_places_without_a_name_are_found_too(changed, everything_in_order):
    """oso numbers them through the folder: those of the first rules have one digit."""
    policy = load(changed("conditions.polar", "_action: String", "_: String"))
    [gate] = [each for each in explain(policy, everything_in_order).gates if each.gate == "assurance"]
    assert gate.places == (Place("conditions.polar", 11),)


def test_mandates_are_told_one_after_the_other(policy, everything_in_order):
    found = explain(policy, replace(everything_in_order, profile="T9", mandates=frozenset({"masp", "judgment"})))
    [gate] = [each for each in found.gates if each.gate == "dossier"]
    assert gate.read == {"profile": "T9", "mandates": "judgment masp"}


def test_a_gate_that_is_shut_shows_the_line_of_the_profile_that_could_have_opened_it(
    policy, texts, everything_in_order
):
    found = explain(policy, replace(everything_in_order, profile="T9", mandates=frozenset()))
    [gate] = [each for each in found.gates if each.gate == "dossier"]
    lines = {place.line for place in gate.places if place.file == "conditions.polar"}
    assert (gate.holds, line_of(texts, "conditions.polar", 'dossiers("T9"').line in lines) == (False, True)
    assert line_of(texts, "conditions.polar", 'dossiers("T10"').line not in lines


def test_an_open_rubric_is_traced_to_its_row_and_to_every_condition_that_held(policy, texts):
    facts = typed_facts("T9", "mandates=masp")
    found = explain(policy, facts)
    conditions = [
        line_of(texts, "conditions.polar", beginning)
        for beginning in (
            *("convention(", "engagement(", "assurance(", "entrusted(agent: Agent, dossier: Dossier, kind)"),
            'dossiers("T9"',
        )
    ]
    row = line_of(texts, "matrix.polar", 'rubric("creances"')
    each = explained(found, "creances")
    assert each.places == (row, *conditions)
    assert each.rules == (
        ("brochure 2012, row 10", "convention in force", "engagement signed", "identity proved", "masp"),
    )
    assert explained(found, "enfants").places == (line_of(texts, "matrix.polar", 'rubric("enfants"'),)


@pytest.mark.parametrize(
    ("profile", "typed", "gate", "read", "needs"),
    [
        (
            "T10",
            "mandates=direct_payment,convention=expired",
            "convention",
            {"convention": "expired"},
            ["convention in force"],
        ),
        ("T9", "", "dossier", {"profile": "T9", "mandates": ""}, ["mandate: judgment or masp"]),
        ("T1", "engagement=outdated", "engagement", {"engagement": "outdated"}, ["engagement signed"]),
        (
            *("T1", "objection=raised", "refusal", {"objection": "raised", "partner_kind": "external"}),
            ["no objection, or a partner of kind caf"],
        ),
    ],
    ids=["an expired convention", "no mandate", "an old engagement", "an objection"],
)
def test_the_gate_that_stayed_shut_is_named_with_what_it_read_and_what_would_open_it(
    policy, profile, typed, gate, read, needs
):
    found = explain(policy, typed_facts(profile, typed))
    assert found.grant.denied == gate
    [shut] = [each for each in found.gates if not each.passed]
    assert (shut.gate, shut.read) == (gate, read)
    assert shut.places
    each = explained(found, "adresse")
    assert each.why == gate
    assert requirements(each.needs) == needs


def test_two_rules_that_grant_the_same_for_different_reasons_are_told_apart(changed):
    """Same head, same label: only the body says which of them held."""
    first = 'convention(agent: Agent, "convention in force") if agent.convention = "in_force";'
    head = 'convention(agent: Agent, "convention in force")'
    second = f'{head} if agent.convention = "suspended" and agent.partner_kind = "caf";'
    # The canaries refuse a folder that opens on a suspended convention to an external partner only.
    policy = load(changed("conditions.polar", first, f"{first}\n{second}"))
    for convention, kind, line in (("in_force", "external", 5), ("suspended", "caf", 6)):
        facts = typed_facts("T1", f"convention={convention},partner_kind={kind}")
        [gate] = [gate for gate in explain(policy, facts).gates if gate.gate == "convention"]
        assert gate.places == (Place("conditions.polar", line),)
    facts = typed_facts("T1", "convention=expired")
    [gate] = [gate for gate in explain(policy, facts).gates if gate.gate == "convention"]
    assert gate.places == (Place("conditions.polar", 5), Place("conditions.polar", 6))


def test_a_place_is_told_as_editors_read_it():
    assert str(Place("conditions.polar", 12)) == "conditions.polar:12"


def test_two_rules_with_the_same_head_are_told_apart_by_what_they_call(changed):
    old = 'agent.engagement = "signed";'
    texts = changed(
        "conditions.polar", old, 'first(agent);\nengagement(agent: Agent, "engagement signed") if second(agent);'
    )
    texts["schema.polar"] += "type first(agent: Agent);\ntype second(agent: Agent);\n"
    for name, kind in (("first", "external"), ("second", "caf")):
        texts["conditions.polar"] += (
            f'{name}(agent: Agent) if agent.engagement = "signed" and agent.partner_kind = "{kind}";\n'
        )
    policy = load(texts)
    for kind, beginning in (("external", "first"), ("caf", "second")):
        facts = typed_facts("T1", f"partner_kind={kind}")
        [gate] = [gate for gate in explain(policy, facts).gates if gate.gate == "engagement"]
        lines = [texts["conditions.polar"].splitlines()[place.line - 1] for place in gate.places]
        assert [beginning in line for line in lines] == [True, True], lines


def test_two_rules_with_the_same_head_are_told_apart_by_the_words_of_a_list(changed):
    old = 'engagement(agent: Agent, "engagement signed") if agent.engagement = "signed";'
    head = old.removesuffix(";")
    both = "\n".join(f'{head} and agent.partner_kind in ["{kind}"];' for kind in ("external", "caf"))
    policy = load(changed("conditions.polar", old, both))
    for kind, line in (("external", 8), ("caf", 9)):
        [gate] = [g for g in explain(policy, typed_facts("T1", f"partner_kind={kind}")).gates if g.gate == "engagement"]
        assert gate.places == (Place("conditions.polar", line),)


def test_a_rubric_that_a_rule_opens_in_some_situations_only_says_which(changed):
    old = "  profile in profiles and\n  rules = [source, labels];"
    new = "  profile in profiles and\n  limited(agent, slug) and\n  rules = [source, labels];"
    texts = changed("gates.polar", old, new)
    texts["schema.polar"] += "type limited(agent: Agent, slug: String);\n"
    texts["conditions.polar"] += (
        'limited(_agent: Agent, slug: String) if slug in ["adresse", "famille"];\n'
        'limited(agent: Agent, "creances") if agent.assurance = "second_factor";\n'
    )
    found = explain(load(texts), typed_facts("T1", ""))
    assert found.grant.rubrics == {"adresse", "famille"}
    creances, paiement = explained(found, "creances"), explained(found, "paiement")
    assert (creances.why, requirements(creances.needs)) == (SITUATION, ["identity proved by second factor"])
    assert (paiement.why, paiement.needs) == (NEVER, 0)
    assert explained(found, "qf_cnaf").why == NOT_NAMED
    limited = [place for place in explained(found, "adresse").places if place.file == "conditions.polar"][-1]
    assert texts["conditions.polar"].splitlines()[limited.line - 1].startswith("limited(_agent")


def test_who_sees_a_rubric_is_each_profile_of_its_row_with_what_it_takes(policy):
    opened = openings(policy)
    found = who(policy, "declaration_ressources", opened)
    assert [each.profile for each in found] == ["T9"]
    assert "mandate: judgment or masp" in requirements(found[0].bits)
    assert [each.profile for each in who(policy, "creances", opened)] == ["T1", "T9", "T11", "T13"]


@given(st.builds(facts_in, st.sampled_from(SITUATIONS), st.sampled_from(PROFILES)))
def test_facts_are_read_as_they_are_written(facts):
    assert typed_facts(facts.profile, written_facts(facts)) == facts


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("mandate=masp", "Did you mean `mandates`?"),
        ("convention=expird", "Did you mean `expired`?"),
        ("mandates=masp+judgement", "Did you mean `judgment`?"),
        ("convention=", "never a value of `convention`"),
        ("convention=expired,convention=none", "given twice"),
        ("profile=T1", "there is no fact `profile`"),
        ("convention", "there is no fact `convention`"),
        ("action=consult,=", "there is no fact ``"),
    ],
)
def test_a_fact_that_is_none_is_told(typed, said):
    with pytest.raises(Misconfigured, match=said):
        typed_facts("T1", typed)
