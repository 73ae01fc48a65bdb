"""The kit: which checks there are, and how they are carried out, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from gateway.selftest import bodies, headers, identity, paths, surroundings
from gateway.selftest.catalogue import LINES, Line
from gateway.selftest.site import Site
from gateway.selftest.verdicts import Check, Finding, Inapplicable, Result, Tried, Verdict
from gateway.selftest.wire import Limited, OutOfTime

CHECKS: Final[tuple[Check, ...]] = (
    *paths.CHECKS,
    *headers.CHECKS,
    *identity.CHECKS,
    *bodies.CHECKS,
    *surroundings.CHECKS,
    *identity.LAST,
)
CHECK_SECONDS: Final = 120.0
"""What one check may take. Most take less than one second."""
WHOLE_SECONDS: Final = 900.0
INSIDE: Final = "needs access to the inside; proved by the project's tests"

_LINES: Final = {line.number: line for line in LINES}


def carry_out(
    site: Site,
    *,
    only: Collection[int] = (),
    checks: Sequence[Check] = CHECKS,
    beginning: Callable[[Check], None] = lambda check: None,
) -> Iterator[Result]:
    """Carry out the checks of these lines, or all, in order, and tell of each line that has none.

    `beginning` is told of each check before it is carried out. Raises nothing that a deployment could cause.
    """
    end = time.monotonic() + WHOLE_SECONDS
    for check in checks:
        if not only or check.line in only:
            beginning(check)
            site.wire.ended = min(end, time.monotonic() + CHECK_SECONDS)
            yield _result(check, *_tried(check, site))
    site.wire.ended = float("inf")
    for line in lines_inside():
        if not only or line.number in only:
            yield _not_tried(line)


def lines_inside() -> tuple[Line, ...]:
    """The lines that nobody can try from outside."""
    tried = {check.line for check in CHECKS}
    return tuple(line for line in LINES if line.number not in tried)


def _tried(check: Check, site: Site) -> tuple[Tried, str]:
    """What a check found, and what came back in it."""
    site.came()
    came = None
    try:
        tried = check.run(site)
        came = site.came()
        if not isinstance(tried, Inapplicable) and (fault := site.fault()):
            # Whoever refuses everything would pass every check that wants a refusal.
            tried = [*tried, Finding("a proper request after it", f"{fault}, where it was answered before")]
    except Limited as limited:
        tried = Inapplicable(f"limited: {limited}", unfinished=True)
    except OutOfTime:
        tried = Inapplicable("the time is over", unfinished=True)
    except OSError as error:
        tried = Inapplicable(f"no connection ({error.strerror or type(error).__name__})", unfinished=True)
    return tried, site.came() if came is None else came


def _result(check: Check, tried: Tried, came: str) -> Result:
    line = _LINES[check.line]
    inapplicable = tried if isinstance(tried, Inapplicable) else None
    findings = () if isinstance(tried, Inapplicable) else tuple(dict.fromkeys(tried))
    verdict = Verdict.NOT_APPLICABLE if inapplicable else Verdict.FAILED if findings else Verdict.PASSED
    return Result(
        line=line.number,
        family=line.family,
        check=check.name,
        verdict=verdict,
        sent=check.sent,
        came=came,
        reason=inapplicable.reason if inapplicable else "",
        unfinished=inapplicable.unfinished if inapplicable else False,
        findings=findings,
        hint=check.hint,
        references=line.references,
    )


def _not_tried(line: Line) -> Result:
    return Result(
        line=line.number,
        family=line.family,
        check="inside",
        verdict=Verdict.NOT_APPLICABLE,
        sent=line.attack,
        came="",
        reason=INSIDE,
        unfinished=False,
        findings=(),
        hint="",
        references=line.references,
    )
