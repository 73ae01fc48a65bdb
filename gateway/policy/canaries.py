"""What no policy may ever open, tried at every load on both axes of the table.

A misspelt variable can make a rule match every rubric or every profile, and the table still looks right. Only asking
for what does not exist shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace
from polar.exceptions import OsoError

from gateway.model import MANDATE_KINDS, Facts
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Decisions
from gateway.policy.sandbox import PolicyDefect

STRANGERS: Final = ("", "T0", "T7", "T15", "t1", " T1", "T1,T9", "T", "*", "_", "__canary__", "Τ1")
"""Profiles that are not: the gaps of the brochure, case, lists, wildcards, a Greek capital tau."""
PHANTOMS: Final = ("", "*", "_", "__canary__", "Creances", "créances", "creances ", "always", "never")
"""Rubrics that are not."""
WORD: Final = "__canary__"

MOST: Final = Facts(
    profile=WORD,
    partner_kind="external",
    convention="in_force",
    engagement="signed",
    mandates=frozenset(MANDATE_KINDS),
    objection="none",
    assurance="second_factor",
    action="consult",
)
"""The situation in which a profile sees the most."""
LEAST: Final = replace(
    MOST, convention="none", engagement="missing", mandates=frozenset(), objection="raised", assurance="password"
)
"""The situation in which nobody sees anything."""
LACKING: Final[Mapping[str, Facts]] = {
    "without a convention": replace(MOST, convention="none"),
    "with a suspended convention": replace(MOST, convention="suspended"),
    "with an expired convention": replace(MOST, convention="expired"),
    "with an outdated engagement": replace(MOST, engagement="outdated"),
    "with an unknown convention state": replace(MOST, convention=WORD),
    "without an engagement": replace(MOST, engagement="missing"),
    "with an unknown engagement state": replace(MOST, engagement=WORD),
    "with an unknown proof of identity": replace(MOST, assurance=WORD),
    "for an unknown action": replace(MOST, action=WORD),
    "on a dossier under objection": replace(MOST, objection="raised"),
    "with nothing in order": LEAST,
}


WATCHED: Final[Mapping[str, str]] = {
    "without a convention": "convention",
    "with a suspended convention": "convention",
    "with an expired convention": "convention",
    "with an unknown convention state": "convention",
    "without an engagement": "engagement",
    "with an outdated engagement": "engagement",
    "with an unknown engagement state": "engagement",
    "with an unknown proof of identity": "assurance",
    "on a dossier under objection": "refusal",
}
"""The rule that should have kept the policy shut in a situation of `LACKING`; in the others, `opens`."""


@dataclass(frozen=True, slots=True)
class Defect:
    """What a policy opens and may not: to which profile, a sentence without it, and the rule to look at."""

    profile: str
    said: str
    rule: str

    def __str__(self) -> str:
        return f"{self.profile}{self.said}"


def defects(policy: Policy) -> list[str]:
    """A sentence for each canary that the policy opens, or for the defect that stopped the asking."""
    return [str(defect) for defect in found(Decisions(policy))]


def found(decided: Decisions) -> list[Defect]:
    """The same, each with its rule; what was decided for it stays in `decided`."""
    try:
        return list(_opened(decided))
    except (OsoError, PolicyDefect) as defect:
        said = f"the policy fails when it is asked ({type(defect).__name__}); nothing can be decided with it."
        return [Defect("", said, "")]


def _opened(decided: Decisions) -> Iterator[Defect]:
    policy = decided.policy
    for profile in STRANGERS:
        facts = replace(MOST, profile=profile)
        if decided.of(facts).rubrics or policy.fields(facts):
            yield Defect("", f'the profile "{profile}" does not exist and yet it opens something.', "")
    for profile in policy.profiles:
        facts = replace(MOST, profile=profile)
        for phantom in PHANTOMS:
            if policy.opens(facts, phantom):
                said = f' opens the rubric "{phantom}", which does not exist: a rule matches everything.'
                yield Defect(profile, said, "allow_field")
        opened = decided.of(facts).rubrics
        for slug in sorted(opened - {row.slug for row in policy.rows if profile in row.profiles}):
            said = f" opens the rubric `{slug}`, whose row does not name it: a rule matches everyone."
            yield Defect(profile, said, "opens")
        for slug in sorted(policy.fields(facts) ^ opened):
            said = f": `allow_field` and `opens` disagree about the rubric `{slug}`."
            yield Defect(profile, said, "allow_field")
        for situation, lacking in LACKING.items():
            if decided.of(replace(lacking, profile=profile)).rubrics:
                yield Defect(profile, f" opens rubrics {situation}.", WATCHED.get(situation, "opens"))
