"""The table as the policies really decide it, read off by asking every cell."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from gateway.policy.canaries import MOST
from gateway.policy.engine import Policy


def column(policy: Policy, profile: str) -> frozenset[str]:
    """The rubrics that `profile` sees where every condition holds."""
    return policy.decide(replace(MOST, profile=profile)).rubrics


def matrix(policy: Policy) -> Mapping[str, frozenset[str]]:
    """Each profile's column, in the order of profiles.polar."""
    return {profile: column(policy, profile) for profile in policy.profiles}
