"""`/-/admin/`: the directory for the Caf's staff, over HTTP, by the functions of the command line; and `/-/agents`, as
much of it as a delegated administrator may do.

Whoever is not of the staff is refused before anything is looked at or looked up. A page of a list is bounded; nothing
of a password is ever answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Blueprint

from gateway.api.admin_operations import OPERATIONS
from gateway.api.agents import AGENT_OPERATIONS
from gateway.api.answering import add_address, as_json
from gateway.api.operations import Operation
from gateway.errors import Misconfigured
from gateway.identity.wrong import as_refusal
from gateway.proxy.answers import Answer, Exit
from gateway.proxy.identify import Reception
from gateway.record.entry import Entry


@dataclass(frozen=True, slots=True)
class AdminApi:
    """What `/-/admin/` needs."""

    reception: Reception
    exit: Exit

    def blueprint(self) -> Blueprint:
        """A Flask route for each operation."""
        routes = Blueprint("admin", __name__)
        for operation in (*OPERATIONS, *AGENT_OPERATIONS):
            work = partial(self.perform, operation)
            add_address(routes, self.exit, operation.method, operation.path, work, name=operation.name)
        return routes

    def perform(self, operation: Operation, environ: dict[str, Any], entry: Entry) -> Answer:
        """What the operation answers to one of the staff, or to a delegated administrator."""
        entry.act, entry.route = "admin", operation.name
        agent, credentials, _ = self.reception.identify(environ, entry)
        operation.admit(agent)
        self.reception.door.check_host(environ)
        if operation.method == "POST":
            self.reception.door.check_change(environ, credentials)
        sent = operation.received(environ)
        try:
            done = operation.perform(self.reception, sent, agent=agent, now=entry.at)
        except Misconfigured as wrong:
            raise as_refusal(wrong.problems) from None
        return Answer(operation.status, b"") if done is None else as_json(operation.status, done)
