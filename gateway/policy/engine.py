"""The decision: facts in, grant out.

`Policy.decide` is total: for any facts it answers with a grant, and whatever goes wrong inside is an empty grant.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cachetools import FIFOCache
from polar.variable import Variable

from gateway.model import Facts, Grant, vocabulary_faults
from gateway.policy.layout import RULE_BEHIND
from gateway.policy.lint import Folder, Row
from gateway.policy.sandbox import PolarAgent, PolarDossier, PolicyDefect, StrictOso
from gateway.policy.statements import Statement

DECISIONS_KEPT: Final = 16_384
"""Grants remembered per process, over all policies. A policy has 64 512 distinct facts; few of them ever occur."""

CONDITIONS: Final = ("convention", "engagement", "assurance", "dossier")
"""The gates that must be open, of `model.GATES`, each a rule of the policy; `refusal`, behind them, must be shut."""

Trace = Mapping[str, Any]
"""How oso came to one result: a tree of the rules that it went through (`policy.proofs`)."""

_decisions: FIFOCache[tuple[str, Facts], Grant] = FIFOCache(DECISIONS_KEPT)
"""First in, first out: reading it changes nothing in it, so that only writers need the lock."""
_deciding = threading.Lock()


class Policy:
    """One loaded policy folder. Immutable; several can live side by side and decide independently."""

    def __init__(self, folder: Folder, engine: StrictOso, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.profiles: Mapping[str, str] = folder.profiles
        self.rows: tuple[Row, ...] = folder.rows
        self.slugs = frozenset(row.slug for row in folder.rows)
        self.statements: Mapping[str, Sequence[Statement]] = folder.statements
        """What each file says, in its order: for whoever wants to be told where a rule stands."""
        self._engine = engine
        self.evaluated = 0
        """How many decisions were not remembered and had to be made."""

    def decide(self, facts: Facts) -> Grant:
        """What these facts open. Never raises: a defect of the policy or of the facts opens nothing."""
        try:
            key = (self.fingerprint, facts)
            try:
                grant = _decisions[key]
            except KeyError:
                return self._decide_anew(key)
            return grant if _is_plain(facts) else self._decide_anew(key)
        except Exception:  # noqa: BLE001 - whatever fails, nothing opens; oso's texts could quote the facts
            return Grant(frozenset(), denied="fault")

    def _decide_anew(self, key: tuple[str, Facts]) -> Grant:
        facts = key[1]
        if type(facts) is not Facts or vocabulary_faults(facts):
            raise PolicyDefect("facts outside their vocabulary")
        # One at a time: an engine is no faster for several, and whoever asks the same meanwhile finds it decided.
        with _deciding:
            grant = _decisions.get(key)
            if grant is None:
                grant = _decisions[key] = self.evaluate(facts)
                self.evaluated += 1
        return grant

    def decided_last(self, most: int) -> list[Facts]:
        """The facts for which a decision of this policy is remembered, the latest first, at most so many."""
        with _deciding:
            keys = list(_decisions)
        return [facts for named, facts in reversed(keys) if named == self.fingerprint][:most]

    def evaluate(self, facts: Facts) -> Grant:
        """The same decision, neither remembered nor checked against the vocabularies.

        Raises `PolicyDefect` or an `OsoError` where the policy is defective.
        """
        return self.traced(facts)[0]

    def traced(self, facts: Facts) -> tuple[Grant, tuple[str, ...]]:
        """`evaluate`, and the names of the facts it rests on, in the order in which they were first read.

        Whatever agrees with `facts` on these, and on the action, is decided alike: a policy has no other way to a fact.
        """
        seen: list[str] = []
        agent, dossier = _nouns(facts, seen)
        ways = self._engine.found("opens", agent, facts.action, dossier, Variable("slug"), Variable("rules"))
        rules = sorted({self._opened(way) for way in ways})
        if rules:
            grant = Grant(frozenset(rule[0] for rule in rules), tuple(rules))
        else:
            seen.append("profile")
            grant = Grant(frozenset(), denied=self._first_shut(agent, facts.action, dossier))
        return grant, tuple(dict.fromkeys(seen))

    def opens(self, facts: Facts, slug: str) -> bool:
        """Whether `allow_field` grants this one rubric: the ground question, for proofs. May raise like `evaluate`."""
        agent, dossier = _nouns(facts, [])
        return self._engine.holds("allow_field", agent, facts.action, dossier, slug)

    def fields(self, facts: Facts) -> frozenset[str]:
        """Everything that `allow_field` grants, asked for at once; the empty text where that is no text. May raise like
        `evaluate`."""
        agent, dossier = _nouns(facts, [])
        ways = self._engine.found("allow_field", agent, facts.action, dossier, Variable("slug"))
        return frozenset(way["slug"] if type(way["slug"]) is str else "" for way in ways)

    def proved(self, facts: Facts) -> tuple[Grant, Sequence[tuple[tuple[str, ...], Trace]]]:
        """`evaluate`, and for each way in which a rubric is open its rule, as in the grant, and oso's account of it."""
        agent, dossier = _nouns(facts, [])
        asked = ("opens", agent, facts.action, dossier, Variable("slug"), Variable("rules"))
        ways = [(self._opened(way["bindings"]), way["trace"]["trace"]) for way in self._engine.proved(*asked)]
        rules = sorted({rule for rule, _ in ways})
        if not rules:
            return Grant(frozenset(), denied=self._first_shut(agent, facts.action, dossier)), ()
        return Grant(frozenset(rule[0] for rule in rules), tuple(rules)), ways

    def condition(self, gate: str, facts: Facts) -> tuple[Sequence[Trace], tuple[str, ...]]:
        """The ways in which the rule behind one of `CONDITIONS`, or behind the gate `refusal`, holds for these facts,
        as oso tells them, and the names of the facts that it read. May raise like `evaluate`.
        """
        seen: list[str] = []
        agent, dossier = _nouns(facts, seen)
        ways = self._engine.proved(*_asked(gate, agent, facts.action, dossier))
        traces = [way["trace"]["trace"] for way in ways]
        return traces, tuple(dict.fromkeys(seen))

    def _opened(self, found: Mapping[str, Any]) -> tuple[str, ...]:
        slug, rules = found["slug"], tuple(_flat(found["rules"]))
        if type(slug) is not str or slug not in self.slugs:
            raise PolicyDefect("the policy opened something that is not a rubric")
        return (slug, *rules)

    def _first_shut(self, agent: PolarAgent, action: str, dossier: PolarDossier) -> str:
        if agent.profile not in self.profiles:
            return "profile"
        for gate in CONDITIONS:
            if not self._engine.holds(*_asked(gate, agent, action, dossier)):
                return gate
        return "refusal" if self._engine.holds(*_asked("refusal", agent, action, dossier)) else "rubric"


def _asked(gate: str, agent: PolarAgent, action: str, dossier: PolarDossier) -> tuple[Any, ...]:
    """The rule behind a gate, and what it is asked with."""
    of_agent = {"assurance": (agent, action), "convention": (agent,), "engagement": (agent,)}
    return RULE_BEHIND[gate], *of_agent.get(gate, (agent, dossier)), Variable("_")


def _is_plain(facts: Facts) -> bool:
    """Whether facts that equal some within their vocabulary are of the same types: "T1" equals a subclass of str."""
    return (
        type(facts) is Facts
        and type(facts.mandates) is frozenset
        and type(facts.profile)
        is type(facts.partner_kind)
        is type(facts.convention)
        is type(facts.engagement)
        is type(facts.objection)
        is type(facts.assurance)
        is type(facts.action)
        is str
        and all(type(kind) is str for kind in facts.mandates)
    )


def _nouns(facts: Facts, seen: list[str]) -> tuple[PolarAgent, PolarDossier]:
    agent = PolarAgent(facts.profile, facts.partner_kind, facts.convention, facts.engagement, facts.assurance, seen)
    return agent, PolarDossier(sorted(facts.mandates), facts.objection, seen)


def _flat(value: Any) -> Iterator[str]:
    if type(value) is list:
        for part in value:
            yield from _flat(part)
    elif type(value) is str:
        yield value
    else:
        raise PolicyDefect("a rule gave a reason that is not a text")
