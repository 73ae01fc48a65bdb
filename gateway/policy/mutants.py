"""Each single change of the rules of a policy that would open or close something: what its tests must notice.

Cells are not here: `policy.survival` judges them without changing a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model import FACT_VOCABULARIES, MANDATE_KINDS
from gateway.policy.anatomy import DOSSIERS, Anatomy, PlacedGoal, Rule, Span
from gateway.policy.conditions import Asked, always_holds, asked
from gateway.policy.layout import ANY_DOSSIER, CONDITIONS, GATES, REFUSALS
from gateway.policy.statements import Attribute, Call, Comparison, Denied, Text, Texts, Variable, terms_of, word, words

LOOKED_UP: Final = ("profile", "rubric", DOSSIERS)
"""Rules that are tables: a call of one finds a line, it is no condition."""
NEVER: Final = '"-" = "+"'


@dataclass(frozen=True, slots=True)
class RuleMutant:
    """A change of one rule: where, what it would mean, and the changed text of that file.

    `about` says which facts with which words it is likely to be noticed with.
    """

    file: str
    line: int
    said: str
    text: str
    about: Mapping[str, frozenset[str]]


def rule_mutants(texts: Mapping[str, str], rules: Anatomy, profiles: Iterable[str]) -> Iterator[RuleMutant]:
    """Every change of the conditions, the refusals, the gates and the `dossiers` lines, each of them once."""
    seen = {name: {text} for name, text in texts.items()}
    for rule in rules.rules:
        for mutant in _changed(texts[rule.file], rule, rules, tuple(profiles)):
            if mutant.text not in seen[rule.file]:
                seen[rule.file].add(mutant.text)
                yield mutant


def _changed(text: str, rule: Rule, rules: Anatomy, profiles: tuple[str, ...]) -> Iterator[RuleMutant]:
    if rule.name == DOSSIERS:
        yield from _dossiers(text, rule)
    elif rule.goals and rule.file in (CONDITIONS, REFUSALS, GATES) and not rule.name.startswith("allow"):
        yield from _head(text, rule, rules)
        if rule.file != GATES:
            body = _body(text, rule)
            yield _mutant(text, rule, body, f"({body.of(text)}) and {NEVER}", "did not count", {})
        by_goal = {condition.placed: condition for condition in asked(rule)}
        for placed in rule.goals:
            condition = by_goal.get(placed)
            yield from (
                _words(text, rule, condition, profiles)
                if condition
                else _condition(text, rule, placed, rules, profiles)
            )


def _body(text: str, rule: Rule) -> Span:
    """What stands after the `if`."""
    after = rule.parameters[-1][1].end if rule.parameters else rule.name_span.end
    start = text.index("if", after) + len("if")
    return Span(start + len(text[start:]) - len(text[start:].lstrip()), rule.whole.end)


def _mutant(
    text: str, rule: Rule, span: Span, by: str, said: str, about: Mapping[str, Iterable[str]], line: int = 0
) -> RuleMutant:
    kept = {fact: frozenset(found) for fact, found in about.items()}
    sentence = f"if {rule.file}:{line or rule.statement.line} (`{rule.name}`) {said}"
    return RuleMutant(rule.file, line or rule.statement.line, sentence, span.replaced(text, by), kept)


# -------------------------------------------------------------------- dossiers("T9", ["judgment", "masp"], "…")


def _dossiers(text: str, rule: Rule) -> Iterator[RuleMutant]:
    profile, kinds = word(rule.parameters[0][0].term), words(rule.parameters[1][0].term)
    about = {"profile": {profile}}

    def changed(to: Iterable[str], said: str, kind: str = "") -> RuleMutant:
        near = {**about, "mandates": {kind}} if kind else about
        return _mutant(text, rule, rule.parameters[1][1], _list(to), said, near)

    if ANY_DOSSIER in kinds:
        yield changed(MANDATE_KINDS, f"wanted some mandate of {profile}")
        return
    yield changed([ANY_DOSSIER], f"let {profile} open any dossier")
    for kind in kinds:
        yield changed([one for one in kinds if one != kind], f"did not let {profile} in by {kind}", kind)
    for kind in MANDATE_KINDS:
        if kind not in kinds:
            yield changed([*kinds, kind], f"also let {profile} in by {kind}", kind)


# -------------------------------------------------------------------- agent.convention = "in_force"


def _words(text: str, rule: Rule, condition: Asked, profiles: tuple[str, ...]) -> Iterator[RuleMutant]:
    fact, mine, others = condition.fact, condition.words, condition.others(profiles)
    placed = condition.placed

    def changed(by: str, said: str, found: Iterable[str]) -> RuleMutant:
        return _mutant(text, rule, placed.span, by, said, {fact: found}, placed.line)

    if fact == "mandates":
        yield changed(_held(placed), f"did not ask: {placed.span.of(text)}", others)
        yield changed(f"not ({placed.span.of(text)})", f"asked the contrary of: {placed.span.of(text)}", mine)
        for kind in others:
            yield changed(f'"{kind}" in {condition.variable}.{fact}', f"asked for {kind}", (kind,))
        return

    def among(found: Iterable[str]) -> str:
        return f"{condition.variable}.{fact} in {_list(found)}"

    if others:  # else the condition asks for nothing today
        yield changed(_held(placed), f"did not ask: {placed.span.of(text)}", others)
    yield changed(among(others), f"asked the contrary of: {placed.span.of(text)}", mine)
    for one in mine if len(mine) > 1 else ():
        yield changed(among(w for w in mine if w != one), f"did not take {one} for {fact}", (one,))
    for one in others if len(others) > 1 else ():
        yield changed(among((*mine, one)), f"also took {one} for {fact}", (one,))


# -------------------------------------------------------------------- entrusted(agent, dossier, reason), not refusal(…)


def _condition(
    text: str, rule: Rule, placed: PlacedGoal, rules: Anatomy, profiles: tuple[str, ...]
) -> Iterator[RuleMutant]:
    goal, written = placed.goal, placed.span.of(text)
    if (isinstance(goal, Comparison) and _binds(goal)) or (isinstance(goal, Call) and goal.name in LOOKED_UP):
        return
    dropped, contrary, needed = _held(placed), f"not ({written})", True
    if isinstance(goal, Denied):
        contrary = written.removeprefix("not").lstrip()
    elif isinstance(goal, Call):
        found = _answers(goal, rule)
        given = "".join(f' and {name} = "-"' for name in found)
        arguments = ", ".join("_" if _name(term) in found else _written(term) for term in goal.arguments)
        dropped, contrary = f"{_held(placed, but=found)}{given}", f"not {goal.name}({arguments}){given}"
        needed = not any(always_holds(one, rules.shapes[one.name], profiles) for one in rules.named(goal.name))
    if needed:  # else the condition asks for nothing today
        yield _mutant(text, rule, placed.span, dropped, f"did not ask: {written}", {}, placed.line)
    yield _mutant(text, rule, placed.span, contrary, f"asked the contrary of: {written}", {}, placed.line)


def _binds(goal: Comparison) -> bool:
    """Whether the goal only gives a name to something, as in `labels = [in_force, signed]`."""
    one, other = goal.left, goal.right
    return goal.operator == "=" and any(
        isinstance(a, Variable) and not isinstance(b, Text) for a, b in ((one, other), (other, one))
    )


def _answers(goal: Call, rule: Rule) -> list[str]:
    """The variables that a call fills in: neither of the head's nouns nor of another goal before it."""
    known = {_name(parameter.term) for parameter, _ in rule.parameters}
    for placed in rule.goals:
        if placed.goal is goal:
            break
        known |= {_name(term) for term in terms_of(placed.goal)}
    return [_name(term) for term in goal.arguments if _name(term) not in known | {"", "_"}]


def _held(placed: PlacedGoal, but: Iterable[str] = ()) -> str:
    """A condition that always holds and names the same variables: oso takes one that stands once for a slip."""
    names = dict.fromkeys(name for term in terms_of(placed.goal) for name in _variables(term))
    left = ", ".join(name for name in names if name != "_" and name not in but)
    return f"[{left}] = [{left}]" if left else '"-" = "-"'


def _head(text: str, rule: Rule, rules: Anatomy) -> Iterator[RuleMutant]:
    for (parameter, span), name in zip(rule.parameters, rules.shapes[rule.name], strict=True):
        if isinstance(parameter.term, Text) and name in FACT_VOCABULARIES:
            others = {one for one in FACT_VOCABULARIES[name] if one != parameter.term.value}
            yield _mutant(text, rule, span, "_any: String", f"held whatever the {name}", {name: others})


def _list(found: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{one}"' for one in found) + "]"


def _name(term: object) -> str:
    return term.name if isinstance(term, Variable) else ""


def _variables(term: object) -> list[str]:
    if isinstance(term, Texts):
        return [item.name for item in term.items if isinstance(item, Variable)]
    return [term.variable] if isinstance(term, Attribute) else [_name(term)] if _name(term) else []


def _written(term: object) -> str:
    if isinstance(term, Text):
        return f'"{term.value}"'
    if isinstance(term, Texts):
        return "[" + ", ".join(map(_written, term.items)) + "]"
    return f"{term.variable}.{term.name}" if isinstance(term, Attribute) else _name(term)
