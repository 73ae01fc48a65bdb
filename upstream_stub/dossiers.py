"""The archive: which dossier stands under which number.

- 9990001 … 9990014: the base case and its variants (`VARIANTS`);
- 1000000 … 1999999: generated, of a size that the number tells (`generator`);
- 9980000 … 9989999: ordinary families, which the fault server answers with faults;
- any other number: no dossier.
"""

from __future__ import annotations

from threading import Lock

from cachetools import LRUCache, cached

from upstream_stub.generator import generated, generated_dossier, size_of
from upstream_stub.marks import BASE_CASE, CAISSE, SLUGS
from upstream_stub.rubrics import family
from upstream_stub.variants import VARIANTS, variant
from upstream_stub.writing import WrittenDossier, write_dossier

__all__ = ["BASE_CASE", "SLUGS", "VARIANTS", "dossier_text", "find_dossier", "generated", "rubric_text"]

CACHED_BYTES = 256 * 1024 * 1024

_written: LRUCache[str, WrittenDossier] = LRUCache(CACHED_BYTES, getsizeof=lambda dossier: len(dossier.whole))


def find_dossier(numero: str) -> WrittenDossier | None:
    """The dossier of that number as it is sent, or None. Always the same bytes for the same number."""
    if len(numero) != 7 or not (numero.isascii() and numero.isdigit()):
        return None
    if numero in VARIANTS or numero.startswith(("1", "998")):
        return _write(numero)
    return None


@cached(_written, key=lambda numero: numero, lock=Lock())
def _write(numero: str) -> WrittenDossier:
    if numero.startswith("1"):
        return generated_dossier(numero, size_of(numero))
    return write_dossier(numero, CAISSE, variant(numero) if numero in VARIANTS else family(numero))


def dossier_text(numero: str) -> bytes | None:
    """The whole dossier's JSON, or None where there is none."""
    dossier = find_dossier(numero)
    return dossier.whole if dossier else None


def rubric_text(numero: str, slug: str) -> bytes | None:
    """One rubric, byte for byte as it stands in the whole dossier, or None where there is none."""
    dossier = find_dossier(numero)
    return dossier.rubric(slug) if dossier else None
