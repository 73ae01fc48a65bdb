"""What a set of situations requires, in sentences: for the security team in English, for the others in French.

English keeps the words that a policy author types, French those of the domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.model import MANDATE_KINDS
from gateway.policy.situations import EVERY, Box, Requirement, describe

_SPOKEN: Final = (
    *("convention", "engagement", "objection", *MANDATE_KINDS, "partner_kind", "assurance", "action"),
)  # what is mentioned first: where agents stand, then the dossier, then how they came


@dataclass(frozen=True)
class _Words:
    """One language: a phrase for each variable with a place for its words, and its words."""

    phrases: Mapping[str, str]
    words: Mapping[str, Mapping[str, str]]
    kinds: Mapping[str, str]
    held: str
    all_held: str
    not_held: str
    both: str
    either: str
    never: str
    always: str
    no_longer: str
    now: str


_LANGUAGES: Final[Mapping[str, _Words]] = {
    "en": _Words(
        phrases={
            "convention": "convention {}",
            "engagement": "engagement {}",
            "objection": "{}",
            "partner_kind": "a partner of kind {}",
            "assurance": "identity proved by {}",
            "action": "to {}",
        },
        words={
            "convention": {"in_force": "in force", "none": "absent"},
            "objection": {"none": "no objection", "raised": "an objection"},
            "assurance": {"second_factor": "second factor", "federated": "federation"},
            "action": {"message": "send a message"},
        },
        kinds={},
        held="mandate: {}",
        all_held="mandates: {}",
        not_held="no mandate: {}",
        both=" and ",
        either=" or ",
        never="never",
        always="in every case",
        no_longer="no longer needs “{}”",
        now="now needs “{}”",
    ),
    "fr": _Words(
        phrases={
            "convention": "convention {}",
            "engagement": "engagement {}",
            "objection": "{}",
            "partner_kind": "agent {}",
            "assurance": "identité prouvée par {}",
            "action": "pour {}",
        },
        words={
            "convention": {
                **{"in_force": "en vigueur", "suspended": "suspendue", "expired": "expirée", "none": "absente"},
            },
            "engagement": {"signed": "signé", "outdated": "d'une version antérieure", "missing": "absent"},
            "objection": {"none": "pas d'opposition de la personne", "raised": "opposition de la personne"},
            "partner_kind": {"caf": "de la Caf", "external": "d'un partenaire extérieur"},
            "assurance": {
                **{"password": "mot de passe", "second_factor": "second facteur", "federated": "fédération d'identité"},
            },
            "action": {"consult": "consulter", "message": "écrire un message"},
        },
        kinds={
            **{"judgment": "jugement", "masp": "Masp", "direct_payment": "tiers payant", "instruction": "instruction"},
        },
        held="mandat : {}",
        all_held="mandats : {}",
        not_held="sans mandat : {}",
        both=" et ",
        either=" ou ",
        never="jamais",
        always="dans tous les cas",
        no_longer="n'exige plus « {} »",
        now="exige désormais « {} »",
    ),
}
LANGUAGES: Final = tuple(_LANGUAGES)


def requirements(bits: int, language: str = "en") -> list[str]:
    """What must hold, each in a few words, for a situation to be in the set `bits`; together they say exactly it.

    The set of all situations and the empty one have one sentence too. Raises `KeyError` for a language other than
    `LANGUAGES`.
    """
    return list(_requirements(bits, language))


@lru_cache(maxsize=2048)
def _requirements(bits: int, language: str) -> tuple[str, ...]:
    said = _LANGUAGES[language]
    if bits in (0, EVERY):
        return (said.always if bits else said.never,)
    return tuple(_requirement(said, found) for found in sorted(describe(bits), key=_rank))


def changed(before: int, after: int, language: str = "en") -> list[str]:
    """How what a cell requires has changed, where it is open in some situations `before` and `after`.

    Together with what both require, these sentences say exactly `after`. Raises like `requirements`.
    """
    said, old, new = _LANGUAGES[language], describe(before), describe(after)
    dropped = [said.no_longer.format(_requirement(said, one)) for one in sorted(old, key=_rank) if one not in new]
    return dropped + [said.now.format(_requirement(said, one)) for one in sorted(new, key=_rank) if one not in old]


def _rank(requirement: Requirement) -> int:
    return min(_box_rank(box) for box in requirement)


def _box_rank(box: Box) -> int:
    return min(_SPOKEN.index(name) for name in box)


def _requirement(said: _Words, requirement: Requirement) -> str:
    """The alternatives, those that are nothing but one mandate held in one phrase."""
    single = [next(iter(box)) for box in requirement if _is_one_mandate(box)]
    boxes = sorted(requirement, key=_box_rank)
    mandates = said.held.format(_listed(said, [said.kinds.get(kind, kind) for kind in single]))
    phrases = [mandates if _is_one_mandate(box) else _box(said, box) for box in boxes]
    return f",{said.either}".join(dict.fromkeys(phrases))


def _is_one_mandate(box: Box) -> bool:
    return len(box) == 1 and all(name in MANDATE_KINDS and words == ("held",) for name, words in box.items())


def _box(said: _Words, box: Box) -> str:
    """What holds at once: the mandates in one phrase, then each other variable."""
    phrases: list[str] = []
    for name in sorted(set(box) - set(MANDATE_KINDS), key=_SPOKEN.index):
        words = [said.words.get(name, {}).get(word, word) for word in box[name]]
        phrase = said.phrases[name].format(_listed(said, words))
        phrases.append(f"({phrase})" if len(words) > 1 and len(box) > 1 else phrase)
    for state, one, several in (("held", said.held, said.all_held), ("not_held", said.not_held, said.not_held)):
        kinds = [said.kinds.get(kind, kind) for kind in MANDATE_KINDS if box.get(kind) == (state,)]
        if kinds:
            joined = said.both.join(kinds) if state == "held" else _listed(said, kinds)
            phrases.append((several if len(kinds) > 1 else one).format(joined))
    return said.both.join(phrases)


def _listed(said: _Words, words: Sequence[str]) -> str:
    """One of them: "a", "a or b", "a, b or c"."""
    return said.either.join((*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]))
