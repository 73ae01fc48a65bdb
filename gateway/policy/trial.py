"""A policy on trial: its tests, what they exercise, and what they would not notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.policy.anatomy import anatomy
from gateway.policy.cases import CodeOf, Judge, Suite, Verdict
from gateway.policy.coverage import Examined, Point, coverage
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Decisions, Openings, openings
from gateway.policy.survival import Survival, survival
from gateway.policy.variants import widened


@dataclass(frozen=True, slots=True)
class Trial:
    """`verdicts` in the order of the tests. `coverage` and `survival` are None where they were not asked for."""

    verdicts: tuple[Verdict, ...]
    coverage: tuple[Point, ...] | None
    survival: Survival | None
    """None also where a test failed: what the tests notice can be told of a policy only that they are kept by."""

    @property
    def failed(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.failed]


def trial(
    policy: Policy, texts: Mapping[str, str], suite: Suite, code_of: CodeOf, *, covered: bool, mutated: bool
) -> Trial:
    """Hold `policy`, loaded from `texts`, against its tests.

    Raises `Misconfigured` where cells cannot be judged singly (`variants.widened`), and like `Policy.evaluate`.
    """
    rules = anatomy(texts)
    decisions = Decisions(policy)
    judge = Judge(policy, decisions.of, code_of, rules)
    verdicts = [judge.case(case) for case in suite.cases]
    opened = openings(policy, decisions) if suite.promises else Openings({})
    verdicts += [judge.promise(promise, opened) for promise in suite.promises]
    points = survived = None
    if covered or mutated:
        examined = Examined(policy, texts, rules, suite, decisions, Decisions(widened(policy, texts, rules)))
        points = tuple(coverage(examined)) if covered else None
        kept = not any(verdict.failed for verdict in verdicts)
        survived = survival(examined, code_of) if mutated and kept else None
    return Trial(tuple(verdicts), points, survived)
