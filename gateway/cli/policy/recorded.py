"""The record as the workbench reads it: since when, by whom, how far."""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.proxy.answers import fresh_id
from gateway.record.reading import Counted, Span, open_reader
from gateway.settings import Settings

LONGEST_DAYS: Final = 1_200
"""Longer than any record is kept (CNIL 2021-122: 1 095 days at most)."""


class Period(click.ParamType[timedelta]):
    """A time before now: `30d` or `12h`."""

    name = "30d"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        written = re.fullmatch(r"([1-9][0-9]{0,4})([dh])", value, re.ASCII)
        period = timedelta(**{"days" if written[2] == "d" else "hours": int(written[1])}) if written else timedelta(0)
        if not timedelta(0) < period <= timedelta(days=LONGEST_DAYS):
            self.fail(f"a period is written 30d or 12h, {LONGEST_DAYS}d at most.", param, ctx)
        return period


PERIOD: Final = Period()


@contextmanager
def the_record(settings: Settings, period: timedelta, *, command: str) -> Iterator[tuple[Span, Iterator[Counted]]]:
    """The part of the record that is `period` old at most, and its rows, counted by kind as they are read.

    That it is read is recorded first, with who does. A bar on standard error, where that is a terminal, shows how far
    it is. Raises `Misconfigured` or `StoreUnavailable`.
    """
    reader = open_reader(settings.record.url)
    try:
        now = datetime.now(UTC)
        span = reader.begin(now - period, request_id=fresh_id(), now=now, who=_who(), command=command)
        with _bar() as progress:
            task = progress.add_task("the record", total=span.length)
            yield span, reader.counted(span, lambda ids: progress.advance(task, ids))
    finally:
        reader.close()


@lru_cache(maxsize=65_536)
def left_of(text: str) -> frozenset[str]:
    """The rubrics that the record says have left. Raises `msgspec.ValidationError` or `DecodeError`."""
    return msgspec.json.decode(text, type=frozenset[str])


def day(instant: datetime) -> str:
    """An instant as reports give it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _who() -> str:
    # Not the environment's word: anybody writes there what they like.
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"command line: {name}"


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
