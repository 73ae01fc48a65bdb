"""Promises of the rooms that decide which no other test would miss: found by mutation (`tests/mutation`)."""

import hashlib
import threading
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from gateway.errors import Misconfigured
from gateway.policy import engine
from gateway.policy.anatomy import anatomy
from gateway.policy.canaries import MOST, defects
from gateway.policy.conditions import always_holds, held
from gateway.policy.engine import Policy
from gateway.policy.enumeration import enumerated
from gateway.policy.given_facts import typed_facts
from gateway.policy.grammar import DEEPEST_NESTING, LARGEST_FILE, LONGEST_STATEMENT, MOST_PROBLEMS, read, read_on
from gateway.policy.grid import Grid
from gateway.policy.layout import known
from gateway.policy.lint import FILES, Folder, Row, read_folder
from gateway.policy.loading import fingerprint, load
from gateway.policy.sandbox import PolarAgent, PolicyDefect, StrictOso, StrictQuery

P, M, C, R, G, S = FILES

T2 = 'profile("T2",'
IN_FORCE = 'agent.convention = "in_force"'
ASSURANCE = 'assurance(agent: Agent, _action: String, "identity proved") if\n'
NEVER = "\nallow(_, _, _) if never(_, _);\nnever(x, x) if x = 1 and x = 2;\n"


def told(texts):
    folder, problems = read_folder(texts)
    assert (folder is None) is bool(problems)
    return [str(problem) for problem in problems]


# ------------------------------------------------------------------ what is refused, and what is not


def test_a_profile_whose_line_cannot_be_read_is_not_called_unknown_elsewhere(changed):
    texts = {**changed(P, T2, "profile(T2,"), C: changed(C, IN_FORCE, f'{IN_FORCE} and agent.profile = "T2"')[C]}
    assert [problem.split(": ")[0] for problem in told(texts)] == ["profiles.polar:5"]


def test_a_table_that_cannot_be_read_is_not_called_missing(texts):
    assert [problem.split(": ")[0] for problem in told({**texts, M: "rubric("})] == ["matrix.polar:1"]


def test_what_another_file_lacks_is_told_beside_conditions_that_cannot_be_read(texts):
    assert "refusals.polar:1: the rule `refusal` is missing." in told({**texts, C: "convention(", R: ""})


def test_a_file_that_is_missing_is_one_problem(texts):
    without = {name: text for name, text in texts.items() if name != R}
    assert told(without) == ["refusals.polar:1: the file is missing. Without it nothing can be decided."]


def test_a_superfluous_file_comes_before_what_the_others_say(changed):
    files = [problem.split(":")[0] for problem in told({**changed(P, T2, "profile(T2,"), "extra.polar": ""})]
    assert files == ["extra.polar", P]


REFUSED = {
    "a list where a text or a variable stands": (
        (C, 'convention(agent: Agent, "convention in force")', 'convention(agent: Agent, ["convention in force"])'),
        "conditions.polar:5: place 2 of `convention` must be a text or a variable.",
    ),
    "a misspelt variable": (
        (G, "labels = [own, reason];", "labels = [own, reasn];"),
        "gates.polar:15: `reasn` stands only once: is it misspelt? Unused, write `_reasn`. Did you mean `reason`?",
    ),
    "a word that the head's variable never is": (
        (C, ASSURANCE, f'{ASSURANCE.replace("_action", "action")}  action = "consutl" and\n'),
        "conditions.polar:12: `consutl` is never a value of `action`. Did you mean `consult`?",
    ),
    "a word in a list that the head's variable never is": (
        (C, ASSURANCE, f'{ASSURANCE.replace("_action", "action")}  action in ["consult", "mesage"] and\n'),
        "conditions.polar:12: `mesage` is never a value of `action`. Did you mean `message`?",
    ),
    "a second denial": (
        (G, "  not refusal(agent, dossier, _) and\n", "  not refusal(agent, dossier, _) and\n" * 2),
        "gates.polar:15: `not refusal(…)` must stand exactly once in the folder, here 2 times.",
    ),
    "a fact of one word in the schema": (
        (S, "type refusal(", 'droits("rsa");\ntype refusal('),
        "schema.polar:16: `droits` does not belong here: only shapes (`type …`).",
    ),
    "rubrics under a condition": (
        (S, "type refusal(", 'rubric_slugs(x) if x = ["rsa"];\ntype refusal('),
        "schema.polar:16: `rubric_slugs` does not belong here: only shapes (`type …`).",
    ),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=list(REFUSED))
def test_it_is_refused_in_these_words(changed, change, said):
    assert any(problem.startswith(said) for problem in told(changed(*change)))


def test_a_variable_and_a_word_that_are_written_alike_are_two_things(changed):
    assert told(changed(C, IN_FORCE, 'agent.convention = in_force and in_force = "in_force"')) == []


PLACED = {
    "a misspelt variable": (G, "labels = [own, reason];", "labels = [own, @reasn];"),
    "a rubric that does not exist": (M, 'rubric("enfants",', 'rubric(@"enfant",'),
    "a rubric with two rows": (M, 'rubric("qf_caf",', 'rubric(@"qf_cnaf",'),
    "a row without a label": (M, '"Enfants"', '@""'),
    "a row without a source": (M, '"brochure 2012, row 4"', '@""'),
}


@pytest.mark.parametrize(("file", "old", "new"), PLACED.values(), ids=list(PLACED))
def test_a_mistake_is_told_at_its_column(changed, file, old, new):
    marked = changed(file, old, new)[file]
    line, column = next((at, text.index("@")) for at, text in enumerate(marked.split("\n"), start=1) if "@" in text)
    _, problems = read_folder(changed(file, old, new.replace("@", "")))
    assert (file, line, column + 1) in [(problem.file, problem.line, problem.column) for problem in problems]


def test_a_file_too_many_or_too_few_is_told_at_its_first_letter(texts):
    _, problems = read_folder({**{name: text for name, text in texts.items() if name != R}, "extra.polar": ""})
    places = [(problem.file, problem.line, problem.column) for problem in problems]
    assert places == [("extra.polar", 1, 1), (R, 1, 1)]


def test_what_nobody_needs_may_be_left_out_as_often_as_one_likes(changed):
    entrusted = 'dossiers(agent.profile, kinds, _) and "any" in kinds'
    assert told(changed(C, entrusted, f"{entrusted} and profile(agent.profile, _)")) == []


def test_a_folder_keeps_the_labels_of_its_profiles_and_all_that_its_files_say(texts):
    folder, _ = read_folder(texts)
    assert folder.profiles["T10"] == "Bailleurs sociaux bénéficiaires de tiers payants"
    assert folder.statements == {file: read(file, texts[file]) for file in FILES}


def test_of_the_words_there_are_forty_are_listed():
    words = [f"w{number}" for number in range(41)]
    assert known(words[:2]) == " Known: w0, w1."
    assert known(words[:40]).endswith(", w38, w39.")
    assert known(words).endswith(", w38, w39, …")


# ------------------------------------------------------------------ the grammar


def test_every_goal_is_read_in_brackets_and_beside_them_after_and_and_after_or():
    (statement,) = read(G, "x(a) if y(a) and (z(a) or (w(a) and v(a))) or u(a);")
    assert [goal.name for goal in statement.goals] == ["y", "z", "w", "v", "u"]


@pytest.mark.parametrize("text", ['x(a) if  a in  ["b"];', 'x(a) if  a =  ["b"];'])
def test_a_comparison_and_a_list_know_their_columns(text):
    (statement,) = read(G, text)
    assert (statement.goals[0].column, statement.goals[0].right.column) == (10, text.index("[") + 1)


def test_a_tabulator_may_stand_in_a_string_and_in_a_comment():
    (statement,) = read(M, '#\t\nx("a\tb");')
    assert statement.parameters[0].term.value == "a\tb"


SAID = {
    "x(a) if y(a) an z(a);": "expected `;`, found `an`. Did you mean `and`?",
    "x(a) if y(a) orr z(a);": "expected `;`, found `orr`. Did you mean `or`?",
    "x(a) f y(a);": "expected `;`, found `f`. Did you mean `if`?",
    'x("a")\ny("b");': "expected `;`, found `y`. Is the `;` missing at the end of line 1?",
    'x("a"\n)\ny("b");': "expected `;`, found `y`. Is the `;` missing at the end of line 2?",
    'x("a") y("b");': "expected `;`, found `y`.",
    'x("a")\n"b";': 'expected `;`, found `"b"`.',
    'x("a")\nnot y("b");': "expected `;`, found `not`.",
    "x;": "expected `(`, found `;`.",
    'x(a: "b");': 'expected a type such as String after `:`, found `"b"`.',
    "x(a) if (y(a);": "expected `)`, found `;`.",
    "x(a) if a iin b;": "expected `=` or `in`, found `iin`. Did you mean `in`?",
    'x(a) if not "b"(a);': "`not` may only stand before a rule: `refusal(…)`.",
    'x(a) if not y = "b";': "`not` may only stand before a rule: `refusal(…)`.",
    "#\u202e": "the invisible character U+202E is refused, even inside a string or a comment.",
    "\x07": "the character U+0007 may stand only between double quotes or after #.",
}


@pytest.mark.parametrize(("text", "said"), SAID.items(), ids=repr)
def test_what_was_expected_is_told_and_what_was_perhaps_meant(text, said):
    _, problems = read_on(G, text)
    assert [problem.said for problem in problems] == [said]


def test_a_fault_in_a_comment_loses_nothing_of_the_rule_around_it():
    statements, problems = read_on(G, 'x("a", # \u202e\n"b");')
    assert [statement.name for statement in statements] == ["x"]
    assert [(problem.line, problem.column) for problem in problems] == [(1, 10)]


def test_each_rule_may_nest_as_deep_as_the_one_before():
    deep = DEEPEST_NESTING - 1
    rule = "x(a) if " + "(" * deep + "y(a)" + ")" * deep + ";\n"
    assert [len(part) for part in read_on(G, rule * 3)] == [3, 0]


def test_what_is_too_long_is_told_where_it_begins():
    _, problems = read_on(G, "  x\n([" + '"a",' * LONGEST_STATEMENT + "]);")
    assert [(problem.line, problem.column) for problem in problems] == [(1, 3)]
    _, problems = read_on(G, "#" * (LARGEST_FILE + 1))
    assert [(problem.line, problem.column) for problem in problems] == [(1, 1)]


def test_a_file_has_no_more_problems_than_anyone_reads():
    assert len(read_on(G, ";" * (MOST_PROBLEMS + 50))[1]) == MOST_PROBLEMS


# ------------------------------------------------------------------ the name of the texts


def test_the_fingerprint_is_of_each_name_and_text_behind_its_length():
    told_apart = b"".join(len(part).to_bytes(8, "big") + part for part in (b"a", "é".encode(), b"b", b""))
    assert fingerprint({"b": "", "a": "é"}) == hashlib.sha256(told_apart).hexdigest()


def test_a_policy_that_is_given_no_name_has_that_of_its_texts(texts):
    assert load(texts).fingerprint == fingerprint(texts)
    assert load(texts, "named").fingerprint == "named"


def test_texts_that_are_not_unicode_have_names_of_their_own():
    names = [{"a": "\ud800"}, {"a": "\ud801"}, {"\ud800": "a"}, {"\ud801": "a"}]
    assert len({fingerprint(texts) for texts in names}) == len(names)


# ------------------------------------------------------------------ the decision


def policy_of(texts, name):
    return Policy(read_folder(texts)[0], StrictOso({file: texts[file] for file in FILES}), name)


def test_what_is_remembered_is_answered_while_something_else_is_decided(texts):
    policy = policy_of(texts, "remembered")
    facts = replace(MOST, profile="T9")
    decided = policy.decide(facts)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(policy.decide(replace(facts))), daemon=True)
    with engine._deciding:
        asking.start()
        asking.join(20)
        assert answers == [decided], "it waits for whoever decides"


def test_each_decision_that_was_made_is_counted_once(texts):
    policy = policy_of(texts, "counted")
    counts = [policy.evaluated]
    for profile in ("T1", "T1", "T2", "T7", "T7"):
        policy.decide(replace(MOST, profile=profile))
        counts.append(policy.evaluated)
    assert counts == [0, 1, 1, 2, 3, 3]


OPENED = {
    '"iban", "all"': "the policy opened something that is not a rubric",
    '1, "all"': "the policy opened something that is not a rubric",
    '"rsa", 1': "a rule gave a reason that is not a text",
    '"rsa", ["all", [1]]': "a rule gave a reason that is not a text",
}


@pytest.mark.parametrize(("opened", "said"), OPENED.items())
def test_what_a_policy_opens_is_a_rubric_for_reasons_that_are_texts(opened, said):
    defective = StrictOso({"a.polar": f'opens(_: Agent, "consult", _: Dossier, {opened});{NEVER}'})
    folder = Folder({"T9": "x"}, (Row("rsa", "Rsa", ("T9",), "x", 1),), {})
    with pytest.raises(PolicyDefect, match=f"^{said}$"):
        Policy(folder, defective, f"opens {opened}").evaluate(replace(MOST, profile="T9"))


def test_a_stranger_who_opens_by_allow_field_alone_is_found(texts):
    stranger = '\nallow_field(agent: Agent, "consult", _: Dossier, "rsa") if agent.profile = "T0";'
    loaded = StrictOso({**{file: texts[file] for file in FILES}, G: texts[G] + stranger})
    found = defects(Policy(read_folder(texts)[0], loaded, "a stranger"))
    assert found == ['the profile "T0" does not exist and yet it opens something.']


# ------------------------------------------------------------------ what conditions ask for


def test_a_fact_has_one_word_and_mandates_any_number():
    facts = replace(MOST, mandates=frozenset({"masp", "judgment"}))
    assert (held(facts, "convention"), held(facts, "mandates")) == ({"in_force"}, {"masp", "judgment"})


@pytest.mark.parametrize(("named", "holds"), [(["T1", "T2"], True), (["T1"], False)])
def test_a_rule_that_names_every_profile_asks_for_nothing(texts, named, holds):
    listed = ", ".join(f'"{each}"' for each in named)
    asks = f'anyone(agent: Agent, "x") if agent.profile in [{listed}];'
    (rule,) = anatomy({**texts, C: asks}).named("anyone")
    assert always_holds(rule, ("agent", "label"), ("T1", "T2")) is holds


def test_only_mandates_are_several():
    with pytest.raises(Misconfigured, match=r"`in_force\+expired` is never a value of `convention`"):
        typed_facts("T1", "convention=in_force+expired")


def test_a_cell_that_is_never_open_has_no_mark(policy):
    assert Grid(enumerated(policy)).mark("T2", "creances") == ""


# ------------------------------------------------------------------ the ways out of the engine


SHUT = {
    "handle_make_external": "make an object",
    "handle_external_isa_with_path": "ask the type of a fact",
    "handle_external_op": "compare objects",
    "handle_next_external": "iterate over an object",
    "handle_debug": "stop in the debugger",
}


@pytest.mark.parametrize(("way", "said"), SHUT.items())
def test_each_way_out_says_what_was_tried(way, said):
    with pytest.raises(PolicyDefect, match=f"^the policy tried to {said}$"):
        getattr(StrictQuery, way)(None, {})


def test_a_relation_says_what_was_tried():
    with pytest.raises(PolicyDefect, match=r"^the policy tried to follow a relation$"):
        StrictQuery.handle_relation(None, None, None)


READ = {
    "a declared fact, called": ({"args": []}, "call a method"),
    "a declared fact, called with a name": ({"args": None, "kwargs": {"x": 1}}, "call a method"),
    "a method": ({"attribute": "__init__"}, "read something that is not a declared fact"),
    "what is ours": ({"attribute": "seen"}, "read something that is not a declared fact"),
    "a number": ({"attribute": "convention"}, "read a fact of a wrong type"),
}


@pytest.mark.parametrize(("asked", "said"), READ.values(), ids=list(READ))
def test_nothing_but_a_declared_fact_is_read_and_nothing_is_called(asked, said):
    agent = PolarAgent("T9", "external", 1, "signed", "password", [])
    query = SimpleNamespace(host=SimpleNamespace(to_python=lambda _: agent))
    with pytest.raises(PolicyDefect, match=f"^the policy tried to {said}$"):
        StrictQuery.handle_external_call(query, {"instance": {}, "attribute": "profile", "args": None, **asked})
    assert agent.seen == []


LOADED = {
    'grants("a");': "print something, or oso warned about it",
    f'?= grants("a"); grants("a");{NEVER}': r"ask a question \(`\?=`\) while it is loaded",
}


@pytest.mark.parametrize(("text", "said"), LOADED.items())
def test_a_text_that_does_not_load_says_what_it_tried(text, said):
    with pytest.raises(PolicyDefect, match=f"^the policy tried to {said}$"):
        StrictOso({"a.polar": text})


def test_a_question_in_text_says_so():
    with pytest.raises(PolicyDefect, match=r"^the policy tried to be asked in text$"):
        list(StrictOso({"a.polar": f'grants("a");{NEVER}'}).query("grants(x)"))
