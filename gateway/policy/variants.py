"""Policies that nobody wrote: the tested one with something changed, to find out what its tests would notice.

They are never put in force: neither the lint nor the canaries have seen them.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import Misconfigured
from gateway.policy.anatomy import Anatomy, Rule
from gateway.policy.engine import Policy
from gateway.policy.grammar import read
from gateway.policy.layout import FILES, GATES, MATRIX
from gateway.policy.lint import Folder
from gateway.policy.sandbox import StrictOso
from gateway.policy.statements import (
    Attribute,
    Call,
    Comparison,
    Denied,
    Goal,
    Term,
    Text,
    Texts,
    Variable,
    terms_of,
    variable_of,
)
from gateway.policy.tokens import Unreadable


def variant(policy: Policy, texts: Mapping[str, str]) -> Policy:
    """`policy` with other texts, its statements only where they are within the grammar.

    Raises `PolicyDefect` or an `OsoError` where oso does not take them.
    """
    engine = StrictOso({name: texts[name] for name in FILES})
    try:
        statements = {name: read(name, texts[name]) for name in FILES}
    except Unreadable:  # as `not (… or …)`
        statements = {}
    return Policy(Folder(policy.profiles, policy.rows, statements), engine, policy.fingerprint)


def widened(policy: Policy, texts: Mapping[str, str], rules: Anatomy) -> Policy:
    """`policy` with every row naming every profile.

    What it opens for some facts is what each row *would* open if it named the profile, and so the policy in which one
    cell is opened opens what it did and, where this one opens that rubric too, that rubric; the policy in which one
    cell is closed opens what it did without that rubric. This is exact as long as a row's list of profiles has one use
    alone, whether it names the agent's profile, and only for that row's rubric. Raises `Misconfigured` where the rules
    put it to another use.
    """
    if not _lists_only_open_their_row(rules):
        raise Misconfigured(
            [f"{GATES}: rows are used for more than `profile in profiles`; cells cannot be judged singly."]
        )
    everyone = ", ".join(f'"{profile}"' for profile in policy.profiles)
    rows = (f'rubric("{row.slug}", "{row.label}", [{everyone}], "{row.source}");' for row in policy.rows)
    return variant(policy, {**texts, MATRIX: "\n".join(rows)})


def _lists_only_open_their_row(rules: Anatomy) -> bool:
    users = [(rule, goal) for rule in rules.rules for goal in _goals(rule) if _is_call(goal, "rubric")]
    if len(users) != 1 or users[0][0].name != "opens" or users[0][0].statement.has_alternatives:
        return False
    rule, row = users[0]
    slug, _, profiles, _ = (variable_of(term) for term in terms_of(row))
    slugs_opened = variable_of(rule.parameters[rules.shapes["opens"].index("slug")][0].term)
    uses = [goal for goal in _goals(rule) if goal is not row and profiles in _names(goal)]
    return bool(slug) and slug == slugs_opened and len(uses) == 1 and _asks_for_own_profile(rule, uses[0], profiles)


def _asks_for_own_profile(rule: Rule, goal: Goal, profiles: str) -> bool:
    """Whether `goal` is `agent.profile in profiles`, or the same with a variable that is equal to `agent.profile`."""
    if not isinstance(goal, Comparison) or goal.operator != "in" or variable_of(goal.right) != profiles:
        return False
    if _is_profile(goal.left):
        return True
    own = [
        goal.right if _is_profile(goal.left) else goal.left
        for goal in _goals(rule)
        if isinstance(goal, Comparison) and goal.operator == "=" and any(map(_is_profile, terms_of(goal)))
    ]
    return bool(variable_of(goal.left)) and variable_of(goal.left) in map(variable_of, own)


def _goals(rule: Rule) -> list[Goal]:
    return [placed.goal for placed in rule.goals]


def _is_call(goal: Goal, name: str) -> bool:
    return name == (goal.name if isinstance(goal, Call) else goal.call.name if isinstance(goal, Denied) else "")


def _is_profile(term: Term) -> bool:
    return isinstance(term, Attribute) and term.name == "profile"


def _names(goal: Goal) -> set[str]:
    parts = [part for term in terms_of(goal) for part in (term.items if isinstance(term, Texts) else (term,))]
    return {part.name if isinstance(part, Variable) else part.variable for part in parts if not isinstance(part, Text)}
