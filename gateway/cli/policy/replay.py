"""`cafpro policy replay`: what a draft would have changed for those who really asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

import click
import msgspec

from gateway import settings as settings_module
from gateway.cli.options import configuration
from gateway.cli.policy.recorded import PERIOD, left_of, the_record
from gateway.cli.policy.replayed import print_text
from gateway.cli.speaking import FOUND, MISUSE, leave
from gateway.errors import Misconfigured, StoreUnavailable
from gateway.model import ACTIONS, Facts
from gateway.policy.replay import NO_DECISION, UNREADABLE, Answers, Replay, Replayed
from gateway.policy_files.folder import InForce, load_folder, shipped
from gateway.record.entry import read_facts
from gateway.record.reading import Counted, Span
from gateway.redaction.compared import compared
from gateway.redaction.table import DOCUMENT, RouteTable


@click.command(
    "replay",
    epilog="\b\nExample:\n  cafpro policy replay --against policies/drafts/brochure-columns --since 30d\n"
    "  cafpro policy replay --against draft --since 365d --config /etc/cafpro/gateway.toml --format json",
)
@click.option("--against", type=click.Path(path_type=Path), required=True, metavar="DRAFT", help="The draft's folder.")
@click.option("--since", type=PERIOD, required=True, metavar="30d", help="How far back: 30d, 12h.")
@click.option("--policies", type=click.Path(path_type=Path), help="Compare with these; otherwise the configuration's.")
@configuration
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def replay(against: Path, since: timedelta, policies: Path | None, config: Path, form: str) -> None:
    """Decide the recorded consultations again: by the policies in force and by DRAFT.

    The record holds the facts of every decision. Each distinct facts is decided once by both, and what differs is
    counted for the consultations whose route can answer that rubric: by rubric, partner and profile. What cannot be
    replayed is counted too, with the reason. That the record was read is recorded.

    Exit 0: no recorded consultation would lose or gain anything. Exit 1: some would, or the record cannot be read. Exit
    2: misuse, or the policies, the draft or the configuration cannot be read.
    """
    try:
        found = settings_module.load(config, os.environ)
        before = load_folder(policies or found.policies.path or shipped())
        after = load_folder(against)
    except Misconfigured as error:
        leave(error.problems, status=MISUSE)
    try:
        with the_record(found, since, command="cafpro policy replay") as (span, rows):
            result = replayed(rows, before, after)
    except Misconfigured as error:
        leave(error.problems)
    except StoreUnavailable as error:
        leave([f"The record cannot be read now: {error.because}."])
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(_as_json(result, span, before, after)), indent=2))
    else:
        print_text(result, span, before, after)
    if result.changes:
        raise SystemExit(FOUND)


def replayed(rows: Iterable[Counted], before: InForce, after: InForce) -> Replayed:
    """What a replay of these rows comes to."""
    counting = Replay(before.policy, after.policy, answers_of(before.routes))
    for row in rows:
        kind = row.kind
        if kind.act != "request" and kind.act not in ACTIONS:
            counting.other(row.times)
            continue
        facts, left = _read(kind.facts, kind.rubrics)
        counting.consulted(
            facts, partner=kind.partner, route=kind.route, left=left, policy=kind.policy, times=row.times
        )
    return counting.result


def answers_of(routes: RouteTable) -> Answers:
    """What the answers of each route can hold."""
    return {
        route.name: [frozenset((route.rubric,))]
        if route.answer == DOCUMENT
        else [content.rubrics for content in route.contents.values()]
        for route in routes.routes
    }


@lru_cache(maxsize=65_536)
def _read(facts: str, rubrics: str) -> tuple[Facts | str, frozenset[str]]:
    try:
        return (read_facts(facts) if facts else NO_DECISION), left_of(rubrics)
    except (msgspec.DecodeError, UnicodeError):
        return UNREADABLE, frozenset()


def _as_json(result: Replayed, span: Span, before: InForce, after: InForce) -> Mapping[str, object]:
    return {
        "since": span.since,
        "record_begins": span.begins,
        "policy": before.fingerprint,
        "draft": after.fingerprint,
        **msgspec.to_builtins(result),
        "parts_that_move": len(compared(before.routes, after.routes)),
    }
