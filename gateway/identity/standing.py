"""The facts of an agent who is not here: what the gateway would know of them, without a session."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from sqlalchemy import String, bindparam, select

from gateway.errors import Misconfigured
from gateway.identity.entries import closed_account, dossier_problem, is_text, no_account, refuse
from gateway.identity.facts import ACCOUNT, Session, dossier_facts, local_day, session_of
from gateway.identity.store import Store
from gateway.identity.tables import account
from gateway.model import Facts, dossier_number, facts_of
from gateway.settings import Identity

_PROFILES = select(account.c.profiles, account.c.closed_at).where(
    account.c.identifier == bindparam("identifier", type_=String())
)


def facts_without_session(
    store: Store, rules: Identity, *, identifier: str, profile: str | None, dossier: str, action: str, now: datetime
) -> tuple[Facts, bool]:
    """What the policies would be told about this agent before this dossier, had they logged in with a password at
    `now`; and whether the account is suspended, in which case they are never asked.

    `profile` may be None where the account holds one, or none. Nothing is changed. Raises `Misconfigured` for an
    unknown or closed account, a profile that it does not hold and a malformed dossier number, which is not quoted; and
    `StoreUnavailable`.
    """
    reading, number = store.reading(), dossier_number(dossier)
    rows = reading.ask(_PROFILES, list, identifier=identifier) if is_text(identifier) else []
    refuse(
        [
            dossier_problem(dossier),
            None if rows else no_account(identifier),
            closed_account(identifier) if rows and rows[0][1] is not None else None,
            _profile_problem(identifier, rows[0][0].split(), profile) if rows else None,
        ]
    )
    found: Session | None = reading.ask(
        ACCOUNT,
        partial(session_of, rules=rules),
        profile=profile or rows[0][0],
        assurance="password",
        caisse=rules.caisse,
        today=local_day(rules, int(now.timestamp())),
        identifier=identifier,
    )
    if found is None or number is None:  # taken away since it was found; a number that is none was refused
        raise Misconfigured([no_account(identifier)])
    mandates, objection = dossier_facts(reading, rules, found.agent, number, now=now)
    return facts_of(found.agent, mandates=mandates, objection=objection, action=action), found.suspended


def _profile_problem(identifier: str, held: list[str], asked: str | None) -> str | None:
    if asked is None:
        if len(held) <= 1:
            return None
        return f"The account {identifier!r} holds several profiles ({', '.join(held)}): say which one."
    return None if asked in held else f"The account {identifier!r} does not hold the profile {asked!r}."
