"""What an import may bring: partners, conventions, accounts, mandates. Each row is checked as its entry by hand is.

Accounts come without a password: whoever leads them is sent a link (`identity/activation.py`). Nothing of a kind's
memory grows with the rows of a file, but with the partners that they name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, Final

from sqlalchemy import Connection

from gateway.identity.entries import (
    agents_problem,
    caisse_problem,
    closed_account,
    days_problem,
    dossier_problem,
    no_account,
    profiles_problem,
    siret_problem,
    text_problem,
    word_problem,
    written,
)
from gateway.identity.imports_accounts import Accounts
from gateway.identity.imports_rows import Kind, Row, day_needed, look_up
from gateway.identity.mandates import not_theirs
from gateway.identity.partners import NO_PROFILE, known_convention, known_partner
from gateway.identity.tables import account, convention, mandate, partner
from gateway.identity.wrong import conflicting
from gateway.model import MANDATE_KINDS, PARTNER_KINDS

_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_TAKEN_SIRET: Final = conflicting("There is a partner with this SIRET already.", "Un partenaire a déjà ce Siret.")


class Partners(Kind):
    noun, table, stored = "partner", partner, ("name", "kind", "siret")
    columns: ClassVar = {"name": True, "kind": False, "siret": False}

    def keys(self, row: Row) -> Iterable[str]:
        yield f"The name {row.cells['name']!r}"
        if row.cells.get("siret"):
            yield f"The SIRET {row.cells['siret']!r}"

    def check(self, connection: Connection, rows: Sequence[Row]) -> None:
        names = {name for (name,) in look_up(connection, partner.c.name, {row.cells["name"] for row in rows})}
        given = {row.cells["siret"] for row in rows if row.cells.get("siret")}
        taken = {siret for (siret,) in look_up(connection, partner.c.siret, given)}
        for row in rows:
            name, kind, siret = row.cells["name"], row.cells.get("kind") or "external", row.cells.get("siret") or None
            row.says(
                text_problem("name", name),
                word_problem("kind", kind, PARTNER_KINDS),
                siret_problem(siret),
                known_partner(name) if name in names else None,
                _TAKEN_SIRET if siret in taken else None,
            )
            row.values = name, kind, siret


class Conventions(Kind):
    noun, table = "convention", convention
    stored = ("partner_id", "number", "caisse", "starts_on", "ends_on", "suspended", "profiles", "max_agents")
    columns: ClassVar = {
        **dict.fromkeys(("number", "partner", "caisse", "starts_on", "ends_on", "profiles"), True),
        "max_agents": False,
    }

    def keys(self, row: Row) -> Iterable[str]:
        yield f"The number {row.cells['number']!r}"

    def check(self, connection: Connection, rows: Sequence[Row]) -> None:
        self._find_partners(connection, rows)
        known = {name for (name,) in look_up(connection, convention.c.number, {row.cells["number"] for row in rows})}
        for row in rows:
            cells, profiles = row.cells, row.cells["profiles"].split()
            starts_on, ends_on = row.day("starts_on"), row.day("ends_on")
            most = cells.get("max_agents") or None
            number = int(most) if most and _NUMBER.fullmatch(most) else None
            row.says(
                text_problem("number", cells["number"]),
                known_convention(cells["number"]) if cells["number"] in known else None,
                caisse_problem(cells["caisse"]),
                *(day_needed(name) for name in ("starts_on", "ends_on") if not cells[name]),
                days_problem(starts_on, ends_on) if starts_on else None,
                profiles_problem(profiles),
                None if profiles else NO_PROFILE,
                agents_problem(0 if most and number is None else number),
            )
            row.values = (
                self._partner_id(row),
                *(cells["number"], cells["caisse"], cells["starts_on"], cells["ends_on"], False),
                *(written(profiles), number),
            )


class Mandates(Kind):
    noun, table = "mandate", mandate
    stored = ("dossier", "kind", "partner_id", "account_id", "starts_on", "ends_on", "reference")
    columns: ClassVar = {
        **dict.fromkeys(("dossier", "kind", "partner"), True),
        **{"account": False, "starts_on": True, "ends_on": False, "reference": True},
    }

    def keys(self, row: Row) -> Iterable[str]:
        # All of it: a dossier may be entrusted twice, for two reasons or times.
        return ("The same mandate\0" + "\0".join(row.cells.get(name, "") for name in self.columns),)

    def check(self, connection: Connection, rows: Sequence[Row]) -> None:
        self._find_partners(connection, rows)
        named = {row.cells["account"] for row in rows if row.cells.get("account")}
        columns = (account.c.id, account.c.partner_id, account.c.closed_at)
        agents = {name: rest for name, *rest in look_up(connection, account.c.identifier, named, *columns)}
        for row in rows:
            cells, starts_on, ends_on = row.cells, row.day("starts_on"), row.day("ends_on")
            employer, name = self._partner_id(row), cells.get("account", "")
            agent, works_for, closed_at = agents.get(name, (None, None, None))
            elsewhere = agent is not None and employer is not None and works_for != employer
            row.says(
                dossier_problem(cells["dossier"]),
                word_problem("kind", cells["kind"], MANDATE_KINDS),
                no_account(name) if name and agent is None else None,
                closed_account(name) if closed_at is not None else None,
                not_theirs(name, cells["partner"]) if elsewhere else None,
                day_needed("starts_on") if not cells["starts_on"] else None,
                days_problem(starts_on, ends_on) if starts_on else None,
                text_problem("reference", cells["reference"]),
            )
            days = cells["starts_on"], cells.get("ends_on") or None
            row.values = (cells["dossier"], cells["kind"], employer, agent, *days, cells["reference"])
        self._say_entered(connection, rows)

    def _say_entered(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Say which are in the store already, and not released."""
        columns = [mandate.c[name] for name in self.stored[1:]]
        dossiers = {row.cells["dossier"] for row in rows}
        known: dict[tuple[Any, ...], int] = {}
        for dossier, number, released_at, *rest in look_up(
            connection, mandate.c.dossier, dossiers, mandate.c.id, mandate.c.released_at, *columns
        ):
            if released_at is None:
                written_so = (each.isoformat() if isinstance(each, date) else each for each in rest)
                known[dossier, *written_so] = number
        for row in rows if known else ():
            if row.values in known:
                number = known[row.values]
                row.says(
                    conflicting(
                        f"It is entered already, as mandate {number}.", f"Ce mandat est déjà entré : numéro {number}."
                    )
                )


KINDS: Final[Mapping[str, type[Kind]]] = {kind.noun: kind for kind in (Partners, Conventions, Accounts, Mandates)}
