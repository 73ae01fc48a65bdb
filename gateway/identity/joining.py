"""Requests to join, as they are kept: who asks for what, how far it is, and who of the Caf did what to it.

The states are closed, and lead one way: asked → received (the file was sent and is back) → signed → approved, or
refused from received or signed. Nothing is deleted but the contact, once it has served: `retention.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from gateway.errors import Misconfigured
from gateway.identity.entries import instant, text_problem, word_problem
from gateway.identity.entries import refuse as refuse_problems
from gateway.identity.store import Store
from gateway.identity.tables import join_request
from gateway.identity.wrong import absent, conflicting

STATES: Final = ("asked", "received", "signed", "approved", "refused")
STEPS: Final = {
    "receive": ("asked",),
    "sign": ("received",),
    "approve": ("signed",),
    "refuse": ("received", "signed"),
}
"""From which states each step leads."""
ERASED: Final = ""
"""What is kept instead of a contact that was erased: no contact is empty."""


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """An organisation that asks to join. `received_by`, `signed_by` and `decided_by` are accounts of the Caf's staff,
    the last another than the first two. `number` to `max_agents` are the convention's, once it is signed. `contact` is
    None once it was erased.
    """

    id: int
    organisation: str
    siret: str
    function: str
    profiles: tuple[str, ...]
    contact: str | None
    state: str
    asked_at: datetime | None
    received_by: str | None
    signed_by: str | None
    decided_by: str | None
    decided_at: datetime | None
    number: str | None
    caisse: str | None
    starts_on: date | None
    ends_on: date | None
    max_agents: int | None


def join_requests(
    store: Store,
    *,
    state: str | None = None,
    siret: str | None = None,
    request_id: int | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[JoinRequest]:
    """Every request, decided ones too, in this state, of this SIRET or with this id where given, in the order in which
    they came: those `after` the id of one, so many.
    """
    refuse_problems(
        [
            None if state is None else word_problem("state", state, STATES),
            None if siret is None else text_problem("SIRET", siret),
        ]
    )
    query = select(join_request).order_by(join_request.c.id).limit(limit)
    for column, wanted in (("state", state), ("siret", siret), ("id", request_id)):
        if wanted is not None:
            query = query.where(join_request.c[column] == wanted)
    if after is not None:
        query = query.where(join_request.c.id > after)
    with store.read() as connection:
        return [_read(row) for row in connection.execute(query)]


def held_for(connection: Connection, request_id: int, step: str) -> JoinRequest:
    """The request, held until the transaction ends, in a state from which this step leads. Raises `Misconfigured`."""
    query = select(join_request).where(join_request.c.id == request_id).with_for_update()
    found = connection.execute(query).one_or_none()
    if found is None:
        raise Misconfigured([no_request(request_id)])
    request = _read(found)
    if request.state not in STEPS[step]:
        raise Misconfigured([_out_of_turn(request)])
    return request


def no_request(request_id: int) -> str:
    return absent(f"There is no request {request_id}.", "Aucune demande ne porte ce numéro.")


def _out_of_turn(request: JoinRequest) -> str:
    said = {
        "asked": "reçue, dossier d'adhésion attendu",
        "received": "dossier reçu",
        "signed": "convention signée",
        "approved": "approuvée",
        "refused": "refusée",
    }[request.state]
    return conflicting(
        f"Request {request.id} is {request.state}: this step does not come now.",
        f"Cette étape ne vient pas maintenant : la demande en est à « {said} ».",
    )


def _read(row: Any) -> JoinRequest:
    kept = dict(row._mapping)
    kept["contact"] = kept["contact"] or None
    kept["profiles"] = tuple(kept["profiles"].split())
    kept["asked_at"], kept["decided_at"] = instant(kept["asked_at"]), instant(kept["decided_at"])
    return JoinRequest(**kept)
