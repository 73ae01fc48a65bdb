"""Reading one `[[route]]` of the route file, on its own; `routes` then looks at what lies between them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.model import ACTIONS, ALWAYS, NEVER, THE_NUMBER
from gateway.redaction.drafts import Problem, draw_parts
from gateway.redaction.parts import Part
from gateway.redaction.paths import Template, read_template
from gateway.redaction.pointers import ANY_ITEM, RUBRIC, can_be_read, read_pointer
from gateway.redaction.sentences import did_you_mean, listed
from gateway.redaction.table import ANSWERS, DOCUMENT, JSON

_METHODS: Final = ("GET",)
_TEXTS: Final = ("name", "match", "action", "answer", "rubric", "part_of", "at")
_LISTS: Final = ("query", "content_types")
_TABLES: Final = ("parts", "fields")
_KEYS: Final = (*_TEXTS, *_LISTS, *_TABLES)
_REQUIRED: Final = ("name", "match", "action", "answer")

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
_PARAMETER: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}", re.ASCII)
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,63}", re.ASCII)
_JSON_TYPE: Final = re.compile(r"application/(?:json|[a-z0-9.-]+\+json)", re.ASCII)


@dataclass(slots=True)
class Entry:
    """What one `[[route]]` says, as far as it could be understood, and what could not be."""

    name: str = ""
    method: str = ""
    template: Template | None = None
    action: str = ""
    answer: str = ""
    query: tuple[str, ...] = ()
    content_types: tuple[str, ...] = ()
    rubric: str = ""
    part_of: str = ""
    at: str = ""
    part: Part | None = None
    problems: list[Problem] = field(default_factory=list)

    def doubt(self, about: str, sentence: str) -> None:
        self.problems.append(Problem(about, sentence))


def read_entry(written: Mapping[str, Any], slugs: Sequence[str]) -> Entry:
    """The entry for one `[[route]]` table of the file, with its problems."""
    entry = Entry()
    known = _well_typed(written, entry)
    for key in _REQUIRED:
        if key not in written:
            entry.doubt("", f'this route has no "{key}".')
    entry.name = known.get("name", "")
    if "name" in known and not _NAME.fullmatch(entry.name):
        entry.doubt("name", f'"{entry.name}" is not a name: small letters without accents, digits, - and _ only.')
    if "match" in known:
        _read_match(known["match"], slugs, entry)
    entry.action = _choose("action", known, ACTIONS, entry)
    entry.answer = _choose("answer", known, ANSWERS, entry)
    entry.query = _read_list("query", known, _PARAMETER, "the name of a query parameter", entry)
    entry.content_types = _read_list("content_types", known, _MEDIA_TYPE, 'a type such as "application/pdf"', entry)
    if entry.answer == DOCUMENT:
        _read_document(known, slugs, entry)
    elif entry.answer == JSON:
        _read_json(known, slugs, entry)
    return entry


def _well_typed(written: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for key, value in written.items():
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS) or f" Known: {', '.join(_KEYS)}."
            entry.doubt(key, f'a route has no "{key}".{hint}')
        elif key in _TEXTS and not isinstance(value, str):
            entry.doubt(key, f'"{key}" must be a text between quotes.')
        elif key in _LISTS and not _is_texts(value):
            entry.doubt(key, f'"{key}" must be a list of texts, such as ["one", "two"].')
        elif key in _TABLES and not isinstance(value, dict):
            entry.doubt(key, f'"{key}" must be a section, written [route.{key}].')
        else:
            known[key] = value
    return known


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _read_match(match: str, slugs: Sequence[str], entry: Entry) -> None:
    method, separator, path = match.partition(" ")
    if not separator:
        entry.doubt(match, '"match" is a method and a path, such as "GET /dossiers/{numero}".')
        return
    if method not in _METHODS:
        entry.doubt(match, f'"{method}" cannot be routed: for now only GET is, so that nothing can be changed.')
    try:
        entry.template, entry.method = read_template(path, slugs), method
    except ValueError as error:
        entry.doubt(match, f'"{match}": {error}')


def _choose(key: str, known: Mapping[str, Any], words: Sequence[str], entry: Entry) -> str:
    word: str = known.get(key, "")
    if key in known and word not in words:
        entry.doubt(key, f'{key} cannot be "{word}"; it is one of {listed(words)}.{did_you_mean(word, words)}')
    return word


def _read_list(
    key: str, known: Mapping[str, Any], pattern: re.Pattern[str], wanted: str, entry: Entry
) -> tuple[str, ...]:
    words: list[str] = known.get(key, [])
    for word in words:
        if not pattern.fullmatch(word):
            entry.doubt(word, f'"{word}" under "{key}" is not {wanted}.')
    if len(set(words)) < len(words):
        entry.doubt(key, f'"{key}" says the same thing twice.')
    return tuple(words)


def _read_document(known: Mapping[str, Any], slugs: Sequence[str], entry: Entry) -> None:
    for key in ("part_of", "at", "parts", "fields"):
        if key in known:
            entry.doubt(key, f'"{key}" is for JSON: a document leaves whole or not at all.')
    if not entry.content_types:
        entry.doubt("", 'a document must declare its "content_types", such as ["application/pdf"].')
    entry.rubric = known.get("rubric", "")
    if not entry.rubric:
        entry.doubt("", 'a document must say which "rubric" it belongs to.')
    elif entry.rubric not in slugs:
        entry.doubt("rubric", f'a document cannot belong to "{entry.rubric}": {_unknown_label(entry.rubric, slugs)}')
    if entry.template and any(segment.noun == "rubric" for segment in entry.template.segments):
        entry.doubt("match", "the path of a document cannot contain {rubric}: its rubric is fixed.")


def _read_json(known: Mapping[str, Any], slugs: Sequence[str], entry: Entry) -> None:
    entry.content_types = entry.content_types or ("application/json",)
    for media_type in entry.content_types:
        if not _JSON_TYPE.fullmatch(media_type):
            entry.doubt(media_type, f'"{media_type}" is not a type of JSON.')
    if "rubric" in known:
        entry.doubt("rubric", '"rubric" is for documents; the parts of JSON get their rubrics under [route.parts].')
    if "part_of" in known or "at" in known:
        _read_part_of(known, entry)
        return
    if entry.template and any(segment.noun == "rubric" for segment in entry.template.segments):
        entry.doubt(known["match"], 'a path with {rubric} answers a part of another route: add "part_of" and "at".')
    if not known.get("parts"):
        entry.doubt("parts", "this route has no [route.parts]: nothing of its answer could ever leave.")
        return
    before = len(entry.problems)
    for pointer, label in known["parts"].items():
        _check_label(pointer, label, slugs, entry)
    numbers = [pointer for pointer, label in known["parts"].items() if label == THE_NUMBER]
    for pointer in numbers[1:]:
        entry.doubt(pointer, f'"{pointer}" is a second "number": "{numbers[0]}" already says which dossier this is.')
    for pointer, names in known.get("fields", {}).items():
        _check_fields(pointer, names, entry)
    if len(entry.problems) == before:
        entry.part, problems = draw_parts(known["parts"], known.get("fields", {}), slugs)
        entry.problems += problems
        if not entry.part.rubrics():
            entry.doubt("parts", "no part of this answer belongs to a rubric, so nobody could ever open it.")


def _read_part_of(known: Mapping[str, Any], entry: Entry) -> None:
    for key in ("parts", "fields"):
        if key in known:
            entry.doubt(key, f'a route with "part_of" has no [route.{key}]: the rules of the other route apply.')
    for key, other in (("part_of", "at"), ("at", "part_of")):
        if key not in known:
            entry.doubt(other, f'"{other}" goes together with "{key}", which is missing.')
    entry.part_of = known.get("part_of", "")
    if "at" not in known or not _check_pointer(known["at"], entry):
        return
    entry.at = known["at"]
    if ANY_ITEM in read_pointer(entry.at):
        entry.doubt(entry.at, f'"{entry.at}" cannot contain "*": an item of a list has no address of its own.')
    elif entry.template:
        in_path = any(segment.noun == "rubric" for segment in entry.template.segments)
        if in_path != (RUBRIC in entry.at):
            entry.doubt(entry.at, '"match" and "at" must both contain {rubric}, or neither.')


def _check_label(pointer: str, label: object, slugs: Sequence[str], entry: Entry) -> None:
    if not _check_pointer(pointer, entry):
        return
    if not isinstance(label, str):
        entry.doubt(pointer, f'"{pointer}" must have one rubric between quotes; write the pointer between quotes too.')
    elif (label == RUBRIC) != (RUBRIC in pointer):
        sentence = f'"{pointer}" is "{label}": a pointer with {{rubric}} is labelled "{{rubric}}", and no other is.'
        entry.doubt(pointer, sentence)
    elif label == THE_NUMBER and ANY_ITEM in pointer:
        entry.doubt(pointer, f'"{pointer}" cannot be "number": an item of a list does not say which dossier this is.')
    elif label not in (*slugs, ALWAYS, THE_NUMBER, NEVER, RUBRIC):
        entry.doubt(pointer, f'"{pointer}" cannot be "{label}": {_unknown_label(label, slugs)}')


def _unknown_label(label: str, slugs: Collection[str]) -> str:
    if label in (ALWAYS, THE_NUMBER, NEVER):
        return "whoever may not open it must be refused, and whoever may must be named by a rubric."
    return f"the policies have no such rubric.{did_you_mean(label, (*slugs, ALWAYS, THE_NUMBER, NEVER))}"


def _check_fields(pointer: str, names: object, entry: Entry) -> None:
    if not _check_pointer(pointer, entry):
        return
    if not isinstance(names, list) or not _is_texts(names):
        entry.doubt(pointer, f'"{pointer}" must list names, such as ["nom", "date"].')
    elif not all(name and name != ANY_ITEM and "/" not in name and can_be_read(name) for name in names):
        sentence = f'the fields of "{pointer}" must be plain names: no "*", no "/", no quotation mark, none empty.'
        entry.doubt(pointer, sentence)
    elif len(set(names)) < len(names):
        entry.doubt(pointer, f'the fields of "{pointer}" name the same one twice.')


def _check_pointer(pointer: str, entry: Entry) -> bool:
    try:
        read_pointer(pointer)
    except ValueError as error:
        entry.doubt(pointer, f'the pointer "{pointer}" {error}.')
        return False
    return True
