"""What one rule may say: its head against its shape, its variables, its goals.

A goal that can never hold is as dangerous as one that always does: in refusals.polar it refuses nothing. oso accepts
both without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from gateway.model import FACT_VOCABULARIES
from gateway.policy.layout import FACT_FILES, GATES, READABLE, SCHEMA, SLUGS, Refuse, home, known, near
from gateway.policy.statements import (
    Attribute,
    Call,
    Comparison,
    Denied,
    Statement,
    Term,
    Text,
    Texts,
    Variable,
    terms_of,
    texts,
    variable_of,
    variables_of,
    without_lines,
)

_WRITTEN: Mapping[str, str] = {
    "String": "a text between double quotes",
    "List": "a list between square brackets",
    "Agent": "the agent, written `agent: Agent`",
    "Dossier": "the dossier, written `dossier: Dossier`",
}


class Rules:
    """Checks statements one at a time; each mistake is handed to `refuse`."""

    def __init__(self, shapes: Mapping[str, Statement], profiles: Collection[str] | None, refuse: Refuse) -> None:
        """`profiles` is None where they are not all known."""
        self.shapes = shapes
        named = {} if profiles is None else {"profile": profiles}
        self.vocabularies: Mapping[str, Collection[str]] = {**FACT_VOCABULARIES, **named}
        self.refuse = refuse

    def check(self, file: str, statement: Statement) -> None:
        self.head(file, statement)
        self.variables(file, statement)
        types = {p.term.name: p.type for p in statement.parameters if isinstance(p.term, Variable)}
        stands_for = self._stands_for(statement)
        for goal in statement.goals:
            if isinstance(goal, Comparison):
                self._comparison(file, goal, stands_for)
            else:
                self._call(file, goal, types)
            for term in terms_of(goal):
                if isinstance(term, Attribute):
                    self._attribute(file, term, types)

    def head(self, file: str, statement: Statement) -> None:
        name, shape = statement.name, self.shapes.get(statement.name)
        if statement.declares:
            said = f"shapes (`type …`) are declared in {SCHEMA} only."
        elif shape is None:
            said = f"there is no rule named `{name}`.{near(name, self.shapes)}"
        elif home(name) != file:
            said = f"`{name}` is defined in {home(name)} only, not here."
        elif len(statement.parameters) != len(shape.parameters):
            said = f"`{name}` takes {len(shape.parameters)} things, here it has {len(statement.parameters)}."
        elif file in FACT_FILES and not statement.is_fact:
            said = f"a line of {file} states a fact: it cannot have an `if`."
        else:
            for place, (given, wanted) in enumerate(zip(statement.parameters, shape.parameters, strict=True), start=1):
                if not _fits(given.term, given.type, wanted.type):
                    written = _WRITTEN.get(wanted.type, "a text or a variable")
                    self.refuse(file, given.term, f"place {place} of `{name}` must be {written}.")
                if not statement.is_fact:
                    self._words_known(file, variable_of(wanted.term), given.term)
            return
        self.refuse(file, statement, said)

    def variables(self, file: str, statement: Statement) -> None:
        places = dict(reversed([*variables_of(statement)]))  # the first of each
        for name, times in Counter(name for name, _ in variables_of(statement)).items():
            if statement.is_fact:
                said = f'`{name}` is not between double quotes: without them it would match anything. Write "{name}".'
            elif times == 1 and not name.startswith("_"):
                said = f"`{name}` stands only once: is it misspelt? Unused, write `_{name}`."
                said += near(name, [other for other in places if other != name])
            elif times > 1 and name.startswith("_") and name != "_":
                said = f"`{name}` is used, so its name must not begin with `_`."
            else:
                continue
            self.refuse(file, places[name], said)

    def _stands_for(self, statement: Statement) -> Mapping[str, str]:
        """Variable → the fact whose values it takes, as in `kind in dossier.mandates`."""
        shape = self.shapes.get(statement.name)
        pairs = zip(statement.parameters, shape.parameters, strict=False) if shape else ()
        found = {variable_of(given.term): variable_of(wanted.term) for given, wanted in pairs}
        for goal in statement.goals:
            if isinstance(goal, Comparison):
                for fact, other in ((goal.left, goal.right), (goal.right, goal.left)):
                    if isinstance(fact, Attribute):
                        found[variable_of(other)] = fact.name
        return {name: fact for name, fact in found.items() if name and fact in self.vocabularies}

    def _call(self, file: str, goal: Call | Denied, types: Mapping[str, str]) -> None:
        call = goal.call if isinstance(goal, Denied) else goal
        if isinstance(goal, Denied) and file != GATES:
            self.refuse(file, goal, "`not` is refused here: a denial belongs in refusals.polar, as a rule.")
        elif isinstance(goal, Denied) and call.name != "refusal":
            self.refuse(file, goal, "`not` may only stand before `refusal(…)`.")
        shape = self.shapes.get(call.name)
        if shape is None or call.name == SLUGS:
            said = f"there is no rule named `{call.name}`.{near(call.name, self.shapes)}"
            self.refuse(file, call, said)
            return
        if len(call.arguments) != len(shape.parameters):
            said = f"`{call.name}` takes {len(shape.parameters)} things, here it has {len(call.arguments)}."
            self.refuse(file, call, said)
            return
        for place, (given, wanted) in enumerate(zip(call.arguments, shape.parameters, strict=True), start=1):
            if types.get(variable_of(given), "") != wanted.type and wanted.type in READABLE:
                noun = wanted.type.lower()
                self.refuse(file, given, f"place {place} of `{call.name}` must be the {noun} of this rule.")
            self._words_known(file, variable_of(wanted.term), given)

    def _comparison(self, file: str, comparison: Comparison, stands_for: Mapping[str, str]) -> None:
        left, right = comparison.left, comparison.right
        if all(isinstance(side, Text | Texts) for side in (left, right)):
            self.refuse(file, comparison, "this compares two fixed values: it is always true or always false.")
        elif without_lines(left) == without_lines(right):
            self.refuse(file, comparison, "this compares a thing with itself: it is always true.")
        if comparison.operator == "in":
            if isinstance(left, Texts) or isinstance(right, Text):
                self.refuse(file, comparison, 'one word is `in` a list: agent.profile in ["T1", "T2"].')
            elif isinstance(right, Texts) and not right.items:
                self.refuse(file, comparison, "nothing is `in` an empty list: this is never true.")
            elif isinstance(left, Attribute) and left.name == "mandates":
                self.refuse(file, comparison, 'mandates are asked with `in`: "judgment" in dossier.mandates.')
            elif isinstance(right, Attribute) and right.name != "mandates":
                self.refuse(file, comparison, f"`{right.name}` is one word, not a list: nothing is `in` it.")
        for one, other in ((left, right), (right, left)):
            if isinstance(one, Attribute) and comparison.operator == "=":
                if one.name == "mandates":
                    self.refuse(file, comparison, 'mandates are asked with `in`: "judgment" in dossier.mandates.')
                elif isinstance(other, Texts):
                    self.refuse(file, comparison, f"`{one.name}` is one word, never equal to a list: ask with `in`.")
            fact = one.name if isinstance(one, Attribute) else stands_for.get(variable_of(one), "")
            self._words_known(file, fact, other)

    def _words_known(self, file: str, fact: str, term: Term) -> None:
        if fact in self.vocabularies:
            vocabulary = self.vocabularies[fact]
            for text in texts(term):
                if text.value not in vocabulary:
                    said = f"`{text.value}` is never a value of `{fact}`."
                    self.refuse(file, text, f"{said}{near(text.value, vocabulary)}{known(vocabulary)}")

    def _attribute(self, file: str, attribute: Attribute, types: Mapping[str, str]) -> None:
        facts = READABLE.get(types.get(attribute.variable, ""))
        if facts is None:
            said = f"`{attribute.variable}` is not the agent or the dossier of this rule: it has no facts to read."
            self.refuse(file, attribute, said)
        elif attribute.name not in facts:
            said = f"there is no fact `{attribute.variable}.{attribute.name}`.{near(attribute.name, facts)}"
            self.refuse(file, attribute, f"{said}{known(facts)}")


def _fits(term: Text | Texts | Variable, given: str, wanted: str) -> bool:
    if isinstance(term, Text):
        return wanted in ("", "String")
    return wanted == "List" if isinstance(term, Texts) else given == wanted
