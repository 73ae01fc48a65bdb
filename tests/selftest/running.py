"""The kit, run in this process: as fast as it can, where nobody limits it."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from gateway.selftest.kit import CHECKS, carry_out
from gateway.selftest.site import Account, Site
from gateway.selftest.verdicts import Result, Verdict
from gateway.selftest.wire import Wire, place_of
from tests.story.running import PASSWORD

UNLIMITED = 1e9
"""Requests a second: the gateways of these tests have no limits that would matter."""


@cache
def trust(ca: Path | None) -> ssl.SSLContext:
    """Made once: reading all of a machine's authorities takes longer than most checks."""
    return ssl.create_default_context(cafile=str(ca) if ca else None)


def try_on(
    url: str,
    identifier: str,
    *,
    dossiers: Sequence[str] = (),
    closed: Sequence[str] = (),
    only: Collection[int] = (),
    name: str = "",
    limits: bool = False,
    ca: Path | None = None,
) -> dict[str, Result]:
    """What became of each check, by its name (lines that have none: `inside-19`).

    With a `name`, of the check that is called so alone.
    """
    wire = Wire(place_of(url), context=trust(ca), per_second=UNLIMITED)
    site = Site(wire, Account(identifier, PASSWORD), dossiers=dossiers, closed=closed, limits=limits)
    wire.reach()
    site.begin()
    try:
        results = list(carry_out(site, only=only, checks=[check for check in CHECKS if name in ("", check.name)]))
    finally:
        site.end()
    return {result.check if result.check != "inside" else f"inside-{result.line}": result for result in results}


def failed(results: dict[str, Result]) -> dict[str, list[tuple[str, str]]]:
    """The findings of the checks that failed."""
    return {
        name: [tuple(finding) for finding in result.findings]
        for name, result in results.items()
        if result.verdict is Verdict.FAILED
    }
