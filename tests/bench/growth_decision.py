"""What a decision costs by itself, in this process: cache hit, miss, and how often a policy is asked."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

from gateway.model import MANDATE_KINDS, OBJECTION_STATES, Facts, Grant
from gateway.policy.canaries import LACKING, MOST
from gateway.policy.engine import Policy
from gateway.policy.lint import FILES, read_folder
from gateway.policy.sandbox import StrictOso
from gateway.policy_files.folder import load_texts, read, shipped
from tests.bench.growth_seeding import with_rows
from tests.bench.growth_verdict import Point

THREADS = 8


def load_seconds(rows: int) -> float:
    """Seconds that a folder of so many rows takes to be read, checked, proved with its canaries and put in force."""
    texts = with_rows(read(shipped()), rows)
    began = time.perf_counter()
    load_texts(texts)
    return time.perf_counter() - began


def unproved(rows: int) -> Policy:
    """A policy of so many rows, loaded without asking its canaries: with 2 000 rows they take 5 s."""
    texts = {name: text for name, text in with_rows(read(shipped()), rows).items() if name in FILES}
    folder, problems = read_folder(texts)
    if folder is None:
        raise SystemExit(f"the generated policies are refused: {problems[0]}")
    return Policy(folder, StrictOso(texts), f"bench-{rows}")


def misses(sizes: Sequence[int]) -> list[Point]:
    """What a miss costs as the table grows, for T6 with everything in order."""
    facts = like(MOST, profile="T6")
    return [Point(rows, _fastest(unproved(rows).evaluate, facts, times=3 if rows > 500 else 20)) for rows in sizes]


def hits(sizes: Sequence[int]) -> list[Point]:
    """What a hit costs as the table grows, for the same facts in another value each time, as requests bring them."""
    found = []
    for rows in sizes:
        policy = unproved(rows)
        policy.decide(like(MOST, profile="T6"))
        best = math.inf
        for _ in range(5):
            # Made afresh: a set that has been hashed once remembers its hash.
            many = [like(MOST, profile="T6", mandates=frozenset(MANDATE_KINDS)) for _ in range(10_000)]
            best = min(best, _seconds_of_all(policy.decide, many) / len(many))
        found.append(Point(rows, best * 1e6))
    return found


def worst_miss(policy: Policy) -> tuple[float, Facts]:
    """The facts that take the shipped policies longest, and how long at best, in µs: every profile, every set of
    mandates, with and without an objection, and everything that can be lacking."""
    candidates = list(_situations(policy))
    # Looked at three times: of one look each, the eight that a neighbour disturbed are slower than any.
    slowest = sorted(candidates, key=lambda facts: _fastest(policy.evaluate, facts, times=3), reverse=True)[:8]
    return max(((_fastest(policy.evaluate, facts, times=30), facts) for facts in slowest), key=lambda found: found[0])


def asked_twice(policy: Policy) -> int:
    """How many distinct facts were evaluated more than once while threads decided about each of them, all at once."""
    everything = [facts for facts in _situations(policy) if facts.mandates in (frozenset(), MOST.mandates)] * 4
    asked: Counter[Facts] = Counter()
    evaluate = Policy.evaluate

    def counted(self: Policy, facts: Facts) -> Grant:
        asked[facts] += 1
        return evaluate(self, facts)

    with patch.object(Policy, "evaluate", counted), ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(policy.decide, everything))
    if set(asked) != set(everything):
        raise SystemExit("some facts were answered without having been decided")
    return sum(times > 1 for times in asked.values())


def like(facts: Facts, **changes: object) -> Facts:
    """The same facts but for these: a value of its own each time, as requests bring them."""
    return Facts(**{**{name: getattr(facts, name) for name in Facts.__annotations__}, **changes})


def _situations(policy: Policy) -> Iterator[Facts]:
    sets = [
        frozenset(kinds)
        for size in range(len(MANDATE_KINDS) + 1)
        for kinds in itertools.combinations(MANDATE_KINDS, size)
    ]
    for profile in (*policy.profiles, "T7"):
        for mandates, objection in itertools.product(sets, OBJECTION_STATES):
            yield like(MOST, profile=profile, mandates=mandates, objection=objection)
        for lacking in LACKING.values():
            if "__canary__" not in (lacking.convention, lacking.engagement, lacking.assurance, lacking.action):
                yield like(lacking, profile=profile)


def _fastest(decide: Callable[[Facts], Grant], facts: Facts, *, times: int) -> float:
    """The best of so many, in µs: what it costs when nobody else disturbs."""
    return min(_seconds_of_all(decide, [facts]) for _ in range(times)) * 1e6


def _seconds_of_all(decide: Callable[[Facts], Grant], many: Sequence[Facts]) -> float:
    began = time.perf_counter()
    for facts in many:
        decide(facts)
    return time.perf_counter() - began


def written(folder: Path, rows: int) -> Path:
    """A folder of policies with so many rows, for a gateway to serve."""
    folder.mkdir()
    for name, text in with_rows(read(shipped()), rows).items():
        (folder / name).write_text(text)
    return folder
