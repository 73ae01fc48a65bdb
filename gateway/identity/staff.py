"""Who runs the directory: the Caf's own people whose accounts open no dossier.

Where two different people must agree, nobody may be two: an account of the staff is entered, given a password and
opened again on the command line only, by whoever operates the gateway.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from gateway.errors import OwnAccount, StaffAccount
from gateway.identity.entries import is_text
from gateway.identity.store import Store
from gateway.identity.tables import account, partner
from gateway.model import Agent


def is_staff(*, partner_kind: str, profiles: Sequence[str]) -> bool:
    """Whether an account is of the Caf's staff: its partner is a Caf, and it holds no profile at all.

    The Caf's own social workers have a profile: they consult dossiers, and run nothing. That the account is neither
    suspended nor closed, and who stands behind it, is for whoever asks to know.
    """
    return partner_kind == "caf" and not profiles


def is_staff_agent(agent: Agent) -> bool:
    """`is_staff`, of the person behind a session."""
    return is_staff(partner_kind=agent.partner_kind, profiles=agent.profiles)


def forbid_own(by: str, identifier: str) -> None:
    """Raises `OwnAccount` where somebody would change their own account."""
    if by == identifier:
        raise OwnAccount("a change of one's own account")


def forbid_opening_staff(store: Store, identifier: str) -> None:
    """Raises `StaffAccount` where this account, which would be opened again, is of the staff."""
    query = select(partner.c.kind, account.c.profiles).join(partner, partner.c.id == account.c.partner_id)
    with store.read() as connection:
        found = connection.execute(query.where(account.c.identifier == identifier)).one_or_none()
    if found is not None and is_staff(partner_kind=found.kind, profiles=found.profiles.split()):
        raise StaffAccount("an account of the staff would be opened")


def forbid_making_staff(
    store: Store, profiles: Sequence[str], *, partner_name: str | None = None, identifier: str | None = None
) -> None:
    """Raises `StaffAccount` where an account with these profiles, of this partner or this one, would be staff's."""
    query = select(partner.c.kind)
    if identifier is None:
        query = query.where(partner.c.name == partner_name)
        if partner_name is None or not is_text(partner_name):
            return
    else:
        query = query.join(account, account.c.partner_id == partner.c.id).where(account.c.identifier == identifier)
    with store.read() as connection:
        kind = connection.execute(query).scalar()
    if kind is not None and is_staff(partner_kind=kind, profiles=profiles):
        raise StaffAccount("an account of the staff would be made")
