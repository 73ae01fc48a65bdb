"""`POST /-/requests`: an organisation asks to join, as the brochure says it: who it is, its function, its profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from flask import Blueprint

from gateway.api.admin_bodies import Profile, Siret, Text
from gateway.api.answering import add_address, as_json
from gateway.api.bodies import LARGEST_ENTRY, read_json
from gateway.errors import Misconfigured
from gateway.identity import directory
from gateway.identity.functions import Functions
from gateway.identity.passwords import Turns
from gateway.identity.wrong import as_refusal
from gateway.proxy.answers import Answer, Exit
from gateway.proxy.identify import Reception
from gateway.proxy.parse import query
from gateway.record.entry import Entry

ADDRESS: Final = "/-/requests"
ANYONE: Final = "(anyone)"
"""Who asks, in the changes: nobody has shown who they are."""
_ASKING: Final = Turns(at_once=1, waiting=1)
"""They take turns in the directory, each in a thread: the others' threads are not for strangers to wait in."""


class AskToJoin(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /-/requests`."""

    organisation: Text
    siret: Siret
    function: Text
    profiles: Annotated[list[Profile], msgspec.Meta(min_length=1, max_length=16)]
    contact: Text


@dataclass(frozen=True, slots=True)
class JoiningApi:
    """What `/-/requests` needs."""

    reception: Reception
    functions: Functions
    exit: Exit

    def blueprint(self) -> Blueprint:
        """The Flask route."""
        routes = Blueprint("joining", __name__)
        add_address(routes, self.exit, "POST", ADDRESS, self.ask)
        return routes

    def ask(self, environ: dict[str, Any], entry: Entry) -> Answer:
        """202, always alike: whether the organisation is known, or has asked already, is not told."""
        entry.act = "join"
        self.reception.limits.admit_address(entry.address)
        self.reception.door.check_host(environ)
        self.reception.door.check_origin(environ)
        query(environ)
        asked = read_json(environ, AskToJoin, limit=LARGEST_ENTRY)
        self.reception.limits.admit_joining(entry.address)
        try:
            with _ASKING.place():
                directory.ask_to_join(
                    self.reception.store,
                    self.functions,
                    by_anyone=True,
                    signed=directory.Signature(ANYONE),
                    now=entry.at,
                    **msgspec.structs.asdict(asked),
                )
        except Misconfigured as wrong:
            raise as_refusal(wrong.problems) from None
        return as_json(202, {"status": "asked"})
