"""Why each rubric is open or closed for one agent before one dossier, and who can see a rubric at all.

Nothing is decided here: what is open, and through which rules, is oso's own account of the decision; what would open
the rest is read off the enumeration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model import MANDATE_KINDS, Facts, Grant
from gateway.policy.engine import CONDITIONS, Policy
from gateway.policy.enumeration import Openings, openings
from gateway.policy.layout import MATRIX, PROFILES, RULE_BEHIND
from gateway.policy.proofs import Place, Proofs
from gateway.policy.situations import HELD, VARIABLES, Words, bits_of, situations
from gateway.policy.statements import calls_of, word

OPEN: Final = "open"
NOT_NAMED: Final = "row"
NEVER: Final = "never"
"""The row names the profile, and yet no situation opens the cell."""
SITUATION: Final = "situation"
"""Others of the profile's rubrics are open now, and this one is in another situation."""


@dataclass(frozen=True)
class GateExplained:
    """A gate that was asked. `holds` says what its rule answered: `refusal` must not hold, every other must.

    `places` are the rules through which it held, or those that could have made it hold; `read` are the facts it rests
    on, as they are.
    """

    gate: str
    holds: bool
    places: tuple[Place, ...]
    read: Mapping[str, str]

    @property
    def passed(self) -> bool:
        return self.holds != (self.gate == "refusal")


@dataclass(frozen=True)
class RubricExplained:
    """One cell in one situation. `why` is `OPEN`, one of the reasons above, or the gate that is shut (`model.GATES`).

    `rules` are the source and the labels of the grant, where it is open. Where it is closed, `needs` is the set of
    situations (`policy.situations`) that share what would have to change, and as little as possible; 0 where nothing
    opens it.
    """

    slug: str
    label: str
    why: str
    places: tuple[Place, ...]
    rules: tuple[tuple[str, ...], ...]
    needs: int

    @property
    def open(self) -> bool:
        return self.why == OPEN


@dataclass(frozen=True)
class Explanation:
    """A decision with its reasons: `grant` is what the gateway decides for these facts."""

    facts: Facts
    grant: Grant
    gates: tuple[GateExplained, ...]
    rubrics: tuple[RubricExplained, ...]


@dataclass(frozen=True)
class Sees:
    """A profile that can see a rubric, and the situations in which it does."""

    profile: str
    label: str
    bits: int


def explain(policy: Policy, facts: Facts) -> Explanation:
    """The decision on `facts`, which are within their vocabularies, told whole. May raise like `Policy.evaluate`."""
    proofs = Proofs(policy)
    grant, ways = policy.proved(facts)
    could = openings(policy, profiles=[facts.profile])
    places: dict[str, dict[Place, None]] = {}
    for rule, trace in ways:
        places.setdefault(rule[0], {}).update(dict.fromkeys(proofs.places(trace)))
    rubrics = []
    for row in policy.rows:
        bits = could.of(facts.profile, row.slug)
        why = OPEN if row.slug in grant.rubrics else _why_closed(grant, bits, facts.profile in row.profiles)
        found = tuple(sorted(places.get(row.slug, (Place(MATRIX, row.line),)), key=lambda place: place.file != MATRIX))
        rules = tuple(rule[1:] for rule in grant.rules if rule[0] == row.slug)
        needs = _nearest(bits, facts) if why != OPEN else 0
        rubrics.append(RubricExplained(row.slug, row.label, why, found, rules, needs))
    return Explanation(facts, grant, tuple(_gates(policy, proofs, facts)), tuple(rubrics))


def who(policy: Policy, slug: str, opened: Openings) -> list[Sees]:
    """The profiles that can see the rubric `slug`, in the policy's order, as `opened`, its enumeration, has them."""
    asked = ((profile, label, opened.of(profile, slug)) for profile, label in policy.profiles.items())
    return [Sees(profile, label, bits) for profile, label, bits in asked if bits]


def _why_closed(grant: Grant, bits: int, named: bool) -> str:
    if bits:
        return grant.denied or SITUATION
    return NEVER if named else NOT_NAMED


def _gates(policy: Policy, proofs: Proofs, facts: Facts) -> list[GateExplained]:
    lines = [s.line for s in policy.statements[PROFILES] if s.is_fact and word(s.parameters[0].term) == facts.profile]
    known = tuple(Place(PROFILES, line) for line in lines)
    gates = [GateExplained("profile", facts.profile in policy.profiles, known, {"profile": facts.profile})]
    for gate in (*CONDITIONS, "refusal"):
        traces, read = policy.condition(gate, facts)
        found = [place for trace in traces for place in proofs.places(trace)]
        places = dict.fromkeys(found) if traces else dict.fromkeys(_could_hold(policy, gate, facts.profile))
        gates.append(GateExplained(gate, bool(traces), tuple(places), {name: _told(facts, name) for name in read}))
    return gates


def _could_hold(policy: Policy, gate: str, profile: str) -> list[Place]:
    """The rules behind a gate, and the lines about this profile that they rest on."""
    everywhere = [(file, statement) for file, found in policy.statements.items() for statement in found]
    rules = [(file, s) for file, s in everywhere if s.name == RULE_BEHIND[gate] and not s.declares]
    called = {name for _, statement in rules for name in calls_of(statement)}
    lines = [
        (file, s)
        for file, s in everywhere
        if s.name in called and s.is_fact and s.parameters and word(s.parameters[0].term) == profile
    ]
    return [Place(file, statement.line) for file, statement in (*rules, *lines)]


def _told(facts: Facts, name: str) -> str:
    value = getattr(facts, name)
    return value if isinstance(value, str) else " ".join(sorted(value))


def _nearest(bits: int, facts: Facts) -> int:
    """What the situations of the set `bits` that differ least from these facts have, as far as they differ from them: a
    set of situations; 0 for the empty set."""
    now = tuple(_word(facts, name) for name in VARIABLES)
    fewest, changes = len(now) + 1, set[tuple[tuple[str, str], ...]]()
    for situation in situations(bits):
        differing = _differing(now, situation)
        if len(differing) < fewest:
            fewest, changes = len(differing), set()
        if len(differing) == fewest:
            changes.add(differing)
    return bits_of((tuple({name: (word,) for name, word in change} for change in changes),)) if changes else 0


def _differing(now: Words, then: Words) -> tuple[tuple[str, str], ...]:
    return tuple((name, new) for name, old, new in zip(VARIABLES, now, then, strict=True) if old != new)


def _word(facts: Facts, variable: str) -> str:
    if variable in MANDATE_KINDS:
        return HELD[variable not in facts.mandates]
    return str(getattr(facts, variable))
