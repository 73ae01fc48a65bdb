"""The nouns everyone shares: closed vocabularies, the facts a decision rests on, and what it opens.

Words and vocabularies are the domain's. Everything here is frozen and free of personal data: facts are states
and kinds, never dates, names or numbers, so that a decision is a pure function of a small value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NewType

import msgspec

PARTNER_KINDS: Final = ("caf", "external")
CONVENTION_STATES: Final = ("in_force", "suspended", "expired", "none")
ENGAGEMENT_STATES: Final = ("signed", "outdated", "missing")
MANDATE_KINDS: Final = ("judgment", "masp", "direct_payment", "instruction")
OBJECTION_STATES: Final = ("none", "raised")
ASSURANCES: Final = ("password", "second_factor", "federated")
ACTIONS: Final = ("consult", "message")

ALWAYS: Final = "always"
"""The label of a part that every granted answer carries."""
THE_NUMBER: Final = "number"
"""The label of the part that says which dossier this is: always there, and it must be the one that was asked for."""
NEVER: Final = "never"
"""The label of a part that no profile can open."""

DossierNumber = NewType("DossierNumber", str)
"""A *numéro allocataire*: seven ASCII digits, leading zeros kept. Only `dossier_number` makes one."""

_SEVEN_DIGITS: Final = re.compile(r"[0-9]{7}")


def dossier_number(text: str) -> DossierNumber | None:
    """The dossier number written as `text`, or None where it is not seven ASCII digits."""
    return DossierNumber(text) if _SEVEN_DIGITS.fullmatch(text) else None


class Facts(msgspec.Struct, frozen=True):
    """All that a decision rests on. Two equal values are decided alike, for ever. (A Struct: made and compared for each
    request, at a quarter of a dataclass's price.)

    `profile` is any text: a profile that no policy names opens nothing. Every other field is a word of the closed
    vocabulary above it; `vocabulary_faults` says where one is not.
    """

    profile: str
    partner_kind: str
    convention: str
    engagement: str
    mandates: frozenset[str]
    objection: str
    assurance: str
    action: str


FACT_VOCABULARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "partner_kind": PARTNER_KINDS,
    "convention": CONVENTION_STATES,
    "engagement": ENGAGEMENT_STATES,
    "mandates": MANDATE_KINDS,
    "objection": OBJECTION_STATES,
    "assurance": ASSURANCES,
    "action": ACTIONS,
}


def vocabulary_faults(facts: Facts) -> list[str]:
    """The names of the facts that are missing, of the wrong type or outside their vocabulary."""
    faults = [] if type(facts.profile) is str else ["profile"]
    for name, words in FACT_VOCABULARIES.items():
        value = getattr(facts, name)
        if name == "mandates":
            understood = type(value) is frozenset and all(type(kind) is str and kind in words for kind in value)
        else:
            understood = type(value) is str and value in words
        if not understood:
            faults.append(name)
    return faults


@dataclass(frozen=True, slots=True)
class Grant:
    """What the policies open for one set of facts.

    `rubrics` are slugs. `rules` has one tuple for each of them: the slug, the source row, then the labels of the
    conditions that held. An empty grant carries `denied`, the first gate that stayed shut (one of `GATES`).
    """

    rubrics: frozenset[str]
    rules: tuple[tuple[str, ...], ...] = ()
    denied: str = ""


GATES: Final = ("fault", "profile", "convention", "engagement", "assurance", "dossier", "refusal", "rubric")
"""Why a grant is empty, in the order they are asked. `fault`: the policy failed, so nothing is open."""


@dataclass(frozen=True, slots=True)
class Agent:
    """The person behind a session, with the facts that do not depend on a dossier.

    `profile` is the session's one active profile, empty for Caf staff without one. `partner_name`, `identifier`
    and the ids are for the record and the screens; no decision reads them.
    """

    account_id: int
    identifier: str
    partner_id: int
    partner_name: str
    partner_kind: str
    profile: str
    profiles: tuple[str, ...]
    convention: str
    engagement: str
    assurance: str
    expires_at: int
    """The session ends at this instant (seconds since 1970, UTC) whatever happens, sooner when idle."""


def facts_of(agent: Agent, *, mandates: frozenset[str], objection: str, action: str) -> Facts:
    """What the policies are told about this agent before this dossier."""
    return Facts(
        agent.profile,
        agent.partner_kind,
        agent.convention,
        agent.engagement,
        mandates,
        objection,
        agent.assurance,
        action,
    )
