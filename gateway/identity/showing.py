"""One entry of the directory, with everything that was done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.identity.accounts import Account, accounts
from gateway.identity.changes import Change, changes
from gateway.identity.entries import no_account, no_partner, refuse
from gateway.identity.joining import JoinRequest, join_requests, no_request
from gateway.identity.mandates import Mandate, mandates, no_mandate
from gateway.identity.partners import Convention, Partner, conventions, no_convention, partners
from gateway.identity.store import Store

E = TypeVar("E", Partner, Convention, Account, Mandate, JoinRequest)


@dataclass(frozen=True, slots=True)
class Shown(Generic[E]):
    """An entry and its changes, the first first: those `after` the id of one, so many, where that was asked."""

    entry: E
    changes: Sequence[Change]


def show_partner(store: Store, *, name: str, after: int | None = None, limit: int | None = None) -> Shown[Partner]:
    """The partner of this name. As each of these, it raises `Misconfigured` where there is none."""
    found = _one(partners(store, name=name), absent=no_partner(name))
    return Shown(found, changes(store, subject=name, acts=["partner"], after=after, limit=limit))


def show_convention(
    store: Store, *, number: str, after: int | None = None, limit: int | None = None
) -> Shown[Convention]:
    """The convention of this number."""
    found = _one(conventions(store, number=number), absent=no_convention(number))
    return Shown(found, changes(store, subject=number, acts=["convention"], after=after, limit=limit))


def show_account(
    store: Store, *, identifier: str, after: int | None = None, limit: int | None = None
) -> Shown[Account]:
    """The account of this identifier; its changes tell of its sessions, too."""
    found = _one(accounts(store, identifier=identifier), absent=no_account(identifier))
    return Shown(found, changes(store, subject=identifier, acts=["account", "session"], after=after, limit=limit))


def show_mandate(
    store: Store, *, mandate_id: int, after: int | None = None, limit: int | None = None
) -> Shown[Mandate]:
    """The mandate of this id."""
    found = _one(mandates(store, mandate_id=mandate_id), absent=no_mandate(mandate_id))
    return Shown(found, changes(store, subject=str(mandate_id), acts=["mandate"], after=after, limit=limit))


def show_request(
    store: Store, *, request_id: int, after: int | None = None, limit: int | None = None
) -> Shown[JoinRequest]:
    """The request to join of this id."""
    found = _one(join_requests(store, request_id=request_id), absent=no_request(request_id))
    return Shown(found, changes(store, subject=str(request_id), acts=["request"], after=after, limit=limit))


def _one(found: Sequence[E], *, absent: str) -> E:
    refuse([None if found else absent])
    return found[0]
