"""The directory as administrators change it: partners, conventions, accounts, mandates and objections.

Every change is one transaction, acts on the next request of every process, and is refused whole with all that is
wrong in it (`Misconfigured`). Nothing is deleted: it is suspended, released, lifted. Only sessions go, and failures.
Every function may raise `StoreUnavailable`.
"""

from gateway.identity.accounts import (
    Account,
    OpenSession,
    accounts,
    add_account,
    end_sessions,
    open_sessions,
    resume_account,
    set_password,
    set_profiles,
    sign_engagement,
    suspend_account,
    unlock_account,
    withdraw_engagement,
)
from gateway.identity.mandates import Mandate, add_mandate, mandates, release_mandate
from gateway.identity.objections import Objection, lift_objection, objections, raise_objection
from gateway.identity.partners import (
    Convention,
    Partner,
    add_convention,
    add_partner,
    conventions,
    partners,
    resume_convention,
    suspend_convention,
)

__all__ = [
    "Account",
    "Convention",
    "Mandate",
    "Objection",
    "OpenSession",
    "Partner",
    "accounts",
    "add_account",
    "add_convention",
    "add_mandate",
    "add_partner",
    "conventions",
    "end_sessions",
    "lift_objection",
    "mandates",
    "objections",
    "open_sessions",
    "partners",
    "raise_objection",
    "release_mandate",
    "resume_account",
    "resume_convention",
    "set_password",
    "set_profiles",
    "sign_engagement",
    "suspend_account",
    "suspend_convention",
    "unlock_account",
    "withdraw_engagement",
]
