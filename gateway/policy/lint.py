"""What a policy folder may say: the rules about its rules.

`read_folder` parses every file and lists everything that is wrong, each with file, line and a sentence for a reader
who is not a programmer. Only a folder without a problem reaches oso, which silently accepts many of these mistakes:
a misspelt head, a rule that is never used, a duplicate row, an unquoted name that matches every profile.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model import FACT_VOCABULARIES, MANDATE_KINDS
from gateway.policy.grammar import (
    Attribute,
    Call,
    Comparison,
    Denied,
    Goal,
    Problem,
    Statement,
    Term,
    Text,
    Texts,
    Unreadable,
    Variable,
    read,
)

SCHEMA: Final = "schema.polar"
GATES: Final = "gates.polar"
FACT_FILES: Final[Mapping[str, str]] = {"profiles.polar": "profile", "matrix.polar": "rubric"}
CONDITIONS: Final = "conditions.polar"
REFUSALS: Final = "refusals.polar"
FILES: Final = ("profiles.polar", "matrix.polar", CONDITIONS, REFUSALS, GATES, SCHEMA)

GATE_RULES: Final = ("standing", "admitted", "opens", "allow_request", "allow", "allow_field")
ENTRY_RULES: Final = ("allow_request", "allow", "allow_field", "opens", "profile")
"""Rules the gateway asks itself; every other rule must be used by one."""

READABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "Agent": ("profile", "partner_kind", "convention", "engagement", "assurance"),
    "Dossier": ("mandates", "objection"),
}
ANY_DOSSIER: Final = "any"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the brochure's table."""

    slug: str
    label: str
    profiles: tuple[str, ...]
    source: str
    line: int


@dataclass(frozen=True, slots=True)
class Folder:
    """A policy folder that was read: what its fact files say."""

    profiles: Mapping[str, str]
    rows: tuple[Row, ...]
    predicates: frozenset[str]


def read_folder(texts: Mapping[str, str]) -> tuple[Folder | None, list[Problem]]:
    """The folder whose files are `texts` (file name → text), or None and every problem found."""
    problems = [_missing(name) for name in FILES if name not in texts]
    problems += [_superfluous(name) for name in sorted(texts) if name not in FILES]
    statements: dict[str, list[Statement]] = {}
    for name in FILES:
        try:
            statements[name] = read(name, texts.get(name, ""))
        except Unreadable as unreadable:
            problems.append(unreadable.problem)
    if problems:
        return None, problems
    reading = _Reading(statements)
    reading.check()
    if reading.problems:
        return None, sorted(reading.problems, key=lambda problem: (problem.file, problem.line))
    return Folder(reading.profiles, tuple(reading.rows.values()), frozenset(reading.shapes)), []


def _missing(name: str) -> Problem:
    return Problem(name, 1, 1, "the file is missing. Without it nothing can be decided.")


def _superfluous(name: str) -> Problem:
    return Problem(name, 1, 1, f"this file is not one of {', '.join(FILES)}. Drafts belong in drafts/.")


class _Reading:
    def __init__(self, statements: Mapping[str, Sequence[Statement]]) -> None:
        self.statements = statements
        self.problems: list[Problem] = []
        self.shapes: dict[str, Statement] = {}
        self.slugs: list[str] = []
        self.profiles: dict[str, str] = {}
        self.rows: dict[str, Row] = {}
        self.entrusted: set[str] = set()

    def refuse(self, file: str, line: int, said: str) -> None:
        self.problems.append(Problem(file, line, 1, said))

    def check(self) -> None:
        self._schema()
        for file, statements in self.statements.items():
            for statement in statements:
                if file != SCHEMA:
                    self._head(file, statement)
                    self._variables(file, statement)
                    self._goals(file, statement)
            self._repeated(file, statements)
        for statement in self.statements["profiles.polar"]:
            self._profile(statement)
        for statement in self.statements["matrix.polar"]:
            self._row(statement)
        for statement in self.statements[CONDITIONS]:
            if statement.name == "dossiers":
                self._dossiers(statement)
        self._wholeness()

    def _schema(self) -> None:
        for statement in self.statements[SCHEMA]:
            if statement.declares:
                if statement.name in self.shapes:
                    self.refuse(SCHEMA, statement.line, f"the shape of `{statement.name}` is declared twice.")
                self.shapes[statement.name] = statement
            elif statement.name == "rubric_slugs" and statement.is_fact and len(statement.parameters) == 1:
                self.slugs += _words(statement.parameters[0].term)
            else:
                self.refuse(SCHEMA, statement.line, f"`{statement.name}` does not belong here: only shapes (`type …`).")
        for slug, times in Counter(self.slugs).items():
            if times > 1:
                self.refuse(SCHEMA, 1, f"the rubric `{slug}` is listed twice in rubric_slugs.")

    def _head(self, file: str, statement: Statement) -> None:
        shape = self.shapes.get(statement.name)
        if statement.declares:
            return self.refuse(file, statement.line, "shapes (`type …`) are declared in schema.polar only.")
        if shape is None:
            said = f"there is no rule named `{statement.name}`.{_near(statement.name, self.shapes)}"
            return self.refuse(file, statement.line, said)
        if _home(statement.name) != file:
            said = f"`{statement.name}` is defined in {_home(statement.name)} only, not here."
            return self.refuse(file, statement.line, said)
        if len(statement.parameters) != len(shape.parameters):
            said = f"`{statement.name}` takes {len(shape.parameters)} things, here it has {len(statement.parameters)}."
            return self.refuse(file, statement.line, said)
        if file in FACT_FILES and not statement.is_fact:
            return self.refuse(file, statement.line, f"a line of {file} states a fact: it cannot have an `if`.")
        for place, (given, wanted) in enumerate(zip(statement.parameters, shape.parameters, strict=True), start=1):
            if not _fits(given.term, given.type, wanted.type):
                said = f"place {place} of `{statement.name}` must be {_described(wanted.type)}."
                self.refuse(file, statement.line, said)

    def _variables(self, file: str, statement: Statement) -> None:
        used = Counter(_variables_of(statement))
        for name, times in used.items():
            if statement.is_fact:
                said = (
                    f'`{name}` is not between double quotes: a name without them would match anything. Write "{name}".'
                )
                self.refuse(file, statement.line, said)
            elif times == 1 and not name.startswith("_"):
                self.refuse(
                    file, statement.line, f"`{name}` stands only once: is it misspelt? Unused, write `_{name}`."
                )
            elif times > 1 and name.startswith("_") and name != "_":
                self.refuse(file, statement.line, f"`{name}` is used, so its name must not begin with `_`.")

    def _goals(self, file: str, statement: Statement) -> None:
        types = {
            parameter.term.name: parameter.type
            for parameter in statement.parameters
            if isinstance(parameter.term, Variable)
        }
        for goal in statement.goals:
            if isinstance(goal, Denied):
                if file != GATES:
                    self.refuse(
                        file, goal.line, "`not` is refused here: a denial belongs in refusals.polar, as a rule."
                    )
                elif goal.call.name != "refusal":
                    self.refuse(file, goal.line, "`not` may only stand before `refusal(…)`.")
            call = goal.call if isinstance(goal, Denied) else goal
            if isinstance(call, Call):
                self._call(file, call)
            elif isinstance(call, Comparison):
                self._comparison(file, call)
            for term in _terms(goal):
                if isinstance(term, Attribute):
                    self._attribute(file, term, types)

    def _call(self, file: str, call: Call) -> None:
        shape = self.shapes.get(call.name)
        if shape is None or call.name == "rubric_slugs":
            self.refuse(file, call.line, f"there is no rule named `{call.name}`.{_near(call.name, self.shapes)}")
        elif len(call.arguments) != len(shape.parameters):
            said = f"`{call.name}` takes {len(shape.parameters)} things, here it has {len(call.arguments)}."
            self.refuse(file, call.line, said)

    def _comparison(self, file: str, comparison: Comparison) -> None:
        sides = (comparison.left, comparison.right)
        if all(isinstance(side, Text | Texts) for side in sides):
            self.refuse(file, comparison.line, "this compares two fixed values: it is always true or always false.")
        for fact, other in (sides, sides[::-1]):
            if not isinstance(fact, Attribute):
                continue
            known = self.profiles_known() if fact.name == "profile" else FACT_VOCABULARIES.get(fact.name, ())
            for word in _words(other):
                if word not in known:
                    said = f"`{word}` is never a value of `{fact.name}`.{_near(word, known)} Known: {', '.join(known)}."
                    self.refuse(file, comparison.line, said)
            if fact.name == "mandates" and (comparison.operator != "in" or fact is not comparison.right):
                self.refuse(file, comparison.line, 'mandates are asked with `in`: "judgment" in dossier.mandates.')
            if fact.name != "mandates" and comparison.operator == "in" and fact is comparison.right:
                self.refuse(file, comparison.line, f"`{fact.name}` is one word, not a list: nothing is `in` it.")

    def profiles_known(self) -> Sequence[str]:
        return [
            word for s in self.statements["profiles.polar"] if s.parameters for word in _words(s.parameters[0].term)
        ]

    def _attribute(self, file: str, attribute: Attribute, types: Mapping[str, str]) -> None:
        facts = READABLE.get(types.get(attribute.variable, ""))
        if facts is None:
            said = f"`{attribute.variable}` is not the agent or the dossier of this rule: it has no facts to read."
            self.refuse(file, attribute.line, said)
        elif attribute.name not in facts:
            said = f"there is no fact `{attribute.variable}.{attribute.name}`.{_near(attribute.name, facts)}"
            self.refuse(file, attribute.line, f"{said} Known: {', '.join(facts)}.")

    def _repeated(self, file: str, statements: Iterable[Statement]) -> None:
        seen: dict[object, int] = {}
        for statement in statements:
            key = _without_lines(statement)
            if key in seen:
                self.refuse(file, statement.line, f"this repeats line {seen[key]}: remove one of the two.")
            seen.setdefault(key, statement.line)

    def _profile(self, statement: Statement) -> None:
        if len(statement.parameters) != 2:
            return
        code, label = (_word(parameter.term) for parameter in statement.parameters)
        if code in self.profiles:
            self.refuse("profiles.polar", statement.line, f"the profile `{code}` already has a line.")
        if not label.strip():
            self.refuse("profiles.polar", statement.line, f"the profile `{code}` has no label.")
        self.profiles[code] = label

    def _row(self, statement: Statement) -> None:
        if len(statement.parameters) != 4:
            return
        terms = [parameter.term for parameter in statement.parameters]
        slug, label, source = _word(terms[0]), _word(terms[1]), _word(terms[3])
        row = Row(slug, label, tuple(_words(terms[2])), source, statement.line)
        file, line = "matrix.polar", statement.line
        if slug not in self.slugs:
            self.refuse(
                file, line, f"unknown rubric `{slug}`.{_near(slug, self.slugs)} Rubrics are listed in {SCHEMA}."
            )
        elif slug in self.rows:
            self.refuse(file, line, f"the rubric `{slug}` already has its row on line {self.rows[slug].line}.")
        if not label.strip() or not source.strip():
            self.refuse(file, line, f"the row of `{slug}` needs a label and the source it comes from.")
        self._profiles_exist(file, line, row.profiles)
        self.rows.setdefault(slug, row)

    def _profiles_exist(self, file: str, line: int, profiles: Sequence[str]) -> None:
        for profile, times in Counter(profiles).items():
            if profile not in self.profiles:
                known = f" Profiles are listed in profiles.polar: {', '.join(self.profiles)}."
                self.refuse(file, line, f"unknown profile `{profile}`.{_near(profile, self.profiles)}{known}")
            elif times > 1:
                self.refuse(file, line, f"the profile `{profile}` stands twice in this list.")

    def _dossiers(self, statement: Statement) -> None:
        if not statement.is_fact or len(statement.parameters) != 3:
            return self.refuse(CONDITIONS, statement.line, 'write dossiers("T1", ["any"], "source"); without `if`.')
        profile, kinds = _word(statement.parameters[0].term), _words(statement.parameters[1].term)
        self._profiles_exist(CONDITIONS, statement.line, [profile])
        if profile in self.entrusted:
            self.refuse(CONDITIONS, statement.line, f"`{profile}` already has its `dossiers` line.")
        self.entrusted.add(profile)
        known = (*MANDATE_KINDS, ANY_DOSSIER)
        for kind in kinds:
            if kind not in known:
                said = f"unknown reason `{kind}`.{_near(kind, known)} Known: {', '.join(known)}."
                self.refuse(CONDITIONS, statement.line, said)
        if not kinds or (ANY_DOSSIER in kinds and len(kinds) > 1):
            self.refuse(CONDITIONS, statement.line, 'give either ["any"] or the reasons that are required.')

    def _wholeness(self) -> None:
        defined = {statement.name for file in FILES if file != SCHEMA for statement in self.statements[file]}
        called = {
            (goal.call if isinstance(goal, Denied) else goal).name
            for file in FILES
            for statement in self.statements[file]
            for goal in statement.goals
            if isinstance(goal, Call | Denied)
        }
        for name, shape in self.shapes.items():
            if name == "rubric_slugs":
                continue
            if name not in defined and name != "refusal":
                self.refuse(_home(name), 1, f"the rule `{name}` is missing.")
            if name not in called and name not in ENTRY_RULES:
                self.refuse(SCHEMA, shape.line, f"nothing uses the rule `{name}`: it would have no effect.")
        for name in (*GATE_RULES, "profile", "rubric", "refusal"):
            if name not in self.shapes:
                self.refuse(SCHEMA, 1, f"the shape of `{name}` is missing.")
        gates = Counter(statement.name for statement in self.statements[GATES])
        for name in GATE_RULES:
            if gates[name] > 1:
                self.refuse(
                    GATES, 1, f"`{name}` has {gates[name]} rules; it may have only one, or it could be bypassed."
                )
        denials = [goal for s in self.statements[GATES] for goal in s.goals if isinstance(goal, Denied)]
        if len(denials) != 1:
            self.refuse(GATES, 1, f"`not refusal(…)` must stand exactly once in the folder, here {len(denials)} times.")
        for slug in self.slugs:
            if slug not in self.rows:
                self.refuse("matrix.polar", 1, f"the rubric `{slug}` of {SCHEMA} has no row.")
        for profile in self.profiles:
            if profile not in self.entrusted:
                self.refuse(CONDITIONS, 1, f"the profile `{profile}` has no `dossiers` line.")


def _home(name: str) -> str:
    for file, predicate in FACT_FILES.items():
        if name == predicate:
            return file
    if name in GATE_RULES:
        return GATES
    return {"refusal": REFUSALS, "rubric_slugs": SCHEMA}.get(name, CONDITIONS)


def _fits(term: Text | Texts | Variable, given: str, wanted: str) -> bool:
    if isinstance(term, Text):
        return wanted in ("", "String")
    if isinstance(term, Texts):
        return wanted == "List"
    return given == wanted


def _described(type_name: str) -> str:
    return {
        "String": "a text between double quotes",
        "List": "a list between square brackets",
        "Agent": "the agent, written `agent: Agent`",
        "Dossier": "the dossier, written `dossier: Dossier`",
    }.get(type_name, "a variable")


def _terms(goal: Goal) -> tuple[Term, ...]:
    if isinstance(goal, Comparison):
        return goal.left, goal.right
    return goal.call.arguments if isinstance(goal, Denied) else goal.arguments


def _variables_of(statement: Statement) -> Iterable[str]:
    terms: list[Term] = [parameter.term for parameter in statement.parameters]
    for goal in statement.goals:
        terms += _terms(goal)
    for term in terms:
        for part in term.items if isinstance(term, Texts) else (term,):
            if isinstance(part, Variable):
                yield part.name
            elif isinstance(part, Attribute):
                yield part.variable


def _words(term: Term) -> list[str]:
    if isinstance(term, Text):
        return [term.value]
    return [item.value for item in term.items if isinstance(item, Text)] if isinstance(term, Texts) else []


def _word(term: Term) -> str:
    return term.value if isinstance(term, Text) else ""


def _without_lines(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_without_lines(part) for part in value)
    names = getattr(type(value), "__slots__", None)
    if names is None or isinstance(value, str):
        return value
    return (type(value).__name__, *(_without_lines(getattr(value, name)) for name in names if name != "line"))


def _near(word: str, words: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" Did you mean `{close[0]}`?" if close else ""
