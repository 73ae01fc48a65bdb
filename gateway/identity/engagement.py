"""The personal engagement: a text with a version, which an agent accepts before the first dossier and again when the
version changes.

What was accepted is kept, with its fingerprint, when it is accepted for the first time. From then on the same version
cannot be another text: whoever accepted it did not accept that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, String, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.errors import EngagementOther, Misconfigured, SessionEnded
from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import seconds
from gateway.identity.facts import engagement_state
from gateway.identity.proving import PATIENCE_MS
from gateway.identity.refusals import AgentSuspended
from gateway.identity.store import Store
from gateway.identity.tables import account, wording
from gateway.model import Agent
from gateway.settings import Identity

SHIPPED: Final = Path(__file__).with_name("engagement.txt")
SHIPPED_VERSION: Final = "2012-07"
LARGEST: Final = 64 * 1024
"""Bytes of a text."""
_KEPT: Final = select(wording.c.fingerprint).where(wording.c.version == bindparam("version", type_=String()))


@dataclass(frozen=True, slots=True)
class Wording:
    """The text of one version."""

    version: str
    text: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_wording(rules: Identity) -> Wording:
    """The text that agents must have accepted. Raises `Misconfigured` where it cannot be read, or where the version is
    another than the shipped text's and no text is named.
    """
    file = rules.engagement_text
    if file is None and rules.engagement_version != SHIPPED_VERSION:
        raise Misconfigured(
            [
                f"identity.engagement_text: name the file with the text of version {rules.engagement_version!r}; "
                f"the one that travels with Cafpro is {SHIPPED_VERSION!r}."
            ]
        )
    try:
        raw = (file or SHIPPED).read_bytes()
        text = raw.decode("utf-8").replace("\r\n", "\n").strip()
    except (OSError, UnicodeDecodeError):
        raise Misconfigured([f"identity.engagement_text: {file or SHIPPED} cannot be read as UTF-8 text."]) from None
    if not text or len(raw) > LARGEST:
        raise Misconfigured([f"identity.engagement_text: {file or SHIPPED} must hold 1 to {LARGEST} bytes of text."])
    return Wording(rules.engagement_version, text)


def wording_problem(store: Store, current: Wording) -> str | None:
    """Why `current` cannot be what agents are asked to accept, as one sentence, or None. Raises `StoreUnavailable`."""
    kept = store.ask(_KEPT, version=current.version)
    return None if not kept or kept[0][0] == current.fingerprint else _changed(current)


def keep_wording(connection: Connection, current: Wording, *, now: datetime) -> bool:
    """Keep the text, in the caller's transaction, where none of its version is kept; False where another one is."""
    kept = connection.execute(_KEPT, {"version": current.version}).scalar()
    if kept is not None:
        return bool(kept == current.fingerprint)
    try:
        with connection.begin_nested():
            row = {"version": current.version, "fingerprint": current.fingerprint, "text": current.text}
            connection.execute(insert(wording).values(**row, accepted_at=seconds(now)))
    except IntegrityError:  # on a server another was kept at this moment
        return bool(connection.execute(_KEPT, {"version": current.version}).scalar() == current.fingerprint)
    return True


def accept(store: Store, current: Wording, agent: Agent, *, version: str, now: datetime) -> None:
    """Note that the agent accepts the engagement, `version` being the one that was read; nothing where that is noted.

    Raises `EngagementOther` where another version is in force, or another text was accepted under it; `SessionEnded` or
    `AgentSuspended` where the account was closed or suspended meanwhile; `StoreUnavailable`.
    """
    if version != current.version:
        raise EngagementOther("another version is in force")
    with store.change(wait_ms=PATIENCE_MS) as connection:
        held = select(account.c.engagement_version, account.c.suspended, account.c.closed_at)
        signed, suspended, closed_at = connection.execute(
            held.where(account.c.id == agent.account_id).with_for_update()
        ).one()
        if closed_at is not None:
            raise SessionEnded("the account was closed meanwhile")
        if suspended:
            raise AgentSuspended(agent)
        if not keep_wording(connection, current, now=now):
            raise EngagementOther("another text was accepted under this version")
        if engagement_state(signed, asked=current.version) == "signed":
            return
        values = {"engagement_version": current.version, "engagement_signed_at": seconds(now)}
        connection.execute(update(account).where(account.c.id == agent.account_id).values(values))
        write_change(
            connection,
            Signature(by=agent.identifier),
            act="account sign",
            subject=agent.identifier,
            detail=f"engagement_version: {signed or 'none'} → {current.version}",
            now=now,
        )


def _changed(current: Wording) -> str:
    return (
        f"identity.engagement_text: version {current.version!r} was accepted with another text. Give the new text "
        "another identity.engagement_version, so that agents are asked again; or put the old text back."
    )
