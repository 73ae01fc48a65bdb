"""Read the parameters of a request as the `Struct` that its address takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args

import msgspec

from gateway.errors import BadRequest
from gateway.proxy.parse import parameters
from gateway.structs import prepared

_NUMBER: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_TRUTHS: Final = {"true": True, "false": False}

T = TypeVar("T", bound=msgspec.Struct)


def read_parameters(environ: Mapping[str, Any], kind: type[T]) -> T:
    """Numbers are written in digits alone, truths `true` and `false`. Raises `UndeclaredParameter` or `BadRequest`."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    given: dict[str, str | int] = {}
    for name, value in parameters(environ, tuple(fields)).items():
        given[name] = _read(fields[name].type, value)
    try:
        return msgspec.convert(given, prepared(kind))
    except msgspec.ValidationError:
        raise BadRequest("a parameter that is missing or out of bounds") from None


def _read(kind: Any, value: str) -> str | int:
    if _takes(kind, bool):
        if value not in _TRUTHS:
            raise BadRequest("a parameter that is neither true nor false")
        return _TRUTHS[value]
    if not _takes(kind, int):
        return value
    if not _NUMBER.fullmatch(value):
        raise BadRequest("a parameter that is not a number")
    return int(value)


def _takes(kind: Any, wanted: type) -> bool:
    return kind is wanted or any(_takes(inner, wanted) for inner in get_args(kind))
