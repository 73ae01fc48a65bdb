"""The files of a policy folder, and what stands in which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from gateway.policy.statements import Placed

SCHEMA: Final = "schema.polar"
GATES: Final = "gates.polar"
PROFILES: Final = "profiles.polar"
MATRIX: Final = "matrix.polar"
CONDITIONS: Final = "conditions.polar"
REFUSALS: Final = "refusals.polar"
FILES: Final = (PROFILES, MATRIX, CONDITIONS, REFUSALS, GATES, SCHEMA)

RULE_BEHIND: Final[Mapping[str, str]] = {
    **{"convention": "convention", "engagement": "engagement", "assurance": "assurance"},
    **{"dossier": "entrusted", "refusal": "refusal"},
}
"""The rule that a gate asks, for each gate that a rule stands behind."""

FACT_FILES: Final[Mapping[str, str]] = {PROFILES: "profile", MATRIX: "rubric"}
GATE_RULES: Final = ("standing", "admitted", "opens", "allow_request", "allow", "allow_field")
ENTRY_RULES: Final = ("allow_request", "allow", "allow_field", "opens", "profile")
"""Rules the gateway asks itself; every other rule must be used by one."""
SLUGS: Final = "rubric_slugs"
"""The list of the rubrics that exist: read here, asked by no rule."""

READABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "Agent": ("profile", "partner_kind", "convention", "engagement", "assurance"),
    "Dossier": ("mandates", "objection"),
}
TYPES: Final = ("String", "List", *READABLE)
ANY_DOSSIER: Final = "any"

Refuse = Callable[[str, Placed, str], None]
"""Notes a problem: the file, the place in it, the sentence."""


def home(name: str) -> str:
    """The one file in which the rule `name` is defined."""
    for file, predicate in FACT_FILES.items():
        if name == predicate:
            return file
    if name in GATE_RULES:
        return GATES
    return {"refusal": REFUSALS, SLUGS: SCHEMA}.get(name, CONDITIONS)


def near(word: str, words: Iterable[str]) -> str:
    """The question that helps whoever misspelt one of `words`."""
    close = get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" Did you mean `{close[0]}`?" if close else ""


def known(words: Iterable[str]) -> str:
    """The words there are to choose from."""
    listed = list(words)
    return f" Known: {', '.join(listed[:40])}{', …' if len(listed) > 40 else '.'}"
