"""What changes that are sent to `/-/admin/` need. The attributes are the parameters of the directory's functions;
outside they are called what the command line calls them.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from gateway.identity.entries import LARGEST_ID, LONGEST_TEXT, MOST_AGENTS
from gateway.identity.opaque import PUBLIC_DIGITS
from gateway.model import MANDATE_KINDS, PARTNER_KINDS

Text = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
Why = Annotated[str, Meta(max_length=LONGEST_TEXT, description="Why, for whoever reads the changes.")]
Because = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT, description="Why, for whoever reads the changes.")]
Identifier = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
Profile = Annotated[str, Meta(pattern="^T([1-9]|1[0-6])$")]
Profiles = Annotated[list[Profile], Meta(max_length=16)]
Siret = Annotated[str, Meta(pattern="^[0-9]{14}$")]
Dossier = Annotated[str, Meta(pattern="^[0-9]{7}$")]
Caisse = Annotated[str, Meta(pattern="^[0-9]{3}$")]
SessionId = Annotated[str, Meta(pattern=f"^[0-9a-f]{{{PUBLIC_DIGITS}}}$")]
Number = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
Password = Annotated[str, Meta(min_length=1, max_length=512)]
MaxAgents = Annotated[int, Meta(ge=1, le=MOST_AGENTS)]

PartnerKind = Literal[PARTNER_KINDS]  # type: ignore[valid-type]  # the vocabulary itself
MandateKind = Literal[MANDATE_KINDS]  # type: ignore[valid-type]


class Body(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a change needs."""

    why: Why = ""


class NewPartner(Body, kw_only=True):
    """An organisation. `kind` is `caf` for the Caf itself."""

    name: Text
    kind: PartnerKind = "external"
    siret: Siret | None = None


class PartnerSiret(Body, kw_only=True):
    """The SIRET of a partner."""

    name: Text
    siret: Siret


class NewConvention(Body, kw_only=True):
    """A convention with a partner. Both days count."""

    number: Text
    partner_name: Text = field(name="partner")
    caisse: Caisse
    starts_on: date = field(name="from")
    ends_on: date = field(name="to")
    profiles: Annotated[list[Profile], Meta(min_length=1, max_length=16)]
    max_agents: MaxAgents | None = None


class OneConvention(Body, kw_only=True):
    """The convention that is meant."""

    number: Text


class ConventionLimit(OneConvention, kw_only=True):
    """How many agents it allows; null is any number."""

    max_agents: MaxAgents | None


class OneAccount(Body, kw_only=True):
    """The account that is meant."""

    identifier: Identifier


class EndedSessions(OneAccount, kw_only=True):
    """The account whose sessions end: all of them, or `only` the one of this id."""

    only: SessionId | None = None


class LeavingAccount(Struct, forbid_unknown_fields=True, kw_only=True):
    """The account of an agent who leaves, and why."""

    identifier: Identifier
    why: Because


class NewAccount(OneAccount, kw_only=True):
    """An agent's account, without a password: the agent chooses it."""

    partner_name: Text = field(name="partner")
    profiles: Profiles = []
    function: Text | None = None


class NewAgent(OneAccount, kw_only=True):
    """An agent of one's own partner, without a password: the agent chooses it."""

    profiles: Profiles = []
    function: Text | None = None


class AccountProfiles(OneAccount, kw_only=True):
    """Exactly these profiles."""

    profiles: Profiles


class AccountFunction(OneAccount, kw_only=True):
    """What the agent does at the partner's."""

    function: Text


class AccountEngagement(OneAccount, kw_only=True):
    """The version of the personal engagement that the agent accepted."""

    version: Text


class AccountPassword(OneAccount, kw_only=True):
    """Another password."""

    password: Password


class NewMandate(Body, kw_only=True):
    """A dossier entrusted to a partner, or to one agent of its. Both days count; without `to` it is open."""

    dossier: Dossier
    kind: MandateKind
    partner_name: Text = field(name="partner")
    identifier: Identifier | None = field(name="account", default=None)
    starts_on: date = field(name="from")
    ends_on: date | None = field(name="to", default=None)
    reference: Text


class OneMandate(Body, kw_only=True):
    """The mandate that is meant."""

    mandate_id: Number = field(name="id")


class NewObjection(Body, kw_only=True):
    """A person's refusal of sharing."""

    dossier: Dossier
    reference: Text


class OneObjection(Body, kw_only=True):
    """The dossier whose objection is lifted."""

    dossier: Dossier


class OneRequest(Body, kw_only=True):
    """The request to join that is meant."""

    request_id: Number = field(name="id")


class SignedRequest(OneRequest, kw_only=True):
    """The convention that was signed. Both days count. Without `profiles`, those that were asked for."""

    number: Text
    caisse: Caisse
    starts_on: date = field(name="from")
    ends_on: date = field(name="to")
    profiles: Profiles = []
    max_agents: MaxAgents | None = None


class ApprovedRequest(OneRequest, kw_only=True):
    """The request that is let in, and what its first account is to be called, if there is to be one."""

    administrator: Identifier | None = None


class RefusedRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """The request that is refused, and why."""

    request_id: Number = field(name="id")
    why: Because
