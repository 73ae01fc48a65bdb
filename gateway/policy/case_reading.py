"""From the text of a file of tests to cases and promises: whatever is misspelt in it is refused, with its line.

A misspelt rubric in a test that wants something closed would hold for ever, and prove nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from gateway.errors import NotOpen
from gateway.model import FACT_VOCABULARIES, GATES, MANDATE_KINDS, Facts
from gateway.policy.case_blocks import DEFAULTS, Block, Refuse, read_blocks, shown, unknown_keys
from gateway.policy.cases import Case, Promise, Suite
from gateway.policy.layout import PROFILES, SCHEMA, known, near
from gateway.policy.situations import EVERY, HELD, bits_of
from gateway.policy.tokens import Problem

DECLARED: Final[Mapping[str, Any]] = {
    "partner_kind": "external",
    "convention": "in_force",
    "engagement": "signed",
    "mandates": [],
    "objection": "none",
    "assurance": "password",
    "action": "consult",
}
"""What a case does not say, unless its file's [defaults] say otherwise."""
EVERY_ONE: Final = "every"
"""In the place of a list: all of them."""
MOST_SITUATIONS: Final = 5_000
"""Of one case."""
LONGEST_NAME: Final = 200
SHUT: Final = tuple(gate for gate in GATES if gate != "fault")

_SINGLE: Final = tuple(name for name in FACT_VOCABULARIES if name != "mandates")
_CASE_KEYS: Final = ("name", "profile", *FACT_VOCABULARIES, "opens", "refused", "code")
_ANY_OF: Final = "mandates_any_of"
_NONE_OF: Final = "mandates_none_of"
_OTHER: Final = "_other_than"
_PROMISE_KEYS: Final = (
    *("name", "profile", f"profile{_OTHER}"),
    *(key for name in _SINGLE for key in (name, name + _OTHER)),
    *(_ANY_OF, _NONE_OF, "never", "always"),
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that the tested policy knows."""

    profiles: tuple[str, ...]
    rubrics: tuple[str, ...]


def read_cases(file: str, text: str, vocabulary: Vocabulary) -> tuple[Suite, list[Problem]]:
    """The tests of one file, and everything that is wrong with it, in the file's order."""
    blocks, problems = read_blocks(file, text)

    def refuse(line: int, column: int, said: str) -> None:
        problems.append(Problem(file, line, column, said))

    reader = _Reader(file, vocabulary, refuse)
    for block in blocks:
        if block.kind == DEFAULTS:
            reader.declare(block)
    for block in blocks:
        if block.kind != DEFAULTS:
            reader.read(block)
    if not reader.cases and not reader.promises and not problems:
        refuse(1, 1, "the file holds no test. Write [[case]] or [[promise]], or remove it.")
    return Suite(tuple(reader.cases), tuple(reader.promises)), sorted(
        problems, key=lambda each: (each.line, each.column)
    )


class _Reader:
    def __init__(self, file: str, vocabulary: Vocabulary, refuse: Refuse) -> None:
        self.file = file
        self.vocabulary = vocabulary
        self.told = 0
        self._refuse = refuse
        self.declared = dict(DECLARED)
        self.names: dict[str, int] = {}
        self.cases: list[Case] = []
        self.promises: list[Promise] = []

    def refuse(self, line: int, column: int, said: str) -> None:
        self.told += 1
        self._refuse(line, column, said)

    def declare(self, block: Block) -> None:
        unknown_keys(block, FACT_VOCABULARIES, self.refuse)
        for name in FACT_VOCABULARIES:
            told = self.told
            if name in block.table and self._facts(block, name, block.table[name]) and self.told == told:
                self.declared[name] = block.table[name]

    def read(self, block: Block) -> None:
        told = self.told
        unknown_keys(block, _CASE_KEYS if block.kind == "case" else _PROMISE_KEYS, self.refuse)
        name = self._name(block)
        made = self._case(block, name) if block.kind == "case" else self._promise(block, name)
        if self.told > told:
            return
        if isinstance(made, Case):
            self.cases.append(made)
        else:
            self.promises.append(made)

    def _name(self, block: Block) -> str:
        name = block.table.get("name")
        if type(name) is not str or not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
            said = f'say in a sentence what it is about: name = "…" (one line, at most {LONGEST_NAME} characters).'
            self.refuse(*block.place("name"), said)
            return ""
        if name in self.names:
            self.refuse(*block.place("name"), f"this name already stands on line {self.names[name]}: give another one.")
        self.names.setdefault(name, block.place("name")[0])
        return name

    # ---------------------------------------------------------------- a case

    def _case(self, block: Block, name: str) -> Case:
        opens, refused, code = self._outcome(block)
        profiles = self._profiles(block, "profile", absent=refused == "profile")
        if "profile" not in block.table:
            self.refuse(*block.place(), f'a case says who asks: profile = "T1", or profile = "{EVERY_ONE}".')
        ways = [self._facts(block, fact, block.table.get(fact, self.declared[fact])) for fact in FACT_VOCABULARIES]
        if self._too_many(profiles, ways):
            self.refuse(*block.place(), f"this is more than {MOST_SITUATIONS} situations: write a [[promise]] instead.")
            ways = []
        facts = [
            Facts(profile=profile, **dict(zip(FACT_VOCABULARIES, values, strict=True)))
            for profile, *values in (product(profiles, *ways) if ways else ())
        ]
        return Case(self.file, block.first, name, tuple(facts), opens, refused, code)

    def _too_many(self, profiles: Sequence[str], ways: Sequence[Sequence[Any]]) -> bool:
        count = len(profiles)
        for way in ways:
            count *= len(way)
        return count > MOST_SITUATIONS

    def _facts(self, block: Block, name: str, value: Any) -> tuple[Any, ...]:
        """The alternatives of one fact."""
        if name != "mandates":
            return self._words(block, name, value, FACT_VOCABULARIES[name])
        if isinstance(value, str):
            said = f'mandates is a list, also of one: mandates = ["{shown(value)}"]. Without any: mandates = [].'
            self.refuse(*block.place(name), said)
            return ()
        several = isinstance(value, list) and value and all(isinstance(held, list) for held in value)
        alternatives = value if several else [value]
        return tuple(
            frozenset(self._words(block, name, held, MANDATE_KINDS) if held != [] else ()) for held in alternatives
        )

    def _outcome(self, block: Block) -> tuple[frozenset[str], str, str]:
        table = block.table
        shut = "refused" in table or "code" in table
        if ("opens" in table) == shut:
            said = (
                'a case says either what it opens (opens = ["adresse"]) or which gate stays shut (refused = "dossier").'
            )
            self.refuse(*block.place("opens"), said)
        if table.get("opens") == []:
            said = f'a case that opens nothing says which gate stays shut: refused = "…".{known(SHUT)}'
            self.refuse(*block.place("opens"), said)
            return frozenset(), "", ""
        opens = self._rubrics(block, "opens") if "opens" in table else ()
        refused = self._words(block, "refused", table["refused"], SHUT, many=False) if "refused" in table else ()
        return frozenset(opens), "".join(refused), self._code(block)

    def _code(self, block: Block) -> str:
        if "code" not in block.table:
            return ""
        outward = _codes()
        code = self._words(block, "code", block.table["code"], outward, many=False)
        if code and outward[code[0]] != code[0]:
            said = f"`{code[0]}` stays in the record; what goes out is `{outward[code[0]]}`: write that."
            self.refuse(*block.place("code"), said)
        return code[0] if code else ""

    # ---------------------------------------------------------------- a promise

    def _promise(self, block: Block, name: str) -> Promise:
        table = block.table
        if ("never" in table) == ("always" in table):
            said = 'a promise says what is never open (never = ["creances"], never = "every"), or what always is.'
            self.refuse(*block.place("never"), said)
        key = "always" if "always" in table else "never"
        rubrics = self._rubrics(block, key) if key in table else ()
        profiles = self._chosen(block, "profile")
        situations = EVERY
        for fact in _SINGLE:
            situations &= bits_of((({fact: self._chosen(block, fact)},),))
        situations &= self._mandates(block)
        if not situations:
            self.refuse(*block.place(), "no situation is like that: the promise would say nothing.")
        return Promise(self.file, block.first, name, profiles, rubrics, situations, always=key == "always")

    def _chosen(self, block: Block, key: str) -> tuple[str, ...]:
        """The words that a promise is about: those of `key`, or those that `key_other_than` leaves; all by default."""
        words = self.vocabulary.profiles if key == "profile" else FACT_VOCABULARIES[key]
        other = key + _OTHER
        if key in block.table and other in block.table:
            self.refuse(*block.place(other), f"give either `{key}` or `{other}`.")
        if key in block.table:
            return self._profiles(block, key) if key == "profile" else self._words(block, key, block.table[key], words)
        if other not in block.table:
            return words
        left_out = (
            self._profiles(block, other) if key == "profile" else self._words(block, other, block.table[other], words)
        )
        rest = tuple(word for word in words if word not in left_out)
        if not rest:
            self.refuse(*block.place(other), f"this leaves no {key}: the promise would say nothing.")
        return rest

    def _mandates(self, block: Block) -> int:
        situations = EVERY
        if _ANY_OF in block.table:
            kinds = self._words(block, _ANY_OF, block.table[_ANY_OF], MANDATE_KINDS)
            situations &= bits_of((tuple({kind: HELD[:1]} for kind in kinds),))
        if _NONE_OF in block.table:
            kinds = self._words(block, _NONE_OF, block.table[_NONE_OF], MANDATE_KINDS)
            situations &= bits_of(tuple(({kind: HELD[1:]},) for kind in kinds))
        return situations

    # ---------------------------------------------------------------- words

    def _rubrics(self, block: Block, key: str) -> tuple[str, ...]:
        if block.table[key] == EVERY_ONE:
            return self.vocabulary.rubrics
        also = f" Rubrics are listed in {SCHEMA}."
        return self._words(block, key, block.table[key], self.vocabulary.rubrics, "rubric", also)

    def _profiles(self, block: Block, key: str, *, absent: bool = False) -> tuple[str, ...]:
        value = block.table.get(key, EVERY_ONE)
        if value == EVERY_ONE:
            return self.vocabulary.profiles
        also = f' Profiles are listed in {PROFILES}; of one that does not exist, a case may say: refused = "profile".'
        return self._words(block, key, value, None if absent else self.vocabulary.profiles, "profile", also)

    def _words(
        self,
        block: Block,
        key: str,
        value: Any,
        vocabulary: Collection[str] | None,
        noun: str = "",
        also: str = "",
        *,
        many: bool = True,
    ) -> tuple[str, ...]:
        """The word or the words of a key. `vocabulary` None: any word."""
        words = value if isinstance(value, list) and many else [value]
        if not words:
            self.refuse(*block.place(key), f"`{key}` is an empty list: name at least one word, or leave the key out.")
        for word in words:
            if not isinstance(word, str):
                said = f'`{key}` takes words between double quotes{"" if many else ", one of them"}, as in {key} = "…".'
                self.refuse(*block.place(key), said)
                return ()
            if vocabulary is not None and word not in vocabulary:
                said = f"unknown {noun} `{shown(word)}`." if noun else f"`{shown(word)}` is never a value of `{key}`."
                self.refuse(*block.place(key, word), f"{said}{near(word, vocabulary)}{also}{known(vocabulary)}")
            elif words.count(word) > 1:
                self.refuse(*block.place(key, word), f"`{shown(word)}` stands twice in `{key}`.")
                return ()
        return tuple(word for word in words if vocabulary is None or word in vocabulary)


def _codes() -> dict[str, str]:
    """The code of each refusal of the policies, and what goes out for it."""
    kinds: list[type[NotOpen]] = [NotOpen]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.code: kind.shown for kind in kinds}
