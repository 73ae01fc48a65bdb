"""One address of those who manage others: of the Caf's staff, or of delegated administrators.

What is changed stands in the body, not in the path: the name of a partner and the number of a convention may hold
anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from gateway.api.admin_asked import Asked
from gateway.api.bodies import LARGEST_ENTRY, read_json
from gateway.api.parameters import read_parameters
from gateway.errors import NotStaff
from gateway.identity import directory, staff
from gateway.identity.facts import local_date
from gateway.identity.store import Changing, Guarded
from gateway.model import Agent
from gateway.proxy.identify import Reception
from gateway.proxy.parse import query

ROOT: Final = "/-/admin/"


class Entered(msgspec.Struct):
    """What was entered has this number from now on."""

    id: int


class Ended(msgspec.Struct):
    """How many sessions were ended."""

    sessions: int


class Joined(msgspec.Struct):
    """The partner and its convention, and the link with which its first account chooses a password, told once."""

    partner: str
    convention: str
    link: str | None
    expires_at: datetime | None


class Invited(msgspec.Struct):
    """The link with which the agent chooses a password, told once. It works once, until `expires_at`."""

    link: str
    expires_at: datetime | None


Guard = Callable[[Connection, str, Any], None]
"""Given the transaction that makes the change, who asks and the body, raises what forbids it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One address and method. `does` gets the body's or the parameters' attributes, `now` where it takes one, and
    `signed` where it changes something. Either a list of `row`s comes of it, an `entry` and its `row`s, `answer`,
    or nothing.
    """

    group: str
    act: str
    said: str
    does: Callable[..., Any]
    body: type[msgspec.Struct] | None = None
    asked: type[msgspec.Struct] = Asked
    entry: type[Any] | None = None
    row: type[Any] | None = None
    key: Callable[[Any], str | int] | None = None
    """What the next page comes after. None: it comes after as many rows."""
    answer: type[Any] | None = None
    guards: Sequence[Guard] = ()

    @property
    def name(self) -> str:
        """As the command line says it."""
        return f"{self.group} {self.act}"

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    @property
    def path(self) -> str:
        """Of all of a kind, or of an act on one of them."""
        return f"{ROOT}{self.group}s" + ("" if self.act in ("list", "add") else f"/{self.act}")

    @property
    def kind(self) -> str:
        """Which refusals it has: a name of `admin_described.REFUSALS`."""
        return "ChangingAccounts" if self.guards else "Changing" if self.body is not None else "Reading"

    @property
    def sent_type(self) -> str | None:
        """The media type of the body, where it takes one."""
        return None if self.body is None else "application/json"

    @property
    def about(self) -> str:
        """Who may, and what it is."""
        return f"For the Caf's staff. What `cafpro {self.name}` does."

    @property
    def status(self) -> int:
        if self.act == "add":
            return 201
        return 204 if self.row is None and self.answer is None else 200

    def admit(self, agent: Agent) -> None:
        """Raises `NotStaff`, before anything is looked at."""
        if not staff.is_staff_agent(agent):
            raise NotStaff("not of the Caf's staff")

    def received(self, environ: Mapping[str, Any]) -> msgspec.Struct:
        """What is sent to it: the body, or the parameters. Raises what `read_json` and `read_parameters` raise."""
        if self.body is None:
            return read_parameters(environ, self.asked)
        query(environ)
        return read_json(environ, self.body, limit=LARGEST_ENTRY)

    def perform(self, reception: Reception, sent: msgspec.Struct, *, agent: Agent, now: datetime) -> Any:
        """What is answered to this agent, None where nothing is.

        Raises what its guards raise, `Misconfigured` with what is wrong, `StoreUnavailable`.
        """
        given = msgspec.structs.asdict(sent)
        if self.row is not None:
            return self.page({**given, **self._taken(reception, now)}, partial(self.does, reception.store))
        store = reception.store if not self.guards else Guarded(reception.store, partial(self._guard, agent, sent))
        return self.answered(reception, store, given, by=agent.identifier, now=now)

    def _guard(self, agent: Agent, sent: msgspec.Struct, connection: Connection) -> None:
        for guard in self.guards:
            guard(connection, agent.identifier, sent)

    def answered(self, reception: Reception, store: Changing, given: dict[str, Any], *, by: str, now: datetime) -> Any:
        """What comes of `does` on this store, None where nothing is answered."""
        if self.body is not None:
            given["signed"] = directory.Signature(by, given.pop("why"))
        done = self.does(store, **given, **self._taken(reception, now))
        if isinstance(done, directory.Approved):
            made = done.invitation
            link = made.link(reception.door.origin) if made else None
            return Joined(done.partner, done.convention, link, made.expires_at if made else None)
        if isinstance(done, directory.Invitation):
            return Invited(done.link(reception.door.origin), done.expires_at)
        return self.answer(done) if self.answer in (Entered, Ended) else done

    def _taken(self, reception: Reception, now: datetime) -> dict[str, Any]:
        """What `does` takes besides what was sent."""
        known = {
            "now": now,
            "today": local_date(reception.rules, now),
            "hours": reception.rules.activation_hours,
        }
        return {name: known[name] for name in inspect.signature(self.does).parameters if name in known}

    def page(self, given: dict[str, Any], does: Callable[..., Any]) -> Mapping[str, Any]:
        """A page of what `does` lists, or of the changes of what it shows."""
        limit = given["limit"]
        found = does(**{**given, "limit": limit + 1})
        if isinstance(found, directory.Shown):
            return {"entry": found.entry, **self._cut(found.changes, given, called="changes")}
        return self._cut(found, given, called="rows")

    def _cut(self, found: Sequence[Any], given: Mapping[str, Any], *, called: str) -> Mapping[str, Any]:
        limit = given["limit"]
        page, more = found[:limit], len(found) > limit
        if not more:
            return {called: page, "next": None}
        return {called: page, "next": self.key(page[-1]) if self.key else (given["after"] or 0) + limit}
