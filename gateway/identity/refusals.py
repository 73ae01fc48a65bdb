"""The refusals that know whom they refuse, so that the record can name the account. Nothing of it goes out."""

from __future__ import annotations

from typing import Final

from gateway.errors import (
    AccountSuspended,
    ActivationRefused,
    NoPlaceLeft,
    NotVouchedFor,
    ProfileNotHeld,
    StoreUnavailable,
    WrongPassword,
)
from gateway.model import Agent

UNKNOWN_IDENTIFIER: Final = "unknown identifier"
PASSWORD_WRONG: Final = "wrong password"  # noqa: S105  # a reason, not a secret
ACCOUNT_SUSPENDED: Final = "suspended account"
ACCOUNT_LOCKED: Final = "locked account"
ACCOUNT_CLOSED: Final = "closed account"
ACCOUNT_CHANGED: Final = "an account that was closed, suspended or changed meanwhile"
LINK_UNKNOWN: Final = "an activation link that is unknown, used or void"
LINK_EXPIRED: Final = "an expired activation link"
LINK_OVERTAKEN: Final = "an activation link that was used or made void meanwhile"
CODE_MISSING: Final = "no code of the second factor"
CODE_WRONG: Final = "wrong code of the second factor"


class LogInRefused(WrongPassword):
    """`because` is one of the reasons above that are of no link, all but the first two of whoever knows the password.
    `identifier` is the known account's, or empty.

    An unknown identifier is never kept: people type their password in the wrong field.
    """

    def __init__(self, because: str, *, identifier: str = "") -> None:
        super().__init__(because)
        self.identifier = identifier


class VouchingRefused(NotVouchedFor):
    """An OpenID provider vouches for somebody who may not come in so. `identifier` is the known account's, or empty."""

    def __init__(self, because: str, *, identifier: str = "") -> None:
        super().__init__(because)
        self.identifier = identifier


class GuessNotNoted(StoreUnavailable):
    """The password, the link or what a provider sent was wrong, and the store could not note it. Outwardly as if the
    store had failed before."""


class ProfileRefused(ProfileNotHeld):
    """The password was right, or the provider vouches. `profiles` are those that `identifier` may choose from."""

    def __init__(self, because: str, *, identifier: str, profiles: tuple[str, ...]) -> None:
        super().__init__(because)
        self.identifier = identifier
        self.profiles = profiles


class SessionsFull(NoPlaceLeft):
    """Everything was right, and `identifier` has as many sessions as it may have."""

    def __init__(self, identifier: str) -> None:
        super().__init__("as many sessions as may be open")
        self.identifier = identifier


class LinkRefused(ActivationRefused):
    """`because` is one of the three reasons above. `identifier` is the account's, where the link is known."""

    def __init__(self, because: str, *, identifier: str = "") -> None:
        super().__init__(because)
        self.identifier = identifier


class AgentSuspended(AccountSuspended):
    """`agent` holds a session that would be good if the account were not suspended."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(ACCOUNT_SUSPENDED)
        self.agent = agent
