"""Delegated administrators: an agent of a partner who manages its partner's other agents, within the conventions.

The directory's own functions do it, on a `Delegated` store: what the administrator may do is looked at in the
transaction that changes, with the rows of both accounts held, so that one who is suspended or loses the delegation in
between changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from gateway.errors import DelegatesAccount, Misconfigured, NoSuchEntry, NotDelegated, OwnAccount
from gateway.identity.accounts import Account, accounts
from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import find_open_account, refuse
from gateway.identity.facts import local_date
from gateway.identity.proving import PATIENCE_MS
from gateway.identity.store import Changing, Guarded, Store
from gateway.identity.tables import account, convention, partner
from gateway.identity.wrong import conflicting
from gateway.model import Agent
from gateway.settings import Identity


def delegate_account(store: Changing, *, identifier: str, signed: Signature | None = None) -> None:
    """Let the account manage its partner's agents. Not one of a Caf, whose staff manages all partners."""
    _delegate(store, identifier, signed, act="account delegate", delegated=True)


def undelegate_account(store: Changing, *, identifier: str, signed: Signature | None = None) -> None:
    """Let it manage nobody any more."""
    _delegate(store, identifier, signed, act="account undelegate", delegated=False)


def _delegate(store: Changing, identifier: str, signed: Signature | None, *, act: str, delegated: bool) -> None:
    with store.change() as connection:
        account_id, partner_id, unknown = find_open_account(connection, identifier)
        refuse([unknown])
        kind = connection.execute(select(partner.c.kind).where(partner.c.id == partner_id)).scalar()
        if delegated and kind != "external":
            raise Misconfigured([_of_a_caf(identifier)])
        put_delegation(connection, account_id, delegated=delegated)
        write_change(connection, signed, act=act, subject=identifier)


def put_delegation(connection: Connection, account_id: int | None, *, delegated: bool) -> None:
    """Note whether the account manages its partner's agents, in the transaction of whoever decided it."""
    connection.execute(update(account).where(account.c.id == account_id).values(delegated=delegated))


@dataclass(frozen=True, slots=True)
class Delegated:
    """The directory as `administrator` may change it: `identifier` is the account that is to be changed, None a new
    one, and `profiles` those that it is to have.

    Raises, before anything is changed, `NotDelegated` where the administrator has no delegation, or has it no more, or
    is suspended or closed; `OwnAccount`; `NoSuchEntry`, alike for an account that does not exist and one of another
    partner; `DelegatesAccount`; `Misconfigured` where a profile is in no convention in force.
    """

    store: Store
    rules: Identity
    administrator: Agent
    identifier: str | None
    profiles: Sequence[str]
    now: datetime

    def change(self, *, wait_ms: int = PATIENCE_MS) -> AbstractContextManager[Connection]:
        """A transaction of the directory's that begins with what the administrator may do in it."""
        return Guarded(self.store, self._admit).change(wait_ms=min(wait_ms, PATIENCE_MS))

    def _admit(self, connection: Connection) -> None:
        own = self.administrator
        names = [name for name in (own.identifier, self.identifier) if name is not None]
        asked = select(account).where(account.c.identifier.in_(names))
        # In one order, so that no two administrators wait for each other.
        held = {row.identifier: row for row in connection.execute(asked.order_by(account.c.id).with_for_update())}
        if not _may(held.get(own.identifier), connection):
            raise NotDelegated("no delegation, or not any more")
        if self.identifier is not None:
            self._admit_target(held[own.identifier].partner_id, held.get(self.identifier))
        opened = _opened(connection, held[own.identifier].partner_id, self.rules, self.now)
        if not set(self.profiles) <= opened:
            raise Misconfigured([_BEYOND])

    def _admit_target(self, partner_id: int, target: Any) -> None:
        if self.identifier == self.administrator.identifier:
            raise OwnAccount("a change of one's own account")
        if target is None or target.partner_id != partner_id:
            raise NoSuchEntry(["Aucun agent de votre organisme ne porte cet identifiant."])
        if target.delegated:
            raise DelegatesAccount("another delegated administrator")


def agents_of(
    store: Store, administrator: Agent, *, after: str | None = None, limit: int | None = None
) -> list[Account]:
    """The accounts of the administrator's partner, by identifier: those `after` one, so many. Raises `NotDelegated`."""
    with store.read() as connection:
        asked = select(account).where(account.c.identifier == administrator.identifier)
        if not _may(connection.execute(asked).one_or_none(), connection):
            raise NotDelegated("no delegation, or not any more")
    return accounts(store, partner_name=administrator.partner_name, after=after, limit=limit)


def _may(administrator: Any, connection: Connection) -> bool:
    """Whether this row of an account is an administrator's who may manage agents now."""
    if administrator is None or administrator.suspended or administrator.closed_at is not None:
        return False
    kind = connection.execute(select(partner.c.kind).where(partner.c.id == administrator.partner_id)).scalar()
    return bool(administrator.delegated) and kind == "external"


def _opened(connection: Connection, partner_id: int, rules: Identity, now: datetime) -> set[str]:
    """The profiles that the partner's conventions with this caisse open today."""
    today = local_date(rules, now)
    in_force = select(convention.c.profiles).where(
        convention.c.partner_id == partner_id,
        convention.c.caisse == rules.caisse,
        convention.c.suspended.is_(False),
        convention.c.starts_on <= today,
        convention.c.ends_on >= today,
    )
    return {profile for written in connection.execute(in_force).scalars() for profile in written.split()}


_BEYOND = conflicting(
    "No convention in force of the partner opens this profile.",
    "Aucune convention en vigueur de votre organisme n'ouvre l'un de ces profils.",
)


def _of_a_caf(identifier: str) -> str:
    return conflicting(
        f"The account {identifier!r} is of a Caf, whose staff manages the agents of all partners.",
        "Ce compte est d'une Caf : il n'a pas à recevoir de délégation.",
    )
