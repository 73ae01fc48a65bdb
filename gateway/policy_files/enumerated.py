"""Texts of policies enumerated whole, one or two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from polar.exceptions import OsoError

from gateway.errors import Misconfigured
from gateway.policy.enumeration import Enumerated
from gateway.policy.enumeration import enumerated as policy_enumerated
from gateway.policy.loading import fingerprint
from gateway.policy.sandbox import PolicyDefect
from gateway.policy_files.folder import ROUTES, load_texts


def enumerated(texts: Mapping[str, str]) -> Enumerated:
    """What these texts open, in seconds. Raises `Misconfigured` with everything that is wrong with them."""
    return _enumerated(tuple(sorted(texts.items())))


@lru_cache(maxsize=4)
def _enumerated(texts: tuple[tuple[str, str], ...]) -> Enumerated:
    """Remembered: draft after draft is compared with what is in force."""
    policy = load_texts(dict(texts)).policy
    try:
        return policy_enumerated(policy)
    except (OsoError, PolicyDefect) as defect:
        said = " ".join(str(defect).split())[:200]
        raise Misconfigured([f"policies: not every situation can be decided ({said})."]) from None


def both_enumerated(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Enumerated, Enumerated]:
    """`enumerated` for each of the two. Raises `Misconfigured` with what is wrong with either."""
    if _polar(old) == _polar(new):
        # The route table has no part in any decision.
        once = enumerated(new)
        load_texts(old, proven=True)
        return replace(once, fingerprint=fingerprint(old)), once
    problems: list[str] = []
    found: list[Enumerated] = []
    for texts in (old, new):
        try:
            found.append(enumerated(texts))
        except Misconfigured as error:
            problems += error.problems
    if problems:
        raise Misconfigured(problems)
    first, second = found
    return first, second


def _polar(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name != ROUTES}
