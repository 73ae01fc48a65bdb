"""From a decision to a refusal: which class says why a grant is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.errors import (
    AssuranceTooLow,
    ConventionAbsent,
    ConventionExpired,
    ConventionSuspended,
    EngagementMissing,
    EngagementOutdated,
    NotEntrusted,
    NotOpen,
    Objected,
    PolicyUnavailable,
    Refusal,
)
from gateway.model import Facts, Grant

_BY_GATE: Final[Mapping[str, type[Refusal]]] = {
    "fault": PolicyUnavailable,
    "profile": NotOpen,
    "assurance": AssuranceTooLow,
    "dossier": NotEntrusted,
    "refusal": Objected,
    "rubric": NotOpen,
}
_BY_STATE: Final[Mapping[tuple[str, str], type[Refusal]]] = {
    ("convention", "none"): ConventionAbsent,
    ("convention", "suspended"): ConventionSuspended,
    ("convention", "expired"): ConventionExpired,
    ("engagement", "missing"): EngagementMissing,
    ("engagement", "outdated"): EngagementOutdated,
}


def refusal_of(grant: Grant, facts: Facts) -> Refusal:
    """The refusal that an empty grant means for the agent of these facts."""
    if grant.denied in ("convention", "engagement"):
        kind = _BY_STATE.get((grant.denied, getattr(facts, grant.denied)), NotOpen)
    else:
        kind = _BY_GATE.get(grant.denied, PolicyUnavailable)
    return kind(f"the gate `{grant.denied}` is shut")
