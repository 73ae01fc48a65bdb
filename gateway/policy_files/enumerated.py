"""Texts of policies enumerated whole; two of them side by side, each in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import replace

from polar.exceptions import OsoError

from gateway.errors import Misconfigured
from gateway.policy.enumeration import Enumerated
from gateway.policy.enumeration import enumerated as policy_enumerated
from gateway.policy.loading import fingerprint
from gateway.policy.sandbox import PolicyDefect
from gateway.policy_files.folder import ROUTES, load_texts


def enumerated(texts: Mapping[str, str]) -> Enumerated:
    """What these texts open, in seconds. Raises `Misconfigured` with everything that is wrong with them."""
    policy = load_texts(texts).policy
    try:
        return policy_enumerated(policy)
    except (OsoError, PolicyDefect) as defect:
        said = " ".join(str(defect).split())[:200]
        raise Misconfigured([f"policies: not every situation can be decided ({said})."]) from None


def both_enumerated(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Enumerated, Enumerated]:
    """`enumerated` for each of the two, at the same time. Raises `Misconfigured` with what is wrong with either."""
    if _polar(old) == _polar(new):
        # The route table has no part in any decision.
        once = enumerated(new)
        load_texts(old, proven=True)
        return replace(once, fingerprint=fingerprint(old)), once
    # Not forked: whoever asks may have threads.
    try:
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as two:
            found = list(two.map(_enumerated_or_problems, (dict(old), dict(new))))
    except BrokenExecutor:
        raise Misconfigured(["policies: the process that decided them ended without a result."]) from None
    first, second = found
    if isinstance(first, Enumerated) and isinstance(second, Enumerated):
        return first, second
    raise Misconfigured([problem for one in found if not isinstance(one, Enumerated) for problem in one])


def _polar(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name != ROUTES}


def _enumerated_or_problems(texts: Mapping[str, str]) -> Enumerated | tuple[str, ...]:
    """In the child: exceptions with several arguments do not travel between processes."""
    try:
        return enumerated(texts)
    except Misconfigured as error:
        return error.problems
