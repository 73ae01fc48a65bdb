"""Facts as a person types them: `mandates=direct_payment+masp,convention=expired`."""

from __future__ import annotations

from typing import Any, Final

from gateway.errors import Misconfigured
from gateway.model import FACT_VOCABULARIES, Facts
from gateway.policy.layout import known, near

USUAL: Final = Facts("", "external", "in_force", "signed", frozenset(), "none", "password", "consult")
"""An agent of a partner with everything in order, before a dossier that nothing is known of."""


def typed_facts(profile: str, text: str) -> Facts:
    """The facts of `profile` that `text` says; what it does not say is as `USUAL`.

    Facts are parted by commas, several mandates by `+`; `mandates=` is none. Raises `Misconfigured` with a sentence for
    each word that is none.
    """
    given: dict[str, Any] = {}
    problems: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name not in FACT_VOCABULARIES:
            problems.append(f"there is no fact `{name}`.{near(name, FACT_VOCABULARIES)}{known(FACT_VOCABULARIES)}")
        elif name in given:
            problems.append(f"the fact `{name}` is given twice.")
        else:
            words = value.split("+") if value or name != "mandates" else []
            vocabulary = FACT_VOCABULARIES[name]
            for word in words if name == "mandates" else [value]:
                if word not in vocabulary:
                    problems.append(
                        f"`{word}` is never a value of `{name}`.{near(word, vocabulary)}{known(vocabulary)}"
                    )
            given[name] = frozenset(words) if name == "mandates" else value
    if problems:
        raise Misconfigured(problems)
    return Facts(**{**{name: getattr(USUAL, name) for name in FACT_VOCABULARIES}, **given, "profile": profile})


def written_facts(facts: Facts) -> str:
    """What `typed_facts` reads, but for the profile."""
    words = {name: getattr(facts, name) for name in FACT_VOCABULARIES}
    words["mandates"] = "+".join(sorted(facts.mandates))
    return ",".join(f"{name}={word}" for name, word in words.items())
