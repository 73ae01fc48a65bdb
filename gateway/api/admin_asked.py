"""What may be asked under `/-/admin/` where nothing is changed. The attributes are the parameters of the directory's
functions; outside they are called what the command line calls them.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from gateway.api.admin_bodies import Caisse, Identifier, Number, PartnerKind, Text
from gateway.identity.directory import ACCOUNT_STATES, CONVENTION_STATES, MANDATE_STATES
from gateway.identity.entries import LARGEST_ID
from gateway.identity.joining import STATES
from gateway.identity.reviewing import FINDINGS

LARGEST_PAGE: Final = 200

Limit = Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="How many at most.")]

_ACCOUNT_STATES: Final = tuple(ACCOUNT_STATES)
_CONVENTION_STATES: Final = tuple(CONVENTION_STATES)
_MANDATE_STATES: Final = tuple(MANDATE_STATES)
AccountState = Literal[_ACCOUNT_STATES]  # type: ignore[valid-type]  # the vocabulary itself, as below
ConventionState = Literal[_CONVENTION_STATES]  # type: ignore[valid-type]
MandateState = Literal[_MANDATE_STATES]  # type: ignore[valid-type]
RequestState = Literal[STATES]  # type: ignore[valid-type]
OneFinding = Literal[FINDINGS]  # type: ignore[valid-type]


class Asked(Struct, forbid_unknown_fields=True, kw_only=True):
    """What every list may be asked."""

    limit: Limit = 50


class AskedByName(Asked, kw_only=True):
    after: Annotated[str, Meta(description="The `next` of the page before.")] | None = None


class AskedById(Asked, kw_only=True):
    after: Annotated[int, Meta(ge=0, le=LARGEST_ID, description="The `next` of the page before.")] | None = None


class AskedPartners(AskedByName, kw_only=True):
    kind: PartnerKind | None = None


class AskedConventions(AskedByName, kw_only=True):
    partner_name: str | None = field(name="partner", default=None)
    state: Annotated[ConventionState, Meta(description="What they are today.")] | None = None


class AskedAccounts(AskedByName, kw_only=True):
    partner_name: str | None = field(name="partner", default=None)
    identifier: str | None = None
    state: AccountState | None = None


class AskedReview(AskedByName, kw_only=True):
    caisse: Caisse | None = None
    finding: OneFinding | None = None


class AskedMandates(AskedById, kw_only=True):
    dossier: str | None = None
    partner_name: str | None = field(name="partner", default=None)
    state: Annotated[MandateState, Meta(description="What they are today.")] | None = None


class AskedObjections(AskedById, kw_only=True):
    dossier: str | None = None


class AskedRequests(AskedById, kw_only=True):
    state: RequestState | None = None
    siret: str | None = None
    request_id: Annotated[int, Meta(ge=0, le=LARGEST_ID)] | None = field(name="id", default=None)


class AskedSessions(AskedById, kw_only=True):
    identifier: str | None = field(name="account", default=None)


class AskedChanges(AskedById, kw_only=True):
    subject: str | None = None
    act: str | None = None
    by: str | None = None
    since: Annotated[date, Meta(description="From this day on (UTC).")] | None = None
    until: Annotated[date, Meta(description="To this day, which counts (UTC).")] | None = None


# Of one entry, whose changes are turned page by page.


class ThisPartner(AskedById, kw_only=True):
    name: Text


class ThisConvention(AskedById, kw_only=True):
    number: Text


class ThisAccount(AskedById, kw_only=True):
    identifier: Identifier


class ThisMandate(AskedById, kw_only=True):
    mandate_id: Number = field(name="id")


class ThisRequest(AskedById, kw_only=True):
    request_id: Number = field(name="id")
