"""Which functions may ask for which profile: a table that security officers keep (`policies/functions.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import Misconfigured
from gateway.identity.entries import PROFILES, is_text
from gateway.identity.wrong import unacceptable
from gateway.structs import prepared

NAME: Final = "functions.toml"
LARGEST: Final = 1024 * 1024


class Function(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function, the profiles that it may ask for, and the words that say so."""

    name: str
    profiles: list[str]
    source: str


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    function: list[Function]


class Functions:
    """The table. Names are compared without regard to capitals and blanks."""

    def __init__(self, functions: Sequence[Function]) -> None:
        self.names: Final = tuple(function.name for function in functions)
        self._profiles: Mapping[str, frozenset[str]] = {
            _folded(function.name): frozenset(function.profiles) for function in functions
        }

    def problem(self, function: str, profiles: Sequence[str]) -> str | None:
        """Why this function may not ask for these profiles, with the list that it is not in."""
        allowed = self._profiles.get(_folded(function))
        if allowed is None:
            listed = ", ".join(self.names)
            return unacceptable(
                f"The function is not one that may ask to join. These may: {listed}.",
                f"Cette fonction n'est pas de celles qui peuvent demander à adhérer : {listed}.",
            )
        if profiles and allowed.issuperset(profiles):
            return None
        listed = ", ".join(profile for profile in PROFILES if profile in allowed)
        return unacceptable(
            f"This function may ask for {listed} only.", f"Cette fonction ne peut demander que : {listed}."
        )


def load_functions(file: Path) -> Functions:
    """The table in `file`. Raises `Misconfigured` with everything that is wrong with it."""
    try:
        text = file.read_bytes()
        if len(text) > LARGEST:
            raise Misconfigured([f"{file}: is longer than {LARGEST} bytes."])
        found = msgspec.convert(tomllib.loads(text.decode()), prepared(_Table)).function
    except OSError as error:
        raise Misconfigured([f"{file}: cannot be read ({error.strerror})."]) from None
    except (ValueError, RecursionError) as error:
        raise Misconfigured([f"{file}: is not TOML: {error}."]) from None
    except msgspec.ValidationError as error:
        raise Misconfigured([f"{file}: {error}."]) from None
    problems: list[str] = []
    seen: set[str] = set()
    for function in found:
        name = _folded(function.name)
        if not name or not is_text(function.name) or name in seen:
            problems.append(f"{file}: {function.name!r} is no name, or is there twice.")
        seen.add(name)
        if not function.profiles or not set(function.profiles) <= set(PROFILES):
            problems.append(f"{file}: {function.name!r} needs profiles, written {PROFILES[0]} to {PROFILES[-1]}.")
        if not function.source.strip():
            problems.append(f"{file}: {function.name!r} needs the source that says so.")
    if problems:
        raise Misconfigured(problems)
    return Functions(found)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())
