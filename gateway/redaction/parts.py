"""Which part of a backend's JSON document belongs to which rubric: a tree with a label on every part.

A part without a label of its own has the label of the nearest part around it. What no pointer names has no part here,
and what has no part is never copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model import ALWAYS, NEVER, THE_NUMBER
from gateway.redaction.pointers import Pointer


@dataclass(frozen=True, slots=True)
class Part:
    """A place in the document: an object with known `members`, a list of `item`s, or, with neither, anything at all.

    `label` is a slug, `always`, `number`, `never`, or None for a container that only carries the parts inside it.
    """

    label: str | None
    members: Mapping[str, Part] | None = None
    item: Part | None = None

    def rubrics(self) -> frozenset[str]:
        """The slugs of everything that this part can hold."""
        inside = [*(self.members or {}).values(), *([self.item] if self.item else [])]
        own = () if self.label in (None, ALWAYS, THE_NUMBER, NEVER) else (str(self.label),)
        return frozenset(own).union(*(part.rubrics() for part in inside))

    def tells_whose(self) -> bool:
        """Whether the dossier's number is in it, by which an answer about another one is known."""
        return self.label == THE_NUMBER or any(part.tells_whose() for part in (self.members or {}).values())

    def at(self, pointer: Pointer) -> Part | None:
        """The part at that pointer, which may not enter a list, or None where no pointer of the table leads there."""
        part = self
        for step in pointer:
            if part.members is None and part.item is None:
                return part
            inside = (part.members or {}).get(step)
            if inside is None:
                return None
            part = inside
        return part
