"""Whatever the text: it is read, or refused with its place and a sentence, and it takes a short time."""

import re
import time

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.errors import Misconfigured
from gateway.policy.canaries import MOST
from gateway.policy.engine import Policy
from gateway.policy.grammar import DEEPEST_NESTING, LARGEST_FILE, LONGEST_STATEMENT, RESERVED, read
from gateway.policy.lint import FILES, MOST_PROBLEMS, read_folder
from gateway.policy.loading import load
from gateway.policy.tokens import Problem, Unreadable, tokens

PIECES = [
    *('rubric("rsa", "Rsa", ["T1"], "x");', "refusal(agent, dossier, _)", "allow_field(_, _, _, _);"),
    *("agent", "Agent", "dossier.objection", '"raised"', '"T1"', "opens", "labels", "rubric_slugs", "Τ1"),
    *("[", "]", "(", ")", "=", ":", ",", ";", ".", "_", "?=", "{", "}", "1", "*", "'", "\\", "|", '"', "#"),
    *("not", "and", "or", "in", "if", "type", "new", "inf", "__x", "x", "\n", "\r", "\r\n", " ", "\t"),
    *("é", "\u0301", "\ufeff", "\u202e", "\u200b", "\xa0", "\ud800", "\x00"),
]  # fmt: skip


def read_or_refused(texts) -> list[str]:
    folder, problems = read_folder(texts)
    assert (folder is None) is bool(problems)
    assert len(problems) <= MOST_PROBLEMS + len(FILES)
    for problem in problems:
        assert problem.line >= 1 and problem.column >= 1
        assert problem.line <= texts.get(problem.file, "").count("\n") + 1
    return [str(problem) for problem in problems]


@given(text=st.text(), file=st.sampled_from(FILES))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(texts, text, file):
    read_or_refused({**texts, file: text})


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40), file=st.sampled_from(FILES))
@settings(max_examples=150, deadline=None)
def test_any_pieces_of_policy_are_read_or_refused(texts, pieces, file):
    read_or_refused({**texts, file: texts[file] + "".join(pieces)})
    read_or_refused({**texts, file: " ".join(pieces)})


@given(names=st.dictionaries(st.one_of(st.text(max_size=8), st.sampled_from(FILES)), st.text(max_size=40)))
@settings(deadline=None)
def test_any_folder_of_texts_is_refused(names):
    with pytest.raises(Misconfigured):
        load(names)


@st.composite
def mutated(draw, texts):
    """A shipped file with one to three pieces put in, taken out, or moved."""
    file = draw(st.sampled_from(FILES))
    text = texts[file]
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 30)))
        put = draw(st.one_of(st.just(""), st.sampled_from(PIECES), st.just(text[end : end + 20])))
        text = text[:start] + put + text[end:]
    return {**texts, file: text}


def loaded(texts) -> Policy | None:
    """The policy, or None where it was refused with sentences. Whatever else happens fails the test."""
    policy = None
    problems: tuple[str, ...] = ()
    try:
        policy = load(texts)
    except Misconfigured as refusal:
        problems = refusal.problems
    assert bool(policy) is not bool(problems)
    assert all(type(problem) is str and problem for problem in problems)
    return policy


FEW = settings(deadline=None, phases=(Phase.explicit, Phase.generate), max_examples=12)
"""Each policy that is well formed takes half a second to load."""


@given(data=st.data())
@FEW
def test_a_mutated_policy_is_loaded_or_refused_and_nothing_else(texts, data):
    loaded(data.draw(mutated(texts)))


@given(data=st.data())
@FEW
def test_words_of_the_policies_exchanged_are_refused_or_open_no_more_than_the_rows(texts, data):
    """Well-formed changes, of which many reach oso."""
    file = data.draw(st.sampled_from(("conditions.polar", "refusals.polar", "gates.polar", "matrix.polar")))
    words = [word for word in re.finditer(r'#.*|"[^"\n]*"|[a-z_]+', texts[file]) if word.group()[0] != "#"]
    one, other = data.draw(st.sampled_from(words)), data.draw(st.sampled_from(words))
    policy = loaded({**texts, file: texts[file][: one.start()] + other.group() + texts[file][one.end() :]})
    for profile in policy.profiles if policy else ():
        in_row = {row.slug for row in policy.rows if profile in row.profiles}
        assert policy.decide(replace(MOST, profile=profile)).rubrics <= in_row


def test_every_shipped_file_is_in_the_grammar(texts):
    statements = {name: read(name, text) for name, text in texts.items()}
    assert {name: len(found) for name, found in statements.items()} == {
        **{"profiles.polar": 14, "matrix.polar": 20, "conditions.polar": 19, "refusals.polar": 1},
        **{"gates.polar": 6, "schema.polar": 16},
    }


def test_each_statement_knows_its_line(texts):
    for file, text in texts.items():
        lines = text.splitlines()
        for statement in read(file, text):
            start = lines[statement.line - 1]
            assert start.startswith((statement.name, f"type {statement.name}"))


def test_each_token_stands_where_it_says(texts):
    for text in texts.values():
        lines = text.split("\n")
        for token in tokens(text):
            assert lines[token.line - 1][token.column - 1 :].startswith(token.text)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("rubric(1);", 1, 8),
        ("\n\n  rubric(1);", 3, 10),
        ('rubric("é", 1);', 1, 13),
        ("\r\n\r\nrubric(1);", 3, 8),
        ("# é\n\t?", 2, 2),
        ('rubric("a",\n  "b"\n  "c");', 3, 3),
        ("rubric(T1);", 1, 8),
        ("x(a) if a.b.c = a;", 1, 12),
        ('x("a")', 1, 6),
        ("x(a) if\n  not a.b = a;", 2, 11),
        ("x(" + "(" * 20, 1, 10),
        ("x();\n" * 3 + '"', 4, 1),
        ("x();\n" * 3 + ";", 4, 1),
    ],
    ids=repr,
)
def test_the_first_place_that_cannot_be_read_is_told_by_line_and_column(text, line, column):
    with pytest.raises(Unreadable) as caught:
        read("matrix.polar", text)
    problem = caught.value.problem
    assert (problem.file, problem.line, problem.column) == ("matrix.polar", line, column)
    assert str(problem) == str(caught.value) == f"matrix.polar:{line}: {problem.said}"


@pytest.mark.parametrize("word", sorted(RESERVED - {"type"}))
def test_a_word_that_means_something_in_polar_names_nothing(word):
    for text in (f'{word}("a");', f"x({word}) if y({word});", f"x(a) if {word}(a);", f"x(a) if a.{word} = a;"):
        with pytest.raises(Unreadable):
            read("matrix.polar", text)


def test_the_limits_are_where_they_are_said_to_be():
    fits = "x(a) if " + "(" * (DEEPEST_NESTING - 1) + "y(a)" + ")" * (DEEPEST_NESTING - 1) + ";"
    assert read("gates.polar", fits)
    with pytest.raises(Unreadable, match="brackets nest deeper"):
        read("gates.polar", fits.replace("(y", "((y"))
    longest = 'x(["a"' + ', "a"' * ((LONGEST_STATEMENT - 7) // 2) + "]);"
    assert read("gates.polar", longest)
    with pytest.raises(Unreadable, match="too long"):
        read("gates.polar", longest.replace("]);", ', "a"]);'))
    assert read("gates.polar", "#" * LARGEST_FILE) == []
    with pytest.raises(Unreadable, match="at most"):
        read("gates.polar", "#" * (LARGEST_FILE + 1))


@pytest.mark.parametrize(
    "hostile",
    [
        *("(" * 200_000, ")" * 200_000, '"' * 200_000, "#" * 262_144, "\n" * 262_144, ";" * 200_000, " " * 262_144),
        *("a" * 262_144, '"' + "a" * 262_000 + '"', "x(a) if " + "not " * 50_000, "a.b" * 80_000, "é" * 100_000),
        *('x("a");' * 37_000, "x(a)if(a=a);" * 20_000, 'rubric("é","é",["é"],"é");' * 8_000, "[" + "[]," * 80_000),
        'type rubric(slug, label, profiles, source);' * 6_000,
        'rubric_slugs(["a"]);' * 13_000,
    ],
    ids=lambda text: f"{text[:20]!r}…",
)  # fmt: skip
@pytest.mark.parametrize("file", ["matrix.polar", "schema.polar"])
def test_a_hostile_text_costs_no_more_than_its_length(texts, file, hostile):
    """Measured against itself, where it takes a second or more: twice the text takes twice the processor, where a
    square would take four times."""
    whole = spent(lambda: read_or_refused({**texts, file: hostile}))
    assert whole < 1 or whole < 1 + 3 * spent(lambda: read_or_refused({**texts, file: hostile[: len(hostile) // 2]}))


def spent(what) -> float:
    """Seconds of the processor."""
    started = time.process_time()
    assert what()
    return time.process_time() - started


def test_a_problem_is_told_as_file_line_and_sentence():
    assert str(Problem("matrix.polar", 3, 7, "a sentence.")) == "matrix.polar:3: a sentence."


@pytest.mark.parametrize(
    ("text", "column"), [("#\ta\u200bb", 4), ('  "a\t\tb\u200b"', 8), ('x  "e\u0301"', 4)], ids=ascii
)
def test_a_character_that_cannot_be_seen_is_told_with_its_column(text, column):
    """A tab is seen, and so is an accent written as two characters: that text is told where it begins."""
    assert [token.column for token in tokens(text) if token.kind == "fault"] == [column]
