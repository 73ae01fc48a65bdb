"""Dossiers of any size, always the same ones: the numbers 1000000 to 1999999.

The second digit tells the size:

    10xxxxx 4 KB · 11xxxxx 16 KB · 12xxxxx 64 KB · 13xxxxx 1 MB · 14xxxxx 16 MB · 15xxxxx to 19xxxxx 4 KB
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from upstream_stub import rubrics
from upstream_stub.marks import CAISSE, Mark
from upstream_stub.rubrics import Rubric, family
from upstream_stub.writing import Raw, WrittenDossier, json_text, write_dossier

KB = 1024
MB = 1024 * KB
SIZES = {"0": 4 * KB, "1": 16 * KB, "2": 64 * KB, "3": 1 * MB, "4": 16 * MB}

GROWING: dict[str, tuple[str, Callable[[Mark, int], Rubric]]] = {
    "paiement": ("versements", rubrics.versement),
    "enfants": ("enfants", rubrics.enfant),
    "droits": ("droits", rubrics.droit),
    "rmi_api": ("periodes", rubrics.periode),
    "ressources": ("mensuelles", rubrics.mensuelle),
    "creances": ("creances", rubrics.creance),
    "attestation_paiement": ("documents", rubrics.document),
    "courrier": ("documents", rubrics.document),
    "declaration_ressources": ("documents", rubrics.document),
}
"""The lists that make a dossier long: some open and some closed to every profile."""


def size_of(numero: str) -> int:
    """The size in bytes that a generated dossier's number asks for."""
    return SIZES.get(numero[1], 4 * KB)


def generated(numero: str, size: int) -> bytes:
    """A valid dossier of exactly `size` bytes: twenty rubrics, all fields, canaries in the lists that grow.

    The same number and size give the same bytes, on every machine. Raises ValueError under about 4 KB.
    """
    return generated_dossier(numero, size).whole


def generated_dossier(numero: str, size: int) -> WrittenDossier:
    """`generated`, with the place of each rubric."""
    frame = slender_family(numero)
    room = size - len(write_dossier(numero, CAISSE, frame).whole)
    if room < 0:
        raise ValueError(f"a dossier of twenty rubrics takes {size - room} bytes at least, not {size}")
    for slug, item in further_items(numero):
        text = json_text(item)
        cost = len(text.encode()) + len(",")
        if cost > room:
            break
        frame[slug][GROWING[slug][0]].append(Raw(text))
        room -= cost
    frame["droits"]["droits"][0]["motif"] += "." * room
    return write_dossier(numero, CAISSE, frame)


def slender_family(numero: str) -> dict[str, Rubric]:
    """A family with at most one entry in each list that grows and no more than a town for an address."""
    frame = family(numero)
    for slug, (name, _) in GROWING.items():
        del frame[slug][name][1:]
    frame["rmi_api"]["periodes"] = []
    del frame["ressources"]["annuelles"][1:]
    address = frame["adresse"]
    address.update({line: None for line in address if line not in ("destinataire", "code_postal_ville")})
    return frame


def further_items(numero: str) -> Iterator[tuple[str, Rubric]]:
    """Entries without end, each with the rubric it belongs to, in an order drawn from the number."""
    draw = random.Random(numero)  # noqa: S311 - repeatable, not secret
    marks = {slug: Mark(numero, slug) for slug in GROWING}
    slugs = list(GROWING)
    n = 1
    while True:
        draw.shuffle(slugs)
        for slug in slugs:
            yield slug, GROWING[slug][1](marks[slug], n)
        n += 1
