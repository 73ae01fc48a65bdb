"""No grant rests on a fact that is missing or that nobody knows.

Each fact is given what it can never rightly be, in the situations in which a profile sees something. `Policy.decide`
refuses all of it before the policy is asked. Here the policy itself is asked as well, and must not grant either: a
condition that holds for a word nobody knows is one that says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace
from polar.exceptions import OsoError

from gateway.model import FACT_VOCABULARIES, MANDATE_KINDS, Facts, Grant
from gateway.policy.canaries import MOST, WORD
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Decisions
from gateway.policy.layout import ANY_DOSSIER
from gateway.policy.sandbox import PolicyDefect

KNOWN: Final[Mapping[str, Sequence[Any]]] = {**FACT_VOCABULARIES, "mandates": (frozenset[str](),)}
"""What each fact can rightly be. Of the sets of mandates the empty one: no condition holds for want of a mandate."""

REQUIRED: Final = ("convention", "engagement", "assurance", "action")
"""Facts without which nobody sees anything. The others may be without a bearing on what a profile sees."""

STRANGE: Final[Mapping[str, Any]] = {"an empty text": "", "a word that nobody knows": WORD}
STRANGE_MANDATES: Final[Mapping[str, Any]] = {"kinds that nobody knows": frozenset(("", WORD, ANY_DOSSIER))}
MISSING: Final[Mapping[str, Any]] = {"nothing at all": None, "a number": 1, "a truth": True}
UNTYPED: Final[Mapping[str, Any]] = {**MISSING, "a list": [WORD]}
UNTYPED_MANDATES: Final[Mapping[str, Any]] = {
    **MISSING,
    "a text": WORD,
    "a set with nothing in it": frozenset((None,)),
    "a set of numbers": frozenset((1,)),
    "a set of sets": frozenset((frozenset(MANDATE_KINDS),)),
}

_OTHERWISE: Final[Sequence[Mapping[str, Any]]] = (
    {},
    {"assurance": "password"},
    {"assurance": "federated"},
    {"partner_kind": "caf"},
    {"objection": "raised"},
    {"objection": "raised", "partner_kind": "caf"},
)
"""How the other facts are when one is strange, beside the situation in which a profile sees the most: whatever a
profile may see something with."""


@dataclass(frozen=True, slots=True)
class Leak:
    """`profile` opens `rubrics`, in their order, although `fact` is `value`, in words."""

    profile: str
    rubrics: tuple[str, ...]
    fact: str
    value: str


def leaks(decided: Decisions) -> list[Leak]:
    """Every grant that rests on a fact that is missing, of a wrong type or outside its vocabulary.

    The policy must have passed its canaries: what it cannot decide raises here, a `PolicyDefect` or an `OsoError`.
    """
    policy = decided.policy
    return [leak for profile in policy.profiles for leak in (*_decided(policy, profile), *_evaluated(decided, profile))]


def _values(fact: str) -> Mapping[str, Any]:
    return STRANGE_MANDATES if fact == "mandates" else STRANGE


def _untyped(fact: str) -> Mapping[str, Any]:
    return UNTYPED_MANDATES if fact == "mandates" else UNTYPED


def _decided(policy: Policy, profile: str) -> Iterator[Leak]:
    """By the decision that the gateway asks for: whatever is strange is a fault."""
    for fact in FACT_VOCABULARIES:
        for value, given in {**_values(fact), **_untyped(fact)}.items():
            grant = policy.decide(replace(MOST, profile=profile, **{fact: given}))
            if grant != Grant(frozenset(), denied="fault"):
                yield _leak(policy, profile, grant.rubrics, fact, value)


def _evaluated(decided: Decisions, profile: str) -> Iterator[Leak]:
    """By the policy alone."""
    policy, most = decided.policy, replace(MOST, profile=profile)
    for fact in FACT_VOCABULARIES:
        for value, given in _values(fact).items():
            opened: set[str] = set()
            for facts in _around(most, fact):
                opened |= _resting(decided, facts, fact, decided.of(replace(facts, **{fact: given})).rubrics)
            if opened:
                yield _leak(policy, profile, opened, fact, value)
        for value, given in _untyped(fact).items() if fact in decided.read_for(most) else ():
            opened = _resting(decided, most, fact, _open(policy, replace(most, **{fact: given})))
            if opened:
                yield _leak(policy, profile, opened, fact, value)


def _around(most: Facts, fact: str) -> Iterator[Facts]:
    """The situations in which `fact` is looked at. Few for the action: the policy decides by it first of all."""
    for otherwise in _OTHERWISE[:1] if fact == "action" else _OTHERWISE:
        if fact not in otherwise:
            yield replace(most, **otherwise)


def _resting(decided: Decisions, facts: Facts, fact: str, opened: frozenset[str]) -> set[str]:
    """Those of `opened` to which the fact matters: they are shut with a value that it can rightly have.

    But for a refusal: it says when it shuts, never when it does not, and is asked about known words only.
    """
    if fact in REQUIRED:
        return set(opened)
    resting: set[str] = set()
    for word in KNOWN[fact] if opened else ():
        grant = decided.of(replace(facts, **{fact: word}))
        if grant.denied != "refusal":
            resting |= opened - grant.rubrics
    return resting


def _open(policy: Policy, facts: Facts) -> frozenset[str]:
    """What the policy opens; nothing where it fails, for then the decision is a refusal."""
    try:
        return policy.evaluate(facts).rubrics
    except (OsoError, PolicyDefect, TypeError):
        return frozenset()


def _leak(policy: Policy, profile: str, opened: set[str] | frozenset[str], fact: str, value: str) -> Leak:
    return Leak(profile, tuple(row.slug for row in policy.rows if row.slug in opened), fact, value)
