"""Sessions of agents for whom an OpenID provider vouches: opened once for each log-in, like a password's afterwards."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from gateway.errors import SessionEnded
from gateway.identity.errands import CLOCKS_APART
from gateway.identity.federated import ASSURANCE
from gateway.identity.openid import Vouched
from gateway.identity.openid_hints import keep_hint
from gateway.identity.proving import PATIENCE_MS
from gateway.identity.refusals import (
    ACCOUNT_CHANGED,
    ACCOUNT_CLOSED,
    ACCOUNT_SUSPENDED,
    UNKNOWN_IDENTIFIER,
    AgentSuspended,
    SessionsFull,
    VouchingRefused,
)
from gateway.identity.sessions import SignedIn, chosen_profile, identify, open_session
from gateway.identity.store import Store
from gateway.identity.tables import account, partner, spent_state
from gateway.settings import Identity

_SWEPT_AT_ONCE: Final = 100
_HELD: Final = (
    select(account.c.id, account.c.profiles, account.c.suspended, account.c.closed_at, partner.c.name, partner.c.siret)
    .join(partner, partner.c.id == account.c.partner_id)
    .where(account.c.identifier == bindparam("identifier"))
    .with_for_update(of=account)
)


def spend(store: Store, state: str, *, expires_at: int, now: datetime) -> bool:
    """The errand with this state has come back, and will not again, on any machine that shares the store. False where
    it had come back before. Raises `StoreUnavailable`.
    """
    state_hash = hashlib.sha256(state.encode()).hexdigest()
    # A machine whose clock is behind this one's still takes what is over here.
    over = select(spent_state.c.state_hash).where(spent_state.c.expires_at <= int(now.timestamp()) - CLOCKS_APART)
    with store.change(wait_ms=PATIENCE_MS) as connection:
        connection.execute(delete(spent_state).where(spent_state.c.state_hash.in_(over.limit(_SWEPT_AT_ONCE))))
        try:
            with connection.begin_nested():
                connection.execute(insert(spent_state).values(state_hash=state_hash, expires_at=expires_at))
        except IntegrityError:
            return False
    return True


def open_vouched(store: Store, rules: Identity, vouched: Vouched, *, profile: str | None, now: datetime) -> SignedIn:
    """A session for the account that is vouched for, under the profile that the provider names, or `profile`, or the
    one that the account holds.

    Raises `VouchingRefused`, alike for an account that does not exist, is suspended, closed, or another partner's;
    `ProfileRefused`; `SessionsFull`, where all else is right; `StoreUnavailable`. A lock after wrong passwords
    concerns passwords.
    """
    identifier = vouched.identifier
    with store.change(wait_ms=PATIENCE_MS) as connection:
        found = connection.execute(_HELD, {"identifier": identifier}).one_or_none()
        if found is None:
            raise VouchingRefused(UNKNOWN_IDENTIFIER)
        account_id, written, suspended, closed_at, name, siret = found
        if vouched.partner not in (None, name):
            raise VouchingRefused("an account of another partner", identifier=identifier)
        if vouched.partner is None and (siret is None or siret != vouched.siret):
            raise VouchingRefused("a SIRET that is not the account's partner's", identifier=identifier)
        if closed_at is not None:
            raise VouchingRefused(ACCOUNT_CLOSED, identifier=identifier)
        if suspended:
            raise VouchingRefused(ACCOUNT_SUSPENDED, identifier=identifier)
        asked = vouched.profile if profile is None else profile
        chosen = chosen_profile(asked, held=tuple(written.split()), identifier=identifier)
        if vouched.profile not in (None, chosen):
            raise VouchingRefused("a profile that the provider does not name", identifier=identifier)
        token = open_session(connection, rules, account_id=account_id, profile=chosen, assurance=ASSURANCE, now=now)
        if token is not None and vouched.hint is not None:
            keep_hint(connection, token, vouched.hint)
    if token is None:
        raise SessionsFull(identifier)
    try:
        agent, _ = identify(store, rules, token, now=now)
    except (SessionEnded, AgentSuspended):
        raise VouchingRefused(ACCOUNT_CHANGED, identifier=identifier) from None
    return SignedIn(token, agent.expires_at, agent)
