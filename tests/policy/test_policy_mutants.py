"""What tests look at and what they would notice: judged by set arithmetic where that is exact."""

import dataclasses
import difflib
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.errors import Misconfigured
from gateway.policy.anatomy import anatomy
from gateway.policy.canaries import MOST
from gateway.policy.case_reading import Vocabulary, read_cases
from gateway.policy.coverage import KINDS, Examined, by_kind, coverage, percent
from gateway.policy.enumeration import Decisions
from gateway.policy.grammar import read
from gateway.policy.loading import load
from gateway.policy.mutants import rule_mutants
from gateway.policy.situations import SITUATIONS, facts_in
from gateway.policy.statements import without_lines
from gateway.policy.survival import Cells, Rules, survival
from gateway.policy.variants import variant, widened
from gateway.proxy.authorise import refusal_of


def code(grant, facts):
    return refusal_of(grant, facts).shown


@pytest.fixture(scope="module")
def rules(texts):
    return anatomy(texts)


@pytest.fixture(scope="module")
def wide(policy, texts, rules):
    return widened(policy, texts, rules)


def toggled(policy, texts, profile, slug):
    """The texts with one cell changed, written anew from the rows."""
    lines = []
    for row in policy.rows:
        named = set(row.profiles) ^ ({profile} if row.slug == slug else set())
        listed = ", ".join(f'"{one}"' for one in sorted(named))
        lines.append(f'rubric("{row.slug}", "{row.label}", [{listed}], "{row.source}");')
    return {**texts, "matrix.polar": "\n".join(lines)}


# -------------------------------------------------------------------- where rules stand

TANGLED = """rubric("first", "line", ["T2"], "e"); nothing();
# a rule; with a comment and a "text"
convention(agent: Agent, "x, (y)") if (agent.convention = "in_force" or
    # between
    (agent.convention in ["suspended", "none"] and "masp" in held)) and\tnot refusal(agent, [held, "and (or)"], _);
rubric("a", "b", ["T1", "T2"], "c and d");
"""


def test_what_is_said_to_stand_somewhere_stands_there(texts):
    for folder in (texts, {**texts, "conditions.polar": TANGLED}):
        for rule in anatomy(folder).rules:
            text = folder[rule.file]
            (again,) = read("x", f"{rule.whole.of(text)};")
            assert without_lines(again) == without_lines(rule.statement)
            assert rule.name_span.of(text) == rule.name
            for parameter, span in rule.parameters:
                (alone,) = read("x", f"x({span.of(text)});")
                assert without_lines(alone.parameters[0]) == without_lines(parameter)
            for placed in rule.goals:
                (alone,) = read("x", f"x(a) if {placed.span.of(text)};")
                assert without_lines(alone.goals) == (without_lines(placed.goal),)
                assert text[: placed.span.start].count("\n") + 1 == placed.line


def test_the_conditions_of_a_tangled_rule_are_found_one_by_one(texts):
    rule = next(one for one in anatomy({**texts, "conditions.polar": TANGLED}).rules if one.name == "convention")
    assert [placed.span.of(TANGLED) for placed in rule.goals] == [
        'agent.convention = "in_force"',
        'agent.convention in ["suspended", "none"]',
        '"masp" in held',
        'not refusal(agent, [held, "and (or)"], _)',
    ]
    assert (rule.where, rule.statement.has_alternatives) == ("conditions.polar:3", True)


# -------------------------------------------------------------------- cells


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_changed_cell_decides_as_set_arithmetic_says(policy, texts, wide, data):
    profile = data.draw(st.sampled_from(list(policy.profiles)))
    slug = data.draw(st.sampled_from(sorted(policy.slugs)))
    situation = data.draw(st.sampled_from(SITUATIONS))
    order = data.draw(st.booleans())
    facts = replace(MOST, profile=profile) if order else facts_in(situation, profile)
    changed = variant(policy, toggled(policy, texts, profile, slug))
    before = policy.evaluate(facts).rubrics
    row = next(row for row in policy.rows if row.slug == slug)
    expected = before - {slug} if profile in row.profiles else before | ({slug} & wide.evaluate(facts).rubrics)
    assert changed.evaluate(facts).rubrics == expected
    other = data.draw(st.sampled_from([one for one in policy.profiles if one != profile]))
    assert changed.evaluate(replace(facts, profile=other)) == policy.evaluate(replace(facts, profile=other))


OTHER_USES = {
    "an alternative": ("gates.polar", "profile in profiles and", '(profile in profiles or profile = "T1") and'),
    "the list asked for another word": ("gates.polar", "profile in profiles and", '"T1" in profiles and'),
    "the list asked twice": (
        "gates.polar",
        "profile in profiles and",
        'profile in profiles and "T2" in profiles and',
    ),
    "the list in a reason": ("gates.polar", "rules = [source, labels]", "rules = [source, labels, profiles]"),
    "another rubric's row": ("gates.polar", "rubric(slug, _, profiles, source)", "rubric(_, _, profiles, source)"),
    "a second look at the rows": ("conditions.polar", '"any" in kinds;', '"any" in kinds and rubric("rsa", _, _, _);'),
    "the list compared whole": ("gates.polar", "profile in profiles and", "profile = profiles and"),
    "a look at the rows afterwards": (
        "gates.polar",
        "opens(agent, action, dossier, slug, _);",
        "opens(agent, action, dossier, slug, _) and rubric(slug, _, _, _);",
    ),
    "a look at what has no row": (
        "conditions.polar",
        '"any" in kinds;',
        '"any" in kinds and not rubric("none", _, _, _);',
    ),
    "another profile than the agent's": ("gates.polar", "agent.profile = profile", 'profile = "T1"'),
}


@pytest.mark.parametrize(("file", "old", "new"), OTHER_USES.values(), ids=list(OTHER_USES))
def test_cells_are_not_judged_singly_where_rows_are_put_to_another_use(policy, changed, file, old, new):
    texts = changed(file, old, new)
    with pytest.raises(Misconfigured, match="rows are used for more than `profile in profiles`"):
        widened(policy, texts, anatomy(texts))


def test_the_profile_may_be_asked_for_without_a_name_of_its_own(policy, changed, everything_in_order):
    texts = changed("gates.polar", "  agent.profile = profile and\n", "")
    texts["gates.polar"] = texts["gates.polar"].replace("profile in profiles", "agent.profile in profiles")
    everywhere = widened(policy, texts, anatomy(texts)).evaluate(replace(everything_in_order, profile="T2"))
    assert everywhere.rubrics == policy.slugs


def test_the_profile_may_stand_on_either_side(policy, changed, everything_in_order):
    texts = changed("gates.polar", "  agent.profile = profile and", "  profile = agent.profile and")
    everywhere = widened(policy, texts, anatomy(texts)).evaluate(replace(everything_in_order, profile="T2"))
    assert everywhere.rubrics == policy.slugs


# -------------------------------------------------------------------- conditions


def test_every_condition_word_and_line_has_its_changes_and_each_can_be_decided_with(policy, texts, rules):
    mutants = list(rule_mutants(texts, rules, policy.profiles))
    assert len({(mutant.file, mutant.text) for mutant in mutants}) == len(mutants) == 67
    for mutant in mutants:
        before, after = texts[mutant.file].split("\n"), mutant.text.split("\n")
        (line,) = {at for at, (old, new) in enumerate(zip(before, after, strict=True), 1) if old != new}
        assert mutant.line <= line <= mutant.line + 3
        variant(policy, {**texts, mutant.file: mutant.text}).evaluate(MOST)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        (
            'agent.engagement = "signed"',
            'agent.engagement = "signed" or agent.partner_kind = "caf"',
            [
                '(agent.engagement = "signed" or agent.partner_kind = "caf") and "-" = "+"',
                '[agent] = [agent] or agent.partner_kind = "caf"',
                'agent.engagement in ["outdated", "missing"] or agent.partner_kind = "caf"',
                'agent.engagement in ["signed", "outdated"] or agent.partner_kind = "caf"',
                'agent.engagement in ["signed", "missing"] or agent.partner_kind = "caf"',
                'agent.engagement = "signed" or [agent] = [agent]',
                'agent.engagement = "signed" or agent.partner_kind in ["external"]',
            ],
        ),
        (
            'agent.engagement = "signed"',
            'agent.engagement in ["signed", "outdated"]',
            [
                '(agent.engagement in ["signed", "outdated"]) and "-" = "+"',
                "[agent] = [agent]",
                'agent.engagement in ["missing"]',
                'agent.engagement in ["outdated"]',
                'agent.engagement in ["signed"]',
            ],
        ),
    ],
)
def test_a_condition_is_dropped_reversed_and_changed_by_each_word(policy, changed, old, new, changes):
    texts = changed("conditions.polar", old, new)
    found = [m for m in rule_mutants(texts, anatomy(texts), policy.profiles) if "(`engagement`)" in m.said]
    head = 'engagement(agent: Agent, "engagement signed") if '
    lines = []
    for mutant in found:
        added = difflib.ndiff(texts[mutant.file].split("\n"), mutant.text.split("\n"))
        (line,) = (line[2:] for line in added if line.startswith("+ "))
        lines.append(line.removeprefix(head).removesuffix(";"))
    assert lines == changes


# -------------------------------------------------------------------- a weak suite

WEAK = """
[[case]]
name = "T2's column"
profile = "T2"
opens = ["enfants", "qf_cnaf", "adresse"]

[[case]]
name = "T9 without a mandate"
profile = "T9"
refused = "dossier"

[[case]]
name = "a suspended convention"
profile = "T4"
convention = "suspended"
refused = "convention"
"""
PROMISED = """
[[promise]]
name = "T4 never sees the debts"
profile = "T4"
convention = "in_force"
engagement = "signed"
partner_kind = "caf"
action = "consult"
never = ["creances"]

[[promise]]
name = "T5 sees the address"
profile = "T5"
convention = "in_force"
engagement = "signed"
partner_kind = "caf"
action = "consult"
always = ["adresse"]
"""


@pytest.fixture(scope="module")
def tested(policy, texts, rules, wide):
    def build(text: str, folder: Mapping[str, str] | None = None) -> Examined:
        """The tests of `text` and the shipped policies, or those of another folder."""
        vocabulary = Vocabulary(tuple(policy.profiles), tuple(row.slug for row in policy.rows))
        suite, problems = read_cases("tests/x.toml", text, vocabulary)
        assert problems == []
        if folder is None:
            return Examined(policy, texts, rules, suite, Decisions(policy), Decisions(wide))
        loaded, found = load(folder), anatomy(folder)
        return Examined(loaded, folder, found, suite, Decisions(loaded), Decisions(widened(loaded, folder, found)))

    return build


@pytest.fixture(scope="module")
def weak(tested):
    return survival(tested(WEAK), code)


def noticed_by_asking(policy, texts, cases) -> set[tuple[str, str]]:
    """The cells of which one of `cases` notices the change, each really loaded and asked."""
    noticed = set()
    for profile in policy.profiles:
        for slug in sorted(policy.slugs):
            changed = variant(policy, toggled(policy, texts, profile, slug))
            for case in cases:
                if any(not case.kept(changed.evaluate(facts), facts, code) for facts in case.facts):
                    noticed.add((profile, slug))
    return noticed


def test_the_cells_that_a_weak_suite_does_not_test_are_those_found_by_loading_all_280_policies(
    policy, texts, tested, weak
):
    noticed = noticed_by_asking(policy, texts, tested(WEAK).suite.cases)
    assert noticed == {("T2", slug) for slug in policy.slugs}
    cells = {survivor.said for survivor in weak.survivors if survivor.where.startswith("matrix.polar")}
    expected = set()
    for row in policy.rows:
        for profile in policy.profiles:
            change = "lost" if profile in row.profiles else "were given"
            if (profile, row.slug) not in noticed:
                expected.add(f"If {profile} {change} `{row.slug}`, no test would notice.")
    assert cells == expected
    assert (weak.cells, len(cells), weak.unusable) == (280, 260, 0)


def test_an_untested_right_is_a_sentence_with_its_line(weak):
    told = {survivor.said: survivor.where for survivor in weak.survivors}
    assert told["If T4 were given `creances`, no test would notice."] == "matrix.polar:14"
    assert told["If conditions.polar:25 (`dossiers`) also let T9 in by instruction, no test would notice."] == (
        "conditions.polar:25"
    )
    assert "If conditions.polar:25 (`dossiers`) let T9 open any dossier, no test would notice." not in told
    assert "If conditions.polar:5 (`convention`) also took expired for convention, no test would notice." in told
    assert "If conditions.polar:5 (`convention`) also took suspended for convention, no test would notice." not in told
    assert 0 < weak.percent < 20


def test_what_only_a_promise_notices_is_noticed(tested, weak, texts, rules, policy):
    promised = tested(WEAK + PROMISED)
    cells = {survivor.said for survivor in weak.survivors if survivor.where.startswith("matrix.polar")}
    assert cells - {survivor.said for survivor in Cells(promised).survivors()} == {
        "If T4 were given `creances`, no test would notice.",
        "If T5 lost `adresse`, no test would notice.",
    }
    fates = {
        mutant.said: Rules(promised, code).fate(mutant)
        for mutant in rule_mutants(texts, rules, policy.profiles)
        if mutant.said.startswith(("if conditions.polar:21", "if conditions.polar:22"))
    }
    assert fates == {
        "if conditions.polar:21 (`dossiers`) wanted some mandate of T4": "survived",
        "if conditions.polar:22 (`dossiers`) wanted some mandate of T5": "noticed",
    }


def test_what_opens_nothing_anywhere_is_not_counted(policy, texts, rules, tested):
    # The second condition is implied by the first: to drop it, or to take "missing" off it, changes nothing.
    doubled = {
        **texts,
        "conditions.polar": texts["conditions.polar"].replace(
            'agent.engagement = "signed";', 'agent.engagement = "signed" and agent.engagement in ["signed", "missing"];'
        ),
    }
    examined = tested(WEAK, doubled)
    fates = {
        mutant.said: Rules(examined, code).fate(mutant)
        for mutant in rule_mutants(doubled, examined.rules, policy.profiles)
        if mutant.said.startswith("if conditions.polar:8 (`engagement`) did not take")
    }
    assert fates == {
        "if conditions.polar:8 (`engagement`) did not take signed for engagement": "noticed",
        "if conditions.polar:8 (`engagement`) did not take missing for engagement": "without effect",
    }


def test_a_cell_that_would_open_nothing_is_not_counted(texts, tested):
    more = 'refusal(agent: Agent, _dossier: Dossier, "nobody") if agent.profile = "T16";\n'
    cells = Cells(tested(WEAK, {**texts, "refusals.polar": texts["refusals.polar"] + more}))
    told = [survivor.said for survivor in cells.survivors()]
    assert (cells.without_effect, cells.counted, len(told)) == (20, 260, 240)
    assert not [said for said in told if " T16 " in said]


def test_what_opens_in_some_situation_only_is_counted(changed, tested):
    """A cell that no test notices is told where it would open something in one situation at least."""
    examined = tested('[[promise]]\nname = "a"\nprofile = "T9"\nnever = ["rsa"]\n', limited(changed))
    told = {survivor.said.split("`")[1] for survivor in Cells(examined).survivors() if " T2 " in survivor.said}
    assert told == {"enfants", "adresse"}


def test_a_promise_notices_what_breaks_it_in_its_own_situations(tested):
    elsewhere = PROMISED.replace("in_force", "expired").split("[[promise]]")[1]
    told = {survivor.said for survivor in Cells(tested(f"{WEAK}[[promise]]{elsewhere}")).survivors()}
    assert "If T4 were given `creances`, no test would notice." in told


def test_a_promise_notices_a_changed_rule_in_its_own_situations(tested, texts, rules, policy):
    promise = '[[promise]]\nname = "a"\nprofile = "T1"\nconvention = "expired"\nnever = ["creances"]\n'
    judged = Rules(tested(promise), code)
    fates = {
        mutant.said.rpartition("also took ")[2]: judged.fate(mutant)
        for mutant in rule_mutants(texts, rules, policy.profiles)
        if "(`convention`) also took" in mutant.said
    }
    assert fates == {
        "suspended for convention": "survived",
        "expired for convention": "noticed",
        "none for convention": "survived",
    }


def test_what_became_of_all_changes_is_counted(monkeypatch, policy, texts, rules, tested):
    examined = tested(WEAK)
    some = list(rule_mutants(texts, rules, policy.profiles))
    unusable = dataclasses.replace(some[0], text="convention(")
    nothing = dataclasses.replace(some[0], text=texts[some[0].file])
    noticed = next(one for one in some if "(`convention`) also took suspended" in one.said)
    survivor = next(one for one in some if "(`convention`) also took expired" in one.said)
    changes = [unusable, *[nothing] * 2, *[noticed] * 4, *[survivor] * 8]
    monkeypatch.setattr("gateway.policy.survival.rule_mutants", lambda *_: changes)
    found = survival(examined, code)
    assert (found.cells, found.conditions, found.without_effect, found.unusable) == (280, 12, 2, 1)
    assert (found.counted, len(found.survivors)) == (292, 268)


def test_a_change_that_oso_does_not_take_is_unusable(tested, texts, rules, policy):
    mutant = next(rule_mutants(texts, rules, policy.profiles))
    assert Rules(tested(WEAK), code).fate(dataclasses.replace(mutant, text="convention(")) == "unusable"


def test_coverage_lists_what_a_weak_suite_leaves_out(policy, tested):
    points = coverage(tested(WEAK))
    left, reached = (
        {(point.kind, point.where, point.said) for point in points if point.exercised is exercised}
        for exercised in (False, True)
    )
    assert ("cell", "matrix.polar:14", "T4 × creances (closed)") in left
    assert ("cell", "matrix.polar:8", "T2 × enfants (open)") in reached
    assert ("dossiers", "conditions.polar:25", "T9: with the mandate masp") in left
    assert ("dossiers", "conditions.polar:25", "T9: without any of these mandates") in reached
    assert ("dossiers", "conditions.polar:19", "T2: any dossier") in reached
    assert ("condition", "conditions.polar:5", "convention is something else") in reached
    assert ("condition", "conditions.polar:8", "engagement is something else") in left
    assert ("condition", "conditions.polar:12", "assurance is federated") in left
    assert ("condition", "refusals.polar:5", "objection is raised") in left
    assert ("rule", "refusals.polar:4", "refusal holds") in left
    assert ("rule", "refusals.polar:4", "refusal does not hold") in reached
    assert ("rule", "conditions.polar:37", "entrusted holds") in left
    assert sum(point.kind == "cell" and point.exercised for point in points) == 20
    assert 5 < percent(points) < 15


def test_a_mandate_that_opens_nothing_is_not_exercised(tested):
    shut = '[[case]]\nname = "a"\nprofile = "T9"\nmandates = ["masp"]\nconvention = "expired"\nrefused = "convention"\n'
    said = {point.said: point.exercised for point in coverage(tested(shut)) if point.kind == "dossiers"}
    assert said["T9: with the mandate masp"] is False


def test_a_condition_on_the_profile_is_exercised_by_who_asks(texts, tested):
    more = 'refusal(agent: Agent, _dossier: Dossier, "nobody") if agent.profile in ["T16"];\n'
    points = coverage(tested(WEAK, {**texts, "refusals.polar": texts["refusals.polar"] + more}))
    said = {point.said: point.exercised for point in points if point.where == "refusals.polar:6"}
    assert said == {
        "profile is T16": False,
        "profile is something else": True,
        "refusal holds": False,
        "refusal does not hold": True,
    }
    assert not [point.said for point in points if point.kind == "rule" and point.said.startswith("allow")]


def limited(changed) -> dict[str, str]:
    """A policy that opens one rubric to a partner of the Caf and another to one of outside."""
    texts = changed(
        "gates.polar", "  profile in profiles and\n", "  profile in profiles and\n  limited(agent, slug) and\n"
    )
    texts["schema.polar"] += "type limited(agent: Agent, slug: String);\n"
    for kind, slug in (("caf", "enfants"), ("external", "adresse")):
        asks = f'agent.partner_kind = "{kind}" and slug in ["{slug}"]'
        texts["conditions.polar"] += f"limited(agent: Agent, slug: String) if {asks};\n"
    return texts


def test_rows_are_looked_at_in_any_of_the_situations(changed, tested):
    kinds = '[[case]]\nname = "a"\nprofile = "T2"\npartner_kind = ["caf", "external"]\nopens = ["adresse"]\n'
    assert tested(kinds, limited(changed)).looked_at("T2") == {"enfants", "adresse"}


def test_situations_that_open_something_come_first(tested):
    shut, opened = tested(WEAK.replace('"T4"', '"T2"')).of_profile("T2")[::-1]
    assert (shut.convention, opened.convention) == ("suspended", "in_force")


def test_of_no_points_all_are_exercised():
    assert percent([]) == 100


def test_without_a_test_nothing_is_exercised(tested):
    assert percent(coverage(tested('[[promise]]\nname = "a"\nnever = ["qf_cnaf"]\nprofile = "T9"'))) == 0


def test_the_kinds_of_points_come_one_after_the_other(tested):
    found = list(by_kind(coverage(tested(WEAK))))
    assert [kind for kind, _ in found] == list(KINDS)
    assert sum(len(points) for _, points in found) == len(coverage(tested(WEAK)))
    assert all(point.kind == kind for kind, points in found for point in points)
