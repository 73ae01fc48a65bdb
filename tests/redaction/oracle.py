"""A second, slower reading of the promise, which shares no line with the engine: what may leave of a document.

It reads JSON with the standard library and asks, for every single place, which pointer of the table is the most
specific one. `expected` says what must leave, or raises `Refused`.
"""

from __future__ import annotations

import json
from json.decoder import scanstring

SLUGS = [
    "paiement",
    "dossier",
    "famille",
    "enfants",
    "droits",
    "logement",
    "rmi_api",
    "rsa",
    "ressources",
    "creances",
    "qf_cnaf",
    "qf_caf",
    "maladie_maternite_affiliation",
    "cmu_rsa_rmi",
    "cmuc_ressources",
    "residence",
    "adresse",
    "attestation_paiement",
    "courrier",
    "declaration_ressources",
]


class Refused(Exception):
    pass


def steps_of(pointer):
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def no_constant(word):
    raise Refused(f"{word} is not JSON")


def whole_characters(text):
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Refused("lone surrogate")


def strings_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from strings_of(inner)


READER = json.JSONDecoder(
    parse_constant=no_constant, parse_int=lambda _: 0, parse_float=lambda _: 0, object_pairs_hook=tuple
)


def skip(text, at):
    while at < len(text) and text[at] in " \t\n\r":
        at += 1
    return at


def texts_inside(text):
    """The members (with their keys) or the items (with None) of a container, each as it is written."""
    inside, at = [], skip(text, 1)
    while text[at] not in "}]":
        key = None
        if text[0] == "{":
            key, at = scanstring(text, at + 1, True)
            at = skip(text, skip(text, at) + 1)
        _, end = READER.raw_decode(text, at)
        inside.append((key, text[at:end]))
        at = skip(text, end)
        if text[at] == ",":
            at = skip(text, at + 1)
    return inside


class Table:
    def __init__(self, parts, fields, granted, slugs=SLUGS, root=()):
        self.root = root
        self.labels = self.spelled(parts, slugs)
        self.fields = self.spelled(fields, slugs)
        self.granted = set(granted) | {"always", "number"}
        self.left = set()
        self.places = set()
        for pointer in (*self.labels, *self.fields, *((*at, n) for at, names in self.fields.items() for n in names)):
            self.places |= {pointer[:length] for length in range(len(pointer) + 1)}

    @staticmethod
    def spelled(table, slugs):
        explicit = {steps_of(pointer) for pointer in table if "{rubric}" not in pointer}
        found = {}
        for pointer, value in table.items():
            if "{rubric}" not in pointer:
                found[steps_of(pointer)] = value
                continue
            for slug in slugs:
                at = steps_of(pointer.replace("{rubric}", slug))
                if at not in explicit:
                    found[at] = slug if value == "{rubric}" else value
        return found

    def label(self, place):
        return next((self.labels[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.labels), None)

    def is_open(self, place):
        return self.label(place) in self.granted

    def names(self, place):
        """The known steps from here, listed fields first, then as the table names them."""
        listed = [(*place, name) for name in self.fields.get(place, ())]
        others = [p[: len(place) + 1] for p in (*self.labels, *self.fields) if p[: len(place)] == place]
        return list(dict.fromkeys(at[-1] for at in listed + others if len(at) > len(place)))

    def walks(self, place):
        return place == self.root or any(self.is_open(p) for p in self.places if p[: len(place)] == place)

    def copied(self, place, text):
        """What leaves of the text at this place, None where nothing does."""
        names = self.names(place)
        if not names and place not in self.fields:
            if self.is_open(place):
                self.left.add(self.label(place))
                return text
            return None
        if not self.walks(place):
            return None
        if text == "null":
            return self.with_own(place, text) if self.is_open(place) else None
        is_list = names == ["*"]
        if text[0] != ("[" if is_list else "{"):
            raise Refused("another shape")
        inside = texts_inside(text)
        keys = [key for key, _ in inside]
        if not is_list and len(set(keys)) < len(keys):
            raise Refused("a key is written twice")
        if is_list:
            pieces = [self.copied((*place, "*"), item) for _, item in inside]
            kept = ",".join(piece for piece in pieces if piece is not None)
        else:
            known = {key: self.copied((*place, key), dict(inside)[key]) for key in keys if key in names}
            kept = ",".join(f"{written(n)}:{known[n]}" for n in names if known.get(n) is not None)
        whole = f"[{kept}]" if is_list else f"{{{kept}}}"
        if self.is_open(place):
            return self.with_own(place, whole)
        return whole if kept or (self.label(place) is None and "*" not in place) else None

    def with_own(self, place, text):
        self.left.add(self.label(place))
        return text


def written(key):
    return json.dumps(key, ensure_ascii=False)


def expected(body, parts, fields, granted, root=()):
    """The bytes that must leave and the rubrics that must be said to have left. Raises `Refused`."""
    try:
        text = body.decode("utf-8", "strict")
        start = skip(text, 0)
        value, end = READER.raw_decode(text, start)
        for string in strings_of(value):
            whole_characters(string)
    except ValueError as error:
        raise Refused(str(error)) from None
    if skip(text, end) != len(text):
        raise Refused("something after the end")
    table = Table(parts, fields, granted, root=root)
    out = table.copied(root, text[start:end])
    if out is None and table.label(root) is None:
        raise Refused("the whole document is null")
    if out is None:
        out = "[]" if table.names(root) == ["*"] else "{}"
    return out.encode(), frozenset(table.left - {"always", "number"})
