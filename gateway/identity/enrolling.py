"""An agent takes up a second factor, or gives it up; an administrator takes it away from whoever lost the application.

Each is a change that stays (`changes`). Whoever asks has a session and yet shows the password or a code once more: a
session that was stolen shall not become a second factor of the thief's. Wrong ones count as they do at a log-in, for
the same delay and the same lock: each function raises `TooManyAttempts` where its
`attempt` comes after too many that failed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from gateway.errors import SecondFactorState
from gateway.identity import passwords, second_factor
from gateway.identity.changes import Signature, write_change
from gateway.identity.entries import find_open_account, refuse
from gateway.identity.failures import is_locked, note_failure
from gateway.identity.guesses import Attempt
from gateway.identity.proving import PATIENCE_MS, hold, prove_password
from gateway.identity.refusals import ACCOUNT_LOCKED, CODE_WRONG, LogInRefused
from gateway.identity.sealing import Seal
from gateway.identity.second_factor import Begun, Factor
from gateway.identity.sessions import end_every_session
from gateway.identity.store import Changing, Store
from gateway.identity.tables import account
from gateway.identity.wrong import conflicting
from gateway.model import Agent

ACT: Final = "account second-factor"


def factor_of(store: Store, agent: Agent) -> Factor | None:
    """The agent's second factor, None where there is none that was confirmed. Raises `StoreUnavailable`."""
    with store.read() as connection:
        return second_factor.factor_of(connection, agent.account_id)


@passwords.CHECKS.place()
def begin_factor(
    store: Store, seal: Seal | None, agent: Agent, *, password: str, now: datetime, attempt: Attempt | None = None
) -> Begun:
    """A secret for the agent's application, which counts for nothing until `confirm_factor`.

    Raises `LogInRefused` (wrong password, counted; a locked account), `SecondFactorState` where there is one already or
    no seal, `Busy`, `StoreUnavailable`.
    """
    proved = prove_password(store, identifier=agent.identifier, password=password, now=now, attempt=attempt)
    if seal is None:
        raise SecondFactorState("identity.second_factor_key_file is not set")
    with store.change(wait_ms=PATIENCE_MS) as connection:
        hold(connection, proved)
        if second_factor.factor_of(connection, proved.account_id):
            raise SecondFactorState("there is one already")
        return second_factor.begin(connection, seal, proved.account_id, identifier=agent.identifier, now=now)


def confirm_factor(
    store: Store, seal: Seal | None, agent: Agent, *, code: str, now: datetime, attempt: Attempt | None = None
) -> tuple[str, ...]:
    """The begun second factor is in force, and every session of the account ends: they were opened without it. Its
    recovery codes, told now and never again.

    Raises `LogInRefused` (wrong code, counted; a locked account), `SecondFactorState` where none was begun in the last
    ten minutes, `StoreUnavailable`.
    """
    if attempt is not None:
        attempt.admit(store, now=now)
    with store.change(wait_ms=PATIENCE_MS) as connection:
        connection.execute(select(account.c.id).where(account.c.id == agent.account_id).with_for_update())
        if is_locked(connection, agent.account_id):
            raise LogInRefused(ACCOUNT_LOCKED, identifier=agent.identifier)
        if not second_factor.is_begun(connection, agent.account_id, now=now):
            raise SecondFactorState("none was begun lately")
        right = second_factor.is_right_code(connection, seal, agent.account_id, code, now=now)
        if right:
            codes = second_factor.confirm(connection, agent.account_id, now=now)
            end_every_session(connection, agent.account_id)
            _note(connection, agent, "on", now=now)
        else:
            note_failure(connection, agent.account_id, now=now, attempt=attempt)
    if not right:
        raise LogInRefused(CODE_WRONG, identifier=agent.identifier)
    return codes


@passwords.CHECKS.place()
def remove_factor(
    store: Store,
    seal: Seal | None,
    agent: Agent,
    *,
    password: str,
    code: str,
    now: datetime,
    attempt: Attempt | None = None,
) -> None:
    """The agent has no second factor any more. A recovery code does for the code.

    Raises `LogInRefused` (wrong password or code, counted, and not told apart; a locked account), `SecondFactorState`
    where there is none, `Busy`, `StoreUnavailable`.
    """
    proved = prove_password(store, identifier=agent.identifier, password=password, now=now, attempt=attempt)
    with store.change(wait_ms=PATIENCE_MS) as connection:
        hold(connection, proved)
        if second_factor.factor_of(connection, proved.account_id) is None:
            raise SecondFactorState("there is none")
        right = second_factor.is_second_factor(
            connection, seal, proved.account_id, code, identifier=agent.identifier, now=now
        )
        if right:
            second_factor.forget(connection, proved.account_id)
            _note(connection, agent, "off", now=now)
        else:
            note_failure(connection, proved.account_id, now=now, attempt=attempt)
    if not right:
        raise LogInRefused(CODE_WRONG, identifier=agent.identifier)


def reset_factor(store: Changing, *, identifier: str, signed: Signature | None = None) -> int:
    """The account logs in with its password alone again, and its sessions end; how many there were. Raises
    `Misconfigured` where it has no second factor.
    """
    with store.change() as connection:
        account_id, _, unknown = find_open_account(connection, identifier)
        refuse([unknown])
        none = account_id is None or second_factor.factor_of(connection, account_id) is None
        refuse([_without(identifier) if none else None])
        second_factor.forget(connection, account_id)
        ended = end_every_session(connection, account_id)
        write_change(connection, signed, act=ACT, subject=identifier, detail=f"reset, {ended} sessions ended")
    return ended


def _without(identifier: str) -> str:
    return conflicting(f"{identifier} has no second factor.", "Ce compte n'a pas de second facteur.")


def _note(connection: Connection, agent: Agent, detail: str, *, now: datetime) -> None:
    signed = Signature(agent.identifier)
    write_change(connection, signed, act=ACT, subject=agent.identifier, detail=detail, now=now)
