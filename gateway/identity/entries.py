"""What can be wrong with an entry, one sentence each. Nothing typed is quoted but names an administrator chose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy import Connection, select

from gateway.errors import Misconfigured
from gateway.identity.tables import account, partner
from gateway.identity.wrong import Wrong, absent, conflicting, unacceptable
from gateway.model import dossier_number

PROFILES: Final = tuple(f"T{number}" for number in range(1, 17))
"""The names a profile can have. Which of them open something is the policies' affair."""
LONGEST_TEXT: Final = 200
MOST_AGENTS: Final = 100_000
LARGEST_ID: Final = 2**31 - 1
"""Of a row's number, as a PostgreSQL server keeps it."""
_CAISSE: Final = re.compile(r"[0-9]{3}")
_SIRET: Final = re.compile(r"[0-9]{14}")
_LA_POSTE: Final = "356000000"
_LA_POSTES_SEAT: Final = "35600000000048"


def refuse(problems: Sequence[str | None]) -> None:
    """Raises `Misconfigured` with the problems there are."""
    found = [problem for problem in problems if problem]
    if found:
        raise Misconfigured(found)


def is_text(text: str) -> bool:
    """Whether a column could hold `text`: no half characters, which a shell can pass, no controls, not too long."""
    return text.isprintable() and len(text) <= LONGEST_TEXT


def text_problem(name: str, text: str) -> str | None:
    if is_text(text) and text.strip() and text.strip() == text:
        return None
    return unacceptable(
        f"The {name} must be 1 to {LONGEST_TEXT} printable characters, without blanks around them.",
        f"Un texte s'écrit avec 1 à {LONGEST_TEXT} caractères imprimables, sans espaces autour.",
    )


def word_problem(name: str, word: str, words: Sequence[str]) -> str | None:
    listed = ", ".join(words)
    if word in words:
        return None
    return unacceptable(f"The {name} must be one of {listed}.", f"Une valeur doit être l'une de : {listed}.")


def profiles_problem(profiles: Sequence[str]) -> str | None:
    if all(profile in PROFILES for profile in profiles):
        return None
    return unacceptable(
        f"A profile is written {PROFILES[0]} to {PROFILES[-1]}.",
        f"Un profil s'écrit de {PROFILES[0]} à {PROFILES[-1]}.",
    )


def caisse_problem(caisse: str) -> str | None:
    if _CAISSE.fullmatch(caisse):
        return None
    return unacceptable("The caisse must be three digits, such as 691.", "Une caisse s'écrit avec trois chiffres.")


def siret_problem(siret: str | None) -> str | None:
    """Insee's check: the number and its first nine digits (the SIREN) by Luhn. La Poste has more places than Luhn would
    leave it numbers: of theirs, the seat's apart, the digits add up to a multiple of five.
    """
    if siret is None or (_SIRET.fullmatch(siret) and siret[:9].strip("0") and _luhn(siret[:9]) and _is_place(siret)):
        return None
    return unacceptable(
        "The SIRET must be fourteen digits without blanks, as Insee gave them, such as 73282932000074.",
        "Un Siret s'écrit avec les quatorze chiffres attribués par l'Insee, sans espaces.",
    )


def _is_place(siret: str) -> bool:
    if siret.startswith(_LA_POSTE) and siret != _LA_POSTES_SEAT:
        return sum(map(int, siret)) % 5 == 0
    return _luhn(siret)


def _luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(sum(divmod(number, 10)) for number in doubled) % 10 == 0


def agents_problem(max_agents: int | None) -> str | None:
    if max_agents is None or 1 <= max_agents <= MOST_AGENTS:
        return None
    return unacceptable(
        f"A convention allows 1 to {MOST_AGENTS} agents.", f"Une convention autorise de 1 à {MOST_AGENTS} agents."
    )


def dossier_problem(dossier: str) -> str | None:
    if dossier_number(dossier):
        return None
    return unacceptable(
        "The dossier must be seven digits, such as 9990001.", "Un numéro allocataire s'écrit avec sept chiffres."
    )


def days_problem(starts_on: date, ends_on: date | None) -> str | None:
    if ends_on is None or ends_on >= starts_on:
        return None
    return unacceptable("The last day comes before the first.", "Le dernier jour précède le premier.")


def written(profiles: Sequence[str]) -> str:
    """Profiles as a column keeps them: each once, in the order of their numbers."""
    return " ".join(profile for profile in PROFILES if profile in profiles)


def seconds(now: datetime) -> int:
    """An instant as a column keeps it."""
    return int(now.timestamp())


def instant(kept: int | None) -> datetime | None:
    """A kept instant, in UTC."""
    return None if kept is None else datetime.fromtimestamp(kept, UTC)


def no_partner(name: str) -> Wrong:
    return absent(f"There is no partner called {name!r}.", "Aucun partenaire ne porte ce nom.")


def no_account(identifier: str) -> Wrong:
    return absent(f"There is no account called {identifier!r}.", "Aucun compte ne porte cet identifiant.")


def closed_account(identifier: str) -> Wrong:
    return conflicting(f"The account {identifier!r} is closed.", "Ce compte est fermé.")


def find_partner(connection: Connection, name: str) -> tuple[int | None, str | None]:
    """The id of the partner called `name`, or what is wrong."""
    query = select(partner.c.id).where(partner.c.name == name)
    found: int | None = connection.execute(query).scalar() if is_text(name) else None
    return found, None if found is not None else no_partner(name)


def find_account(connection: Connection, identifier: str) -> tuple[int | None, int | None, str | None]:
    """The id and the partner's id of the account called `identifier`, or what is wrong."""
    query = select(account.c.id, account.c.partner_id).where(account.c.identifier == identifier)
    found = connection.execute(query).one_or_none() if is_text(identifier) else None
    if found is None:
        return None, None, no_account(identifier)
    return found[0], found[1], None


def find_open_account(connection: Connection, identifier: str) -> tuple[int | None, int | None, str | None]:
    """`find_account`, for whoever changes it: a closed one is wrong, and the account stays held until the transaction
    ends, so that it is not closed meanwhile.
    """
    query = select(account.c.id, account.c.partner_id, account.c.closed_at).where(account.c.identifier == identifier)
    found = connection.execute(query.with_for_update()).one_or_none() if is_text(identifier) else None
    if found is None:
        return None, None, no_account(identifier)
    return found[0], found[1], None if found[2] is None else closed_account(identifier)
