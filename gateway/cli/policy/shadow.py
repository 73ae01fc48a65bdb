"""`cafpro policy shadow`: what the draft would have changed, on the consultations that really took place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway import settings as settings_module
from gateway.cli.options import configuration
from gateway.cli.speaking import leave
from gateway.errors import Misconfigured, StoreUnavailable
from gateway.policy.wording import requirements
from gateway.policy_files.watching import look
from gateway.record.shadow import Run, ShadowBook, open_shadow_book


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell that the draft opened or closed: how often, from when to when (UTC), and in which situations."""

    change: str
    profile: str
    rubric: str
    times: int
    situations: int
    since: str
    until: str
    when: tuple[str, ...]


@click.command("shadow", epilog="\b\nExample:\n  cafpro policy shadow --config /etc/cafpro/gateway.toml")
@configuration
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def shadow(config: Path, form: str) -> None:
    """What the draft of the configuration ([policies] draft) would have changed so far, cell by cell.

    Counted are the consultations that were decided while the draft stood beside what was in force: how often it would
    have opened or closed what. Nobody and no dossier is in it.
    """
    try:
        settings = settings_module.load(config, os.environ)
        if settings.policies.draft is None:
            leave([f"{config}: there is no draft. Name its folder in [policies] draft, and restart the gateway."])
        if not settings.policies.draft.is_dir():
            leave([f"{config}: [policies] draft: there is no folder {settings.policies.draft}."])
        draft = look(settings.policies.draft)
        book = _book(settings)
        try:
            runs = book.runs()
        finally:
            book.close()
    except Misconfigured as error:
        leave(error.problems)
    except StoreUnavailable as failure:
        leave([f"record.url: {failure.because}."])
    mine = [run for run in runs if run.draft == draft.fingerprint]
    if form == "json":
        shown = [{**_told(run), "as_it_stands": run.draft == draft.fingerprint} for run in runs]
        click.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2))
    else:
        click.echo("\n".join(_text(settings.policies.draft, draft.fingerprint, mine, len(runs) - len(mine))))


def _book(settings: settings_module.Settings) -> ShadowBook:
    try:
        return open_shadow_book(settings.record.url, make=False)
    except Misconfigured as error:
        hint = "If nothing was compared yet, restart the gateway with this draft: it makes what it counts in."
        raise Misconfigured([*error.problems, hint]) from None


def _text(folder: Path, fingerprint: str, runs: Sequence[Run], others: int) -> Iterator[str]:
    if not fingerprint:
        yield f"{folder}: the draft cannot be read; nothing is compared. `cafpro policy check {folder}` says why."
    elif not runs:
        yield f"{folder}: nothing was compared yet with the draft as it stands ({fingerprint[:12]})."
    for run in runs:
        yield f"draft {run.draft[:12]} beside {run.against[:12]}: {run.compared} decisions compared"
        yield f"from {_instant(run.first_at)} to {_instant(run.last_at)}."
        if run.failed:
            yield f"On {run.failed} of them the draft failed: it would have refused them (503)."
        if run.lost:
            yield f"{run.lost} more were not looked at: there were too many different ones at once."
        found = differences(run)
        if not found:
            yield "It decided all of them alike."
        for one in found:
            sign, verb = ("+", "opened") if one.change == "gained" else ("-", "closed")
            kinds = "1 situation" if one.situations == 1 else f"{one.situations} situations"
            yield f"  {sign} {one.profile} {one.rubric}: {verb} {one.times} times, in {kinds}, last {one.until}"
            yield f"      {'; '.join(one.when)}"
    if others:
        yield f"({others} earlier comparisons, with other drafts or before a change: --format json shows them.)"


def differences(run: Run) -> list[Difference]:
    """The cells of a run, those that open more first, then those met most often."""
    by_cell: dict[tuple[str, str, str], list[Any]] = {}
    for found in run.cells:
        profile, rubric, change, _ = found.key
        by_cell.setdefault((change, profile, rubric), []).append(found)
    made = [
        Difference(
            change,
            profile,
            rubric,
            times=sum(one.times for one in found),
            situations=len(found),
            since=_instant(min(one.first_at for one in found)),
            until=_instant(max(one.last_at for one in found)),
            when=tuple(requirements(sum(1 << one.key[3] for one in found))),
        )
        for (change, profile, rubric), found in by_cell.items()
    ]
    return sorted(made, key=lambda one: (one.change, -one.times, one.profile, one.rubric))


def _told(run: Run) -> dict[str, Any]:
    return {
        "draft": run.draft,
        "against": run.against,
        "since": _instant(run.first_at),
        "until": _instant(run.last_at),
        "compared": run.compared,
        "failed": run.failed,
        "not_looked_at": run.lost,
        "cells": differences(run),
    }


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
