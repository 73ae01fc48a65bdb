"""What bytes are decoded into: msgspec's Structs, met for the first time by one thread alone.

msgspec notes the types of a Struct's fields where it is first decoded, and shows the note before it is whole: another
thread that decodes the same Struct meanwhile follows a pointer that is not there yet, and the process is gone (msgspec
0.22; two of the Caf's staff who enter something at once, just after a worker's start). Nothing in a Struct shows that
it has been noted.
"""

from __future__ import annotations

import threading
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_noting: Final = threading.Lock()
_noted: Final[set[type[Any]]] = set()


def prepared(kind: type[T]) -> type[T]:
    """`kind`, which any number of threads can decode now."""
    if kind not in _noted:
        with _noting:
            msgspec.json.Decoder(kind)
        _noted.add(kind)
    return kind
