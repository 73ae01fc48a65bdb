"""`/-/admin/`: the directory for the Caf's staff, over HTTP, by the functions of the command line; and `/-/agents`, as
much of it as a delegated administrator may do.

Whoever is not of the staff is refused before anything is looked at or looked up. A page of a list is bounded; nothing
of a password is ever answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, get_args

import msgspec
from flask import Blueprint

from gateway.api.admin_operations import OPERATIONS
from gateway.api.agents import AGENT_OPERATIONS
from gateway.api.answering import add_address, as_json
from gateway.api.bodies import LARGEST_ENTRY, read_json
from gateway.api.operations import Operation
from gateway.errors import BadRequest, Misconfigured
from gateway.identity.wrong import as_refusal
from gateway.proxy.answers import Answer, Exit
from gateway.proxy.identify import Reception
from gateway.proxy.parse import parameters, query
from gateway.record.entry import Entry

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
            work = partial(self.perform, operation)
            add_address(routes, self.exit, operation.method, operation.path, work, name=operation.name)
        return routes

    def perform(self, operation: Operation, environ: dict[str, Any], entry: Entry) -> Answer:
        """What the operation answers to one of the staff, or to a delegated administrator."""
        entry.act, entry.route = "admin", operation.name
        agent, credentials, _ = self.reception.identify(environ, entry)
        operation.admit(agent)
        self.reception.door.check_host(environ)
        if operation.body is None:
            sent = _asked(environ, operation.asked)
        else:
            self.reception.door.check_change(environ, credentials)
            query(environ)
            sent = read_json(environ, operation.body, limit=LARGEST_ENTRY)
        try:
            done = operation.perform(self.reception, sent, agent=agent, now=entry.at)
        except Misconfigured as wrong:
            raise as_refusal(wrong.problems) from None
        return Answer(operation.status, b"") if done is None else as_json(operation.status, done)


def _asked(environ: Mapping[str, Any], kind: type[msgspec.Struct]) -> msgspec.Struct:
    """The parameters of a list, numbers written in digits alone."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    given: dict[str, str | int] = {}
    for name, value in parameters(environ, tuple(fields)).items():
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
