"""The decision: facts in, grant out.

`Policy.decide` is total: for any facts it answers with a grant, and whatever goes wrong inside is an empty grant.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cachetools import FIFOCache
from polar.variable import Variable

from gateway.model import Facts, Grant, vocabulary_faults
from gateway.policy.lint import Folder, Row
from gateway.policy.sandbox import PolarAgent, PolarDossier, PolicyDefect, StrictOso

DECISIONS_KEPT: Final = 16_384
"""Grants remembered per process, over all policies. A policy has 64 512 distinct facts; few of them ever occur."""

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
        rules = sorted(set(self._opened(agent, facts.action, dossier)))
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

    def _opened(self, agent: PolarAgent, action: str, dossier: PolarDossier) -> Iterator[tuple[str, ...]]:
        for found in self._engine.found("opens", agent, action, dossier, Variable("slug"), Variable("rules")):
            slug, rules = found["slug"], tuple(_flat(found["rules"]))
            if type(slug) is not str or slug not in self.slugs:
                raise PolicyDefect("the policy opened something that is not a rubric")
            yield (slug, *rules)

    def _first_shut(self, agent: PolarAgent, action: str, dossier: PolarDossier) -> str:
        holds = self._engine.holds
        if agent.profile not in self.profiles:
            return "profile"
        if not holds("convention", agent, Variable("_")):
            return "convention"
        if not holds("engagement", agent, Variable("_")):
            return "engagement"
        if not holds("assurance", agent, action, Variable("_")):
            return "assurance"
        if not holds("entrusted", agent, dossier, Variable("_")):
            return "dossier"
        return "refusal" if holds("refusal", agent, dossier, Variable("_")) else "rubric"


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
