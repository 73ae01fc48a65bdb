"""The lines that state facts: the profiles, the rows of the table, the dossiers of each profile, the rubrics' names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.model import MANDATE_KINDS
from gateway.policy.layout import ANY_DOSSIER, CONDITIONS, MATRIX, PROFILES, SCHEMA, Refuse, known, near
from gateway.policy.statements import TOP, Statement, Text, texts, word, words

_CODE: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the brochure's table."""

    slug: str
    label: str
    profiles: tuple[str, ...]
    source: str
    line: int


class Tables:
    """What the fact lines say, gathered line by line; each mistake is handed to `refuse`."""

    def __init__(self, refuse: Refuse, lost: Collection[str]) -> None:
        """`lost` are the files of which not everything could be read: what seems to be missing there may be written."""
        self.refuse = refuse
        self.lost = lost
        self.slugs: dict[str, None] = {}
        self.profiles: dict[str, str] = {}
        self.rows: dict[str, Row] = {}
        self.entrusted: set[str] = set()

    def name_rubrics(self, statement: Statement) -> None:
        for text in texts(statement.parameters[0].term):
            slug = text.value
            if slug in self.slugs:
                self.refuse(SCHEMA, text, f"the rubric `{slug}` is listed twice in rubric_slugs.")
            if not _SLUG.fullmatch(slug):
                said = f"`{slug}` cannot name a rubric: only the letters a to z, digits and `_` can (no accent)."
                self.refuse(SCHEMA, text, said)
            self.slugs[slug] = None

    def profile(self, statement: Statement) -> None:
        if len(statement.parameters) != 2:
            return
        named, labelled = (parameter.term for parameter in statement.parameters)
        code, label = word(named), word(labelled)
        if code in self.profiles:
            self.refuse(PROFILES, named, f"the profile `{code}` already has a line.")
        if not _CODE.fullmatch(code):
            said = f"`{code}` cannot name a profile: only the letters A to Z and digits can. Type it again."
            self.refuse(PROFILES, named, said)
        if not label.strip():
            self.refuse(PROFILES, labelled, f"the profile `{code}` has no label.")
        self.profiles[code] = label

    def row(self, statement: Statement) -> None:
        if len(statement.parameters) != 4:
            return
        terms = [parameter.term for parameter in statement.parameters]
        slug, label, source = word(terms[0]), word(terms[1]), word(terms[3])
        row = Row(slug, label, tuple(words(terms[2])), source, statement.line)
        if slug not in self.slugs:
            said = f"unknown rubric `{slug}`.{near(slug, self.slugs)} Rubrics are listed in {SCHEMA}."
            self.refuse(MATRIX, terms[0], said)
        elif slug in self.rows:
            self.refuse(MATRIX, terms[0], f"the rubric `{slug}` already has its row on line {self.rows[slug].line}.")
        if not label.strip() or not source.strip():
            place = terms[3] if label.strip() else terms[1]
            self.refuse(MATRIX, place, f"the row of `{slug}` needs a label and the source it comes from.")
        self._profiles_exist(MATRIX, texts(terms[2]))
        self.rows.setdefault(slug, row)

    def dossiers(self, statement: Statement) -> None:
        if not statement.is_fact or len(statement.parameters) != 3:
            self.refuse(CONDITIONS, statement, 'write dossiers("T1", ["any"], "source"); without `if`.')
            return
        named, listed = statement.parameters[0].term, statement.parameters[1].term
        profile, kinds = word(named), words(listed)
        self._profiles_exist(CONDITIONS, texts(named))
        if profile in self.entrusted:
            self.refuse(CONDITIONS, named, f"`{profile}` already has its `dossiers` line.")
        self.entrusted.add(profile)
        reasons = (*MANDATE_KINDS, ANY_DOSSIER)
        for text in texts(listed):
            if text.value not in reasons:
                said = f"unknown reason `{text.value}`.{near(text.value, reasons)}{known(reasons)}"
                self.refuse(CONDITIONS, text, said)
        if not kinds or (ANY_DOSSIER in kinds and len(kinds) > 1):
            self.refuse(CONDITIONS, listed, 'give either ["any"] or the reasons that are required.')

    def whole(self) -> None:
        """Every rubric has its row, every profile its dossiers."""
        for slug in self.slugs if MATRIX not in self.lost else ():
            if slug not in self.rows:
                self.refuse(MATRIX, TOP, f"the rubric `{slug}` of {SCHEMA} has no row.")
        for profile in self.profiles if CONDITIONS not in self.lost else ():
            if profile not in self.entrusted:
                self.refuse(CONDITIONS, TOP, f"the profile `{profile}` has no `dossiers` line.")

    def _profiles_exist(self, file: str, listed: Iterable[Text]) -> None:
        seen: set[str] = set()
        for text in listed:
            profile = text.value
            if profile in seen:
                self.refuse(file, text, f"the profile `{profile}` stands twice in this list.")
            elif profile not in self.profiles and PROFILES not in self.lost:
                said = f"unknown profile `{profile}`.{near(profile, self.profiles)}{_look_alike(profile)}"
                self.refuse(file, text, f"{said} Profiles are listed in {PROFILES}.{known(self.profiles)}")
            seen.add(profile)


def _look_alike(profile: str) -> str:
    return "" if profile.isascii() else " A letter of it comes from another alphabet: type it again."
