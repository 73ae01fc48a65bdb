"""Agents whom an organisation vouches for, by a token of its identity provider or a certificate: named accounts of the
directory, without a session.

The token says who; what they may do is the directory's, asked at each request. A lock after wrong passwords concerns
passwords, and so not them: a suspended account is refused here as well.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import String, bindparam, select

from gateway.database.connections import Reading
from gateway.errors import SessionEnded
from gateway.identity.facts import ACCOUNT, local_day, session_of
from gateway.identity.refusals import AgentSuspended
from gateway.identity.sessions import is_held
from gateway.identity.store import Store
from gateway.identity.tables import account
from gateway.identity.tokens import Named
from gateway.model import Agent
from gateway.settings import Identity

ASSURANCE: Final = "federated"
_PROFILES: Final = select(account.c.profiles).where(account.c.identifier == bindparam("identifier", type_=String()))


def identify(store: Store, rules: Identity, named: Named, *, now: datetime) -> tuple[Agent, Reading]:
    """The agent who is `named`, with the facts of this instant, and where to ask for more of them.

    Raises `SessionEnded` (`because` tells why), `AgentSuspended`, `Busy`, `StoreUnavailable`.
    """
    reading = store.reading()
    profile = named.profile
    if profile is None:
        held = [
            profile
            for (written,) in reading.ask(_PROFILES, list, identifier=named.identifier)
            for profile in written.split()
        ]
        if len(held) > 1:
            raise SessionEnded(f"a {named.proof} that says none of the account's profiles")
        profile = held[0] if held else ""
    found = reading.ask(
        ACCOUNT,
        partial(session_of, rules=rules),
        profile=profile,
        assurance=ASSURANCE,
        identifier=named.identifier,
        caisse=rules.caisse,
        today=local_day(rules, int(now.timestamp())),
    )
    if found is None:
        raise SessionEnded(f"a {named.proof} for an account that does not exist")
    agent = replace(found.agent, expires_at=int(named.expires_at))
    if agent.partner_name != named.partner:
        raise SessionEnded(f"a {named.proof} for an account of another partner")
    if found.suspended:
        raise AgentSuspended(agent)
    if not is_held(agent.profile, agent.profiles):
        raise SessionEnded(f"a {named.proof} for a profile that the account does not hold")
    return agent, reading
