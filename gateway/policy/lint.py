"""What a policy folder may say: the rules about its rules.

`read_folder` parses every file and lists everything that is wrong, each with file, line and a sentence for a reader
who is not a programmer. Only a folder without a problem reaches oso, which silently accepts many of these mistakes:
a misspelt head, a rule that is never used, a duplicate row, an unquoted name that matches every profile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.policy.grammar import MOST_PROBLEMS, read, read_on
from gateway.policy.layout import (
    CONDITIONS,
    ENTRY_RULES,
    FILES,
    GATE_RULES,
    GATES,
    MATRIX,
    PROFILES,
    SCHEMA,
    SLUGS,
    TYPES,
    home,
    known,
    near,
)
from gateway.policy.rules import Rules
from gateway.policy.statements import TOP, Denied, Placed, Statement, calls_of, without_lines, words
from gateway.policy.tables import Row, Tables
from gateway.policy.tokens import Problem, Unreadable

__all__ = ["FILES", "Folder", "Row", "named_rubrics", "read_folder"]


@dataclass(frozen=True, slots=True)
class Folder:
    """A policy folder that was read: what its fact files say, and the statements of each file in their order."""

    profiles: Mapping[str, str]
    rows: tuple[Row, ...]
    statements: Mapping[str, Sequence[Statement]] = field(default_factory=dict)


def read_folder(texts: Mapping[str, str]) -> tuple[Folder | None, list[Problem]]:
    """The folder whose files are `texts` (file name → text), or None and every problem found, at most MOST_PROBLEMS.

    What a file says is looked at also where something else in it, or another file, cannot be read; not what it lacks.
    """
    problems = [_superfluous(name) for name in sorted(texts) if name not in FILES]
    lost = {name for name in FILES if name not in texts}
    problems += [_missing(name) for name in FILES if name in lost]
    statements: dict[str, list[Statement]] = {}
    for name in FILES:
        statements[name], found = read_on(name, texts.get(name, ""))
        lost |= {problem.file for problem in found}
        problems += found
    if SCHEMA not in lost:
        reading = _Reading(statements, lost)
        with suppress(_Enough):
            reading.check()
        problems += reading.problems
    if problems:
        return None, sorted(problems, key=_in_order)[:MOST_PROBLEMS]
    return Folder(reading.tables.profiles, tuple(reading.tables.rows.values()), statements), []


def _in_order(problem: Problem) -> tuple[int, int, int]:
    return FILES.index(problem.file) if problem.file in FILES else -1, problem.line, problem.column


def named_rubrics(texts: Mapping[str, str]) -> list[str]:
    """The rubrics that schema.polar names, also in a folder that is refused; none where it cannot be read."""
    try:
        statements = read(SCHEMA, texts.get(SCHEMA, ""))
    except Unreadable:
        return []
    terms = [parameter.term for s in statements if s.name == SLUGS and s.is_fact for parameter in s.parameters]
    return list(dict.fromkeys(slug for term in terms for slug in words(term)))


def _missing(name: str) -> Problem:
    return Problem(name, 1, 1, "the file is missing. Without it nothing can be decided.")


def _superfluous(name: str) -> Problem:
    shown = name.encode(errors="backslashreplace").decode()
    return Problem(shown, 1, 1, f"this file is not one of {', '.join(FILES)}. Drafts belong in drafts/.")


class _Enough(Exception):
    """There are MOST_PROBLEMS."""


class _Reading:
    def __init__(self, statements: Mapping[str, Sequence[Statement]], lost: Collection[str]) -> None:
        """`lost` are the files of which not everything could be read."""
        self.statements = statements
        self.lost = lost
        self.problems: list[Problem] = []
        self.shapes: dict[str, Statement] = {}
        self.tables = Tables(self.refuse, lost)

    def refuse(self, file: str, place: Placed, said: str) -> None:
        self.problems.append(Problem(file, place.line, place.column, said))
        if len(self.problems) == MOST_PROBLEMS:
            raise _Enough

    def check(self) -> None:
        profiles = [words(s.parameters[0].term) for s in self.statements[PROFILES] if s.parameters]
        named = None if PROFILES in self.lost else {code: None for codes in profiles for code in codes}
        rules = Rules(self.shapes, named, self.refuse)
        self._schema(rules)
        for file, statements in self.statements.items():
            if file != SCHEMA:
                for statement in statements:
                    rules.check(file, statement)
            self._repeated(file, statements)
        for statement in self.statements[PROFILES]:
            self.tables.profile(statement)
        for statement in self.statements[MATRIX]:
            self.tables.row(statement)
        for statement in self.statements[CONDITIONS]:
            if statement.name == "dossiers":
                self.tables.dossiers(statement)
        self.tables.whole()
        self._every_rule_has_its_place()
        self._gates_stand_alone()

    def _schema(self, rules: Rules) -> None:
        for statement in self.statements[SCHEMA]:
            if statement.declares:
                if statement.name in self.shapes:
                    self.refuse(SCHEMA, statement, f"the shape of `{statement.name}` is declared twice.")
                for given in statement.parameters:
                    if given.type and given.type not in TYPES:
                        said = f"there is no type `{given.type}`.{near(given.type, TYPES)}{known(TYPES)}"
                        self.refuse(SCHEMA, given.term, said)
                self.shapes[statement.name] = statement
            elif statement.name == SLUGS and statement.is_fact and len(statement.parameters) == 1:
                rules.variables(SCHEMA, statement)
                self.tables.name_rubrics(statement)
            else:
                self.refuse(SCHEMA, statement, f"`{statement.name}` does not belong here: only shapes (`type …`).")

    def _repeated(self, file: str, statements: Iterable[Statement]) -> None:
        seen: dict[object, int] = {}
        for statement in statements:
            key = without_lines(statement)
            if key in seen:
                self.refuse(file, statement, f"this repeats line {seen[key]}: remove one of the two.")
            seen.setdefault(key, statement.line)

    def _every_rule_has_its_place(self) -> None:
        everywhere = [(file, statement) for file in FILES for statement in self.statements[file]]
        defined = {statement.name: statement for file, statement in reversed(everywhere) if file != SCHEMA}
        calls: dict[str, set[str]] = {statement.name: set() for _, statement in everywhere}
        for _, statement in everywhere:
            calls[statement.name].update(calls_of(statement))
        called = set().union(*calls.values())
        for name, shape in self.shapes.items():
            if name == SLUGS:
                continue
            place: Placed = defined.get(name, TOP)
            if name not in defined and home(name) not in self.lost:
                self.refuse(home(name), place, f"the rule `{name}` is missing.")
            if name not in called and name not in ENTRY_RULES and not self.lost:
                self.refuse(SCHEMA, shape, f"nothing uses the rule `{name}`: it would have no effect.")
            if name in _reached(calls, name):
                self.refuse(
                    home(name), place, f"the rule `{name}` rests on itself, directly or through others: no end."
                )
        for name in (*GATE_RULES, "profile", "rubric", "refusal"):
            if name not in self.shapes:
                self.refuse(SCHEMA, TOP, f"the shape of `{name}` is missing.")

    def _gates_stand_alone(self) -> None:
        gates = self.statements[GATES]
        for name in GATE_RULES:
            same = [statement for statement in gates if statement.name == name]
            if len(same) > 1:
                said = f"`{name}` has {len(same)} rules; it may have only one, or it could be bypassed."
                self.refuse(GATES, same[1], said)
        denials: list[Placed] = [goal for s in gates for goal in s.goals if isinstance(goal, Denied)]
        if len(denials) > 1 or (not denials and GATES not in self.lost):
            place = denials[1] if denials else next((s for s in gates if s.name == "admitted"), TOP)
            said = f"`not refusal(…)` must stand exactly once in the folder, here {len(denials)} times."
            self.refuse(GATES, place, said)


def _reached(calls: Mapping[str, set[str]], name: str) -> set[str]:
    """Every rule that `name` rests on."""
    reached: set[str] = set()
    ahead = set(calls.get(name, ()))
    while ahead:
        reached |= ahead
        ahead = set().union(*(calls.get(one, set()) for one in ahead)) - reached
    return reached
