"""Any text as one file of the policies: refused with problems that have a place, or it opens no more than it says.

An input is one byte that chooses the file, then its text. What an accepted folder opens is compared with a reading of
its lines that shares nothing with the gateway's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from gateway.errors import Misconfigured
from gateway.model import MANDATE_KINDS, Facts
from gateway.policy.engine import Policy
from gateway.policy.lint import FILES
from gateway.policy.loading import load
from gateway.policy_files.folder import ROUTES, read, shipped
from gateway.redaction import Route, compile_routes
from gateway.redaction.table import DOCUMENT
from tests.redaction.oracle import SLUGS

LARGEST: Final = 8192
LONGEST_SECONDS: Final = 20.0
"""Of the processor. Refusing takes milliseconds, loading half a second; more is a text that holds the process."""

TEXTS: Final = read(shipped())
POLAR: Final = {name: text for name, text in TEXTS.items() if name != ROUTES}
CHOICES: Final = (*FILES, ROUTES)
FACT_FILES: Final = ("profiles.polar", "matrix.polar", "schema.polar")
"""Files that only state facts: what they say is exactly what opens."""

ORDER: Final = Facts(
    profile="T1",
    partner_kind="external",
    convention="in_force",
    engagement="signed",
    mandates=frozenset(MANDATE_KINDS),
    objection="none",
    assurance="password",
    action="consult",
)
"""Everything is in order, and the dossier is entrusted for every reason."""
SITUATIONS: Final[Mapping[str, Mapping[str, object]]] = {
    "in order": {},
    "nothing entrusted": {"mandates": frozenset()},
    "entrusted by judgment": {"mandates": frozenset({"judgment"})},
    "suspended": {"convention": "suspended"},
    "nothing signed": {"engagement": "missing"},
    "objection": {"objection": "raised"},
    "objection, to the Caf's own": {"objection": "raised", "partner_kind": "caf"},
}


def check(data: bytes) -> None:
    """Raises `AssertionError` where the gateway's word on this text is not the promised one."""
    if not data:
        return
    name, text = CHOICES[data[0] % len(CHOICES)], data[1:].decode("utf-8", "surrogateescape")
    if name == ROUTES:
        routes_are_told(text)
    elif (name, words_in(text)) not in _loaded and folder_is_told({**POLAR, name: text}, changed=name):
        _loaded.add((name, words_in(text)))


_loaded: set[tuple[str, str]] = set()
"""What was loaded and asked already: that takes half a second, and texts that differ in their spaces are many."""


def words_in(text: str) -> str:
    """The text without comments and white space, but within strings."""
    return re.sub(r'("[^"\n]*")|#[^\r\n]*|[ \t\n]+', lambda found: found[1] or " ", text)


def folder_is_told(texts: Mapping[str, str], *, changed: str) -> Policy | None:
    """The policy of these texts, which opens what they say; None where they are refused, with a place."""
    began = time.process_time()
    policy = None
    problems: tuple[str, ...] = ()
    try:
        policy = load(texts)
    except Misconfigured as refusal:
        problems = refusal.problems
    assert time.process_time() - began < LONGEST_SECONDS
    if policy is None:
        has_a_place(problems, texts)
    else:
        opens_what_is_said(policy, texts, exactly=changed in FACT_FILES)
    return policy


def has_a_place(problems: tuple[str, ...], texts: Mapping[str, str]) -> None:
    """Every problem is one sentence, with a file and a line that exist, or is about the folder as a whole."""
    assert problems
    for problem in problems:
        assert problem.strip() == problem and "\n" not in problem, problem
        place = re.match(r"([a-z]+\.polar):([1-9][0-9]*): \S", problem)
        if place is None:
            assert problem.startswith("policies: "), problem
        else:
            assert place[1] in FILES, problem
            assert int(place[2]) <= texts.get(place[1], "").count("\n") + 1, problem


def opens_what_is_said(policy: Policy, texts: Mapping[str, str], *, exactly: bool) -> None:
    """`exactly`: only lines of fact were changed, so that everything about them can be told from them."""
    columns, entrusted = columns_of(texts["matrix.polar"]), dossiers_of(texts["conditions.polar"])
    profiles = {codes[0] for _, codes in lines_of("profile", texts["profiles.polar"])}
    assert set(policy.profiles) == profiles
    for profile in (*sorted(profiles), "T7", ""):
        column = columns.get(profile, frozenset()) if profile in profiles else frozenset()
        for situation, changes in SITUATIONS.items():
            facts = replace(ORDER, profile=profile, **changes)
            opened = policy.decide(facts).rubrics
            assert opened <= column, (situation, profile, sorted(opened - column))
            if exactly:
                assert opened == (column if stands(facts, entrusted) else frozenset()), (situation, profile)


def stands(facts: Facts, entrusted: Mapping[str, frozenset[str]]) -> bool:
    """Whether anything opens at all, by the shipped conditions."""
    reasons = entrusted.get(facts.profile, frozenset())
    return (
        facts.convention == "in_force"
        and facts.engagement == "signed"
        and (facts.objection == "none" or facts.partner_kind == "caf")
        and ("any" in reasons or bool(reasons & facts.mandates))
    )


_WORD: Final = r'"([^"]*)"'


def lines_of(rule: str, text: str) -> list[tuple[list[str], list[str]]]:
    """The facts `rule(…)` of a file: the words of their lists, and the words outside them."""
    said = re.sub(r'("[^"\n]*")|#[^\r\n]*', lambda found: found[1] or "", text)
    bare = re.findall(rf"(?<![A-Za-z0-9_]){rule}\s*\(((?:[^\"()]|\"[^\"]*\")*)\)\s*;", said)
    found = []
    for inside in bare:
        lists = re.findall(r"\[((?:[^\"\[\]]|\"[^\"]*\")*)\]", inside)
        outside = re.sub(r"\[((?:[^\"\[\]]|\"[^\"]*\")*)\]", "", inside)
        found.append(([word for words in lists for word in re.findall(_WORD, words)], re.findall(_WORD, outside)))
    return found


def columns_of(matrix: str) -> dict[str, frozenset[str]]:
    """The rubrics that the rows give to each profile."""
    rows = [(words[0], profiles) for profiles, words in lines_of("rubric", matrix)]
    every = {profile for _, profiles in rows for profile in profiles}
    return {profile: frozenset(slug for slug, profiles in rows if profile in profiles) for profile in every}


def dossiers_of(conditions: str) -> dict[str, frozenset[str]]:
    """The reasons for which dossiers are entrusted to each profile."""
    return {words[0]: frozenset(kinds) for kinds, words in lines_of("dossiers", conditions) if words}


def routes_are_told(text: str) -> None:
    """A route table is refused with sentences, or every part of every route belongs to a rubric that exists."""
    began = time.process_time()
    problems: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    try:
        routes = compile_routes(text, SLUGS).routes
    except Misconfigured as refusal:
        problems = refusal.problems
        assert problems
    assert time.process_time() - began < LONGEST_SECONDS
    for problem in problems:
        place = re.match(rf"{re.escape(ROUTES)}:([1-9][0-9]*): \S", problem)
        assert place and "\n" not in problem, problem
        assert int(place[1]) <= text.count("\n") + 1, problem
    for route in routes:
        contents = [content.rubrics for content in route.contents.values()]
        held = {route.rubric} if route.answer == DOCUMENT else set().union(*contents)
        assert held <= set(SLUGS), held
        assert {name for name, _ in route.template.pattern.groupindex.items()} >= {"numero"}


def words() -> list[bytes]:
    """What the fuzzer should know how to write."""
    found = re.findall(r'"[^"\n]{1,30}"|[a-z_]+|\[\[?[a-z.]+\]\]?', "\n".join(TEXTS.values()))
    odd = [
        "?=",
        "not ",
        "new ",
        "\u202e",
        "\ufeff",
        "é",
        "\r",
        "#",
        "_",
        " or ",
        "{rubric}",
        "*",
        "never",
        "always",
        "''",
    ]
    return [word.encode() for word in sorted({*found, *odd})]
