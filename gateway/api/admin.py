"""`/-/admin/`: the directory for the Caf's staff, over HTTP, by the functions of the command line; and `/-/agents`, as
much of it as a delegated administrator may do.

Whoever is not of the staff is refused before anything is looked at or looked up. A page of a list is bounded; nothing
of a password is ever answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, get_args
from urllib.parse import parse_qsl

import msgspec
from flask import Blueprint, Response, request

from gateway.api.admin_operations import OPERATIONS, Operation
from gateway.api.agents import AGENT_OPERATIONS, AgentOperation
from gateway.api.bodies import read_json
from gateway.api.session import as_flask
from gateway.errors import BadRequest, Misconfigured, NotStaff
from gateway.identity.staff import is_staff_agent
from gateway.identity.wrong import as_refusal
from gateway.proxy.answers import Answer, Exit, new_entry
from gateway.proxy.identify import Reception
from gateway.proxy.parse import query
from gateway.record.entry import Entry

LARGEST: Final = 16_384
"""Bytes of a body: texts of 200 characters, were all of them written as escapes, have room in it."""
_NUMBER: Final = re.compile(r"[0-9]{1,16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AdminApi:
    """What `/-/admin/` needs."""

    reception: Reception
    exit: Exit

    def blueprint(self) -> Blueprint:
        """A Flask route for each operation."""
        routes = Blueprint("admin", __name__)
        for operation in (*OPERATIONS, *AGENT_OPERATIONS):
            routes.add_url_rule(
                operation.path,
                operation.name,
                self._view(operation),
                methods=[operation.method],
                provide_automatic_options=False,
            )
        return routes

    def _view(self, operation: Operation) -> Callable[[], Response]:
        def view() -> Response:
            work = partial(self.perform, operation, request.environ)
            return as_flask(self.exit.leave(new_entry(request.environ), work))

        return view

    def perform(self, operation: Operation, environ: dict[str, Any], entry: Entry) -> Answer:
        """What the operation answers to one of the staff, or to a delegated administrator."""
        entry.act, entry.route = "admin", operation.name
        agent, credentials, _ = self.reception.identify(environ, entry)
        if not isinstance(operation, AgentOperation) and not is_staff_agent(agent):
            raise NotStaff("not of the Caf's staff")
        self.reception.door.check_host(environ)
        if operation.body is None:
            sent = _asked(environ, operation.asked)
        else:
            self.reception.door.check_change(environ, credentials)
            query(environ)
            sent = read_json(environ, operation.body, limit=LARGEST)
        try:
            if isinstance(operation, AgentOperation):
                done = operation.answer_to(self.reception, sent, agent=agent, now=entry.at)
            else:
                done = operation.perform(self.reception, sent, by=agent.identifier, now=entry.at)
        except Misconfigured as wrong:
            raise as_refusal(wrong.problems) from None
        if done is None:
            return Answer(operation.status, b"")
        return Answer(operation.status, msgspec.json.encode(done), (("Content-Type", "application/json"),))


def _asked(environ: Mapping[str, Any], kind: type[msgspec.Struct]) -> msgspec.Struct:
    """The parameters of a list, numbers written in digits alone."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    given: dict[str, str | int] = {}
    for name, value in parse_qsl(query(environ, tuple(fields)).removeprefix("?"), keep_blank_values=True):
        takes = fields[name].type
        number = _is_number(takes)
        if number and not _NUMBER.fullmatch(value):
            raise BadRequest("a parameter that is not a number")
        given[name] = int(value) if number else value
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError:
        raise BadRequest("a parameter that is out of bounds") from None


def _is_number(takes: Any) -> bool:
    return takes is int or any(_is_number(inner) for inner in get_args(takes))
