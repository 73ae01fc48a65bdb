"""A policy in every situation: what matrix, diff, approval, proofs and replay all rest on.

The domain is finite: each profile of the policy in each of `SITUATIONS`. It is enumerated whole, yet few of its members
need the engine: a policy reads facts through the sandbox only, one after the other, and where it read the same it
decided the same. So decisions form a tree whose branches are the facts in the order in which they were read; values of
a fact that the policy cannot tell apart (`policy.likeness`) share a branch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.model import Facts, Grant
from gateway.policy.engine import Policy
from gateway.policy.likeness import likenesses
from gateway.policy.lint import Row
from gateway.policy.sandbox import PolicyDefect
from gateway.policy.situations import EVERY, SITUATIONS, facts_in, having


@dataclass(slots=True)
class _Branch:
    """The policy reads `fact` here, and goes on by its value, or by the first that it takes for the same."""

    fact: str
    ways: dict[object, _Branch | Grant] = field(default_factory=dict)


class Decisions:
    """The decisions of one policy, each distinct one evaluated once.

    Equal to `Policy.evaluate` for every facts within their vocabularies. One thread's.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.evaluated = 0
        """How often the engine was asked."""
        self._by_action: Mapping[str, _Branch] = defaultdict(lambda: _Branch("profile"))
        self._alike = likenesses(policy.statements)
        self._sets: dict[tuple[str, object], int] = {}

    def of(self, facts: Facts) -> Grant:
        """What `policy` opens for these facts. Raises `PolicyDefect` or an `OsoError` where it is defective."""
        node = self._by_action[facts.action]
        while True:
            found = node.ways.get(self._way(node, facts))
            if found is None:
                return self._evaluated(facts)
            if type(found) is Grant:
                return found
            node = found  # type: ignore[assignment]  # mypy does not narrow `type(…) is`

    def read_for(self, facts: Facts) -> tuple[str, ...]:
        """The names of the facts that this decision rests on, the action apart, in the order in which they are read.

        Raises like `of`.
        """
        return tuple(fact for fact, _ in self._path(facts))

    def alike(self, facts: Facts) -> int:
        """The situations (`policy.situations`) in which this profile is decided as here, for the same facts were read
        and were the same, or as good as. Raises like `of`."""
        found = having("action", [facts.action])
        for fact, way in self._path(facts):
            if fact != "profile":
                found &= self._having(fact, way)
        return found

    def _path(self, facts: Facts) -> Iterator[tuple[str, object]]:
        """Each fact that this decision rests on, in the order in which they are read, and which way it led."""
        self.of(facts)
        node: _Branch | Grant = self._by_action[facts.action]
        while isinstance(node, _Branch):
            way = self._way(node, facts)
            yield node.fact, way
            node = node.ways[way]

    def _having(self, fact: str, way: object) -> int:
        found = self._sets.get((fact, way))
        if found is None:
            likeness = self._alike.get(fact, {way: way})
            found = self._sets[fact, way] = having(fact, [value for value, first in likeness.items() if first == way])
        return found

    def _way(self, node: _Branch, facts: Facts) -> object:
        value = getattr(facts, node.fact)
        alike = self._alike.get(node.fact)
        return value if alike is None else alike.get(value, value)

    def _evaluated(self, facts: Facts) -> Grant:
        grant, seen = self.policy.traced(facts)
        self.evaluated += 1
        node = self._by_action[facts.action]
        ahead = [name for name in seen if name != "profile"]
        for name in ahead:
            node = self._branch(node, facts, name)
        if node.ways.setdefault(self._way(node, facts), grant) is not grant:
            raise PolicyDefect("the policy did not read the same facts twice in the same order")
        return grant

    def _branch(self, node: _Branch, facts: Facts, name: str) -> _Branch:
        found = node.ways.setdefault(self._way(node, facts), _Branch(name))
        if type(found) is Grant or found.fact != name:  # type: ignore[union-attr]
            raise PolicyDefect("the policy did not read the same facts twice in the same order")
        return found  # type: ignore[return-value]


Cell = tuple[str, str]
"""A profile and a rubric's slug."""


@dataclass(frozen=True)
class Openings:
    """What a policy opens: each open cell and the set of situations (`policy.situations`) in which it is open."""

    cells: Mapping[Cell, int]

    def of(self, profile: str, slug: str) -> int:
        """The situations in which the cell is open; 0 where it never is."""
        return self.cells.get((profile, slug), 0)


def openings(policy: Policy, decisions: Decisions | None = None, profiles: Iterable[str] | None = None) -> Openings:
    """The whole domain, or these profiles' part of it, enumerated. Raises like `Decisions.of`."""
    decided = decisions or Decisions(policy)
    cells: dict[Cell, int] = defaultdict(int)
    for profile in policy.profiles if profiles is None else profiles:
        left = EVERY
        while left:
            facts = facts_in(SITUATIONS[(left & -left).bit_length() - 1], profile)
            alike = decided.alike(facts)
            for slug in decided.of(facts).rubrics:
                cells[profile, slug] |= alike
            left &= ~alike
    return Openings(dict(cells))


@dataclass(frozen=True)
class Enumerated:
    """A policy as data, which needs no engine: its words, and what it opens in the whole domain."""

    fingerprint: str
    profiles: Mapping[str, str]
    rows: tuple[Row, ...]
    openings: Openings


def enumerated(policy: Policy) -> Enumerated:
    """This policy. Raises like `Decisions.of`."""
    return Enumerated(policy.fingerprint, policy.profiles, policy.rows, openings(policy))
