"""`POST /-/requests`: an organisation asks to join, as the brochure says it: who it is, its function, its profiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from flask import Blueprint, Response, request

from gateway.api.admin_bodies import Profile, Siret, Text
from gateway.api.bodies import read_json
from gateway.api.session import as_flask
from gateway.errors import Misconfigured
from gateway.identity import directory
from gateway.identity.functions import Functions
from gateway.identity.wrong import as_refusal
from gateway.proxy.answers import Answer, Exit, new_entry
from gateway.proxy.identify import Reception
from gateway.proxy.parse import query
from gateway.record.entry import Entry

ADDRESS: Final = "/-/requests"
LARGEST: Final = 16_384
ANYONE: Final = "anyone"
"""Who asks, in the changes: nobody has shown who they are."""


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
        routes.add_url_rule(ADDRESS, "ask", self._view, methods=["POST"], provide_automatic_options=False)
        return routes

    def _view(self) -> Response:
        return as_flask(self.exit.leave(new_entry(request.environ), partial(self.ask, request.environ)))

    def ask(self, environ: dict[str, Any], entry: Entry) -> Answer:
        """202, always alike: whether the organisation is known, or has asked already, is not told."""
        entry.act = "join"
        self.reception.limits.admit_address(entry.address)
        self.reception.door.check_host(environ)
        self.reception.door.check_origin(environ)
        query(environ)
        asked = read_json(environ, AskToJoin, limit=LARGEST)
        self.reception.limits.admit_joining(entry.address)
        try:
            directory.ask_to_join(
                self.reception.store,
                self.functions,
                signed=directory.Signature(ANYONE),
                now=entry.at,
                **msgspec.structs.asdict(asked),
            )
        except Misconfigured as wrong:
            raise as_refusal(wrong.problems) from None
        return Answer(202, msgspec.json.encode({"status": "asked"}), (("Content-Type", "application/json"),))
