"""Everything there is to find out about the texts of a folder, one stage after the other.

Meant for a process of its own (`policy_files.child`): what is looked at may be anybody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace
from polar.exceptions import OsoError

from gateway.errors import Misconfigured
from gateway.policy.canaries import MOST, Defect, found
from gateway.policy.engine import Policy
from gateway.policy.enumeration import Decisions
from gateway.policy.layout import CONDITIONS, FILES, REFUSALS
from gateway.policy.lint import named_rubrics, read_folder
from gateway.policy.loading import engine, fingerprint
from gateway.policy.sandbox import PolicyDefect
from gateway.policy.statements import Attribute, Placed, Statement, terms_of
from gateway.policy.totality import Leak, leaks
from gateway.policy_files.findings import Finding, Findings, Stage, Summary, clipped
from gateway.policy_files.folder import ROUTES
from gateway.redaction.routes import read_routes

MOST_NAMED = 3
"""Rubrics named in a sentence."""


def looked_at(texts: Mapping[str, str]) -> Iterator[Findings]:
    """What is found by reading these texts, and then, where the policies can be loaded, by asking them as well.

    The second takes the place of the first, which is what remains where the engine ends the process.
    """
    polar = {name: text for name, text in texts.items() if name != ROUTES}
    folder, problems = read_folder(polar)
    read = [Finding("rules", clipped(each.said), each.file, each.line, each.column) for each in problems]
    slugs = named_rubrics(texts)
    if ROUTES not in texts:
        read.append(Finding("rules", "the file is missing. Without it nothing can be decided.", ROUTES))
    table, doubts = read_routes(texts[ROUTES], slugs) if ROUTES in texts and slugs else (None, [])
    read += [Finding("routes", clipped(doubt.sentence), ROUTES, doubt.line, doubt.column) for doubt in doubts]
    yield Findings(tuple(read))
    if folder is None:
        return
    try:
        decided = Decisions(Policy(folder, engine(polar), fingerprint(texts)))
    except Misconfigured as error:
        refused = (Finding("load", problem.removeprefix("policies: ")) for problem in error.problems)
        yield Findings((*read, *refused))
        return
    asked = _asked(decided)
    if read or asked or table is None:
        yield Findings((*read, *asked))
    else:
        yield Findings(policy=_summary(decided, routes=len(table.routes)))


def _asked(decided: Decisions) -> list[Finding]:
    """What the policy opens and may not."""
    defects = found(decided)
    try:
        leaking = leaks(decided)
    except (OsoError, PolicyDefect) as defect:
        defects = defects or [Defect("", f"the policy fails when it is asked ({type(defect).__name__}).", "")]
        leaking = []
    policy = decided.policy
    return [*_told(policy, _gathered(defects)), *_leaking(policy, leaking)]


def _gathered(defects: Sequence[Defect]) -> dict[tuple[str, str], list[str]]:
    """What is said, and the rule to look at, with all the profiles it is said of."""
    gathered: dict[tuple[str, str], list[str]] = {}
    for defect in defects:
        gathered.setdefault((defect.said, defect.rule), []).append(defect.profile)
    return gathered


def _told(policy: Policy, gathered: Mapping[tuple[str, str], Sequence[str]]) -> Iterator[Finding]:
    for (said, rule), profiles in gathered.items():
        places = ((file, each) for file, each in _statements(policy) if each.name == rule)
        yield _placed("canaries", f"{profiles[0]}{said}{_the_same(profiles[1:])}", places)


def _leaking(policy: Policy, leaking: Iterable[Leak]) -> Iterator[Finding]:
    same: dict[tuple[str, str], list[Leak]] = {}
    for leak in leaking:
        same.setdefault((leak.fact, leak.value), []).append(leak)
    for (fact, value), several in same.items():
        first = several[0]
        named = ", ".join(f"`{slug}`" for slug in first.rubrics[:MOST_NAMED])
        more = len(first.rubrics) - MOST_NAMED
        opened = f"{named} and {more} more" if more > 0 else named
        said = f"{first.profile} opens {opened} although `{fact}` is {value}: nothing may be granted from it."
        places = (
            (file, term)
            for file, statement in _statements(policy)
            for goal in statement.goals
            for term in terms_of(goal)
            if isinstance(term, Attribute) and term.name == fact
        )
        yield _placed("totality", said + _the_same([leak.profile for leak in several[1:]]), places)


def _placed(stage: Stage, said: str, places: Iterator[tuple[str, Placed]]) -> Finding:
    file, place = next(places, ("", None))
    return Finding(stage, said, file, place.line, place.column) if place else Finding(stage, said)


def _statements(policy: Policy) -> Iterator[tuple[str, Statement]]:
    for file in FILES:
        for statement in policy.statements[file]:
            if not statement.declares:
                yield file, statement


def _the_same(profiles: Sequence[str]) -> str:
    return f" The same for {', '.join(profiles)}." if profiles else ""


def _summary(decided: Decisions, *, routes: int) -> Summary:
    policy = decided.policy
    opened = entrusted = 0
    for profile in policy.profiles:
        most = replace(MOST, profile=profile)
        rubrics = decided.of(most).rubrics
        opened += len(rubrics)
        entrusted += len(rubrics - decided.of(replace(most, mandates=frozenset())).rubrics)
    return Summary(
        fingerprint=policy.fingerprint,
        rubrics=len(policy.rows),
        profiles=len(policy.profiles),
        open_cells=opened,
        entrusted_cells=entrusted,
        conditions=sum(not statement.is_fact for statement in policy.statements[CONDITIONS]),
        refusals=len(policy.statements[REFUSALS]),
        routes=routes,
    )
