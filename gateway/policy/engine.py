"""The decision: facts in, grant out.

`Policy.decide` is total: for any facts it answers with a grant, and whatever goes wrong inside is an empty grant.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cachetools import LRUCache, cached
from polar.variable import Variable

from gateway.model import Facts, Grant, vocabulary_faults
from gateway.policy.lint import Folder, Row
from gateway.policy.sandbox import PolarAgent, PolarDossier, PolicyDefect, StrictOso

DECISIONS_KEPT: Final = 16_384
"""Grants remembered per process, over all policies. A policy has 64 512 distinct facts; few of them ever occur."""

_decisions: LRUCache[tuple[str, Facts], Grant] = LRUCache(DECISIONS_KEPT)
_deciding = threading.Condition()


class Policy:
    """One loaded policy folder. Immutable; several can live side by side and decide independently."""

    def __init__(self, folder: Folder, engine: StrictOso, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.profiles: Mapping[str, str] = folder.profiles
        self.rows: tuple[Row, ...] = folder.rows
        self.slugs = frozenset(row.slug for row in folder.rows)
        self._engine = engine

    def decide(self, facts: Facts) -> Grant:
        """What these facts open. Never raises: a defect of the policy or of the facts opens nothing."""
        try:
            if type(facts) is not Facts or vocabulary_faults(facts):  # asked first: "T1" equals a subclass of str
                raise PolicyDefect("facts outside their vocabulary")
            return self._decided(facts)
        except Exception:  # noqa: BLE001 - whatever fails, nothing opens; oso's texts could quote the facts
            return Grant(frozenset(), denied="fault")

    @cached(_decisions, key=lambda self, facts: (self.fingerprint, facts), condition=_deciding)
    def _decided(self, facts: Facts) -> Grant:
        return self.evaluate(facts)

    def evaluate(self, facts: Facts) -> Grant:
        """The same decision, neither remembered nor checked against the vocabularies.

        Raises `PolicyDefect` or an `OsoError` where the policy is defective.
        """
        agent, dossier = _nouns(facts)
        rules = sorted(set(self._opened(agent, facts.action, dossier)))
        if rules:
            return Grant(frozenset(rule[0] for rule in rules), tuple(rules))
        return Grant(frozenset(), denied=self._first_shut(agent, facts.action, dossier))

    def opens(self, facts: Facts, slug: str) -> bool:
        """Whether `allow_field` grants this one rubric: the ground question, for proofs. May raise like `evaluate`."""
        agent, dossier = _nouns(facts)
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


def _nouns(facts: Facts) -> tuple[PolarAgent, PolarDossier]:
    agent = PolarAgent(facts.profile, facts.partner_kind, facts.convention, facts.engagement, facts.assurance)
    return agent, PolarDossier(sorted(facts.mandates), facts.objection)


def _flat(value: Any) -> Iterator[str]:
    if type(value) is list:
        for part in value:
            yield from _flat(part)
    elif type(value) is str:
        yield value
    else:
        raise PolicyDefect("a rule gave a reason that is not a text")
