"""The directory as administrators change it: partners, conventions, accounts, mandates and objections.

Every change is one transaction, acts on the next request of every process, and is refused whole with all that is wrong
in it (`Misconfigured`). Nothing is deleted: it is suspended, released, lifted, closed. Only sessions go, failures and
activation links. With each goes a row that says who made it, when and why: `signed`, or else the operating system's
user. Every function may raise `StoreUnavailable`.
"""

from gateway.identity.accounts import (
    ACCOUNT_STATES,
    Account,
    OpenSession,
    accounts,
    add_account,
    end_sessions,
    open_sessions,
    resume_account,
    set_function,
    set_password,
    set_profiles,
    sign_engagement,
    suspend_account,
    unlock_account,
    withdraw_engagement,
)
from gateway.identity.activation import invite, invite_new
from gateway.identity.changes import Change, Signature, changes
from gateway.identity.delegates import delegate_account, undelegate_account
from gateway.identity.enrolling import reset_factor
from gateway.identity.enrolment import (
    Approved,
    approve_request,
    ask_to_join,
    receive_request,
    refuse_request,
    sign_request,
)
from gateway.identity.joining import JoinRequest, join_requests
from gateway.identity.leaving import Left, close_account
from gateway.identity.links import Invitation
from gateway.identity.mandates import MANDATE_STATES, Mandate, add_mandate, mandates, release_mandate
from gateway.identity.objections import Objection, lift_objection, objections, raise_objection
from gateway.identity.partners import (
    CONVENTION_STATES,
    Convention,
    Partner,
    add_convention,
    add_partner,
    conventions,
    limit_convention,
    partners,
    resume_convention,
    set_siret,
    suspend_convention,
)
from gateway.identity.reviewing import Finding, confirm_account, review
from gateway.identity.showing import Shown, show_account, show_convention, show_mandate, show_partner, show_request

__all__ = [
    "ACCOUNT_STATES",
    "CONVENTION_STATES",
    "MANDATE_STATES",
    "Account",
    "Approved",
    "Change",
    "Convention",
    "Finding",
    "Invitation",
    "JoinRequest",
    "Left",
    "Mandate",
    "Objection",
    "OpenSession",
    "Partner",
    "Shown",
    "Signature",
    "accounts",
    "add_account",
    "add_convention",
    "add_mandate",
    "add_partner",
    "approve_request",
    "ask_to_join",
    "changes",
    "close_account",
    "confirm_account",
    "conventions",
    "delegate_account",
    "end_sessions",
    "invite",
    "invite_new",
    "join_requests",
    "lift_objection",
    "limit_convention",
    "mandates",
    "objections",
    "open_sessions",
    "partners",
    "raise_objection",
    "receive_request",
    "refuse_request",
    "release_mandate",
    "reset_factor",
    "resume_account",
    "resume_convention",
    "review",
    "set_function",
    "set_password",
    "set_profiles",
    "set_siret",
    "show_account",
    "show_convention",
    "show_mandate",
    "show_partner",
    "show_request",
    "sign_engagement",
    "sign_request",
    "suspend_account",
    "suspend_convention",
    "undelegate_account",
    "unlock_account",
    "withdraw_engagement",
]
