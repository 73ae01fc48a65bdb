"""Who runs the directory: the Caf's own people whose accounts open no dossier.

Where two different people must agree, nobody may be two: an account of the staff is entered, given a password and
opened again on the command line only, by whoever operates the gateway.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from gateway.errors import Misconfigured, OwnAccount, StaffAccount
from gateway.identity.entries import find_partner, is_text, no_account, refuse
from gateway.identity.failures import forget_failures, note_failure
from gateway.identity.proving import PATIENCE_MS, hold, prove_password
from gateway.identity.refusals import LogInRefused
from gateway.identity.sealing import Seal
from gateway.identity.second_factor import factor_of, is_second_factor
from gateway.identity.store import Store
from gateway.identity.tables import account, partner
from gateway.identity.wrong import conflicting
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


def forbid_opening_staff(connection: Connection, identifier: str, *, profiles: Sequence[str] | None = None) -> None:
    """Raises `StaffAccount` where this account, which would be opened again, is of the staff, or would be with these
    `profiles`, and `Misconfigured` where there is none. It stays held until the transaction ends, so that it does not
    become the staff's meanwhile.
    """
    query = select(partner.c.kind, account.c.profiles).join(partner, partner.c.id == account.c.partner_id)
    held = query.where(account.c.identifier == identifier).with_for_update(of=account)
    found = connection.execute(held).one_or_none()
    if found is None:
        # Whoever enters it meanwhile must not find this change going on.
        raise Misconfigured([no_account(identifier)])
    if is_staff(partner_kind=found.kind, profiles=found.profiles.split()):
        raise StaffAccount("an account of the staff would be opened")
    if profiles is not None and is_staff(partner_kind=found.kind, profiles=profiles):
        raise StaffAccount("an account of the staff would be made")


def forbid_new_staff(connection: Connection, *, partner_name: str, profiles: Sequence[str]) -> None:
    """Raises `StaffAccount` where a new account of this partner with these profiles would be the staff's, and
    `Misconfigured` where there is no such partner.
    """
    partner_id, unknown = find_partner(connection, partner_name)
    refuse([unknown])
    kind = connection.execute(select(partner.c.kind).where(partner.c.id == partner_id)).scalar_one()
    if is_staff(partner_kind=kind, profiles=profiles):
        raise StaffAccount("an account of the staff would be made")


def staff_problem(connection: Connection, identifier: str) -> str | None:
    """Why the account called `identifier` may not sign for the Caf now."""
    columns = (account.c.profiles, account.c.suspended, account.c.closed_at, partner.c.kind)
    query = select(*columns).join(partner, partner.c.id == account.c.partner_id)
    query = query.where(account.c.identifier == identifier)
    found = connection.execute(query).one_or_none() if is_text(identifier) else None
    if found is None or found.suspended or found.closed_at is not None:
        return _NOT_STAFF
    return None if is_staff(partner_kind=found.kind, profiles=found.profiles.split()) else _NOT_STAFF


def prove_staff(
    store: Store, *, identifier: str, password: str, code: str | None, seal: Seal | None, now: datetime
) -> None:
    """Whoever types commands is the one of the Caf's staff who is called `identifier`, by the account's own password
    and, where it has a second factor, by a `code` of it, whose secret `seal` opens.

    A wrong one counts as at a log-in, and locks the account as there. Raises `Misconfigured`, alike for a password or a
    code that is wrong and an account that is unknown, closed, suspended, locked or not of the staff;
    `StoreUnavailable`.
    """
    if seal is not None:
        seal.prepare()  # for everyone: what is loaded would tell whose password was right
    try:
        proved = prove_password(store, identifier=identifier, password=password, now=now)
        # As patient as where a wrong password is counted, or the wait would tell that it was right.
        with store.change(wait_ms=PATIENCE_MS) as connection:
            hold(connection, proved)
            refuse([None if staff_problem(connection, identifier) is None else _NOT_PROVED])
            proves = factor_of(connection, proved.account_id) is None or is_second_factor(
                connection, seal, proved.account_id, code, identifier=identifier, now=now
            )
            if proves:
                forget_failures(connection, proved.account_id)
            else:
                note_failure(connection, proved.account_id, now=now)
    except LogInRefused:
        raise Misconfigured([_NOT_PROVED]) from None
    if not proves:
        raise Misconfigured([_NOT_PROVED])


STAFF_ELSEWHERE: Final = conflicting(
    "It would be an account of the Caf's staff, which is entered by `cafpro account` only.", StaffAccount.said
)
_NOT_STAFF: Final = conflicting(
    "Only the Caf's staff do this: an account of a Caf without a profile, neither suspended nor closed.",
    "Seule une personne de la Caf qui gère Cafpro peut faire cela.",
)
_NOT_PROVED: Final = (
    "The identifier, the password or the code of its second factor is wrong, or the account is none of the Caf's staff."
)
