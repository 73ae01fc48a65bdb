"""An explanation, told to people, in English and in French."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import click
from rich import box
from rich.table import Table
from rich.text import Text

from gateway.cli.output import print_whole
from gateway.policy.engine import Policy
from gateway.policy.explanation import NEVER, NOT_NAMED, OPEN, SITUATION, Explanation, RubricExplained, Sees
from gateway.policy.given_facts import written_facts
from gateway.policy.layout import MATRIX, near
from gateway.policy.lint import Row
from gateway.policy.proofs import Place
from gateway.policy.wording import requirements

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "unknown": "no such profile: profiles.polar does not name it",
        "facts": "Facts: {}",
        "decided": "{} of {} rubrics are open.",
        "nothing": "Nothing is open: the gate “{}” is shut.",
        "suspended": "The account is suspended: the gateway refuses it before it asks the policies.",
        "gates": "Gates",
        "asked": "{}: {} (here {})",
        "passed": "open",
        "shut": "SHUT",
        "and": "; ",
        "rubric": "rubric",
        "state": "",
        "why": "decided by",
        "open": "open",
        "closed": "closed",
        NOT_NAMED: "the row does not name {}",
        NEVER: "the row names {}, and yet no situation opens it",
        SITUATION: "would open with: {needs}",
        "gate": "gate “{gate}” shut; would open with: {needs}",
        "who": "{} ({}). Profiles that see it: {} of {}.",
        "needs": "when",
        "profile": "profile",
        "others": "Closed to the others, whatever the situation: {}.",
        "nobody": "Nobody sees it.",
    },
    "fr": {
        "unknown": "profil inconnu : profiles.polar ne le nomme pas",
        "facts": "Faits : {}",
        "decided": "{} rubriques ouvertes sur {}.",
        "nothing": "Rien n'est ouvert : la porte « {} » est fermée.",
        "suspended": "Le compte est suspendu : la passerelle le refuse avant de consulter les politiques.",
        "gates": "Portes",
        "asked": "{} : {} (ici {})",
        "passed": "ouverte",
        "shut": "FERMÉE",
        "and": " ; ",
        "rubric": "rubrique",
        "state": "",
        "why": "ce qui décide",
        "open": "ouverte",
        "closed": "fermée",
        NOT_NAMED: "la ligne ne nomme pas {}",
        NEVER: "la ligne nomme {}, mais aucune situation n'ouvre la rubrique",
        SITUATION: "s'ouvrirait avec : {needs}",
        "gate": "porte « {gate} » fermée ; s'ouvrirait avec : {needs}",
        "who": "{} ({}). Profils qui la voient : {} sur {}.",
        "needs": "quand",
        "profile": "profil",
        "others": "Fermée aux autres, quelle que soit la situation : {}.",
        "nobody": "Personne ne la voit.",
    },
}
_GATES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        **{"profile": "profile", "convention": "convention", "engagement": "engagement"},
        **{"assurance": "proof of identity", "dossier": "dossiers entrusted", "refusal": "no refusal"},
        **{"rubric": "rubrics of the profile"},
    },
    "fr": {
        **{"profile": "profil", "convention": "convention", "engagement": "engagement"},
        **{"assurance": "preuve d'identité", "dossier": "dossiers confiés", "refusal": "absence de refus"},
        **{"rubric": "rubriques du profil"},
    },
}


def print_explanation(
    policy: Policy, found: Explanation, texts: Mapping[str, str], language: str, *, suspended: bool
) -> None:
    """Print a decision with its reasons. `texts` are the policy's files."""
    said, gates = _WORDS[language], _GATES[language]
    profile = found.facts.profile
    label = policy.profiles.get(profile) or f"{said['unknown']}.{near(profile, policy.profiles)}"
    click.echo(f"{profile or '—'} — {label}")
    click.echo(said["facts"].format(written_facts(found.facts)))
    if suspended:
        click.echo(said["suspended"])
    denied = found.grant.denied
    opened = said["decided"].format(len(found.grant.rubrics), len(found.rubrics))
    click.echo(said["nothing"].format(gates[denied]) if denied else opened)
    click.echo(f"\n{said['gates']}")
    for gate in found.gates:
        read = ", ".join(f"{name} = {word or '—'}" for name, word in gate.read.items())
        state = said["passed" if gate.passed else "shut"]
        click.echo("  " + said["asked"].format(gates[gate.gate], state, read))
        for place in gate.places:
            click.echo(f"      {place}  {_statement(texts, place)}")
    table = _table(said["rubric"], said["state"], said["why"])
    for each in found.rubrics:
        mark = Text(said["open"], "green") if each.open else Text(said["closed"], "red")
        table.add_row(Text(each.label), mark, Text(_why(each, profile, language)))
    print_whole(table)


def print_who(policy: Policy, row: Row, found: Sequence[Sees], language: str) -> None:
    """Print who can see a rubric."""
    said = _WORDS[language]
    place = Place(MATRIX, row.line)
    click.echo(said["who"].format(row.label, f"{row.slug}, {place}, {row.source}", len(found), len(policy.profiles)))
    if not found:
        click.echo(said["nobody"])
        return
    table = _table(said["profile"], "", said["needs"])
    for each in found:
        table.add_row(each.profile, Text(each.label), Text(said["and"].join(requirements(each.bits, language))))
    print_whole(table)
    others = [profile for profile in policy.profiles if profile not in {each.profile for each in found}]
    if others:
        click.echo(said["others"].format(", ".join(others)))


def _why(each: RubricExplained, profile: str, language: str) -> str:
    said = _WORDS[language]
    row = next(place for place in each.places if place.file == MATRIX)
    if each.why == OPEN:
        return f"{row} ({', '.join(dict.fromkeys(word for rule in each.rules for word in rule))})"
    needs = said["and"].join(requirements(each.needs, language)) if each.needs else ""
    sentence = said.get(each.why) or said["gate"]
    return f"{row} {sentence.format(profile, needs=needs, gate=_GATES[language].get(each.why, each.why))}"


def _statement(texts: Mapping[str, str], place: Place) -> str:
    """The statement that begins there, on one line."""
    lines: list[str] = []
    for line in texts[place.file].splitlines()[place.line - 1 :]:
        lines.append(line.strip())
        if line.partition("#")[0].rstrip().endswith(";"):
            break
    return " ".join(" ".join(lines).split())


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
