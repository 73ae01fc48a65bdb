"""What an agent sees of their own sessions, and how they end one of them from another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from gateway.errors import NoSuchSession, SessionEnded
from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import seconds
from gateway.identity.opaque import digest, public_id
from gateway.identity.proving import PATIENCE_MS
from gateway.identity.sessions import end_one_session, is_held, why_ended
from gateway.identity.store import Store
from gateway.identity.tables import session
from gateway.model import Agent
from gateway.settings import Identity


@dataclass(frozen=True, slots=True)
class OwnSession:
    """A session that would be answered now. `seen_at` is a use that is at most a twentieth of the idle time older than
    the last one; `current`: it is the one that asks."""

    id: str
    profile: str
    assurance: str
    opened_at: int
    seen_at: int
    expires_at: int
    current: bool


def own_sessions(store: Store, rules: Identity, agent: Agent, token: str, *, now: datetime) -> list[OwnSession]:
    """The agent's open sessions, the last used first; `token` is the one that asks. Raises `StoreUnavailable`."""
    query = (
        select(
            session.c.token_hash,
            session.c.profile,
            session.c.assurance,
            session.c.opened_at,
            session.c.seen_at,
            session.c.expires_at,
        )
        .where(session.c.account_id == agent.account_id)
        .order_by(session.c.seen_at.desc(), session.c.opened_at.desc(), session.c.token_hash)
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
    current, moment = digest(token), seconds(now)
    return [
        OwnSession(public_id(kept), profile, assurance, opened_at, seen_at, expires_at, kept == current)
        for kept, profile, assurance, opened_at, seen_at, expires_at in rows
        if is_held(profile, agent.profiles)
        and not why_ended(rules, seen_at=seen_at, expires_at=expires_at, seconds=moment)
    ]


def end_own(store: Store, agent: Agent, token: str, session_id: str, *, now: datetime) -> bool:
    """End the session of the agent's that is called so; whether it is the one that asks, whose token this is.

    Raises `NoSuchSession`, alike for one that does not exist and somebody else's; `SessionEnded` where the one that
    asks has ended meanwhile: it ends no other any more; `StoreUnavailable`.
    """
    kept = digest(token)
    with store.change(wait_ms=PATIENCE_MS) as connection:
        if connection.execute(select(session.c.token_hash).where(session.c.token_hash == kept)).first() is None:
            raise SessionEnded("ended meanwhile")
        if not end_one_session(connection, agent.account_id, session_id):
            raise NoSuchSession("none of the agent's own sessions")
        write_change(
            connection,
            Signature(agent.identifier),
            act="session end",
            subject=agent.identifier,
            detail=f"session {session_id}",
            now=now,
        )
    return public_id(kept) == session_id
