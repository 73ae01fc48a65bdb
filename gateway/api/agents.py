"""`/-/agents`: what a delegated administrator does for the agents of its own partner, by the directory's functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from gateway.api import admin_asked as asking
from gateway.api import admin_bodies as bodies
from gateway.api.operations import Ended, Invited, Operation
from gateway.identity import delegates, directory
from gateway.identity.delegates import Delegated
from gateway.model import Agent
from gateway.proxy.identify import Reception

ADDRESS: Final = "/-/agents"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOperation(Operation):
    """`perform` lets `does` change nothing that the administrator may not: see `Delegated`."""

    @property
    def path(self) -> str:
        return ADDRESS + ("" if self.act in ("list", "add") else f"/{self.act}")

    @property
    def kind(self) -> str:
        return "ReadingAgents" if self.body is None else "ChangingAgents"

    @property
    def about(self) -> str:
        return "For delegated administrators, about the agents of their own partner, within its conventions in force."

    def admit(self, agent: Agent) -> None:
        """Whoever has no delegation is refused by what `perform` calls, which looks it up."""

    def perform(self, reception: Reception, sent: msgspec.Struct, *, agent: Agent, now: datetime) -> Any:
        """What is answered to this administrator, None where nothing is."""
        if self.body is None:
            return self.page(msgspec.structs.asdict(sent), lambda **asked: self.does(reception.store, agent, **asked))
        given = msgspec.structs.asdict(sent)
        store = Delegated(
            store=reception.store,
            rules=reception.rules,
            administrator=agent,
            identifier=None if self.act == "add" else given["identifier"],
            profiles=given.get("profiles", ()),
            now=now,
        )
        if self.act == "add":
            given["partner_name"] = agent.partner_name
        return self.answered(reception, store, given, by=agent.identifier, now=now)


def _on_agent(act: str, said: str, does: Any, body: Any, **more: Any) -> AgentOperation:
    return AgentOperation(group="agent", act=act, said=said, does=does, body=body, **more)


AGENT_OPERATIONS: Final = (
    AgentOperation(group="agent", act="list", said="The agents, closed accounts too, by identifier",
                   does=delegates.agents_of, asked=asking.AskedByName, row=directory.Account,
                   key=lambda row: row.identifier),
    _on_agent("add", "Enter an agent; the link with which it chooses a password", directory.invite_new, bodies.NewAgent,
              answer=Invited),
    _on_agent("invite", "A fresh link, with which the agent chooses another password", directory.invite,
              bodies.OneAccount, answer=Invited),
    _on_agent("profiles", "Give an agent exactly these profiles", directory.set_profiles, bodies.AccountProfiles),
    _on_agent("suspend", "Refuse an agent, open sessions included",
              partial(directory.suspend_account, by_partner=True), bodies.OneAccount),
    _on_agent("resume", "Let an agent in again whom an administrator of the partner suspended",
              partial(directory.resume_account, by_partner=True), bodies.OneAccount),
    _on_agent("unlock", "Let an agent in again whom wrong passwords have locked out", directory.unlock_account,
              bodies.OneAccount),
    _on_agent("end", "End every session of an agent", directory.end_sessions, bodies.OneAccount, answer=Ended),
    _on_agent("close", "Close the account of an agent who leaves, for good", directory.close_account,
              bodies.LeavingAccount, answer=directory.Left),
)  # fmt: skip
