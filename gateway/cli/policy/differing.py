"""How a comparison of two policies is said: lines for a terminal, JSON, Markdown for a merge request, a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from rich.console import Console
from rich.text import Text

from gateway.cli.policy.pages import markdown_text, page
from gateway.policy.difference import CLOSED, OPENED, Vocabulary, alike
from gateway.policy.wording import changed, requirements
from gateway.policy_files.comparison import Comparison
from gateway.redaction.compared import PART, WHOLE, PartChange

OPENS: Final = "+"
CLOSES: Final = "-"
SAME: Final = "~"
_COLOURS: Final = {OPENS: "red", CLOSES: "green", SAME: "yellow"}


class Entry(NamedTuple):
    """One thing that changed, in one language. `sign`: it opens something, closes something, or neither or both."""

    sign: str
    who: str
    what: str
    rubrics: tuple[str, ...]
    """Slugs; none where the change is about no cell."""
    conditions: tuple[str, ...]


class _Words(NamedTuple):
    sees: str
    sees_no_more: str
    changed: str
    added: str
    removed: str
    profile: str
    rubric: str
    route: str


_SAID: Final = {
    "en": _Words(
        *("now sees", "no longer sees", "sees under other conditions", "added", "removed", "profile", "rubric"),
        "route",
    ),
    "fr": _Words(
        *("voit désormais", "ne voit plus", "voit à d'autres conditions", "ajouté", "retiré", "profil", "rubrique"),
        "route",
    ),
}


def entries(found: Comparison, language: str = "en") -> Iterator[Entry]:
    """The cells by profile and by what changed, then the words of the table, then the routes."""
    said = _SAID[language]
    for group in alike(found.cells, found.slugs):
        change = group.change
        if change.kind == OPENED:
            conditions = requirements(change.after, language)
            yield Entry(OPENS, group.profile, said.sees, group.slugs, tuple(conditions))
        elif change.kind == CLOSED:
            yield Entry(CLOSES, group.profile, said.sees_no_more, group.slugs, ())
        else:
            sign = SAME if change.gained and change.lost else OPENS if change.gained else CLOSES
            conditions = changed(change.before, change.after, language)
            yield Entry(sign, group.profile, said.changed, group.slugs, tuple(conditions))
    for noun, words in ((said.profile, found.profiles), (said.rubric, found.rubrics)):
        for sign, how, names in ((SAME, said.added, words.added), (SAME, said.removed, words.removed)):
            for name in names:
                yield Entry(sign, name, f"{noun} {how}", (), ())
    for route in found.routes:
        said_of = str(route) if language == "en" else _in_french(route)
        yield Entry(OPENS if route.opens else CLOSES, said.route, said_of, (), ())


# Between quotation marks no letter is the wrong one to begin with. `~` is a space that no line ends at.
_CHANGED: Final = {
    "number": "le numéro du dossier était lu à {0}, et l'est à {1}",
    "name": "le nom était {0}",
    "action": "l'action était «~{0}~», et devient «~{1}~»",
    "answer": "la réponse était «~{0}~», et devient «~{1}~»",
    "rubric": "le document relevait de «~{0}~», et relève de «~{1}~»",
}
_ADDED: Final = {
    "number": "le numéro du dossier est lu à {1}",
    "route": "adresse ajoutée~: {1}",
    "rubric": "le document ne relevait d'aucune rubrique, et relève de «~{1}~»",
    "query": "paramètre ajouté~: «~{1}~»",
    "content_types": "type de contenu ajouté~: «~{1}~»",
}
_REMOVED: Final = {
    "number": "le numéro du dossier n'est plus lu~; il l'était à {0}",
    "route": "adresse retirée~: {0}",
    "rubric": "le document relevait de «~{0}~», et ne relève plus d'aucune rubrique",
    "query": "paramètre retiré~: «~{0}~»",
    "content_types": "type de contenu retiré~: «~{0}~»",
}
_OF_A_PART: Final = {
    None: ("ne relevait d'aucune rubrique", "ne relève plus d'aucune rubrique"),
    "never": ("ne sortait jamais", "ne sort jamais"),
    "always": ("sortait toujours", "sort toujours"),
    "number": ("était le numéro du dossier", "est le numéro du dossier"),
}
_OF_A_WHOLE: Final = {
    None: ("ne sortait pas", "ne sort plus"),
    "listed": ("sortait champ par champ", "sort champ par champ"),
    "whole": ("sortait en entier", "sort en entier"),
}


def _in_french(route: PartChange) -> str:
    """As `str` of it, in French."""
    before, after = route.before, route.after
    if route.what in (PART, WHOLE):
        known = _OF_A_PART if route.what == PART else _OF_A_WHOLE
        was, _ = known.get(before, (f"relevait de «~{before}~»", ""))
        _, now = known.get(after, ("", f"relève de «~{after}~»"))
        said = f"{route.pointer or 'toute la réponse'} {was}, et {now}"
    else:
        sentences = _ADDED if before is None else _REMOVED if after is None else _CHANGED
        said = sentences[route.what].format(before, after)
    return f"{route.route}~: {said}".replace("~", "\u00a0")


def print_text(found: Comparison, names: Sequence[str]) -> None:
    """Colours where this is a terminal: what opens in red, what closes in green."""
    console = Console(highlight=False, soft_wrap=True)
    for mark, name, one in zip("-+", names, (found.old, found.new), strict=True):
        console.print(Text(f"{mark * 3} {name} ({one.fingerprint[:12]})", style="bold"))
    for entry in entries(found):
        line = " ".join((entry.sign, entry.who, entry.what, ", ".join(entry.rubrics))).rstrip()
        console.print(Text(line, style=_COLOURS[entry.sign]))
        for condition in entry.conditions:
            console.print(Text(f"      {condition}", style="dim"))
    for line in (*_reworded(found), summary(found)):
        console.print(Text(line))


def summary(found: Comparison) -> str:
    """One English sentence: how much opens and closes, or that there is no effect."""
    if not found.has_effect:
        return "No effect: nobody sees more or less than before."
    gained, lost = (sum(1 for c in found.cells if getattr(c, way)) for way in ("gained", "lost"))
    opening = sum(1 for change in found.routes if change.opens)
    routes = f" Changes of the routes: {len(found.routes)}, of which {opening} open something." if found.routes else ""
    return f"Cells of which more is seen: {gained}; of which less is seen: {lost}.{routes}"


def _reworded(found: Comparison) -> Iterator[str]:
    for noun, words in (("Profiles", found.profiles), ("Rubrics", found.rubrics)):
        if words.reworded:
            yield f"{noun} with another label or source: {', '.join(words.reworded)}."


def as_json(found: Comparison, names: Sequence[str]) -> str:
    """Everything, with the conditions in English before and after, as one object."""
    sides = {
        side: {"name": name, "fingerprint": one.fingerprint}
        for side, name, one in zip(("old", "new"), names, (found.old, found.new), strict=True)
    }
    cells = [
        {
            "profile": change.cell[0],
            "rubric": change.cell[1],
            "label": found.label(change.cell[1]),
            "change": change.kind,
            "before": requirements(change.before),
            "after": requirements(change.after),
            "situations_gained": change.gained.bit_count(),
            "situations_lost": change.lost.bit_count(),
        }
        for change in found.cells
    ]
    whole: dict[str, Any] = {
        **sides,
        "effect": found.has_effect,
        "opens": found.opens,
        "cells": cells,
        "profiles": _words(found.profiles),
        "rubrics": _words(found.rubrics),
        "routes": [
            {
                "route": change.route,
                "what": change.what,
                "pointer": change.pointer,
                "before": change.before,
                "after": change.after,
                "opens": change.opens,
            }
            for change in found.routes
        ],
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode()


def _words(words: Vocabulary) -> dict[str, tuple[str, ...]]:
    return {"added": words.added, "removed": words.removed, "reworded": words.reworded}


def as_markdown(found: Comparison, names: Sequence[str]) -> str:
    """For a merge request: a sentence, and a table of what changed."""
    old, new = (f"{markdown_text(name)} (`{one.fingerprint[:12]}`)" for name, one in _sides(found, names))
    lines = [f"### Policies: {old} → {new}", "", f"**{markdown_text(summary(found))}**"]
    rows = [
        f"| {_MARKS[entry.sign]} | {markdown_text(entry.who)} | {markdown_text(entry.what)} "
        f"| {', '.join(markdown_text(found.label(slug)) for slug in entry.rubrics)} "
        f"| {'<br>'.join(markdown_text(condition) for condition in entry.conditions)} |"
        for entry in entries(found)
    ]
    if rows:
        lines += ["", "| | who | what | rubrics | conditions |", "|---|---|---|---|---|", *rows]
    lines += ["", *(markdown_text(line) for line in _reworded(found))]
    return "\n".join(lines).rstrip()


_MARKS: Final = {OPENS: "🔴 opens", CLOSES: "🟢 closes", SAME: "🟡 changes"}


def as_html(found: Comparison, names: Sequence[str]) -> str:
    """A page in French for whoever approves."""
    return page(
        "difference.html",
        sides=list(_sides(found, names)),
        entries=list(entries(found, "fr")),
        label=found.label,
        effect=found.has_effect,
        opens=found.opens,
        gained=sum(1 for change in found.cells if change.gained),
        lost=sum(1 for change in found.cells if change.lost),
        reworded=(*found.profiles.reworded, *found.rubrics.reworded),
    )


def _sides(found: Comparison, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    yield from zip(names, (found.old, found.new), strict=True)
