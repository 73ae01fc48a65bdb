"""The tests that travel with the policies: they are kept, they look at everything, and no change would escape them."""

import re
import shutil
import textwrap
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.policy.anatomy import anatomy
from gateway.policy.case_reading import DECLARED, Vocabulary, read_cases
from gateway.policy.cases import Judge, listed, spoken
from gateway.policy.coverage import percent
from gateway.policy.enumeration import Decisions, Openings, openings
from gateway.policy.loading import load
from gateway.policy.survival import Survival
from gateway.policy.trial import trial
from gateway.policy_files.case_files import read_tests
from gateway.policy_files.folder import shipped
from gateway.proxy.authorise import refusal_of


def code(grant, facts):
    return refusal_of(grant, facts).shown


@pytest.fixture(scope="module")
def tests(policy):
    return read_tests(shipped(), policy)


@pytest.fixture(scope="module")
def tried(policy, texts, tests):
    """Everything that can be asked about the shipped tests, once."""
    return trial(policy, texts, tests.suite, code, covered=True, mutated=True)


@pytest.fixture(scope="module")
def vocabulary(policy):
    return Vocabulary(tuple(policy.profiles), tuple(row.slug for row in policy.rows))


@pytest.fixture(scope="module")
def suite(vocabulary):
    """The tests of a text in which nothing is wrong."""

    def read(text: str):
        found, problems = read_cases("tests/x.toml", textwrap.dedent(text), vocabulary)
        assert problems == []
        return found

    return read


# -------------------------------------------------------------------- what travels with the policies


def test_the_shipped_tests_are_read_whole_without_a_problem(tests):
    assert tests.problems == ()
    files = {path.name for path in (shipped() / "tests").iterdir()}
    assert {test.file for test in (*tests.suite.cases, *tests.suite.promises)} == {f"tests/{name}" for name in files}


def test_every_shipped_test_is_kept(tried, tests):
    assert [verdict.test.name for verdict in tried.failed] == []
    assert len(tried.verdicts) == len(tests.suite.cases) + len(tests.suite.promises) >= 48


def test_the_shipped_tests_look_at_every_cell_line_condition_and_rule(tried):
    assert [point for point in tried.coverage if not point.exercised] == []
    assert percent(tried.coverage) == 100
    assert sum(point.kind == "cell" for point in tried.coverage) == 280


def test_no_change_of_the_shipped_policies_would_escape_the_shipped_tests(tried):
    assert tried.survival.survivors == ()
    assert tried.survival.percent == 100
    assert tried.survival.cells == 280
    assert tried.survival.conditions >= 65
    assert tried.survival.unusable == 0


def test_the_shipped_tables_say_the_column_of_each_profile(policy, tests, everything_in_order):
    columns = {case.facts[0].profile: case.opens for case in tests.suite.cases if case.file == "tests/profiles.toml"}
    assert columns == {
        profile: policy.decide(replace(everything_in_order, profile=profile)).rubrics for profile in columns
    }
    assert list(columns) == list(policy.profiles)


# -------------------------------------------------------------------- what a case means


def test_what_a_case_does_not_say_is_declared_at_the_head_of_the_shipped_table(suite):
    (case,) = suite("""
        [[case]]
        name = "only who asks"
        profile = "T2"
        opens = ["adresse"]
    """).cases
    (facts,) = case.facts
    assert facts.mandates == frozenset(DECLARED["mandates"])
    assert {name: getattr(facts, name) for name in DECLARED if name != "mandates"} == {
        name: word for name, word in DECLARED.items() if name != "mandates"
    }
    head = (shipped() / "tests" / "profiles.toml").read_text(encoding="utf-8").split("[[case]]")[0]
    for name, word in DECLARED.items():
        shown = "[]" if name == "mandates" else f'"{word}"'
        assert f"{name} = {shown}" in " ".join(head.split())


def test_lists_of_words_are_alternatives_and_mandates_are_a_set(suite):
    (case,) = suite("""
        [[case]]
        name = "many"
        profile = ["T9", "T10"]
        convention = ["none", "expired"]
        mandates = [[], ["masp", "judgment"]]
        refused = "convention"
    """).cases
    told = {(facts.profile, facts.convention, facts.mandates) for facts in case.facts}
    both = frozenset({"masp", "judgment"})
    assert len(case.facts) == len(told) == 8
    assert ("T10", "expired", both) in told
    assert ("T9", "none", frozenset()) in told


def test_the_defaults_of_a_file_stand_in_for_those_declared(suite):
    (case,) = suite("""
        [defaults]
        partner_kind = "caf"
        mandates = ["judgment"]
        [[case]]
        name = "at the Caf"
        profile = "every"
        opens = ["adresse"]
    """).cases
    assert {(facts.partner_kind, facts.mandates) for facts in case.facts} == {("caf", frozenset({"judgment"}))}
    assert len(case.facts) == 14


def test_a_promise_is_about_every_situation_that_it_does_not_leave_out(suite):
    first, second, third = suite("""
        [[promise]]
        name = "about all"
        never = "every"
        [[promise]]
        name = "without a mandate for guardians"
        profile_other_than = ["T1", "T10"]
        mandates_none_of = ["judgment", "masp"]
        never = ["creances"]
        [[promise]]
        name = "with one"
        profile = "T9"
        mandates_any_of = ["judgment", "masp"]
        convention_other_than = ["none", "expired", "suspended"]
        always = ["creances"]
    """).promises
    assert (first.situations.bit_count(), len(first.profiles), len(first.rubrics)) == (4608, 14, 20)
    assert (second.situations.bit_count(), len(second.profiles), second.rubrics) == (4608 // 4, 12, ("creances",))
    assert (third.situations.bit_count(), third.profiles, third.always) == (4608 // 4 * 3 // 4, ("T9",), True)


def test_the_tests_that_the_guide_shows_are_kept(suite, judge, policy):
    guide = (shipped() / "README.md").read_text(encoding="utf-8")
    shown = suite("\n".join(re.findall(r"```toml\n(\[\[.*?)```", guide, re.DOTALL)))
    assert (len(shown.cases), len(shown.promises)) == (2, 2)
    assert [verdict.failed for verdict in map(judge.case, shown.cases)] == [0, 0]


# -------------------------------------------------------------------- what is told of a failure


@pytest.fixture(scope="module")
def judge(policy, texts):
    return Judge(policy, policy.evaluate, code, anatomy(texts))


WRONG = {
    "a rubric too many is told with the row and the conditions that opened it": (
        'profile = "T2"\nopens = ["enfants", "adresse"]',
        "adresse, enfants",
        "adresse, enfants, qf_cnaf",
        "qf_cnaf: opened by matrix.polar:15 (brochure 2012, row 11), with convention in force, engagement signed,"
        " identity proved, any dossier",
    ),
    "a rubric too few is told with the row that does not name the profile": (
        'profile = "T2"\nopens = ["enfants", "adresse", "qf_cnaf", "qf_caf"]',
        "adresse, enfants, qf_caf, qf_cnaf",
        "adresse, enfants, qf_cnaf",
        "qf_caf: matrix.polar:16 does not name T2",
    ),
    "a shut convention is told with its line and its outward code": (
        'profile = "T2"\nconvention = "expired"\nopens = ["adresse"]',
        "adresse",
        "refused at the gate convention (GW313)",
        "the gate convention is shut: conditions.polar:5 (convention)",
    ),
    "a missing mandate is told with the line of the profile": (
        'profile = "T9"\nrefused = "refusal"\ncode = "GW320"',
        "refused at the gate refusal (GW320)",
        "refused at the gate dossier (GW320)",
        "the gate dossier is shut: conditions.polar:25 lets T9 in by judgment or masp only",
    ),
    "an objection is told with its line": (
        'profile = "T1"\nobjection = "raised"\nrefused = "dossier"',
        "refused at the gate dossier",
        "refused at the gate refusal (GW320)",
        "the gate refusal is shut: refusals.polar:4 (refusal)",
    ),
    "a message is told to open nothing": (
        'profile = "T1"\naction = "message"\ncode = "GW311"',
        "refused (GW311)",
        "refused at the gate rubric (GW301)",
        "gates.polar:18 (opens) opens nothing for the action message",
    ),
    "an absent profile is told to be absent": (
        'profile = "T2"\nrefused = "profile"',
        "refused at the gate profile",
        "adresse, enfants, qf_cnaf",
        "adresse: opened by matrix.polar:21 (brochure 2012, row 17), with convention in force, engagement signed,"
        " identity proved, any dossier",
    ),
}


@pytest.mark.parametrize(("text", "wanted", "got", "decided"), WRONG.values(), ids=list(WRONG))
def test_a_case_that_is_not_kept_says_what_was_wanted_what_came_and_what_decided(
    suite, judge, text, wanted, got, decided
):
    (case,) = suite(f'[[case]]\nname = "x"\n{text}').cases
    verdict = judge.case(case)
    assert (verdict.tried, verdict.failed) == (1, 1)
    (failure,) = verdict.failures
    assert (failure.wanted, failure.got) == (wanted, got)
    assert failure.decided[0] == decided
    assert failure.situation.startswith(f"{case.facts[0].profile}, partner external, convention ")


def test_a_profile_that_no_policy_names_is_told_so(suite, judge, everything_in_order):
    assert judge.shut_by("profile", replace(everything_in_order, profile="T7")) == "profiles.polar has no line for T7"


def test_only_the_first_failures_of_a_case_are_told_and_all_are_counted(suite, judge):
    (case,) = suite("""
        [[case]]
        name = "x"
        profile = "every"
        opens = ["creances"]
    """).cases
    verdict = judge.case(case)
    assert (verdict.tried, verdict.failed, len(verdict.failures)) == (14, 14, 3)


@pytest.mark.parametrize(
    ("text", "cell", "got", "decided"),
    [
        (
            'profile = "T2"\nnever = ["enfants", "courrier"]',
            "enfants closed",
            "enfants open in 144 situations, as in this one",
            "enfants: opened by matrix.polar:8",
        ),
        (
            'profile = "T2"\nconvention = "in_force"\nalways = ["enfants"]',
            "enfants open",
            "enfants closed in ",
            "gates.polar:18 (opens) opens nothing for the action message",
        ),
        (
            'profile = "T2"\nconvention = "in_force"\nengagement = "signed"\nobjection = "none"\naction = "consult"\n'
            'always = ["rsa"]',
            "rsa open",
            "rsa closed in 96 situations, as in this one",
            "rsa: matrix.polar:12 does not name T2",
        ),
    ],
)
def test_a_promise_that_is_broken_says_where_in_a_situation_as_ordinary_as_can_be(
    policy, suite, judge, text, cell, got, decided
):
    (promise,) = suite(f'[[promise]]\nname = "x"\n{text}').promises
    opened = openings(policy, Decisions(policy), ["T2"])
    verdict = judge.promise(promise, opened)
    assert verdict.failed == 1
    (failure,) = verdict.failures
    assert failure.wanted == cell
    assert failure.got.startswith(got)
    assert failure.decided[0].startswith(decided)
    assert failure.situation.startswith("T2, partner external, convention in_force")


def test_a_promise_is_broken_by_a_single_situation(suite):
    (promise,) = suite('[[promise]]\nname = "x"\nprofile = "T2"\nnever = "every"').promises
    assert list(promise.broken(Openings({("T2", "rsa"): 1, ("T3", "rsa"): 1}))) == [("T2", "rsa", 1)]


def test_a_promise_is_broken_in_the_cells_that_it_is_about_only(suite):
    (promise,) = suite('[[promise]]\nname = "x"\nprofile = "T2"\nnever = ["rsa"]').promises
    cells = {
        (profile, slug): promise.broken_in(profile, slug, 0b101)
        for profile in ("T1", "T2")
        for slug in ("rsa", "famille")
    }
    assert {cell: bits for cell, bits in cells.items() if bits} == {("T2", "rsa"): 0b101}


def test_a_row_that_names_a_profile_and_yet_opens_nothing_to_it_is_told_with_the_gates(suite, changed):
    texts = changed(
        "gates.polar", "  profile in profiles and\n", "  profile in profiles and\n  limited(agent, slug) and\n"
    )
    texts["schema.polar"] += "type limited(agent: Agent, slug: String);\n"
    texts["conditions.polar"] += 'limited(_agent: Agent, slug: String) if slug in ["adresse"];\n'
    limited = load(texts)
    (case,) = suite('[[case]]\nname = "x"\nprofile = "T2"\nopens = ["adresse", "enfants"]').cases
    (failure,) = Judge(limited, limited.evaluate, code, anatomy(texts)).case(case).failures
    assert failure.decided == ("enfants: matrix.polar:8 names T2, but gates.polar does not open it here",)


def test_a_policy_that_opens_one_cell_more_fails_a_shipped_table_and_a_shipped_promise(tests, texts, changed):
    opened = load(changed("matrix.polar", '["T1", "T9", "T11", "T13"], ', '["T1", "T9", "T10", "T11", "T13"],'))
    judge = Judge(opened, opened.evaluate, code, anatomy(texts))
    failed = [verdict.test.name for verdict in map(judge.case, tests.suite.cases) if verdict.failed]
    assert any(name.startswith("T10, landlords") for name in failed)
    landlords = openings(opened, None, ["T10"])
    broken = [promise.name for promise in tests.suite.promises if any(True for _ in promise.broken(landlords))]
    assert "landlords never see the debts, the family, the letters" in broken


SHUT = {
    "profile": ("T7", "profiles.polar has no line for T7"),
    "rubric": ("T7", "no row of matrix.polar names T7"),
    "rubric, for another action": ("T2", "gates.polar:18 (opens) opens nothing for the action consult"),
    "convention": ("T2", "the gate convention is shut: conditions.polar:5 (convention)"),
    "dossier": ("T9", "the gate dossier is shut: conditions.polar:25 lets T9 in by judgment or masp only"),
    "dossier, of a profile without a line": (
        "T7",
        "the gate dossier is shut: conditions.polar:34, conditions.polar:37 (entrusted)",
    ),
    "refusal": ("T2", "the gate refusal is shut: refusals.polar:4 (refusal)"),
    "a gate without a rule": ("T2", "the gate a gate without a rule is shut: a gate without a rule"),
}


@pytest.mark.parametrize(("gate", "profile", "said"), [(gate.split(",")[0], *told) for gate, told in SHUT.items()])
def test_each_gate_that_is_shut_is_told_with_its_lines(judge, everything_in_order, gate, profile, said):
    assert judge.shut_by(gate, replace(everything_in_order, profile=profile)) == said


def test_a_verdict_says_of_which_test_and_how_much_was_looked_at(policy, judge, suite):
    (promise,) = suite(
        '[[promise]]\nname = "x"\nprofile = ["T2", "T3"]\nnever = ["rsa", "famille", "courrier"]'
    ).promises
    verdict = judge.promise(promise, openings(policy, None, ["T2", "T3"]))
    assert (verdict.test, verdict.tried) == (promise, 6)


def test_no_rubric_and_no_mandate_are_said_so(everything_in_order):
    assert listed(frozenset()) == "nothing"
    said = {held: spoken(replace(everything_in_order, mandates=frozenset(held))) for held in ((), ("masp", "judgment"))}
    assert {held: line.split("mandates ")[1].split(", objection")[0] for held, line in said.items()} == {
        (): "none",
        ("masp", "judgment"): "judgment, masp",
    }


# -------------------------------------------------------------------- the folder


@pytest.fixture
def folder(tmp_path) -> Path:
    copy = tmp_path / "policies"
    shutil.copytree(shipped(), copy)
    return copy


def told(folder, policy):
    return [str(problem) for problem in read_tests(folder, policy).problems]


def test_a_folder_without_tests_is_told_so(folder, policy):
    shutil.rmtree(folder / "tests")
    assert told(folder, policy) == [
        "tests:1: there is no such folder: what nobody wants of the policies cannot be tested."
    ]
    (folder / "tests").mkdir()
    (folder / "tests" / "README.md").write_text("nothing yet")
    assert told(folder, policy) == ["tests:1: the folder holds no tests: they are files that end in .toml."]


def test_polars_own_questions_are_never_run(folder, policy):
    (folder / "tests" / "90.polar").write_text('?= allow("anyone");')
    (sentence,) = told(folder, policy)
    assert sentence.startswith("tests/90.polar:1: Polar's questions (`?=`) are never run: oso would execute them.")


def test_what_cannot_be_read_is_told_beside_everything_else(folder, policy):
    (folder / "tests" / "deeper").mkdir()
    (folder / "tests" / "latin.toml").write_bytes(b'[[case]]\nname = "\xe9"\n')
    (folder / "tests" / "wrong.toml").write_text('[[case]]\nname = "x"\nprofile = "T33"\nopens = ["adresse"]\n')
    sentences = told(folder, policy)
    assert [sentence.split(":")[0] for sentence in sentences] == [
        "tests/deeper",
        "tests/latin.toml",
        "tests/wrong.toml",
    ]
    assert "line 2 is not UTF-8" in sentences[1]
    assert sentences[2].startswith("tests/wrong.toml:3: unknown profile `T33`. Did you mean `T3`?")


# -------------------------------------------------------------------- a trial

BOTH_KINDS = """
[[case]]
name = "T2's column"
profile = "T2"
opens = ["enfants", "qf_cnaf", "adresse"]

[[promise]]
name = "T4 never sees the debts"
profile = "T4"
never = ["creances"]
"""


@pytest.mark.parametrize("covered", [False, True])
@pytest.mark.parametrize("mutated", [False, True])
def test_a_trial_says_what_was_asked_of_it(monkeypatch, policy, texts, suite, covered, mutated):
    judged = Survival(cells=1, conditions=2, without_effect=0, unusable=0, survivors=())
    monkeypatch.setattr("gateway.policy.trial.survival", lambda *_: judged)
    found = trial(policy, texts, suite(BOTH_KINDS), code, covered=covered, mutated=mutated)
    assert [verdict.test.name for verdict in found.verdicts] == ["T2's column", "T4 never sees the debts"]
    assert found.failed == []
    assert (found.coverage is not None, found.survival) == (covered, judged if mutated else None)


def test_of_a_policy_that_does_not_keep_its_tests_nobody_can_say_what_they_would_notice(policy, texts, suite):
    wrong = suite(BOTH_KINDS.replace("creances", "adresse") + '[[case]]\nname = "a"\nprofile = "T9"\nopens = ["rsa"]\n')
    found = trial(policy, texts, wrong, code, covered=True, mutated=True)
    assert [verdict.test.name for verdict in found.failed] == ["a", "T4 never sees the debts"]
    assert found.failed[0].failures[0].decided[0].startswith("the gate dossier is shut: conditions.polar:25")
    assert found.coverage is not None
    assert found.survival is None
