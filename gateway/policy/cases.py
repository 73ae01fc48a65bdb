"""Tests of a policy: decision tables and promises, and what they say of one policy.

A *case* names situations and the exact rubrics that each of them opens, or the gate that stays shut. A *promise* is
about every situation there is, but for those it leaves out: it is held against the whole enumerated domain.

Polar's own inline queries (`?=`) are not among them: oso runs them while it loads a text, whatever they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model import MANDATE_KINDS, Facts, Grant
from gateway.policy.anatomy import Anatomy
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Openings
from gateway.policy.layout import MATRIX, PROFILES, RULE_BEHIND
from gateway.policy.situations import EVERY, Words, facts_in, situations
from gateway.policy.statements import words

Decide = Callable[[Facts], Grant]
CodeOf = Callable[[Grant, Facts], str]
"""The code (`GW…`) that an empty grant goes out with."""


@dataclass(frozen=True, slots=True)
class Case:
    """Each of `facts` opens exactly `opens`; or nothing, at the gate `refused`, outwardly `code` ("": not said)."""

    file: str
    line: int
    name: str
    facts: tuple[Facts, ...]
    opens: frozenset[str]
    refused: str
    code: str

    def kept(self, grant: Grant, facts: Facts, code_of: CodeOf) -> bool:
        """Whether `grant` is what the case wants for `facts`, one of its own."""
        if grant.rubrics != self.opens:
            return False
        if self.refused and grant.denied != self.refused:
            return False
        return not self.code or code_of(grant, facts) == self.code


@dataclass(frozen=True, slots=True)
class Promise:
    """In all of `situations` (a set of `policy.situations`) each of these cells is open (`always`), or none is."""

    file: str
    line: int
    name: str
    profiles: tuple[str, ...]
    rubrics: tuple[str, ...]
    situations: int
    always: bool

    def broken_in(self, profile: str, slug: str, opened: int) -> int:
        """The situations in which a cell that is open in `opened` breaks the promise."""
        if profile not in self.profiles or slug not in self.rubrics:
            return 0
        return self.situations & (EVERY & ~opened if self.always else opened)

    def broken(self, openings: Openings) -> Iterator[tuple[str, str, int]]:
        """Each cell that breaks the promise, and where."""
        for profile in self.profiles:
            for slug in self.rubrics:
                bits = self.broken_in(profile, slug, openings.of(profile, slug))
                if bits:
                    yield profile, slug, bits


@dataclass(frozen=True, slots=True)
class Suite:
    """All the tests of a folder, in the order of its files."""

    cases: tuple[Case, ...]
    promises: tuple[Promise, ...]

    def situations(self) -> Iterator[tuple[Case, Facts]]:
        """Each situation of each case."""
        for case in self.cases:
            for facts in case.facts:
                yield case, facts


@dataclass(frozen=True, slots=True)
class Failure:
    """One situation in which the policy does not do what a test wants. `decided` says by which rules or gate."""

    situation: str
    wanted: str
    got: str
    decided: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one test: `failures` holds the first of `failed`; `tried` situations or cells were looked at."""

    test: Case | Promise
    tried: int
    failed: int
    failures: tuple[Failure, ...]


MOST_FAILURES: Final = 3
"""Of one test. The others look alike."""


class Judge:
    """Holds tests against one policy."""

    def __init__(self, policy: Policy, decide: Decide, code_of: CodeOf, rules: Anatomy) -> None:
        self._decide = decide
        self._code_of = code_of
        self._rows = {row.slug: row for row in policy.rows}
        self._rules = rules

    def case(self, case: Case) -> Verdict:
        """Raises like `decide`."""
        wrong = [facts for facts in case.facts if not case.kept(self._decide(facts), facts, self._code_of)]
        return Verdict(
            case, len(case.facts), len(wrong), tuple(self._unmet(case, facts) for facts in wrong[:MOST_FAILURES])
        )

    def promise(self, promise: Promise, openings: Openings) -> Verdict:
        """Raises like `decide`."""
        broken = list(promise.broken(openings))
        shown = tuple(self._broken(promise, *cell) for cell in broken[:MOST_FAILURES])
        return Verdict(promise, len(promise.profiles) * len(promise.rubrics), len(broken), shown)

    def _unmet(self, case: Case, facts: Facts) -> Failure:
        grant = self._decide(facts)
        wanted = listed(case.opens) if case.opens else _refusal(case.refused, case.code)
        decided = [self._opened_by(rule) for rule in grant.rules if rule[0] not in case.opens]
        if grant.rubrics:
            decided += [self._closed_by(slug, facts) for slug in sorted(case.opens - grant.rubrics)]
        else:
            decided.append(self.shut_by(grant.denied, facts))
        return Failure(spoken(facts), wanted, self._got(grant, facts), tuple(decided))

    def _broken(self, promise: Promise, profile: str, slug: str, bits: int) -> Failure:
        facts = facts_in(max(situations(bits), key=likeness), profile)
        grant = self._decide(facts)
        if not promise.always:
            decided = [self._opened_by(rule) for rule in grant.rules if rule[0] == slug]
        else:
            decided = [self._closed_by(slug, facts) if grant.rubrics else self.shut_by(grant.denied, facts)]
        wanted = f"{slug} {'open' if promise.always else 'closed'}"
        got = f"{slug} {'closed' if promise.always else 'open'} in {bits.bit_count()} situations, as in this one"
        return Failure(spoken(facts), wanted, got, tuple(decided))

    def _got(self, grant: Grant, facts: Facts) -> str:
        return listed(grant.rubrics) if grant.rubrics else _refusal(grant.denied, self._code_of(grant, facts))

    def _opened_by(self, rule: Sequence[str]) -> str:
        slug, source, *labels = rule
        return f"{slug}: opened by {self._row(slug)} ({source}), with {', '.join(labels)}"

    def _closed_by(self, slug: str, facts: Facts) -> str:
        if facts.profile in self._rows[slug].profiles:
            return f"{slug}: {self._row(slug)} names {facts.profile}, but gates.polar does not open it here"
        return f"{slug}: {self._row(slug)} does not name {facts.profile}"

    def shut_by(self, gate: str, facts: Facts) -> str:
        """Which lines shut a gate for these facts."""
        if gate == "profile":
            return f"{PROFILES} has no line for {facts.profile}"
        if gate == "rubric":
            rows = f"no row of {MATRIX} names {facts.profile}"
            named = any(facts.profile in row.profiles for row in self._rows.values())
            return rows if not named else f"{self._lines('opens')} opens nothing for the action {facts.action}"
        line = self._rules.dossiers(facts.profile) if gate == "dossier" else None
        if line is not None:
            kinds = " or ".join(words(line.parameters[1][0].term))
            return f"the gate dossier is shut: {line.where} lets {facts.profile} in by {kinds} only"
        return f"the gate {gate} is shut: {self._lines(RULE_BEHIND.get(gate, gate))}"

    def _lines(self, name: str) -> str:
        rules = self._rules.named(name)
        places = ", ".join(rule.where for rule in rules)
        return f"{places} ({name})" if rules else name

    def _row(self, slug: str) -> str:
        return f"{MATRIX}:{self._rows[slug].line}"


def likeness(situation: Words) -> int:
    """How many words a situation has in common with the ordinary one. Of several, a reader understands the likest."""
    return sum(word == usual for word, usual in zip(situation, _ORDINARY, strict=True))


_ORDINARY: Final = (
    *("external", "in_force", "signed"),
    *("not_held" for _ in MANDATE_KINDS),
    *("none", "password", "consult"),
)


def listed(slugs: frozenset[str]) -> str:
    """The rubrics in alphabetical order, or that there are none."""
    return ", ".join(sorted(slugs)) or "nothing"


def _refusal(gate: str, code: str) -> str:
    return "refused" + (f" at the gate {gate}" if gate else "") + (f" ({code})" if code else "")


def spoken(facts: Facts) -> str:
    """The situation in one line."""
    mandates = ", ".join(sorted(facts.mandates)) or "none"
    return (
        f"{facts.profile}, partner {facts.partner_kind}, convention {facts.convention}, engagement {facts.engagement}, "
        f"mandates {mandates}, objection {facts.objection}, assurance {facts.assurance}, action {facts.action}"
    )
