# ruff: noqa: E501 -- one mistake, one line: tables are read across
"""Every mistake in a file of tests is refused, with its line and a sentence: one that nobody notices proves nothing."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.case_blocks import LONGEST_LINE, shown
from gateway.policy.case_reading import LONGEST_NAME, MOST_SITUATIONS, Vocabulary, read_cases
from gateway.policy_files.folder import shipped

CASE = '[[case]]\nname = "a"\nprofile = "T1"\n'
PROMISE = '[[promise]]\nname = "a"\n'
OPENS = 'opens = ["adresse"]\n'

# A sentence for each mistake: the text, then where it is (line, column) and how what is said begins.
# fmt: off
MISTAKES = {
    # ------------------------------------------------------------------ words
    "a misspelt rubric": (CASE + 'opens = ["adresse", "creance"]', (4, 21), "unknown rubric `creance`. Did you mean `creances`? Rubrics are listed in schema.polar."),
    "a misspelt rubric in a promise": (PROMISE + 'never = ["creance"]', (3, 10), "unknown rubric `creance`. Did you mean `creances`?"),
    "a misspelt rubric on a line of its own": (CASE + 'opens = [\n  "adresse",\n  "resource",\n]', (6, 3), "unknown rubric `resource`. Did you mean `ressources`?"),
    "a rubric with its label's accent": (CASE + 'opens = ["créances"]', (4, 10), "unknown rubric `créances`. Did you mean `creances`?"),
    "an invisible character in a rubric": (CASE + 'opens = ["\u200badresse"]', (4, 10), "unknown rubric `\\u200badresse`. Did you mean `adresse`?"),
    "a misspelt profile": ('[[case]]\nname = "a"\nprofile = "T111"\n' + OPENS, (3, 11), "unknown profile `T111`. Did you mean `T11`? Profiles are listed in profiles.polar"),
    "a profile in lower case": ('[[case]]\nname = "a"\nprofile = "t1"\n' + OPENS, (3, 11), "unknown profile `t1`."),
    "a profile that the brochure lacks, in a promise": (PROMISE + 'profile = "T7"\nnever = "every"', (3, 11), "unknown profile `T7`. Profiles are listed in profiles.polar; of one that does not exist, a case may say: refused"),
    "a misspelt state": (CASE + 'convention = "in force"\n' + OPENS, (4, 14), "`in force` is never a value of `convention`. Did you mean `in_force`? Known: in_force, suspended, expired, none."),
    "a misspelt mandate": (CASE + 'mandates = ["judgement"]\n' + OPENS, (4, 13), "`judgement` is never a value of `mandates`. Did you mean `judgment`?"),
    "any as a mandate": (CASE + 'mandates = ["any"]\n' + OPENS, (4, 13), "`any` is never a value of `mandates`."),
    "a misspelt word among good ones": (CASE + 'assurance = ["password", "secondfactor"]\n' + OPENS, (4, 26), "`secondfactor` is never a value of `assurance`. Did you mean `second_factor`?"),
    "a misspelt gate": (CASE + 'refused = "conventon"', (4, 11), "`conventon` is never a value of `refused`. Did you mean `convention`?"),
    "a fault is no gate that a test may want": (CASE + 'refused = "fault"', (4, 11), "`fault` is never a value of `refused`."),
    "an unknown code": (CASE + 'code = "GW399"', (4, 8), "`GW399` is never a value of `code`."),
    "the code that stays in the record": (CASE + 'code = "GW321"', (4, 1), "`GW321` stays in the record; what goes out is `GW320`: write that."),
    "a word twice": (CASE + 'opens = ["adresse", "adresse"]', (4, 10), "`adresse` stands twice in `opens`."),
    "a number for a word": (CASE + "opens = [1]", (4, 1), "`opens` takes words between double quotes"),
    "yes for a word": (CASE + "objection = true\n" + OPENS, (4, 1), '`objection` takes words between double quotes, as in objection = "…".'),
    "yes beside an empty word": (CASE + 'convention = [true, ""]\n' + OPENS, (4, 1), "`convention` takes words between double quotes"),
    "a table for a word": (CASE + 'convention = {is = "none"}\n' + OPENS, (4, 1), "`convention` takes words between double quotes"),
    "an empty list of words": (CASE + "convention = []\n" + OPENS, (4, 1), "`convention` is an empty list: name at least one word, or leave the key out."),
    "a mandate without its list": (CASE + 'mandates = "judgment"\n' + OPENS, (4, 1), 'mandates is a list, also of one: mandates = ["judgment"]. Without any: mandates = [].'),
    "a misspelt word in a promise": (PROMISE + 'convention = "no"\nnever = "every"', (3, 14), "`no` is never a value of `convention`."),
    "a misspelt word that a promise leaves out": (PROMISE + 'convention_other_than = "no"\nnever = "every"', (3, 25), "`no` is never a value of `convention_other_than`."),
    "a misspelt profile that a promise leaves out": (PROMISE + 'profile_other_than = "T111"\nnever = "every"', (3, 22), "unknown profile `T111`. Did you mean `T11`?"),
    "a misspelt mandate in a promise": (PROMISE + 'mandates_any_of = ["masq"]\nnever = "every"', (3, 20), "`masq` is never a value of `mandates_any_of`. Did you mean `masp`?"),
    "a misspelt mandate that a promise leaves out": (PROMISE + 'mandates_none_of = ["masq"]\nnever = "every"', (3, 21), "`masq` is never a value of `mandates_none_of`. Did you mean `masp`?"),
    "a promise about none of the profiles": (PROMISE + 'profile_other_than = "every"\nnever = "every"', (3, 1), "this leaves no profile: the promise would say nothing."),
    "a list for the code": (CASE + 'code = ["GW320"]', (4, 1), "`code` takes words between double quotes, one of them"),
    "a list for the gate": (CASE + 'refused = ["dossier"]', (4, 1), "`refused` takes words between double quotes, one of them"),
    # ------------------------------------------------------------------ keys
    "a misspelt key": (CASE + 'covention = "none"\n' + OPENS, (4, 1), "a case has no `covention`. Did you mean `convention`?"),
    "a key of promises in a case": (CASE + 'never = ["adresse"]', (4, 1), "a case has no `never`. Known:"),
    "a key of cases in a promise": (PROMISE + 'mandates = ["masp"]\nnever = "every"', (3, 1), "a promise has no `mandates`. Did you mean `mandates_any_of`?"),
    "a profile among the defaults": ('[defaults]\nprofile = "T1"\n' + CASE + OPENS, (2, 1), "[defaults] has no `profile`."),
    "a misspelt word among the defaults": ('[defaults]\nconvention = "no"\n' + CASE + OPENS, (2, 14), "`no` is never a value of `convention`. Did you mean `none`?"),
    "a key outside any test": ('name = "a"\n' + CASE + OPENS, (1, 1), "`name` is not understood here. Every key stands under [[case]], [[promise]] or [defaults]."),
    "a key of two words outside any test": ('# Tests\n"my name" = "a"\n' + CASE + OPENS, (1, 1), "`my name` is not understood here."),
    "a misspelt word below a misspelt heading": ('[[cases]]\nname = "a"\n' + CASE + 'opens = ["creance"]', (6, 10), "unknown rubric `creance`."),
    "a misspelt heading": ('[[cases]]\nname = "a"', (1, 1), "`cases` is not understood here. Did you mean `case`? Known: [[case]], [[promise]]."),
    "a heading with one bracket": ('[case]\nname = "a"', (1, 1), "write [[case]], with two brackets on each side."),
    "defaults with two brackets": ('[[defaults]]\nconvention = "none"\n', (1, 1), "write [defaults], with one bracket on each side."),
    "a word that is written otherwise, and under the next key too": (CASE + 'convention = "n\\u006fe"\nobjection = "noe"\n' + OPENS, (4, 1), "`noe` is never a value of `convention`."),
    "the same where the next key begins with a capital": (CASE + 'convention = "n\\u006fe"\nObjection = "noe"\n' + OPENS, (4, 1), "`noe` is never a value of `convention`."),
    "cases written as a list": ('case = [{name = "a", profile = "T1", opens = ["adresse"]}]', (1, 1), "each case has its own heading: write [[case]] on a line of its own."),
    "a key twice": (CASE + 'profile = "T2"\n' + OPENS, (4, 15), "this key or table stands twice here: remove one of the two."),
    # ------------------------------------------------------------------ what a test must say
    "no name": ('[[case]]\nprofile = "T1"\n' + OPENS, (1, 1), 'say in a sentence what it is about: name = "…"'),
    "a name that is empty": ('[[case]]\nname = " "\nprofile = "T1"\n' + OPENS, (2, 1), "say in a sentence what it is about"),
    "a name over two lines": ('[[case]]\nname = "a\\nb"\nprofile = "T1"\n' + OPENS, (2, 1), "say in a sentence what it is about"),
    "a name twice": (CASE + OPENS + CASE + OPENS, (6, 1), "this name already stands on line 2: give another one."),
    "nobody who asks": ('[[case]]\nname = "a"\n' + OPENS, (1, 1), 'a case says who asks: profile = "T1", or profile = "every".'),
    "no outcome": (CASE, (1, 1), "a case says either what it opens"),
    "two outcomes": (CASE + OPENS + 'refused = "dossier"', (4, 1), "a case says either what it opens"),
    "an outcome and a code": (CASE + OPENS + 'code = "GW320"', (4, 1), "a case says either what it opens"),
    "nothing is opened, and no gate": (CASE + "opens = []", (4, 1), 'a case that opens nothing says which gate stays shut: refused = "…". Known: profile, convention'),
    "a promise that promises nothing": (PROMISE, (1, 1), "a promise says what is never open"),
    "a promise that promises both": (PROMISE + 'never = ["rsa"]\nalways = ["adresse"]', (3, 1), "a promise says what is never open"),
    "both a word and all others": (PROMISE + 'convention = "none"\nconvention_other_than = "none"\nnever = "every"', (4, 1), "give either `convention` or `convention_other_than`."),
    "a promise about nobody": (PROMISE + 'objection_other_than = ["none", "raised"]\nnever = "every"', (3, 1), "this leaves no objection: the promise would say nothing."),
    "a promise about no situation": (PROMISE + 'mandates_any_of = ["masp"]\nmandates_none_of = ["masp"]\nnever = "every"', (1, 1), "no situation is like that: the promise would say nothing."),
    "a case that is a promise": ('[[case]]\nname = "a"\nprofile = "every"\npartner_kind = ["caf", "external"]\nconvention = ["in_force", "suspended", "expired", "none"]\nengagement = ["signed", "outdated", "missing"]\nassurance = ["password", "second_factor", "federated"]\nmandates = [[], ["masp"], ["judgment"], ["instruction"], ["direct_payment"], ["masp", "judgment"]]\n' + OPENS, (1, 1), "this is more than 5000 situations: write a [[promise]] instead."),
    # ------------------------------------------------------------------ files
    "an empty file": ("# nothing yet\n", (1, 1), "the file holds no test. Write [[case]] or [[promise]], or remove it."),
    "nothing but defaults": ('[defaults]\nconvention = "none"\n', (1, 1), "the file holds no test."),
    "a string without an end": (CASE + 'opens = ["adresse]\n', (4, 19), "from here on the file cannot be read: check quotation marks, brackets and commas (Illegal character '\\n')."),
    "typographic quotation marks": (CASE + "opens = [“adresse”]", (4, 10), "from here on the file cannot be read"),
    "a list without an end": (CASE + 'opens = ["adresse"', (4, 1), "from here on the file cannot be read"),
    "a text over several lines": (CASE + OPENS + 'code = """\n[[case]]\n"""', (5, 1), "texts over several lines (three quotation marks) are not used here"),
    "a text over several lines between other marks": (CASE + OPENS + "code = '''\n[[case]]\n'''", (5, 1), "texts over several lines (three quotation marks) are not used here"),
    "a line of too many square brackets": (CASE + OPENS + "# " + "[" * 201, (5, 1), "this line has too many brackets or dots."),
    "a line of too many braces": (CASE + OPENS + "# " + "{" * 201, (5, 1), "this line has too many brackets or dots."),
    "a line of too many letters": (CASE + OPENS + "#" * (LONGEST_LINE + 1), (5, 1), "this line has more than 2000 characters"),
    "a line without an end": (CASE + "opens = [" + '"adresse", ' * 200 + "]", (4, 1), "this line has more than 2000 characters"),
    "a key of ten thousand parts": ("a" + ".a" * 900 + " = 1", (1, 1), "this line has too many brackets or dots."),
    "brackets that nest deeper than Python": ("a = " + "[\n" * 5000 + "]" * 100, (1, 1), "brackets nest deeper than 8."),
    "a question of Polar": ('?= allow("a");', (1, 1), "from here on the file cannot be read"),
}
# fmt: on


@pytest.fixture(scope="session")
def vocabulary(policy):
    return Vocabulary(tuple(policy.profiles), tuple(row.slug for row in policy.rows))


@pytest.mark.parametrize(("text", "place", "said"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_in_a_test_is_refused_with_its_place_and_a_sentence(vocabulary, text, place, said):
    _, problems = read_cases("tests/x.toml", text, vocabulary)
    assert [(p.line, p.column) for p in problems if p.said.startswith(said)] == [place], problems
    assert all(problem.file == "tests/x.toml" for problem in problems)


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order(vocabulary):
    text = CASE + 'opens = ["creance"]\n' + '[[case]]\nname = "b"\nprofile = "T99"\nrefused = "dosier"\n' + PROMISE
    _, problems = read_cases("tests/x.toml", text, vocabulary)
    assert [problem.line for problem in problems] == [4, 7, 8, 9, 10]


def test_nobody_who_asks_is_one_mistake(vocabulary):
    _, problems = read_cases("tests/x.toml", '[[case]]\nname = "a"\n' + OPENS, vocabulary)
    assert len(problems) == 1


def test_what_is_right_beside_a_mistake_is_still_understood(vocabulary):
    suite, problems = read_cases(
        "tests/x.toml", CASE + OPENS + '[[case]]\nname = "b"\nprofile = "T99"\n' + OPENS, vocabulary
    )
    assert ([case.name for case in suite.cases], len(problems)) == (["a"], 1)


def test_of_two_tests_with_mistakes_neither_is_understood(vocabulary):
    bad = 'profile = "T99"\n'
    suite, problems = read_cases(
        "tests/x.toml", f'[[case]]\nname = "a"\n{bad}{OPENS}[[case]]\nname = "b"\n{bad}{OPENS}', vocabulary
    )
    assert (suite.cases, len(problems)) == ((), 2)


def test_what_is_as_long_or_as_many_as_may_be_is_read(vocabulary):
    name = "n" * LONGEST_NAME
    ways = ", ".join(["[]"] * 125)
    many = (
        'profile = ["T1", "T2", "T3", "T4", "T5", "T6", "T8", "T9", "T10", "T11"]\npartner_kind = ["caf", "external"]\n'
    )
    for line in ("#" * LONGEST_LINE, "# " + "[" * 200, "# " + "{" * 200, "# " + "." * 200):
        text = (
            f'{line}\n[[case]]\nname = "{name}"\n{many}convention = ["none", "expired"]\nmandates = [{ways}]\n{OPENS}'
        )
        suite, problems = read_cases("tests/x.toml", text, vocabulary)
        assert (problems, [len(case.facts) for case in suite.cases]) == ([], [MOST_SITUATIONS])


def test_a_promise_knows_its_place(vocabulary):
    suite, _ = read_cases("tests/x.toml", "\n" + PROMISE + 'never = "every"', vocabulary)
    assert [(promise.file, promise.line) for promise in suite.promises] == [("tests/x.toml", 2)]


def test_what_was_written_is_repeated_up_to_its_fortieth_letter():
    assert [shown("a" * length) for length in (40, 41)] == ["a" * 40, "a" * 40 + "…"]


def test_a_profile_that_does_not_exist_may_be_wanted_to_be_refused(vocabulary):
    text = '[[case]]\nname = "a"\nprofile = ["T7", ""]\nrefused = "profile"\n'
    suite, problems = read_cases("tests/x.toml", text, vocabulary)
    assert ([facts.profile for facts in suite.cases[0].facts], problems) == (["T7", ""], [])


def test_a_bracket_that_only_looks_like_a_heading_is_no_test(vocabulary):
    text = '# [[case]]\n[[case]] # the first [[case]]\nname = "[[case]]"\nprofile = "T1"\n' + OPENS
    suite, problems = read_cases("tests/x.toml", text, vocabulary)
    assert ([(case.line, case.name) for case in suite.cases], problems) == ([(2, "[[case]]")], [])


SHIPPED = [file.read_text(encoding="utf-8").split("\n\n") for file in sorted(Path(shipped(), "tests").glob("*.toml"))]
PIECES = st.sampled_from(
    [
        *('"', "'", "[", "]", "{", "}", "=", ",", ".", "#", "\n", "\r", "\0", "é", "\x80", "[]", "[[]]"),
        *("[[case]]", "[[promise]]", "[defaults]", "1", "true", "2012-13-01", '"T1"'),
        *("profile", "mandates = ", "never", "opens", "name = "),
    ]
)


@st.composite
def spoilt(draw) -> str:
    """A piece of a shipped file with something put in the place of something."""
    blocks = draw(st.sampled_from(SHIPPED))
    first = draw(st.integers(0, len(blocks) - 1))
    text = "\n\n".join(blocks[first : first + draw(st.integers(1, 3))])
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + draw(PIECES | st.text(max_size=3)) + text[end:]
    return text


@settings(max_examples=500, deadline=None)
@given(spoilt() | st.text(max_size=40) | st.lists(PIECES, max_size=14).map(" ".join))
def test_whatever_a_file_holds_it_is_understood_or_refused_with_sentences(vocabulary, text):
    suite, problems = read_cases("tests/x.toml", text, vocabulary)
    assert problems or suite.cases or suite.promises
    for problem in problems:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert problem.said.isprintable()
        assert problem.said.endswith((".", ")", "…"))
